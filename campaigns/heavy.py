"""Single requests and answers that are meant to hurt: by their size, by their depth, by how many small parts they have.

    python -m campaigns.heavy             # the upstream: says what the question names; prints "ready http://…"

Each is at most `FLOOD_BYTES` long, made while it is sent, and sent as fast as it is taken.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.harness import started
from campaigns.canary import leaks
from campaigns.visitor import TEXT, Unreadable, is_over, post, read
from campaigns.watched import Watched, idle_process, watched
from streamkit.presets import writer
from streamkit.transport.framing import LAST_CHUNK, chunk

__all__ = ["CASES", "PRESET", "Case", "Hurt", "command", "heavy"]

FLOOD_BYTES: Final = 100_000_000
FORM_BYTES: Final = (1 << 20) - 100
BLOCK_BYTES: Final = 1 << 16
PRESET: Final = "openai"
LIMIT_S: Final = 30.0
DEADLINES: Final = {"first_piece_s": 2.0, "idle_s": 2.0, "body_s": 5.0, "head_s": 5.0, "write_stall_s": 2.0}
QUESTION: Final = re.compile(rb"heavy-([a-z0-9-]+)")
OK: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
FORM: Final = "application/x-www-form-urlencoded"

Bytes = Iterable[bytes]


@dataclass(frozen=True)
class Case:
    """What an upstream says (`answer`), or what a client sends (`ask`; the upstream then says something short)."""

    name: str
    answer: Callable[[], Bytes] | None = None
    ask: Callable[[], Bytes] | None = None

    @property
    def word(self) -> str:
        """The name as it stands in a question."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def command() -> list[str]:
    """To run the upstream."""
    return [sys.executable, "-m", "campaigns.heavy"]


# -- what is sent ----------------------------------------------------------------------------------------------------


