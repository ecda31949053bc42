"""An executor whose calls can be stopped in the midst of their work, and that goes on: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest

from streamkit.jobs.processes import Processes, ProcessLost
from tests.jobs import calls
from tests.jobs.hearing import is_alive
from tests.servers import eventually

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """One process, for all that does not need two."""
    with Processes(1) as made:
        yield made


def number_in(path: Path) -> int:
    assert eventually(path.exists)
    return int(path.read_text())


def test_what_a_call_returns_and_raises_comes_back(processes: Processes) -> None:
    assert processes.submit(divmod, 7, 3).result(WAIT_S) == (2, 1)
    with pytest.raises(ValueError, match="as asked"):
        processes.submit(calls.fail, "plain").result(WAIT_S)
    with pytest.raises(RuntimeError, match="Odd: odd"):
        processes.submit(calls.fail, "odd").result(WAIT_S)


def test_one_process_does_one_call_after_the_other(processes: Processes) -> None:
    assert len({processes.submit(calls.pid).result(WAIT_S) for _ in range(3)}) == 1


def test_a_call_that_is_deep_within_c_is_stopped_and_the_next_one_has_a_new_process(
    processes: Processes, tmp_path: Path
) -> None:
    call = processes.submit(calls.tell_and_stay, str(tmp_path / "pid"))
    pid = number_in(tmp_path / "pid")
    waiting = processes.submit(calls.pid)
    assert call.cancel()
    with pytest.raises(CancelledError):
        call.result(WAIT_S)
    assert not is_alive(pid)
    assert waiting.result(WAIT_S) != pid


def test_who_works_is_known_until_it_has_ended(processes: Processes, tmp_path: Path) -> None:
    assert eventually(lambda: not processes.at_work)
    call, waiting = processes.submit(calls.tell_and_stay, str(tmp_path / "pid")), processes.submit(divmod, 7, 3)
    pid = number_in(tmp_path / "pid")
    assert processes.at_work == (pid,), "and none of the call that waits"
    call.cancel()
    assert eventually(lambda: pid not in processes.at_work)
    assert not is_alive(pid)
    assert waiting.result(WAIT_S) == (2, 1)
    assert eventually(lambda: not processes.at_work)


def test_a_call_that_waits_is_cancelled_and_never_runs(processes: Processes, tmp_path: Path) -> None:
    first = processes.submit(calls.tell_and_stay, str(tmp_path / "first"))
    second = processes.submit(calls.tell_and_stay, str(tmp_path / "second"))
    number_in(tmp_path / "first")
    assert second.cancel()
    assert first.cancel()
    assert processes.submit(divmod, 7, 3).result(WAIT_S) == (2, 1)
    assert not (tmp_path / "second").exists()


def test_a_call_that_is_over_cannot_be_cancelled(processes: Processes) -> None:
    call = processes.submit(calls.pid)
    pid = call.result(WAIT_S)
    assert not call.cancel()
    assert processes.submit(calls.pid).result(WAIT_S) == pid


def test_a_call_whose_process_dies_is_lost_and_no_other(processes: Processes) -> None:
    lost, next_one = processes.submit(calls.end, 7), processes.submit(divmod, 7, 3)
    with pytest.raises(ProcessLost, match="it ended with 7"):
        lost.result(WAIT_S)
    assert next_one.result(WAIT_S) == (2, 1)


def test_a_process_that_is_killed_while_it_waits_is_nobodys_loss(processes: Processes) -> None:
    pid = processes.submit(calls.pid).result(WAIT_S)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not is_alive(pid))
    assert processes.submit(calls.pid).result(WAIT_S) != pid


def test_what_a_call_has_started_ends_with_it(processes: Processes, tmp_path: Path) -> None:
    call = processes.submit(calls.starts_another, str(tmp_path / "pid"))
    pid = number_in(tmp_path / "pid")
    assert call.cancel()
    wait([call], WAIT_S)
    assert eventually(lambda: not is_alive(pid))


def test_a_call_whose_process_dies_is_lost_also_where_what_it_has_forked_lives_on(
    processes: Processes, tmp_path: Path
) -> None:
    with pytest.raises(ProcessLost, match="it ended with 7"):
        processes.submit(calls.forks_and_dies, str(tmp_path / "pid")).result(WAIT_S)
    pid = number_in(tmp_path / "pid")
    assert eventually(lambda: not is_alive(pid))


def test_ctrl_c_is_not_for_it(processes: Processes) -> None:
    pid = processes.submit(calls.pid).result(WAIT_S)
    assert os.getpgid(pid) == pid
    os.kill(pid, signal.SIGINT)
    assert processes.submit(calls.pid).result(WAIT_S) == pid


def test_what_no_process_can_have_is_refused_at_once(processes: Processes) -> None:
    with pytest.raises(Exception, match=r"pickle|local object"):  # of several types and words, by version
        processes.submit(lambda: None)


def test_there_are_as_many_processes_as_are_needed_and_none_behind_the_end(tmp_path: Path) -> None:
    processes = Processes(2)
    paths = [tmp_path / name for name in ("a", "b", "c")]
    running = [processes.submit(calls.tell_and_stay, str(path)) for path in paths]
    pids = [number_in(path) for path in paths[:2]]
    processes.shutdown(cancel_futures=True)
    processes.shutdown(cancel_futures=True)
    assert all(call.done() for call in running)
    assert not any(map(is_alive, pids))
    assert not paths[2].exists()
    with pytest.raises(RuntimeError, match="shut down"):
        processes.submit(calls.pid)


def test_without_a_call_there_is_no_process_and_no_thread() -> None:
    processes = Processes(3)
    assert processes._threads == []
    processes.shutdown()


def test_a_process_ends_with_whoever_started_it_even_within_c(tmp_path: Path) -> None:
    asked = (
        "import sys; from streamkit.jobs.processes import Processes; from tests.jobs import calls\n"
        "Processes(1).submit(calls.tell_and_stay, sys.argv[1]).result()"
    )
    path = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", asked, str(path)], cwd=ROOT) as parent:
        pid = number_in(path)
        parent.kill()
    assert eventually(lambda: not is_alive(pid))
