"""What an upstream can do to the relay: a table of hostile ones on raw sockets, each with the one ending that is right.

Before the first piece a true status with a stable code; after it a visible cut, never an end that looks whole. Each is
played four times at once: for both kinds of answer, and with its bytes as written and one byte at a time. Whatever it
did, the relay then answers the next good request, has closed the upstream's connection, and holds nothing of it.

There are two relays. One has little time, for the cases that a deadline has to end; these are played a dozen at once,
as all they do is wait. The other has so much that on a busy machine no deadline ends what must end by itself.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from email.utils import formatdate
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pytest
from sanic import Request, Sanic
from sanic import json as json_response
from sanic.response import HTTPResponse

from streamkit.app import create_app
from streamkit.serving.listener import free_port
from streamkit.serving.server import Server, serve
from tests.rawsockets import (
    LAST_CHUNK,
    SSE_HEAD,
    WAIT_S,
    RawServer,
    chunk,
    connected,
    is_whole,
    read_answer,
    read_request,
    request,
)
from tests.servers import QUICK_S, eventually
from tests.transport.test_transport import serving_tls

CONNECT_S: Final = 0.3
PATIENCE_S: Final = 0.8  # first piece and idle; a dozen cases are spoken byte by byte within it
TOTAL_S: Final = 2.4
AMPLE_S: Final = 20.0  # each of them, where no deadline is meant
SIDE_BY_SIDE: Final = 12
LATE_S: Final = 1.5  # what a deadline may be late; with it, one is still told from the next
CLOSED_WITHIN_S: Final = 0.5
STALL_MS: Final = 250.0  # CPU time of the relay's loop between two of its turns
MEMORY_BYTES: Final = 32 << 20
TICK_S: Final = 0.005
PLAIN, SSE = "text/plain", "text/event-stream"


# --- The relay, in a process of its own, with a witness in its loop ---------------------------------------------------


@dataclass(frozen=True)
class Deadlines:
    connect_s: float = AMPLE_S
    first_piece_s: float = AMPLE_S
    idle_s: float = AMPLE_S
    total_s: float = AMPLE_S


AMPLE: Final = Deadlines()
SHORT: Final = Deadlines(CONNECT_S, PATIENCE_S, PATIENCE_S, TOTAL_S)


def make_relay(upstream: str, deadlines: Deadlines = AMPLE) -> Sanic[Any, Any]:
    """A relay, and `GET /state`: what it holds, and the worst that its loop has seen since."""
    app = create_app(upstream=upstream, preset="openai", model="m", **asdict(deadlines))
    relay, worst = app.ctx.relay, [0.0]

    async def tick() -> None:
        """CPU time, which other processes of a busy machine do not add to."""
        before = time.thread_time()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.thread_time()
            worst[0], before = max(worst[0], now - before), now

    @app.after_server_start
    async def witness(_: Sanic[Any, Any]) -> None:
        app.ctx.witness = asyncio.create_task(tick())

    @app.before_server_stop
    async def leave(_: Sanic[Any, Any]) -> None:
        app.ctx.witness.cancel()

    @app.get("/state")
    async def state(_: Request) -> HTTPResponse:
        transport, seen = relay.upstream.transport, worst[0]
        worst[0] = 0.0
        in_use = transport.open_connections - transport.idle_connections
        idle = transport.idle_connections
        return json_response(
            {"live": relay.live, "in_use": in_use, "idle": idle, "stall_ms": seen * 1e3, "peak_bytes": peak_bytes()}
        )

    return app


def peak_bytes() -> int:
    """The most memory that this process ever had resident (proc(5), VmHWM)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


# --- The upstream -----------------------------------------------------------------------------------------------------


class Line:
    """The upstream's side of a connection, in one of two manners of speaking."""

    def __init__(self, connection: socket.socket, *, bytewise: bool) -> None:
        self._connection = connection
        self._bytewise = bytewise

    def say(self, *parts: bytes) -> None:
        data = b"".join(parts)
        for start in range(0, len(data), 1 if self._bytewise else len(data) or 1):
            self._connection.sendall(data[start : start + 1] if self._bytewise else data)

    def reset(self) -> None:
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._connection.close()

    def fin(self) -> None:
        self._connection.close()


Behave = Callable[[Line], None]


