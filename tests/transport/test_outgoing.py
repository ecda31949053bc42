"""A request as bytes: what goes on the wire, and what cannot be sent as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport.outgoing import FRAMING, WRITE_BYTES, Outgoing, Template


def request(content: Any = b"ask", method: str = "POST", **headers: str) -> httpx2.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Request(method, "http://a.test/ans?x=1", content=content, headers=named)


async def streamed(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def sent(outgoing: Outgoing) -> list[bytes]:
    async def main() -> list[bytes]:
        return [bytes(part) async for part, _ in outgoing.parts()]

    return asyncio.run(main())


def test_head_and_body_follow_each_other() -> None:
    outgoing = Outgoing(request())
    assert outgoing.head.startswith(b"POST /ans?x=1 HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 3\r\n" in outgoing.head
    assert outgoing.head.endswith(b"\r\n\r\n")
    assert sent(outgoing) == [b"ask"]


def test_a_streamed_body_is_chunked_part_by_part_and_empty_parts_are_left_out() -> None:
    outgoing = Outgoing(request(streamed(b"one", b"", b"three")))
    assert sent(outgoing) == [b"3\r\none\r\n", b"5\r\nthree\r\n", b"0\r\n\r\n"]


def test_what_is_large_is_sent_in_parts_of_which_each_says_how_much_of_the_body_it_is() -> None:
    async def sizes(**headers: str) -> list[int]:
        return [size async for _, size in Outgoing(request(bytes(2 * WRITE_BYTES + 5), **headers)).parts()]

    assert asyncio.run(sizes()) == [WRITE_BYTES, WRITE_BYTES, 5]
    assert asyncio.run(sizes(transfer_encoding="chunked")) == [WRITE_BYTES, WRITE_BYTES, 5, 0]


def test_what_is_iterated_is_closed_when_the_sending_ends_early() -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
        finally:
            closed.append("by then")

    async def main() -> None:
        parts = Outgoing(request(endless())).parts()
        await anext(parts)
        await parts.aclose()
        assert closed == ["by then"]

    asyncio.run(main())


def test_a_streamed_body_of_a_declared_length_goes_as_it_is() -> None:
    assert sent(Outgoing(request(streamed(b"one", b"two"), content_length="6"))) == [b"one", b"two"]


def test_a_body_as_bytes_can_be_chunked_too() -> None:
    assert sent(Outgoing(request(transfer_encoding="chunked"))) == [b"3\r\nask\r\n", b"0\r\n\r\n"]


@pytest.mark.parametrize(("length", "told"), [("2", "at least 3"), ("4", "at least 3")])
def test_a_streamed_body_of_another_length_is_an_error(length: str, told: str) -> None:
    outgoing = Outgoing(request(streamed(b"abc"), content_length=length))
    with pytest.raises(httpx2.LocalProtocolError, match=f"{told} bytes, its Content-Length says {length}"):
        sent(outgoing)


def test_bytes_of_another_length_are_an_error_before_anything_is_sent() -> None:
    with pytest.raises(httpx2.LocalProtocolError, match="has 3 bytes, its Content-Length says 4"):
        Outgoing(request(content_length="4"))


@pytest.mark.parametrize(
    "headers",
    [
        {"transfer_encoding": "gzip, chunked"},
        {"transfer_encoding": "chunked", "content_length": "3"},
        {"content_length": "+3"},
        {"content_length": "3, 3"},
    ],
)
def test_framing_that_could_be_understood_in_two_ways_is_not_sent(headers: dict[str, str]) -> None:
    with pytest.raises(httpx2.LocalProtocolError, match="either one Content-Length, or Transfer-Encoding: chunked"):
        Outgoing(request(**headers))


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(httpx2.LocalProtocolError, match="no tunnels"):
        Outgoing(request(method="CONNECT"))
    hostless = request()
    del hostless.headers["host"]
    with pytest.raises(httpx2.LocalProtocolError, match="Host"):
        Outgoing(hostless)
    with pytest.raises(httpx2.LocalProtocolError, match="X-Key") as failed:
        Outgoing(httpx2.Request("GET", "http://a.test/", headers=[(b"X-Key", b"secret\r\nEvil: 1")]))
    assert "secret" not in str(failed.value)


def test_a_synchronous_body_is_the_callers_mistake() -> None:
    def parts() -> Iterator[bytes]:
        yield b"a"

    with pytest.raises(RuntimeError, match="expected an asynchronous body"):
        Outgoing(request(parts()))


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
def test_only_what_means_the_same_twice_may_be_sent_twice(method: str, again: bool) -> None:
    assert Outgoing(request(method=method)).replayable is again
    assert not Outgoing(request(streamed(b"a"), method=method)).replayable


def test_small_is_what_fits_one_write() -> None:
    assert Outgoing(request(bytes(WRITE_BYTES))).small
    assert not Outgoing(request(bytes(WRITE_BYTES + 1))).small
    assert not Outgoing(request(streamed(b"a"))).small


def test_what_was_sent_and_answered_is_not_held() -> None:
    outgoing = Outgoing(request())
    outgoing.let_go()
    assert (outgoing.head, outgoing.content) == (b"", b"")


# --- The same head for many bodies ----------------------------------------------------------------------------------

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=12).filter(lambda name: name not in FRAMING)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.binary(min_size=1, max_size=200))
def test_a_template_gives_what_the_general_way_gives(headers: dict[str, str], content: bytes) -> None:
    url = httpx2.URL("http://a.test:8080/ans?x=1")
    made = Template("POST", url, headers).outgoing(content)
    general = Outgoing(httpx2.Request("POST", url, headers=headers, content=content))
    for name in Outgoing.__slots__:
        assert getattr(made, name) == getattr(general, name), name


def test_a_template_of_a_large_body_is_sent_in_parts() -> None:
    made = Template("POST", httpx2.URL("http://a.test/"), {}).outgoing(bytes(WRITE_BYTES + 1))
    assert not made.small
    assert list(map(len, sent(made))) == [WRITE_BYTES, 1]


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_how_a_body_is_framed_is_not_for_a_template_to_be_told(name: str) -> None:
    with pytest.raises(ValueError, match="expected headers without"):
        Template("POST", httpx2.URL("http://a.test/"), {name.title(): "5"})
