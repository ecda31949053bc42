"""The scripted upstream over TLS: what it says, and when, is `relay_upstream`'s.

    python -m benchmarks.tls_upstream CERTIFICATE        # PEM: key and chain; prints "ready https://127.0.0.1:PORT"

A paced event is a TLS record of its own, and a saturated block as many as it fills: as servers do it.
"""

from __future__ import annotations

import socket
import ssl
import sys
from typing import Any

from benchmarks.relay_upstream import BACKLOG, serve

__all__ = ["Secured", "secured"]


class Secured(ssl.SSLSocket):
    """A connection that does not block, with the errors of a plain socket; its handshake comes with its first read."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """At most one record."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from None

    def send(self, data: Any, flags: int = 0) -> int:
        """At most one record."""
        try:
            return super().send(data, flags)
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from None


def secured(listener: socket.socket, certificate: str) -> ssl.SSLSocket:
    """The same listener, whose connections speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = Secured
    context.load_cert_chain(certificate)
    return context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as plain, secured(plain, sys.argv[1]) as listening:
        print(f"ready https://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        serve(listening)
