"""One stream at all taps, made by hand; and any way that a stream can take."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from streamkit.lab import metrics
from streamkit.lab.metrics.curves import Curve
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap

MS = 1_000_000


def staircase(*steps: tuple[int, int, int]) -> Tap:
    """A tap from (ms, events, bytes), all cumulative."""
    return Tap([at_ms * MS for at_ms, _, _ in steps], [n for _, n, _ in steps], [size for _, _, size in steps])


def journey() -> Recording:
    """Four events "ab", "c", "你", "d" (2, 1, 3 and 1 bytes), due at 100, 110, 110 and 130 ms. All times by hand.

    The upstream sends 1 ms late. The relay reads 2 ms later, decodes in 1 ms, and
    waits 1 ms before it sends; sending takes 1 ms, but 20 ms for the second write. The client reads everything from
    then on in one read, and hands on each event 1 ms after the one before.
    """
    return Recording(
        taps={
            # in an order that is not that of the way, which must not matter
            "relay.sent": staircase((106, 1, 2), (136, 3, 6), (138, 4, 7)),
            "upstream.due": staircase((100, 1, 2), (110, 2, 3), (110, 3, 6), (130, 4, 7)),
            "upstream.sent": staircase((101, 1, 2), (111, 2, 3), (111, 3, 6), (131, 4, 7)),
            "relay.read": staircase((103, 1, 2), (113, 3, 6), (133, 4, 7)),
            "relay.event": staircase((104, 1, 2), (114, 3, 6), (134, 4, 7)),
            "relay.send": staircase((105, 1, 2), (116, 3, 6), (137, 4, 7)),
        },
        marks={"relay.asked": 12 * MS, "relay.asking": 15 * MS, "upstream.asked": 20 * MS},
        reads=Reads([107 * MS, 140 * MS], size=[10, 30]),
        events=Events(
            [107 * MS, 140 * MS, 140 * MS, 140 * MS],
            handed_ns=[108 * MS, 141 * MS, 142 * MS, 143 * MS],
            text=["ab", "c", "你", "d"],
        ),
        sent_ns=10 * MS,
        ended_ns=145 * MS,
    )


def in_ms(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[int]:
    assert not (values % MS).any()
    return [int(value) for value in values // MS]


def shown(curve: Curve) -> tuple[list[int], list[int]]:
    return in_ms(curve.at_ns), curve.count.tolist()


class Way(NamedTuple):
    """Taps in a row; each passes on what the one before has, later, in batches, perhaps not all of it."""

    curves: dict[str, Curve]
    passed: list[list[int]]  # the same for a slow and simple check: at each place, the time of each event


@st.composite
def ways(draw: st.DrawFn, most: int = 12) -> Way:
    times = list(accumulate(draw(st.lists(st.integers(0, 50), max_size=most))))
    curves, passed = {"place 0": metrics.curve(times)}, [times]
    for place in range(1, draw(st.integers(2, 5))):
        whole = draw(st.booleans())
        kept = times if whole else times[: draw(st.integers(0, len(times)))]  # a truncated stream
        # Each batch waits for its last event, and for the batch before it.
        ends = {*draw(st.lists(st.integers(1, len(kept)), max_size=6)), len(kept)} if kept else set()
        batches = [kept[begin:end] for begin, end in pairwise([0, *sorted(ends)])]
        reads, now = [], 0
        for batch in batches:
            now = max(now, batch[-1] + draw(st.integers(0, 40)))
            reads.append(now)
        times = [at for at, batch in zip(reads, batches, strict=True) for _ in batch]
        steps_of_batches = draw(st.booleans())  # one step for each batch, or one for each of its events
        curves[f"place {place}"] = (
            metrics.curve(reads, [len(batch) for batch in batches]) if steps_of_batches else metrics.curve(times)
        )
        passed.append(times)
    return Way(curves, passed)
