"""A computation as a source (see `streamkit.relay.sources.source`): queued, run elsewhere, reported as it goes on.

name, arguments ──check──▶ place in the queue ──turn──▶ executor: work
                                                        work ──▶ Intake ──pieces──▶ into.offer, or else yielded

Only as much is read from the job as the client takes: a result that is yielded waits for the client, and then the job
waits.

state       begins                             ends
queued      all are at work that may           its turn → working; closed → left, and it never starts
working     its turn: an executor has it       it returned, raised, was lost → over; closed, or longer than `job_s`:
                                               it is cancelled → over
over        the executor says that nothing     –
            of it works any more: only then
            is its place somebody else's
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, Self

from streamkit.errors import BadArguments, UnknownJob
from streamkit.extractor.pieces import Piece
from streamkit.jobs.intake import Intake
from streamkit.jobs.messages import ENDS, Message
from streamkit.jobs.processes import Processes
from streamkit.jobs.registry import Job, JobFunction, Registry
from streamkit.jobs.report import FINAL
from streamkit.jobs.shipped import SHIPPED
from streamkit.jobs.work import work
from streamkit.outcome import Outcome
from streamkit.reasons import masked
from streamkit.relay.failure import SHUT_DOWN, Failed, Failure, timed_out
from streamkit.relay.pieces import Progress, Value
from streamkit.relay.settings import Shipped
from streamkit.relay.sources.source import Into

__all__ = ["Jobs", "job"]

TOO_MANY: Final = Failure(
    Outcome("refused", 503), "too_many_jobs", 503, "as many jobs are waiting as are allowed", retry_after_s=5
)
LAST_WORD_S: Final = 1.0
"""How long the executor may take to say what became of a worker that hung up."""


class Jobs:
    """The jobs of a relay: which there are, how many run at once or wait for their turn, and what runs them.

    shipped      the limits: `max_jobs`, `job_queue`, `job_s`
    jobs         functions by name (see `streamkit.jobs`), besides those that come with streamkit, or replacing one
    executor     any executor of `concurrent.futures`' kind whose workers run on this machine, such as dask's. It should
                 run `max_jobs` at once, and the caller has to shut it down. By default one of processes, which are
                 started when there is something to do, and kept
    shipped_too  False leaves out the jobs that come with streamkit

    A job whose client has left is stopped in the middle of its work. In another executor it cannot be stopped: it
    notices at its next report, which raises JobCancelled, and its place is taken until then. Open, use and close it in
    one event loop. Raises ConfigError for a function that another process could not import.
    """

    def __init__(
        self,
        shipped: Shipped,
        jobs: Mapping[str, JobFunction] | None = None,
        executor: Executor | None = None,
        *,
        shipped_too: bool = True,
    ) -> None:
        self._registry = Registry({**(SHIPPED if shipped_too else {}), **(jobs or {})})
        self._at_once = shipped.max_jobs or 2 * (os.cpu_count() or 1)
        self._most = self._at_once + shipped.job_queue
        self.job_s = shipped.job_s
        self._given = executor
        self.intake = Intake()
        self.turns = asyncio.Semaphore(self._at_once)
        self.places: set[_Place] = set()
        """Of the jobs that wait or work."""
        self.closed = False

    async def open(self) -> None:
        """Make ready; no process is started yet. Raises ConfigError if a socket cannot be made."""
        await self.intake.open()
        self.executor = self._given or Processes(self._at_once)

    async def close(self) -> None:
        """Stop everything that runs, and leave no process of ours."""
        self.closed = True
        for place in self.places:
            place.stop()
        await self.intake.close()
        if self._given is None:
            await asyncio.to_thread(self.executor.shutdown, cancel_futures=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all jobs."""
        return self._registry.names

    def check(self, name: Any, arguments: Any) -> Job:
        """The job of that name, if it takes these arguments. Raises Failed (422), which says what there is instead."""
        try:
            known = self._registry[name]
            known.check(arguments)
        except UnknownJob as error:
            raise Failed.of_request(422, "unknown_job", str(error)) from None
        except BadArguments as error:
            raise Failed.of_request(422, "bad_arguments", str(error)) from None
        return known

    def begin(self) -> None:
        """Raise Failed (503) unless another job may come now; no place is reserved for it."""
        if self.closed:
            raise Failed(SHUT_DOWN)
        if len(self.places) >= self._most:
            raise Failed(TOO_MANY)

    def __repr__(self) -> str:
        return f"<Jobs: {', '.join(self.names)}; {len(self.places)} of {self._most} places taken>"


