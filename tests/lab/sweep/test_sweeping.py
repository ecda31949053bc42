"""sweep(): every setting of every round, on any executor; nothing is lost, and what was done is not done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamkit.lab.sweep import Sweep, TrialRow, last_sweep, sweep
from tests.lab.sweep import trials

ROOT = Path(__file__).parents[3]
GRID = {"a": [1, 2, 3], "b": ["x", "y"]}


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


here = partial(sweep, executor=AtOnce(), progress=False)


def told(swept: Sweep) -> list[tuple[Any, ...]]:
    """What has to be the same wherever it ran."""
    return [(row.order, row.repeat, row.seed, dict(row.parameters), row.metrics, row.error) for row in swept.rows]


def test_every_setting_is_tried_in_each_round_in_the_planned_order() -> None:
    swept = here(trials.noisy, GRID, repeats=4, seed=5)
    assert [row.order for row in swept.rows] == list(range(24))
    for repeat in range(4):
        assert len({str(row.parameters) for row in swept.rows if row.repeat == repeat}) == 6
    assert swept.failed == ()
    assert last_sweep() is swept


def test_a_trial_with_a_seed_is_given_that_of_its_round() -> None:
    swept = here(lambda a, seed: {"given": seed, "twice": 2 * a}, {"a": [1, 2]}, repeats=3)
    assert all(row.metrics["given"] == row.seed for row in swept.rows)
    assert len({row.seed for row in swept.rows}) == 3


def test_the_same_seed_gives_the_same_rows_and_another_one_others() -> None:
    assert told(here(trials.noisy, GRID, repeats=2)) == told(here(trials.noisy, GRID, repeats=2))
    assert told(here(trials.noisy, GRID, repeats=2)) != told(here(trials.noisy, GRID, repeats=2, seed=1))


def test_a_trial_that_fails_is_a_row_with_its_reason_and_the_others_go_on() -> None:
    swept = here(trials.fails_on_two, {"a": [1, 2, 3]}, repeats=2)
    assert [row.error for row in swept.failed] == ["ValueError: no luck with … today"] * 2
    assert (
        sorted(str(row.metrics) for row in swept.rows if row.error is None)
        == ["{'value': 0.5}"] * 2 + ["{'value': 1.5}"] * 2
    )


def test_processes_of_our_own_give_the_same_rows_as_threads() -> None:
    """… and stop the servers that a trial leaves; one that kills its process is a row, and the next has a new one."""
    with ThreadPoolExecutor(3) as threads:
        assert told(sweep(trials.noisy, GRID, repeats=4, progress=False, warm_up=1)) == told(
            sweep(trials.noisy, GRID, threads, repeats=4, progress=False)
        )
    swept = sweep(trials.dies_on_two, {"a": [2, 3]}, progress=False)
    assert {row.error for row in swept.rows if row.parameters["a"] == 2} == {"ProcessLost: it ended with -9"}
    assert [row.metrics for row in swept.rows if row.parameters["a"] == 3] == [{"value": 1.5}]


def test_a_trial_that_takes_too_long_is_ended_and_a_row_that_says_so() -> None:
    (row,) = sweep(trials.halts_on_three, {"a": [3]}, timeout_s=0.05, progress=False).rows
    assert row.error == "TimeoutError: it took longer than it may (timeout_s)"
    with pytest.raises(ValueError, match="expected no timeout_s with an executor"):
        here(trials.halts_on_three, {"a": [3]}, timeout_s=1)


def test_what_could_not_be_run_is_a_row_that_says_so_and_is_done_when_it_goes_on(tmp_path: Path) -> None:
    class Breaks(AtOnce):
        left = 2

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.left -= 1
            if self.left < 0:
                raise BrokenExecutor("a process died")
            return super().submit(fn, *args, **kwargs)

    go = partial(sweep, trials.noisy, GRID, path=tmp_path / "sweep.jsonl", progress=False)
    broken = go(executor=Breaks())
    assert [row.error for row in broken.rows[2:]] == ["never ran: BrokenExecutor: a process died"] * 4
    assert told(go(executor=AtOnce())) == told(here(trials.noisy, GRID))


def test_what_is_done_is_read_and_more_rounds_are_added(tmp_path: Path) -> None:
    calls = []

    def trial(a: int) -> int:
        calls.append(a)
        return a

    path = tmp_path / "sweep.jsonl"
    here(trial, {"a": [1, 2]}, repeats=2, path=path)
    assert len(here(trial, {"a": [1, 2]}, repeats=2, path=path).rows) == len(calls) == 4
    assert len(here(trial, {"a": [1, 2]}, repeats=5, path=path).rows) == len(calls) == 10
    assert told(Sweep.load(path)) == told(here(trial, {"a": [1, 2]}, repeats=5, path=path))
    assert len(here(trial, {"a": [1, 2]}, repeats=3, path=path).rows) == 6


def test_what_failed_is_done_again_if_one_asks_for_it(tmp_path: Path) -> None:
    broken = True

    def trial(a: int) -> int:
        if broken and a == 2:
            raise OSError("not today")
        return a

    path = tmp_path / "sweep.jsonl"
    assert len(here(trial, {"a": [1, 2]}, path=path).failed) == 1
    broken = False
    assert len(here(trial, {"a": [1, 2]}, path=path).failed) == 1
    assert here(trial, {"a": [1, 2]}, path=path, retry_failed=True).failed == ()
    assert Sweep.load(path).failed == ()


def test_killed_half_way_and_continued_it_gives_the_rows_of_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    code = (
        "import streamkit as sk; from tests.lab.sweep.trials import halts_at;"
        f"sk.sweep(halts_at, {GRID!r}, repeats=4, path={str(path)!r}, progress=False)"
    )
    half, stop = "12", tmp_path / "stop"
    stop.write_text(half)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), trials.STOP: str(stop)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or len(path.read_bytes().splitlines()) < 13):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with path.open("ab") as file:
        file.write(b'{"parameters":{"a":')  # as it would be cut off in the midst of a line
    assert len(Sweep.load(path).rows) == 12
    assert told(here(trials.halts_at, GRID, repeats=4, path=path)) == told(here(trials.halts_at, GRID, repeats=4))


def test_an_interrupt_keeps_what_is_there_and_begins_nothing_more(tmp_path: Path) -> None:
    begun = []

    def trial(a: int) -> int:
        begun.append(a)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return a

    with pytest.raises(KeyboardInterrupt) as interrupt:
        here(trial, {"a": list(range(8))}, path=tmp_path / "sweep.jsonl")
    assert interrupt.value.sweep is last_sweep()  # type: ignore[attr-defined]  # the claim
    assert len(begun) == 3


def test_what_waits_in_an_executor_is_cancelled_by_an_interrupt() -> None:
    """The trial that runs ends, and the others never begin."""
    begun, go, all_wait = [], threading.Event(), threading.Event()

    class Threads(ThreadPoolExecutor):
        """Says when the last of them was given to it."""

        given = 0

        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(*args, **kwargs)
            self.given += 1
            if self.given == 8:
                all_wait.set()
            return future

    def trial(a: int) -> int:
        begun.append(a)
        all_wait.wait(60)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            go.wait(60)
        return a

    with Threads(1) as threads:
        with pytest.raises(KeyboardInterrupt) as interrupt:
            sweep(trial, {"a": list(range(8))}, threads, progress=False)
        go.set()
    assert len(begun) == 2
    assert len(interrupt.value.sweep.rows) <= 1  # type: ignore[attr-defined]  # the claim


def test_of_our_own_processes_an_interrupt_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"

    def interrupt() -> None:
        while not path.exists() or len(path.read_bytes().splitlines()) < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    with pytest.raises(KeyboardInterrupt) as interrupted:
        sweep(trials.halts_on_three, {"a": [1, 2, 3]}, seed=4, path=path, progress=False)
    waiting.join()
    assert [row.parameters["a"] for row in interrupted.value.sweep.rows] == [1, 2]  # type: ignore[attr-defined]  # …
    assert not any(thread.name == "streamkit jobs" and thread.is_alive() for thread in threading.enumerate())


def test_the_bar_counts_trials_and_says_how_many_failed(capsys: pytest.CaptureFixture[str]) -> None:
    sweep(trials.fails_on_two, {"a": [1, 2]}, AtOnce())
    said = capsys.readouterr().err
    assert "2/2" in said
    assert "failed=1" in said


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"grid": {"c": [1]}}, TypeError, "expected trial as a function of c, got tests.lab.sweep.trials.noisy: "),
        ({"repeats": 0}, ValueError, "expected repeats as an integer >= 1, got 0"),
        ({"workers": 0}, ValueError, "expected workers as an integer >= 1, got 0"),
        ({"warm_up": -1}, ValueError, "expected warm_up as an integer >= 0, got -1"),
        ({"seed": "x"}, TypeError, "expected seed as an integer, got 'x'"),
        ({"executor": 7}, TypeError, "expected an executor such as those of concurrent.futures"),
        ({"trial": 7}, TypeError, "expected trial as a function of the grid's parameters, got 7"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        sweep(**{"trial": trials.noisy, "grid": GRID, "progress": False, **options})


def test_a_row_is_what_its_record_says() -> None:
    (row, *_) = here(trials.noisy, GRID).rows
    assert TrialRow.of(row.as_dict()) == row
