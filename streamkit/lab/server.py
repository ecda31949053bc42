"""serve(): a Sanic app on a real socket, from a notebook cell, a script or a thread.

    server = serve(make_app)                 # own thread, own loop, a free port of 127.0.0.1
    server.url                               # 'http://127.0.0.1:43211'
    server.stop()                            # or: with serve(make_app) as server: ...

A server lives as long as its handle. In IPython a cell that is run again stops what it started before.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamkit.errors import ServerError
from streamkit.lab._runner import ProcessRunner, Runner, ThreadRunner, pickled
from streamkit.lab.stoppable import Stoppable
from streamkit.running import after_fork, check_factory, check_loop

if TYPE_CHECKING:
    import subprocess
    from types import FrameType

    from streamkit.running import App, Factory

__all__ = ["Entry", "Server", "discard", "enter", "serve", "servers", "stop_all"]

EXIT_S = 2.0  # the longest that servers nobody has stopped may delay the end of the interpreter


def serve(
    factory: Factory,
    *,
    name: str | None = None,
    process: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    unix: str | os.PathLike[str] | bool | None = None,
    loop: str = "auto",
    grace_s: float = 0.2,
    start_timeout_s: float = 30.0,
) -> Server:
    """Start a server and return its handle once it answers requests.

    `factory` is a callable without arguments that returns a new `sanic.Sanic`, or an import string
    `"package.module:make_app"`. The server has a thread and an event loop of its own (`loop`: `"uvloop"`, `"asyncio"`,
    or `"auto"`: uvloop where it is installed), so a blocking call in a cell does not stop it; with `process=True` it
    has a process of its own, which dies with this one. `port=0` is a free port; `unix=True` a Unix socket at a fresh
    path, `unix=path` one at that path. `grace_s` is how long `stop()` lets open responses go on before it cuts them.

    Keep the handle: when it is garbage-collected, the server stops. In IPython, servers that an earlier run of the
    same cell started are stopped first (same cell id, or same source where the frontend sends none); several servers
    of one run live side by side. A living server of the same `name` is always stopped and replaced.

    An app name may be fixed in the factory: of several living apps of a name, `Sanic.get_app(name)` finds the newest.
    Sanic's own information lines are turned off (logger `sanic.root` at WARNING), its warnings and errors are not.

    Raises TypeError for what is no factory, or for one that cannot go to another process; ConfigError for a malformed
    import string or an unknown `loop`; ServerError when the address is taken, when the factory or a start listener
    raises (chained), or when the start takes longer than `start_timeout_s`.
    """
    check_factory(factory)
    check_loop(loop)
    label = name if name is not None else f"server-{next(_numbers)}"
    runner: Runner
    if process:
        runner = ProcessRunner(pickled(factory), label, loop, grace_s, discard)
    else:
        runner = ThreadRunner(factory, label, loop, grace_s, discard)
    entry = enter(runner, name)
    try:
        runner.start(host, port, unix, start_timeout_s)
    except ServerError as error:
        holder = _on_port(port) if runner.listener is None else None
        if holder is None:
            raise
        raise ServerError(f"{error}. There is {holder!r} of this process: a common name= replaces it") from error
    handle = Server(runner)
    entry.handle = weakref.ref(handle)
    return handle


def servers() -> list[Server]:
    """The servers of this process that are running and whose handle somebody holds, oldest first."""
    with _lock:
        entries = list(_entries.values())
    handles = (entry.handle() for entry in entries if entry.handle is not None)
    return [handle for handle in handles if handle is not None and handle.running]


def stop_all(grace_s: float | None = None) -> None:
    """Stop every server of this process, side by side. Raises ServerError if one does not stop."""
    with _lock:
        runners = list(_entries)
    for runner in runners:
        runner.ask(runner.grace_s if grace_s is None else grace_s)
    for runner in runners:
        runner.stop(runner.grace_s if grace_s is None else grace_s)


class Server(Stoppable):
    """The handle of a server that `serve()` started. A context manager, also with `async with`.

    `.url` is what a client connects to, for a Unix socket `http+unix://%2Ftmp%2F….sock` (the path percent-encoded);
    `.app` the Sanic app (None in process mode), `.process` the `subprocess.Popen` (None in thread mode).
    """

    def __init__(self, runner: Runner) -> None:
        listener = runner.listener
        assert listener is not None  # noqa: S101  # for the type checker: it has been started
        self._runner = runner
        self.url: str = listener.url
        self.host: str = listener.host
        self.port: int = listener.port
        self.unix: str | None = listener.unix
        self.name: str = runner.name
        self.app: App | None = runner.app
        self.process: subprocess.Popen[bytes] | None = runner.process
        weakref.finalize(self, runner.ask, runner.grace_s).atexit = False

    @property
    def running(self) -> bool:
        """True until the server has ended, by `stop()` or by itself."""
        return self._runner.state == "running"

    def stop(self, grace_s: float | None = None) -> None:
        """Stop accepting, close idle connections, let open responses go on for `grace_s` seconds, cut the rest visibly.

        Blocks until it is done (from a handler of the server itself it only asks). Stopping again is allowed, from
        any thread, and can shorten the grace. Raises ServerError when a handler blocks the server's loop.
        """
        self._runner.stop(self._runner.grace_s if grace_s is None else grace_s)

    def __repr__(self) -> str:
        return f"<Server {self._runner.kind} {self._runner.state} {self.url}>"


# --- Which servers there are ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """Something that runs in this process: a server, or a link."""

    runner: Runner
    name: str | None
    cell: _Cell | None
    handle: weakref.ref[Server] | None = None

    def makes_way_for(self, new: Entry) -> bool:
        if self.handle is not None and self.handle() is None:
            return True  # collected, and asked to stop: its port may be wanted
        if self.name is not None and self.name == new.name:
            return True
        return self.cell is not None and new.cell is not None and self.cell.was_before(new.cell)


_lock = threading.RLock()
_entries: dict[Runner, Entry] = {}
_numbers = itertools.count(1)
_prepared = False


def enter(runner: Runner, name: str | None = None) -> Entry:
    """Take `runner`, which is about to start, among those that this process stops at its exit and when their cell is
    run again; those that make way for it are stopped now.
    """
    _prepare_process()
    new = Entry(runner, name, _cell())
    with _lock:
        old = [entry for entry in _entries.values() if entry.makes_way_for(new)]
        _entries[runner] = new
    for entry in old:
        entry.runner.stop(entry.runner.grace_s)
    return new


def discard(runner: Runner) -> None:
    """The inverse: it has ended."""
    with _lock:
        _entries.pop(runner, None)


def _on_port(port: int) -> Server | None:
    return next((server for server in servers() if port and server.port == port), None)


def _prepare_process() -> None:
    """At the first serve(), not on import: the net at the interpreter's exit, and what a fork has to leave alone."""
    global _prepared
    with _lock:
        if not _prepared:
            _prepared = True
            atexit.register(_at_exit)
            os.register_at_fork(after_in_child=_in_forked_child)


