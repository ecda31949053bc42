"""What is counted: sums and histograms, with labels that are bounded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streamkit.outcome import Outcome
from streamkit.relay.counting.counts import MAX_CODES, Counts, Histogram, added
from streamkit.relay.log import StreamRecord


def over(outcome: str, code: str = "", *, policy: str | None = "pause", resumed: bool = False) -> StreamRecord:
    record = StreamRecord("a", format="text/plain", policy=policy, resumed=resumed)
    record.ended(Outcome.parse(outcome), code, None)
    return record


@dataclass(eq=False)
class Answering:
    """An answer of which so much has left."""

    told: tuple[int, int, int, int, int]

    def flow(self) -> tuple[int, int, int, int, int]:
        return self.told


def test_a_time_at_a_bound_is_up_to_it_and_one_beyond_all_has_a_place() -> None:
    times = Histogram((0.001, 0.5))
    for time_ns in (0, 1_000_000, 1_000_001, 500_000_000, 10**12):
        times.add(time_ns)
    assert times.state() == {"counts": [2, 2, 1], "sum_ns": 1_000_502_000_001}


def test_an_answer_is_counted_by_outcome_code_format_and_policy() -> None:
    counts = Counts()
    for outcome, code in [("complete", ""), ("complete", ""), ("timeout(idle)", "timeout_idle")]:
        counts.answered(over(outcome, code))
    assert counts.state()["answered"] == [
        ["complete", "", "text/plain", "pause", 2],
        ["timeout", "timeout_idle", "text/plain", "pause", 1],
    ]


def test_no_label_holds_what_a_client_or_a_provider_has_said() -> None:
    counts = Counts()
    counts.answered(over("error_event(their word)", "upstream_error"))
    counts.answered(over("complete", policy="buffer(4711)"))
    counts.answered(over("refused(422)", "A code; with anything"))
    counts.answered(over("refused(404)", policy=None))
    rows = [row[:-1] for row in counts.state()["answered"]]
    assert rows == [
        ["error_event", "upstream_error", "text/plain", "pause"],
        ["complete", "", "text/plain", "buffer"],
        ["refused", "other", "text/plain", "pause"],
        ["refused", "", "text/plain", ""],
    ]


def test_there_are_no_more_codes_than_so_many() -> None:
    counts = Counts()
    for number in range(10 * MAX_CODES):
        counts.answered(over("refused(422)", f"code_{number}"))
    rows = counts.state()["answered"]
    assert len(rows) == MAX_CODES + 1
    assert ["refused", "other", "text/plain", "pause", 9 * MAX_CODES] in rows


def test_resumes_are_counted_beside_and_what_is_produced_by_itself() -> None:
    counts = Counts()
    counts.answered(over("complete", resumed=True))
    counts.answered(over("refused(410)", "stream_expired", resumed=True))
    counts.answered(over("complete"))
    counts.produced(over("cancelled", "abandoned"))
    state = counts.state()
    assert state["resumed"] == [["complete", "", 1], ["refused", "stream_expired", 1]]
    assert state["produced"] == [["cancelled", "abandoned", 1]]
    assert sum(row[-1] for row in state["answered"]) == 3


def test_what_runs_is_counted_while_it_runs_and_stays_when_it_is_over() -> None:
    counts, one, two = Counts(), Answering((10, 100, 5, 1, 7)), Answering((1, 1, 1, 0, 2))
    counts.begins(one)
    counts.begins(two)
    sums = {"held_ns": 11, "sent_bytes": 101, "pieces": 6, "dropped_pieces": 1}
    assert (counts.state()["sums"], counts.state()["buffered_bytes"]) == (sums, 9)
    counts.ends(one)
    assert (counts.state()["sums"], counts.state()["buffered_bytes"]) == (sums, 2)


def test_a_sum_never_falls_though_pieces_that_wait_may_be_left_out_after_all() -> None:
    counts, one = Counts(), Answering((0, 0, 9, 0, 0))
    counts.begins(one)
    assert counts.state()["sums"]["pieces"] == 9
    one.told = (0, 0, 4, 5, 0)
    assert counts.state()["sums"]["pieces"] == 9


@pytest.mark.parametrize("number", [0, 1, 3])
def test_states_of_several_processes_are_summed_up(number: int) -> None:
    counts = Counts()
    counts.answered(over("complete"))
    counts.gaps.add(2_000_000)
    counts.begins(Answering((1, 2, 3, 4, 5)))
    total = added([counts.state()] * number)
    assert total["sums"] == {name: number * value for name, value in counts.state()["sums"].items()}
    assert [row[-1] for row in total["answered"]] == [number] * bool(number)
    assert sum(total["times"]["gap"]["counts"]) == number
    assert total["times"]["gap"]["sum_ns"] == number * 2_000_000
