"""HTTP/1.1 as a client reads it: what is accepted, what is refused, and that no cut of the bytes changes either."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport.framing import LAST_CHUNK, MAX_FRAMING_BYTES, WireError, chunk, framing
from streamkit.transport.http1 import ResponseParser, request_bytes

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n"
OK = (b"Content-Length: 2",)
KEEP = b"Connection: keep-alive"
CLOSE = b"Connection: close"


@dataclass(frozen=True)
class Seen:
    """All that a reader learns from an answer. `error` is the text of the WireError, None if there was none."""

    status: int | None
    reason: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    complete: bool
    reusable: bool
    error: str | None


def read(reads: Iterable[bytes], method: str = "GET", *, closed: bool = True, max_head_bytes: int = 65_536) -> Seen:
    """Feeds the reads, then the end if the peer `closed`. What was reusable before the close counts."""
    parser = ResponseParser(method, max_head_bytes=max_head_bytes)
    body, error, reusable = b"", None, False
    try:
        for data in reads:
            body += parser.feed(data)
        reusable = parser.complete and parser.reusable
        if closed:
            parser.eof()
    except WireError as fault:
        body += fault.body
        error = str(fault)
    return Seen(
        parser.status,
        parser.reason,
        parser.http_version,
        tuple(parser.headers),
        body,
        parser.complete,
        reusable,
        error,
    )


def bytewise(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def cut(wire: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]


def read_every_way(wire: bytes, method: str = "GET", *, closed: bool = True) -> Seen:
    """What one read shows. Single bytes, both halves of every cut, and random partitions show the same."""
    whole = read([wire], method, closed=closed)
    rng = random.Random(len(wire))
    ways = [bytewise(wire)]
    ways += [cut(wire, [place]) for place in range(1, len(wire))]
    ways += [cut(wire, rng.choices(range(len(wire) + 1), k=rng.randint(2, 9))) for _ in range(20)]
    for way in ways:
        assert read(way, method, closed=closed) == whole, f"cut as {way}"
    return whole


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


def h11_reads(wire: bytes) -> bytes | None:
    """The body that h11 reads from these bytes and the close behind them; None if it refuses them."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    connection.receive_data(b"")
    body = b""
    try:
        while isinstance(event := connection.next_event(), h11.InformationalResponse | h11.Response | h11.Data):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return body if isinstance(event, h11.EndOfMessage) else None


# --- accepted -------------------------------------------------------------------------------------------------------

