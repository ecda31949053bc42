"""The process behind `serve(..., process=True)`: `python -m streamkit.serving.child`, started by the parent only.

The pipe at stdin carries the order (length, then pickle) and afterwards one float64 per request to stop: the seconds of
grace. When it ends, the parent is gone, however it died, and this process ends too. One line of JSON on the report pipe
says that the server is ready, or why it is not.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TypedDict

from streamkit.serving.factory import build
from streamkit.serving.listener import Listener
from streamkit.serving.running import StopRequest, run_app

__all__ = ["GRACE", "LENGTH", "Order", "main"]

_log = logging.getLogger("streamkit.server")

LENGTH = struct.Struct("!Q")
GRACE = struct.Struct("!d")
LAST_WORDS_S = 3.0  # from the parent's death to the hard end: for a handler that blocks the loop


class Order(TypedDict):
    """What the parent wants served."""

    factory: bytes  # pickled on its own: it can be read only once sys_path is set
    sys_path: list[str]
    sock: tuple[int, int, int, int]  # fd, family, type, proto
    unix: str | None
    inode: int | None
    own_folder: bool
    report: int  # fd
    loop: str
    grace_s: float


def main() -> int:
    """Serve what the order says; the exit code is 0 after a stop, 1 after a failed start."""
    _ignore_sigint()
    lifeline = _take_stdin()
    order: Order = pickle.loads(_read(lifeline, LENGTH.unpack(_read(lifeline, LENGTH.size))[0]))  # noqa: S301  # from our parent
    for fd in (order["report"], order["sock"][0]):
        os.set_inheritable(fd, False)
    stop = StopRequest()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.ask(order["grace_s"]))
    threading.Thread(target=_follow, args=(lifeline, stop), name="streamkit parent watch", daemon=True).start()
    return _serve(order, stop)


def _serve(order: Order, stop: StopRequest) -> int:
    fd, family, kind, proto = order["sock"]
    sock = socket.socket(family, kind, proto, fileno=fd)
    listener = Listener(sock, "", 0, order["unix"], order["inode"], own_folder=order["own_folder"])
    report = _Report(order["report"])
    try:
        sys.path[:] = order["sys_path"]
        app = build(pickle.loads(order["factory"]))  # noqa: S301  # from our parent
        run_app(app, listener, stop, loop=order["loop"], on_ready=report.ready)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent wants to know
        listener.close()
        report.failed(error)
        return 1
    return 0


class _Report:
    """Says one thing to the parent; what fails after that goes to the log."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def ready(self) -> None:
        self._say({"ready": True})

    def failed(self, error: BaseException) -> None:
        if self._fd is None:
            _log.error("the server process failed", exc_info=error)
        else:
            told = f"{type(error).__name__}: {error}"
            self._say({"error": told, "traceback": "".join(traceback.format_exception(error))})

    def _say(self, said: dict[str, object]) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(BrokenPipeError):  # the parent is gone, and its pipe says so too
                os.write(fd, json.dumps(said).encode() + b"\n")
            os.close(fd)


def _ignore_sigint() -> None:
    """Interrupting a cell sends SIGINT to the whole process group; the parent has blocked it until here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _take_stdin() -> int:
    """Keep the pipe for ourselves: what the app reads from stdin, or starts, must not touch it."""
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return lifeline


def _read(fd: int, size: int) -> bytes:
    """Exactly `size` bytes, or SystemExit when the parent is gone.

    Unbuffered: an interpreter that ends while a thread reads a buffered stream dies of that stream's lock.
    """
    parts: list[bytes] = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise SystemExit(1)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _follow(lifeline: int, stop: StopRequest) -> None:
    try:
        while True:
            stop.ask(GRACE.unpack(_read(lifeline, GRACE.size))[0])
    except SystemExit:
        stop.ask(0)
        time.sleep(LAST_WORDS_S)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
