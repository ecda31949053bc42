"""The rules, in one table: in which order causes are tried, by which thresholds, and why each. `diagnose` applies them.

Each halt is tried from the top; the first that fits is its cause. What proves itself by bytes that were here comes
before what is concluded from what came behind the silence, and what takes more evidence before what takes less.

    cause           fits where                                                  thresholds
    slow_reader     its reader took nothing for half of the wait, and what      own.HALF, own.HELD: half of a wait
                    was due then lay here                                       makes it one; without it, none
    late_loop       the event lay unread for half of the wait; or the loop      own.HALF, own.HELD
                    was late for half of it, and what was due then lay here;
                    a stamp alone is no proof where segments came out of
                    order, or a watched loop was on time
    (unknown)       nobody read for half of it, and neither nothing nor all     own.HALF, own.HELD
                    of what was due came
    network         all came at once, and segments had overtaken a lost one     way.ALL: 60 % of what was due
    held            all came at once: close together, more than a read brings   way.ALL, halts.GOES_ON
                    anyhow, and then it was over; and a kernel's stamp, or a
                    watched loop, vouches that it had not lain here
    without_text    events without text came meanwhile, at their pace           halts.EDGE, source.SPOKE
    model_paused    heartbeats came meanwhile, then the usual pace              halts.EDGE; source.NONE: up to 30 %
    source_paused   nothing came, no part of an event either, then the usual    source.NONE
                    pace
    unknown         neither: too few events to tell a burst from a pace         halts.LEAST_APART: 3 events

Then all halts together: four or more of the way's or the source's at equal distances are one cause, `periodic`
(rhythm.LEAST_HALTS; the shortest may be none of them), unless there is one behind each event: that is a slower pace
(rhythm.LEAST_EVENTS). Beside halts there is what has none: `batched` (rhythm), and a reader that is always behind
(BEHIND_NS). Of all causes found the main one is that which cost its reader most time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from streamkit.lab.diagnosis.halts import Halt, find_halts
from streamkit.lab.diagnosis.own import HALF, late_loop, slow_reader, unclear_own
from streamkit.lab.diagnosis.result import Cause, CauseName, Diagnosis
from streamkit.lab.diagnosis.rhythm import Period, Usual, pace, period
from streamkit.lab.diagnosis.seen import Seen, overlap_ns
from streamkit.lab.diagnosis.source import model_paused, source_paused, without_text
from streamkit.lab.diagnosis.tapped import first_tap, words_of
from streamkit.lab.diagnosis.telling import CANNOT_TELL, NOT_VOUCHED, WHY, evidence_of, sentence_of
from streamkit.lab.diagnosis.way import held, lost_packets
from streamkit.lab.metrics.words import about_ms, times

__all__ = ["BEHIND_NS", "OWN", "diagnose"]

RULES: Final[tuple[tuple[CauseName, Callable[[Halt, Seen], str | None]], ...]] = (
    ("slow_reader", slow_reader),
    ("late_loop", late_loop),
    ("unknown", unclear_own),
    ("network", lost_packets),
    ("held", held),
    ("without_text", without_text),
    ("model_paused", model_paused),
    ("source_paused", source_paused),
)
OWN: Final[tuple[CauseName, ...]] = ("slow_reader", "late_loop")
"""This client's: a rhythm of these is its own."""
BEHIND_NS: Final = 250_000_000
"""A reader that is so far behind what has come sees each event late by what is a stall elsewhere."""


def diagnose(seen: Seen) -> Diagnosis:
    """All causes found in a stream, that which cost its reader most first.

    >>> import numpy as np
    >>> from streamkit.lab.diagnosis.rules import diagnose
    >>> from streamkit.lab.diagnosis.seen import Seen
    >>> at_ns = np.array([*range(20), *range(60, 90)]) * 20_000_000
    >>> n = np.arange(50)
    >>> diagnose(Seen(at_ns=at_ns, handed_ns=at_ns, read=n, weight=n * 0.0 + 1, follows=n > 0)).cause
    'source_paused'
    """
    usual = pace(seen)
    halts = find_halts(seen, usual)
    named = [(_name(halt, seen), halt) for halt in halts]
    found = [
        *_of_halts(seen, named),
        *_cut(seen),
        *_always_behind(seen, halts),
        *_batched(seen, usual),
    ]
    found.sort(key=lambda cause: -cause.total_ms)
    if not found:
        return Diagnosis((Cause(name="none", sentence=_nothing(seen)),))
    where, found[0] = _tapped(seen, found[0])
    return Diagnosis(tuple(found), where)


