"""What the kernel tells about a connection's queues (None where it does not), and how their sizes are set.

Also how a unix socket is written in a URL: there is no standard for that, so all such URLs are read here.
"""

from __future__ import annotations

import array
import asyncio
import socket
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple, TypeGuard
from urllib.parse import SplitResult, unquote

__all__ = [
    "SendQueue",
    "TcpInfo",
    "peer_unread_bytes",
    "reset_on_close",
    "resident_bytes",
    "send_queue",
    "set_buffers",
    "tcp_info",
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

    def _kernel_tcp_info(sock: socket.socket) -> bytes:
        """struct tcp_info (linux/tcp.h, tcp(7)), as much as this kernel has of it; empty where there is no TCP."""
        try:
            return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:
            return b""

    _ASKED: Final = struct.Struct("=IHHII BBBxI 2s2s16s16sIII")  # nlmsghdr, inet_diag_req_v2
    _TOLD: Final = struct.Struct("=4xH10x BB2x 2s2s16s16s12x 4xI")  # nlmsghdr, inet_diag_msg up to its idiag_rqueue
    _BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
    _SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
    _ANY: Final = 0xFFFFFFFF  # INET_DIAG_NOCOOKIE; all states

    def _kernel_peer_unread(sock: socket.socket) -> int | None:
        """The `idiag_rqueue` of the socket at the other end, if this kernel has it (sock_diag(7)): one system call to
        ask, whose answer is there when it returns. Some 10 µs.
        """
        try:
            (there, there_port), (here, here_port) = sock.getpeername()[:2], sock.getsockname()[:2]
            ends = (
                *(port.to_bytes(2, "big") for port in (there_port, here_port)),
                *(socket.inet_pton(sock.family, host) for host in (there, here)),
            )
            asked = _ASKED.pack(
                *(_ASKED.size, _BY_FAMILY, 1, 0, 0),  # NLM_F_REQUEST
                *(sock.family, socket.IPPROTO_TCP, 0, _ANY),
                *(*ends, 0, _ANY, _ANY),
            )
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
                kernel.setblocking(False)
                kernel.send(asked)
                told = kernel.recv(4096)
        except OSError:  # no such connection any more, or nobody here who may be asked
            return None
        if len(told) < _TOLD.size:  # an error: this kernel has no such socket
            return None
        kind, _, _, port, to_port, *_, unread = _TOLD.unpack_from(told)
        is_peer = kind == _BY_FAMILY and (port, to_port) == ends[:2]  # and not somebody who listens there
        return int(unread) if is_peer else None

    def resident_bytes(pid: int | str = "self") -> int | None:
        """The memory that this process, or another, has resident (proc(5), statm); None of one that has gone."""
        try:
            return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return None

else:

    def _kernel_unsent(fileno: int) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def _kernel_unread(fileno: int) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def _kernel_tcp_info(sock: socket.socket) -> bytes:  # noqa: ARG001  # the signature of its twin
        return b""

    def _kernel_peer_unread(sock: socket.socket) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None

    def resident_bytes(pid: int | str = "self") -> int | None:  # noqa: ARG001  # the signature of its twin
        """Not known without /proc; the peak of getrusage(2) never falls, so it tells nothing of a stream."""
        return None


class SendQueue(NamedTuple):
    """How many bytes wait to leave: in the transport's buffer, and in the kernel's send queue (None: not known)."""

    buffer: int
    unsent: int | None


class TcpInfo(NamedTuple):
    """What the kernel knows about a TCP connection; see `tcp_info`.

    rtt_us, min_rtt_us   the round trip time, smoothed and the shortest, measured by the acknowledgements of what *we*
                         sent: for a client that only reads, that of its request
    retransmits          segments that we sent again
    lost                 segments that we sent, that are not acknowledged, and that count as lost at this moment
    out_of_order         segments that arrived before one that was sent earlier: that one was lost, or overtaken
    segments             segments with data that arrived

    Of segments that the *other* end sent and that were lost, a receiver sees only `out_of_order`: a hole with others
    after it. A loss with nothing after it (the last segment before a pause, or everything while there was no network)
    is repaired in order, and looks like a peer that paused.
    """

    rtt_us: int
    min_rtt_us: int
    retransmits: int
    lost: int
    out_of_order: int
    segments: int


_TCP_INFO: Final = struct.Struct("=32xI32xI28xI44xII68xI")  # up to tcpi_rcv_ooopack, of Linux 5.4
_RWND_LIMITED: Final = slice(176, 184)  # tcpi_rwnd_limited, since Linux 4.9


def tcp_info(sock: socket.socket | None) -> TcpInfo | None:
    """What the kernel knows about this TCP connection now; it takes one system call, about 2 µs.

    None if it does not tell: not TCP, not Linux (5.4 or newer), or a closed socket.

        tcp_info(sock).out_of_order
    """
    if not _is_tcp(sock):
        return None
    info = _kernel_tcp_info(sock)
    if len(info) < _TCP_INFO.size:
        return None
    lost, rtt_us, retransmits, min_rtt_us, segments, out_of_order = _TCP_INFO.unpack_from(info)
    return TcpInfo(rtt_us, min_rtt_us, retransmits, lost, out_of_order, segments)


def _is_tcp(sock: socket.socket | None) -> TypeGuard[socket.socket]:
    """It is open, and no unix socket."""
    return sock is not None and sock.fileno() >= 0 and sock.family != getattr(socket, "AF_UNIX", None)


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
    info = _kernel_tcp_info(sock) if _is_tcp(sock) else b""
    told = info[_RWND_LIMITED]
    return 1000 * int.from_bytes(told, sys.byteorder) if len(told) == 8 else None


def peer_unread_bytes(sock: socket.socket | None) -> int | None:
    """Bytes that have come for the peer of this TCP connection, and that it has not read yet; None where that is not
    known: where the peer is not on this machine (in its network namespace), so that another kernel has them.

    That one tells nothing of them. The window it announces is no measure: Linux announces the same 64 KB though 200 KB
    of small writes lie unread, since it lets its buffer grow (tcp(7), `tcp_moderate_rcvbuf`).
    """
    if sock is None or sock.fileno() < 0 or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return _kernel_peer_unread(sock)


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
