"""The process behind `streamkit.jobs.processes`: runs what it is given, one after the other; started by that only.

The socket, whose number is its argument, carries pickles: at first where modules are found, then for each call a
function with its arguments, as bytes of their own, and back whether it returned or raised, and what. It ends when its
parent is gone, however that died: stdin is a pipe of which nobody else has the other end, and the kernel is asked to
end us when that is closed, since a computation in C looks at nothing.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import socket
import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Until the socket ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the server
    _die_with_parent()
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rwb") as stream:
        os.set_inheritable(connection.fileno(), False)
        os.register_at_fork(after_in_child=stream.close)  # the end of the socket has to be ours
        os.register_at_fork(after_in_child=connection.close)
        sys.path[:] = pickle.load(stream)  # noqa: S301  # from our parent
        while True:
            try:
                call = pickle.load(stream)  # noqa: S301  # from our parent
            except EOFError:
                return
            stream.write(_answer(call))
            stream.flush()


def _answer(call: bytes) -> bytes:
    """Whether it returned, and what; or raised."""
    try:
        function, arguments, named = pickle.loads(call)  # noqa: S301  # from our parent
        return pickle.dumps((True, function(*arguments, **named)))
    except BaseException as error:  # noqa: BLE001  # whatever it is, the caller wants to know
        return _raised(error)


def _raised(error: BaseException) -> bytes:
    try:
        return pickle.dumps((False, error))
    except Exception:  # noqa: BLE001  # an exception may hold anything
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


def _die_with_parent() -> None:
    """SIGIO when stdin's other end is closed; its default action ends a process (signal(7)), also in the midst of C."""
    lifeline: Any = os.dup(0)  # never closed; what a job reads from stdin, or starts, must not touch it
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    main()