def _name(halt: Halt, seen: Seen) -> CauseName:
    return next((name for name, rule in RULES if rule(halt, seen) is not None), "unknown")


def _of_halts(seen: Seen, named: Sequence[tuple[CauseName, Halt]]) -> list[Cause]:
    """A cause for each name; for those with a rhythm one."""
    others = [(name, halt) for name, halt in named if name not in OWN and not halt.before_end]
    names = list(dict.fromkeys(name for name, _ in named))
    causes = []
    for some in (others, _without_shortest(others)):
        rhythm = period([halt.after for _, halt in some], [halt.start_ns for _, halt in some])
        if rhythm is not None:
            causes.append(_periodic(seen, some, rhythm))
            named = [each for each in named if each not in some]
            break
    for name in names:
        halts = [halt for its, halt in named if its == name]
        if halts:
            causes.append(_cause(seen, name, halts))
    return causes


def _without_shortest(named: Sequence[tuple[CauseName, Halt]]) -> list[tuple[CauseName, Halt]]:
    """A machine that halted once, too, does not hide a rhythm."""
    shortest = min(named, key=lambda each: each[1].length_ns, default=None)
    return [each for each in named if each is not shortest]


def _cause(seen: Seen, name: CauseName, halts: Sequence[Halt], rhythm: Period | None = None) -> Cause:
    worst = max(halts, key=lambda halt: halt.length_ns)
    rhythm = rhythm or period([halt.after for halt in halts], [halt.start_ns for halt in halts])
    return Cause(
        name=name,
        sentence=sentence_of(name, halts, rhythm),
        evidence=evidence_of(name, worst, seen),
        halts=len(halts),
        after=worst.after,
        at_ms=(worst.start_ns - seen.origin_ns) / 1e6,
        silence_ms=worst.length_ns / 1e6,
        total_ms=sum(halt.length_ns for halt in halts) / 1e6,
    )


def _periodic(seen: Seen, others: Sequence[tuple[CauseName, Halt]], rhythm: Period) -> Cause:
    kinds = [name for name, _ in others]
    usual = max(set(kinds), key=kinds.count)
    found = _cause(seen, "periodic", [halt for _, halt in others], rhythm)
    each = evidence_of(usual, max((halt for name, halt in others if name == usual), key=lambda h: h.length_ns), seen)
    nature = usual.replace("_", " ")
    line = f"taken one by one, {kinds.count(usual)} of {len(kinds)} look like {nature!r}:" if usual != "unknown" else ""
    more = (line, *each) if line else each
    by = f"after every {rhythm.events} events" if rhythm.events else f"every {about_ms(rhythm.every_ns)}"
    return Cause(**{**vars(found), "evidence": (f"they come {by}, as a counter or a timer makes them", *more)})


def _cut(seen: Seen) -> list[Cause]:
    """Where the stream was cut and asked for again nothing has to be concluded."""
    if not seen.cuts:
        return []
    longest = max(seen.cuts, key=lambda cut: cut[1] - cut[0])
    silent_ns = longest[1] - longest[0]
    after = int(np.searchsorted(seen.at_ns, longest[0], side="right"))
    return [
        Cause(
            name="cut",
            sentence=f"The connection was cut {times(len(seen.cuts))} and asked for again: "
            f"{about_ms(silent_ns)} of silence after event {after}",
            evidence=("the recording has each cut, and when the stream was back",),
            halts=len(seen.cuts),
            after=after,
            at_ms=(longest[0] - seen.origin_ns) / 1e6,
            silence_ms=silent_ns / 1e6,
            total_ms=sum(until - since for since, until in seen.cuts) / 1e6,
        )
    ]


