"""What keeps a server running behind its `Server` handle: a thread with its own loop, or a process with a watcher.

Theory of operation. A runner has one thread, whatever its kind: it serves (`ThreadRunner`, the link's) or waits for the
child process that does (`ProcessRunner`). Whoever starts and stops it does so from other threads, any number of times.

    state       what holds then                              who moves it on
    starting    the socket is bound, nobody is answered      the thread: `_is_ready()` when requests are answered
    running     requests are answered                        the thread: `_end()` when `_serve()` has returned or raised
    stopped     `_over` is set, the socket closed, nothing   nobody: a runner is started once
                of it is left
    failed      the same, and `error` says what ended it     nobody

`start()` binds in the caller's thread, so that a taken port is an error at once, launches the thread, and waits for
`_settled`: ready, or over before it was. `ask()` moves nothing by itself: it leaves a wish (a `StopRequest`, or a float
in the child's pipe), and never blocks, so that finalizers and signal handlers can call it. `stop()` asks, and waits for
`_over`; a thread that does not end is an error, a process is killed. In a forked child every runner is "stopped": the
server is its parent's.

                     thread                                  process
    the app is       built in the caller's thread            built in the child, from a pickled factory
    ready is said    by a call on the loop                   by a line of JSON in the report pipe
    asked to stop    by its StopRequest                      by a float in the lifeline, the child's stdin
    if it hangs      ServerError: no thread can be killed    SIGKILL
    if we die        it dies with us                         the lifeline ends, and so does it

A runner never holds its handle, so that a handle nobody keeps can be collected and its server stopped.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from streamkit.errors import ServerError
from streamkit.serving.child import GRACE, LENGTH, Order
from streamkit.serving.factory import build, forget
from streamkit.serving.listener import Listener, listen
from streamkit.serving.running import LEFTOVER_S, LISTENER_S, StopRequest, run_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamkit.serving.factory import App, Factory

__all__ = ["ProcessRunner", "Runner", "Stoppable", "ThreadRunner", "pickled"]

_log = logging.getLogger("streamkit.server")

ABANDON_S = 1.0  # how long a server that did not start may take to clean up
STOP_MARGIN_S = 2 * LISTENER_S + 3 * LEFTOVER_S + 1.0  # beyond the grace: what run_app() may need to clean up


class Stoppable:
    """What runs in the background until it is stopped.

    Leaving the block stops it; `async with` does so in a thread, so that the loop goes on meanwhile.
    """

    def stop(self) -> None:
        """Stop, and leave nothing running; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class Runner(ABC):
    """One server: made, started once, asked to stop any number of times from anywhere, over."""

    kind: ClassVar[str]
    app: App | None = None
    process: subprocess.Popen[bytes] | None = None

    def __init__(self, name: str, loop: str, grace_s: float, on_end: Callable[[Runner], None]) -> None:
        self.name = name
        self.loop = loop
        self.grace_s = grace_s
        self.listener: Listener | None = None
        self.error: BaseException | None = None
        self.ready = False
        self._on_end = on_end
        self._owner = os.getpid()
        self._settled = threading.Event()  # ready, or over
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"streamkit {name}", daemon=True)

    @property
    def own_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that serves, where it is in this process, and once it runs."""
        return None

    @property
    def state(self) -> str:
        """`starting`, `running`, `stopped` or `failed`."""
        if self._over.is_set() or self._owner != os.getpid():
            return "stopped" if self.error is None else "failed"
        return "running" if self.ready else "starting"

    def start(self, host: str, port: int, unix: str | os.PathLike[str] | bool | None, timeout_s: float) -> None:
        """Bind, start, wait until requests are answered. Raises ServerError; then nothing is left running."""
        try:
            self.listener = listen(host, port, unix)
            self._launch(self.listener)
            self._await_start(timeout_s)
        except BaseException:
            self._abandon()
            raise

    def _await_start(self, timeout_s: float) -> None:
        if not self._settled.wait(timeout_s):
            raise ServerError(
                f"the server did not start within {timeout_s:g} s: does a before_server_start listener hang? "
                "Otherwise pass a longer start_timeout_s"
            )
        if self.ready:
            return
        if self.error is None:
            raise ServerError("the server was stopped while it started: another serve() took its place, or stop_all()")
        if isinstance(self.error, ServerError):
            raise self.error
        raise ServerError(f"the server could not start: {type(self.error).__name__}: {self.error}") from self.error

    @abstractmethod
    def ask(self, grace_s: float) -> None:
        """Ask it to stop within `grace_s`; returns at once, and never raises (finalizers call it)."""

    @abstractmethod
    def _launch(self, listener: Listener) -> None:
        """Prepare in the caller's thread and start `self._thread`; what is wrong with the factory raises."""

    @abstractmethod
    def _serve(self, listener: Listener) -> None:
        """The body of `self._thread`: return when the server has ended."""

    def stop(self, grace_s: float) -> None:
        """Ask, and wait until it is over; from the server's own thread only ask. Raises ServerError if it hangs."""
        if self._owner != os.getpid():
            return  # a forked child: the server is its parent's
        self.ask(grace_s)
        if threading.current_thread() is not self._thread and not self._join(grace_s + STOP_MARGIN_S):
            raise ServerError(
                f"the server {self.name!r} does not stop: a handler blocks its event loop, or ignores cancellation. "
                "It ends when that call returns; serve(..., process=True) makes a server that can always be stopped"
            )

    def join(self, timeout_s: float) -> bool:
        """Wait until a server that was asked to stop is over; True if it is."""
        return self._owner != os.getpid() or threading.current_thread() is self._thread or self._join(timeout_s)

    def leave_to_parent(self) -> None:
        """In a forked child: close our copies of what would keep the parent's server reachable, or alive."""
        with suppress(OSError):
            if self.listener is not None and self.listener.sock.fileno() >= 0:
                os.close(self.listener.sock.detach())

    def _abandon(self) -> None:
        self.ask(0)
        if self._thread.ident is None:
            self._end()
        else:
            self.join(ABANDON_S)

    def _join(self, timeout_s: float) -> bool:
        if not self._over.wait(timeout_s):
            return False
        if self._thread.ident is not None:
            self._thread.join(1.0)  # a few instructions after the event
        return True

    def _run(self) -> None:
        assert self.listener is not None  # noqa: S101  # for the type checker: start() binds first
        try:
            self._serve(self.listener)
        except BaseException as error:  # noqa: BLE001  # a thread has nobody else to tell
            self.error = error
            if self.ready:
                _log.exception("the server %r failed", self.name)
        finally:
            self._end()

    def _end(self) -> None:
        if self.listener is not None:
            self.listener.close()
        self._on_end(self)
        self._over.set()
        self._settled.set()

    def _is_ready(self) -> None:
        self.ready = True
        self._settled.set()