class Upstream(RawServer):
    """Does what the request asks for by name, as often as a connection is used; notes when each was closed."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        super().__init__(lambda _: None)
        self._tls = tls
        if port:
            self._listener.close()
            self._listener = socket.create_server(("127.0.0.1", port))
            self.url = f"http://127.0.0.1:{port}"
        self.left_at: dict[int, float] = {}  # by the number of the last request
        if tls is not None:
            self.url = self.url.replace("http:", "https:")

    def _serve(self, connection: socket.socket) -> None:
        number = 0
        with contextlib.suppress(OSError), connection:
            connection.settimeout(WAIT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while asked := re.search(rb"please (\w+) (\d+) (\d)", read_request(connection)):
                number = int(asked[2])
                BEHAVIOURS[asked[1].decode()](Line(connection, bytewise=asked[3] == b"1"))
        self.left_at[number] = time.monotonic()


def event(text: str) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


def raw_event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def head(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


FINISH: Final = raw_event(b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')
DONE: Final = raw_event(b"[DONE]")
A, B = chunk(event("a")), chunk(event("b"))
GOOD: Final = SSE_HEAD + A + B + chunk(DONE) + LAST_CHUNK
STALE: Final = SSE_HEAD + chunk(event("stale")) + chunk(DONE) + LAST_CHUNK
TYPE: Final = "Content-Type: text/event-stream"
CHUNKED: Final = "Transfer-Encoding: chunked"


# --- What is right ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """Before the first piece: a status and a problem."""

    status: int
    code: str
    outcome: str
    retry_after: str | None = None
    code_on_reuse: str | None = None
    """The code on a connection that was used before, where it is another one."""


@dataclass(frozen=True)
class Cut:
    """After `text`: visibly."""

    text: str
    code: str
    outcome: str


@dataclass(frozen=True)
class Whole:
    text: str


Ending = Refused | Cut | Whole
TRUNCATED: Final = Refused(502, "upstream_truncated", "truncated")
CLOSED_IDLE: Final = Refused(502, "upstream_closed_idle", "truncated")
UNANSWERED: Final = replace(TRUNCATED, code_on_reuse=CLOSED_IDLE.code)
SILENT: Final = Refused(504, "timeout_first_piece", "timeout(first_piece)")


def broken(text: str) -> Cut:
    return Cut(text, "upstream_truncated", "truncated")


def idle(text: str) -> Cut:
    return Cut(text, "timeout_idle", "timeout(idle)")


def unusable(code: str) -> Refused:
    return Refused(502, code, f"error_event({code})")


BAD_HEAD: Final = unusable("upstream_malformed_head")
LARGE_HEAD: Final = unusable("upstream_head_too_large")


def refused(status: int, code: str = "upstream_refused", retry_after: str | None = None) -> Refused:
    return Refused(status if status in (429, 503) else 502, code, f"refused({status})", retry_after)


def malformed(text: str, why: str) -> Cut:
    return Cut(text, "upstream_malformed", f"error_event({why})")


@dataclass(frozen=True)
class Case:
    behave: Behave
    ending: Ending
    kept: bool
    """Its message comes to its end, so the connection may serve the next request; any other is closed."""
    large: bool
    """Too much to be said byte by byte."""


CASES: dict[str, Case] = {}
BEHAVIOURS: dict[str, Behave] = {}


def case(name: str, said: Behave | bytes, ending: Ending, *, large: bool = False, kept: bool | None = None) -> None:
    """Bytes alone: they are said, and then nothing. `kept` is seen from their framing, unless that lies."""
    if kept is None:
        kept = isinstance(said, bytes) and is_whole(said)
    does = (lambda line: line.say(said)) if isinstance(said, bytes) else said
    assert name not in CASES
    CASES[name] = Case(does, ending, kept, large)
    BEHAVIOURS[name] = does


def then_closed(data: bytes) -> Behave:
    def behave(line: Line) -> None:
        line.say(data)
        line.fin()

    return behave


def again_and_again(first: bytes, more: bytes, pause_s: float) -> Behave:
    """Until the relay has had enough."""

    def behave(line: Line) -> None:
        line.say(first)
        while True:
            line.say(more)
            time.sleep(pause_s)

    return behave


def flood(first: bytes, more: bytes, size: int) -> Behave:
    """`more`, repeated up to `size` bytes, as fast as it is taken."""

    def behave(line: Line) -> None:
        line.say(first)
        for _ in range(size // len(more)):
            line.say(more)

    return behave


case("good", GOOD, Whole("ab"))

# It breaks off, in each phase and in each way.
PHASES: Final[dict[str, tuple[bytes, str | None]]] = {
    "after_accept": (b"", None),
    "in_head": (SSE_HEAD[:30], None),
    "after_head": (SSE_HEAD, None),
    "in_chunk_size": (SSE_HEAD + b"4", None),
    "in_first_event": (SSE_HEAD + A[:40], None),
    "in_next_event": (SSE_HEAD + A + B[:40], "a"),
    "between_events": (SSE_HEAD + A, "a"),
    "after_finish_reason": (SSE_HEAD + A + chunk(FINISH), "a"),
    "in_final_chunk": (SSE_HEAD + A + chunk(FINISH) + b"0\r\n", "a"),
}


def before_text(said: bytes) -> Refused:
    return TRUNCATED if said else UNANSWERED


for phase, (said, heard) in PHASES.items():
    finished = Whole("a") if phase in ("after_finish_reason", "in_final_chunk") else None  # told, and then silent
    case(f"stall_{phase}", said, finished or (SILENT if heard is None else idle(heard)))
    case(f"fin_{phase}", then_closed(said), before_text(said) if heard is None else broken(heard))
for phase, (said, heard) in {**PHASES, "after_end_marker": (SSE_HEAD + A + B + chunk(DONE), "ab")}.items():

    def reset(line: Line, said: bytes = said) -> None:
        line.say(said)
        time.sleep(0.05)  # until it was read: a reset overtakes what waits at the receiver
        line.reset()

    marked = phase == "after_end_marker"
    case(f"reset_{phase}", reset, Whole("ab") if marked else before_text(said) if heard is None else broken(heard))
case("stall_after_end_marker", SSE_HEAD + A + B + chunk(DONE), Whole("ab"))
case("stall_in_final_chunk_after_end_marker", SSE_HEAD + A + B + chunk(DONE) + b"0\r", Whole("ab"))
case("fin_after_end_marker", then_closed(SSE_HEAD + A + B + chunk(DONE)), Whole("ab"))

# Heads.
case("slow_head", again_and_again(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", 0.05), SILENT)
case("slow_head_lines", again_and_again(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n", 0.05), SILENT)
case("slow_interim_heads", again_and_again(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.2), SILENT)
case("endless_head", flood(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n" * 100, 1 << 24), LARGE_HEAD, large=True)
case("endless_header", flood(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 1000, 1 << 24), LARGE_HEAD, large=True)
case("oversized_head", head(TYPE, f"X-A: {'a' * 70_000}"), LARGE_HEAD, large=True)
case("interim_storm_100", b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + GOOD, LARGE_HEAD, large=True, kept=False)
case(
    "interim_storm_103",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5000 + GOOD,
    LARGE_HEAD,
    large=True,
    kept=False,
)
case("some_interim", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + GOOD, Whole("ab"), kept=True)
case("switching", head("Upgrade: websocket", "Connection: upgrade", status="101 Switching Protocols"), BAD_HEAD)
case("garbage_status_line", b"HTTP/1.1 OK 200\r\n\r\n", BAD_HEAD)
case("not_http", b"SSH-2.0-OpenSSH_9.9\r\n", BAD_HEAD)
case("http_0_9", then_closed(event("a") + DONE), BAD_HEAD)
case("http_2_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_HEAD)
case("http_2_frames", b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80", BAD_HEAD)
case("tls_alert", b"\x15\x03\x01\0\x02\x02\x46", BAD_HEAD)
case("bare_lf_head", GOOD.replace(b"\r\n", b"\n"), BAD_HEAD)
case("nul_in_head", GOOD.replace(b"200 OK\r\n", b"200 OK\r\nX-A: a\0b\r\n"), BAD_HEAD, kept=False)
case("obs_fold", GOOD.replace(b"200 OK\r\n", b"200 OK\r\nX-A: a\r\n b\r\n"), BAD_HEAD, kept=False)
case("space_before_colon", GOOD.replace(b"Encoding:", b"Encoding :"), BAD_HEAD, kept=False)

# Statuses.
for status in (301, 302, 307, 308):
    elsewhere = head("Location: http://127.0.0.1:1/", "Content-Length: 0", status=f"{status} Elsewhere")
    case(f"status_{status}", elsewhere, refused(status))
for status in (204, 206, 304, 400, 401, 403, 404, 413, 418, 500, 502, 504, 599):
    length = "Content-Length: 0" if status in (204, 304) else "Content-Length: 9"
    answer = head(length, status=f"{status} No") + (b'{"a": 1}\n' if length.endswith("9") else b"")
    case(f"status_{status}", answer, refused(status))
case("endless_error_body", again_and_again(head(CHUNKED, status="500 No"), A, 0.01), refused(500))
for status, code in ((429, "upstream_rate_limited"), (503, "upstream_overloaded")):
    for name, value, told in (
        ("none", None, None),
        ("seconds", "7", "7"),
        ("past", formatdate(1, usegmt=True), "0"),
        ("date", formatdate(4_000_000_000, usegmt=True), "60"),
        ("garbage", "soon, perhaps", None),
        ("huge", "9" * 400, "60"),
        ("huge_zone", "Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        ("huge_day", f"Mon, {'9' * 30} Jan 2026 00:00:00 GMT", None),
        ("negative", "-1", None),
    ):
        fields = ["Content-Length: 0"] if value is None else ["Content-Length: 0", f"Retry-After: {value}"]
        case(f"retry_{status}_{name}", head(*fields, status=f"{status} Busy"), refused(status, code, told))

# Types and codings.
PAGE: Final = b"<html>\n\n<p>Sign in</p></html>\n"
ERROR: Final = b'{"error": {"code": "model_not_found", "message": "no such model"}}\n'


def sized(body: bytes, *fields: str) -> bytes:
    return head(f"Content-Length: {len(body)}", *fields) + body


case("html", sized(PAGE, "Content-Type: text/html; charset=utf-8"), unusable("upstream_content_type"))
case("html_as_stream", sized(PAGE, TYPE), TRUNCATED)
case("html_without_type", sized(PAGE), TRUNCATED)
case(
    "json_error",
    sized(ERROR, "Content-Type: application/json"),
    Refused(502, "upstream_error", "error_event(model_not_found)"),
)
case("json_error_as_stream", sized(ERROR, TYPE), Refused(502, "upstream_error", "error_event(model_not_found)"))
case("json_no_error", sized(b'{"a": 1}', "Content-Type: application/json"), unusable("upstream_content_type"))
case(
    "endless_json", flood(head(CHUNKED, "Content-Type: application/json"), chunk(b"[" * 1000), 1 << 24),
    unusable("upstream_too_large"), large=True,
)  # fmt: skip
case("stalled_json", head("Content-Length: 99", "Content-Type: application/json") + b"{", SILENT)
case("cut_json", then_closed(head("Content-Length: 99", "Content-Type: application/json") + ERROR[:40]), TRUNCATED)
for name, content_type in {
    "none": None,
    "text": "text/plain",
    "binary": "application/octet-stream",
    "garbage": ";;=,/",
    "latin": "text/event-stream; charset=iso-8859-1",
    "utf_16": "text/event-stream; charset=utf-16",
    "punycode": "text/event-stream; charset=punycode",
    "nonsense": "text/event-stream; charset=no-such-charset",
    "twice": "text/event-stream\r\nContent-Type: text/event-stream",
}.items():
    chinese = chunk(event("你")) + chunk(raw_event('{"choices": [{"delta": {"content": "好"}}]}'.encode()))
    fields = [CHUNKED] if content_type is None else [CHUNKED, f"Content-Type: {content_type}"]
    case(f"type_{name}", head(*fields) + chinese + chunk(DONE) + LAST_CHUNK, Whole("你好"))
for foreign in ("application/json", "text/html", "text/html, text/event-stream"):
    name = re.sub(r"\W+", "_", foreign)
    case(
        f"stream_as_{name}",
        head(CHUNKED, f"Content-Type: {foreign}") + chunk(event("a")) + chunk(DONE) + LAST_CHUNK,
        Whole("a"),
    )
for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x-nonsense"):
    packed = chunk(zlib.compress(event("a") + DONE, wbits=31)) + LAST_CHUNK
    name = re.sub(r"\W+", "_", coding)
    case(
        f"coding_{name}",
        head(TYPE, CHUNKED, f"Content-Encoding: {coding}") + packed,
        unusable("upstream_content_encoding"),
    )
for coding in ("identity", "none", "gbk"):
    named = f"200 OK\r\nContent-Encoding: {coding}\r\n".encode()
    case(f"coding_{coding}", GOOD.replace(b"200 OK\r\n", named), Whole("ab"))

# Lies about where the message ends.
BODY: Final = event("a") + event("b") + DONE
UNMARKED: Final = event("a") + event("b")
FINISHED: Final = UNMARKED + FINISH
case("length", sized(BODY, TYPE), Whole("ab"))
case("length_too_long", then_closed(head(TYPE, f"Content-Length: {len(UNMARKED) + 9}") + UNMARKED), broken("ab"))
case("length_too_long_stall", head(TYPE, f"Content-Length: {len(FINISHED) + 9}") + FINISHED, Whole("ab"))
case("length_too_short", head(TYPE, f"Content-Length: {len(event('a'))}") + BODY, broken("a"), kept=False)
case("length_cuts_the_end", head(TYPE, f"Content-Length: {len(BODY) - 1}") + BODY, broken("ab"), kept=False)
case("length_with_surplus", sized(BODY, TYPE) + b"HTTP/1.1 200 OK\r\n", Whole("ab"), kept=False)
case("length_zero", head(TYPE, "Content-Length: 0"), TRUNCATED)
case("length_and_finish_reason", sized(FINISHED, TYPE), Whole("ab"))
for name, lie in {
    "differing_lengths": f"Content-Length: 5\r\nContent-Length: {len(BODY)}",
    "same_lengths": f"Content-Length: {len(BODY)}\r\nContent-Length: {len(BODY)}",
    "list_of_lengths": f"Content-Length: {len(BODY)}, {len(BODY)}",
    "negative_length": "Content-Length: -1",
    "signed_length": f"Content-Length: +{len(BODY)}",
    "hex_length": "Content-Length: 0xff",
    "huge_length": f"Content-Length: {'9' * 30}",
    "empty_length": "Content-Length:",
    "length_and_chunked": f"Content-Length: 5\r\n{CHUNKED}",
    "unknown_transfer_coding": "Transfer-Encoding: gzip",
    "unknown_and_chunked": "Transfer-Encoding: gzip, chunked",
    "chunked_twice": "Transfer-Encoding: chunked, chunked",
    "chunked_not_last": "Transfer-Encoding: chunked, identity",
    "obscured_chunked": "Transfer-Encoding: \x0bchunked",
}.items():
    case(f"head_{name}", head(TYPE, lie) + BODY, BAD_HEAD, kept=False)
for name, chunks in {
    "bad_size": b"zz\r\n" + B[4:],
    "negative_size": b"-5\r\nhello\r\n",
    "hex_prefix": b"0x" + B,
    "overflow": b"fffffffffffffffff\r\nhello\r\n",
    "empty_size": b"\r\nhello\r\n",
    "missing_crlf": B[:-2] + B,
    "too_short": b"5\r\n" + B[4:],
    "bare_lf": B.replace(b"\r\n", b"\n"),
    "space_in_size": b" " + B,
}.items():
    case(
        f"chunk_{name}",
        SSE_HEAD + A + chunks + chunk(DONE) + LAST_CHUNK,
        broken("ab" if name == "missing_crlf" else "a"),
        kept=False,
    )
case("chunk_too_long", then_closed(SSE_HEAD + A + b"fff\r\n" + event("b")), broken("ab"))
case("chunk_largest", then_closed(SSE_HEAD + A + b"7fffffffffffffff\r\n" + event("b")), broken("ab"))
case("no_final_chunk", then_closed(SSE_HEAD + A + B), broken("ab"))
case("no_final_chunk_after_finish_reason", then_closed(SSE_HEAD + chunk(FINISHED)), broken("ab"))
case("endless_extension", flood(SSE_HEAD + A + b"5;", b"a" * 1000, 1 << 24), broken("a"), large=True)
case("endless_trailers", flood(SSE_HEAD + A + b"0\r\n", b"X-A: a\r\n" * 100, 1 << 24), broken("a"), large=True)
case("trailers", GOOD[:-2] + b"X-Sum: 1\r\nContent-Type: text/html\r\n\r\n", Whole("ab"), kept=True)
case("trailers_after_finish_reason", SSE_HEAD + chunk(FINISHED) + b"0\r\nX-A: a\r\n\r\n", Whole("ab"), kept=True)
case("until_close", then_closed(head(TYPE) + BODY), Whole("ab"))
case("until_close_unmarked", then_closed(head(TYPE) + FINISHED), broken("ab"))
case("http_1_0", then_closed(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), Whole("ab"))
case("http_1_0_chunked", then_closed(b"HTTP/1.0 200 OK\r\n" + GOOD[17:]), BAD_HEAD)

# After the end.
case(
    "bytes_after_end_marker",
    SSE_HEAD + A + B + chunk(DONE + event("c") + b"x" * 999) + LAST_CHUNK,
    Whole("ab"),
)
case(
    "error_after_end_marker",
    SSE_HEAD + A + B + chunk(DONE + raw_event(ERROR.strip())) + LAST_CHUNK,
    Whole("ab"),
)
case("endless_after_end_marker", again_and_again(SSE_HEAD + A + B + chunk(DONE), A, 0.01), Whole("ab"))
case("garbage_after_end_marker", SSE_HEAD + A + B + chunk(DONE) + b"zz\r\n", Whole("ab"))
case("bytes_after_final_chunk", GOOD + b"HTTP/1.1 200 OK\r\n", Whole("ab"), kept=False)
case("line_ends_after_final_chunk", GOOD + b"\r\n\r\n", Whole("ab"), kept=False)
case("answer_after_final_chunk", GOOD + STALE, Whole("ab"), kept=False)

# What stands in the events.


def streamed(*events: bytes) -> bytes:
    return SSE_HEAD + A + b"".join(map(chunk, events)) + chunk(DONE) + LAST_CHUNK


def content(value: bytes) -> bytes:
    return raw_event(b'{"choices": [{"index": 0, "delta": {"content": %b}}]}' % value)


for name, data in {
    "choices_null": b'{"choices": null}',
    "choices_empty": b'{"choices": []}',
    "delta_list": b'{"choices": [{"index": 0, "delta": []}]}',
    "null": b"null",
    "finish_reason_list": b'{"choices": [{"index": 0, "delta": {}, "finish_reason": [1]}]}',
    "error_null": b'{"choices": [], "error": null}',
}.items():
    case(f"empty_{name}", streamed(raw_event(data), event("b")), Whole("ab"))
case("index_string", streamed(raw_event(b'{"choices": [{"index": "0", "delta": {"content": "b"}}]}')), Whole("ab"))
for name, data in {
    "choices_number": b'{"choices": 5}',
    "choices_object": b'{"choices": {"0": {"delta": {"content": "x"}}}}',
    "choices_of_numbers": b'{"choices": [1, "x", null, []]}',
    "delta_string": b'{"choices": [{"index": 0, "delta": "x"}]}',
    "content_number": b'{"choices": [{"index": 0, "delta": {"content": 5}}]}',
    "content_object": b'{"choices": [{"index": 0, "delta": {"content": {"a": 1}}}]}',
    "content_true": b'{"choices": [{"index": 0, "delta": {"content": true}}]}',
    "a_number": b"5",
    "a_list": b"[1, 2]",
    "a_string": b'"x"',
}.items():
    case(f"wrong_{name}", streamed(raw_event(data), event("b")), malformed("a", "wrong_type"))
DEEP: Final = 10_000
case("deep_list", streamed(raw_event(b"[" * DEEP + b"]" * DEEP)), malformed("a", "too_deep"), large=True)
case("deep_unclosed", streamed(raw_event(b'{"choices":' + b"[" * DEEP)), malformed("a", "too_deep"), large=True)
case("deep_object", streamed(raw_event(b'{"a":' * DEEP + b"1" + b"}" * DEEP)), malformed("a", "too_deep"), large=True)
case("not_json", streamed(raw_event(b"{oops")), malformed("a", "malformed_json"))
case("huge_number", streamed(raw_event(b'{"choices": ' + b"9" * 5000 + b"}")), malformed("a", "number_too_large"))
case("lone_surrogate", streamed(content(b'"\\ud800"')), malformed("a", "lone_surrogate"))
case("two_halves_swapped", streamed(content(b'"\\udc00\\ud800"')), malformed("a", "lone_surrogate"))
case("surrogate_pair", streamed(content(b'"\\ud83d\\ude00"')), Whole("a😀"))
case("invalid_utf8", streamed(content(b'"\xff\xfe\xc3"'), event("b")), Whole("a\ufffd\ufffd\ufffdb"))
case("escaped_controls", streamed(content(rb'"\u0000\r\n\ndata: x\n\n\u001b\u0085\u2028\u2029"')),
     Whole("a\0\r\n\ndata: x\n\n\x1b\x85\u2028\u2029"))  # fmt: skip
case("raw_separators", streamed(content('"\u2028\u2029\x85\x7f"'.encode())), Whole("a\u2028\u2029\x85\x7f"))
case("raw_control", streamed(content(b'"\x01"')), malformed("a", "malformed_json"))
case("provider_error", streamed(raw_event(ERROR.strip())), Cut("a", "upstream_error", "error_event(model_not_found)"))
case("provider_error_first", SSE_HEAD + chunk(raw_event(ERROR.strip())) + LAST_CHUNK,
     Refused(502, "upstream_error", "error_event(model_not_found)"))  # fmt: skip
case("only_the_end_marker", SSE_HEAD + chunk(DONE) + LAST_CHUNK, unusable("upstream_empty"))

# Too much of it.
TOO_LARGE: Final = Cut("a", "upstream_too_large", "error_event(upstream_too_large)")
case("endless_line", flood(SSE_HEAD + A, chunk(b"x" * 65_000), 1 << 27), TOO_LARGE, large=True)
case("event_of_100_mb", flood(SSE_HEAD + A, chunk(b"data: " + b"x" * 65_000 + b"\n"), 100 << 20), TOO_LARGE, large=True)
case("endless_first_line", flood(SSE_HEAD, chunk(b"x" * 65_000), 1 << 27),
     unusable("upstream_too_large"), large=True)  # fmt: skip
case("endless_drip_in_a_line", again_and_again(SSE_HEAD + A, chunk(b"x"), 0.01), idle("a"))
MANY: Final = 100_000
case("many_choices", streamed(raw_event(b'{"choices":[' + b"{}," * MANY + b"{}]}"), event("b")),
     malformed("a", "too_many_values"), large=True)  # fmt: skip
case("many_keys", streamed(raw_event(json.dumps(dict.fromkeys(map(str, range(50_000)))).encode())),
     Whole("a"), large=True)  # fmt: skip
for name, unit in {"blank_lines": b"\n", "comments": b":\n", "empty_events": b"data\n\n", "fields": b"x\n"}.items():
    many = (chunk(unit * (60_000 // len(unit))) + B) * 2
    case(f"flood_of_{name}", SSE_HEAD + A + many + chunk(DONE) + LAST_CHUNK, Whole("abb"), large=True)
case(
    "chunks_of_one_byte",
    SSE_HEAD + b"".join(chunk(bytes([byte])) for byte in BODY) + LAST_CHUNK,
    Whole("ab"),
)

# Nothing but signs of life.
for name, sign in {
    "comments": chunk(b": hi\n\n"),
    "bytes_of_a_comment": chunk(b"."),
    "pings": chunk(b"event: ping\ndata: {}\n\n"),
    "pings_without_json": chunk(b"event: ping\ndata: 12:00:01\n\n"),
    "blank_lines": chunk(b"\n"),
    "chunk_extensions": b";",
}.items():
    begin = {"bytes_of_a_comment": chunk(b":"), "chunk_extensions": b"5"}.get(name, b"")
    case(f"only_{name}", again_and_again(SSE_HEAD + begin, sign, 0.1), SILENT)
    case(f"then_only_{name}", again_and_again(SSE_HEAD + A + begin, sign, 0.1), idle("a"))
case("only_events_without_text", again_and_again(SSE_HEAD, chunk(raw_event(b'{"choices": []}')), 0.1), SILENT)
case("endless_events", again_and_again(SSE_HEAD, A, 0.1), Cut("a", "timeout_total", "timeout(total)"))


# --- The client -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a client got."""

    number: int
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    took_s: float
    ended_at: float


