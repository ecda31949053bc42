"""Why there is no connection, in words: what the system and OpenSSL say about it, without names and addresses."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

__all__ = ["reason", "reason_behind"]


def reason(error: OSError) -> str:
    """Why connecting failed, without the addresses and names that the texts of these errors hold."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate was not accepted: {_of_certificate(error)}"
    if isinstance(error, ssl.SSLError):
        if error.reason in NO_TLS:
            return "what answers on this port does not speak TLS; http:// may be meant"
        return HANDSHAKES.get(error.reason or "", f"the handshake failed ({error.reason})")
    if isinstance(error, socket.gaierror):
        late = error.errno == socket.EAI_AGAIN
        return "the host name was not resolved: " + ("no name server answered" if late else "there is no such name")
    number = error.errno or _of_several(error)
    if number == errno.ECONNREFUSED:
        return "connection refused: nobody listens there"
    return os.strerror(number).lower() if number else type(error).__name__


def _of_several(error: OSError) -> int | None:
    """Where a name has several addresses, asyncio's error has no number, but names those of each: the last counts."""
    numbers = SEVERAL.findall(str(error))
    return int(numbers[-1]) if numbers else None


SEVERAL: Final = re.compile(r"\[Errno (\d+)\]")


NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
"""What OpenSSL says of an answer that is no TLS record; which of them, depends on its version and on the bytes."""

HANDSHAKES: Final = {  # the peer's alerts (RFC 8446, section 6.2), and what OpenSSL says itself
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server has no cipher in common with this client, or wants its certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of the client",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks no version of TLS that this client does",
    "UNSUPPORTED_PROTOCOL": "the server speaks no version of TLS that this client does",
    "TLSV1_UNRECOGNIZED_NAME": "the server knows no host of this name",
    "UNEXPECTED_EOF_WHILE_READING": "the server ended the connection during the TLS handshake",
}
CERTIFICATES: Final = {  # openssl-verification-options(1), X509_V_ERR_…
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "a self-signed certificate in its chain is not trusted",
    20: "its issuer is not trusted; a private CA has to be named (verify=, --cacert)",
    21: "its issuer is not trusted, and the server sends no chain to one that is",
    23: "it was revoked",
    62: "it is for another host name",
    64: "it is for another address",
}


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    """In words; those of OpenSSL for the rarer ones, which name nobody."""
    return CERTIFICATES.get(error.verify_code) or error.verify_message or f"X509_V_ERR {error.verify_code}"


def reason_behind(error: BaseException) -> str | None:
    """The same for an error of somebody else's client: by the first of its causes that came from the system, or None.

    >>> from streamkit.transport.refusals import reason_behind
    >>> reason_behind(RuntimeError("https://me:pw@host.test failed")) is None
    True
    """
    return next((reason(cause) for cause in _causes(error) if isinstance(cause, OSError) and cause.errno), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
