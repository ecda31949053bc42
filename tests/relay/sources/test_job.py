"""A computation as a source: told from its first moment to its last, held by its client, gone when that has left."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from typing import Any

import pytest

from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.pieces import Progress, Value
from streamkit.relay.settings import Shipped
from streamkit.relay.sources.job import Jobs, job
from streamkit.relay.sources.source import Into, Pieces
from tests.jobs import calls
from tests.jobs.hearing import is_alive

WAIT_S = 20.0
OWN = {name: getattr(calls, name) for name in ("in_c", "results", "dies", "leaves", "waits", "garbles", "goes_back")}
OWN["forks"] = calls.forks_and_dies_as_a_job


class Client:
    """Takes what is offered, and keeps it; while it is `slow`, only what tells how something stands."""

    def __init__(self, *, slow: bool = False) -> None:
        self.pieces: list[Piece] = []
        self.slow = slow
        self.into = Into(self._offer)

    def _offer(self, pieces: list[Piece]) -> bool:
        if self.slow and not all(type(piece) is Progress for piece in pieces):
            return False
        self.pieces += pieces
        return True

    async def read(self, pieces: Pieces) -> Failure | None:
        """All of it; how it failed."""
        try:
            async with aclosing(pieces) as batches:
                async for batch in batches:
                    self.pieces += batch
        except Failed as error:
            return error.failure
        return None

    @property
    def values(self) -> list[Any]:
        return [piece.data for piece in self.pieces if isinstance(piece, Value)]

    @property
    def progress(self) -> list[dict[str, Any]]:
        return [piece.data for piece in self.pieces if isinstance(piece, Progress)]


def run(
    check: Callable[[Jobs], Awaitable[None]],
    shipped: Shipped | None = None,
    executor: Executor | None = None,
) -> None:
    """In real time, as others work meanwhile."""

    async def main() -> None:
        async with asyncio.timeout(WAIT_S):
            jobs = Jobs(shipped or Shipped(max_jobs=2), OWN, executor)
            await jobs.open()
            try:
                await check(jobs)
            finally:
                await jobs.close()
            await until(lambda: not jobs.places)

    asyncio.run(main())


@contextmanager
def threads(count: int = 2) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(count) as executor:
        yield executor


async def until(claim: Callable[[], object]) -> None:
    while not claim():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.005)


# -- what is told ------------------------------------------------------------------------------------------------------


def test_it_begins_at_once_then_come_its_results_and_at_last_what_it_returned() -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        assert await client.read(job(jobs, "results", {"count": 3}, client.into)) is None
        assert client.pieces[0] == Progress(0, message="started")
        assert client.values == [*({"number": n, "filling": ""} for n in range(3)), {"count": 3, "final": True}]
        assert client.progress[-1] == {"progress": 2, "total": 3, "message": ""}

    with threads() as executor:
        run(check, executor=executor)


def test_without_offers_it_is_as_right() -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        assert await client.read(job(jobs, "results", {"count": 3}, Into())) is None
        assert [value.get("number") for value in client.values] == [0, 1, 2, None]
        assert client.progress[-1]["progress"] == 2

    with threads() as executor:
        run(check, executor=executor)


def test_of_many_reports_all_results_come_and_of_the_progress_the_last() -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        assert await client.read(job(jobs, "noisy", {"reports": 50_000}, client.into)) is None
        numbers = [value["result"] for value in client.values[:-1]]
        assert (numbers, client.values[-1]["final"]) == (list(range(1, 51)), True)
        assert client.progress[-1] == {"progress": 50_000, "total": 50_000, "message": ""}
        assert len(client.progress) < 1000

    with threads() as executor:
        run(check, executor=executor)


def test_a_job_whose_client_is_slow_waits_and_loses_nothing() -> None:
    async def check(jobs: Jobs) -> None:
        client = Client(slow=True)
        pieces = job(jobs, "results", {"count": 500, "size": 10_000}, client.into)
        await first_value(pieces)
        await asyncio.sleep(0.1)
        assert calls.HOW_FAR["results"] < 100, "it goes on for nobody"
        assert await client.read(pieces) is None
        assert [value.get("number") for value in client.values][-4:] == [497, 498, 499, None]
        assert calls.HOW_FAR["results"] == 499

    with threads() as executor:
        run(check, executor=executor)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    [
        ("pie", {}, "unknown_job", "there are dies, fails, fit, forks, garbles, goes_back, in_c"),
        (None, {}, "unknown_job", "there are"),
        ("pi", {}, "bad_arguments", "expected samples; pi takes samples (an integer"),
        ("pi", {"samples": 0}, "bad_arguments", "expected samples as an integer from 1"),
        ("pi", None, "bad_arguments", "expected arguments as an object"),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_there_is(name: Any, arguments: Any, code: str, said: str) -> None:
    jobs = Jobs(Shipped(), OWN)
    with pytest.raises(Failed) as caught:
        jobs.check(name, arguments)
    failure = caught.value.failure
    assert (failure.status, failure.code) == (422, code)
    assert said in failure.detail
    client = Client()
    assert asyncio.run(client.read(job(jobs, name, arguments, client.into))) == failure
    assert client.pieces == []


def test_jobs_of_ones_own_may_stand_alone_and_must_be_importable() -> None:
    assert Jobs(Shipped(), {"mine": calls.results}, shipped_too=False).names == ("mine",)
    with pytest.raises(ConfigError, match="expected a job that a process can import"):
        Jobs(Shipped(), {"mine": lambda _: None})


def test_by_default_twice_as_many_run_as_there_are_cores() -> None:
    assert repr(Jobs(Shipped(job_queue=5))).endswith(f"0 of {2 * (os.cpu_count() or 1) + 5} places taken>")


def test_beyond_those_that_may_wait_nobody_comes_in_and_a_place_is_free_when_its_job_is_over() -> None:
    async def check(jobs: Jobs) -> None:
        clients = [Client() for _ in range(3)]
        calls.GO_ON.clear()
        running = [asyncio.ensure_future(each.read(job(jobs, "waits", {}, each.into))) for each in clients]
        await until(lambda: all(each.pieces for each in clients))
        assert sorted(each.progress[0]["message"] for each in clients) == ["queued", "queued", "started"]
        with pytest.raises(Failed) as caught:
            jobs.begin()
        failure = caught.value.failure
        assert (failure.status, failure.code, failure.retry_after_s) == (503, "too_many_jobs", 5)
        late = Client()
        assert await late.read(job(jobs, "waits", {}, late.into)) == failure
        assert late.pieces == []
        running[1].cancel()  # one that waits: it never starts
        await asyncio.wait([running[1]])
        jobs.begin()
        calls.GO_ON.set()
        assert await running[0] is None
        assert await running[2] is None
        assert clients[2].progress[1]["message"] == "started"
        assert clients[1].progress == [{"progress": 0, "total": None, "message": "queued"}]

    with threads() as executor:
        run(check, Shipped(max_jobs=1, job_queue=2), executor)


def test_with_no_queue_a_job_comes_to_its_turn_at_once_or_not_at_all() -> None:
    async def check(jobs: Jobs) -> None:
        for _ in range(3):
            client = Client()
            assert await client.read(job(jobs, "results", {"count": 1}, client.into)) is None
            await until(lambda: not jobs.places)

    with threads() as executor:
        run(check, Shipped(max_jobs=1, job_queue=0), executor)


def test_a_source_that_is_never_iterated_holds_no_place() -> None:
    async def check(jobs: Jobs) -> None:
        for _ in range(9):
            await job(jobs, "results", {"count": 1}, Into()).aclose()
        jobs.begin()

    with threads() as executor:
        run(check, Shipped(max_jobs=1, job_queue=0), executor)


# -- how it fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "why"),
    [
        ("fails", {"after": 2}, "RuntimeError", "RuntimeError: it fails after 2, as it was asked to, at shipped.py:"),
        ("leaves", {}, "SystemExit", "SystemExit: 3, at calls.py:"),
        ("goes_back", {}, "ValueError", "ValueError: expected progress that does not go back"),
    ],
)
def test_what_it_raises_is_told_by_its_type_behind_its_results_and_the_rest_is_for_the_log(
    name: str, arguments: dict[str, Any], kind: str, why: str
) -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        failure = await client.read(job(jobs, name, arguments, client.into))
        assert failure is not None
        assert (failure.outcome, failure.code) == (Outcome("error_event", "job_failed"), "job_failed")
        assert failure.detail == f"the job failed: {kind}"
        assert failure.why.startswith(why)
        assert client.values == [{"result": number + 1} for number in range(arguments.get("after", 0))]

    with threads() as executor:
        run(check, executor=executor)


class Lazy(Executor):
    """One that says it did what it never does; or cannot."""

    def __init__(self, error: Exception | None, *, at_once: bool = False) -> None:
        self._error = error
        self._at_once = at_once

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        del fn, args, kwargs
        if self._at_once and self._error is not None:
            raise self._error
        future: Future[Any] = Future()
        threading.Timer(0.01, self._end, [future]).start()
        return future

    def _end(self, future: Future[Any]) -> None:
        if self._error is None:
            future.set_result(None)
        else:
            future.set_exception(self._error)


@pytest.mark.parametrize(
    ("executor", "why"),
    [
        (Lazy(None), "it hung up"),
        (Lazy(OSError("no route")), "OSError: no route"),
        (Lazy(RuntimeError("secret"), at_once=True), "the executor takes no job: RuntimeError"),
    ],
    ids=["did nothing", "could not", "takes none"],
)
def test_an_executor_that_does_not_work_is_a_lost_worker(executor: Executor, why: str) -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        failure = await client.read(job(jobs, "results", {"count": 1}, client.into))
        assert failure is not None
        assert (failure.code, failure.why) == ("worker_lost", why)

    run(check, executor=executor)


def test_what_is_no_message_is_a_lost_worker() -> None:
    async def check(jobs: Jobs) -> None:
        client = Client()
        failure = await client.read(job(jobs, "garbles", {}, client.into))
        assert failure is not None
        assert (failure.code, failure.why) == ("worker_lost", "it sent something that is no message")

    with threads() as executor:
        run(check, executor=executor)


# -- leaving, where a worker cannot be stopped -------------------------------------------------------------------------


def test_in_an_executor_that_cannot_stop_it_the_next_report_does_and_only_then_its_place_is_free() -> None:
    async def check(jobs: Jobs) -> None:
        calls.GO_ON.clear()
        calls.CANCELLED.clear()
        async with aclosing(job(jobs, "waits", {}, Into())) as pieces:
            async for _ in pieces:
                if calls.WAITING.is_set():
                    break
        assert len(jobs.places) == 1
        assert not calls.CANCELLED.is_set()
        calls.GO_ON.set()
        await until(calls.CANCELLED.is_set)
        await until(lambda: not jobs.places)

    calls.WAITING.clear()
    with threads() as executor:
        run(check, executor=executor)


# -- in processes ------------------------------------------------------------------------------------------------------


async def first_value(pieces: Pieces) -> Any:
    async for batch in pieces:
        for piece in batch:
            if isinstance(piece, Value):
                return piece.data
    raise AssertionError("it ended without a result")


def test_in_processes_its_end_however_it_comes_leaves_a_whole_pool() -> None:
    """One pool for all of it, since processes take their time to start."""

    async def check(jobs: Jobs) -> None:
        started = jobs.executor
        client = Client()
        assert await client.read(job(jobs, "results", {"count": 1}, client.into)) is None
        assert client.values[-1] == {"count": 1, "final": True}
        await leaving(jobs)
        await killed(jobs)
        await dying(jobs)
        await forking(jobs)
        await late(jobs)
        client = Client()
        assert await client.read(job(jobs, "results", {"count": 1}, client.into)) is None
        assert jobs.executor is started
        await until(lambda: not jobs.places)

    async def leaving(jobs: Jobs) -> None:
        """The client leaves while the job is deep within C."""
        pieces = job(jobs, "in_c", {}, Into())
        pid = (await first_value(pieces))["pid"]
        await pieces.aclose()
        await until(lambda: not is_alive(pid))

    async def killed(jobs: Jobs) -> None:
        pieces = job(jobs, "in_c", {}, Into())
        os.kill((await first_value(pieces))["pid"], signal.SIGKILL)
        failure = await Client().read(pieces)
        assert failure is not None
        assert (failure.outcome, failure.code) == (Outcome("error_event", "worker_lost"), "worker_lost")
        assert failure.why == "ProcessLost: it ended with -9"

    async def dying(jobs: Jobs) -> None:
        client = Client()
        failure = await client.read(job(jobs, "dies", {}, client.into))
        assert failure is not None
        assert (failure.code, failure.why) == ("worker_lost", "ProcessLost: it ended with 7")
        assert len(client.values) == 1

    async def forking(jobs: Jobs) -> None:
        failure = await Client().read(job(jobs, "forks", {}, Into()))
        assert failure is not None
        assert (failure.code, failure.why) == ("worker_lost", "ProcessLost: it ended with 7")

    async def late(jobs: Jobs) -> None:
        jobs.job_s = 0.3
        client = Client()
        failure = await client.read(job(jobs, "in_c", {}, client.into))
        jobs.job_s = 600
        assert failure is not None
        assert (failure.outcome, failure.code) == (Outcome("timeout", "job"), "timeout_job")
        await until(lambda: not jobs.places)
        assert not any(is_alive(told["pid"]) for told in client.values)

    run(check, Shipped(max_jobs=1))


def test_to_close_stops_all_that_works_and_leaves_no_process() -> None:
    async def check(jobs: Jobs) -> None:
        pieces = job(jobs, "in_c", {}, Into())
        pid = (await first_value(pieces))["pid"]
        waiting = Client()
        queued = asyncio.ensure_future(waiting.read(job(jobs, "in_c", {}, waiting.into)))
        await until(lambda: waiting.pieces)
        await jobs.close()
        assert not is_alive(pid)
        failure = await Client().read(pieces)
        assert failure is not None
        assert failure.code == "shutting_down"
        assert await queued == failure
        with pytest.raises(Failed):
            jobs.begin()

    run(check, Shipped(max_jobs=1))
