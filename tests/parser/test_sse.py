"""The SSE and NDJSON parsers, and the encoder: claims from WHATWG HTML 9.2.5 and 9.2.6, under any cuts."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamkit.errors import EncodeError, EventTooLarge, LimitExceeded, LineTooLong
from streamkit.parser import MAX_RETRY_MS, NDJSONParser, ServerSentEvent, SSEParser, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BOM = b"\xef\xbb\xbf"


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


def drain(parser: SSEParser | NDJSONParser, reads: Iterable[bytes]) -> tuple[list[ServerSentEvent], list[type]]:
    """All events of the stream, those behind oversized ones too, and the types of the errors on the way."""
    events, errors = feed_all(parser, reads)
    return events + parser.close(), errors


def feed_all(parser: SSEParser | NDJSONParser, reads: Iterable[bytes]) -> tuple[list[ServerSentEvent], list[type]]:
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


# -- the grammar, case by case -------------------------------------------------------------------------------------

CASES: dict[str, tuple[bytes, list[ServerSentEvent]]] = {
    "spec example: two data lines are joined by a newline": (
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        [message("YHOO\n+2\n10")],
    ),
    "spec example: a comment, an id, an id that is reset, and an event that never ends": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
        [message("first event", "1"), message("second event")],
    ),
    "spec example: empty data, two empty lines of data, and data that is dropped": (
        b"data\n\ndata\ndata\n\ndata:",
        [message(""), message("\n")],
    ),
    "spec example: one space after the colon means nothing": (
        b"data:test\n\ndata: test\n\n",
        [message("test"), message("test")],
    ),
    "only one leading space is dropped": (b"data:  two\n\ndata:\ttab\n\n", [message(" two"), message("\ttab")]),
    "trailing space is data": (b"data: a \n\n", [message("a ")]),
    "the value may hold colons": (b"data: a:b: c\n\ndata::\n\n", [message("a:b: c"), message(":")]),
    "an event type": (b"event: add\ndata: 1\n\n", [ServerSentEvent("add", "1")]),
    "the type may follow the data": (b"data: 1\nevent: add\n\n", [ServerSentEvent("add", "1")]),
    "the last of several types counts": (b"event: a\nevent: b\ndata: 1\n\n", [ServerSentEvent("b", "1")]),
    "an empty type means message": (b"event: a\nevent:\ndata: 1\n\nevent: \ndata: 2\n\n", [message("1"), message("2")]),
    "a type lasts for one event": (b"event: a\ndata: 1\n\ndata: 2\n\n", [ServerSentEvent("a", "1"), message("2")]),
    "a block without data is not dispatched, but resets the type": (
        b"event: a\n\ndata: 1\n\n",
        [message("1")],
    ),
    "an id lasts until the next one": (
        b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
        [message("a", "1"), message("b", "1"), message("c", "2")],
    ),
    "an id without data is committed": (b"id: 7\n\ndata: a\n\n", [message("a", "7")]),
    "an id may follow the data": (b"data: a\nid: 7\n\n", [message("a", "7")]),
    "an id with NUL is ignored": (b"id: 1\nid: 2\x003\ndata: a\n\n", [message("a", "1")]),
    "an id may hold spaces and colons": (b"id:  a: b\ndata: x\n\n", [message("x", " a: b")]),
    "comments are ignored": (b":\n: hi\n:data: no\ndata: yes\n: hi\n\n", [message("yes")]),
    "unknown fields are ignored": (b"foo: bar\ndata: a\nfoo\n\n", [message("a")]),
    "field names are exact": (b" data: a\nData: b\ndata : c\ndatax: d\ndat: e\n\ndata: f\n\n", [message("f")]),
    "a NUL is data": (b"data: a\x00b\n\n", [message("a\0b")]),
    "LF, CR and CRLF end a line, in any mix": (
        b"data: a\rdata: b\ndata: c\r\n\rdata: d\r\n\r\ndata: e\n\r\n",
        [message("a\nb\nc"), message("d"), message("e")],
    ),
    "CR LF LF is two line ends": (b"data: a\r\n\ndata: b\r\n\n", [message("a"), message("b")]),
    "CR LF CR is two line ends": (b"data: a\r\n\rdata: b\r\r", [message("a"), message("b")]),
    "CR CR LF is two line ends": (b"data: a\r\r\ndata: b\r\r", [message("a"), message("b")]),
    "LF CR is two line ends": (b"data: a\n\rdata: b\n\r", [message("a"), message("b")]),
    "runs of blank lines dispatch nothing": (
        b"\n\n\n\ndata: a\n\n\n\n\r\r\r\ndata: b\n\n\n",
        [message("a"), message("b")],
    ),
    "U+2028, U+2029, U+0085, VT, FF and FS are not line ends": (
        "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
        [message("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg")],
    ),
    "one BOM is dropped at the start": (BOM + b"data: a\n\n", [message("a")]),
    "a BOM before a comment": (BOM + b":\ndata: a\n\n", [message("a")]),
    "a second BOM belongs to the field name": (BOM + BOM + b"data: a\ndata: b\n\n", [message("b")]),
    "a BOM later is no BOM": (
        b"data: a\n\n" + BOM + b"data: b\n\ndata: " + BOM + b"\n\n",
        [message("a"), message("\ufeff")],
    ),
    "two thirds of a BOM are broken text": (b"\xef\xbbdata: a\n\ndata: b\n\n", [message("b")]),
    "invalid UTF-8 is replaced": (b"data: \xff\xc3\n\n", [message("\ufffd\ufffd")]),
    "a cut sequence ends at its line end": (b"data: \xe4\xbd\ndata: \xa0\n\n", [message("\ufffd\n\ufffd")]),
    "Chinese and emoji survive": ("data: 你好🎉\n\n".encode(), [message("你好🎉")]),
    "[DONE] is ordinary data": (b"data: [DONE]\n\n", [message("[DONE]")]),
    "an unfinished event is dropped": (b"data: a\n\ndata: b\n", [message("a")]),
    "an unfinished line is dropped": (b"data: a\n\ndata: b", [message("a")]),
    "many single data lines": (b"data: a\n\n" * 9, [message("a")] * 9),
    "single data lines and one of two": (
        b"data: a\n\ndata: b\n\ndata: c\ndata: d\n\ndata: e\n\n",
        [message("a"), message("b"), message("c\nd"), message("e")],
    ),
    "data lines that spell a block's border": (
        b"data: data: \n\ndata: \n\ndata: a\n\n",
        [message("data: "), message(""), message("a")],
    ),
    "an empty data line before another": (b"data: \ndata: x\n\n", [message("\nx")]),
    "a heartbeat among data": (b"data: a\n\n: ping\n\ndata: b\n\n", [message("a"), message("b")]),
    "typed events, as Anthropic sends them": (
        b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n",
        [ServerSentEvent("a", "1"), ServerSentEvent("b", "2")],
    ),
    "typed events, one with an id in between": (
        b"event: a\ndata: 1\n\nevent: b\nid: 3\ndata: 2\n\nevent: c\ndata: 3\n\n",
        [ServerSentEvent("a", "1"), ServerSentEvent("b", "2", "3"), ServerSentEvent("c", "3", "3")],
    ),
    "typed events, one without data": (
        b"event: a\ndata: 1\n\nevent: b\n\nevent: c\ndata: 3\n\n",
        [ServerSentEvent("a", "1"), ServerSentEvent("c", "3")],
    ),
    "no space after the colon, as DashScope sends it": (
        b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n",
        [ServerSentEvent("result", "{}", "1")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES.keys())
def test_grammar(body: bytes, expected: list[ServerSentEvent]) -> None:
    """Each case gives its events, whole, byte by byte and at any cut."""
    for reads in every_way(body):
        parser = SSEParser()
        assert [event for read in reads for event in parser.feed(read)] == expected, reads
        assert parser.close() == []


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r", b"\n\r", b"\r\r\n", b"\r\n\r\n"], ids=repr)
def test_an_event_is_out_in_the_feed_that_completes_it(end: bytes) -> None:
    """The byte that ends the blank line brings the event, a lone CR too; an LF that follows it changes nothing."""
    parser = SSEParser()
    complete = end.removesuffix(b"\n") if end.endswith(b"\r\n") else end
    for byte in b"data: a" + complete[:-1]:
        assert parser.feed(bytes([byte])) == []
    assert parser.feed(complete[-1:]) == [message("a")]
    assert parser.feed(end[len(complete) :]) == []
    assert parser.feed(b"data: b\n\n") == [message("b")]


@pytest.mark.parametrize(
    ("value", "retry_ms"),
    [
        (b" 3000", 3000),
        (b"0", 0),
        (b"007", 7),
        (b"", None),
        (b" ", None),
        (b"  5", None),
        (b"5 ", None),
        (b"+5", None),
        (b"-5", None),
        (b"5.0", None),
        (b"1e3", None),
        (b"1_000", None),
        ("５".encode(), None),
        ("²".encode(), None),
        (str(MAX_RETRY_MS).encode(), MAX_RETRY_MS),
        (str(MAX_RETRY_MS + 1).encode(), MAX_RETRY_MS),
        (b"9" * 10_000, MAX_RETRY_MS),
        (b"0" * 10_000 + b"5", 5),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_retry_takes_ascii_digits_only(value: bytes, retry_ms: int | None) -> None:
    """Any number of ASCII digits, clamped to MAX_RETRY_MS; anything else leaves it as it was."""
    parser = SSEParser()
    parser.feed(b"retry:" + value + b"\n")
    assert parser.retry_ms == retry_ms


def test_retry_holds_as_soon_as_its_line_ends() -> None:
    """The standard sets the reconnection time with the field, not with the event; a cut line sets nothing."""
    parser = SSEParser()
    parser.feed(b"retry: 10\ndata: a\n\nretry: 20\nretry: 3")
    parser.close()
    assert parser.retry_ms == 20


def test_last_event_id_is_committed_by_the_blank_line() -> None:
    """An id in a block that is still open, or never ends, is not the last event id."""
    parser = SSEParser()
    parser.feed(b"id: 1\n\nid: 2\ndata: a\n")
    assert parser.last_event_id == "1"
    parser.close()
    assert parser.last_event_id == "1"


def test_a_reconnecting_parser_keeps_the_last_event_id() -> None:
    """An id handed over from the connection before is in force until the stream names another."""
    parser = SSEParser(last_event_id="42")
    assert parser.feed(b"data: a\n\nid: 43\ndata: b\n\nid\ndata: c\n\n") == [
        message("a", "42"),
        message("b", "43"),
        message("c"),
    ]


def test_comments_are_counted() -> None:
    """Heartbeats are no events, but they are seen."""
    parser = SSEParser()
    assert parser.feed(b": ping\n\n:\ndata: a\n: ping\n\n: pi") == [message("a")]
    assert parser.comments == 3


@pytest.mark.parametrize(
    ("tail", "unfinished"),
    [
        (b"", None),
        (b"\n", None),
        (b": ping\n", None),
        (b": pi", None),
        (b"data: b\n", message("b", "1")),
        (b"data: b\n: ping", message("b", "1")),
        (b"data: b\nda", message("b", "1")),
        (b"data: b\ndata: hel", message("b\nhel", "1")),
        (b"event:done\ndata:[DONE]", ServerSentEvent("done", "[DONE]", "1")),
        (b"event: done\r", ServerSentEvent("done", "", "1")),
        (b"id: 2\n", message("", "2")),
        (b"foo\n", message("", "1")),
        (b"data: \xe4\xbd", message("\ufffd", "1")),
    ],
    ids=repr,
)
def test_close_reports_what_was_cut(tail: bytes, unfinished: ServerSentEvent | None) -> None:
    """What had arrived of an event whose blank line never came; nothing where only comments were pending."""
    for reads in every_way(b"id: 1\ndata: a\n\n" + tail):
        parser = SSEParser()
        assert drain(parser, reads) == ([message("a", "1")], [])
        assert parser.unfinished == unfinished, reads
        assert parser.last_event_id == "1"


@pytest.mark.parametrize(("body", "unfinished"), [(BOM, None), (b"\xef\xbb", message("")), (b"", None)], ids=repr)
def test_a_stream_that_ends_in_its_bom(body: bytes, unfinished: ServerSentEvent | None) -> None:
    """A whole BOM is nothing, a part of one is a cut line."""
    for reads in every_way(body):
        parser = SSEParser()
        assert drain(parser, reads) == ([], [])
        assert parser.unfinished == unfinished


# -- the same for any bytes: against the standard, written down line by line ----------------------------------------


def reference(body: bytes) -> dict[str, Any]:
    """9.2.5 and 9.2.6, word for word, on the whole stream at once."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, rest = re.split("\r\n|\r|\n", text)
    events, comments = [], 0
    data = kind = id_buffer = last_event_id = ""
    retry = None
    pending = False
    for line in lines:
        if line == "":
            last_event_id, pending = id_buffer, False
            if data != "":
                events.append(ServerSentEvent(kind or "message", data.removesuffix("\n"), last_event_id))
            data = kind = ""
            continue
        if line.startswith(":"):
            comments += 1
            continue
        pending = True
        field, value = line.split(":", 1) if ":" in line else (line, "")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = min(int(value), MAX_RETRY_MS)
    return {
        "events": events,
        "last_event_id": last_event_id,
        "retry_ms": retry,
        "comments": comments,
        "unfinished": pending or not (rest == "" or rest.startswith(":")),
    }


