"""The servers that take an upload beside streamkit's: each a module that is run as a process of its own.

    python -m benchmarks.upload_peers.bare_sanic       # prints "ready http://127.0.0.1:PORT/upload"

Each answers `POST /upload`, whatever its query, with the SHA-256 of the body as JSON, which it reads while it comes, as
its own documentation shows. None has what an upload needs beyond that: a bound, a deadline, results on the way.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

__all__ = ["run"]


def run(serve: Callable[[socket.socket], None]) -> None:
    """The main program of a peer: bind a free port, say which, and serve on it until the process is ended."""
    # The protocol is named: see streamkit.serving.listener
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/upload", flush=True)
    serve(listener)