class ThreadRunner(Runner):
    """A daemon thread: a non-daemon one would keep the notebook's kernel from exiting."""

    kind = "thread"

    def __init__(self, factory: Factory, *args: Any) -> None:
        super().__init__(*args)
        self._factory = factory
        self._request = StopRequest()

    @property
    def own_loop(self) -> asyncio.AbstractEventLoop | None:
        return self._request.loop

    def ask(self, grace_s: float) -> None:
        self._request.ask(grace_s)

    def _launch(self, listener: Listener) -> None:
        del listener
        self._app = self.app = build(self._factory)
        try:
            self._thread.start()
        except RuntimeError:
            forget(self._app)
            raise

    def _serve(self, listener: Listener) -> None:
        run_app(self._app, listener, self._request, loop=self.loop, on_ready=self._is_ready)


class ProcessRunner(Runner):
    """A child process and the thread that waits for it, so that it never stays behind as a zombie.

    Not multiprocessing: its resource tracker delays the exit of the notebook's kernel by seconds. The child is in our
    process group, where a notebook's kernel that ends looks for its children; and it reads a pipe of ours, which ends
    when we die.
    """

    kind = "process"

    def __init__(self, factory: bytes, *args: Any) -> None:
        super().__init__(*args)
        self._factory = factory
        self._asked_s: float | None = None
        self._pipe_lock = threading.RLock()  # a finalizer may ask at any time, also inside this very thread
        self._report: io.FileIO | None = None

    def ask(self, grace_s: float) -> None:
        with self._pipe_lock, suppress(OSError, ValueError):  # the process, or our end of the pipe, is gone already
            self._asked_s = grace_s
            if self.process is not None and self.process.stdin is not None:
                self.process.stdin.write(GRACE.pack(grace_s))

    def stop(self, grace_s: float) -> None:
        try:
            super().stop(grace_s)
        except ServerError:
            self._kill()

    def join(self, timeout_s: float) -> bool:
        return super().join(timeout_s) or self._kill()

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        with suppress(OSError):
            if self.process is not None and self.process.stdin is not None:
                self.process.stdin.close()

    def _kill(self) -> bool:
        if self.process is not None:
            self.process.kill()
        return self._join(STOP_MARGIN_S)

    def _launch(self, listener: Listener) -> None:
        read_end, write_end = os.pipe()
        self._report = io.FileIO(read_end)
        sock = listener.sock
        order: Order = {
            "factory": self._factory,
            "sys_path": sys.path,
            "sock": (sock.fileno(), sock.family, sock.type, sock.proto),
            "unix": listener.unix,
            "inode": listener.inode,
            "own_folder": listener.own_folder,
            "report": write_end,
            "loop": self.loop,
            "grace_s": self.grace_s,
        }
        try:
            with self._pipe_lock, _sigint_blocked():
                self.process = subprocess.Popen(  # our own module, no shell
                    [sys.executable, "-m", "streamkit.serving.child"],
                    stdin=subprocess.PIPE,
                    pass_fds=(sock.fileno(), write_end),
                    bufsize=0,
                )
                self._send(pickle.dumps(order))
                if self._asked_s is not None:
                    self.ask(self._asked_s)
        except BaseException:
            if self.process is None:
                self._report.close()
            else:
                self.process.kill()
                self._thread.start()
            raise
        finally:
            os.close(write_end)
            sock.close()
        self._thread.start()

    def _send(self, order: bytes) -> None:
        assert self.process is not None  # noqa: S101  # for the type checker
        assert self.process.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
        rest = memoryview(LENGTH.pack(len(order)) + order)
        with suppress(BrokenPipeError):  # it died early: its report, or the lack of one, tells more
            while rest:
                rest = rest[self.process.stdin.write(rest) or 0 :]

    def _serve(self, listener: Listener) -> None:
        del listener
        assert self.process is not None  # noqa: S101  # for the type checker: _launch() has started it
        assert self.process.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
        assert self._report is not None  # noqa: S101  # for the type checker
        with self._report as report:
            said: dict[str, Any] = json.loads(report.readline() or b"{}")
        if "ready" in said:
            self._is_ready()
        code = self.process.wait()
        with self._pipe_lock:
            self.process.stdin.close()
        if "error" in said:
            raise ServerError(f"the server process could not start: {said['error']}\n\n{said['traceback']}")
        if self._asked_s is None and not self.ready:
            raise ServerError(f"the server process ended with exit code {code} before it was ready; see its stderr")
        if self._asked_s is None and code not in (0, -signal.SIGTERM):
            raise ServerError(f"the server process ended by itself with exit code {code}")


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Start a child with SIGINT blocked: it unblocks it when it has learnt to ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pickler(pickle.Pickler):
    """Refuses what a new process cannot import again: functions and classes of `__main__`, the notebook among them."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, FunctionType | type) and obj.__module__ == "__main__":
            raise pickle.PicklingError(f"{obj.__qualname__} is defined in __main__, where the process cannot find it")
        return NotImplemented


def pickled(factory: Factory) -> bytes:
    """The factory for another process. Raises TypeError, saying what to pass, for one that cannot go there."""
    stream = io.BytesIO()
    try:
        _Pickler(stream).dump(factory)
    except Exception as error:
        raise TypeError(
            "serve(..., process=True) needs a factory that a new process can import: pass an import string such as "
            '"package.module:make_app", or functools.partial of a function from an importable module; a lambda, or a '
            f"function defined in the notebook or the main script, stays behind ({error})"
        ) from error
    return stream.getvalue()
