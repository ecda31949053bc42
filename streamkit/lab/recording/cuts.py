"""Cut: where a stream broke off and its recording went on by asking again, and which events were then replayed.

    ──────■■■■■■■■│                     │■■■■■■■─■───■───■───
           live   at_ns    (silence)    back_ns
                                         replayed  live again

What happened while nobody listened is sent all at once when the client is back. The gaps in it say nothing about the
stream's pace, and neither does the silence before: so a gap belongs to the live stream (`follows`) only between two
live events of one connection. The reader did wait, though: objectives (`metrics.SLO`) and throughput count the silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from streamkit.lab import metrics
from streamkit.outcome import Outcome

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.metrics.columns import Ints

__all__ = ["CATCH_UP_NS", "Cut", "caught_up", "connections", "replayed_of", "silences"]

CATCH_UP_NS: Final = 5_000_000
"""Reads no further apart than this hold what lay ready, where the server does not say what it replays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One interruption, from when it was noticed until the stream went on or was given up. Times in ns, from the call.

    at_ns        when it was noticed: a reset at once, a silent network when the idle timer fires
    outcome      how the stream would have ended by it: `truncated`, `timeout(idle)`
    attempts     how often the client asked again before events came
    asked_ns     when the last of these attempts began
    back_ns      when the head of its answer had come; None if the stream did not come back
    status       the status of that answer; None if there was none
    event, read  the index of the first event, and of the first read, after the cut
    replayed     how many events from there on had happened before the client was back
    told         True: the server said which these are (`X-Stream-Live`). False: they are those that came in one go, in
                 reads no further apart than 5 ms, or than half the median gap before the cut

    >>> from streamkit.lab.recording.cuts import Cut
    >>> Cut(at_ns=0, asked_ns=9, back_ns=20, event=3, read=3, replayed=2).resumed
    True
    """

    at_ns: int
    outcome: Outcome = Outcome("truncated")  # noqa: RUF009  it is frozen
    attempts: int = 1
    asked_ns: int | None = None
    back_ns: int | None = None
    status: int | None = None
    event: int = 0
    read: int = 0
    replayed: int = 0
    told: bool = True

    @property
    def resumed(self) -> bool:
        """Whether the stream came back."""
        return self.back_ns is not None

    def as_dict(self) -> dict[str, Any]:
        """JSON values only; `from_dict` is the inverse."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; other keys are ignored. Raises ValueError for anything else."""
        try:
            given: dict[str, Any] = {name: told[name] for name in _FIELDS if name in told}
            outcome = Outcome.parse(told["outcome"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a cut with an outcome, got {type(told).__name__}") from error
        optional = {"asked_ns", "back_ns", "status"}
        wrong = [
            name
            for name, value in given.items()
            if type(value) is not (bool if name == "told" else int) and not (value is None and name in optional)
        ]
        if wrong or "at_ns" not in given:
            raise ValueError(f"expected a cut with whole numbers, got other values as {', '.join(wrong) or 'at_ns'}")
        if min(given.get(name, 0) for name in ("event", "read", "replayed", "attempts")) < 0:
            raise ValueError("expected a cut with numbers of 0 or more, got a negative one")
        return cls(outcome=outcome, **given)


_FIELDS: Final = ("at_ns", "attempts", "asked_ns", "back_ns", "status", "event", "read", "replayed", "told")


def connections(cuts: Iterable[Cut], events: int) -> Ints:
    """Of each event, on which connection it came: how many cuts lie before it."""
    first = np.zeros(events + 1, dtype=np.int64)
    for cut in cuts:
        first[min(cut.event, events)] += 1
    found: Ints = np.cumsum(first[:events])
    return found


def replayed_of(cuts: Iterable[Cut], events: int) -> npt.NDArray[np.bool_]:
    """Of each event, whether it was replayed."""
    found = np.zeros(events, dtype=np.bool_)
    for cut in cuts:
        found[cut.event : cut.event + cut.replayed] = True
    return found


def silences(cuts: Iterable[Cut], at_ns: Sequence[int], *, end_ns: int = 0) -> list[tuple[int, int]]:
    """Of each cut, when the last event before it came (where none had: when it was noticed, the rest is the wait for
    the first), and when the first one behind it did; where none did, when it was given up, `end_ns`.
    """
    found = []
    for cut in cuts:
        since = at_ns[cut.event - 1] if 0 < cut.event <= len(at_ns) else cut.at_ns
        until = at_ns[cut.event] if cut.event < len(at_ns) else max(cut.at_ns, end_ns)
        found.append((since, max(since, until)))
    return found


def caught_up(at_ns: npt.ArrayLike, read: npt.ArrayLike, event: int) -> int:
    """How many events from number `event` on (from 0) seem to be replayed: those of the first reads behind the cut, up
    to the first pause longer than `CATCH_UP_NS`, or than half the median gap before the cut where that is less.
    """
    times, numbers = np.asarray(at_ns, dtype=np.int64), np.asarray(read, dtype=np.int64)
    usual_ns = metrics.percentile_ns(metrics.gaps_ns(times[:event], numbers[:event]), 50)
    most_ns = CATCH_UP_NS if usual_ns is None else min(CATCH_UP_NS, usual_ns // 2)
    pauses = np.flatnonzero(np.diff(times[event:]) > most_ns)
    return int(pauses[0]) + 1 if pauses.size else times[event:].size