ACCEPTED: dict[str, tuple[bytes, bytes]] = {
    "content-length": (head(b"Content-Length: 5") + b"hello", b"hello"),
    "content-length 0": (head(b"Content-Length: 0"), b""),
    "leading zeros of content-length": (head(b"Content-Length: 0005") + b"hello", b"hello"),
    "whitespace around a value (RFC 9110 5.5)": (head(b"Content-Length: \t 5 \t") + b"hello", b"hello"),
    "no whitespace before a value": (head(b"Content-Length:5") + b"hello", b"hello"),
    "chunked": (CHUNKED + HELLO + b"6\r\n world\r\n" + LAST_CHUNK, b"hello world"),
    "chunked without data": (CHUNKED + LAST_CHUNK, b""),
    "coding names are case-insensitive (RFC 9112 7)": (head(b"transfer-ENCODING: Chunked") + LAST_CHUNK, b""),
    "chunk sizes in either case, with leading zeros": (
        CHUNKED + b"00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n",
        b"0123456789" * 2,
    ),
    "chunk data that looks like framing": (
        CHUNKED + b"b\r\n0\r\n\r\n5\r\nhe\r\r\n" + LAST_CHUNK,
        b"0\r\n\r\n5\r\nhe\r",
    ),
    "chunk extensions (RFC 9112 7.1.1)": (CHUNKED + b'5;a;b=c;d="e \\" f"\r\nhello\r\n0;x=y\r\n\r\n', b"hello"),
    "trailers (RFC 9112 7.1.2)": (CHUNKED + HELLO + b"0\r\nX-Sum: 1\r\nConnection: close\r\n\r\n", b"hello"),
    "ended by the close": (head(b"A: b") + b"hello", b"hello"),
    "an empty body ended by the close": (head(b"A: b"), b""),
    "1xx before the answer (RFC 9110 15.2)": (
        head(status=b"HTTP/1.1 100 Continue")
        + head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")
        + CHUNKED
        + HELLO
        + LAST_CHUNK,
        b"hello",
    ),
    "no reason": (head(b"Content-Length: 2", status=b"HTTP/1.1 200 ") + b"ok", b"ok"),
    "no reason and no space before it": (head(b"Content-Length: 2", status=b"HTTP/1.1 200") + b"ok", b"ok"),
    "bytes beyond ASCII in reason and value": (
        head(b"A: \xe4\xbd\xa0\xff", b"Content-Length: 2", status=b"HTTP/1.1 200 \xe5\xa5\xbd") + b"ok",
        b"ok",
    ),
    "HTTP/1.0": (head(b"Content-Length: 2", status=b"HTTP/1.0 200 OK") + b"ok", b"ok"),
    "an empty value": (head(b"A:", b"B: ", b"Content-Length: 2") + b"ok", b"ok"),
    "status 599": (head(b"Content-Length: 2", status=b"HTTP/1.1 599 ?") + b"ok", b"ok"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_valid_answer_is_read_whole_by_us_and_by_h11(name: str) -> None:
    wire, body = ACCEPTED[name]
    seen = read_every_way(wire)
    assert (seen.error, seen.complete, seen.body) == (None, True, body)
    assert h11_reads(wire) == body


def test_headers_keep_order_repetition_and_case() -> None:
    seen = read_every_way(head(b"Set-Cookie: a", b"X-aB: 1", b"set-cookie:  b c ", b"Content-Length: 0"))
    assert seen.headers == (
        (b"Set-Cookie", b"a"),
        (b"X-aB", b"1"),
        (b"set-cookie", b"b c"),
        (b"Content-Length", b"0"),
    )
    assert (seen.status, seen.reason, seen.version) == (200, b"OK", b"HTTP/1.1")


def test_an_absent_reason_is_empty() -> None:
    for line in (b"HTTP/1.1 200", b"HTTP/1.1 200 "):
        assert read_every_way(head(*OK, status=line) + b"ok").reason == b""


def test_what_interim_heads_say_is_forgotten() -> None:
    seen = read_every_way(head(b"A: b", status=b"HTTP/1.1 103 Early Hints") + head(b"C: d", b"Content-Length: 0"))
    assert (seen.status, seen.headers) == (200, ((b"C", b"d"), (b"Content-Length", b"0")))


def test_the_status_is_none_until_the_final_head_is_complete() -> None:
    parser = ResponseParser("GET")
    interim, final = head(status=b"HTTP/1.1 100 Continue"), head(b"Content-Length: 1")
    for data in bytewise(interim + final[:-1]):
        parser.feed(data)
        assert parser.status is None
    parser.feed(final[-1:])
    assert parser.status == 200
    assert not parser.complete


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", b"200 OK"), ("GET", b"204 No Content"), ("GET", b"304 Not Modified")]
)
@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"A: b"])
def test_an_answer_that_has_no_body_is_complete_with_its_head(method: str, status: bytes, field: bytes) -> None:
    """RFC 9112 section 6.3, rule 1: whatever the framing fields say."""
    seen = read_every_way(head(field, status=b"HTTP/1.1 " + status), method, closed=False)
    assert (seen.complete, seen.reusable, seen.body) == (True, True, b"")


def test_many_chunks_of_one_read_come_joined() -> None:
    parser = ResponseParser("GET")
    bodies = [b"%d" % i for i in range(500)]
    assert parser.feed(CHUNKED + b"".join(map(chunk, bodies))) == b"".join(bodies)
    assert not parser.complete


def test_a_large_chunk_comes_as_it_arrives() -> None:
    parser = ResponseParser("GET")
    data = bytes(range(256)) * 1000
    assert parser.feed(CHUNKED + chunk(data)[:100_000]) == data[: 100_000 - len(b"3e800\r\n")]


def test_a_body_that_only_the_close_ends_is_complete_then_and_not_before() -> None:
    wire = head(KEEP) + b"hello"
    before, after = read_every_way(wire, closed=False), read_every_way(wire)
    assert (before.body, before.complete, before.reusable) == (b"hello", False, False)
    assert (after.body, after.complete, after.reusable) == (b"hello", True, False)


# --- refused --------------------------------------------------------------------------------------------------------

