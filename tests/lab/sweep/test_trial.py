"""One trial, where it runs: its numbers, or a reason, and never an exception."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from streamkit.lab.recording.recording import Recording
from streamkit.lab.sweep.portable import Portable
from streamkit.lab.sweep.trial import Done, numbers_of, run_alone, run_trial


def ran(function: Any, **setting: Any) -> Done:
    return run_trial(Portable(function), setting, {})


def test_it_is_called_with_its_setting_and_what_it_returns_are_its_numbers() -> None:
    done = ran(lambda a, b: {"sum": a + b}, a=1, b=2)
    assert (done.metrics, done.error) == ({"sum": 3}, None)
    assert done.when is not None
    assert done.when.endswith("+00:00")
    assert done.duration_s is not None
    assert done.duration_s >= 0


def test_the_seed_is_given_beside_the_setting() -> None:
    assert run_trial(Portable(lambda a, seed: a * seed), {"a": 2}, {"seed": 21}).metrics == {"value": 42}


def test_a_coroutine_function_has_a_loop_of_its_own() -> None:
    async def trial(a: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"double": 2 * a}

    assert ran(trial, a=4).metrics == {"double": 8}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), RecursionError()])
def test_whatever_it_raises_is_its_reason(error: BaseException) -> None:
    def trial() -> None:
        raise error

    done = ran(trial)
    assert done.metrics == {}
    assert str(done.error).startswith(type(error).__name__)


def test_a_reason_has_no_secret() -> None:
    def trial() -> None:
        raise ConnectionError("https://me:pw@api.test/v1?key=k3y refused Bearer abc.def")

    assert ran(trial).error == "ConnectionError: https://api.test/v1 refused …"


def test_ctrl_c_is_not_its_failure() -> None:
    def trial() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(trial)


def test_in_a_process_of_its_own_the_servers_that_it_leaves_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[float] = []
    monkeypatch.setattr("streamkit.serving.server.stop_all", stopped.append)
    assert run_alone(Portable(lambda a: a), {"a": 1}, {}).metrics == {"value": 1}
    assert stopped == [0]


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [
        (7, {"value": 7}),
        (np.float32(0.5), {"value": 0.5}),
        (True, {"value": True}),
        ({"a": np.int64(3), "b": None, "c": "complete"}, {"a": 3, "b": None, "c": "complete"}),
        ({"a": math.nan, "b": math.inf}, {"a": None, "b": None}),
        ({}, {}),
    ],
)
def test_numbers_are_plain_ones_and_what_is_not_finite_is_not_defined(returned: Any, metrics: dict[str, Any]) -> None:
    assert numbers_of(returned) == metrics


def test_of_a_recording_its_summary_is_taken_as_far_as_it_is_numbers() -> None:
    recording = Recording.from_pieces([(20_000_000, "a"), (30_000_000, "b")], sent_ns=0, ended_ns=40_000_000)
    found = numbers_of(recording)
    assert (found["events"], found["ttft_ms"], found["duration_ms"]) == (2, 20.0, 40.0)
    assert found["outcome"] == str(recording.outcome)
    assert all(isinstance(value, int | float) for name, value in found.items() if name != "outcome")
    assert "error" not in found


def test_of_anything_with_a_summary_likewise() -> None:
    class Many:
        def summary(self) -> dict[str, Any]:
            return {"streams": 50, "ttft_p99_ms": 12.5, "by_label": {"x": 1}, "note": "words", "nothing": None}

    assert numbers_of(Many()) == {"streams": 50, "ttft_p99_ms": 12.5}


@pytest.mark.parametrize("returned", [None, "text", [1, 2], object(), {"a": [1]}])
def test_anything_else_is_the_reason_of_a_failed_trial(returned: Any) -> None:
    assert str(ran(lambda: returned).error).startswith("TypeError: expected ")


def test_a_number_is_not_called_like_a_parameter_or_a_column() -> None:
    assert "expected other names" in str(ran(lambda a: {"a": a}, a=1).error)
    assert "expected another name for a number that the trial returns" in str(ran(lambda: {"error": 1}).error)