def parsed(reads: Iterable[bytes]) -> tuple[dict[str, Any], ServerSentEvent | None]:
    parser = SSEParser()
    events, errors = drain(parser, reads)
    assert errors == []
    found = {name: getattr(parser, name) for name in ("last_event_id", "retry_ms", "comments")}
    return {"events": events, **found, "unfinished": parser.unfinished is not None}, parser.unfinished


PIECES = [
    *(bytes([byte]) for byte in b": \r\n\0dateivnry019x"),
    *(b"data", b"data:", b"data: ", b"event", b"event: ", b"id", b"id: ", b"retry: ", b": "),
    *(b"\n\n", b"\r\n", b"\r\n\r\n", b"\r\r", b"data: x\n\n", b"data: y\n\n", b"event: a\ndata: z\n\n", b"id: 1\n\n"),
    *(BOM, b"\xef", b"\xbb", b"\xbf", b"\xe4", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x8e", b"\xc2", b"\x85"),
    *("\u2028".encode(), "\x85".encode(), "你好".encode(), "🎉".encode(), b"\x0b", b"\x0c"),
]
bodies = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
starts = st.sampled_from([b"", b"", BOM])
cuts = st.lists(st.integers(0, 1 << 16), max_size=12)


@settings(max_examples=300)
@given(start=starts, body=bodies, places=cuts)
@example(start=b"", body=b"data: x\n\n" * 3 + b"data: \n\ndata: ", places=[9])
def test_any_bytes_at_any_cuts_follow_the_standard(start: bytes, body: bytes, places: list[int]) -> None:
    """Events, ids, retry, comments and the report of a cut event depend on the bytes alone."""
    body = start + body
    expected = reference(body)
    whole, unfinished = parsed([body])
    assert whole == expected
    assert parsed(cut_at(body, places)) == (expected, unfinished)
    assert parsed(body[i : i + 1] for i in range(len(body))) == (expected, unfinished)


BLOCKS = [
    *(b"data: x\n\n", b"data: \n\n", b"data: data: \n\n", b"data:y\n\n", b"data: a\ndata: b\n\n", b"data\n\n", b"\n"),
    *(
        b"event: e\ndata: 1\n\n",
        b"event: e\n\n",
        b"event: \ndata: 1\n\n",
        b"event: e\nid: 4\ndata: 1\n\n",
        b"id: 5\n\n",
    ),
    *(
        b"event: e\ndata: 1\ndata: 2\n\n",
        b"data: 1\nevent: e\n\n",
        b": ping\n\n",
        b"retry: 5\n\n",
        b"data: \xff\xe4\n\n",
    ),
]


@settings(max_examples=300)
@given(blocks=st.lists(st.sampled_from(BLOCKS), max_size=20), places=cuts, end=st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_batches_of_whole_events_follow_the_standard(blocks: list[bytes], places: list[int], end: bytes) -> None:
    """The short ways for batches are the same function as the long one."""
    reads = [read.replace(b"\n", end) for read in (b"", *blocks)]
    expected = reference(b"".join(reads))
    assert parsed(reads)[0] == expected
    assert parsed([reads[0], b"\n", b"".join(reads)])[0] == expected
    assert parsed(cut_at(b"".join(reads), places))[0] == expected


# -- bounds --------------------------------------------------------------------------------------------------------


def reference_bounded(body: bytes, max_line: int, max_event: int) -> tuple[list[ServerSentEvent], list[type]]:
    """Which events survive and which errors are raised: line by line, with the sizes the docstring names."""
    *lines, rest = re.split(b"\r\n|\r|\n", body)
    kept: list[bytes] = []
    errors: list[type] = []
    block: list[bytes] = []
    size, dropping = 0, False
    for number, line in enumerate([*lines, rest]):
        if not dropping:
            comment = line.startswith(b":")
            room = max_line if comment else min(max_line, max_event - size)
            if len(line) > room:
                errors.append(LineTooLong if room == max_line else EventTooLarge)
                dropping, block = True, []
            size += 0 if comment else len(line)
            block.append(line)
        if not line and number < len(lines):
            kept += [] if dropping else block
            block, size, dropping = [], 0, False
    return reference(b"\n".join(kept) + b"\n")["events"], errors


@settings(max_examples=300)
@given(body=bodies, places=cuts, max_line=st.integers(1, 40), max_event=st.integers(1, 60))
def test_the_same_events_survive_an_oversized_one_at_any_cuts(
    body: bytes, places: list[int], max_line: int, max_event: int
) -> None:
    """One error for each oversized event, and all other events, whatever the bounds and the cuts."""
    body = b"\n" + body  # no BOM at the start: the reference for bounds knows none
    expected = reference_bounded(body, max_line, max_event)
    for reads in ([body], cut_at(body, places), [body[i : i + 1] for i in range(len(body))]):
        assert drain(SSEParser(max_line_bytes=max_line, max_event_bytes=max_event), reads) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=repr)
def test_bounds_are_exact(end: bytes) -> None:
    """As many bytes as the bound pass, one more does not; the line end is not counted."""
    body = b"data: 789" + end + b"data: 789" + end + end
    for reads in every_way(body):
        assert drain(SSEParser(max_line_bytes=9, max_event_bytes=18), reads) == ([message("789\n789")], [])
        assert drain(SSEParser(max_line_bytes=8, max_event_bytes=18), reads) == ([], [LineTooLong])
        assert drain(SSEParser(max_line_bytes=9, max_event_bytes=17), reads) == ([], [EventTooLarge])


def test_an_oversized_line_raises_before_it_ends() -> None:
    """The error does not wait for a line end that may never come."""
    parser = SSEParser(max_line_bytes=10)
    assert parser.feed(b"data: 7890") == []
    with pytest.raises(LineTooLong, match="10 bytes") as caught:
        parser.feed(b"1")
    assert caught.value.limit == 10
    assert parser.feed(b"still the same line\ndata: same event\n\ndata: next\n\n") == [message("next")]


def test_the_error_holds_the_events_before_it_and_the_next_feed_those_behind() -> None:
    """Nothing but the oversized event is lost; several of them raise one after the other."""
    parser = SSEParser(max_event_bytes=10)
    with pytest.raises(EventTooLarge) as first:
        parser.feed(b"data: a\n\ndata: too long\n\ndata: b\n\ndata: too\ndata: long\n\ndata: c\n\nda")
    with pytest.raises(EventTooLarge) as second:
        parser.feed(b"ta: d\n\n")
    assert (first.value.events, second.value.events) == ([message("a")], [message("b")])
    assert parser.feed(b"") == [message("c"), message("d")]


def test_an_oversized_event_takes_its_id_along() -> None:
    """Its id is not committed: a reconnect asks again from the last event that was delivered."""
    for reads in every_way(b"id: 1\ndata: a\n\nid: 2\ndata: too long\n\ndata: b\n\n"):
        parser = SSEParser(max_line_bytes=10)
        assert drain(parser, reads) == ([message("a", "1"), message("b", "1")], [LineTooLong])
        assert parser.last_event_id == "1"


def test_comments_count_for_the_line_bound_only() -> None:
    """Heartbeats without blank lines cost no memory, so they never make an event too large."""
    parser = SSEParser(max_line_bytes=10, max_event_bytes=10)
    assert drain(parser, [b": ping\n" * 10 + b"data: 7890\n" + b": ping\n" * 10 + b"\n"]) == ([message("7890")], [])
    with pytest.raises(LineTooLong):
        SSEParser(max_line_bytes=10).feed(b": 34567890a")


@pytest.mark.parametrize("tail", [b"data: too long", b"data: too long\n", b"data: too long\n\ndata: b\n\n"], ids=repr)
def test_closing_within_or_before_the_end_of_an_oversized_event_counts_as_unfinished(tail: bytes) -> None:
    """`close` never raises; bytes that nobody asked for after the error are reported as cut."""
    parser = SSEParser(max_line_bytes=10)
    with pytest.raises(LineTooLong):
        parser.feed(tail)
    assert parser.close() == []
    assert parser.unfinished is not None


def test_a_feed_larger_than_the_bounds_is_parsed_whole() -> None:
    """The bounds are for lines and events, not for reads."""
    body = b"data: 1234\n\n" * 1000 + b"event: e\ndata: 1\n\n" * 1000
    assert len(SSEParser(max_line_bytes=100, max_event_bytes=100).feed(body)) == 2000


ENDLESS: dict[str, tuple[Callable[[], SSEParser | NDJSONParser], bytes]] = {
    "a line": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"x"),
    "an event": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"data: xy\n"),
    "an event of comments": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b": ping\n"),
    "an event of ignored fields": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"foo\n"),
    "ids without data": (lambda: SSEParser(max_line_bytes=1000, max_event_bytes=2000), b"id: 123\n\n"),
    "a line of JSON": (lambda: NDJSONParser(max_line_bytes=1000), b"x"),
}


