"""assert_stream(): assertions about streams, one limit after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn, Self, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.arguments import check_number
from streamkit.lab.findings.subjects import recordings_in
from streamkit.lab.findings.words import duration, many, short
from streamkit.lab.recording.measures import measure_of
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.summary import timetable
from streamkit.lab.recording.trust import read_error_ns
from streamkit.lab.sets import RecordingSet
from streamkit.outcome import Outcome
from streamkit.testing.limits import Judged, Waits, judged, limits_of
from streamkit.testing.watching import current

if TYPE_CHECKING:
    from streamkit.lab.recording.trust import Trust

__all__ = ["StreamAssert", "Streams", "assert_stream"]

Streams: TypeAlias = Recording | RecordingSet | Iterable[Recording]

SHOWN: Final = 5
"""So many streams, or rows of one, are evidence."""
TEXT_SHOWN: Final = 200


def assert_stream(streams: Streams) -> StreamAssert:
    """Start a chain of assertions about a recording, several recordings, or a `RecordingSet`.

        assert_stream(recording).whole().first_piece(ms=300).gap(p99_ms=200).text(contains="hello")
        assert_stream(streams).whole().first_piece(p95_ms=300).no_stalls(ms=1000)

    Each method returns the same object, and raises AssertionError if its assertion does not hold: with what was
    expected, what came, the streams that show it, and the file in which the plugin saved them.

    If a time is closer to its limit than the instrument can tell (by the errors that a recording states: stamps of user
    space, an event loop that was late), the limit is neither kept nor broken. The test then goes on, and at its end it
    is **skipped**, with the reason, unless something else fails. Outside a pytest test, the skip is raised at once.

    Raises TypeError for what are not recordings, ValueError for none.

    >>> from streamkit.testing import assert_stream
    >>> assert_stream(sk.Recording.from_pieces([(7_000_000, "Hi")], sent_ns=0)).whole().first_piece(ms=300)
    <StreamAssert of 1 stream>
    """
    return StreamAssert(_set(streams))


def _set(streams: Streams) -> RecordingSet:
    several = [recording for _, recording in recordings_in(streams)]
    return streams if isinstance(streams, RecordingSet) else RecordingSet(several)


class StreamAssert:
    """Assertions about streams, made by `assert_stream`: `assert_stream(streams).whole().gap(p99_ms=200)`.

    Limits are keywords: `ms` or `max_ms` for the longest time, `p95_ms`, `p99_ms`, … for a percentile by nearest rank.
    """

    def __init__(self, streams: RecordingSet) -> None:
        self.streams = streams

    def __repr__(self) -> str:
        return f"<StreamAssert of {many(len(self.streams), 'stream')}>"

    # --- How it ended, and what it said -----------------------------------------------------------------------------

    def whole(self) -> Self:
        """Every stream came provably whole: its outcome is `complete`."""
        __tracebackhide__ = True
        return self.outcome("complete")

    def outcome(self, expected: str | Outcome) -> Self:
        """Every stream has this outcome, such as "timeout(idle)" or "refused(503)".

        A word alone, such as "refused", matches any detail. Raises ValueError for what is not an outcome.
        """
        __tracebackhide__ = True
        wanted = expected if isinstance(expected, Outcome) else Outcome.parse(expected)
        others = [
            (n, f"{one.outcome}{f', {short(one.error, TEXT_SHOWN)}' if one.error else ''}")
            for n, one in enumerate(self.streams)
            if one.outcome != wanted and not (wanted.detail is None and one.outcome.name == wanted.name)
        ]
        if others:
            self._fail(f"outcome: expected {wanted}, got {self._of(others)}", others)
        return self

    def text(self, expected: str | None = None, *, contains: str | None = None, matches: str | None = None) -> Self:
        """Every stream's text equals `expected`, contains a text, or matches a regular expression somewhere.

        Raises TypeError unless exactly one of the three is given.
        """
        __tracebackhide__ = True
        if sum(each is not None for each in (expected, contains, matches)) != 1:
            raise TypeError("expected exactly one of a text, contains= and matches=")
        if expected is not None:
            return self._texts(f"the text {_quoted(expected)}", lambda text: text == expected)
        if contains is not None:
            return self._texts(f"a text with {_quoted(contains)} in it", lambda text: contains in text)
        return self._texts(f"a text that matches {matches!r}", re.compile(str(matches)).search)

    def _texts(self, wanted: str, holds: Callable[[str], object]) -> Self:
        __tracebackhide__ = True
        others = [(n, _quoted(one.text)) for n, one in enumerate(self.streams) if not holds(one.text)]
        if others:
            self._fail(f"expected {wanted}, got {self._of(others)}", others)
        return self

    # --- Waits ------------------------------------------------------------------------------------------------------

    def first_piece(self, **limits: float) -> Self:
        """Limit the time to the first piece, from when the request was sent.

        `p95_ms=300` is for all streams together, `ms=300` for each. A stream without a piece breaks every limit.
        """
        __tracebackhide__ = True
        return self._one_each("first piece", "ttft", limits)

    def duration(self, **limits: float) -> Self:
        """Limit the time to the end, from when the request was sent: `p95_ms=5000`, `ms=8000`."""
        __tracebackhide__ = True
        return self._one_each("duration", "duration", limits)

    def gap(self, **limits: float) -> Self:
        """Limit the gaps between reads that brought pieces (`metrics.gaps_ns`): `p99_ms=200`, `ms=1000`.

        The gaps of all streams count together. Streams of a single piece have none, and keep every limit.
        """
        __tracebackhide__ = True
        wanted = limits_of(limits)
        rows = self.streams.rows
        errors = [metrics.percentile_ns(read_error_ns(one), 99) or 0 for one in self.streams]
        times = Waits.of([(gap, errors[n], errors[n]) for gap, n in zip(rows.gaps.tolist(), rows.of, strict=True)])
        longest = [(int(rows.of[at]), duration(int(rows.gaps[at]))) for at in np.argsort(-rows.gaps)[:SHOWN]]
        for limit in wanted:
            self._judge("gap", judged(limit, times), longest, rows.gaps.size)
        return self

    def no_stalls(self, ms: float | None = None) -> Self:
        """No gap is longer than `ms`; by default, than each stream's own threshold (`Summary.stall_threshold_ms`).

        The silence before an end that is not `complete` counts too.
        """
        __tracebackhide__ = True
        if ms is not None:
            check_number("ms", ms, "milliseconds")
        for n, one in enumerate(self.streams):
            summary = one.summary()
            most_ms = summary.stall_threshold_ms if ms is None else float(ms)
            longest_ms = max(summary.max_gap_ms or 0.0, summary.silent_end_ms or 0.0)
            error_ns = metrics.percentile_ns(read_error_ns(one), 99) or 0
            (limit,) = limits_of({"ms": most_ms})
            found = judged(limit, Waits.of([(longest_ms * 1e6, error_ns, error_ns)]))
            self._judge("stall", found, [(n, f"{duration(longest_ms * 1e6)} of silence")], 1)
        return self

    def _one_each(self, called: str, metric: str, limits: dict[str, float]) -> Self:
        __tracebackhide__ = True
        wanted, measure = limits_of(limits), measure_of(metric)
        measured = [measure.of(one) for one in self.streams]
        without = [
            (n, f"no {called}: {one.outcome}")
            for n, (one, found) in enumerate(zip(self.streams, measured, strict=True))
            if found.value is None
        ]
        if without:
            self._fail(f"{called}: expected one in every stream, {len(without)} of {len(measured)} have none", without)
        rows = [tuple(each * 1e6 for each in (found.value or 0.0, found.above, found.below)) for found in measured]
        times = Waits.of(rows)  # type: ignore[arg-type]  # each has three
        slowest = sorted(enumerate(times.ns.tolist()), key=lambda each: -each[1])
        for limit in wanted:
            self._judge(called, judged(limit, times), [(n, duration(ns)) for n, ns in slowest], len(measured))
        return self

    # --- What comes of it -------------------------------------------------------------------------------------------

    def _judge(self, called: str, found: Judged | None, evidence: Sequence[tuple[int, str]], count: int) -> None:
        __tracebackhide__ = True
        if found is None or found.state == "kept":
            return
        of = "" if count == 1 else f", {found.limit.name} of {count:,}"
        if found.state == "broken":
            self._fail(f"{called}{of}: {found}", evidence)
        reason = f"cannot decide on this machine: {called}{of}: {found}; trust: {self._trust}"
        if (test := current()) is not None:
            test.undecided.append(reason)
            return
        import pytest

        pytest.skip(reason)

    def _fail(self, what: str, evidence: Sequence[tuple[int, str]]) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError("\n".join([what, *self._evidence(evidence), f"  trust: {self._trust}", *self._kept()]))

    def _evidence(self, evidence: Sequence[tuple[int, str]]) -> list[str]:
        if len(self.streams) == 1:
            return [f"  {line}" for line in timetable(self.streams[0], rows=2 * SHOWN).splitlines()]
        lines = [f"  stream {n}{self._called(n)}: {told}" for n, told in evidence[:SHOWN]]
        more = len(evidence) - SHOWN
        return [*lines, *([f"  and {more:,} more"] if more > 0 else [])]

    def _called(self, n: int) -> str:
        label = self.streams[n].label
        return f" ({short(label)})" if label else ""

    def _of(self, others: Sequence[tuple[int, str]]) -> str:
        if len(self.streams) == 1:
            return others[0][1]
        return f"something else from {len(others)} of {len(self.streams)} streams"

    @property
    def _trust(self) -> str:
        worst: Trust = min(one.trust for one in self.streams)
        return f"{'' if len(self.streams) == 1 else 'the worst: '}{worst}"

    def _kept(self) -> list[str]:
        test = current()
        return [] if test is None else [f"  recorded: {test.keep(self.streams)}"]


def _quoted(text: str) -> str:
    return repr(short(text, TEXT_SHOWN))
