"""What a job may say: progress, of which the latest counts, and results, of which none is lost."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from streamkit.jobs.messages import MAX_LINE_BYTES
from streamkit.jobs.report import PROGRESS_EVERY_S, JobCancelled, Report
from tests.jobs.hearing import Heard, heard, nobody_listens, of_kind


def test_of_a_burst_of_progress_the_first_and_the_last_are_told() -> None:
    def job(report: Report) -> None:
        for number in range(1000):
            report.progress(number, 1000, f"number {number}")

    told = of_kind(heard(job), "progress")
    assert told[0] == {"progress": 0, "total": 1000, "message": "number 0"}
    assert told[-1] == {"progress": 999, "total": 1000, "message": "number 999"}
    assert len(told) < 100


def test_the_latest_is_told_when_its_time_has_come_also_while_the_job_says_nothing() -> None:
    hearing = Heard()
    hearing.report.progress(1)
    hearing.report.progress(2, message="now it takes long")
    time.sleep(3 * PROGRESS_EVERY_S)
    assert of_kind(hearing.messages(), "progress")[-1]["message"] == "now it takes long"


def test_results_are_all_told_in_order_and_progress_comes_before_the_end() -> None:
    def job(report: Report) -> dict[str, Any]:
        for number in range(5000):
            report.progress(number)
            report.result({"number": number})
        return {"sum": 3}

    told = heard(job)
    assert of_kind(told, "result") == [{"number": number} for number in range(5000)]
    assert told[-1] == ("returned", {"sum": 3})
    assert of_kind(told, "progress")[-1]["progress"] == 4999


def test_a_job_that_returns_nothing_has_an_empty_last_result() -> None:
    assert heard(lambda _: None) == [("returned", {})]


def test_what_it_raised_is_told_by_type_and_why_without_a_traceback() -> None:
    def job(_: Report) -> None:
        raise KeyError("no such column")

    [(kind, data)] = heard(job)
    assert (kind, data["type"]) == ("raised", "KeyError")
    assert data["why"].startswith("KeyError: 'no such column', at test_report.py:")
    assert "\n" not in data["why"]


def test_a_failure_however_long_is_told_in_few_words() -> None:
    def job(_: Report) -> None:
        raise ValueError("x" * (2 * MAX_LINE_BYTES))

    [(_, data)] = heard(job)
    assert len(data["why"]) == 1000
    assert ", at test_report.py:" in data["why"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1,), "finite number >= 0, got -1"),
        ((math.nan,), "finite number >= 0, got nan"),
        ((math.inf,), "finite number >= 0, got inf"),
        ((True,), "finite number >= 0, got True"),
        (("3",), "finite number >= 0, got '3'"),
        ((3, 2), "up to its total, got 3 of 2"),
        ((0, -1), "total as a finite number >= 0"),
        ((0, None, "x" * 1001), "at most 1000 characters"),
        ((0, None, 3), "at most 1000 characters, got 3"),
    ],
)
def test_progress_that_makes_no_sense_is_an_error_in_the_job(arguments: Any, said: str) -> None:
    with nobody_listens() as report, pytest.raises(ValueError, match=said):
        report.progress(*arguments)


def test_progress_that_goes_back_is_an_error_in_the_job() -> None:
    told = heard(lambda report: [report.progress(number) for number in (1, 1, np.int64(3), 2.5)])
    assert of_kind(told, "progress")[-1]["progress"] == 3
    assert "does not go back, got 2.5 after 3" in of_kind(told, "raised")[0]["why"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (3, "TypeError: expected a result as a dict, got int"),
        ({"final": True}, "ValueError: expected a result without a field 'final'"),
        ({"text": "x" * MAX_LINE_BYTES}, "ValueError: expected at most 1048576 bytes"),
        ({"text": {1, 2}}, "TypeError: expected what JSON can say"),
    ],
)
def test_a_result_that_cannot_be_told_is_an_error_whether_partial_or_returned(data: Any, said: str) -> None:
    for job in (lambda report: report.result(data), lambda _: data):
        assert of_kind(heard(job), "raised")[0]["why"].startswith(said)


def test_when_nobody_listens_the_next_report_ends_the_job() -> None:
    with nobody_listens() as report, pytest.raises(JobCancelled):
        report.result({})
    with nobody_listens() as report, pytest.raises(JobCancelled):
        report.progress(1)


def test_nothing_is_told_behind_the_end_by_whichever_thread_of_the_job() -> None:
    hearing = Heard()
    hearing.report.progress(1)
    hearing.report.progress(2)
    hearing.report.returned({})
    with pytest.raises(JobCancelled):
        hearing.report.result({})
    with pytest.raises(JobCancelled):
        hearing.report.progress(3)
    time.sleep(2 * PROGRESS_EVERY_S)
    assert hearing.messages()[-1] == ("returned", {})


def flood(report: Report) -> None:
    """Progress for five seconds, with a handler as people write them."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with suppress(Exception):
            report.progress(1)


def test_a_flood_of_progress_ends_soon_when_nobody_listens_and_no_handler_of_exceptions_keeps_it() -> None:
    with nobody_listens() as report, pytest.raises(JobCancelled):
        flood(report)
