"""How late an upstream was by itself: what of its lateness no reader made.

    due      when the script meant to send
    ready    when the upstream was there to send: woken at or after `due`, behind the event before
    sent     when the connection took it: `sent - ready` is back-pressure, which is not the upstream's

The upstream knows all three of each event, so nothing is inferred. What it added itself is `ready - max(due, the sent
before)`: from when it was free to send until it was there. Events that were due meanwhile are late with it, so its own
lateness is that of an upstream which took as long and was never held:

    alone[n] = max(due[n], alone[n - 1]) + ready[n] - max(due[n], sent[n - 1])        own lateness: alone[n] - due[n]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["own_lateness_ns", "p95"]


def own_lateness_ns(due_ns: Iterable[int], ready_ns: Iterable[int], sent_ns: Iterable[int]) -> Iterator[int]:
    """Of each event, how late it would have been sent (ns) had nobody held the upstream; the columns are of one stream.

    >>> list(own_lateness_ns([0, 10, 20], [5, 10, 35], [5, 35, 35]))  # 5 late by itself; then held for 25 by its reader
    [5, 0, 0]
    """
    alone = before = 0  # before everything
    for due, ready, sent in zip(due_ns, ready_ns, sent_ns, strict=False):  # the columns may be growing
        alone = max(due, alone) + ready - max(due, before)
        before = sent
        yield alone - due


def p95(values: Sequence[int]) -> int:
    """The 95th percentile by nearest rank, the rule of `lab.metrics`, which an upstream does not know."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]