_numbers = itertools.count(1)


def ask(relay: Server, name: str, accept: str = PLAIN, *, bytewise: bool = False) -> Seen:
    number, began = next(_numbers), time.monotonic()
    with connected(relay.url) as client:
        asked = f"chat_history=please {name} {number} {bytewise:d}".replace(" ", "+")
        client.sendall(request("/ans", asked.encode(), accept=accept))
        data = read_answer(client)
    ended = time.monotonic()
    begin, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = begin.decode().split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return Seen(
        number, int(status_line.split()[1]), headers, unchunked(headers, body), is_whole(data), ended - began, ended
    )


def unchunked(headers: dict[str, str], body: bytes) -> bytes:
    """Without the framing, as far as it came."""
    if headers.get("transfer-encoding") != "chunked":
        return body
    data = b""
    while size := int(body.partition(b"\r\n")[0] or b"0", 16):
        body = body.partition(b"\r\n")[2]
        data, body = data + body[:size], body[size + 2 :]
    return data


def sse_events(body: bytes) -> list[tuple[str, Any]]:
    """The type and the decoded data of each event, by the letter of our own contract."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((fields.get("event", "message"), json.loads(fields["data"])))
    return events


def text_of(seen: Seen) -> str:
    if seen.headers["content-type"].startswith(SSE):
        return "".join(data["text"] for kind, data in sse_events(seen.body) if kind == "message")
    return seen.body.decode()


def check(seen: Seen, ending: Ending) -> None:
    """That this is the one right ending."""
    if isinstance(ending, Refused):
        assert seen.headers["content-type"] == "application/problem+json"
        problem = json.loads(seen.body)
        assert (seen.status, problem["outcome"]) == (ending.status, ending.outcome)
        assert problem["code"] in (ending.code, ending.code_on_reuse)
        assert seen.headers.get("retry-after") == ending.retry_after
        assert seen.whole
        return
    assert seen.status == 200, seen.body
    text, sse = text_of(seen), seen.headers["content-type"].startswith(SSE)
    if isinstance(ending, Cut) and ending.outcome == "timeout(total)":
        assert text == "a" * len(text)
    else:
        assert text == ending.text
    last, told = sse_events(seen.body)[-1] if sse else ("", {})
    if isinstance(ending, Whole):
        assert seen.whole
        assert (last, told.get("outcome")) == (("done", "complete") if sse else ("", None))
    elif sse:
        assert (last, told["code"], told["outcome"]) == ("error", ending.code, ending.outcome)
    else:
        assert not seen.whole, "a broken stream looks whole"


def state(relay: Server) -> dict[str, Any]:
    with connected(relay.url) as client:
        client.sendall(b"GET /state HTTP/1.1\r\nHost: test\r\n\r\n")
        found: dict[str, Any] = json.loads(read_answer(client).partition(b"\r\n\r\n")[2])
    return found


def held(relay: Server) -> tuple[int, int]:
    """Streams, and connections to the upstream that are in use."""
    now = state(relay)
    return now["live"], now["in_use"]


def check_as_before(relay: Server, began: dict[str, Any], after: Sequence[str]) -> None:
    """Nothing is held, nothing stood still, and the next good request works."""
    check(ask(relay, "good", SSE), CASES["good"].ending)
    now = state(relay)
    assert now["stall_ms"] < STALL_MS, f"after {after}"
    assert eventually(lambda: held(relay) == (0, 0)), f"after {after}: {state(relay)}"
    assert now["peak_bytes"] - began["peak_bytes"] < MEMORY_BYTES, f"after {after}"


# --- The tests --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@contextlib.contextmanager
def good_relay(upstream: Upstream, deadlines: Deadlines) -> Iterator[Server]:
    with serve(partial(make_relay, upstream.url, deadlines), process=True) as server:
        for accept in (PLAIN, SSE):
            check(ask(server, "good", accept), CASES["good"].ending)
        yield server


@pytest.fixture(scope="module")
def relay(upstream: Upstream) -> Iterator[Server]:
    with good_relay(upstream, AMPLE) as server:
        yield server


@pytest.fixture(scope="module")
def began(relay: Server) -> dict[str, Any]:
    """The relay's state before any of this."""
    return state(relay)


