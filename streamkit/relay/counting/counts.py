"""What is counted of all streams of one relay, for whoever operates it: sums and histograms, in plain numbers.

    counts = Counts()
    counts.answered(record)             # an answer is over
    counts.gaps.add(now_ns - last_ns)   # a piece has left
    counts.state()                      # → JSON values, which `added` sums over several processes

Who knows something tells it: the relay of each answer's end, the delivery of each write, and nobody where nothing is to
be counted. How the numbers are shown is somebody else's business (`page.py`).

Labels are few and bounded: an outcome's word without its detail, which may be a provider's word; codes of a form, and
no more than so many; a policy's name without its argument, which a client may have chosen.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from streamkit.relay.log import StreamRecord

__all__ = ["BOUNDS_S", "Counts", "Flowing", "Histogram", "State", "added"]

State: TypeAlias = dict[str, Any]
"""What `Counts.state` gives: JSON values only."""

WAITS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""A first piece: from a small model on this machine to the default deadline, which is the last bound."""
GAPS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Models say a piece every 5 to 100 ms; a reader notices what is beyond a quarter of a second; 30 s is the default
deadline.
"""
CLOSES_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The contract says half a second, which is one of the bounds; a quiet server takes a millisecond."""
BOUNDS_S: Final = {"first_piece": WAITS_S, "gap": GAPS_S, "source_close": CLOSES_S}

CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}|")
MAX_CODES: Final = 100
OTHER: Final = "other"


class Histogram:
    """How many times were up to each bound, and the last number: beyond all; and their sum."""

    __slots__ = ("_bounds_ns", "counts", "sum_ns")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_ns = tuple(round(bound * 1e9) for bound in bounds_s)
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_ns = 0

    def add(self, time_ns: int) -> None:
        """One more."""
        self.counts[bisect_left(self._bounds_ns, time_ns)] += 1
        self.sum_ns += time_ns

    def state(self) -> State:
        """As JSON values."""
        return {"counts": [*self.counts], "sum_ns": self.sum_ns}


class Flowing(Protocol):
    """An answer that runs, of which it is asked now and then how much of it has left."""

    def flow(self) -> tuple[int, int, int, int, int]:
        """Nanoseconds for which its source was held; bytes written; pieces that left, and that were left out; bytes
        that wait for the client in this process.
        """


class Counts:
    """Of one relay in one process."""

    def __init__(self) -> None:
        self.first_piece = Histogram(WAITS_S)
        """From a request's head to its first piece."""
        self.gaps = Histogram(GAPS_S)
        """From one write of pieces to the next, of one answer."""
        self.source_close = Histogram(CLOSES_S)
        """From a client's leaving until its source had let go of its upstream."""
        self._answered: Counter[tuple[str, ...]] = Counter()
        self._produced: Counter[tuple[str, ...]] = Counter()
        self._resumed: Counter[tuple[str, ...]] = Counter()
        self._codes: set[str] = set()
        self._flowing: set[Flowing] = set()
        self._over = (0, 0, 0, 0)
        self._shown = (0, 0, 0, 0)

    def answered(self, record: StreamRecord) -> None:
        """An answer is over, whatever became of it."""
        name, code = record.outcome.name, self._code(record.code)
        policy = (record.policy or "").partition("(")[0]
        self._answered[name, code, record.format or "", policy] += 1
        if record.resumed:
            self._resumed[name, code] += 1

    def produced(self, record: StreamRecord) -> None:
        """A stream that is kept for those who come back is over."""
        self._produced[record.outcome.name, self._code(record.code)] += 1

    def _code(self, code: str) -> str:
        """Sources of somebody else's have codes of their own."""
        if code not in self._codes:
            if len(self._codes) >= MAX_CODES or not CODE.fullmatch(code):
                return OTHER
            self._codes.add(code)
        return code

    def begins(self, answer: Flowing) -> None:
        """It is looked at from now on."""
        self._flowing.add(answer)

    def ends(self, answer: Flowing) -> None:
        """It is over; what it counted stays."""
        self._flowing.discard(answer)
        self._over = _plus(self._over, answer.flow())

    def state(self) -> State:
        """All of it, as JSON values."""
        flows = [answer.flow() for answer in self._flowing]
        now = self._over
        for flow in flows:
            now = _plus(now, flow)
        # Pieces that wait may still be left out: what was told once is not taken back.
        self._shown = tuple(map(max, now, self._shown))  # type: ignore[assignment]  # four of them
        held_ns, wrote, pieces, dropped = self._shown
        return {
            "sums": {"held_ns": held_ns, "sent_bytes": wrote, "pieces": pieces, "dropped_pieces": dropped},
            "buffered_bytes": sum(flow[4] for flow in flows),
            "answered": _rows(self._answered),
            "produced": _rows(self._produced),
            "resumed": _rows(self._resumed),
            "times": {
                "first_piece": self.first_piece.state(),
                "gap": self.gaps.state(),
                "source_close": self.source_close.state(),
            },
        }


def _plus(sums: tuple[int, int, int, int], flow: tuple[int, int, int, int, int]) -> tuple[int, int, int, int]:
    return sums[0] + flow[0], sums[1] + flow[1], sums[2] + flow[2], sums[3] + flow[3]


def _rows(counted: Counter[tuple[str, ...]]) -> list[list[Any]]:
    return [[*labels, number] for labels, number in counted.items()]


def added(states: Iterable[State]) -> State:
    """The sums over several processes of what only grows; what they hold now is no such thing."""
    total: State = Counts().state()
    del total["buffered_bytes"]
    for state in states:
        for name, number in state["sums"].items():
            total["sums"][name] += number
        for name, times in state["times"].items():
            mine = total["times"][name]
            mine["counts"] = [a + b for a, b in zip(mine["counts"], times["counts"], strict=True)]
            mine["sum_ns"] += times["sum_ns"]
        for name in ("answered", "produced", "resumed"):
            rows: Counter[tuple[str, ...]] = Counter()
            for *labels, number in (*total[name], *state[name]):
                rows[tuple(labels)] += number
            total[name] = _rows(rows)
    return total
