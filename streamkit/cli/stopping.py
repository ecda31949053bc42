"""How a command ends early: what has come by then is kept, and the exit status says which signal it was."""

from __future__ import annotations

import argparse
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["INTERRUPTED", "TERMINATED", "Terminated", "stoppable"]

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit status of a command that Ctrl-C has ended, as shells expect it."""
TERMINATED: Final = 128 + signal.SIGTERM

Command = Callable[[argparse.Namespace], int]


class Terminated(KeyboardInterrupt):
    """SIGTERM came before there was anything to keep."""


def stoppable(command: Command) -> Command:
    """A command that ends on SIGTERM (`timeout 60 streamkit record …`, `kill`, systemd) as it does on Ctrl-C.

    By default a process dies of SIGTERM where it stands, and what it has recorded is lost.
    """

    @functools.wraps(command)
    def run(arguments: argparse.Namespace) -> int:
        came: list[int] = []
        try:
            with _interrupted_by_sigterm(came):
                status = command(arguments)
        except KeyboardInterrupt:
            if came:
                raise Terminated from None
            raise
        return TERMINATED if came and status == INTERRUPTED else status

    return run


@contextmanager
def _interrupted_by_sigterm(came: list[int]) -> Iterator[None]:
    """SIGTERM is handed to whoever handles SIGINT at the time, such as asyncio's runner; and noted in `came`.

    asyncio takes care of SIGINT only where Python does. A shell script's `streamkit … &` has it ignored: there it is
    blocked instead, so that it still does nothing, and Python handles it.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        came.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():  # which has the signals
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGTERM, before)
