"""What both grammars have in common: bounded memory, linear cost, what may be fed, and the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from streamkit.parser import NDJSONParser, SSEParser
from tests.memory import peak_bytes
from tests.parser.feeding import Parser, drain, feed_all, message

# --- memory


ENDLESS: dict[str, tuple[Callable[[], Parser], bytes]] = {
    "a line": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"x"),
    "an event": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"data: xy\n"),
    "an event of comments": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b": ping\n"),
    "an event of ignored fields": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"foo\n"),
    "ids without data": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"id: 123\n\n"),
    "a line of JSON": (lambda: NDJSONParser(max_line_bytes=1000), b"x"),
}


@pytest.mark.parametrize(("make", "read"), ENDLESS.values(), ids=ENDLESS.keys())
def test_memory_stays_bounded(make: Callable[[], Parser], read: bytes) -> None:
    """A stream that never dispatches anything does not grow in memory."""
    parser = make()
    feed_all(parser, [read * 500])
    assert peak_bytes(lambda: feed_all(parser, [read * 500] * 100)) < 50_000


def test_a_bound_below_one_is_refused() -> None:
    """A bound that no line could keep is the programmer's mistake."""
    with pytest.raises(ValueError, match="max_line_bytes"):
        SSEParser(max_line_bytes=0)
    with pytest.raises(ValueError, match="max_event_bytes"):
        SSEParser(max_event_bytes=-1)
    with pytest.raises(ValueError, match="max_line_bytes"):
        NDJSONParser(max_line_bytes=0)


# --- cost


def drip(body: bytes, size: int = 1) -> list[bytes]:
    return [body[i : i + size] for i in range(0, len(body), size)]


COSTS: dict[str, Callable[[int], list[bytes]]] = {
    "a line, byte by byte": lambda n: drip(b"data: " + b"x" * n + b"\n\n"),
    "a comment, byte by byte": lambda n: drip(b": " + b"x" * n),
    "an event of many lines, byte by byte": lambda n: drip(b"data: x\n" * (n // 8)),
    "CRLF events, byte by byte": lambda n: drip(b"data: x\r\n\r\n" * (n // 11)),
    "lone CRs, byte by byte": lambda n: drip(b"\r" * n),
    "a line that never ends, in small reads": lambda n: drip(b"data: " + b"x" * n * 8, 16),
    "an event that never ends, in small reads": lambda n: drip(b"data: x\n" * n, 16),
    "an event that never ends, in one read": lambda n: [b"data: x\n" * n],
    "events in reads that fit badly": lambda n: drip(b"data: 12345\n\n" * (n // 2), 1000),
    "blank lines": lambda n: [b"\n" * n * 4],
}


@pytest.mark.parametrize("reads_of", COSTS.values(), ids=COSTS.keys())
@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_cost_is_linear(make: Callable[..., Parser], reads_of: Callable[[int], list[bytes]]) -> None:
    """Sixteen times the bytes cost about sixteen times as much; a quadratic parser would need 256 times."""
    assert ratio(lambda n: (make(max_line_bytes=1 << 30), reads_of(n)), 2_000) <= 40


OVERSIZED: dict[str, Callable[[int], list[bytes]]] = {
    "many in one read": lambda n: [b"data: too long\n\n" * n],
    "one that never ends, byte by byte": lambda n: drip(b"data: too long" + b"x" * n * 8),
    "many small reads while others wait": lambda n: drip(b"data: too long\n\n" * n, 64),
}


@pytest.mark.parametrize("reads_of", OVERSIZED.values(), ids=OVERSIZED.keys())
@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_cost_of_oversized_events_is_linear(
    make: Callable[..., Parser], reads_of: Callable[[int], list[bytes]]
) -> None:
    """Each error goes on behind its event; it does not look at the rest again."""
    assert ratio(lambda n: (make(max_line_bytes=8), reads_of(n)), 500) <= 40


def ratio(make: Callable[[int], tuple[Parser, list[bytes]]], size: int) -> float:
    """CPU time for 16 times the size over that for the size itself; the best of several: neighbours do not count."""

    def best(n: int) -> float:
        times = []
        for _ in range(5):
            parser, reads = make(n)
            begin = time.process_time()
            drain(parser, reads)
            times.append(time.process_time() - begin)
        return min(times)

    return best(16 * size) / best(size)


# --- mistakes of the programmer


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_feed_takes_any_bytes(make: Callable[[], Parser], convert: Callable[[bytes], Any]) -> None:
    """bytes, bytearray and memoryview are the same, and what was fed may be overwritten afterwards."""
    for body in (b"data: a\n\n", b"data", b": b\n\n"):
        expected, other = make(), make()
        assert other.feed(convert(body)) == expected.feed(body)
    parser, buffer = SSEParser(), bytearray(b"data: abc")
    parser.feed(buffer)
    buffer[:] = b"#########"
    assert parser.feed(b"\n\n") == [message("abc")]


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_feed_refuses_text_and_says_what_to_do(make: Callable[[], Parser]) -> None:
    """The grammar is about bytes; a str has lost what the wire said."""
    with pytest.raises(TypeError, match="got str; encode it"):
        make().feed("data: a\n\n")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match="got int"):
        make().feed(3)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_feed_after_close_is_refused(make: Callable[[], Parser]) -> None:
    """A stream ends once; closing it twice is harmless."""
    parser = make()
    parser.feed(b"data: a\n\n")
    assert parser.close() == parser.close() == []
    with pytest.raises(RuntimeError, match="after close"):
        parser.feed(b"data: b\n\n")


def test_repr_tells_the_state_and_none_of_the_data() -> None:
    """A repr may land in a log: counts and ids, no payload."""
    parser = SSEParser()
    parser.feed(b"id: 7\nretry: 5\n\ndata: secret\ndata: sec")
    assert repr(parser) == "<SSEParser 21 bytes pending, last_event_id='7', retry_ms=5>"
    parser.close()
    assert repr(parser) == "<SSEParser closed, last_event_id='7', retry_ms=5>"
    lines = NDJSONParser()
    lines.feed(b'{"secret"')
    assert repr(lines) == "<NDJSONParser 9 bytes pending>"