@pytest.mark.parametrize(("make", "read"), ENDLESS.values(), ids=ENDLESS.keys())
def test_memory_stays_bounded(make: Callable[[], SSEParser | NDJSONParser], read: bytes) -> None:
    """A stream that never dispatches anything does not grow in memory."""
    parser = make()
    feed_all(parser, [read * 500])
    tracemalloc.start()
    try:
        feed_all(parser, [read * 500] * 100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000


def test_a_bound_below_one_is_refused() -> None:
    """A bound that no line could keep is the programmer's mistake."""
    with pytest.raises(ValueError, match="max_line_bytes"):
        SSEParser(max_line_bytes=0)
    with pytest.raises(ValueError, match="max_event_bytes"):
        SSEParser(max_event_bytes=-1)
    with pytest.raises(ValueError, match="max_line_bytes"):
        NDJSONParser(max_line_bytes=0)


# -- cost ----------------------------------------------------------------------------------------------------------


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
    "an event that never ends, in one read": lambda n: [b"data: x\n" * n * 2],
    "events in reads that fit badly": lambda n: drip(b"data: 12345\n\n" * n, 1000),
    "blank lines": lambda n: [b"\n" * n * 16],
}


@pytest.mark.parametrize("reads_of", COSTS.values(), ids=COSTS.keys())
@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_cost_is_linear(make: Callable[..., SSEParser | NDJSONParser], reads_of: Callable[[int], list[bytes]]) -> None:
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
    make: Callable[..., SSEParser | NDJSONParser], reads_of: Callable[[int], list[bytes]]
) -> None:
    """Each error goes on behind its event; it does not look at the rest again."""
    assert ratio(lambda n: (make(max_line_bytes=8), reads_of(n)), 500) <= 40


