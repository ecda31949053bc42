"""attach(): what servers know of a stream beside what its client saw, in one Recording.

What is joined was stamped on one clock and belongs to one stream. Both are checked: a difference of two clocks, or of
two streams, looks just like a delay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from streamkit.lab.recording.relay_word import RelayWord
from streamkit.taps.gauges import Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamkit.lab.recording.recorded import Recorded, SomeRecorded
    from streamkit.taps import StreamTaps, Tap

__all__ = ["DROPPED", "UNDER_WAY", "UNFINISHED", "attach"]

DROPPED: Final = "taps_dropped"
"""In a recording's `meta`: how many steps of its taps were dropped for want of room."""
UNFINISHED: Final = "taps_unfinished"
"""In a recording's `meta`: the taps that were read before their stream had ended."""

UNDER_WAY: Final = "under_way"
"""In the `meta` of what is told of a stream that goes on: nothing of it has an end yet."""


def attach(recording: SomeRecorded, *stream_taps: StreamTaps) -> SomeRecorded:
    """`recording` with the taps, marks, counts and gauges of `stream_taps` added, their times counted from its start;
    and with the relay's own word, if it is among them.

    Taps may end early: what was dropped, or read too early, is named in `meta`, under `DROPPED`, `UNFINISHED` and
    `notes`. Neither argument is changed.

    Raises ValueError if the clocks differ (another machine or boot, or a recording without an origin), if the stream is
    another one than the recording's (its response header `x-stream-id`) or than that of the other taps, and if anything
    is there twice, or has no place on the way, or is no relay's word.
    """
    taps: dict[str, Tap] = dict(recording.taps)
    marks: dict[str, int] = dict(recording.marks)
    counts: dict[str, int] = dict(recording.counts)
    gauges: dict[str, Gauge] = dict(recording.gauges)
    words: dict[str, RelayWord] = {} if recording.relay is None else {"relay": recording.relay}
    stream_id = recording.headers.get("x-stream-id")
    for foreign in stream_taps:
        _check_origin(recording, foreign)
        stream_id = stream_id or foreign.stream_id
        if foreign.stream_id != stream_id:
            raise ValueError(f"expected the taps of stream {stream_id}, got those of stream {foreign.stream_id}")
        added, moments = tuple(foreign.taps.items()), tuple(foreign.marks.items())  # at once: it may still grow
        numbers = tuple(foreign.counts.items())
        queues = {} if foreign.gauges is None else foreign.gauges.since(recording.started_ns)
        said = {} if foreign.word is None else {"relay": RelayWord.from_dict(foreign.word)}
        news = ((taps, added), (marks, moments), (counts, numbers), (gauges, queues.items()), (words, said.items()))
        for there, new in news:
            _check_new(recording, there, [name for name, _ in new])
        taps.update((name, tap.copy(minus_ns=recording.started_ns)) for name, tap in added)
        marks.update((name, at_ns - recording.started_ns) for name, at_ns in moments)
        counts.update(numbers)
        gauges.update(queues)
        words.update(said)
    meta = {**recording.meta, **_flaws(recording, stream_taps)}
    relay = words.get("relay")
    return replace(recording, taps=taps, marks=marks, counts=counts, gauges=gauges, relay=relay, meta=meta)


def _check_origin(recording: Recorded, foreign: StreamTaps) -> None:
    origin = recording.meta.get("origin")
    if origin is None:
        raise ValueError(
            "expected a recording with meta['origin'], the name of its clock: without it nothing is joined"
        )
    if foreign.origin != origin:
        raise ValueError(
            f"expected taps of the recording's clock ({origin}), got taps of another ({foreign.origin}): the times of "
            "different machines or boots are never subtracted"
        )


def _check_new(recording: Recorded, there: Iterable[str], added: list[str]) -> None:
    twice = sorted(set(there).intersection(added))
    if twice:
        raise ValueError(
            f"expected each tap, mark, count and gauge once, got {', '.join(twice)} twice for {recording!r}"
        )


def _flaws(recording: Recorded, stream_taps: Iterable[StreamTaps]) -> dict[str, Any]:
    """What is missing in the taps, as entries of `meta`."""
    dropped = sum(foreign.dropped for foreign in stream_taps)
    unfinished = sorted(name for foreign in stream_taps if not foreign.finished for name in foreign.taps)
    flaws: dict[str, Any] = {}
    notes = []
    if dropped:
        flaws[DROPPED] = recording.meta.get(DROPPED, 0) + dropped
        notes.append(f"{dropped} steps of the taps were dropped, for want of room in their log")
    if unfinished:
        flaws[UNFINISHED] = [*recording.meta.get(UNFINISHED, ()), *unfinished]
        notes.append(f"read before their stream had ended, so their end may be missing: {', '.join(unfinished)}")
    return {**flaws, "notes": [*recording.meta.get("notes", ()), *notes]} if flaws else {}
