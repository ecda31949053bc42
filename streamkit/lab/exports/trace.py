"""Recordings as a trace for ui.perfetto.dev and chrome://tracing: Chrome's Trace Event Format, as JSON.

    a process           a stream, by its label or URL
      request           slices: waiting for a slot, connecting, TLS, sending
      answer            slices: waiting for the first piece, streaming, and in these the stalls; how it ended
      cuts              slices: from the last event before a cut to the first behind it
      a track a tap     an instant for each step: how many events passed with it, and with all before
      counters          `… → …`: what each hop held, in events; queues: what lay in them, in bytes

`ts` and `dur` are in microseconds (with the nanoseconds behind the point) from when the first stream was begun; where
the recordings' clocks are not one, each stream counts from its own beginning. Arguments of events have their units in
their names. Texts are in none of it.

The format: "Trace Event Format", Google, 2016; Perfetto reads it as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from streamkit._version import __version__
from streamkit.lab import metrics
from streamkit.lab.exports.some import Recordings, dumped, several
from streamkit.lab.recording.lines import replace_file
from streamkit.taps.gauges import NOT_KNOWN

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["of", "write"]

REQUEST: Final = 1
ANSWER: Final = 2
CUTS: Final = 3
FIRST_TAP: Final = 10
"""Numbers of tracks, by which they are ordered."""


def of(recordings: Recordings) -> dict[str, Any]:
    """One recording or several as a trace, in JSON values.

    >>> one = sk.Recording.from_pieces([(7_000_000, "Hi")], sent_ns=0, ended_ns=9_000_000)
    >>> [(e["name"], e["ts"], e["dur"]) for e in sk.exports.trace.of(one)["traceEvents"] if e["ph"] == "X"]
    [('waiting for the first piece', 0.0, 7000.0), ('streaming', 7000.0, 2000.0)]
    """
    found = several(recordings)
    one_clock = len({one.meta.get("origin") for one in found}) == 1
    zero_ns = min((one.started_ns for one in found), default=0)
    events = [
        event
        for number, one in enumerate(found)
        for event in _Stream(number, one, one.started_ns - zero_ns if one_clock else 0).events()
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"streamkit": __version__}}


def write(recordings: Recordings, path: str | os.PathLike[str]) -> None:
    """Write one recording or several to a trace file.

    sk.exports.trace.write(recording, "stream.json")
    """
    replace_file(path, [dumped(of(recordings))])


class _Stream:
    """One process of the trace; `ahead_ns`: when it was begun, by the trace's clock."""

    def __init__(self, number: int, one: Recording, ahead_ns: int) -> None:
        self._number, self._one, self._ahead_ns = number, one, ahead_ns
        self._pid = number + 1
        self._curves = one.curves()

    def events(self) -> Iterator[dict[str, Any]]:
        yield from self._names()
        yield from self._request()
        yield from self._answer()
        yield from self._cut()
        yield from self._marks()
        yield from self._taps()
        yield from self._held()
        yield from self._queues()

    def _names(self) -> Iterator[dict[str, Any]]:
        one = self._one
        told = one.label or one.url or f"stream {self._number}"
        yield self._meta("process_name", 0, {"name": told})
        yield self._meta("process_labels", 0, {"labels": ", ".join(f"{k}={v}" for k, v in one.labels.items())})
        tracks = {REQUEST: "request", ANSWER: "answer", **({CUTS: "cuts"} if one.cuts else {})}
        for number, name in {**tracks, **dict(enumerate(self._curves, FIRST_TAP))}.items():
            yield self._meta("thread_name", number, {"name": name})
            yield self._meta("thread_sort_index", number, {"sort_index": number})

    def _request(self) -> Iterator[dict[str, Any]]:
        one = self._one
        ready = [at for at in (one.acquired_ns, one.connected_ns, one.tls_ns) if at is not None]
        spans = {
            "waiting for a slot": (0, one.acquired_ns),
            "connecting": (one.acquired_ns, one.connected_ns),
            "TLS": (one.connected_ns, one.tls_ns),
            "sending": (max(ready, default=None), one.sent_ns),
        }
        for name, (begin_ns, end_ns) in spans.items():
            if begin_ns is not None and end_ns is not None:
                yield self._slice(name, REQUEST, begin_ns, end_ns)

    def _answer(self) -> Iterator[dict[str, Any]]:
        one, counted = self._one, self._one.counted
        begin_ns, end_ns = one.origin_ns, one.ended_ns
        first_ns = int(counted.at_ns[0]) if counted.at_ns.size else None
        if first_ns is not None:
            yield self._slice("waiting for the first piece", ANSWER, begin_ns, first_ns)
        last_ns = max([begin_ns, *counted.at_ns[-1:].tolist(), *([] if end_ns is None else [end_ns])])
        name = "waiting, and no piece came" if first_ns is None else "streaming"
        yield self._slice(name, ANSWER, begin_ns if first_ns is None else first_ns, last_ns)
        threshold_ns = metrics.stall_threshold_ns(metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows))
        stalls = metrics.stalls_ns(counted.at_ns, counted.read, threshold_ns, follows=counted.follows)
        for stall_ns, until_ns in stalls.tolist():
            yield self._slice("stall", ANSWER, stall_ns, until_ns)
        told = {"outcome": str(one.outcome), "finish_reason": one.finish_reason, "status": one.status}
        yield self._instant(str(one.outcome), ANSWER, last_ns, told)

    def _cut(self) -> Iterator[dict[str, Any]]:
        for cut, (begin_ns, end_ns) in zip(self._one.cuts, self._one.cut_silences, strict=True):
            told = {"outcome": str(cut.outcome), "attempts": cut.attempts, "replayed": cut.replayed}
            yield self._slice("cut", CUTS, begin_ns, end_ns, told)

    def _marks(self) -> Iterator[dict[str, Any]]:
        for name, at_ns in self._one.marks.items():
            yield self._instant(name, REQUEST, at_ns)

    def _taps(self) -> Iterator[dict[str, Any]]:
        for number, (name, curve) in enumerate(self._curves.items(), FIRST_TAP):
            before = 0
            for at_ns, count in zip(curve.at_ns.tolist(), curve.count.tolist(), strict=True):
                yield self._instant(name, number, at_ns, {"events": count - before, "events_so_far": count})
                before = count

    def _held(self) -> Iterator[dict[str, Any]]:
        for (before, left), (after, right) in pairwise(self._curves.items()):
            held = metrics.backlog(left, right)
            for at_ns, value in zip(held.at_ns.tolist(), held.held.tolist(), strict=True):
                yield self._counter(f"{before} → {after}", at_ns, {"events": value})

    def _queues(self) -> Iterator[dict[str, Any]]:
        for name, gauge in self._one.gauges.items():
            for at_ns, value in zip(gauge.at_ns, gauge.value, strict=True):
                if value != NOT_KNOWN:
                    yield self._counter(name, at_ns, {"bytes": value})

    # --- How an event is written ---

    def _ts(self, at_ns: int) -> float:
        return (self._ahead_ns + at_ns) / 1e3

    def _meta(self, name: str, tid: int, args: Mapping[str, Any]) -> dict[str, Any]:
        return {"ph": "M", "name": name, "pid": self._pid, "tid": tid, "args": dict(args)}

    def _slice(
        self, name: str, tid: int, begin_ns: int, end_ns: int, args: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        ms = {"ms": (end_ns - begin_ns) / 1e6}
        return {
            "ph": "X",
            "cat": "stream",
            "name": name,
            "pid": self._pid,
            "tid": tid,
            "ts": self._ts(begin_ns),
            "dur": max(0, end_ns - begin_ns) / 1e3,
            "args": {**ms, **(args or {})},
        }

    def _instant(self, name: str, tid: int, at_ns: int, args: Mapping[str, Any] | None = None) -> dict[str, Any]:
        event = {"ph": "i", "s": "t", "cat": "tap", "name": name, "pid": self._pid, "tid": tid, "ts": self._ts(at_ns)}
        return {**event, "args": dict(args or {})}

    def _counter(self, name: str, at_ns: int, args: Mapping[str, int]) -> dict[str, Any]:
        return {"ph": "C", "name": name, "pid": self._pid, "tid": 0, "ts": self._ts(at_ns), "args": dict(args)}
