"""A recording as sentences and figures see it: their subject, with its name, and its columns as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.metrics.columns import characters
from streamkit.lab.recording.recording import Recording

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.trust import Trust
    from streamkit.outcome import Outcome

    Ints = npt.NDArray[np.int64]

__all__ = ["Recordings", "Subject", "extremes", "subjects"]

Recordings: TypeAlias = Recording | Iterable[Recording] | Mapping[str, Recording]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """One recording as sentences and figures see it: its name, and columns as int64 arrays (copies).

    `characters[i]` is the length of event i's piece (text, and reasoning where it was recorded), `bytes[i]` the size of
    its data; `counted[i]` says whether it is a `noun`. `stalls` has shape (k, 2) and holds the gaps longer than
    `threshold_ns`.
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
    gaps: Ints
    stalls: Ints
    threshold_ns: int

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
        """Share of the events that came in the same read as an earlier one, 0 to 1."""
        return metrics.coalesced_share(self.read) or 0.0

    def gap_ns(self, q: int) -> int:
        """The q-th percentile of the gaps; 0 where there is none."""
        return metrics.percentile_ns(self.gaps, q) or 0

    @property
    def silence(self) -> tuple[int, int] | None:
        """From the last event to the end, in ns, if that took as long as a stall."""
        if not self.at_ns.size or self.end_ns - self.at_ns[-1] <= self.threshold_ns:
            return None
        return int(self.at_ns[-1]), self.end_ns

    @property
    def longest_stall(self) -> tuple[int, int] | None:
        """Start and end of the longest stall, in ns."""
        if not self.stalls.size:
            return None
        start, end = self.stalls[np.argmax(self.stalls[:, 1] - self.stalls[:, 0])]
        return int(start), int(end)


def subjects(recordings: Recordings, stall_ms: float | None = None) -> list[Subject]:
    """The recordings as `Subject`s, in order; a mapping's keys are their names, else `label`, else "recording 2".

    `stall_ms`: a gap longer than this is a stall; `metrics.stall_threshold_ns` decides where it is None.
    Raises TypeError for what is not a recording, ValueError for none at all.
    """
    if isinstance(recordings, Recording):
        return [_subject(recordings, recordings.label, stall_ms)]
    named: Sequence[tuple[str, Recording]]
    if isinstance(recordings, Mapping):
        named = [(str(name), recording) for name, recording in recordings.items()]
    else:
        named = [("", recording) for recording in recordings]
    if not named:
        raise ValueError("expected a Recording or several, got none")
    for _, recording in named:
        if not isinstance(recording, Recording):
            raise TypeError(f"expected a Recording, a sequence or a mapping of them, got {type(recording).__name__}")
    nameless = "" if len(named) == 1 else "recording {}"
    return [
        _subject(recording, name or recording.label or nameless.format(number), stall_ms)
        for number, (name, recording) in enumerate(named, 1)
    ]


def extremes(shown: Sequence[Subject], values: Sequence[int]) -> tuple[Subject, Subject]:
    """Which has the least of these values, one for each, and which the most; the first of several alike."""
    return shown[int(np.argmin(values))], shown[int(np.argmax(values))]


def _subject(recording: Recording, name: str, stall_ms: float | None) -> Subject:
    events, counted = recording.events, recording.counted
    gaps = metrics.gaps_ns(counted.at_ns, counted.read)
    threshold_ns = metrics.stall_threshold_ns(gaps) if stall_ms is None else round(stall_ms * 1e6)
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
        sent_ns=recording.sent_ns,
        end_ns=last_seen if recording.ended_ns is None else recording.ended_ns,
        gaps=gaps,
        stalls=metrics.stalls_ns(counted.at_ns, counted.read, threshold_ns),
        threshold_ns=threshold_ns,
    )


def _column(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)  # a copy: a view that lingers keeps array('q') from growing