@dataclass(frozen=True)
class Played:
    """What was seen of one case; how the relay was before, and which cases it has played together with it."""

    seen: list[Seen]
    relay: Server
    began: dict[str, Any]
    together: Sequence[str]


Play = Callable[[str], Played]
Asked = dict[str, list[concurrent.futures.Future[Seen]]]


@pytest.fixture(scope="module")
def play(upstream: Upstream, relay: Server, began: dict[str, Any]) -> Iterator[Play]:
    """Play a case: with its batch and only once, if it is one that waits for a deadline, else alone."""

    def asked(relay: Server, names: Sequence[str]) -> Asked:
        asking = {
            name: [
                clients.submit(ask, relay, name, accept, bytewise=bytewise)
                for accept in (PLAIN, SSE)
                for bytewise in ([False] if CASES[name].large else [False, True])
            ]
            for name in names
        }
        concurrent.futures.wait(itertools.chain(*asking.values()))
        return asking

    @cache
    def side_by_side(names: tuple[str, ...]) -> Asked:
        return asked(hasty, names)

    def playing(name: str) -> Played:
        if name in BATCHES:
            return played(name, side_by_side(BATCHES[name]), hasty, hasty_began)
        return played(name, asked(relay, [name]), relay, began)

    def played(name: str, answers: Asked, relay: Server, began: dict[str, Any]) -> Played:
        return Played([each.result() for each in answers[name]], relay, began, list(answers))

    with (
        good_relay(upstream, SHORT) as hasty,
        concurrent.futures.ThreadPoolExecutor(4 * SIDE_BY_SIDE) as clients,
    ):
        hasty_began = state(hasty)
        yield playing


