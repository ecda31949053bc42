"""What no client may do to the relay: over raw sockets, each request whole and byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from sanic import Sanic

from streamkit.app import create_app, create_blueprint
from streamkit.lab.upstream import Script, create_upstream
from streamkit.presets import writer
from streamkit.relay.request import connection
from streamkit.relay.request.connection import MAX_PIPELINED_BYTES
from streamkit.serving.listener import free_port
from streamkit.serving.server import Server, serve
from tests.rawsockets import (
    LAST_CHUNK,
    SSE_HEAD,
    WAIT_S,
    RawServer,
    chunk,
    connected,
    exchange,
    is_whole,
    read_answer,
    request,
)
from tests.servers import eventually, leaves_nothing

TEXT = "床前明月光"
SCRIPT = Script(["床前", "明月", "光"], first_piece_ms=1, gap_ms=1)
FORM = b"chat_history=x"
ASK = request("/ans", FORM)
HEALTH = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"
SMUGGLED = HEALTH * 2
"""Behind a request that must not be answered by more than its refusal."""
MAX_BODY_BYTES = 10_000
HEAD_S = 0.6
BODY_S = 0.5
LATE_S = 0.5  # a deadline fires within half a second, says the contract; a busy machine is given more
GENEROUS_S = 3.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with leaves_nothing(), serve(partial(create_upstream, SCRIPT)) as server:
        yield server


@pytest.fixture(scope="module")
def relay(upstream: Server) -> Iterator[Server]:
    make = partial(create_app, upstream=upstream.url, preset="seed", max_body_bytes=MAX_BODY_BYTES)
    with serve(make) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(upstream: Server) -> Iterator[Server]:
    """A relay whose clients have little time."""
    with serve(partial(create_app, upstream=upstream.url, preset="seed", head_s=HEAD_S, body_s=BODY_S)) as server:
        yield server


class Answer(NamedTuple):
    """One answer, and the seconds it took."""

    status: int
    head: str
    body: bytes
    took_s: float = 0.0

    @property
    def code(self) -> str:
        return json.loads(self.body)["code"] if "application/problem+json" in self.head else ""

    @property
    def outcome(self) -> str:
        return str(json.loads(self.body)["outcome"])


def answers(data: bytes) -> list[Answer]:
    """All answers in what a server sent, each of which has a length or chunks."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head:
            body, end, data = rest.partition(LAST_CHUNK)
            body += end
        else:
            length = re.search(rb"content-length: (\d+)", head)
            assert length, f"an answer without an end: {data[:200]!r}"
            body, data = rest[: int(length[1])], rest[int(length[1]) :]
        found.append(Answer(int(head[9:12]), head.decode().lower(), body))
    return found


def until_closed(client: socket.socket) -> bytes:
    """All that the relay sends; a reset would be an error."""
    return b"".join(iter(partial(client.recv, 65536), b""))


def works(server: Server) -> bool:
    answer = exchange(server.url, ASK)
    return answer.startswith(b"HTTP/1.1 200 ") and is_whole(answer)


