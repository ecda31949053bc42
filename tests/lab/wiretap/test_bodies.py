"""Where a body ends, to the byte: the rest of a read is the next message's."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.wiretap.bodies import Chunks, OfLength, PassingBody, UntilClose, body_of
from streamkit.transport.framing import LAST_CHUNK, Headers, WireError, body_parser, chunk

NEXT = b"HTTP/1.1 200 OK\r\n"
ENDS = st.sampled_from([LAST_CHUNK, b"000\r\n\r\n", b"0;why=not\r\n\r\n", b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """In parts, cut at these places."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


def taken(body: PassingBody, parts: list[bytes]) -> tuple[bytes, int]:
    """The content of all of it, and how many bytes were the body's."""
    content, used = b"", 0
    for part in parts:
        if body.ended:
            break
        found, more = body.take(part)
        content, used = content + found, used + more
        if more < len(part):
            break
    return content, used


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), ENDS, st.lists(st.integers(0, 400), max_size=12))
def test_chunks_end_at_the_same_byte_however_they_are_cut(contents: list[bytes], end: bytes, at: list[int]) -> None:
    wire = b"".join(map(chunk, contents)) + end
    body = Chunks()
    assert taken(body, cut(wire + NEXT, at)) == (b"".join(contents), len(wire))
    assert body.ended


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), ENDS)
def test_their_content_is_that_of_the_transport(contents: list[bytes], end: bytes) -> None:
    wire = b"".join(map(chunk, contents)) + end
    known = body_parser("GET", 200, b"1.1", [(b"transfer-encoding", b"chunked")])
    assert Chunks().take(wire)[0] == known.feed(wire)


@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=6))
def test_a_body_of_known_length_ends_with_its_last_byte(content: bytes, at: list[int]) -> None:
    body = OfLength(len(content))
    assert taken(body, cut(content + NEXT, at)) == (content, len(content))
    assert body.ended


def test_what_only_the_close_ends_takes_everything() -> None:
    body = UntilClose()
    assert taken(body, [b"a", NEXT]) == (b"a" + NEXT, 1 + len(NEXT))
    assert not body.ended


@pytest.mark.parametrize(
    "wire",
    [b"x\r\n", b"-1\r\n", b"\r\n", b"5 5\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n", b"1\r\na\n\r\n", b"f" * 17 + b"\r\n"],
)
def test_broken_chunks_are_no_body(wire: bytes) -> None:
    with pytest.raises(WireError, match="broken chunked framing"):
        Chunks().take(wire)


def test_what_stands_between_chunks_is_bounded() -> None:
    endless = Chunks()
    endless.take(b"5;" + b"x" * 65_000)
    with pytest.raises(WireError, match="more than 65536 bytes"):
        endless.take(b"x" * 1000)


@pytest.mark.parametrize(
    ("headers", "answer", "kind"),
    [
        ([(b"Content-Length", b"5")], False, OfLength),
        ([(b"Transfer-Encoding", b"chunked")], False, Chunks),
        ([], False, OfLength),
        ([], True, UntilClose),
    ],
)
def test_the_head_says_how_it_ends(headers: Headers, answer: bool, kind: type) -> None:
    assert type(body_of(headers, b"1.1", answer=answer)) is kind


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"5"), (b"content-length", b"6")],
        [(b"content-length", b"+5")],
        [(b"transfer-encoding", b"gzip, chunked")],
    ],
)
def test_a_head_of_which_two_parties_may_think_differently_is_refused(headers: Headers) -> None:
    with pytest.raises(WireError):
        body_of(headers, b"1.1", answer=True)