def limit_of(ending: Ending) -> float | None:
    """The deadline that ends it, if one does."""
    limits_s = {"timeout(first_piece)": PATIENCE_S, "timeout(idle)": PATIENCE_S, "timeout(total)": TOTAL_S}
    return limits_s.get(getattr(ending, "outcome", ""))


WAITING: Final = [name for name, one in CASES.items() if limit_of(one.ending)]
_STARTS: Final = range(0, len(WAITING), SIDE_BY_SIDE)
BATCHES: Final = {name: batch for batch in (tuple(WAITING[at : at + SIDE_BY_SIDE]) for at in _STARTS) for name in batch}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_it_must_and_leaves_nothing(name: str, play: Play, upstream: Upstream) -> None:
    case, played = CASES[name], play(name)
    for each in played.seen:
        check(each, case.ending)
    check_in_time([each.took_s for each in played.seen], case.ending)
    if not case.kept:
        check_closed(upstream, played.seen)
    check_as_before(played.relay, played.began, played.together)


def check_in_time(took_s: list[float], ending: Ending) -> None:
    """The best of all tries: a machine that is busy makes any of them late."""
    limit_s = limit_of(ending)
    if limit_s is None:
        assert min(took_s) < AMPLE_S, "it has waited for a deadline"
    else:
        assert limit_s * 0.95 <= min(took_s) <= limit_s + LATE_S


