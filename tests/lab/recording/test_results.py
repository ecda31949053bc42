"""Results and progress of a route of our relay: told from text, ends and errors, as they stand on the wire."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.results import Results
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.relay.delivery.format import EventStream, JSONLines
from streamkit.relay.delivery.portion import Portion
from streamkit.relay.pieces import Progress, Value

OURS = {"x-stream-id": "s1", "incremental": "?1", "content-type": "text/event-stream"}
REPORT = Progress(3, 10, "reading").data


@pytest.mark.parametrize(
    ("event", "data", "told"),
    [
        ("message", '{"sum":3}', ("result", {"sum": 3})),
        ("message", "[1,2]", ("result", [1, 2])),
        ("message", "3", ("result", 3)),
        ("message", '{"pi":3.1,"error":0.1}', ("result", {"pi": 3.1, "error": 0.1})),
        ("message", '{"error":{"code":"mine"}}', ("result", {"error": {"code": "mine"}})),
        ("message", '{"text":"hi","lang":"en"}', ("result", {"text": "hi", "lang": "en"})),
        ("message", '{"text":3}', ("result", {"text": 3})),
        ("message", '{"mean":2,"skipped":3}', ("result", {"mean": 2, "skipped": 3})),
        ("message", '{"value":[1],"dropped":3}', ("result", [1])),
        ("message", '{"text":"hi"}', ("other", None)),
        ("message", '{"text":"\\"hi\\""}', ("other", None)),
        ("message", '{"text":"","reasoning":"hm"}', ("other", None)),
        ("message", '{"text":"hi","dropped":3}', ("other", None)),
        ("progress", '{"progress":3}', ("progress", {"progress": 3})),
        ("done", '{"outcome":"complete","pieces":3}', ("other", None)),
        ("error", '{"code":"idle"}', ("other", None)),
        ("message", "[DONE]", ("other", None)),
        ("message", "[" * 100_000, ("other", None)),
    ],
)
def test_what_an_event_tells(event: str, data: str, told: tuple[str, Any]) -> None:
    assert Results(OURS).told(event, data)[:2] == told


@pytest.mark.parametrize(
    ("data", "told", "line"),
    [
        ('{"sum":3}', ("result", {"sum": 3}), '{"sum":3}\n'),
        ('{"sum":"你","id":"s1.3"}', ("result", {"sum": "你"}), '{"sum":"你"}\n'),
        ('{"sum":3,"id":"mine"}', ("result", {"sum": 3, "id": "mine"}), '{"sum":3,"id":"mine"}\n'),
        ('{"value":{"error":0.1}}', ("result", {"error": 0.1}), '{"error":0.1}\n'),
        ('{"value":3,"dropped":2,"id":"s1.3"}', ("result", 3), "3\n"),
        ('{"progress":{"progress":3},"id":"s1.3"}', ("progress", {"progress": 3}), ""),
        ('{"text":"hi","id":"s1.3"}', ("other", None), ""),
        ('{"done":{"outcome":"complete","pieces":3}}', ("other", None), ""),
        ('{"error":{"code":"idle","outcome":"timeout(idle)"}}', ("other", None), ""),
    ],
)
def test_what_a_line_tells(data: str, told: tuple[str, Any], line: str) -> None:
    assert Results({**OURS, "content-type": "application/x-ndjson"}).told("message", data) == (*told, line)


def recording_of(events: list[tuple[str, str]], text: list[str] | None = None, **fields: Any) -> Recording:
    names, data = zip(*events, strict=True)
    columns = Events([0] * len(events), event=names, data=data, text=text)
    return Recording(reads=Reads([0], data=[b""]), events=columns, **{"headers": OURS, **fields})


def test_a_recording_has_its_results_and_its_progress_as_values() -> None:
    recording = recording_of(
        [("message", '{"n":1}'), ("progress", orjson.dumps(REPORT).decode()), ("message", '{"n":2}'), ("done", "{}")]
    )
    assert recording.values == [{"n": 1}, {"n": 2}]
    assert recording.progress == [REPORT]


def test_each_result_has_the_time_at_which_its_reader_had_it() -> None:
    columns = Events([5, 5, 8], handed_ns=[6, 7, 9], data=['{"n":1}', '{"text":"hi"}', '{"n":2}'])
    recording = Recording(reads=Reads([5, 8], data=[b"", b""]), events=columns, headers=OURS, started_ns=1000)
    assert recording.results == [({"n": 1}, 6, 1006), ({"n": 2}, 9, 1009)]


def test_a_result_of_a_text_has_come_when_its_line_has_ended() -> None:
    texts = ['{"n":1}', '\n{"n"', ':2}\n{"n":3}\n', '{"n":4}', ""]
    columns = Events([1, 2, 3, 4, 5], text=texts, event=[""] * 5)
    read = Reads([1, 2, 3, 4, 5], data=[b""] * 5)
    recording = Recording(reads=read, events=columns, headers={**OURS, "content-type": "text/plain"})
    assert [(result.value["n"], result.at_ns) for result in recording.results] == [(1, 2), (2, 3), (3, 3), (4, 5)]
    assert recording.values == [{"n": n} for n in (1, 2, 3, 4)]


def test_who_is_no_relay_of_ours_has_none() -> None:
    recording = recording_of([("message", '{"choices":[]}')], headers={})
    assert (recording.values, recording.progress) == ([], [])


def test_of_a_text_the_lines_that_are_json_objects_or_lists_are_results() -> None:
    text = ['{"n":1}\n{"n"', ":2}\nno result\n{broken\n", "[3]\n7\n"]
    recording = recording_of([("", "")] * 3, text, headers={**OURS, "content-type": "text/plain; charset=utf-8"})
    assert recording.values == [{"n": 1}, {"n": 2}, [3]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from([EventStream, JSONLines]), st.sampled_from(["", "s1"]), st.integers(0, 2))
def test_every_value_that_our_relay_writes_comes_back(value: Any, form: Any, name: str, dropped: int) -> None:
    written = form(Portion(name=name)).pieces([Value(value)], first=1 + dropped, dropped=dropped)
    parser = SSEParser() if form is EventStream else NDJSONParser()
    (event,) = parser.feed(written)
    told = Results({**OURS, "content-type": form.content_type}).told(event.event, event.data)
    if isinstance(value, dict) and value.keys() <= {"text", "reasoning"} and isinstance(value.get("text"), str):
        return  # an event of a text, to the letter
    if isinstance(told.value, dict) and isinstance(value, dict) and "dropped" not in value:
        told.value.pop("dropped", None)
    assert told[:2] == ("result", value)
    if not dropped:
        assert told.line == Value(value).text


@given(st.text(), st.text(), st.sampled_from([EventStream, JSONLines]), st.sampled_from(["", "s1"]))
def test_no_text_is_a_result(text: str, reasoning: str, form: Any, name: str) -> None:
    written = form(Portion(name=name)).pieces([Piece(text, reasoning)], first=1)
    (event,) = (SSEParser() if form is EventStream else NDJSONParser()).feed(written)
    assert Results({**OURS, "content-type": form.content_type}).told(event.event, event.data).kind == "other"