def _at_exit() -> None:
    with _lock:
        runners = list(_entries)
    for runner in runners:
        runner.ask(0)
    deadline = time.monotonic() + EXIT_S
    for runner in runners:
        runner.join(max(0.0, deadline - time.monotonic()))


def _in_forked_child() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it may not exist here
    after_fork()
    for runner in _entries:
        runner.leave_to_parent()
    _entries.clear()


# --- Which cell is running ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """`scope` tells cells apart, `run` the runs of one cell."""

    scope: str
    run: object

    def was_before(self, now: _Cell) -> bool:
        return self.scope == now.scope and self.run != now.run


def _cell() -> _Cell | None:
    """The cell that is running, None outside IPython."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython is not None else None
    if shell is None:
        return None
    parent = _parent_message(shell)
    scope = parent.get("metadata", {}).get("cellId") or _cell_file(shell.user_ns)
    run = parent.get("header", {}).get("msg_id") or shell.execution_count
    return None if scope is None else _Cell(str(scope), run)


def _parent_message(shell: Any) -> dict[str, Any]:
    """The frontend's request that is being executed; JupyterLab and VS Code put the cell's id into its metadata."""
    get_parent = getattr(shell, "get_parent", None)
    return (get_parent() if get_parent is not None else None) or {}


def _cell_file(user_namespace: dict[str, Any]) -> str | None:
    """The file name IPython gave to the code of the cell: a hash of its source, and in a terminal its number too."""
    found = None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is user_namespace:
            found = frame.f_code.co_filename  # the outermost wins: the cell, not a helper from an earlier cell
        frame = frame.f_back
    return found and re.sub(r"^<ipython-input-\d+-", "<ipython-input-", found)
