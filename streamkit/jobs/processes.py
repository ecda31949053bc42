"""Processes: an executor (`concurrent.futures`) that can stop one call in the middle of its work, and goes on.

The standard library's ProcessPoolExecutor is broken once one of its processes was killed: they share their pipes, and
locks on them. Here each process has a socket of its own, and a thread that waits for it: it starts the process when
there is something to do, gives it one call at a time, and waits for the answer or for its end. So nothing is polled, a
process may be killed at any time without anybody else's noticing, and the next call that comes gets a new one.

Pebble's ProcessPool, which stops calls too, shares them as well: a process that is killed while it waits breaks it, and
one in the midst of C goes on for three seconds, in which nobody else is cancelled.

No multiprocessing: its resource tracker delays the exit of a notebook's kernel by seconds, and its children import the
main script again, which is a whole server perhaps.

state of a call   begins                              ends
waiting           `submit`                            a thread takes it → running; `cancel` → over, it never ran
running           its process was sent it             the answer → over, the process waits for the next call;
                                                      `cancel` → the process is killed; its end, however it came,
                                                      → over, and the next call gets a new process
over              nothing of it works any more        –
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

__all__ = ["ProcessLost", "Processes"]

P = ParamSpec("P")
T = TypeVar("T")


class ProcessLost(RuntimeError):
    """The process that worked on a call ended without having been asked to."""


class Processes(Executor):
    """An executor of up to `max_workers` processes that can stop a running call.

    >>> from streamkit.jobs.processes import Processes
    >>> with Processes(1) as processes:
    ...     processes.submit(divmod, 7, 3).result()
    (2, 1)

    Processes are started when there is something to do, and kept until `shutdown`. `cancel()` of a running future kills
    its process and returns True; the future is done, with CancelledError, when that process has ended. The processes
    are in process groups of their own: whatever they have started ends with them, and Ctrl-C does not reach them. If a
    process dies by itself, its call raises ProcessLost.
    """

    def __init__(self, max_workers: int) -> None:
        self._max = max_workers
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[_Call] = set()  # those that are not over
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in a process; returns a future, as any executor does.

        Raises RuntimeError after `shutdown`, and what pickle raises for what cannot be sent to another process.
        """
        call = _Call(pickle.dumps((fn, args, kwargs)))
        with self._lock:
            if self._closed:
                raise RuntimeError("these processes were shut down: make new ones")
            self._open.add(call)
            self._calls.put(call)
            if self._max > len(self._threads) < len(self._open):
                thread = threading.Thread(target=self._keep, name="streamkit jobs", daemon=True)
                self._threads.append(thread)
                thread.start()
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As for any executor, but `cancel_futures` also cancels running calls. With `wait`, no process is left."""
        with self._lock:
            stops = 0 if self._closed else len(self._threads)
            self._closed = True
            calls = list(self._open) if cancel_futures else []
        for call in calls:
            call.cancel()
        for _ in range(stops):
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    @property
    def at_work(self) -> tuple[int, ...]:
        """The ids of the processes that work on a call; a killed one counts until it has ended.

        >>> from streamkit.jobs.processes import Processes
        >>> with Processes(1) as processes:
        ...     processes.at_work
        ()
        """
        with self._lock:
            return tuple(call.pid for call in self._open if call.pid is not None)

    def _keep(self) -> None:
        """The life of one thread: one process after the other, each until it is lost."""
        process: _Process | None = None
        while (call := self._calls.get()) is not None:
            if call.set_running_or_notify_cancel():
                process = self._run(call, process)
            with self._lock:
                self._open.discard(call)
        if process is not None:
            process.end()

    def _run(self, call: _Call, process: _Process | None) -> _Process | None:
        """One call, in `process` or a new one; the process that is there afterwards."""
        if process is not None and process.has_ended():
            process.end()
            process = None
        try:
            process = process or _Process()
        except OSError as error:
            call.set_exception(error)
            return None
        answer = process.ask(call.order) if call.runs_in(process) else None
        if call.is_over() or answer is None:
            code = process.end()
            call.set_exception(CancelledError() if call.cancelled_by_us else ProcessLost(f"it ended with {code}"))
            return None
        returned, value = answer
        if returned:
            call.set_result(value)
        else:
            call.set_exception(value)
        return process


class _Call(Future[Any]):
    """A call, and its outcome."""

    def __init__(self, order: bytes) -> None:
        super().__init__()
        self.order = order
        self.cancelled_by_us = False
        self.pid: int | None = None
        self._process: _Process | None = None
        self._over = False
        self._changing = threading.Lock()

    def cancel(self) -> bool:
        """Also while it runs, by killing its process. False when it is over."""
        if super().cancel():
            return True
        with self._changing:
            if self._over:
                return False
            self.cancelled_by_us = True
            if self._process is not None:
                self._process.kill()
        return True

    def runs_in(self, process: _Process) -> bool:
        """From now on to cancel is to kill it; False if it was cancelled already."""
        with self._changing:
            self._process, self.pid = process, process.pid
            return not self.cancelled_by_us

    def is_over(self) -> bool:
        """From now on there is nothing to cancel; whether it was."""
        with self._changing:
            self._process, self._over = None, True
            return self.cancelled_by_us


class _Process:
    """A process, and our end of its socket. Raises OSError where none can be started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._popen = subprocess.Popen(  # noqa: S603  # our own module, no shell
                    [sys.executable, "-m", "streamkit.jobs.child", str(theirs.fileno())],
                    stdin=subprocess.PIPE,  # it ends when we do
                    pass_fds=[theirs.fileno()],
                    process_group=0,
                )
            except OSError:
                ours.close()
                raise
        self.pid = self._popen.pid
        self._socket = ours
        self._stream = ours.makefile("rwb")
        self._send(sys.path)

    def ask(self, order: bytes) -> tuple[bool, Any] | None:
        """Whether the call returned, and what, or raised; None if the process has ended instead."""
        self._send(order)
        try:
            answer: tuple[bool, Any] = pickle.load(self._stream)  # noqa: S301  # from our own process
        except Exception:  # noqa: BLE001  # it was cut off anywhere; or holds what cannot be read here
            return None
        return answer

    def _send(self, what: object) -> None:
        with suppress(OSError):  # it has ended: the lack of an answer tells
            pickle.dump(what, self._stream)
            self._stream.flush()

    def has_ended(self) -> bool:
        """It died while it waited, of a lack of memory perhaps: it says nothing unasked, but then its socket ends."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def kill(self) -> None:
        """With all it has started. From any thread, as long as nobody has waited for it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Kill it, and wait until it has ended; how it ended."""
        self.kill()
        code = self._popen.wait()
        for end in (self._stream, self._socket, self._popen.stdin):
            with suppress(OSError):  # what was not sent will not be
                if end is not None:
                    end.close()
        return code
