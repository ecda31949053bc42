"""Targets `sse` and `ndjson`: the parsers beside the plain reading of their grammars, under any cuts and bounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.fuzz import reference
from campaigns.fuzz.source import expect, knobs_and_rest
from streamkit.errors import LimitExceeded
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser, encode_event

BOUNDS = ((1 << 20, 1 << 20), (24, 40), (40, 24), (8, 64), (64, 8), (1, 1), (7, 6), (100, 100))
Parser = SSEParser | NDJSONParser


@dataclass(frozen=True)
class Seen:
    """What a reader learns from a whole stream; the same for every split of its bytes."""

    events: list[ServerSentEvent]
    closing: list[ServerSentEvent]
    oversized: list[str]
    unfinished: ServerSentEvent | None


def read(parser: Parser, reads: Sequence[bytes], most_held: int) -> Seen:
    """Feed it all, going on behind what is too large; `most_held` bounds what the parser may keep between reads."""
    events: list[ServerSentEvent] = []
    oversized: list[str] = []
    for data in reads:
        waiting = data
        while True:
            try:
                events += parser.feed(waiting)
                break
            except LimitExceeded as error:
                events += error.events
                oversized.append(type(error).__name__)
                waiting = b""
                expect(len(oversized) <= sum(map(len, reads)), "an oversized event is reported once", reads=reads)
        expect(held(parser) <= most_held, "state is bounded", held=held(parser), bound=most_held)
    closing = parser.close()
    expect(parser.close() == [], "closing twice is harmless")
    expect(held(parser) == 0, "a closed parser holds nothing", held=held(parser))
    return Seen(events, closing, oversized, parser.unfinished)


def held(parser: Parser) -> int:
    """Bytes of the event in progress, looked at from inside: that is what a bound on memory is about."""
    return len(parser._line) + sum(map(len, getattr(parser, "_data", ())))


def check_sse(data: bytes) -> None:
    knobs, body = knobs_and_rest(data)
    max_line, max_event = knobs.pick(BOUNDS)
    first_id = knobs.pick(("", "7"))
    plain = reference.sse(body, max_line, max_event, first_id)
    seen = None
    for reads in knobs.ways(body):
        parser = SSEParser(max_line_bytes=max_line, max_event_bytes=max_event, last_event_id=first_id)
        before, seen = seen, read(parser, reads, max_line + max_event)
        expect(before in (None, seen), "the split does not matter", reads=reads, whole=before, split=seen)
        expect([*map(tuple, seen.events)] == plain.events, "events as in the standard", got=seen.events, want=plain)
        expect(parser.last_event_id == plain.last_event_id, "last event ID", got=parser.last_event_id, want=plain)
        expect(len(seen.oversized) == plain.oversized, "oversized events", got=seen.oversized, want=plain)
        expect((seen.unfinished is not None) == plain.unfinished, "unfinished", got=seen.unfinished, want=plain)
        expect(seen.closing == [], "no event comes out of close()", got=seen.closing)
        if not plain.oversized:  # of an event that is dropped, lines in front of the fault may have counted
            got = parser.retry_ms, parser.comments
            expect(got == (plain.retry_ms, plain.comments), "retry and comments", got=got, want=plain)
    assert seen is not None
    check_round_trip(seen.events)
    for event in seen.events:
        expect(len(event.data) <= max_event, "no event is beyond its bound", event=event, bound=max_event)


def check_round_trip(events: Sequence[ServerSentEvent]) -> None:
    """What was parsed can be encoded, and comes back."""
    again = SSEParser().feed(b"".join(map(encode_event, events)))
    expect(again == events, "encode and parse is a round trip", first=events, again=again)


def check_ndjson(data: bytes) -> None:
    knobs, body = knobs_and_rest(data)
    max_line, _ = knobs.pick(BOUNDS)
    lines, oversized, tail = reference.ndjson(body, max_line)
    before = None
    for reads in knobs.ways(body):
        seen = read(NDJSONParser(max_line_bytes=max_line), reads, max_line)
        expect(before in (None, seen), "the split does not matter", reads=reads, whole=before, split=seen)
        before = seen
        expect(all(event[::2] == ("message", "") for event in seen.events), "each line is a message", got=seen.events)
        got = [event.data for event in seen.events]
        expect(got == lines, "lines end at LF, and only there", got=got, want=lines)
        late = len(tail) > max_line
        expect(len(seen.oversized) == oversized + late, "oversized lines", got=seen.oversized, want=oversized + late)
        check_last_line(seen, b"" if late else tail, late=late)


def check_last_line(seen: Seen, tail: bytes, *, late: bool) -> None:
    """A last line without its LF is an event if it is whole JSON, and else unfinished; never lost, never both."""
    text = tail.decode("utf-8", "replace").removesuffix("\r")
    something = bool(text.strip(" \t\r")) or late
    expect(bool(seen.closing) + (seen.unfinished is not None) == something, "the last line counts once", seen=seen)
    if seen.closing:
        expect([event.data for event in seen.closing] == [text], "the last line is itself", seen=seen, tail=tail)
        expect(not text.strip()[-1:].isdigit(), "a number may go on", tail=tail)
        expect(is_json(text), "the last line is whole JSON", tail=tail)


def is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