BAD_SIZES = [
    b"0x5",
    b"+5",
    b"-5",
    b" 5",
    b"5 ",
    b"5\t",
    b"",
    b"5_0",
    b"5,5",
    b"\xef\xbc\x95",
    b"1" + b"0" * 16,
    b"f" * 40,
    b"5\r",
]
BAD_LENGTHS = [
    b"+5",
    b"-5",
    b"5a",
    b"0x5",
    b"5,5",
    b"5, 5",
    b"5.0",
    b"5_0",
    b"",
    b"\xef\xbc\x95",
    b"\xb2",
    b"%d" % 2**63,
    b"9" * 5000,
]
BAD_CODINGS = [
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, chunked",
    b"identity",
    b"",
    b"xchunked",
    b"chunked;q=1",
    b"chunked,",
    b'"chunked"',
    b"chunked\xa0",
]
BAD_STATUS_LINES = [
    b"HTTP/1.1",
    b"HTTP/1.1 ",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 +20 OK",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/1.1 \xb2\xb2\xb2 OK",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1 200 O\0K",
    b"HTTP/11 200 OK",
    b"HTTP/1.1.1 200 OK",
    b"HTTP/01.1 200 OK",
    b"HTTP/ 1.1 200 OK",
]
FOREIGN_LINES = [
    b"http/1.1 200 OK",
    b" HTTP/1.1 200 OK",
    b"ICY 200 OK",
    b"RTSP/1.0 200 OK",
    b"SSH-2.0-OpenSSH_9.6",
    b"\x15\x03\x01\x00\x02\x02\x16",
]

