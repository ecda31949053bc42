"""What a client's request must look like on the wire, beyond what Sanic checks. Bytes in, verdicts out; no I/O.

    scan = HeadScan()
    scan.end(buffer)                 # None: there is more to come; or where the head ends
    check_head(head)                 # -> Head(chunked=…, length=…)
    chunk_size(buffer)               # None, or the size of the chunk that follows

Two parties that disagree about where a message ends can be made to disagree about whose message it is (RFC 9112
section 11.2). So whatever RFC 9112 forbids, or lets a recipient repair, is refused here; what is wrong already is
refused without waiting for the end of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from streamkit.relay.failure import Failed

__all__ = ["MAX_HEAD_BYTES", "Head", "HeadScan", "check_head", "check_raw_head", "chunk_size"]

MAX_HEAD_BYTES: Final = 16_384
MAX_REQUEST_LINE_BYTES: Final = 8_192  # RFC 9112 section 3: at least 8,000
MAX_FIELDS: Final = 100
MAX_CHUNK_LINE_BYTES: Final = 256
MAX_CHUNK_BYTES: Final = 2**63 - 1
"""More than this nobody can send, and a party that counts in 64 bits with a sign reads it as something else."""
CRLF: Final = b"\r\n"
END_OF_HEAD: Final = b"\r\n\r\n"

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 section 5.6.2
HEAD_BYTES: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])
FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):(.*)")  # no space before the colon, no obs-fold (section 5)
LENGTH: Final = re.compile(rb"[0-9]{1,19}")
HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~%!$&'()*+;=]*)(?::[0-9]{0,5})?")
"""RFC 9110 section 7.2, without the comma: two Hosts that somebody joined."""
REQUEST_LINE: Final = re.compile(
    rb"[A-Z]+(?:-[A-Z]+)* "
    rb"(?:\*|(?:https?://(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-.]+)(?::[0-9]{1,5})?)?/[\x21\x22\x24-\x7e]*) "
    rb"HTTP/1\.([01])"
)
"""Methods are case-sensitive, and all that are registered are in capitals; Sanic takes `head` for HEAD. The target is a
path with or without what stands before it (RFC 9112 section 3.2), or `*`; Sanic fails at others, CONNECT's among them.
"""
CHUNK_LINE: Final = re.compile(
    rb"\r\n([0-9A-Fa-f]{1,16})"
    rb"(?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*'
    rb"\r\n"
)  # RFC 9112 section 7.1, without its bad whitespace
NEEDED: Final = (b"host", b"content-length", b"transfer-encoding", b"expect", b"connection")


class HeadScan:
    """Looks for the end of one head in a growing buffer, at each byte about once."""

    def __init__(self) -> None:
        self._seen = 0
        self._skipped = False

    def end(self, buffer: bytearray) -> int | None:
        """Where the empty line begins that ends the head, or None if it has not come yet. Raises Failed.

        One empty line before the request is taken out of the buffer (RFC 9112 section 2.2).
        """
        if not self._skipped and buffer.startswith(CRLF):
            del buffer[:2]
            self._skipped = True
            self._seen = 0
        end = buffer.find(END_OF_HEAD, max(0, self._seen - 3))
        stop = len(buffer) if end < 0 else end + len(END_OF_HEAD)
        _check_bytes(buffer, self._seen, min(stop, MAX_HEAD_BYTES))
        if stop > MAX_REQUEST_LINE_BYTES and buffer.find(CRLF, 0, MAX_REQUEST_LINE_BYTES) < 0:
            raise Failed.of_request(
                414, "uri_too_long", f"send a request line of at most {MAX_REQUEST_LINE_BYTES} bytes"
            )
        if stop > MAX_HEAD_BYTES:
            raise Failed.of_request(431, "head_too_large", f"send a head of at most {MAX_HEAD_BYTES} bytes")
        self._seen = stop
        return None if end < 0 else end


@dataclass(frozen=True, slots=True)
class Head:
    """What a checked head says about its message. `length` is None without a Content-Length."""

    minor: int
    chunked: bool
    length: int | None
    closes: bool


def check_head(head: bytes | bytearray) -> Head:
    """Check a head without its empty line; `HeadScan` has checked its bytes. Raises Failed."""
    line, *fields = head.split(CRLF)
    found = REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Failed.of_request(400, "bad_request_line", "send METHOD SP TARGET SP HTTP/1.1 (RFC 9112 section 3)")
    minor = int(found[1])
    values = _values(fields)
    _check_host(values[b"host"], minor)
    chunked = _is_chunked(values[b"transfer-encoding"], minor)
    lengths = values[b"content-length"]
    if chunked and lengths:
        raise Failed.of_request(400, "bad_framing", "send Content-Length or Transfer-Encoding, not both")
    length = _length(lengths)
    if minor and any(value.lower() != b"100-continue" for value in values[b"expect"]):
        raise Failed.of_request(417, "expectation_failed", "the one expectation that can be met is 100-continue")
    options = b",".join(values[b"connection"]).lower().split(b",")
    return Head(minor, chunked, length, closes=any(option.strip() == b"close" for option in options))


def check_raw_head(head: bytes) -> Head:
    """The same where no `HeadScan` has been before."""
    _check_bytes(head + CRLF, 0, len(head) + len(CRLF))
    return check_head(head)


def _check_bytes(data: bytes | bytearray, start: int, stop: int) -> None:
    """No control characters, no LF without its CR, no CR without its LF, which may still come."""
    if start and data[start - 1] == 0x0D:
        start -= 1
    part = data[start:stop]
    lines = part.count(CRLF)
    if (
        part.translate(None, HEAD_BYTES)
        or part.count(b"\n") != lines
        or part.count(b"\r") - part.endswith(b"\r") != lines
    ):
        raise Failed.of_request(
            400, "bad_head", "end each line of the head in CRLF, and send no control characters in it"
        )


def _values(fields: list[bytes] | list[bytearray]) -> dict[bytes, list[bytes]]:
    """The values of the fields that decide on the message, without the white space around them."""
    if len(fields) > MAX_FIELDS:
        raise Failed.of_request(431, "head_too_large", f"send at most {MAX_FIELDS} header fields")
    values: dict[bytes, list[bytes]] = {name: [] for name in NEEDED}
    for field in fields:
        found = FIELD.fullmatch(field)
        if found is None:
            raise Failed.of_request(
                400, "bad_header", "send each header field as NAME: VALUE on one line (RFC 9112 section 5)"
            )
        name = found[1].lower()
        if name in values:
            values[name].append(found[2].strip(b" \t"))
    return values


def _check_host(hosts: list[bytes], minor: int) -> None:
    """RFC 9112 section 3.2."""
    if len(hosts) > 1 or (minor and not hosts) or not all(HOST.fullmatch(host) for host in hosts):
        raise Failed.of_request(400, "bad_host", "send one Host with a host name, and a port where it needs one")


def _is_chunked(codings: list[bytes], minor: int) -> bool:
    """RFC 9112 section 6.1: `chunked` is the one coding that is understood, and HTTP/1.0 has none."""
    if not codings:
        return False
    if minor == 0 or [coding.lower() for coding in codings] != [b"chunked"]:
        raise Failed.of_request(400, "bad_framing", "the one transfer coding is chunked, of HTTP/1.1, and once")
    return True


def _length(lengths: list[bytes]) -> int | None:
    """RFC 9112 section 6.3: repeated and equal ones may be repaired; here they are not."""
    if not lengths:
        return None
    if len(lengths) > 1 or not LENGTH.fullmatch(lengths[0]):
        raise Failed.of_request(400, "bad_framing", "send one Content-Length, in decimal digits")
    return int(lengths[0])


def chunk_size(buffer: bytearray) -> int | None:
    """The size of the chunk whose line `buffer` begins with, or None if that has not come yet. Raises Failed.

    The buffer begins with the CRLF before the line: of the head, or of the chunk before. The last chunk (0) is there
    when the empty line behind it is; trailers are refused, and sizes beyond 2^63 - 1.
    """
    end = buffer.find(b"\n", len(CRLF)) + 1
    if end == 0:
        if len(buffer) > MAX_CHUNK_LINE_BYTES or not CRLF.startswith(buffer[:2]):
            raise _bad_chunk()
        return None
    found = CHUNK_LINE.fullmatch(buffer, 0, end) if end <= MAX_CHUNK_LINE_BYTES else None
    if found is None:
        raise _bad_chunk()
    size = int(found[1], 16)
    if size > MAX_CHUNK_BYTES:
        raise _bad_chunk()
    if size == 0 and buffer[end : end + 2] != CRLF:
        if not CRLF.startswith(buffer[end : end + 2]):
            raise _bad_chunk()
        return None
    return size


def _bad_chunk() -> Failed:
    return Failed.of_request(
        400, "bad_chunk", "send chunks as SIZE CRLF DATA CRLF, and no trailers (RFC 9112 section 7.1)"
    )