def ratio(make: Callable[[int], tuple[SSEParser | NDJSONParser, list[bytes]]], size: int) -> float:
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


# -- mistakes of the programmer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_feed_takes_any_bytes(make: Callable[[], SSEParser | NDJSONParser], convert: Callable[[bytes], Any]) -> None:
    """bytes, bytearray and memoryview are the same, and what was fed may be overwritten afterwards."""
    for body in (b"data: a\n\n", b"data", b": b\n\n"):
        expected, other = make(), make()
        assert other.feed(convert(body)) == expected.feed(body)
    parser, buffer = SSEParser(), bytearray(b"data: abc")
    parser.feed(buffer)
    buffer[:] = b"#########"
    assert parser.feed(b"\n\n") == [message("abc")]


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_feed_refuses_text_and_says_what_to_do(make: Callable[[], SSEParser | NDJSONParser]) -> None:
    """The grammar is about bytes; a str has lost what the wire said."""
    with pytest.raises(TypeError, match="got str; encode it"):
        make().feed("data: a\n\n")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match="got int"):
        make().feed(3)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("make", [SSEParser, NDJSONParser])
def test_feed_after_close_is_refused(make: Callable[[], SSEParser | NDJSONParser]) -> None:
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


def test_an_event_is_a_tuple_with_defaults() -> None:
    """Made by keyword or by position, unpacked like a tuple, equal by value."""
    assert ServerSentEvent() == ServerSentEvent("message", "", "") == ("message", "", "")
    [event] = SSEParser().feed(b"data: a\n\n")
    assert type(event) is ServerSentEvent
    assert repr(event) == "ServerSentEvent(event='message', data='a', id='')"


