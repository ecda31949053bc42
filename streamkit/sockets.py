"""What the kernel tells about a connection's queues; None where it does not tell. And how their sizes are set.

And how a unix socket stands in a URL: nobody's standard, so those who read such URLs read them here.
"""

from __future__ import annotations

import array
import asyncio
import socket
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote

__all__ = [
    "SendQueue",
    "reset_on_close",
    "resident_bytes",
    "send_queue",
    "set_buffers",
    "unix_path",
    "unread_bytes",
    "unsent_bytes",
    "window_full_ns",
]

UNIX_SCHEME: Final = "http+unix"

if sys.platform == "linux":
    import fcntl
    import os
    import termios

    _PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

    def _queue(fileno: int, which: int) -> int | None:
        answer = array.array("i", [0])
        try:
            fcntl.ioctl(fileno, which, answer)
        except OSError:
            return None
        return answer[0]

    def _kernel_unsent(fileno: int) -> int | None:
        """TIOCOUTQ: bytes written but not yet acknowledged by the peer (tcp(7), unix(7))."""
        return _queue(fileno, termios.TIOCOUTQ)

    def _kernel_unread(fileno: int) -> int | None:
        """FIONREAD: bytes that have come and were not read yet (tcp(7), unix(7))."""
        return _queue(fileno, termios.FIONREAD)

    def _kernel_window_full_us(sock: socket.socket) -> int | None:
        """tcpi_rwnd_limited of TCP_INFO (linux/tcp.h, since Linux 4.9), in microseconds."""
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:  # no TCP
            return None
        return int.from_bytes(info[176:184], sys.byteorder) if len(info) >= 184 else None

    def resident_bytes() -> int | None:
        """The memory that this process has resident (proc(5), statm)."""
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES

else:

    def _kernel_unsent(fileno: int) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def _kernel_unread(fileno: int) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def _kernel_window_full_us(sock: socket.socket) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def resident_bytes() -> int | None:
        """Not known without /proc; the peak of getrusage(2) never falls, so it tells nothing of a stream."""
        return None


class SendQueue(NamedTuple):
    """What waits to leave: in the transport's buffer, and in the kernel's send queue (None: not known)."""

    buffer: int
    unsent: int | None


def unsent_bytes(transport: asyncio.WriteTransport) -> int | None:
    """Bytes that wait for the peer: in the transport's buffer and, on Linux, in the kernel's send queue.

    For telling progress: over a unix socket the kernel counts the memory that they take, not their number.
    """
    if transport.is_closing():
        return None
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    queued = _kernel_unsent(sock.fileno()) if sock is not None else None
    return waiting if queued is None else waiting + queued


def send_queue(transport: asyncio.WriteTransport) -> SendQueue:
    """Where bytes wait that were written. A unix socket has no send queue of its own: its peer's receive queue has it
    all, so None stands there.
    """
    sock = transport.get_extra_info("socket")
    if transport.is_closing() or sock is None:
        return SendQueue(0, None)
    unsent = None if sock.family == socket.AF_UNIX else _kernel_unsent(sock.fileno())
    return SendQueue(transport.get_write_buffer_size(), unsent)


def unread_bytes(sock: socket.socket | None) -> int | None:
    """Bytes that have come for this socket and were not read yet; None if that is not known, or it is closed."""
    return None if sock is None or sock.fileno() < 0 else _kernel_unread(sock.fileno())


def window_full_ns(sock: socket.socket | None) -> int | None:
    """For how long, since it was connected, the other end of a TCP connection had no room for what was to be sent: it
    does not read. None where that is not known.
    """
    if sock is None or sock.fileno() < 0 or sock.family == getattr(socket, "AF_UNIX", None):
        return None
    micros = _kernel_window_full_us(sock)
    return None if micros is None else micros * 1000


def set_buffers(transport: asyncio.WriteTransport, *, send_buffer_bytes: int, write_buffer_bytes: int) -> None:
    """How much a connection may hold of what is written to it: in the kernel (0: its own choice) and before it.

    On the connection and not on the listening socket, whose size only TCP hands down.
    """
    sock = transport.get_extra_info("socket")
    if send_buffer_bytes and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    transport.set_write_buffer_limits(high=write_buffer_bytes, low=write_buffer_bytes // 4)


def reset_on_close(transport: asyncio.WriteTransport) -> None:
    """Let the peer see a reset when the connection is closed, and not an end (socket(7), SO_LINGER of 0 s).

    What the kernel still holds for it is lost. A unix socket knows no reset: its peer sees an end.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unix_path(url: SplitResult) -> str | None:
    """The socket's path in a URL such as `http+unix://%2Ftmp%2Fs.sock/ans`; None for other URLs."""
    return unquote(url.netloc) if url.scheme == UNIX_SCHEME else None