def _flood(unit: bytes, size: int = FLOOD_BYTES) -> Iterator[bytes]:
    """`unit` again and again, in blocks."""
    block = unit * max(1, BLOCK_BYTES // len(unit))
    yield from itertools.repeat(block, size // len(block) + 1)


def _chunked(*parts: Bytes) -> Iterator[bytes]:
    yield OK
    yield from (chunk(data) for data in itertools.chain(*parts))
    yield LAST_CHUNK


def _event(json: bytes) -> Iterator[bytes]:
    """One event of up to 1 MiB, and the end of a stream that is otherwise in order."""
    return _chunked([b"data: " + json + b"\n\n", *writer(PRESET).close()])


def _list_of(unit: bytes, before: bytes = b'{"choices":[', behind: bytes = b"]}") -> Iterator[bytes]:
    count = (FORM_BYTES - len(before) - len(behind)) // (len(unit) + 1)
    return _event(before + b",".join([unit] * count) + behind)


def _pieces() -> Bytes:
    return [*writer(PRESET).open(), writer(PRESET).piece("ok", 0)]


def _raw(*parts: Bytes) -> Iterator[bytes]:
    return itertools.chain(*parts)


def _after(head: bytes, unit: bytes) -> Iterator[bytes]:
    return _raw([head], _flood(unit))


BOMB: Final = gzip.compress(bytes(1 << 20))
COMPRESSED: Final = OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
JSON_OK: Final = OK.replace(b"text/event-stream", b"application/json")
FAILED: Final = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
DEEP: Final = 100_000

ANSWERS: Final[dict[str, Callable[[], Bytes]]] = {
    "100 MB event": lambda: _chunked([b'data: {"choices":[{"delta":{"content":"'], _flood(b"x"), [b'"}}]}\n\n']),
    "100 MB event in lines": lambda: _chunked(_flood(b"data: " + b"x" * 60_000 + b"\n"), [b"\n"]),
    "100 MB event in empty lines": lambda: _chunked(_flood(b"data\n"), [b"\n"]),
    "100 MB event after a piece": lambda: _chunked(_pieces(), [b"data: "], _flood(b"x"), [b"\n\n"]),
    "endless line": lambda: _chunked(_flood(b"x")),
    "100 MB head, one field": lambda: _after(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "100 MB head, many fields": lambda: _after(b"HTTP/1.1 200 OK\r\n", b"X-Field: some value\r\n"),
    "100 MB status line": lambda: _after(b"HTTP/1.1 200 ", b"x"),
    "1xx storm": lambda: _after(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "1xx storm with fields": lambda: _after(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
    "gzip bomb": lambda: _raw([COMPRESSED], (chunk(BOMB) for _ in range(FLOOD_BYTES // len(BOMB)))),
    "endless chunk size": lambda: _after(OK, b"0"),
    "endless chunk extension": lambda: _after(OK + b"1;", b"x"),
    "endless trailers": lambda: _after(OK + b"0\r\n", b"X-Field: some value\r\n"),
    "chunks of one byte": lambda: _after(OK, b"1\r\n:\r\n"),
    "comments": lambda: _chunked(_flood(b":\n")),
    "blank lines": lambda: _chunked(_flood(b"\n")),
    "empty events": lambda: _chunked(_flood(b"data\n\n")),
    "events of no text": lambda: _chunked(_flood(b"data: {}\n\n")),
    "heartbeats": lambda: _chunked(_flood(b"event: ping\ndata: 1\n\n")),
    "small pieces": lambda: _chunked(_flood(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', 20_000_000)),
    "deep JSON": lambda: _event(b"[" * DEEP + b"]" * DEEP),
    "deep JSON where text is": lambda: _event(b'{"choices":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "deep JSON, never closed": lambda: _event(b'{"a":' * DEEP),
    "1 MiB of choices": lambda: _list_of(b"{}"),
    "1 MiB of numbers as choices": lambda: _list_of(b"0"),
    "1 MiB of texts": lambda: _list_of(b'{"delta":{"content":"a"}}'),
    "1 MiB of parts": lambda: _list_of(b"{}", b'{"choices":[{"delta":{"content":[', b"]}}]}"),
    "1 MiB of escapes": lambda: _event(b'{"choices":[{"delta":{"content":"' + b"\\u00e9" * 170_000 + b'"}}]}'),
    "1 MiB of invalid UTF-8": lambda: _event(b'{"choices":[{"delta":{"content":"' + b"\xff" * 10**6 + b'"}}]}'),
    "a number of 1 MiB": lambda: _event(b"9" * 10**6),
    "1 MiB of keys": lambda: _event(b"{" + b",".join(b'"%x":0' % n for n in range(90_000)) + b"}"),
    "100 MB of JSON instead": lambda: _raw([JSON_OK], (chunk(b) for b in _flood(b'{"error": {}, "x": "y"},'))),
    "deep JSON instead": lambda: _raw([JSON_OK, chunk(b"[" * 60_000), LAST_CHUNK]),
    "100 MB error page": lambda: _raw([FAILED], (chunk(b) for b in _flood(b"<p>sorry</p>"))),
}


def _posted(body: bytes, content_type: str, accept: str = TEXT) -> Iterator[bytes]:
    head = f"POST /{PRESET}/ans HTTP/1.1\r\nhost: relay\r\naccept: {accept}\r\ncontent-type: {content_type}\r\n"
    yield f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _form(unit: bytes, before: bytes = b"", behind: bytes = b"") -> Iterator[bytes]:
    return _posted(before + unit * ((FORM_BYTES - len(before) - len(behind)) // len(unit)) + behind, FORM)


def _json(unit: bytes, before: bytes = b"", behind: bytes = b"") -> Iterator[bytes]:
    body = before + unit * ((FORM_BYTES - len(before) - len(behind)) // len(unit)) + behind
    return _posted(body, "application/json")


def _multipart(unit: bytes, before: bytes = b"", behind: bytes = b"\r\n--b--\r\n", kind: str = "") -> Iterator[bytes]:
    body = before + unit * ((FORM_BYTES - len(before) - len(behind)) // len(unit)) + behind
    return _posted(body, f"multipart/form-data; boundary=b{kind}")


PART: Final = b'--b\r\nContent-Disposition: form-data; name="chat_history"\r\n'
ENDLESS: Final = (
    f"POST /{PRESET}/ans HTTP/1.1\r\nhost: relay\r\ncontent-type: {FORM}\r\ntransfer-encoding: chunked\r\n\r\n"
).encode()

ASKED: Final[dict[str, Callable[[], Bytes]]] = {
    "form: percent-encoded": lambda: _form(b"%41", b"chat_history="),
    "form: percent-encoded names": lambda: _form(b"%41"),
    "form: spaces": lambda: _form(b"+", b"chat_history=", b"x"),
    "form: separators": lambda: _form(b"&"),
    "form: small fields": lambda: _form(b"a=b&"),
    "form: the field repeated": lambda: _form(b"chat_history=x&"),
    "form: broken percents": lambda: _form(b"%", b"chat_history="),
    "form: invalid UTF-8": lambda: _form(b"%ff", b"chat_history="),
    "form: punycode": lambda: _posted(b"chat_history=" + b"a-" * 500_000, f"{FORM}; charset=punycode"),
    "multipart: boundaries": lambda: _multipart(b"\r\n--b"),
    "multipart: small parts": lambda: _multipart(PART + b"\r\nx\r\n"),
    "multipart: fields of a part": lambda: _multipart(b"X-Field: some value\r\n", PART),
    "multipart: one field of a part": lambda: _multipart(b"x", PART + b"X-Field: "),
    "multipart: nearly boundaries": lambda: _multipart(b"\r\n--", PART + b"\r\n"),
    "multipart: lines": lambda: _multipart(b"\r\n", PART + b"\r\n"),
    "multipart: punycode": lambda: _multipart(b"a-", PART + b"Content-Type: text/plain; charset=punycode\r\n\r\n"),
    "JSON: deep": lambda: _json(b"["),
    "JSON: deep objects": lambda: _json(b'{"a":'),
    "JSON: deep text": lambda: _json(b"[", b'{"chat_history":', b"}"),
    "JSON: a number": lambda: _json(b"9"),
    "JSON: a number as text": lambda: _json(b"9", b'{"chat_history":', b"}"),
    "JSON: escapes": lambda: _json(b"\\u0000", b'{"chat_history":"', b'"}'),
    "JSON: quotes": lambda: _json(b'\\"', b'{"chat_history":"', b'"}'),
    "JSON: keys": lambda: _json(b'"a":0,', b"{", b'"a":0}'),
    "JSON: messages": lambda: _json(b'{"role":"user","content":"x"},', b'{"chat_history":[', b"{}]}"),
    "JSON: empty messages": lambda: _json(b"{},", b'{"chat_history":[', b"{}]}"),
    "JSON: spaces": lambda: _json(b" ", b'{"chat_history":', b'"x"}'),
    "100 MB body": lambda: _raw([ENDLESS], (chunk(b) for b in _flood(b"x"))),
    "body in chunks of one byte": lambda: _raw([ENDLESS], _flood(b"1\r\nx\r\n", 5_000_000)),
    "endless chunk extension of a body": lambda: _raw([ENDLESS, b"1;"], _flood(b"x")),
    "100 MB request head": lambda: _raw([b"POST /ans HTTP/1.1\r\nX: "], _flood(b"x")),
    "100 MB of request fields": lambda: _raw([b"POST /ans HTTP/1.1\r\n"], _flood(b"X-Field: value\r\n")),
    "100 MB request line": lambda: _raw([b"POST /"], _flood(b"x")),
    "pipelined requests": lambda: _flood(b"GET /health HTTP/1.1\r\nhost: relay\r\n\r\n", 10_000_000),
}

CASES: Final = (
    *(Case(name, answer=answer) for name, answer in ANSWERS.items()),
    *(Case(name, ask=ask) for name, ask in ASKED.items()),
)


# -- the upstream ----------------------------------------------------------------------------------------------------

SHORT: Final = b"".join(_chunked(_pieces(), writer(PRESET).close()))
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _serve(connection: socket.socket) -> None:
    """One answer a connection."""
    with connection, contextlib.suppress(OSError):
        asked = connection.makefile("rb")
        head = b"".join(iter(asked.readline, b"\r\n"))
        found = LENGTH.search(b"\r\n" + head)
        assert found is not None, "expected a question with a Content-Length"
        named = QUESTION.search(asked.read(int(found[1])))
        case = next((case for case in CASES if named and case.word.encode() == named[1]), None)
        for data in case.answer() if case is not None and case.answer is not None else [SHORT]:
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(BLOCK_BYTES):
            pass


def main() -> None:
    """Serve until the process ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.suppress(KeyboardInterrupt):
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


# -- one after the other ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hurt:
    """What one case did to the relay: what the client was told, the memory beyond what was resident before, the worst
    stall (without and with the wait for a CPU, see `watched.Ticker`), and that of an idle process at the same time.
    """

    case: Case
    told: str
    grew_bytes: int
    own_stall_s: float
    stall_s: float
    idle_stall_s: float
    seconds: float
    works_on: bool
    leaked: bool


def heavy(cases: Iterable[Case]) -> Iterator[Hurt]:
    """Each of the cases, and what became of it: in a new process, in which nobody has left any memory."""
    with started(command()) as upstream, idle_process() as idle:
        for case in cases:
            with watched(upstream.url, [PRESET], **DEADLINES) as relay:
                for _ in range(5):
                    _ask(relay, [post(f"/{PRESET}/ans", "warm up", TEXT)])
                yield _hurt(case, relay, idle)


def _hurt(case: Case, relay: Watched, idle: Watched) -> Hurt:
    before = relay.census(forget=True)
    idle.census(forget=True)
    began = time.monotonic()
    parts = case.ask() if case.ask is not None else [post(f"/{PRESET}/ans", f"heavy-{case.word}", TEXT)]
    answer, leaked = _ask(relay, parts)
    seconds = time.monotonic() - began
    after, idle_then = relay.census(), idle.census()
    good, _ = _ask(relay, [post(f"/{PRESET}/ans", "and on", TEXT)])
    return Hurt(
        case,
        answer,
        after.peak_bytes - before.resident_bytes,
        after.own_stall_s,
        after.stall_s,
        idle_then.stall_s,
        seconds,
        good == "200 complete",
        leaked or bool(after.leaked),
    )


def _ask(relay: Watched, parts: Bytes) -> tuple[str, bool]:
    """Send and read side by side; what the client was told."""
    with socket.create_connection(relay.address, LIMIT_S) as sock:
        sender = threading.Thread(target=partial(_send, sock, parts), daemon=True)
        sender.start()
        data = b""
        with contextlib.suppress(OSError):
            while len(data) < FLOOD_BYTES and not is_over(data) and (more := sock.recv(1 << 20)):
                data += more
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # the sender may still be at it
        sender.join(LIMIT_S)
    return _told(data), leaks(data)


def _told(data: bytes) -> str:
    if data.startswith(b"HTTP/1.1 200 OK\r\n") and b"application/json" in data[:400]:
        return f"{data.count(b'HTTP/1.1 200 OK')} answers"  # to pipelined requests
    try:
        found = read(data, TEXT)
    except (Unreadable, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if found.status is None:
        return "cut without an answer"
    return f"{found.status} {found.code or ('complete' if found.complete else 'cut')}"


def _send(sock: socket.socket, parts: Bytes) -> None:
    with contextlib.suppress(OSError):  # the relay has heard enough
        for data in parts:
            sock.sendall(data)


if __name__ == "__main__":
    main()