# -- newline-delimited JSON ----------------------------------------------------------------------------------------

NDJSON_CASES: dict[str, tuple[bytes, list[str], str | None]] = {
    "one event for each line": (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}'], None),
    "CRLF is tolerated": (b'{"a":1}\r\n{"b":2}\r\n', ['{"a":1}', '{"b":2}'], None),
    "blank lines are no events": (b'\n\r\n{"a":1}\n \t\n\n', ['{"a":1}'], None),
    "a lone CR is no line end": (b'{"a":\r1}\n', ['{"a":\r1}'], None),
    "U+2028, U+0085, VT and FF are not line ends": (
        '"a\u2028b\x85c\x0bd\x0ce"\n'.encode(),
        ['"a\u2028b\x85c\x0bd\x0ce"'],
        None,
    ),
    "a BOM at the start is dropped": (BOM + b"{}\n" + BOM + b"{}\n", ["{}", "\ufeff{}"], None),
    "invalid UTF-8 is replaced": (b'"\xff\xe4\xbd"\n', ['"\ufffd\ufffd"'], None),
    "a line that is no JSON is passed on": (b"oops\n{}\n", ["oops", "{}"], None),
    "a last line that is whole JSON needs no newline": (b'{"a":1}\n{"done":true}', ['{"a":1}', '{"done":true}'], None),
    "a last line of true or a string is whole": (b'"a"\ntrue\r', ['"a"', "true"], None),
    "a cut last line is no event": (b'{"a":1}\n{"done":tr', ['{"a":1}'], '{"done":tr'),
    "a bare number at the end may be cut": (b"1\n12", ["1"], "12"),
    "a number with space behind it may not, but who would know": (b"12 ", [], "12 "),
    "a last line of blanks is nothing": (b"{}\n \r", ["{}"], None),
    "nothing at all": (b"", [], None),
    "a cut character": (b'"\xe4\xbd', [], '"\ufffd'),
    "a cut BOM": (b"\xef\xbb", [], "\ufffd"),
}


