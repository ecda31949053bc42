"""A client on a plain socket, and a reader of its own: what it takes for whole owes nothing to the relay's code.

    seen = await visit(address, post("/ans", "how are you?", SSE), leave=Leave("streaming", "RST", 3))
    read(seen.data, SSE)          # Reading(status=200, complete=False, text=b"…")

Framing by RFC 9112 section 7.1, events by the WHATWG's grammar as far as the relay writes it; both strict: what they do
not know is an `Unreadable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote_plus

__all__ = [
    "HOWS",
    "NDJSON",
    "PHASES",
    "SSE",
    "TEXT",
    "Leave",
    "Reading",
    "Seen",
    "Unreadable",
    "is_over",
    "parse",
    "post",
    "read",
    "visit",
]

TEXT: Final = "text/plain"
SSE: Final = "text/event-stream"
NDJSON: Final = "application/x-ndjson"

Phase = Literal["head", "body", "waiting", "streaming", "pressure"]
How = Literal["FIN", "RST", "half-close"]
PHASES: Final[tuple[Phase, ...]] = ("head", "body", "waiting", "streaming", "pressure")
HOWS: Final[tuple[How, ...]] = ("FIN", "RST", "half-close")

CRLF: Final = b"\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
STATUS_LINE: Final = re.compile(r"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*")
HEX: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
SMALL_BUFFER: Final = 4096
READ_BYTES: Final = 1 << 18
LAST_WORDS_S: Final = 5.0
"""How long a server may take to close a connection whose other half was closed."""


class Unreadable(Exception):
    """An answer that breaks the rules of its own format."""


@dataclass(frozen=True)
class Leave:
    """Where a client leaves, and how. `after` is, by phase: the share of the head or body that was sent, the seconds
    that were waited, the reads that were taken.
    """

    phase: Phase
    how: How
    after: float


@dataclass(frozen=True)
class Seen:
    """All that came, and how the server ended it: "FIN", "RST", "" (it had not), "late" (not within its time)."""

    data: bytes
    ended: str


def post(path: str, question: str, accept: str) -> bytes:
    """A form as bytes."""
    body = f"chat_history={quote_plus(question)}".encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: relay\r\naccept: {accept}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def visit(address: tuple[str, int], request: bytes, *, leave: Leave | None = None, limit_s: float = 30.0) -> Seen:
    """Send a request; read the answer to its own end, or leave before. Raises OSError if it cannot connect."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setblocking(False)
        if leave is not None and leave.phase == "pressure":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        await loop.sock_connect(sock, address)
        if leave is None:
            await loop.sock_sendall(sock, request)
            return await _read(sock, limit_s)
        await loop.sock_sendall(sock, request[: _sent(request, leave)])
        data = await _until_leaving(sock, leave, limit_s)
        return await _left(sock, leave, data)


def _sent(request: bytes, leave: Leave) -> int:
    head = request.index(b"\r\n\r\n") + 4
    if leave.phase == "head":
        return int(leave.after * (head - 1))
    if leave.phase == "body":
        return head + int(leave.after * (len(request) - head - 1))
    return len(request)


async def _until_leaving(sock: socket.socket, leave: Leave, limit_s: float) -> bytes:
    if leave.phase in ("waiting", "pressure"):
        await asyncio.sleep(leave.after)
    elif leave.phase == "streaming":
        return (await _read(sock, limit_s, most=max(1, int(leave.after)))).data
    return b""


async def _left(sock: socket.socket, leave: Leave, data: bytes) -> Seen:
    if leave.how == "FIN":
        return Seen(data, "")
    if leave.how == "RST":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return Seen(data, "")
    with contextlib.suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_WR)
    rest = await _read(sock, LAST_WORDS_S, whole=False)
    return Seen(data + rest.data, rest.ended)


