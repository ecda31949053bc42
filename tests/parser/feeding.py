"""What the parsers' tests share: bytes, cut in every way, and what comes of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

from hypothesis import strategies as st

from streamkit.errors import LimitExceeded
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser

BOM = b"\xef\xbb\xbf"
Parser: TypeAlias = SSEParser | NDJSONParser


def message(data: str, id: str = "") -> ServerSentEvent:  # noqa: A002  # the field's own name
    return ServerSentEvent("message", data, id)


def every_way(body: bytes) -> Iterator[list[bytes]]:
    """The body whole, byte by byte, in two at every place, and at random cuts."""
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    for i in range(1, len(body)):
        yield [body[:i], body[i:]]
    rng = random.Random(body)
    for _ in range(20):
        yield cut_at(body, [rng.randrange(len(body) + 1) for _ in range(rng.randrange(6))])


def cut_at(body: bytes, places: Iterable[int]) -> list[bytes]:
    """The body cut at these places; a place that comes twice makes an empty read."""
    borders = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in pairwise(borders)]


def drain(parser: Parser, reads: Iterable[bytes]) -> tuple[list[ServerSentEvent], list[type]]:
    """All events of the stream, those behind oversized ones too, and the types of the errors on the way."""
    events, errors = feed_all(parser, reads)
    return events + parser.close(), errors


def feed_all(parser: Parser, reads: Iterable[bytes]) -> tuple[list[ServerSentEvent], list[type]]:
    events: list[ServerSentEvent] = []
    errors: list[type] = []
    for read in reads:
        while True:
            try:
                events += parser.feed(read)
                break
            except LimitExceeded as error:
                events += error.events
                errors.append(type(error))
                read = b""  # the bytes are in the parser now
    return events, errors


FRAGMENTS = [
    *(bytes([byte]) for byte in b": \r\n\0dateivnry019x"),
    *(b"data", b"data:", b"data: ", b"event", b"event: ", b"id", b"id: ", b"retry: ", b": "),
    *(b"\n\n", b"\r\n", b"\r\n\r\n", b"\r\r", b"data: x\n\n", b"data: y\n\n", b"event: a\ndata: z\n\n", b"id: 1\n\n"),
    *(BOM, b"\xef", b"\xbb", b"\xbf", b"\xe4", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x8e", b"\xc2", b"\x85"),
    *("\u2028".encode(), "\x85".encode(), "你好".encode(), "🎉".encode(), b"\x0b", b"\x0c"),
]
bodies = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)
starts = st.sampled_from([b"", b"", BOM])
cuts = st.lists(st.integers(0, 1 << 16), max_size=12)