@pytest.mark.parametrize(("body", "expected", "unfinished"), NDJSON_CASES.values(), ids=NDJSON_CASES.keys())
def test_ndjson(body: bytes, expected: list[str], unfinished: str | None) -> None:
    """Each case gives its lines, whole, byte by byte and at any cut, and reports a cut last line."""
    for reads in every_way(body):
        parser = NDJSONParser()
        assert drain(parser, reads) == ([message(line) for line in expected], []), reads
        assert parser.unfinished == (None if unfinished is None else message(unfinished))


@given(body=bodies, places=cuts, max_line=st.integers(1, 20))
def test_ndjson_survives_oversized_lines_at_any_cuts(body: bytes, places: list[int], max_line: int) -> None:
    """One error for each oversized line, and all other lines, whatever the cuts."""
    body = b"\n" + body + b"\n"
    lines = body.split(b"\n")
    texts = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines if len(line) <= max_line]
    expected = (
        [message(text) for text in texts if text.strip(" \t\r")],
        [LineTooLong for line in lines if len(line) > max_line],
    )
    for reads in ([body], cut_at(body, places), [body[i : i + 1] for i in range(len(body))]):
        assert drain(NDJSONParser(max_line_bytes=max_line), reads) == expected


def test_ndjson_says_that_it_dropped_the_end_of_an_oversized_line() -> None:
    """An oversized last line, or lines waiting behind an oversized one, make the stream unfinished."""
    for body in (b"0123456789", b"0123456789\n{}\n"):
        parser = NDJSONParser(max_line_bytes=5)
        with pytest.raises(LineTooLong):
            parser.feed(body)
        assert parser.close() == []
        assert parser.unfinished is not None


