"""The event-stream grammar: claims from WHATWG HTML 9.2.5 and 9.2.6, under any cuts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamkit.errors import EventTooLarge, LineTooLong
from streamkit.parser import MAX_RETRY_MS, ServerSentEvent, SSEParser
from tests.parser.feeding import BOM, bodies, cut_at, cuts, drain, every_way, message, starts

# --- the grammar, case by case


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


def test_in_an_event_that_has_begun_comments_and_retry_count_as_soon_as_their_lines_end() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: whole\n\ndata: begun\n") == [message("whole")]
    parser.feed(b": still here\n")
    assert parser.comments == 1
    parser.feed(b"retry: 7\n")
    assert parser.retry_ms == 7
    assert parser.feed(b"\n") == [message("begun")]


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


# --- the same for any bytes: against the standard, written down line by line


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


# --- bounds


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


# --- what is written past the grammar


STRAYS = b'data: a\n\nerror: {"code": 1}\n\n{"error":\n  {"code": 2}}\n\nupstream error: x\n\ndata: b\nerror: c\n\n'


def test_strays_are_ignored_as_the_grammar_wants_unless_they_are_asked_for() -> None:
    assert [event.data for event in SSEParser().feed(STRAYS)] == ["a", "b"]
    assert SSEParser(strays=True).feed(STRAYS) == [
        ServerSentEvent(data="a"),
        ServerSentEvent("error", '{"code": 1}'),
        ServerSentEvent(data='{"error":\n  {"code": 2}}'),
        ServerSentEvent(data="b"),
        ServerSentEvent("error", "c"),
    ]


def test_an_end_mark_that_is_no_data_is_no_stray_either() -> None:
    assert SSEParser(strays=True).feed(b"data: a\n\n[DONE]\n\n") == [ServerSentEvent(data="a")]


def test_strays_do_not_depend_on_the_split_and_may_be_cut() -> None:
    parser = SSEParser(strays=True)
    assert [event for byte in STRAYS for event in parser.feed(bytes([byte]))] == SSEParser(strays=True).feed(STRAYS)
    parser.feed(b'error: {"code": 3}')
    parser.close()
    assert parser.unfinished == ServerSentEvent("error", '{"code": 3}')
