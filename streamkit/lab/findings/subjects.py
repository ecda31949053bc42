"""A recording as sentences and figures see it: their subject, with its name, and its columns as arrays.

`recordings_in` is where everything that is to be said or drawn comes in, and where what is no recording is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.arguments import check_number
from streamkit.lab.metrics.columns import characters
from streamkit.lab.recording.diagnosed import served
from streamkit.lab.recording.recording import Recording

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.diagnosis.result import CauseName, Diagnosis
    from streamkit.lab.diagnosis.several import Served
    from streamkit.lab.recording.trust import Trust
    from streamkit.outcome import Outcome

    Ints = npt.NDArray[np.int64]

__all__ = [
    "ONE_BY_ONE",
    "Bundle",
    "Recordings",
    "Subject",
    "extremes",
    "grouped",
    "named",
    "recordings_in",
    "subjects",
    "the_recording",
]

ONE_BY_ONE: Final = 8
"""Up to so many recordings stand each by itself in a figure; more are drawn as groups."""
MOST: Final = 100
"""So many are rows, or thin lines, that still can be seen."""

Recordings: TypeAlias = Recording | Iterable[Recording] | Mapping[str, Recording]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """One recording as sentences and figures see it: its name, and columns as int64 arrays (copies).

    `characters[i]` is the length of event i's piece (text, and reasoning where it was recorded), `bytes[i]` the size of
    its data; `counted[i]` says whether it is a `noun`. `late_ns` is how late we were at the end
    (`Recorded.end_late_ns`). `stalls` has shape (k, 2) and holds the gaps longer than `threshold_ns`.

    Of a stream that was cut: `cuts`, of shape (k, 2), are the silences behind which it went on, `replayed[i]` says
    whether event i had happened meanwhile (`told`: by the server's word), and `in_vain` is how often was asked at last,
    without an answer. No gap and no stall lies over a cut, or at a replayed event.

    `why` says why it stuttered (`Recording.diagnose`), where it stalled. `served` is when it was asked for, began and
    ended by the clock of all that are looked at together; None where they have not one.
    """

    name: str
    outcome: Outcome
    trust: Trust
    at_ns: Ints
    read: Ints
    characters: Ints
    bytes: Ints
    counted: npt.NDArray[np.bool_]
    sent_ns: int | None
    end_ns: int
    late_ns: int
    gaps: Ints
    stalls: Ints
    threshold_ns: int
    cuts: Ints
    replayed: npt.NDArray[np.bool_]
    told: bool
    in_vain: int
    why: Diagnosis | None
    served: Served | None

    @property
    def noun(self) -> str:
        """What is counted: `piece`, or `event` where no event carried any."""
        return "event" if self.at_ns.size and not self.characters.any() else "piece"

    @property
    def count(self) -> int:
        """How many pieces (or events) there are."""
        return int(np.count_nonzero(self.counted))

    @property
    def origin_ns(self) -> int:
        """The moment waiting is counted from."""
        return self.sent_ns or 0

    @property
    def wait_ns(self) -> int | None:
        """The wait for the first piece (or event); None if there was none."""
        return metrics.ttft_ns(self.at_ns, self.counted, self.origin_ns)

    @property
    def shared(self) -> float:
        """Share of the events that came in the same read as an earlier one, 0 to 1; replayed ones are left out."""
        return metrics.coalesced_share(self.read[~self.replayed]) or 0.0

    def gap_ns(self, q: int) -> int:
        """The q-th percentile of the gaps; 0 where there is none."""
        return metrics.percentile_ns(self.gaps, q) or 0

    @property
    def piece_every_ns(self) -> float:
        """The mean time from one piece (or event) to the next, those of one read included; 0 where there is only one.

        It is what a rate is: the median gap is not, where pieces come at uneven intervals.
        """
        at_ns = self.at_ns[self.counted]
        return float(at_ns[-1] - at_ns[0]) / (at_ns.size - 1) if at_ns.size > 1 else 0.0

    @property
    def read_every_ns(self) -> float:
        """The mean gap between two reads that brought pieces (or events); 0 where there is none."""
        return float(self.gaps.mean()) if self.gaps.size else 0.0

    @property
    def silence(self) -> tuple[int, int] | None:
        """From the last piece (or event) to the end, in ns, if that took longer than a stall; see `end_silence`."""
        found = metrics.end_silence(
            self.at_ns, self.counted, self.end_ns, complete=self.outcome.ok, late_ns=self.late_ns
        )
        return None if found is None or found[1] - found[0] <= self.threshold_ns else found

    @property
    def all_stalls(self) -> list[tuple[int, int]]:
        """The stalls, and the silence before the end, which is one more: start and end of each, in ns."""
        return [*((int(start), int(end)) for start, end in self.stalls), *([self.silence] if self.silence else [])]

    def reason(self, start_ns: int) -> CauseName | None:
        """Why there was a stall from then on, where `why` says it of this one."""
        after = int(np.count_nonzero(self.counted & (self.at_ns <= start_ns)))
        causes = self.why.causes if self.why is not None else ()
        return next((cause.name for cause in causes if cause.after == after), None)

    @property
    def silence_ns(self) -> int:
        """How long that was; 0 where it was no longer than a stall."""
        start, end = self.silence or (0, 0)
        return end - start

    @property
    def replayed_after(self) -> list[int]:
        """How many pieces (or events) were replayed behind each of the `cuts`."""
        at_ns = self.at_ns[self.counted & self.replayed]
        upto = np.searchsorted(at_ns, [*self.cuts[:, 1].tolist(), np.iinfo(np.int64).max])
        counts: list[int] = np.diff(upto).tolist()
        return counts

    @property
    def longest_stall(self) -> tuple[int, int] | None:
        """Start and end of the longest stall, in ns."""
        if not self.stalls.size:
            return None
        start, end = self.stalls[np.argmax(self.stalls[:, 1] - self.stalls[:, 0])]
        return int(start), int(end)


class Named(Protocol):
    """What a figure draws of one recording: it has that recording's name."""

    @property
    def name(self) -> str: ...


One = TypeVar("One", bound=Named)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle(Generic[One]):
    """Recordings that a figure draws as one: those of one name. `name` is what to call them, with their number."""

    name: str
    members: Sequence[One]


def grouped(shown: Sequence[One]) -> list[Bundle[One]]:
    """Each by itself where they are up to `ONE_BY_ONE`; else by their names; all are one if those are too many.

    No recording is left out.
    """
    if len(shown) <= ONE_BY_ONE:
        return [Bundle(name=one.name, members=[one]) for one in shown]
    by_name: dict[str, list[One]] = {}
    for one in shown:
        by_name.setdefault(one.name, []).append(one)
    if len(by_name) > ONE_BY_ONE:
        return [Bundle(name=f"all {len(shown):,}", members=list(shown))]
    return [Bundle(name=f"{name} ({len(those):,})", members=those) for name, those in by_name.items()]


def subjects(recordings: Recordings, stall_ms: float | None = None, *, instead: str = "") -> list[Subject]:
    """The recordings as `Subject`s, in order; a mapping's keys are their names, else `label`, else "recording 2".

    `stall_ms`: a gap longer than this is a stall; `metrics.stall_threshold_ns` decides where it is None. `instead`: who
    draws each of them can take no more than can be seen, and this says what does.
    Raises TypeError for what is not a recording, ValueError for none at all, and for too many.
    """
    if stall_ms is not None:
        check_number("stall_ms", stall_ms, "milliseconds")
    several = recordings_in(recordings)
    if instead and len(several) > MOST:
        expected = f"expected at most {MOST} recordings, got {len(several):,}"
        raise ValueError(f"{expected}: a figure does not show more one by one; {instead}")
    clocks = {recording.meta.get("origin") for _, recording in several}
    one_clock = len(clocks) == 1 and None not in clocks
    return [_subject(recording, name, stall_ms, one_clock) for name, recording in named(several)]


def recordings_in(given: Recordings) -> list[tuple[str, Recording]]:
    """One recording, several, or a mapping, as a list of all of them with the names that the mapping gives ("": none).

    Raises ValueError for none at all, TypeError for what is not a recording; of a coroutine, which `record()`, `ask()`
    and `post()` return, it says to await it, and closes it: nobody else would.
    """
    several: list[tuple[str, object]]
    if isinstance(given, Mapping):
        several = [(str(name), one) for name, one in given.items()]
    elif isinstance(given, Recording | str | bytes) or not isinstance(given, Iterable) or inspect.isawaitable(given):
        several = [("", given)]  # an awaitable may be iterable too, as a task is
    else:
        several = [("", one) for one in given]
    if not several:
        raise ValueError("expected a Recording or several, got none")
    recordings = [(name, one) for name, one in several if isinstance(one, Recording)]
    if len(recordings) < len(several):
        raise TypeError(_no_recording([one for _, one in several if not isinstance(one, Recording)]))
    return recordings


def the_recording(given: Recording) -> Recording:
    """The one that is given. Raises TypeError for what is not a recording, as `recordings_in` does."""
    return recordings_in([given])[0][1]


def _no_recording(others: Sequence[object]) -> str:
    for one in others:
        if inspect.iscoroutine(one):
            one.close()  # else Python warns, too, that it was never awaited
    kind = type(others[0]).__name__
    if any(map(inspect.isawaitable, others)):
        return f"expected a Recording, got a {kind} that is still to be one: await it, as in (await lab.ask('hi'))"
    return f"expected a Recording, a sequence or a mapping of them, got {kind}"


def named(recordings: Sequence[tuple[str, Recording]]) -> list[tuple[str, Recording]]:
    """Each with a name, in order: the given one, else its label, else "recording 2"; one alone may go without."""
    nameless = "" if len(recordings) == 1 else "recording {}"
    return [
        (name or recording.label or nameless.format(number), recording)
        for number, (name, recording) in enumerate(recordings, 1)
    ]


def extremes(shown: Sequence[Subject], values: Sequence[float]) -> tuple[Subject, Subject]:
    """Which has the least of these values, one for each, and which the most; the first of several alike."""
    return shown[int(np.argmin(values))], shown[int(np.argmax(values))]


def _subject(recording: Recording, name: str, stall_ms: float | None, one_clock: bool) -> Subject:
    events, counted = recording.events, recording.counted
    gaps = metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)
    resumed = [span for cut, span in zip(recording.cuts, recording.cut_silences, strict=True) if cut.resumed]
    threshold_ns = metrics.stall_threshold_ns(gaps) if stall_ms is None else round(stall_ms * 1e6)
    stalls = metrics.stalls_ns(counted.at_ns, counted.read, threshold_ns, follows=counted.follows)
    last_seen = max((recording.head_ns or 0, *recording.reads.at_ns[-1:]))
    return Subject(
        name=name,
        outcome=recording.outcome,
        trust=recording.trust,
        at_ns=_column(events.at_ns),
        read=_column(events.read),
        characters=characters(events.text) + characters(events.reasoning),
        bytes=_column(events.size),
        counted=counted.which,
        sent_ns=recording.origin_ns if recording.sends else recording.sent_ns,
        end_ns=last_seen if recording.ended_ns is None else recording.ended_ns,
        late_ns=recording.end_late_ns,
        gaps=gaps,
        stalls=stalls,
        threshold_ns=threshold_ns,
        cuts=np.array(resumed, dtype=np.int64).reshape(-1, 2),
        replayed=recording.replayed,
        told=all(cut.told for cut in recording.cuts),
        in_vain=recording.cuts[-1].attempts if recording.cuts and not recording.cuts[-1].resumed else 0,
        why=recording.diagnose() if stalls.size else None,
        served=served(recording) if one_clock else None,
    )


def _column(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)  # a copy: a view that lingers keeps array('q') from growing