def _always_behind(seen: Seen, halts: Sequence[Halt]) -> list[Cause]:
    """Its reader has every event late, with halts or without: a pace of its own that is slower than the stream's."""
    if not len(seen) or any(_name(halt, seen) in OWN for halt in halts):
        return []
    behind = seen.handed_ns - seen.at_ns
    most = int(behind.max())
    lasted = (int(seen.at_ns[0]), int(seen.at_ns[-1]))
    busy_ns = overlap_ns(seen.reader_busy_ns, *lasted)
    by_reader = seen.paced or busy_ns > HALF * (lasted[1] - lasted[0])
    if not by_reader or most < BEHIND_NS or int(np.median(behind)) < BEHIND_NS / 4:
        return []
    index = int(behind.argmax())
    return [
        Cause(
            name="slow_reader",
            sentence=f"This client's reader is always behind: by {about_ms(most)} at event {index + 1}",
            evidence=(
                f"it took nothing for {about_ms(busy_ns)} of {about_ms(lasted[1] - lasted[0])}",
                f"half of the events lay here for more than {about_ms(int(np.median(behind)))} before it took them",
            ),
            after=index,
            at_ms=(int(seen.at_ns[index]) - seen.origin_ns) / 1e6,
            silence_ms=most / 1e6,
            total_ms=most / 1e6,
        )
    ]


def _batched(seen: Seen, usual: Usual) -> list[Cause]:
    """Events that always come several at a time, and that had not lain here."""
    found = usual.bunches
    if found is None or seen.paced:
        return []
    span = (int(seen.at_ns[0]) if found.number > 1 else seen.origin_ns, int(seen.at_ns[-1]))
    busy_ns = max(overlap_ns(each, *span) for each in (seen.loop_busy_ns, seen.reader_busy_ns))
    lay_ns = int(np.median(seen.handed_ns - seen.at_ns))
    line = f"{found.number} bunches, half of them of {found.size} events, {about_ms(found.every_ns)} apart"
    own = busy_ns > HALF * (span[1] - span[0]) or lay_ns >= HALF * found.every_ns
    name: CauseName = "late_loop" if own else "batched"
    if overlap_ns(seen.reader_busy_ns, *span) > HALF * (span[1] - span[0]):
        name = "slow_reader"
    many = f"Always {found.size} events at a time" if found.by_size else f"About {found.size} events at a time"
    every = f", every {about_ms(found.every_ns)}"
    if found.number == 1:
        many, every = f"All {found.size} events at once", f", {about_ms(found.every_ns)} after the request"
        line = f"{found.size} events within {about_ms(int(seen.at_ns[-1] - seen.at_ns[0]))}, and none before"
    if not own and not seen.vouched:
        name = "unknown"
    why = "this client read them late" if own else "put together by the server, a proxy or the network, not here"
    if name == "unknown":
        why = CANNOT_TELL
    here = f"this client was busy for {about_ms(busy_ns)} of {about_ms(span[1] - span[0])}"
    return [
        Cause(
            name=name,
            sentence=f"{many}{every}: {why}",
            evidence=(
                line,
                here if seen.vouched else f"somebody put them together, or {NOT_VOUCHED}",
                f"half of them lay here for {about_ms(max(0, lay_ns))} or less",
                *(() if own else seen.by),
            ),
            silence_ms=found.every_ns / 1e6,
            total_ms=found.every_ns / 1e6,
        )
    ]


def _nothing(seen: Seen) -> str:
    if len(seen) < 2:
        return "No stall: there is no wait between two events"
    longest = max(int(np.diff(seen.handed_ns).max()), int(np.diff(seen.at_ns).max()))
    return f"No stall: the longest wait between two events was {about_ms(longest)}"


def _tapped(seen: Seen, main: Cause) -> tuple[str | None, Cause]:
    """Where there are taps of others, the one at which the main cause's longest halt was first."""
    if main.after is None or not seen.curves or main.name in ("cut", "batched"):
        return None, main
    tap = first_tap(seen.curves, main.after, int(main.silence_ms * 1e6))
    if tap is None:
        return None, main
    line = f"{about_ms(int(main.silence_ms * 1e6))} after event {main.after}: it {words_of(seen.curves, tap)}"
    name = _by_tap(main.name, tap)
    sentence = main.sentence if name == main.name else main.sentence.replace(CANNOT_TELL, WHY[name])
    return tap, Cause(**{**vars(main), "name": name, "sentence": sentence, "evidence": (*main.evidence, line)})


def _by_tap(name: CauseName, tap: str) -> CauseName:
    """What could not be told from the client alone, a tap of the upstream's tells."""
    return "source_paused" if name == "unknown" and tap.startswith("upstream.") else name