REFUSED: dict[str, tuple[bytes, str]] = {
    # chunk sizes: RFC 9112 section 7.1, chunk-size = 1*HEXDIG
    **{f"chunk size {size!r}": (CHUNKED + size + b"\r\nhello\r\n" + LAST_CHUNK, "hunk size") for size in BAD_SIZES},
    "bare LF behind the chunk size": (CHUNKED + b"5\nhello\r\n" + LAST_CHUNK, "Missing expected CR"),
    "bare CR behind the chunk size": (CHUNKED + b"5\rhello\r\n" + LAST_CHUNK, "Expected LF"),
    "bare LF behind an extension": (CHUNKED + b"5;a=b\nhello\r\n" + LAST_CHUNK, "Missing expected CR"),
    "bare CR in an extension": (CHUNKED + b"5;a\rb\r\nhello\r\n" + LAST_CHUNK, "Expected LF"),
    "LF in a quoted extension": (CHUNKED + b'5;a="\n"\r\nhello\r\n' + LAST_CHUNK, "chunk extensions"),
    "NUL in an extension": (CHUNKED + b"5;a=\0\r\nhello\r\n" + LAST_CHUNK, "chunk extensions"),
    "bare LF behind chunk data": (CHUNKED + b"5\r\nhello\n" + LAST_CHUNK, "Missing expected CR"),
    "bare CR behind chunk data": (CHUNKED + b"5\r\nhello\r" + LAST_CHUNK, "Expected LF"),
    "nothing behind chunk data": (CHUNKED + b"5\r\nhello" + LAST_CHUNK, "chunk data"),
    "chunk data longer than its size": (CHUNKED + b"5\r\nhelloXX\r\n" + LAST_CHUNK, "chunk data"),
    "bare LF at the end of the last chunk": (CHUNKED + HELLO + b"0\n\r\n", "Missing expected CR"),
    "bare LF as the last line": (CHUNKED + HELLO + b"0\r\n\n", "broken chunked framing"),
    "bare CR as the last line": (CHUNKED + HELLO + b"0\r\n\rX", "Expected LF"),
    "trailer with a space before the colon": (CHUNKED + b"0\r\nA : b\r\n\r\n", "Invalid header token"),
    "folded trailer": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", "whitespace"),
    "trailer that ends with a bare LF": (CHUNKED + b"0\r\nA: b\n\r\n", "Missing expected CR"),
    "NUL in a trailer": (CHUNKED + b"0\r\nA: \0\r\n\r\n", "Invalid header value"),
    "Content-Length as a trailer (RFC 9110 6.5.1)": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", "Content-Length"),
    # lengths and codings: RFC 9112 sections 6.1 to 6.3
    "both framings": (head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + LAST_CHUNK, "both"),
    "both framings, the other way round": (
        head(b"Transfer-Encoding: chunked", b"content-length: 5") + LAST_CHUNK,
        "both",
    ),
    "differing lengths": (head(b"Content-Length: 5", b"Content-Length: 6") + b"hello", "several"),
    "equal lengths": (head(b"Content-Length: 5", b"content-length: 5") + b"hello", "several"),
    **{
        f"length {length!r}": (head(b"Content-Length: " + length) + b"hello", "Content-Length")
        for length in BAD_LENGTHS
    },
    **{
        f"coding {coding!r}": (head(b"Transfer-Encoding: " + coding) + LAST_CHUNK, "other than chunked")
        for coding in BAD_CODINGS
    },
    "chunked twice": (head(*[b"Transfer-Encoding: chunked"] * 2) + LAST_CHUNK, "other than"),
    "chunked in HTTP/1.0": (head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + LAST_CHUNK, "HTTP/1.0"),
    # header fields: RFC 9112 section 5, RFC 9110 section 5
    "space before the colon": (head(b"Content-Length : 2") + b"ok", "between a header name and the colon"),
    "tab before the colon": (head(b"Content-Length\t: 2") + b"ok", "between a header name and the colon"),
    "obsolete folding": (head(b"A: b", b" c", *OK) + b"ok", "folding"),
    "obsolete folding with a tab": (head(b"A: b", b"\tc", *OK) + b"ok", "folding"),
    "whitespace before the first field": (head(b" A: b", *OK) + b"ok", "whitespace"),
    "a line of whitespace": (head(*OK, b" ") + b"ok", "whitespace"),
    "no colon": (head(b"A", *OK) + b"ok", "colon"),
    "no name": (head(b": b", *OK) + b"ok", "not a token"),
    "NUL in a value": (head(b"A: b\0c", *OK) + b"ok", "control character"),
    "DEL in a value": (head(b"A: b\x7fc", *OK) + b"ok", "control character"),
    "vertical tab at the end of a value": (head(b"A: b\x0b", *OK) + b"ok", "control character"),
    "bare CR in a value": (head(b"A: b\rc", *OK) + b"ok", "bare CR"),
    "two CR behind a value": (head(b"A: b\r", *OK) + b"ok", "bare CR"),
    **{
        f"{char!r} in a name": (head(b"A" + char + b"B: c", *OK) + b"ok", "header name")
        for char in [b"\0", b" ", b"(", b'"', b"/", b"@", b"\x7f", b"\xe9"]
    },
    "bare LF in the head": (b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n\r\nok", "bare LF"),
    "bare LF all over": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "bare LF"),
    "bare LF as the empty line": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok", "bare LF"),
    # status lines: RFC 9112 section 4
    **{f"status line {line!r}": (head(*OK, status=line) + b"ok", "malformed status line") for line in BAD_STATUS_LINES},
    **{f"{line!r} for a status line": (head(*OK, status=line) + b"ok", "HTTP/") for line in FOREIGN_LINES},
    "an empty line first": (b"\r\n" + head(*OK) + b"ok", "HTTP/"),
    **{
        f"version {version!r}": (head(*OK, status=b"HTTP/%b 200 OK" % version) + b"ok", "version")
        for version in [b"0.9", b"1.2", b"2.0", b"3.0"]
    },
    **{
        f"status {status!r}": (head(*OK, status=b"HTTP/1.1 %b X" % status) + b"ok", "status outside")
        for status in [b"000", b"099", b"600", b"999"]
    },
    "101 Switching Protocols": (head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 X"), "not asked for"),
    "a malformed interim head": (head(b"A : b", status=b"HTTP/1.1 100 X") + head(*OK) + b"ok", "colon"),
    # cut: RFC 9112 section 8
    "cut before anything": (b"", "before an answer"),
    "cut in the status line": (b"HTT", "inside the head"),
    "cut in the head": (head(*OK)[:-1], "inside the head"),
    "cut behind an interim head": (head(status=b"HTTP/1.1 100 X"), "inside the head"),
    "cut in a counted body": (head(b"Content-Length: 12345") + b"hello", "the body ended after 5 of 12345 bytes"),
    "cut before a counted body": (head(b"Content-Length: 5"), "the body ended after 0 of 5 bytes"),
    "cut in a chunk": (CHUNKED + b"5\r\nhel", "without its final chunk"),
    "cut between chunks": (CHUNKED + HELLO, "without its final chunk"),
    "cut in the last chunk": (CHUNKED + HELLO + b"0\r\n\r", "without its final chunk"),
    "cut in the trailers": (CHUNKED + HELLO + b"0\r\nA: b\r\n", "without its final chunk"),
    "a chunk of 2^63 bytes": (CHUNKED + b"8000000000000000\r\nhello\r\n" + LAST_CHUNK, "without its final chunk"),
}

H11_TAKES = {
    *("chunk size b'5 '", "chunk size b'5\\t'", "bare CR in an extension", "NUL in an extension"),
    *("bare LF as the last line", "bare LF in the head", "bare LF all over", "bare LF as the empty line"),
    *("folded trailer", "trailer that ends with a bare LF", "Content-Length as a trailer (RFC 9110 6.5.1)"),
    *("both framings", "both framings, the other way round", "chunked in HTTP/1.0"),
    *("equal lengths", "length b'5,5'", "length b'5, 5'"),
    *("obsolete folding", "obsolete folding with a tab", "a line of whitespace", "DEL in a value"),
    *("version b'0.9'", "version b'1.2'", "version b'2.0'", "version b'3.0'", "status b'600'", "status b'999'"),
}
"""Refused here, taken by h11. Some of it RFC 9112 lets a recipient take; on all of it two parsers disagree, as seen."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_answer_is_refused_with_a_text_that_says_which_rule(name: str) -> None:
    wire, words = REFUSED[name]
    seen = read_every_way(wire)
    assert seen.error is not None
    assert words in seen.error
    assert len(seen.error) < 120
    assert not seen.complete
    assert not seen.reusable


def test_h11_refuses_the_rest_of_the_table_too() -> None:
    assert {name for name, (wire, _) in REFUSED.items() if h11_reads(wire) is not None} == H11_TAKES


def test_the_text_quotes_nothing_that_the_peer_sent() -> None:
    for wire in [
        head(b"X-sesame : sesame"),
        head(b"X-Key: sesame\0"),
        head(b"sesame"),
        head(b"Content-Length: sesame"),
        head(b"Transfer-Encoding: sesame"),
        b"sesame\r\n",
        head(status=b"HTTP/1.1 sesame"),
        CHUNKED + b"sesame\r\n",
        CHUNKED + b"0\r\nsesame\r\n\r\n",
    ]:
        error = read([wire]).error
        assert error is not None
        assert "sesame" not in error


def test_a_fault_hands_over_the_body_that_the_same_read_brought() -> None:
    parser = ResponseParser("GET")
    with pytest.raises(WireError) as caught:
        parser.feed(CHUNKED + HELLO + b"x\r\n")
    assert caught.value.body == b"hello"


def test_after_a_fault_every_call_raises_it_again() -> None:
    for wire in (b"SSH-2.0\r\n", CHUNKED + b"x\r\n"):
        parser = ResponseParser("GET")
        with pytest.raises(WireError) as first:
            parser.feed(wire)
        for again in (lambda parser=parser: parser.feed(head(*OK) + b"ok"), parser.eof):
            with pytest.raises(WireError) as second:
                again()
            assert str(second.value) == str(first.value)
        assert not parser.complete


def test_what_is_not_http_is_refused_before_its_first_line_ends() -> None:
    """It may have no line at all; waiting for one would end in a timeout that says nothing."""
    for wire, told in ((b"SSH", "HTTP/"), (b"\x15\x03", "as TLS does: https:// may be meant")):
        parser = ResponseParser("GET")
        with pytest.raises(WireError, match=told):
            parser.feed(wire)


def test_an_answer_to_connect_is_not_ours_to_read() -> None:
    with pytest.raises(ValueError, match="CONNECT"):
        ResponseParser("CONNECT")


# --- surplus, and whether the connection can be used again -----------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fields", "reusable"),
    [
        (b"1.1", [], True),
        (b"1.1", [KEEP], True),
        (b"1.1", [CLOSE], False),
        (b"1.1", [b"Connection: foo , CLOSE"], False),
        (b"1.1", [b"connection: foo", b"Connection: close"], False),
        (b"1.1", [KEEP, CLOSE], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Proxy-Connection: close"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_persistence_follows_version_and_connection_options(
    version: bytes, fields: list[bytes], reusable: bool
) -> None:
    """RFC 9112 section 9.3."""
    seen = read_every_way(head(*fields, *OK, status=b"HTTP/%b 200 OK" % version) + b"ok", closed=False)
    assert (seen.complete, seen.reusable) == (True, reusable)


MESSAGES = [
    head(*OK) + b"ok",
    head(b"Content-Length: 0"),
    head(status=b"HTTP/1.1 204 No Content"),
    CHUNKED + LAST_CHUNK,
    CHUNKED + HELLO + LAST_CHUNK,
    CHUNKED + HELLO + b"0\r\nA: b\r\n\r\n",
    CHUNKED + HELLO + b"0\r\nConnection: close\r\n\r\n",
    CHUNKED + b"4\r\n\r\n\r\n\r\n0;a=b\r\n\r\n",
]
SURPLUS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"X",
    b"H",
    b"0\r\n\r\n",
    b"\r\nX\r\n\r\n",
    CHUNKED + HELLO + LAST_CHUNK,
]


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("message", MESSAGES)
def test_surplus_is_never_body_and_spoils_the_connection(message: bytes, surplus: bytes) -> None:
    """RFC 9112 section 9.2. In the same read, or in a later one."""
    clean = read_every_way(message, closed=False)
    assert (clean.complete, clean.reusable, clean.error) == (True, True, None)
    seen = read_every_way(message + surplus, closed=False)
    assert (seen.complete, seen.reusable, seen.error) == (True, False, None)
    assert seen.body == clean.body


def test_surplus_behind_a_read_of_many_parts_is_seen() -> None:
    body = bytes(200_000)
    message = CHUNKED + chunk(body) + LAST_CHUNK
    for padding in range(MAX_FRAMING_BYTES - 8, MAX_FRAMING_BYTES + 8):
        wire = CHUNKED + chunk(bytes(padding)) + LAST_CHUNK
        assert read([CHUNKED, wire[len(CHUNKED) :]], closed=False).reusable
        assert not read([CHUNKED, wire[len(CHUNKED) :] + b"\r\n"], closed=False).reusable
    assert read([message], closed=False).reusable
    seen = read([message + b"X" * 50_000], closed=False)
    assert (seen.body, seen.complete, seen.reusable) == (body, True, False)


def test_a_connection_that_the_peer_closed_is_not_reusable() -> None:
    parser = ResponseParser("GET")
    parser.feed(head(*OK) + b"ok")
    assert parser.reusable
    parser.eof()
    assert parser.complete
    assert not parser.reusable


def test_an_empty_read_behind_the_end_is_no_surplus() -> None:
    for message in MESSAGES:
        assert read([message, b""], closed=False).reusable


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_the_head_is_bounded_to_the_byte() -> None:
    wire = head(b"A: " + b"b" * 500, *OK) + b"ok"
    size = len(wire) - 2
    for reads in ([wire], bytewise(wire), cut(wire, [100, 300])):
        assert read(reads, max_head_bytes=size).error is None
        assert read(reads, max_head_bytes=size - 1).error == f"the head of the answer is larger than {size - 1} bytes"


@pytest.mark.parametrize("drip", [b"a", b"a: b\r\n", b" "])
def test_a_head_that_never_ends_is_refused_at_the_bound(drip: bytes) -> None:
    parser = ResponseParser("GET", max_head_bytes=1000)
    parser.feed(b"HTTP/1.1 200 OK\r\nb: ")
    fed = 20
    with pytest.raises(WireError, match="larger than 1000 bytes"):  # noqa: PT012  # the loop is what drips
        while fed <= 1000 + len(drip):
            parser.feed(drip)
            fed += len(drip)
    assert fed <= 1000


def test_interim_heads_are_counted_and_share_the_bound_on_bytes() -> None:
    interim, final = head(status=b"HTTP/1.1 100 Continue"), head(*OK) + b"ok"
    assert read_every_way(interim * 16 + final).error is None
    assert read_every_way(interim * 17 + final).error == "more than 16 interim (1xx) responses"
    fat = head(b"A: " + b"b" * 300, status=b"HTTP/1.1 103 Early Hints")
    for reads in ([fat * 3], bytewise(fat * 3)):
        assert read(reads, max_head_bytes=900).error == "the head of the answer is larger than 900 bytes"


def with_idle_framing(size: int) -> Iterable[bytes]:
    """Bodies that hold a stretch of `size` bytes of framing, of each kind: extension, zeros, trailers, one trailer."""
    yield CHUNKED + HELLO + b"5;" + b"a" * size + b"\r\nhello\r\n" + LAST_CHUNK
    yield CHUNKED + HELLO + b"0" * size + b"5\r\nhello\r\n" + LAST_CHUNK
    yield CHUNKED + HELLO + b"0\r\n" + b"A: b\r\n" * (size // 6) + b"\r\n"
    yield CHUNKED + HELLO + b"0\r\nA: " + b"b" * size + b"\r\n\r\n"


def reads_of(wire: bytes) -> Iterable[list[bytes]]:
    yield [wire]
    for size in (1, 100, 5000, MAX_FRAMING_BYTES, MAX_FRAMING_BYTES + 1, 100_000):
        yield [wire[i : i + size] for i in range(0, len(wire), size)]


def test_extensions_and_trailers_are_bounded() -> None:
    for wire in with_idle_framing(MAX_FRAMING_BYTES - 20):
        for reads in reads_of(wire):
            assert read(reads).error is None
    for wire in with_idle_framing(3 * MAX_FRAMING_BYTES + 6):
        for reads in reads_of(wire):
            error = read(reads).error
            assert error is not None
            assert "extension or trailers" in error


def test_extensions_that_each_stay_within_the_bound_may_go_on_for_ever() -> None:
    wire = CHUNKED + (b"5;" + b"a" * 1000 + b"\r\nhello\r\n") * 100 + LAST_CHUNK
    for reads in reads_of(wire):
        seen = read(reads)
        assert (seen.error, seen.body) == (None, b"hello" * 100)


def test_surplus_is_not_counted_as_trailers() -> None:
    trailers, end = CHUNKED + b"0\r\nA: " + b"b" * 1000, b"\r\n\r\n"
    seen = read([trailers, end + b"X" * (MAX_FRAMING_BYTES - len(end))], closed=False)
    assert (seen.error, seen.complete, seen.reusable) == (None, True, False)


def test_a_parser_is_freed_without_the_cycle_collector() -> None:
    """Thousands of streams a minute would otherwise wait for it."""
    gc.collect()
    gc.disable()
    try:
        for wire in (CHUNKED + HELLO, CHUNKED + HELLO + LAST_CHUNK, head(*OK), b"HTTP/1.1 200"):
            read([wire], closed=False)
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- properties -----------------------------------------------------------------------------------------------------

tokens = st.text("abcXYZ019-_", min_size=1, max_size=12).map(lambda s: b"X-" + s.encode())
values = st.binary(max_size=20).map(lambda v: bytes(b for b in v if b == 9 or 32 <= b != 127).strip(b" \t"))
fields = st.lists(st.tuples(tokens, values), max_size=6)
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b; c"'])


@dataclass(frozen=True)
class Message:
    wire: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    by_close: bool


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Valid answers with random interim heads, fields, framing, chunks, extensions and trailers."""
    headers = draw(fields)
    chunks = draw(
        st.lists(st.binary(min_size=1, max_size=60) | st.sampled_from([b"\r\n", LAST_CHUNK, b"\r"]), max_size=6)
    )
    body = b"".join(chunks)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    wire = b""
    if framing == "length":
        headers, wire = [*headers, (b"Content-Length", b"%d" % len(body))], body
    elif framing == "chunked":
        headers = [(b"Transfer-Encoding", b"chunked"), *headers]
        for data in chunks:
            wire += b"%x%b\r\n%b\r\n" % (len(data), draw(extensions), data)
        wire += b"0%b\r\n" % draw(extensions) + b"".join(b"%b: %b\r\n" % field for field in draw(fields)) + b"\r\n"
    else:
        wire = body
    interim = draw(st.lists(fields, max_size=2))
    heads = [head(*(b"%b: %b" % f for f in some), status=b"HTTP/1.1 103 Early Hints") for some in interim]
    heads.append(head(*(b"%b:%b" % f for f in headers)))
    return Message(b"".join(heads) + wire, headers, body, framing == "close")


@given(messages(), st.data())
def test_every_valid_message_comes_through_any_partition(message: Message, data: st.DataObject) -> None:
    reads = cut(message.wire, data.draw(st.lists(st.integers(0, len(message.wire)), max_size=12)))
    seen = read(reads)
    assert (seen.error, seen.complete, seen.body) == (None, True, message.body)
    assert list(seen.headers) == message.headers
    assert seen.reusable is not message.by_close
    assert seen == read(bytewise(message.wire))
    assert h11_reads(message.wire) == message.body


@given(messages(), st.data())
def test_a_damaged_message_gets_the_same_verdict_in_any_partition(message: Message, data: st.DataObject) -> None:
    """Bytes replaced, removed or put in at random places, and a cut at the end."""
    wire = bytearray(message.wire)
    for place in data.draw(st.lists(st.integers(0, len(wire) - 1), min_size=1, max_size=4)):
        junk = data.draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b":", b";", b"0", b"f", b"\xff"]))
        wire[place : place + data.draw(st.integers(0, 2))] = junk
    damaged = bytes(wire[: data.draw(st.integers(0, len(wire)))]) if data.draw(st.booleans()) else bytes(wire)
    reads = cut(damaged, data.draw(st.lists(st.integers(0, len(damaged)), max_size=12)))
    seen = read([damaged])
    assert seen == read(bytewise(damaged)) == read(reads)
    if seen.error is None:
        assert h11_reads(damaged) == seen.body, "taken here, and read in another way by h11"