async def _read(sock: socket.socket, limit_s: float, *, most: int | None = None, whole: bool = True) -> Seen:
    """At `most` so many reads; to the answer's own end if `whole`, else to the connection's."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            while most is None or most > 0:
                piece = await loop.sock_recv(sock, READ_BYTES)
                if not piece:
                    return Seen(bytes(data), "FIN")
                data += piece
                if whole and is_over(data):
                    break
                most = None if most is None else most - 1
    except ConnectionError:
        return Seen(bytes(data), "RST")
    except TimeoutError:
        return Seen(bytes(data), "late")
    return Seen(bytes(data), "")


def is_over(data: bytes | bytearray) -> bool:
    """The answer is whole, or beyond hope; most reads are neither, and are told from those cheaply."""
    if not (data.endswith(LAST_CHUNK) or b"content-length" in data[:4096].lower()):
        return False
    try:
        return parse(bytes(data)).whole
    except Unreadable:
        return True


# -- an answer by its framing ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """As much of an answer as has come; `status` is None before the end of its head, `whole` by its own framing."""

    status: int | None
    fields: Mapping[str, str]
    body: bytes
    whole: bool


def parse(data: bytes) -> Answer:
    """Raises Unreadable for what is no answer of HTTP/1.1, and for bytes behind its end."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return Answer(None, {}, b"", whole=False)
    line, *lines = head.decode("latin-1").split("\r\n")
    found = STATUS_LINE.fullmatch(line)
    if found is None:
        raise Unreadable(f"the status line is {line!r}")
    fields = dict(_field(each) for each in lines)
    if len(fields) < len(lines) or ("transfer-encoding" in fields) == ("content-length" in fields):
        raise Unreadable("expected each field once, and either chunks or a length")
    if "content-length" in fields:
        body, whole = rest, len(rest) >= int(fields["content-length"])
        behind = rest[int(fields["content-length"]) :]
    else:
        body, whole, behind = _chunks(rest)
    if behind:
        raise Unreadable(f"{len(behind)} bytes behind the end of the answer")
    return Answer(int(found[1]), fields, body, whole)


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise Unreadable(f"a malformed field: {line!r}")
    return name.lower(), value.strip()


def _chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    """The body, whether its last chunk came, and what stands behind that one."""
    parts, at = [], 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        line = data[at:line_end]
        if not HEX.fullmatch(line):
            raise Unreadable(f"a chunk's size is {line[:40]!r}")
        start, stop = line_end + 2, line_end + 2 + int(line, 16)
        parts.append(data[start:stop])
        if not CRLF.startswith(data[stop : stop + 2]):
            raise Unreadable("a chunk does not end where it says")
        at = stop + 2
        if len(data) < at:
            break
        if start == stop:
            return b"".join(parts), True, data[at:]
    return b"".join(parts), False, b""


# -- what it says ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a client makes of an answer: `code` and `outcome` are those of an error, in the answer or instead of it;
    `outcome` and `pieces` those that its end tells.
    """

    status: int | None
    complete: bool
    text: bytes = b""
    code: str = ""
    outcome: str = ""
    pieces: int | None = None


def read(data: bytes, accept: str) -> Reading:
    """Judge an answer by its own proof of completion. Raises Unreadable."""
    answer = parse(data)
    media_type = answer.fields.get("content-type", "").partition(";")[0]
    if answer.status != 200:
        told = json.loads(answer.body) if answer.whole and media_type == "application/problem+json" else {}
        return Reading(answer.status, False, code=told.get("code", ""), outcome=told.get("outcome", ""))
    if media_type != accept:
        raise Unreadable(f"expected {accept}, got {media_type}")
    if media_type == TEXT:
        return Reading(200, answer.whole, answer.body)
    events = _sse_events(answer.body) if media_type == SSE else _ndjson_events(answer.body)
    ends = [kind for kind, _ in events if kind != "text"]
    if len(ends) > 1 or (ends and events[-1][0] == "text"):
        raise Unreadable(f"expected one end, and nothing behind it, got {ends}")
    if answer.whole and not ends:
        raise Unreadable("the last chunk came without an end of the stream")
    text = "".join(data["text"] for kind, data in events if kind == "text").encode()
    told = events[-1][1] if ends else {}
    code, outcome, pieces = told.get("code", ""), told.get("outcome", ""), told.get("pieces")
    return Reading(200, ends == ["done"], text, code, outcome, pieces)


def _sse_events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Kind ("text", "done", "error") and data of each event that is there as a whole."""
    events = []
    *blocks, _ = body.split(b"\n\n")
    for block in blocks:
        kind, data = "text", b""
        for line in block.split(b"\n"):
            name, _, value = line.partition(b": ")
            if name == b"event":
                kind = value.decode()
            elif name == b"data":
                data += value
            elif name != b"id" and not line.startswith(b":"):
                raise Unreadable(f"a line of an event is {line[:40]!r}")
        if data:
            events.append((kind, _known(kind, json.loads(data))))
    return events


def _ndjson_events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    events = []
    *lines, _ = body.split(b"\n")
    for line in filter(None, lines):
        value = json.loads(line)
        kind = next((kind for kind in ("done", "error") if kind in value), "text")
        events.append((kind, _known(kind, value if kind == "text" else value[kind])))
    return events


def _known(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    wanted = {"text": "text", "done": "pieces", "error": "code"}.get(kind)
    if wanted is None or wanted not in data:
        raise Unreadable(f"an event {kind!r} with {sorted(data)}")
    return data
