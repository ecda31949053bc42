"""The words of a timeline: those above a lane, that of its end, and the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from streamkit.lab.findings.timeline import IN_A_TITLE
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, NOTE_PT, width_pt

if TYPE_CHECKING:
    from streamkit.lab.findings.subjects import Bundle, Subject
    from streamkit.lab.plots.lanes import Lane, Layout

__all__ = ["end_name", "label_group", "label_lane"]


def end_name(lane: Lane) -> str:
    """An error's code is the provider's own text."""
    return palette.legible(str(lane.subject.outcome), limit=32)[0]


def label_group(layout: Layout, top: float, group: Bundle[Subject]) -> None:
    """Above its rows: how long they waited for the first piece, and how many of them stalled, or did not complete."""
    waits = [subject.wait_ns for subject in group.members if subject.wait_ns is not None]
    parts = [f"{len(group.members):,} recordings, a row each"]
    if waits:
        low, high = duration(min(waits)), duration(max(waits))
        parts.append(f"first {group.members[0].noun} after {low if low == high else f'{low} to {high}'}")
    stalled = sum(bool(subject.all_stalls) for subject in group.members)
    failed = sum(not subject.outcome.ok for subject in group.members)
    parts += [f"{count:,} {what}" for count, what in ((stalled, "with a stall"), (failed, "not complete")) if count]
    while len(parts) > 1 and width_pt("; ".join(parts)) > layout.width_pt:
        parts.pop(1)
    text = "; ".join(parts)
    middle = top - layout.strip_pt / 2
    layout.ax.text(layout.left, middle, text, fontsize=NOTE_PT, color=INK, va="center", label="_group")


def label_lane(layout: Layout, index: int, lane: Lane) -> None:
    """Words above the bars: what has no room beside something more telling is shortened or left out."""
    counts = [
        _over(layout, (at_ns, at_ns), f"×{events:,}")
        for at_ns, events in zip(lane.at_ns[lane.shared][:100], lane.events[lane.shared], strict=False)
    ]
    choices = [
        [
            *_wait_words(layout, lane, full_wait),
            *_stall_words(layout, lane, full_stalls, why),
            *_cut_words(layout, lane, full_stalls),
            *more,
        ]
        for more in (counts, [])
        for why in ((True, False) if len(lane.subject.all_stalls) > 1 else (False,))
        for full_stalls in (True, False)
        for full_wait in (True, False)
    ]
    words = next((choice for choice in choices if _apart(choice)), None)
    if words is None:
        telling = [*_cut_words(layout, lane, True)[:1], *_stall_words(layout, lane, True)[:1]]
        words = _fitting([], [*telling, *choices[-1]])
    with_counts = _fitting(words, counts)
    if len(with_counts) - len(words) > len(counts) / 2:
        words = with_counts
    y = layout.places[index].top - layout.strip_pt / 2
    for word in words:
        layout.ax.text(layout.at_pt(word.left), y, word.text, fontsize=NOTE_PT, color=INK, va="center")


@dataclass(frozen=True)
class _Word:
    text: str
    left: float  # in points from the frame's left edge

    @property
    def right(self) -> float:
        return self.left + width_pt(self.text)


def _over(layout: Layout, span_ns: Sequence[int], text: str) -> _Word:
    return _inside(layout, text, (layout.pt(span_ns[0]) + layout.pt(span_ns[1])) / 2 - width_pt(text) / 2)


def _inside(layout: Layout, text: str, left: float) -> _Word:
    return _Word(text, max(0.0, min(left, layout.width_pt - width_pt(text))))


def _apart(words: list[_Word]) -> bool:
    ordered = sorted(words, key=lambda word: word.left)
    return all(one.right + 3 <= other.left for one, other in pairwise(ordered))


def _fitting(words: list[_Word], more: list[_Word]) -> list[_Word]:
    for word in more:
        words = [*words, word] if _apart([*words, word]) else words
    return words


def _wait_words(layout: Layout, lane: Lane, full: bool) -> list[_Word]:
    subject = lane.subject
    took = lane.end_ns - subject.origin_ns if subject.wait_ns is None else subject.wait_ns
    what = f"no {subject.noun} in " if subject.wait_ns is None else f"first {subject.noun} after "
    return [_inside(layout, f"{what if full else ''}{duration(took)}", layout.pt(subject.origin_ns))]


def _stall_words(layout: Layout, lane: Lane, full: bool, why: bool = False) -> list[_Word]:
    """The longest first; `why`: with what is known of their causes."""
    stalls = sorted(lane.subject.all_stalls, key=lambda stall: stall[0] - stall[1])[:100]
    return [_over(layout, stall, f"{'stall ' if full else ''}{_told(lane, stall, why)}") for stall in stalls]


def _told(lane: Lane, stall: tuple[int, int], why: bool) -> str:
    cause = lane.subject.reason(stall[0]) if why else None
    reason = f": {IN_A_TITLE[cause]}" if cause is not None and cause in IN_A_TITLE else ""
    return f"{duration(stall[1] - stall[0])}{reason}"


def _cut_words(layout: Layout, lane: Lane, full: bool) -> list[_Word]:
    """The longest first."""
    subject = lane.subject
    cuts = zip(subject.cuts.tolist(), subject.replayed_after, strict=True)
    words = []
    for (start, end), count in sorted(cuts, key=lambda cut: cut[0][0] - cut[0][1])[:100]:
        more = f", {count:,} replayed" if full and count else ""
        words.append(_over(layout, (start, end), f"{'cut ' if full else ''}{duration(end - start)}{more}"))
    return words
