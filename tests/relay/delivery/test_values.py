"""What becomes of JSON values, states and progress in each format."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streamkit.extractor.pieces import Piece
from streamkit.parser import SSEParser
from streamkit.relay.delivery.format import EventStream, JSONLines, PlainText
from streamkit.relay.delivery.portion import Portion
from streamkit.relay.pieces import Progress, Snapshot, Value

ALL = [Piece("Hi"), Value({"sum": 3}), Snapshot({"mean": 2}), Progress(3, 10)]
TOLD = {"progress": 3, "total": 10, "message": ""}
RESUMABLE = Portion("5f")


def lines(data: bytes) -> list[Any]:
    return [orjson.loads(line) for line in data.splitlines()]


def test_as_text_values_are_lines_and_progress_is_nothing() -> None:
    assert PlainText().pieces(ALL, 1) == b'Hi{"sum":3}\n{"mean":2}\n'


def test_as_text_progress_is_a_line_for_whoever_wishes_it() -> None:
    assert lines(PlainText(tells_progress=True).pieces(ALL[1:], 1)) == [{"sum": 3}, {"mean": 2}, {"progress": TOLD}]


def test_as_events_values_are_their_data_and_progress_has_a_name() -> None:
    events = SSEParser().feed(EventStream().pieces(ALL, 1))
    assert [(event.event, event.id, orjson.loads(event.data)) for event in events] == [
        ("message", "1", {"text": "Hi"}),
        ("message", "2", {"sum": 3}),
        ("message", "3", {"mean": 2}),
        ("progress", "4", TOLD),
    ]


def test_as_lines_values_are_lines_and_progress_is_under_its_name() -> None:
    assert lines(JSONLines().pieces(ALL, 1)) == [{"text": "Hi"}, {"sum": 3}, {"mean": 2}, {"progress": TOLD}]


def test_where_a_stream_can_be_resumed_each_has_its_cursor() -> None:
    events = SSEParser().feed(EventStream(RESUMABLE).pieces(ALL, 7))
    assert [event.id for event in events] == ["5f.7", "5f.8", "5f.9", "5f.10"]
    assert [line["id"] for line in lines(JSONLines(RESUMABLE).pieces(ALL, 7))] == ["5f.7", "5f.8", "5f.9", "5f.10"]


@pytest.mark.parametrize("data", [{"done": 1}, {"error": 1}, {"progress": 1}, {"text": "a"}, {"value": 1}])
def test_a_value_that_could_be_taken_for_another_line_stands_under_value(data: dict[str, Any]) -> None:
    assert lines(JSONLines().pieces([Value(data)], 1)) == [{"value": data}]
    assert orjson.loads(SSEParser().feed(EventStream().pieces([Value(data)], 1))[0].data) == data, "SSE has names"


@pytest.mark.parametrize("data", [[1, 2], 3, "a", None, {"id": "mine"}])
def test_a_value_that_has_no_room_for_a_cursor_stands_under_value(data: Any) -> None:
    assert lines(JSONLines().pieces([Value(data)], 1)) == [data]
    assert lines(JSONLines(RESUMABLE).pieces([Value(data)], 1)) == [{"value": data, "id": "5f.1"}]


@pytest.mark.parametrize("form", [EventStream, JSONLines])
def test_values_that_a_policy_dropped_are_told_of(form: type[EventStream | JSONLines]) -> None:
    data = form().pieces([Value({"sum": 3})], 4, dropped=3)
    told = data if form is JSONLines else SSEParser().feed(data)[0].data.encode()
    assert orjson.loads(told) == {"sum": 3, "dropped": 3}
    listed = form().pieces([Value([3])], 4, dropped=3)
    told = listed if form is JSONLines else SSEParser().feed(listed)[0].data.encode()
    assert orjson.loads(told) == {"value": [3], "dropped": 3}
