"""What leaves the relay: three formats, each of which a client can tell whole from broken."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.delivery import EventStream, Format, JSONLines, PlainText, problem, timed_out
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import preset
from streamkit.results import End, Piece, ProviderError
from streamkit.sources import Failure

BROKEN = Failure(Outcome("truncated"), "upstream_truncated", 502, "broke off")
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=20)


@given(texts)
def test_plain_text_is_the_text_and_nothing_else(pieces: list[str]) -> None:
    form = PlainText()
    assert form.pieces([Piece(text) for text in pieces]).decode() == "".join(pieces)
    assert form.done() == b""
    assert form.error(BROKEN) is None, "text/plain has no way to say it: the connection must be cut"


@pytest.mark.parametrize(("form", "parser"), [(EventStream, SSEParser), (JSONLines, NDJSONParser)])
@given(pieces=texts)
def test_our_own_preset_reads_back_what_we_send(
    form: type[EventStream | JSONLines], parser: type[SSEParser | NDJSONParser], pieces: list[str]
) -> None:
    writer: Format = form()
    wire = b"".join(writer.pieces([Piece(text)]) for text in pieces)
    read = preset("streamkit").read
    whole = [read(event) for event in parser().feed(wire + writer.done())]
    assert [result.text for result in whole if isinstance(result, Piece)] == pieces
    assert isinstance(whole[-1], End)
    assert whole[-1].conclusive
    broken = [read(event) for event in parser().feed(wire + (writer.error(BROKEN) or b""))]
    assert isinstance(broken[-1], ProviderError)
    assert broken[-1].code == "upstream_truncated"


def test_events_are_unnamed_and_numbered_from_one_over_several_reads() -> None:
    form = EventStream()
    events = SSEParser().feed(form.pieces([Piece("a"), Piece("b")]) + form.pieces([Piece("c")]) + form.done())
    assert [(event.event, event.id) for event in events] == [
        ("message", "1"),
        ("message", "2"),
        ("message", "3"),
        ("done", "3"),
    ]


def test_the_error_event_names_code_and_outcome() -> None:
    (event,) = SSEParser().feed(EventStream().error(timed_out("idle")) or b"")
    assert event.event == "error"
    told = orjson.loads(event.data)
    assert (told["code"], told["outcome"]) == ("timeout_idle", "timeout(idle)")


@pytest.mark.parametrize("form", [EventStream(), JSONLines()])
def test_reasoning_is_a_field_of_its_own(form: Format) -> None:
    assert b'{"text":"a","reasoning":"b"}' in form.pieces([Piece("a", "b")])


def test_reasoning_never_gets_into_plain_text() -> None:
    assert PlainText().pieces([Piece("", "thinking")]) == b""


def test_a_problem_names_code_outcome_and_stream() -> None:
    response = problem(Failure(Outcome("refused", 429), "upstream_rate_limited", 429, "later", 7), "s1")
    assert response.status == 429
    assert response.content_type == "application/problem+json"
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-stream-id"] == "s1"
    assert response.body is not None
    assert orjson.loads(response.body) == {
        "type": "about:blank",
        "title": "Upstream rate limited",
        "status": 429,
        "detail": "later",
        "code": "upstream_rate_limited",
        "outcome": "refused(429)",
        "stream_id": "s1",
    }