def check_closed(upstream: Upstream, seen: list[Seen]) -> None:
    assert eventually(lambda: all(each.number in upstream.left_at for each in seen), QUICK_S)
    assert min(upstream.left_at[each.number] - each.ended_at for each in seen) < CLOSED_WITHIN_S


# --- No connection ----------------------------------------------------------------------------------------------------

UNREACHABLE: Final = Refused(502, "upstream_unreachable", "refused(connect)")
TOO_SLOW: Final = Refused(504, "timeout_connect", "timeout(connect)")


@contextlib.contextmanager
def nobody_there() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}/"


@contextlib.contextmanager
def no_such_host() -> Iterator[str]:
    yield "http://nonexistent.invalid/"


@contextlib.contextmanager
def blackhole() -> Iterator[str]:
    """A listener whose queue is full: the kernel answers no further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@contextlib.contextmanager
def said_to_a_handshake(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Where TLS is expected."""

    def hello(connection: socket.socket) -> None:
        connection.settimeout(WAIT_S)
        connection.recv(65_536)
        behave(connection)

    with RawServer(lambda _: None) as server:
        server._serve = lambda connection: _closing(connection, hello)  # type: ignore[method-assign]  # no request is read
        yield server.url.replace("http:", "https:")


def _closing(connection: socket.socket, behave: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError), connection:
        behave(connection)


