"""Lines: counted as Python splits them, however the bytes are cut; nothing of them is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors.lines import LineCounts
from tests.processors.cuts import CUTS, processed

MESS = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\r", b"\r\n", b"\0", b"\xff"]), max_size=40).map(b"".join)


class Clock:
    """Moved by the test."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@given(MESS, CUTS)
def test_any_partition_counts_the_same_lines(data: bytes, cuts: list[int]) -> None:
    found = processed(LineCounts(), data, cuts)
    lengths = [len(line) for line in data.splitlines()]
    assert (found["lines"], found["bytes"]) == (len(lengths), len(data))
    assert found["longest"] == max(lengths, default=0)
    assert found["mean_length"] == (sum(lengths) / len(lengths) if lengths else None)


def test_an_unfinished_line_counts_at_the_end_only() -> None:
    lines = LineCounts()
    lines.feed(b"one\ntwo")
    assert (lines.snapshot()["lines"], lines.snapshot()["longest"], lines.snapshot()["bytes"]) == (1, 3, 7)
    assert (lines.final()["lines"], lines.final()["final"]) == (2, True)


def test_its_rate_is_that_of_its_clock() -> None:
    clock = Clock()
    lines = LineCounts(clock)
    assert lines.snapshot()["per_s"] is None
    clock.now_s += 4
    lines.feed(b"\n" * 10)
    assert lines.snapshot()["per_s"] == 2.5


def test_a_line_of_any_length_is_a_number() -> None:
    lines = LineCounts()
    for _ in range(1_000):
        lines.feed(b"9" * 100_000)
    found = lines.final()
    assert (found["lines"], found["longest"], found["bytes"]) == (1, 100_000_000, 100_000_000)