@given(messages(), st.data())
def test_a_message_with_a_known_end_that_is_cut_is_never_complete(message: Message, data: st.DataObject) -> None:
    if message.by_close:
        return
    place = data.draw(st.integers(0, len(message.wire) - 1))
    seen = read([message.wire[:place]])
    assert not seen.complete
    assert seen.error is not None
    assert message.body.startswith(seen.body)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_noise_is_a_fault_and_nothing_else(reads: Sequence[bytes]) -> None:
    assert read(reads).error is not None


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_head_holds_what_was_given_in_order() -> None:
    headers = [(b"Host", b"a.test"), (b"X-Key", b"\xe4 b\t"), (b"Empty", b"")]
    assert request_bytes("POST", b"/ans?q=%20", headers) == (
        b"POST /ans?q=%20 HTTP/1.1\r\nHost: a.test\r\nX-Key: \xe4 b\t\r\nEmpty: \r\n\r\n"
    )
    assert request_bytes("GET", b"/", [(b"Host", b"a")]) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


BAD = [b"\r", b"\n", b"\r\n", b"\0", b"\r\nX: y"]


@pytest.mark.parametrize("bad", [*BAD, b" ", b":", b""])
def test_a_method_or_header_name_must_be_a_token(bad: bytes) -> None:
    name = b"sesame" + bad if bad else b""
    with pytest.raises(ValueError, match="token") as caught:
        request_bytes(name.decode(), b"/", [])
    assert "sesame" not in str(caught.value)
    with pytest.raises(ValueError, match="token") as caught:
        request_bytes("GET", b"/", [(name, b"x")])
    assert "sesame" not in str(caught.value)


