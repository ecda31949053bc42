"""What the kernel tells about a connection's queues; None where it does not tell."""

from __future__ import annotations

import array
import asyncio
import sys

__all__ = ["unsent_bytes"]

if sys.platform == "linux":
    import fcntl
    import termios

    def _kernel_unsent(fileno: int) -> int | None:
        """TIOCOUTQ: bytes written but not yet acknowledged by the peer (tcp(7), unix(7))."""
        answer = array.array("i", [0])
        try:
            fcntl.ioctl(fileno, termios.TIOCOUTQ, answer)
        except OSError:
            return None
        return answer[0]

else:

    def _kernel_unsent(fileno: int) -> int | None:  # noqa: ARG001  # the signature of its twin
        return None


def unsent_bytes(transport: asyncio.WriteTransport) -> int | None:
    """Bytes that wait for the peer: in the transport's buffer and, on Linux, in the kernel's send queue."""
    if transport.is_closing():
        return None
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    queued = _kernel_unsent(sock.fileno()) if sock is not None else None
    return waiting if queued is None else waiting + queued