def head(*fields: str, line: str = "POST /ans HTTP/1.1", host: str = "Host: test") -> bytes:
    lines = [line, *([host] if host else []), *fields, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def form(*fields: str, body: bytes = FORM, **options: str) -> bytes:
    """A request for an answer, whose length and coding are given."""
    return head("Content-Type: application/x-www-form-urlencoded", *fields, **options) + body


def chunked(body: bytes, line: str = "POST /ans HTTP/1.1") -> bytes:
    return form("Transfer-Encoding: chunked", body=body, line=line)


GOOD_CHUNKS = chunk(FORM[:5]) + chunk(FORM[5:]) + LAST_CHUNK

# name: what is sent, the status and the code of the one answer. All of these end the connection.
FRAMING: dict[str, tuple[bytes, int, str]] = {
    "two lengths": (form("Content-Length: 14", "Content-Length: 14"), 400, "bad_framing"),
    "two lengths that differ": (form("Content-Length: 14", "Content-Length: 4"), 400, "bad_framing"),
    "a length and chunks": (
        form("Content-Length: 14", "Transfer-Encoding: chunked", body=GOOD_CHUNKS),
        400,
        "bad_framing",
    ),
    "chunks and a length": (
        form("Transfer-Encoding: chunked", "Content-Length: 14", body=GOOD_CHUNKS),
        400,
        "bad_framing",
    ),
    "xchunked": (form("Transfer-Encoding: xchunked", body=GOOD_CHUNKS), 400, "bad_framing"),
    "chunked, identity": (form("Transfer-Encoding: chunked, identity", body=GOOD_CHUNKS), 400, "bad_framing"),
    "gzip, chunked": (form("Transfer-Encoding: gzip, chunked", body=GOOD_CHUNKS), 400, "bad_framing"),
    "identity": (form("Transfer-Encoding: identity", "Content-Length: 14"), 400, "bad_framing"),
    "an empty coding": (form("Transfer-Encoding:", body=GOOD_CHUNKS), 400, "bad_framing"),
    "chunked in quotes": (form('Transfer-Encoding: "chunked"', body=GOOD_CHUNKS), 400, "bad_framing"),
    "chunked, chunked": (form("Transfer-Encoding: chunked, chunked", body=GOOD_CHUNKS), 400, "bad_framing"),
    "chunked with a parameter": (form("Transfer-Encoding: chunked;a=b", body=GOOD_CHUNKS), 400, "bad_framing"),
    "two codings": (
        form("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=GOOD_CHUNKS),
        400,
        "bad_framing",
    ),
    "chunked behind a vertical tab": (form("Transfer-Encoding: \x0bchunked", body=GOOD_CHUNKS), 400, "bad_head"),
    "chunked behind a no-break space": (form("Transfer-Encoding: \xa0chunked", body=GOOD_CHUNKS), 400, "bad_framing"),
    "a space before the colon of a coding": (form("Transfer-Encoding : chunked", body=GOOD_CHUNKS), 400, "bad_header"),
    "a tab before the colon of a coding": (form("Transfer-Encoding\t: chunked", body=GOOD_CHUNKS), 400, "bad_header"),
    "a folded coding": (form("Transfer-Encoding:\r\n chunked", body=GOOD_CHUNKS), 400, "bad_header"),
    "chunks in HTTP/1.0": (
        form("Transfer-Encoding: chunked", body=GOOD_CHUNKS, line="POST /ans HTTP/1.0"),
        400,
        "bad_framing",
    ),
    "a length with a sign": (form("Content-Length: +14"), 400, "bad_framing"),
    "a length below zero": (form("Content-Length: -14"), 400, "bad_framing"),
    "a length in two parts": (form("Content-Length: 14,14"), 400, "bad_framing"),
    "a hexadecimal length": (form("Content-Length:  0xe"), 400, "bad_framing"),
    "a length with an underscore": (form("Content-Length: 1_4"), 400, "bad_framing"),
    "a length in full-width digits": (form("Content-Length: １４"), 400, "bad_framing"),
    "a length with a fraction": (form("Content-Length: 14.0"), 400, "bad_framing"),
    "an empty length": (form("Content-Length:"), 400, "bad_framing"),
    "a length of thirty digits": (form("Content-Length: " + "9" * 30), 400, "bad_framing"),
    "a space before the colon of a length": (form("Content-Length : 14"), 400, "bad_header"),
}
HEADS: dict[str, tuple[bytes, int, str]] = {
    "bare LF everywhere": (ASK.replace(b"\r\n", b"\n"), 400, "bad_head"),
    "one bare LF": (form("X: a\nContent-Length: 14"), 400, "bad_head"),
    "an end by bare LFs": (form("Content-Length: 14")[:-16] + b"\n\n" + FORM, 400, "bad_head"),
    "a bare CR": (form("X: a\rb", "Content-Length: 14"), 400, "bad_head"),
    "NUL in a value": (form("X: a\0b", "Content-Length: 14"), 400, "bad_head"),
    "NUL in a name": (form("X\0: a", "Content-Length: 14"), 400, "bad_head"),
    "an escape character": (form("X: a\x1bb", "Content-Length: 14"), 400, "bad_head"),
    "DEL": (form("X: a\x7fb", "Content-Length: 14"), 400, "bad_head"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_head"),
    "a folded line": (form("X: a", " b", "Content-Length: 14"), 400, "bad_header"),
    "white space before the first field": (form("Content-Length: 14", host=" Host: test"), 400, "bad_header"),
    "a line without a colon": (form("garbage", "Content-Length: 14"), 400, "bad_header"),
    "an empty name": (form(": a", "Content-Length: 14"), 400, "bad_header"),
    "a name with a space": (form("X Y: a", "Content-Length: 14"), 400, "bad_header"),
    "a name that is no ASCII": (form("Ünicode: a", "Content-Length: 14"), 400, "bad_header"),
    "a name in brackets": (form("(X): a", "Content-Length: 14"), 400, "bad_header"),
    "two spaces in the request line": (head(line="GET  /health HTTP/1.1"), 400, "bad_request_line"),
    "a tab in the request line": (head(line="GET\t/health HTTP/1.1"), 400, "bad_request_line"),
    "a space behind the request line": (head(line="GET /health HTTP/1.1 "), 400, "bad_request_line"),
    "a space in the target": (head(line="GET /hea lth HTTP/1.1"), 400, "bad_request_line"),
    "a target that is no ASCII": (head(line="GET /héalth HTTP/1.1"), 400, "bad_request_line"),
    "no version": (head(line="GET /health"), 400, "bad_request_line"),
    "HTTP/9.9": (head(line="GET /health HTTP/9.9"), 400, "bad_request_line"),
    "HTTP/1.10": (head(line="GET /health HTTP/1.10"), 400, "bad_request_line"),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request_line"),
    "a version in lower case": (head(line="GET /health http/1.1"), 400, "bad_request_line"),
    "a method in lower case": (head(line="get /health HTTP/1.1"), 400, "bad_request_line"),
    "a method that is no token": (head(line="G(T /health HTTP/1.1"), 400, "bad_request_line"),
    "garbage": (b"GARBAGE\r\n\r\n", 400, "bad_request_line"),
    "two empty lines first": (b"\r\n\r\n" + HEALTH, 400, "bad_request_line"),
    "a fragment in the target": (head(line="GET /health#x HTTP/1.1"), 400, "bad_request_line"),
    "a target without a path": (head(line="GET http://test HTTP/1.1"), 400, "bad_request_line"),
    "a target with half an address": (head(line="GET http://[::1/ HTTP/1.1"), 400, "bad_request_line"),
    "a target that Sanic cannot read": (head(line="GET http://test:99999/ HTTP/1.1"), 400, "bad_request"),
    "a tunnel": (head(line="CONNECT test:80 HTTP/1.1"), 400, "bad_request_line"),
    "no Host": (form("Content-Length: 14", host=""), 400, "bad_host"),
    "two Hosts": (form("Host: test", "Content-Length: 14"), 400, "bad_host"),
    "two Hosts in one": (form("Content-Length: 14", host="Host: a,b"), 400, "bad_host"),
    "a Host with a space": (form("Content-Length: 14", host="Host: a b"), 400, "bad_host"),
    "a Host with a path": (form("Content-Length: 14", host="Host: a/b"), 400, "bad_host"),
    "a Host with a user": (form("Content-Length: 14", host="Host: a@b"), 400, "bad_host"),
    "a Host with a wordy port": (form("Content-Length: 14", host="Host: a:b"), 400, "bad_host"),
    "an endless target": (head(line=f"GET /{'a' * 9000} HTTP/1.1"), 414, "uri_too_long"),
    "an endless request line": (b"G" * 20_000, 414, "uri_too_long"),
    "an endless head": (head("X: " + "a" * 17_000), 431, "head_too_large"),
    "a head without an end": (head()[:-2] + b"X: a\r\n" * 3000, 431, "head_too_large"),
    "a thousand fields": (head(*["X: a"] * 1000), 431, "head_too_large"),
    "an unknown expectation": (form("Expect: 200-ok", "Content-Length: 14"), 417, "expectation_failed"),
    "an unknown expectation without a body": (
        head("Expect: x", line="GET /health HTTP/1.1"),
        417,
        "expectation_failed",
    ),
}
CHUNKS: dict[str, bytes] = {
    "a size of 0x5": b"0x5\r\nchat_\r\n",
    "a size with a sign": b"+5\r\nchat_\r\n",
    "a size below zero": b"-1\r\nchat_\r\n",
    "a space before the size": b" 5\r\nchat_\r\n",
    "a space behind the size": b"5 \r\nchat_\r\n",
    "a tab behind the size": b"5\t\r\nchat_\r\n",
    "a size that nobody can send": b"ffffffffffffffff\r\nchat_",
    "a size that is negative in 64 bits": b"8000000000000000\r\nchat_",
    "an empty size": b"\r\nchat_\r\n",
    "a size with an underscore": b"1_0\r\nchat_\r\n",
    "a size in full-width digits": "５\r\nchat_\r\n".encode(),
    "a size of seventeen digits": b"00000000000000005\r\nchat_\r\n",
    "a size that is no number": b"zz\r\nchat_\r\n",
    "an extension without a name": b"5;=a\r\nchat_\r\n",
    "an extension with a bare LF": b"5;a\nb\r\nchat_\r\n",
    "an extension with a bare CR": b"5;a\rb\r\nchat_\r\n",
    "an extension with NUL": b'5;a="\0"\r\nchat_\r\n',
    "an extension without an end": b"5;" + b"a" * 300,
    "a bare LF behind the size": b"5\nchat_\r\n",
    "data that a bare LF ends": b"5\r\nchat_\n0\r\n\r\n",
    "data without an end": b"5\r\nchat_0\r\n\r\n",
    "data that is longer": b"5\r\nchat_h\r\n0\r\n\r\n",
    "a last chunk without an end": b"5\r\nchat_\r\n0\r\nGET /health HTTP/1.1\r\n",
    "a trailer": b"5\r\nchat_\r\n0\r\nX: a\r\n\r\n",
    "a bare LF at the end": b"5\r\nchat_\r\n0\r\n\n",
    "a last chunk in bare LFs": b"5\r\nchat_\r\n0\n\n",
}
UNREAD = {"GET /health HTTP/1.1": (200, ""), "POST /nowhere HTTP/1.1": (404, "not_found")}
"""Routes that read no body."""
REFUSED: dict[str, tuple[bytes, int, str]] = {
    **FRAMING,
    **HEADS,
    **{name: (chunked(body), 400, "bad_chunk") for name, body in CHUNKS.items()},
    **{f"{name}: {line}": (chunked(body, line), *UNREAD[line]) for name, body in CHUNKS.items() for line in UNREAD},
}


@pytest.mark.parametrize("drip", [False, True], ids=["whole", "byte by byte"])
def test_what_breaks_the_rules_gets_one_refusal_and_the_connection_is_closed(relay: Server, drip: bool) -> None:
    wrong = {}
    for name, (sent, status, code) in REFUSED.items():
        data = sent + SMUGGLED
        with connected(relay.url) as client:
            got = dripped(client, data) if drip else at_once(client, data)
        found = answers(got)
        if [(each.status, each.code, "connection: close" in each.head) for each in found] != [(status, code, True)]:
            wrong[name] = got
        if not works(relay):
            wrong[name] = b"and then the next request does not work"
    assert wrong == {}


def at_once(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return until_closed(client)


def dripped(client: socket.socket, data: bytes) -> bytes:
    """Send byte by byte; what is too long for that, in pieces with odd ends. The relay may answer before the end."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    step = 1 if len(data) < 600 else 997
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for start in range(0, len(data), step):
            client.sendall(data[start : start + step])
            if start % 40 == 0:
                time.sleep(0.0005)  # otherwise the kernel makes one read of all
    return until_closed(client)


# --- What is well-formed, but cannot be served ----------------------------------------------------------------------

LENGTH = f"Content-Length: {len(FORM)}"
JSON = "application/json"
TOO_LARGE = b"a" * (MAX_BODY_BYTES + 1)
UNSERVED: dict[str, tuple[bytes, int, str]] = {
    "no field": (request("/ans", b"a=b"), 422, "chat_history_missing"),
    "no body": (request("/ans", b""), 422, "chat_history_missing"),
    "no length and no chunks": (form(body=b""), 422, "chat_history_missing"),
    "an empty field": (request("/ans", b"chat_history="), 422, "chat_history_empty"),
    "the field twice": (request("/ans", FORM + b"&" + FORM), 422, "chat_history_repeated"),
    "broken percent-encoding": (request("/ans", FORM + b"%zz"), 400, "bad_form"),
    "no UTF-8": (request("/ans", FORM + b"\xff"), 400, "bad_form"),
    "a number in JSON": (request("/ans", b'{"chat_history": 1}', content_type=JSON), 422, "chat_history_type"),
    "the name twice in JSON": (
        request("/ans", b'{"chat_history": "a", "chat\\u005fhistory": "b"}', content_type=JSON),
        422,
        "chat_history_repeated",
    ),
    "half a surrogate pair": (request("/ans", b'{"chat_history": "\\ud800"}', content_type=JSON), 400, "bad_json"),
    "deep JSON": (
        request("/ans", b'{"chat_history": ' + b"[" * 900 + b"]" * 900 + b"}", content_type=JSON),
        400,
        "bad_json",
    ),
    "deeper JSON": (request("/ans", b"[" * 9_000, content_type=JSON), 400, "bad_json"),
    "a thousand fields": (request("/ans", b"a=&" * 1000 + FORM), 400, "bad_form"),
    "multipart without an end": (
        request("/ans", b"--b\r\n\r\n", content_type="multipart/form-data; boundary=b"),
        400,
        "bad_form",
    ),
    "plain text": (request("/ans", FORM, content_type="text/plain"), 415, "unsupported_media_type"),
    "no type": (head(LENGTH) + FORM, 415, "unsupported_media_type"),
    "a type that is no text": (
        head(LENGTH, "Content-Type: \udcff; charset=\udcff") + FORM,
        415,
        "unsupported_media_type",
    ),
    "two types": (form(LENGTH, "Content-Type: text/plain"), 400, "bad_header"),
    "another charset": (
        request("/ans", FORM, content_type="application/x-www-form-urlencoded; charset=utf-7"),
        415,
        "unsupported_charset",
    ),
    "a compressed body": (form(LENGTH, "Content-Encoding: gzip"), 415, "unsupported_content_encoding"),
    "a body compressed twice": (form(LENGTH, "Content-Encoding: identity, br"), 415, "unsupported_content_encoding"),
    "a length beyond the limit": (form("Content-Length: 10001", body=b""), 413, "body_too_large"),
    "a length beyond all limits": (form("Content-Length: 9223372036854775807", body=b""), 413, "body_too_large"),
    "a body beyond the limit": (request("/ans", TOO_LARGE), 413, "body_too_large"),
    "chunks beyond the limit": (chunked(chunk(TOO_LARGE) + LAST_CHUNK), 413, "body_too_large"),
    "tiny chunks beyond the limit": (chunked(chunk(b"a") * len(TOO_LARGE) + LAST_CHUNK), 413, "body_too_large"),
    "another method": (head(line="GET /ans HTTP/1.1"), 405, "method_not_allowed"),
    "an unknown method": (head(line="BREW /ans HTTP/1.1"), 405, "method_not_allowed"),
    "another method with a body": (request("/ans", FORM).replace(b"POST", b"PUT"), 405, "method_not_allowed"),
    "another path": (request("/nowhere", FORM), 404, "not_found"),
    "a path that is no text": (head(line="GET /%ff%00%zz HTTP/1.1"), 404, "not_found"),
    "all of the server": (head(line="OPTIONS * HTTP/1.1"), 404, "not_found"),
}


@pytest.mark.parametrize("case", UNSERVED)
def test_what_cannot_be_served_is_refused_and_the_next_request_works(relay: Server, case: str) -> None:
    sent, status, code = UNSERVED[case]
    answer = answers(exchange(relay.url, sent))[0]
    assert (answer.status, answer.code) == (status, code)
    assert (status == 405) == ("allow: post" in answer.head)
    assert works(relay)


GOOD = {
    "chunks": chunked(GOOD_CHUNKS),
    "chunks with extensions": chunked(b'e;a=b;c;d="\\"e;"\r\n' + FORM + b"\r\n000;x\r\n\r\n"),
    "chunks in another spelling": form("TRANSFER-ENCODING:\tChunked \t", body=GOOD_CHUNKS),
    "a length in white space": form("content-length:\t14 \t"),
    "a length with leading zeros": form("Content-Length: 0014"),
    "an empty line first": b"\r\n" + ASK,
    "an absolute target": form(LENGTH, line="POST http://127.0.0.1:65535/ans HTTP/1.1"),
    "a strange query": form(LENGTH, line="POST /ans?%zz&a=%00&%ff&;='\"<> HTTP/1.1"),
    "a Host with a port": form(LENGTH, host="Host: [::1]:80"),
    "an empty Host": form(LENGTH, host="Host:"),
    "strange values": form(LENGTH, "X: \udcff\udcfe\t ü", "Prefer: backpressure=\udcff", "X-Stream-Id: \udcff"),
    "the offer of another protocol": form(LENGTH, "Upgrade: websocket", "Connection: upgrade"),
    "a hundred fields": form(LENGTH, *["X: a"] * 97),
    "a long head": form(LENGTH, "X: " + "a" * 15_000),
    "controls as text": request("/ans", b"chat_history=%00%1b\x7f\r\n"),
    "huge numbers beside it": request("/ans", b'{"a": 1e300, "chat_history": "x"}', content_type=JSON),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_keeps_to_the_rules_is_served_whole_and_byte_by_byte(relay: Server, case: str) -> None:
    whole = exchange(relay.url, GOOD[case])
    with connected(relay.url) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GOOD[case]:
            client.send(bytes([byte]))
        dripped_in = read_answer(client)
    assert [text_of(answers(each)[0]) for each in (whole, dripped_in)] == [TEXT, TEXT]


@pytest.mark.parametrize("size", [b"%x" % (MAX_BODY_BYTES + 1), b"7fffffffffffffff"])
@pytest.mark.parametrize("before", [b"", b"5\r\nchat_\r\n"], ids=["the first", "a later one"])
def test_a_chunk_beyond_the_bound_is_refused_when_it_is_announced_not_when_it_has_come(
    relay: Server, size: bytes, before: bytes
) -> None:
    with connected(relay.url) as client:
        client.sendall(chunked(before + size + b"\r\n"))
        (refused,) = answers(until_closed(client))
    assert (refused.status, refused.code) == (413, "body_too_large")


def text_of(answer: Answer) -> str:
    """The text of a chunked answer."""
    text, rest = b"", answer.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        text, rest = text + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return text.decode()


def test_requests_in_one_write_are_answered_in_order(relay: Server) -> None:
    with connected(relay.url) as client:
        client.sendall(
            chunked(GOOD_CHUNKS)
            + head(line="GET /nowhere HTTP/1.1")
            + request("/ans", b"")
            + HEALTH
            + form(LENGTH, "Connection: close")
        )
        found = answers(until_closed(client))
    assert [each.status for each in found] == [200, 404, 422, 200, 200]
    assert (text_of(found[0]), text_of(found[-1])) == (TEXT, TEXT)


def test_close_wins_over_keep_alive(relay: Server) -> None:
    for fields in (["Connection: keep-alive, close"], ["Connection: close", "Connection: keep-alive"]):
        with connected(relay.url) as client:
            client.sendall(head(*fields, line="GET /health HTTP/1.1") + SMUGGLED)
            assert len(answers(until_closed(client))) == 1


# --- 100 Continue ---------------------------------------------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_body_that_will_be_read_is_asked_for(relay: Server) -> None:
    for fields, body in (([LENGTH], FORM), (["Transfer-Encoding: chunked"], GOOD_CHUNKS)):
        with connected(relay.url) as client:
            client.sendall(form(*fields, "Expect: 100-Continue", body=b""))
            assert client.recv(65536) == CONTINUE
            client.sendall(body)
            assert answers(read_answer(client))[0].status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (form("Content-Length: 10001", "Expect: 100-continue", body=b""), 413),
        (form(LENGTH, "Expect: 100-continue", body=b"", line="POST /nowhere HTTP/1.1"), 404),
        (head(LENGTH, "Expect: 100-continue", line="GET /ans HTTP/1.1"), 405),
        (head(LENGTH, "Expect: 100-continue"), 415),
        (head(LENGTH, "Expect: 100-continue", line="GET /health HTTP/1.1"), 200),
    ],
)
def test_a_body_that_will_not_be_read_is_not_asked_for(relay: Server, sent: bytes, status: int) -> None:
    with connected(relay.url) as client:
        client.sendall(sent)
        assert [each.status for each in answers(until_closed(client))] == [status]


# --- HTTP/1.0 -------------------------------------------------------------------------------------------------------


def test_a_client_of_http_1_0_gets_pieces_without_chunks_one_by_one_and_then_the_end() -> None:
    seen = threading.Semaphore(0)

    def speak(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for text in "床前明":
            connection.sendall(chunk(writer("seed").piece(text, 0)))
            assert seen.acquire(timeout=WAIT_S), "the piece before has not arrived"
        connection.sendall(LAST_CHUNK)

    make = partial(create_app, preset="seed")
    with RawServer(speak) as raw, serve(partial(make, upstream=raw.url)) as server, connected(server.url) as client:
        client.sendall(form(LENGTH, "Expect: 100-continue", host="", line="POST /ans HTTP/1.0"))
        data = b""
        for text in "床前明":
            while text.encode() not in data:
                more = client.recv(65536)
                assert more, f"the stream ended after {data!r}"
                data += more
            seen.release()
        data += until_closed(client)
    top, _, body = data.partition(b"\r\n\r\n")
    assert body.decode() == "床前明"
    assert b"connection: close" in top.lower()
    assert b"transfer-encoding" not in top.lower()
    assert not data.startswith(CONTINUE)


def test_a_client_of_http_1_0_may_keep_its_connection_for_answers_with_a_length(relay: Server) -> None:
    ask = head("Connection: keep-alive", host="", line="GET /health HTTP/1.0")
    with connected(relay.url) as client:
        client.sendall(ask * 2 + head(host="", line="HEAD /health HTTP/1.0"))
        data = until_closed(client)
    assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"200", b"200", b"200"]
    assert data.endswith(b"\r\n\r\n"), "a body in the answer to HEAD"


# --- Deadlines ------------------------------------------------------------------------------------------------------


def drip(client: socket.socket, data: bytes, every_s: float = 0.05) -> float:
    """Send byte by byte until the relay answers or closes; the seconds that took."""
    began = time.monotonic()
    client.settimeout(every_s)
    with contextlib.suppress(ConnectionError):
        for byte in data:
            client.send(bytes([byte]))
            try:
                client.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
    client.settimeout(WAIT_S)
    return time.monotonic() - began


@pytest.mark.parametrize("before", [b"", HEALTH], ids=["on a new connection", "on a kept one"])
def test_a_head_that_drips_is_refused_at_its_deadline(hasty: Server, before: bytes) -> None:
    with connected(hasty.url) as client:
        if before:
            client.sendall(before)
            read_answer(client)
            time.sleep(HEAD_S)  # the deadline counts from the first byte
        took_s = drip(client, ASK)
        answer = answers(until_closed(client))[0]
    assert (answer.status, answer.code, answer.outcome) == (408, "timeout_head", "timeout(head)")
    assert HEAD_S * 0.9 < took_s < HEAD_S + LATE_S + GENEROUS_S


def test_a_client_that_never_says_a_word_is_left_without_one(hasty: Server) -> None:
    began = time.monotonic()
    with connected(hasty.url) as client:
        assert until_closed(client) == b""
    assert HEAD_S * 0.9 < time.monotonic() - began < HEAD_S + LATE_S + GENEROUS_S


def test_a_first_word_late_is_no_more_time_for_the_rest(hasty: Server) -> None:
    with connected(hasty.url) as client:
        time.sleep(HEAD_S * 0.7)
        took_s = drip(client, ASK)
        assert answers(until_closed(client))[0].code == "timeout_head"
    assert took_s < HEAD_S


def test_a_connection_that_waits_for_its_next_request_outlives_the_deadline_of_a_head(hasty: Server) -> None:
    with connected(hasty.url) as client:
        for _ in range(2):
            client.sendall(ASK)
            assert is_whole(read_answer(client))
            time.sleep(HEAD_S * 1.5)


def test_an_idle_connection_ends_after_sanics_keep_alive(upstream: Server) -> None:
    def make() -> Sanic[Any, Any]:
        app = create_app(upstream=upstream.url, preset="seed")
        app.config.KEEP_ALIVE_TIMEOUT = 0.2
        return app

    with serve(make) as server, connected(server.url) as client:
        client.sendall(HEALTH)
        assert len(answers(until_closed(client))) == 1


@pytest.mark.parametrize(
    ("sent", "rest", "status"),
    [
        (form("Content-Length: 1000", body=b""), b"a" * 1000, 408),
        (chunked(b"3e8\r\n"), b"a" * 1000, 408),
        (chunked(b""), b"0" * 15 + b"1;" + b"a" * 200, 408),
        (chunked(b"0\r"), b"", 408),
    ],
    ids=["a length", "a chunk", "the line of a chunk", "the last chunk"],
)
def test_a_body_that_drips_is_refused_at_its_deadline(hasty: Server, sent: bytes, rest: bytes, status: int) -> None:
    with connected(hasty.url) as client:
        client.sendall(sent)
        took_s = drip(client, rest or b"\n", every_s=0.05 if rest else WAIT_S)
        answer = answers(until_closed(client))[0]
    assert (answer.status, answer.code, answer.outcome) == (status, "timeout_body", "timeout(body)")
    assert BODY_S * 0.9 < took_s < BODY_S + LATE_S + GENEROUS_S


# --- Closing slowly -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1 << 20, 6 << 20])
def test_a_refusal_reaches_a_client_that_sends_all_before_it_reads(relay: Server, size: int) -> None:
    for sent in (
        form(f"Content-Length: {size}", body=b""),
        form("Content-Encoding: gzip", f"Content-Length: {size}", body=b""),
    ):
        with connected(relay.url) as client:
            client.sendall(sent + b"a" * size)
            assert answers(until_closed(client))[0].status in {413, 415}


def test_who_goes_on_after_a_refusal_is_cut_soon(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 1.0)
    with connected(relay.url) as client:
        client.sendall(form("Content-Length: 100000000", body=b""))
        began = time.monotonic()
        assert answers(until_closed(client))[0].status == 413
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < WAIT_S:
                client.send(b"a")
                time.sleep(0.05)
        took_s = time.monotonic() - began
    assert 0.5 < took_s < 1.5 + GENEROUS_S


def test_who_sends_no_more_after_a_refusal_is_not_waited_for_as_long(relay: Server) -> None:
    with connected(relay.url) as client:
        client.sendall(form("Content-Length: 100000000", body=b"a" * 1000))
        assert answers(until_closed(client))[0].status == 413
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < WAIT_S:
                time.sleep(1.2 * connection.LINGER_IDLE_S)
                client.send(b"a")
        took_s = time.monotonic() - began
    assert took_s < connection.LINGER_S - connection.LINGER_IDLE_S


def test_requests_behind_a_running_one_are_kept_within_bounds() -> None:
    """More than its buffer and the kernel's can hold: it is read, or `sendall` would not return, and it is not kept."""
    many = HEALTH * (200 * MAX_PIPELINED_BYTES // len(HEALTH))
    gate = threading.Event()
    make = partial(create_app, preset="seed")
    with RawServer(lambda _: until(gate)) as raw, serve(partial(make, upstream=raw.url)) as server:
        with connected(server.url) as client:
            client.sendall(ASK)
            assert eventually(lambda: len(raw.requests) == 1)
            client.sendall(many)
            gate.set()
            assert [each.status for each in answers(until_closed(client))] == [502]
        with connected(server.url) as client:
            client.sendall(ASK + HEALTH)  # a few are kept, and answered
            assert [each.status for each in answers(read_answers(client, 2))] == [502, 200]


def until(gate: threading.Event) -> None:
    assert gate.wait(WAIT_S)


def read_answers(client: socket.socket, count: int) -> bytes:
    """What comes until so many answers with a length are here."""
    data = b""
    while data.count(b"\r\n\r\n") < count or not is_whole(data[data.rindex(b"HTTP/1.1 ") :]):
        more = client.recv(65536)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


# --- Leaving --------------------------------------------------------------------------------------------------------

PHASES = {
    "in the head": ASK[:20],
    "in the body": ASK[:-3],
    "before the first piece": ASK,
    "in mid-stream": ASK,
}
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: on, 0 s


def leave(client: socket.socket, how: str) -> None:
    if how == "RST":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half-close":
        client.shutdown(socket.SHUT_WR)
    else:
        client.close()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["FIN", "RST", "half-close"])
def test_who_leaves_leaves_nothing_behind(how: str, phase: str, caplog: pytest.LogCaptureFixture) -> None:
    started: list[tuple[Sanic[Any, Any], asyncio.AbstractEventLoop]] = []

    def make() -> Sanic[Any, Any]:
        app = create_app(upstream=raw.url, preset="seed")

        @app.after_server_start
        async def note(_: Any) -> None:
            started.append((app, asyncio.get_running_loop()))

        return app

    def speak(connection: socket.socket) -> None:
        if phase == "in mid-stream":
            connection.sendall(SSE_HEAD + chunk(writer("seed").piece("床", 0)))
        raw.until_left(connection)

    def left_ms() -> float:
        """Come, leave, and say after how many ms the relay was rid of it."""
        asked, left = len(raw.requests), len(raw.left_at_ns)
        reaches_upstream = phase in {"before the first piece", "in mid-stream"}
        with connected(server.url) as client:
            client.sendall(PHASES[phase])
            assert eventually(lambda: tasks() == 1)
            assert eventually(lambda: len(raw.requests) == asked + reaches_upstream)
            if phase == "in mid-stream":
                assert client.recv(65536)
            began_ns = time.monotonic_ns()
            leave(client, how)
            assert eventually(lambda: tasks() == 0), "a task of the relay goes on"
            assert eventually(lambda: len(raw.left_at_ns) == left + reaches_upstream), "the upstream goes on"
        return (time.monotonic_ns() - began_ns) / 1e6

    def tasks() -> int:
        """Of connections."""
        running = [str(task.get_coro()) for task in asyncio.all_tasks(started[0][1])]
        return sum("connection_task" in coroutine for coroutine in running)

    with RawServer(speak) as raw, serve(make) as server:
        took_ms = min(left_ms() for _ in range(3))  # the machine may stall once, the relay may not
        assert started[0][0].ctx.relay.live == 0
    assert took_ms < 500
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_crowd_that_connects_and_vanishes_leaves_nothing_behind(relay: Server) -> None:
    for sent in (b"", b"P", ASK[:50], ASK[:-1], ASK, b"\0"):
        for how in ("FIN", "RST"):
            crowd = [socket.create_connection((relay.host, relay.port), WAIT_S) for _ in range(30)]
            for client in crowd:
                client.sendall(sent)
            for client in crowd:
                leave(client, how)
    assert eventually(lambda: b'"live":0' in exchange(relay.url, HEALTH))
    assert works(relay)


# --- However it is started ------------------------------------------------------------------------------------------

LENIENT = form("Content-Length : 14")
"""What Sanic takes and the relay does not."""


@pytest.mark.parametrize(
    "command", [["streamkit", "serve"], ["sanic", "streamkit.app:create_app", "--factory"]], ids=["streamkit", "sanic"]
)
def test_the_rules_hold_under_every_command(upstream: Server, command: list[str]) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        env={**os.environ, "STREAMKIT_UPSTREAM": upstream.url, "STREAMKIT_HEAD_S": str(HEAD_S)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: listens(port), 60)
        for sent, code in ((LENIENT, "bad_header"), (b"GET", "timeout_head")):
            answer = answers(exchange(url, sent))[0]
            assert answer.code == code, answer
        assert text_of(answers(exchange(url, ASK))[0]) == TEXT
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its workers
        process.wait(WAIT_S)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_an_app_of_somebody_elses_has_the_route_and_its_own_protocol(upstream: Server) -> None:
    def theirs() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("theirs", configure_logging=False)
        app.blueprint(create_blueprint(upstream=upstream.url, preset="seed", max_body_bytes=MAX_BODY_BYTES))
        return app

    with serve(theirs) as server:
        refused = answers(exchange(server.url, LENIENT))[0]
        assert (refused.status, refused.code, "connection: close" in refused.head) == (400, "bad_header", True)
        assert answers(exchange(server.url, request("/ans", TOO_LARGE)))[0].code == "body_too_large"
        announced = answers(exchange(server.url, chunked(b"ffffffffffffffff\r\nchat_")))[0]
        assert (announced.status, announced.code) == (413, "body_too_large"), "though its chunks are Sanic's matter"
        assert text_of(answers(exchange(server.url, chunked(GOOD_CHUNKS)))[0]) == TEXT
        assert works(server)


def test_a_route_of_ones_own_may_answer_while_it_reads(upstream: Server) -> None:
    def with_echo() -> Sanic[Any, Any]:
        app = create_app(upstream=upstream.url, preset="seed")

        @app.post("/echo", stream=True)
        async def echo(asked: Any) -> None:
            response = await asked.respond()
            await response.send(b"begin ")
            async for data in asked.stream:
                await response.send(data)

        return app

    with serve(with_echo) as server, connected(server.url) as client:
        client.sendall(request("/echo", b"hello") + SMUGGLED)
        (only,) = answers(until_closed(client))
    assert text_of(only) == "begin hello"
