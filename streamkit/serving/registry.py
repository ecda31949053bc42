"""What runs in this process, and which cell of a notebook began it."""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamkit.serving.factory import after_fork
from streamkit.serving.runner import Runner, Stoppable

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Running", "discard", "enter", "running"]

EXIT_S = 2.0  # the longest that servers nobody has stopped may delay the end of the interpreter


@dataclass(slots=True)
class Running:
    """Something that runs in this process: a server, or a link."""

    runner: Runner
    name: str | None
    cell: _Cell | None
    handle: weakref.ref[Stoppable] | None = None

    def makes_way_for(self, new: Running) -> bool:
        if self.handle is not None and self.handle() is None:
            return True  # collected, and asked to stop: its port may be wanted
        if self.name is not None and self.name == new.name:
            return True
        return self.cell is not None and new.cell is not None and self.cell.was_before(new.cell)


_lock = threading.RLock()
_running: dict[Runner, Running] = {}
_prepared = False


def enter(runner: Runner, name: str | None = None) -> Running:
    """Take `runner`, which is about to start, among those that this process stops at its exit and when their cell is
    run again; those that make way for it are stopped now.
    """
    _prepare_process()
    new = Running(runner, name, _cell())
    with _lock:
        old = [each for each in _running.values() if each.makes_way_for(new)]
        _running[runner] = new
    for each in old:
        each.runner.stop(each.runner.grace_s)
    return new


def running() -> list[Running]:
    """What runs here now, oldest first."""
    with _lock:
        return list(_running.values())


def discard(runner: Runner) -> None:
    """The inverse: it has ended."""
    with _lock:
        _running.pop(runner, None)


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
        runners = list(_running)
    for runner in runners:
        runner.ask(0)
    deadline = time.monotonic() + EXIT_S
    for runner in runners:
        runner.join(max(0.0, deadline - time.monotonic()))


def _in_forked_child() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it may not exist here
    after_fork()
    for runner in _running:
        runner.leave_to_parent()
    _running.clear()


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