async def job(jobs: Jobs, name: Any, arguments: Any, into: Into) -> AsyncGenerator[list[Piece], None]:
    """Run a job: its progress, at once; all its results; and at last what it returned, with `"final": true`.

    Closing the generator stops the work. Raises Failed: before the first piece as `check` and `begin` do; after it,
    `job_failed`, `worker_lost`, `timeout_job`.
    """
    known = jobs.check(name, arguments)
    jobs.begin()
    with _Place(jobs) as place:
        queued = jobs.turns.locked()
        if not queued:
            await place.turn()  # at once: it is reserved before anybody else can come
        yield [Progress(0, message="queued" if queued else "started")]
        if queued:
            await place.turn()
            started: list[Piece] = [Progress(0, message="started")]
            if not into.offer(started):
                yield started
        working = place.start(known, arguments)
        while not working.has_ended:
            for pieces in _pieces(await working.read()):
                if not into.offer(pieces):
                    yield pieces


def _pieces(messages: list[Message]) -> Iterator[list[Piece]]:
    """What of it has to leave together; of several states the last one."""
    for kind, said in groupby(messages, key=lambda message: message.kind):
        data = [message.data for message in said]
        if kind == "progress":
            yield [Progress(**data[-1])]
        elif kind == "result":
            yield [Value(each) for each in data]
        elif kind == "returned":
            yield [Value({**data[-1], FINAL: True})]
        else:
            raise Failed(_failed(data[-1]))


def _failed(raised: dict[str, Any]) -> Failure:
    detail = f"the job failed: {raised['type']}"
    return Failure(Outcome("error_event", "job_failed"), "job_failed", 500, detail, why=masked(str(raised["why"])))


def _lost(why: str) -> Failure:
    outcome = Outcome("error_event", "worker_lost")
    return Failure(outcome, "worker_lost", 500, "the process that worked on the job was lost", why=masked(why))


class _Place:
    """One job's place: in the queue until its turn, then at work; taken until nothing of it works any more."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._has_turn = False
        self._working: _Working | None = None
        jobs.places.add(self)

    async def turn(self) -> None:
        """Until it may work. Raises Failed when nobody may any more."""
        await self._jobs.turns.acquire()
        self._has_turn = True
        if self._jobs.closed:
            raise Failed(SHUT_DOWN)

    def start(self, known: Job, arguments: dict[str, Any]) -> _Working:
        """Give it to an executor. Raises Failed when that takes none."""
        self._working = _Working(self._jobs, known, arguments, self._free)
        return self._working

    def stop(self) -> None:
        """End the work, if there is some, while somebody still waits for what it says."""
        if self._working is not None:
            self._working.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._working is None:
            self._free()
        else:
            self._working.close()

    def _free(self) -> None:
        self._jobs.places.discard(self)
        if self._has_turn:
            self._jobs.turns.release()


class _Working:
    """A job that an executor has, and the line to it. `over` is called when nothing of it works any more."""

    def __init__(self, jobs: Jobs, known: Job, arguments: dict[str, Any], over: Callable[[], None]) -> None:
        self._jobs = jobs
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._tell_over = over
        self._late = False
        self.has_ended = False
        """The job has said how it ended."""
        token, self._messages = jobs.intake.expect()
        try:
            self._future = jobs.executor.submit(work, jobs.intake.address, token, known.path, arguments)
        except Exception as error:
            self._messages.cancel()
            raise Failed(_lost(f"the executor takes no job: {type(error).__name__}")) from error
        self._future.add_done_callback(self._done)
        self._deadline = self._loop.call_later(jobs.job_s, self._expire) if jobs.job_s else None

    async def read(self) -> list[Message]:
        """What it says next. Raises Failed at its end, if it has not said how it ended."""
        coming = await asyncio.shield(self._messages)
        why = "it sent something that is no message"
        with suppress(ValueError):
            if coming is not None and (messages := await coming.read()):
                self.has_ended = messages[-1].kind in ENDS
                return messages
            why = ""
        raise Failed(await self._failure(why))

    async def _failure(self, why: str) -> Failure:
        if self._late:
            return timed_out("job")
        if self._jobs.closed:
            return SHUT_DOWN
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._over.wait()
        error = self._future.exception() if self._future.done() and not self._future.cancelled() else None
        return _lost(why or ("it hung up" if error is None else f"{type(error).__name__}: {error}"))

    def stop(self) -> None:
        """Nothing of it is to work any more; what it has said can still be read."""
        self._future.cancel()
        if not self._messages.done():
            self._messages.set_result(None)
        elif (coming := self._messages.result()) is not None:
            coming.hang_up()

    def close(self) -> None:
        """Nothing more of it is wanted."""
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.has_ended:
            self.stop()
        if self._messages.done() and (coming := self._messages.result()) is not None:
            coming.close()

    def _expire(self) -> None:
        self._late = True
        self.stop()

    def _done(self, _: Future[None]) -> None:
        """In whatever thread the executor says so."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._freed)

    def _freed(self) -> None:
        if not self._messages.done():  # it ended without having said anything
            self._messages.set_result(None)
        self._over.set()
        self._tell_over()
