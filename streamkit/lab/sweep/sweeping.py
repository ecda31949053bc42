"""sweep(): every setting of a grid, round by round, on any executor."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamkit.jobs.processes import Processes, ProcessLost
from streamkit.lab.arguments import check_number, check_whole
from streamkit.lab.bar import plain_bar
from streamkit.lab.sweep.grid import Grid, Setting, settings_of
from streamkit.lab.sweep.journal import Journal
from streamkit.lab.sweep.kept import LAST
from streamkit.lab.sweep.portable import Portable, name_of
from streamkit.lab.sweep.rows import Sweep, TrialRow
from streamkit.lab.sweep.schedule import Planned, planned
from streamkit.lab.sweep.trial import Done, reason, run_alone, run_trial
from streamkit.lab.under_way import under_way

if TYPE_CHECKING:
    import os


__all__ = ["sweep"]

SEED: Final = "seed"
TOO_LONG: Final = f" {-signal.SIGALRM}"
"""How the words of a lost process end if our alarm has ended it."""
NEVER_RAN: Final = (CancelledError, BrokenExecutor)
"""What says nothing of a trial: it was not begun, or went down with others."""

Run: TypeAlias = Callable[[Portable, Setting, Mapping[str, int]], Done]


def sweep(
    trial: Callable[..., Any],
    grid: Grid,
    executor: Executor | None = None,
    *,
    repeats: int = 1,
    seed: int = 0,
    workers: int = 1,
    warm_up: int = 0,
    timeout_s: float | None = None,
    path: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> Sweep:
    """Call a function with every combination of a grid of parameters, several times, and return a row for each call.

        swept = sk.sweep(trial, {"policy": ["pause", "latest"], "gap_ms": [10, 20]}, repeats=6, path="policies.jsonl")

    trial        a function, or coroutine function, that takes the grid's parameters. It returns a mapping of names to
                 numbers, one number, or a Recording or RecordingSet, whose summary's numbers are taken. If it has a
                 parameter `seed`, it gets the seed of its round
    grid         a mapping of names to values: every combination is a setting. Or several such mappings, one after the
                 other
    executor     an executor of `concurrent.futures`, or anything that behaves like one, such as `dask.distributed`'s
                 `client.get_executor()`. It is not shut down. By default, processes of our own: each runs one trial at
                 a time, and whatever the trial has started ends with it
    repeats      how many rounds. Each tries all settings once, in an order of its own, so that differences within a
                 round are free of what else the machine was doing; with fewer than six rounds no difference is sure
    seed         what the orders and seeds are made from: the same in each run, on each executor
    workers      how many processes of our own. One by default, since trials that measure times disturb each other;
                 trials that only compute may have as many as there are cores
    warm_up      how many trials of the first setting each process of our own runs first, whose results are thrown away:
                 the first trial of a process pays for its imports
    timeout_s    how long a trial may take; then its process is killed, with all it has started. Only in processes of
                 our own
    path         a file to which each row is written as soon as it is there. A sweep that was killed goes on from it, a
                 finished one is read from it, and if `repeats` is higher now, rounds are added. It has to be the file
                 of this trial, grid and seed
    retry_failed   run trials again that failed in the file's earlier runs; those that never ran are run in any case
    progress     show a progress bar (tqdm), in a notebook or a terminal

    A trial that raises, or whose process dies, is a row with `error`, and the others go on. Ctrl-C stops the sweep:
    what is there is the KeyboardInterrupt's attribute `sweep`, and `sk.last_sweep()`. Of our own processes nothing is
    left running; another executor finishes the trials that it has begun.

    The call blocks: servers that run on the caller's loop have to wait meanwhile.

    Raises TypeError for a trial that cannot be called with these parameters, or cannot be sent to another process (for
    a function in a notebook, or in the running script, see cloudpickle); TypeError or ValueError for an invalid grid;
    ValueError for the file of another sweep, BlockingIOError for a file that is being written, and RecordingFormatError
    for a file of something else.
    """
    check_whole("repeats", repeats, least=1)
    check_whole("seed", seed, least=None)
    check_whole("workers", workers, least=1)
    check_whole("warm_up", warm_up)
    _check_timeout(timeout_s, executor)
    settings = settings_of(grid)
    takes_seed = _check_trial(trial, settings)
    portable = Portable(trial)
    if executor is None:
        _ = portable.order  # what cannot go to a process fails now
    head = {"trial": name_of(trial), "settings": list(settings), "repeats": repeats, "seed": seed}
    with (
        nullcontext() if path is None else Journal(path, head) as journal,
        _pool(executor, workers, timeout_s) as (pool, run),
    ):
        swept = _Sweeping(portable, settings, repeats, seed, journal, retry_failed)
        total, done = len(settings) * repeats, len(swept.rows)
        with under_way(swept.result), plain_bar(total, unit="trials", shown=progress, done=done) as show:
            try:
                swept.warm_up(pool, run, takes_seed, warm_up * workers)
                swept.run(pool, run, takes_seed, show)
            except BaseException as error:
                LAST.carry(swept.result(), error)
                raise
    return LAST.keep(swept.result())


class _Sweeping:
    """What is done, and what is still to be."""

    def __init__(
        self,
        trial: Portable,
        settings: tuple[Setting, ...],
        repeats: int,
        seed: int,
        journal: Journal | None,
        retry_failed: bool,
    ) -> None:
        self._trial, self._settings, self._repeats, self._seed = trial, settings, repeats, seed
        self._journal = journal
        done = [TrialRow.of(record) for record in journal.rows] if journal is not None else []
        self.rows = {row.order: row for row in done if row.repeat < repeats and (row.error is None or not retry_failed)}

    def warm_up(self, pool: Executor, run: Run, takes_seed: bool, times: int) -> None:
        """All at once, so that each process has some; only where something is still to be done."""
        if len(self.rows) < len(self._settings) * self._repeats:
            extra = {SEED: self._seed} if takes_seed else {}
            wait([_submit(pool, run, self._trial, self._settings[0], extra) for _ in range(times)])

    def run(self, pool: Executor, run: Run, takes_seed: bool, show: Callable[[int, str], None]) -> None:
        """All that is missing, in its order; whatever stops us stops what has not begun."""
        futures: dict[Future[Done], Planned] = {}
        try:
            for due in planned(len(self._settings), self._repeats, self._seed):
                if due.order not in self.rows:
                    extra = {SEED: due.seed} if takes_seed else {}
                    futures[_submit(pool, run, self._trial, self._settings[due.setting], extra)] = due
            for future in as_completed(futures):
                self._take(futures[future], future)
                show(len(self.rows), f"failed={sum(row.error is not None for row in self.rows.values())}")
        finally:
            for future in futures:
                future.cancel()

    def _take(self, due: Planned, future: Future[Done]) -> None:
        failure = _failure(future)
        done = future.result() if failure is None else Done({}, _why(failure), None, None)
        row = TrialRow(
            parameters=self._settings[due.setting],
            repeat=due.repeat,
            order=due.order,
            seed=due.seed,
            **done._asdict(),
        )
        self.rows[row.order] = row
        if self._journal is not None and not isinstance(failure, NEVER_RAN):
            self._journal.write(row.as_dict())

    def result(self) -> Sweep:
        rows = tuple(row for _, row in sorted(self.rows.copy().items()))  # a copy: who watches asks from another thread
        name = name_of(self._trial.function)
        return Sweep(trial=name, settings=self._settings, repeats=self._repeats, seed=self._seed, rows=rows)


def _failure(future: Future[Done]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as cancelled:
        return cancelled


def _why(failure: BaseException) -> str:
    if isinstance(failure, ProcessLost) and str(failure).endswith(TOO_LONG):
        return "TimeoutError: it took longer than it may (timeout_s)"
    return f"never ran: {reason(failure)}" if isinstance(failure, NEVER_RAN) else reason(failure)


def _submit(pool: Executor, run: Run, trial: Portable, setting: Setting, extra: Mapping[str, int]) -> Future[Done]:
    """A pool that is broken takes nothing any more: that is what came of the trial."""
    try:
        return pool.submit(run, trial, setting, extra)
    except BrokenExecutor as error:
        broken: Future[Done] = Future()
        broken.set_exception(error)
        return broken


@contextmanager
def _pool(executor: Executor | None, workers: int, timeout_s: float | None) -> Iterator[tuple[Executor, Run]]:
    """The caller's, which is left as it is, or our own, of which nothing is left."""
    if executor is not None:
        if not callable(getattr(executor, "submit", None)):
            raise TypeError(
                "expected an executor such as those of concurrent.futures, or client.get_executor() of dask, got "
                f"{executor!r}"
            )
        yield executor, run_trial
        return
    own = Processes(workers)
    try:
        yield own, partial(run_alone, timeout_s=timeout_s)
    finally:
        own.shutdown(cancel_futures=True)


def _check_timeout(timeout_s: float | None, executor: Executor | None) -> None:
    if timeout_s is None:
        return
    check_number("timeout_s", timeout_s, "seconds", zero=False)
    if executor is not None:
        raise ValueError("expected no timeout_s with an executor: only processes of our own can be stopped")


def _check_trial(trial: object, settings: tuple[Setting, ...]) -> bool:
    """Raise unless `trial` can be called with each setting; whether it takes a seed."""
    if not callable(trial):
        raise TypeError(f"expected trial as a function of the grid's parameters, got {trial!r}")
    signature = inspect.signature(trial)
    takes_seed = SEED in signature.parameters
    for setting in settings:
        try:
            signature.bind(**setting, **({SEED: 0} if takes_seed else {}))
        except TypeError as error:
            raise TypeError(
                f"expected trial as a function of {', '.join(setting)}, got {name_of(trial)}: {error}"
            ) from None
    return takes_seed
