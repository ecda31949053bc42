"""How causes are said: a sentence for each, and lines of evidence out of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from streamkit.lab.diagnosis.halts import Halt
from streamkit.lab.diagnosis.result import CauseName
from streamkit.lab.diagnosis.rhythm import Period
from streamkit.lab.diagnosis.seen import Seen
from streamkit.lab.diagnosis.way import held_somewhere
from streamkit.lab.metrics.words import about_ms, many

__all__ = ["CANNOT_TELL", "WHY", "evidence_of", "sentence_of"]

CANNOT_TELL: Final = "this cannot be told from here"
NOT_VOUCHED: Final = "it lay here: the kernel stamped no read, and nobody watched whether this client was late"
WHY: Final[Mapping[CauseName, str]] = {
    "late_loop": "this client's own event loop was late",
    "slow_reader": "this client's reader was slow",
    "network": "the network lost packets",
    "held": "held back on the way here, by a proxy, the network or the server",
    "model_paused": "the model paused, and the server in front of it was alive",
    "without_text": "the server sent events, but no text",
    "source_paused": "the source paused",
    "periodic": "something counts events, or has a timer",
    "unknown": CANNOT_TELL,
}
"""What is said of halts; the rest of the causes have sentences of their own."""


def sentence_of(name: CauseName, halts: Sequence[Halt], rhythm: Period | None = None) -> str:
    """`A stall of 704 ms after event 20: the source paused`."""
    worst = max(halts, key=lambda halt: halt.length_ns)
    length, end = about_ms(worst.length_ns), ", before the end" if worst.before_end else ""
    where = f"after event {worst.after}{end}"
    if rhythm is not None:
        by = f"one every {rhythm.events} events" if rhythm.events else f"one every {about_ms(rhythm.every_ns)}"
        return f"{len(halts)} stalls, {by}, the longest {length} {where}: {WHY[name]}"
    if len(halts) > 1:
        return f"{len(halts)} stalls, the longest {length} {where}: {WHY[name]}"
    return f"A stall of {length} {where}: {WHY[name]}"


def evidence_of(name: CauseName, halt: Halt, seen: Seen) -> tuple[str, ...]:
    """What speaks for that, of the longest of its halts."""
    lines = {
        "late_loop": _own(halt, "the event loop was late", halt.loop_ns),
        "slow_reader": _own(halt, "its reader took nothing", halt.reader_ns),
        "network": [*_behind(halt), *_lost(halt, seen)],
        "held": [*_behind(halt), *_not_here(halt, seen), *_lost(halt, seen), *_alive(halt), *seen.by],
        "without_text": [f"{many(halt.other, 'event')} without text came meanwhile"],
        "model_paused": [*_alive(halt), *_behind(halt), *_not_here(halt, seen)],
        "source_paused": [*_behind(halt), "no heartbeat came meanwhile", *_not_here(halt, seen), *_lost(halt, seen)],
        "periodic": [],
        "unknown": _unknown(halt, seen),
    }
    return tuple(lines.get(name, []))


def _own(halt: Halt, who: str, busy_ns: int) -> list[str]:
    lines = [f"{who} for {about_ms(busy_ns)} of {about_ms(halt.length_ns)}"] if busy_ns else []
    if halt.same_read:
        lines.append("the next event came in the same read as the one before it")
    elif halt.lay_ns > 1_000_000:
        lines.append(f"the next event had been here for {about_ms(halt.lay_ns)} when the reader got it")
    if halt.burst > 1:
        lines.append(f"then {halt.burst} events were there; {halt.due:.0f} had been due")
    if halt.unread:
        lines.append(f"up to {halt.unread:,} bytes lay in the receive queue")
    return lines


def _behind(halt: Halt) -> list[str]:
    if halt.before_end or halt.caught_up is None:
        return []
    what = "all at once" if halt.caught_up > 0.5 else "the usual pace"
    within = about_ms(halt.length_ns // 5)
    return [f"{many(halt.burst, 'event')} came in the {within} after it; {halt.due:.0f} were due: {what}"]


def _not_here(halt: Halt, seen: Seen) -> list[str]:
    lay = f"the reader got the next event {about_ms(max(0, halt.lay_ns))} after the kernel had it"
    loop = f"the event loop was late for {about_ms(halt.loop_ns)} of it (the kernel stamped no read)"
    lines = [f"it was not here: {lay if seen.kernel else loop}"] if seen.vouched else []
    if halt.unread is not None and halt.unread == 0:
        lines.append("the receive queue was empty")
    return lines


def _lost(halt: Halt, seen: Seen) -> list[str]:
    tcp = seen.tcp
    if not tcp.at_ns:
        return []
    rtt = f"round trip {about_ms(1000 * max(tcp.rtt_us))}"
    if halt.out_of_order or halt.retransmits:
        again = f", {halt.retransmits} sent again by us" if halt.retransmits else ""
        return [f"TCP: {many(halt.out_of_order, 'segment')} overtook a lost one{again}; {rtt}"]
    return [f"TCP: no segment out of order; {rtt} (a loss of all that was sent would not show)"]


def _alive(halt: Halt) -> list[str]:
    if not halt.alive:
        return []
    return [f"{many(halt.alive, 'heartbeat')} came meanwhile over the same connection"]


def _unknown(halt: Halt, seen: Seen) -> list[str]:
    if halt.before_end:
        how = "then only the end" if seen.ended == "complete" else f"then: {seen.ended}"
        return [f"nothing came before the end, not even a heartbeat; {how}", *_lost(halt, seen)]
    busy_ns = max(halt.loop_ns, halt.reader_ns)
    lines = [f"this client did not read for {about_ms(busy_ns)} of it"] if busy_ns > halt.length_ns / 2 else []
    if halt.parts:
        lines.append(f"{many(halt.parts, 'read')} brought parts of an event meanwhile: it was on its way")
    if halt.caught_up is None:
        few = "too few events to tell a burst from the usual pace"
        return [*lines, f"{many(halt.burst, 'event')} came after it; {halt.due:.0f} were due: {few}", *_alive(halt)]
    part = (
        f"{many(halt.burst, 'event')} came after it; {halt.due:.0f} were due: neither all at once nor at the usual pace"
    )
    if held_somewhere(halt) and not seen.vouched:
        part = f"{many(halt.burst, 'event')} came at once after it; {halt.due:.0f} were due: held, or {NOT_VOUCHED}"
    return [*lines, part, *_alive(halt), *_lost(halt, seen)]