# -- encoding ------------------------------------------------------------------------------------------------------


def parse_all(body: bytes, last_event_id: str = "") -> list[ServerSentEvent]:
    parser = SSEParser(last_event_id=last_event_id)
    events = parser.feed(body)
    parser.close()
    assert parser.unfinished is None
    return events


@pytest.mark.parametrize(
    ("event", "options", "encoded"),
    [
        ("hi", {}, b"data: hi\n\n"),
        ("", {}, b"data: \n\n"),
        ("a\nb", {}, b"data: a\ndata: b\n\n"),
        ("hi", {"retry_ms": 3000}, b"retry: 3000\ndata: hi\n\n"),
        (message("hi"), {}, b"id:\ndata: hi\n\n"),
        (message("hi", "7"), {}, b"id: 7\ndata: hi\n\n"),
        (ServerSentEvent("done", "[DONE]", "7"), {"last_event_id": "6"}, b"event: done\nid: 7\ndata: [DONE]\n\n"),
        (message("hi", "7"), {"last_event_id": "7"}, b"data: hi\n\n"),
        (message("hi"), {"last_event_id": ""}, b"data: hi\n\n"),
        (message("hi"), {"last_event_id": "7"}, b"id:\ndata: hi\n\n"),
        ("你好", {}, "data: 你好\n\n".encode()),
    ],
)
def test_encode_writes(event: ServerSentEvent | str, options: dict[str, Any], encoded: bytes) -> None:
    """The bytes, exactly: LF only, one space, no line that says nothing new."""
    assert encode_event(event, **options) == encoded