def test_a_method_beyond_ascii_is_refused() -> None:
    with pytest.raises(ValueError, match="token"):
        request_bytes("GÉT", b"/", [])


@pytest.mark.parametrize("bad", [*BAD, b"\x7f", b"\x0b"])
def test_a_header_value_cannot_end_its_line(bad: bytes) -> None:
    with pytest.raises(ValueError, match="X-Key") as caught:
        request_bytes("GET", b"/", [(b"X-Key", b"sesame" + bad)])
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("bad", [*BAD, b" ", b"\t", b"\xe4", b""])
def test_a_target_is_visible_ascii(bad: bytes) -> None:
    with pytest.raises(ValueError, match="target") as caught:
        request_bytes("GET", b"/sesame" + bad if bad else b"", [])
    assert "sesame" not in str(caught.value)


def test_an_empty_chunk_is_left_out_because_it_would_end_the_body() -> None:
    assert chunk(b"") == b""


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_chunked_request_is_read_back_by_h11(parts: list[bytes]) -> None:
    server = h11.Connection(h11.SERVER)
    request = request_bytes("POST", b"/a", [(b"Host", b"a"), (b"Transfer-Encoding", b"chunked")])
    server.receive_data(request + b"".join(map(chunk, parts)) + LAST_CHUNK)
    body = b""
    assert isinstance(server.next_event(), h11.Request)
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert body == b"".join(parts)


# What ends a body, and so whether its end proves anything


@pytest.mark.parametrize(
    ("headers", "ends_with"),
    [
        ({"transfer-encoding": "chunked"}, "chunked"),
        ({"transfer-encoding": "gzip, Chunked"}, "chunked"),
        ({"transfer-encoding": "chunked", "content-length": "5"}, "chunked"),
        ({"transfer-encoding": "chunked, gzip"}, "close"),
        ({"transfer-encoding": "gzip", "content-length": "5"}, "close"),
        ({"content-length": "5"}, "length"),
        ({}, "close"),
    ],
)
def test_in_http_1_the_headers_say_it(headers: dict[str, str], ends_with: str) -> None:
    assert framing(headers, "HTTP/1.1") == framing(headers, "HTTP/1.0") == ends_with


@pytest.mark.parametrize("version", ["HTTP/2", "HTTP/3", None])
def test_elsewhere_the_transport_says_it(version: str | None) -> None:
    assert framing({}, version) == "transport"
