"""A bound socket for a server: TCP with a free or a given port, or a Unix socket with its file.

Binding is done before a server starts, in the caller's thread or process: a taken port is an error at once, a free port
is known at once, and the socket has the protocol number that makes asyncio set TCP_NODELAY.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from streamkit.errors import ServerError

__all__ = ["BACKLOG", "WILDCARDS", "Listener", "free_port", "listen"]

BACKLOG = 4096  # connections that wait to be taken: Linux's own bound (somaxconn); beyond it, those that come are reset
_UNIX_PATH_MAX = 107  # bytes; sun_path of Linux less the final NUL
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # compared with, not bound to
"""Hosts that stand for every address of a machine, and by which of them it is reached from itself."""


_NOT_EPHEMERAL = range(20_000, 30_000)
"""No kernel takes one of these for a connection: Linux begins at 32,768, macOS at 49,152 (RFC 6335, section 6)."""


@dataclass(slots=True)
class Listener:
    """A bound socket and how to reach it. `port` is 0 and `unix` a path for a Unix socket, else `unix` is None."""

    sock: socket.socket
    host: str
    port: int
    unix: str | None = None
    inode: int | None = None
    own_folder: bool = False

    @property
    def url(self) -> str:
        """`http://127.0.0.1:8000`, `http://[::1]:8000` or `http+unix://%2Ftmp%2Fa.sock`: what a client connects to."""
        if self.unix is not None:
            return f"http+unix://{quote(self.unix, safe='')}"
        host = WILDCARDS.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        """Close the socket and remove its file, if the file is still this socket's. May be called again."""
        self.sock.close()
        if self.unix is None:
            return
        path = Path(self.unix)
        with suppress(OSError):
            if path.lstat().st_ino == self.inode:
                path.unlink()
        if self.own_folder:
            with suppress(OSError):
                path.parent.rmdir()


def listen(host: str = "127.0.0.1", port: int = 0, unix: str | os.PathLike[str] | bool | None = None) -> Listener:
    """Bind (without listening yet). `unix=True` makes a fresh path; port 0 takes a free port. Raises ServerError."""
    if unix is None or unix is False:
        return _listen_tcp(host, port)
    if unix is True:
        return _listen_unix(Path(tempfile.mkdtemp(prefix="streamkit-")) / "http.sock", own_folder=True)
    return _listen_unix(Path(unix).absolute(), own_folder=False)


def free_port() -> int:
    """A port on 127.0.0.1 for somebody who listens later, such as a program that has yet to start.

    One that the kernel does not give to others in the meantime, neither to a listener nor to a connection.
    """
    for port in random.SystemRandom().sample(_NOT_EPHEMERAL, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ServerError("expected a free port from 20000 to 29999 on 127.0.0.1, found none in 100 tries")


def _listen_tcp(host: str, port: int) -> Listener:
    try:
        # The protocol is named, because asyncio sets TCP_NODELAY only on sockets whose proto is IPPROTO_TCP.
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, proto, _, address = found[0]
    except (OSError, OverflowError) as error:
        raise ServerError(f"cannot bind to {host!r} port {port}: {error}; try host='127.0.0.1'") from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Bound twice with SO_REUSEADDR is legal until one of them listens: listening here makes a taken port fail here.
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ServerError(
            f"cannot listen on {host} port {port}: {error.strerror}; stop the server that is there, "
            "or pass another port (port 0 takes a free one)"
        ) from error
    return Listener(sock, host, int(sock.getsockname()[1]))


def _listen_unix(path: Path, *, own_folder: bool) -> Listener:
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise ServerError(f"a Unix socket's path has at most {_UNIX_PATH_MAX} bytes, got {os.fsencode(path)!r}")
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ServerError(f"cannot listen on the Unix socket {str(path)!r}: {error.strerror}") from error
    return Listener(sock, "", 0, str(path), path.lstat().st_ino, own_folder)


def _remove_stale(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise ServerError(f"{str(path)!r} exists and is not a socket: pass another path, or unix=True for a fresh one")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(1)
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full backlog, for one: somebody is there
    raise ServerError(f"a server listens on {str(path)!r} already: stop it, or pass another path")
