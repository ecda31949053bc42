"""Numbers of results: which they are, how they are called, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamkit.lab.findings.results import Row, median_of, number_rows, results_finding
from streamkit.lab.recording.recording import Recording
from tests.lab.results import results_of
from tests.ways import MS

RISING = results_of([{"mean": n, "p95": 10 * n} for n in (1, 2.5, 4)])
FALLING = results_of([{"mean": n} for n in (9, 0.5)])


def rows_of(*given: Any) -> list[Row]:
    return [row for bundle in number_rows(*given) for row in bundle.members]


@pytest.mark.parametrize(
    ("sentence", "given"),
    [
        ("mean: from 1 to 4 in 3 results, ending at 4", (RISING,)),
        ("mean: from 1 to 1 in 1 result, ending at 1", (results_of([{"mean": 1}]),)),
        (
            "mean: from 0.000123 to 12,346 in 2 results, ending at 12,346",
            (results_of([{"mean": 1.23e-4}, {"mean": 12345.6}]),),
        ),
        ("Last mean: up 4, down 0.5", ({"up": RISING, "down": FALLING},)),
        ("Last: mean 4, p95 40", (RISING, ["mean", "p95"])),
        ("Last: up: mean 4, up: p95 40, down: mean 0.5", ({"up": RISING, "down": FALLING}, ["mean", "p95"])),
        ("No result has a number: mean", (results_of([{"n": 1}]),)),
        ("No result has a number: a, b", (RISING, ["a", "b"])),
    ],
)
def test_the_sentence_says_what_a_number_was_in_the_end(sentence: str, given: tuple[object, ...]) -> None:
    assert results_finding(*given) == sentence  # type: ignore[arg-type]  # a recording, and numbers


def test_a_number_may_be_made_of_a_result_and_has_the_name_of_what_makes_it() -> None:
    (row,) = rows_of(RISING, lambda result: result.at_ns / MS + result.value["mean"])
    assert (row.name, row.values.tolist()) == ("<lambda>", [11, 22.5, 34])


@pytest.mark.parametrize("nothing", [None, True, "4", float("nan"), float("inf"), [4]])
def test_what_is_no_number_is_left_out_with_its_time(nothing: object) -> None:
    (row,) = rows_of(results_of([{"mean": 1}, {"mean": nothing}, {}, {"mean": 2}]))
    assert (row.at_ns.tolist(), row.values.tolist()) == ([10 * MS, 40 * MS], [1, 2])


def test_results_that_are_no_objects_have_no_members() -> None:
    (row,) = rows_of(results_of([[1], 2]))
    assert row.values.size == 0
    (row,) = rows_of(results_of([[1], 2]), lambda result: result.value if result.value == 2 else None)
    assert row.values.tolist() == [2]


def test_times_count_from_when_the_request_was_sent() -> None:
    (row,) = rows_of(results_of([{"mean": 1}], sent_ns=4 * MS, ended_ns=30 * MS))
    assert (row.at_ns.tolist(), row.end_ns, row.sent) == ([6 * MS], 26 * MS, True)


def test_no_number_and_no_recording_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a number or several, such as 'mean', got none"):
        number_rows(RISING, [])
    with pytest.raises(ValueError, match="expected a Recording or several, got none"):
        number_rows([])
    assert results_finding(Recording()) == "No result has a number: mean"


def test_more_than_eight_recordings_are_groups_for_each_number_and_from_where_to_where_they_came_is_said() -> None:
    shown = [replace(results_of([{"mean": n, "p95": 9}]), label=name) for n in range(5) for name in "ab"]
    assert results_finding(shown) == "Last mean: a (5) from 0 to 4, b (5) from 0 to 4"
    bundles = number_rows(shown, ["mean", "p95"])
    assert [(bundle.name, len(bundle.members)) for bundle in bundles] == [
        (f"{name} (5): {number}", 5) for name in "ab" for number in ("mean", "p95")
    ]
    assert results_finding(shown[:8], "p95").startswith("Last p95: a 9, b 9, and 6 more")
    alone = [shown[0], *[results_of([{}], label="none")] * 8]
    assert results_finding(alone) == "mean: from 0 to 0 in 1 result, ending at 0"


def test_a_median_is_where_more_than_half_have_the_number() -> None:
    at_ns, values = median_of(rows_of([results_of([{"mean": n}] * count) for n, count in ((1, 2), (5, 4), (6, 3))]))
    assert (at_ns.tolist(), values.tolist()) == ([10 * MS, 20 * MS, 30 * MS], [5, 5, 5.5])
    assert median_of(rows_of([results_of([{"mean": 1}], every_ms) for every_ms in (5, 10)]))[1].size == 0


def test_between_two_results_a_number_is_on_the_way_from_the_one_to_the_other() -> None:
    quick, slow = results_of([{"mean": 0}, {"mean": 4}], 10), results_of([{"mean": 0}, {"mean": 1}], 15)
    assert median_of(rows_of([quick, slow]))[1].tolist() == pytest.approx([(2 + 0) / 2, (4 + 1 / 3) / 2])