def text(without: str) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry, rich in what might be mistaken for grammar."""
    odd = st.sampled_from([c for c in "\n \ufeff:\0\x85\u2028\x0bdataid你🎉" if c not in without])
    return st.text(odd | st.characters(exclude_categories=["Cs"], exclude_characters=without), max_size=12)


events_that_exist = st.builds(
    ServerSentEvent,
    event=st.just("message") | text("\r\n").filter(bool),
    data=text("\r"),
    id=st.just("") | text("\r\n\0"),
)


@given(event=events_that_exist)
def test_parse_undoes_encode(event: ServerSentEvent) -> None:
    """`parse(encode(e)) == e` for every event that can exist, whatever id was in force before."""
    assert parse_all(encode_event(event)) == [event]
    assert parse_all(encode_event(event), last_event_id="before") == [event]


@given(events=st.lists(events_that_exist, max_size=6))
def test_parse_undoes_encode_for_streams(events: list[ServerSentEvent]) -> None:
    """Encoded one by one, or by a writer that keeps account of the id, a list comes back as it was."""
    assert parse_all(b"".join(map(encode_event, events))) == events
    befores = ["", *(event.id for event in events)]
    tracked = [encode_event(event, last_event_id=before) for before, event in zip(befores, events, strict=False)]
    assert parse_all(b"".join(tracked)) == events


@given(data=text("\r"))
def test_a_plain_string_leaves_the_id_in_force(data: str) -> None:
    """A string is a message event; it neither sets nor resets an id."""
    assert parse_all(encode_event(data), last_event_id="7") == [message(data, "7")]


@given(body=bodies)
def test_whatever_was_parsed_can_be_encoded(body: bytes) -> None:
    """Every event that comes off a wire is one that the encoder can write again."""
    events = SSEParser().feed(body)
    assert parse_all(b"".join(map(encode_event, events))) == events


@pytest.mark.parametrize("retry_ms", [0, 1, MAX_RETRY_MS])
def test_retry_is_read_back(retry_ms: int) -> None:
    """The reconnection time arrives as it was given."""
    parser = SSEParser()
    assert parser.feed(encode_event("a", retry_ms=retry_ms)) == [message("a")]
    assert parser.retry_ms == retry_ms


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (ServerSentEvent("", "a"), "event type"),
        (ServerSentEvent("a\nb", "a"), r"event without '\\n'"),
        (ServerSentEvent("a\r", "a"), r"event without '\\r'"),
        (ServerSentEvent("a", "a\rb"), r"data without '\\r'"),
        ("a\r\nb", r"data without '\\r'"),
        (message("a", "1\n"), r"id without '\\n'"),
        (message("a", "1\r"), r"id without '\\r'"),
        (message("a", "1\0"), r"id without '\\x00'"),
        (message("a\ud800"), "lone surrogate"),
        (ServerSentEvent("\udfff", "a"), "lone surrogate"),
        (message("a", "\udc00"), "lone surrogate"),
    ],
    ids=repr,
)
def test_encode_refuses_what_the_grammar_cannot_carry(event: ServerSentEvent | str, named: str) -> None:
    """It would come back as something else, so it is an error that says which field and why."""
    with pytest.raises(EncodeError, match=named):
        encode_event(event)


@pytest.mark.parametrize("retry_ms", [-1, MAX_RETRY_MS + 1, 10**5000], ids=["negative", "above", "5001 digits"])
def test_encode_refuses_a_retry_that_would_not_come_back(retry_ms: int) -> None:
    """Below 0, or more than a parser reports."""
    with pytest.raises(EncodeError, match="retry_ms"):
        encode_event("a", retry_ms=retry_ms)


@pytest.mark.parametrize("event", [b"a", None, ("message", "a", ""), ServerSentEvent(data=1)], ids=repr)  # type: ignore[arg-type]  # the mistake under test
def test_encode_refuses_other_types(event: Any) -> None:
    """Only an event of strings, or a string."""
    with pytest.raises(TypeError, match="expected a"):
        encode_event(event)


def test_encode_refuses_a_retry_that_is_no_int() -> None:
    """True is no number of milliseconds, and neither is 1.5."""
    for retry_ms in (True, 1.5, "3"):
        with pytest.raises(TypeError, match="retry_ms"):
            encode_event("a", retry_ms=retry_ms)  # type: ignore[arg-type]  # the mistake under test