@contextlib.contextmanager
def self_signed() -> Iterator[str]:
    with Upstream(serving_tls()) as server:
        yield server.url


@contextlib.contextmanager
def tls_unasked() -> Iterator[str]:
    with Upstream(serving_tls()) as server:
        yield server.url.replace("https:", "http:")


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def half_a_record(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x03\x40\0\x02")
    until_closed(connection)


@pytest.mark.parametrize(
    ("there", "ending"),
    [
        pytest.param(nobody_there, UNREACHABLE, id="refused"),
        pytest.param(no_such_host, UNREACHABLE, id="unresolvable"),
        pytest.param(blackhole, TOO_SLOW, id="blackhole"),
        pytest.param(self_signed, UNREACHABLE, id="self-signed certificate"),
        pytest.param(tls_unasked, TRUNCATED, id="TLS where plain text is expected"),
        pytest.param(
            partial(said_to_a_handshake, lambda c: c.sendall(GOOD)), UNREACHABLE, id="plain text where TLS is"
        ),
        pytest.param(partial(said_to_a_handshake, lambda c: c.close()), UNREACHABLE, id="closed in the handshake"),
        pytest.param(partial(said_to_a_handshake, until_closed), TOO_SLOW, id="stalled handshake"),
        pytest.param(
            partial(said_to_a_handshake, half_a_record),
            TOO_SLOW,
            id="stalled in a record of the handshake",
        ),
    ],
)
def test_a_connection_that_is_not_made_is_named_and_leaves_nothing(
    there: Callable[[], contextlib.AbstractContextManager[str]], ending: Refused
) -> None:
    deadlines = Deadlines(connect_s=CONNECT_S) if ending is TOO_SLOW else AMPLE
    soon_s = CONNECT_S + LATE_S if ending is TOO_SLOW else AMPLE_S
    with there() as url, serve(partial(make_relay, url, deadlines)) as relay:
        seen = [ask(relay, "good", accept) for accept in (PLAIN, SSE)]
        for each in seen:
            check(each, ending)
            assert each.took_s < deadlines.connect_s + QUICK_S
        assert min(each.took_s for each in seen) < soon_s
        assert eventually(lambda: held(relay) == (0, 0))


def test_an_upstream_that_comes_back_is_found_by_the_next_request() -> None:
    port = free_port()
    with serve(partial(make_relay, f"http://127.0.0.1:{port}/")) as relay:
        check(ask(relay, "good"), UNREACHABLE)
        with Upstream(port=port):
            check(ask(relay, "good"), CASES["good"].ending)
            relay.stop()


# --- Connections that are kept ----------------------------------------------------------------------------------------


def late_stale(line: Line) -> None:
    line.say(GOOD)
    time.sleep(0.01)
    line.say(STALE)


def late_fin(line: Line) -> None:
    line.say(GOOD)
    time.sleep(0.01)
    line.fin()


BEHAVIOURS["late_stale"], BEHAVIOURS["late_fin"] = late_stale, late_fin


def test_an_answer_on_an_idle_connection_is_not_taken_for_the_next_one(relay: Server, began: dict[str, Any]) -> None:
    for _ in range(5):
        check(ask(relay, "late_stale"), CASES["good"].ending)
        time.sleep(0.05)
        check(ask(relay, "good", SSE), CASES["good"].ending)
    check_as_before(relay, began, ["late_stale"])


def test_a_connection_that_is_closed_as_the_question_goes_out_has_a_code_of_its_own(
    relay: Server, began: dict[str, Any]
) -> None:
    """And the question is not asked again: perhaps it was heard."""
    for unheard in ("fin_after_accept", "reset_after_accept"):
        check(ask(relay, "good"), CASES["good"].ending)  # leaves a connection
        assert state(relay)["idle"] == 1
        check(ask(relay, unheard), CLOSED_IDLE)
        check(ask(relay, unheard), TRUNCATED)  # on a new one
    check_as_before(relay, began, ["closed idle"])


def test_a_connection_that_is_closed_around_its_reuse_costs_at_most_this_request(
    relay: Server, began: dict[str, Any]
) -> None:
    """The pauses lie around the close. Where it crosses the question, nobody knows whether that was heard: it is not
    asked again.
    """
    for pause_ms in (0, 5, 8, 9, 9.5, 10, 10.5, 11, 12, 20):
        check(ask(relay, "late_fin"), CASES["good"].ending)
        time.sleep(pause_ms / 1e3)
        seen = ask(relay, "good", SSE)
        check(seen, CASES["good"].ending if seen.status == 200 else CLOSED_IDLE)
    check_as_before(relay, began, ["late_fin"])
