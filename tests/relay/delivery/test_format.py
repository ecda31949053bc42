"""Three formats, each of which a client can tell whole from broken, and two of them all from some."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import preset
from streamkit.relay.delivery.format import EventStream, Format, JSONLines, PlainText
from streamkit.relay.delivery.portion import WHOLE, Portion
from streamkit.relay.failure import Failure, timed_out

BROKEN = Failure(Outcome("truncated"), "upstream_truncated", 502, "broke off")
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=20)


@given(texts)
def test_plain_text_is_the_text_and_nothing_else(pieces: list[str]) -> None:
    form = PlainText()
    assert form.pieces([Piece(text) for text in pieces], 1).decode() == "".join(pieces)
    assert form.done(len(pieces)) == b""
    assert form.error(BROKEN, 1) is None, "text/plain has no way to say it: the connection must be cut"


@pytest.mark.parametrize("form", [PlainText, EventStream, JSONLines])
@given(pieces=texts, first=st.sampled_from([1, 2, 9]), portion=st.sampled_from([WHOLE, Portion("ab12", 3, 2)]))
def test_texts_leave_as_the_pieces_do_that_are_nothing_else(
    form: type[PlainText | EventStream | JSONLines], pieces: list[str], first: int, portion: Portion
) -> None:
    by_texts, by_pieces = form(portion), form(portion)
    assert by_texts.texts(pieces, first) == by_pieces.pieces([Piece(text) for text in pieces], first)


@pytest.mark.parametrize(("form", "parser"), [(EventStream, SSEParser), (JSONLines, NDJSONParser)])
@given(pieces=texts)
def test_our_own_preset_reads_back_what_we_send(
    form: type[EventStream | JSONLines], parser: type[SSEParser | NDJSONParser], pieces: list[str]
) -> None:
    writer: Format = form()
    wire = b"".join(writer.pieces([Piece(text)], first) for first, text in enumerate(pieces, 1))
    read = preset("streamkit").read
    whole = [read(event) for event in parser().feed(wire + writer.done(len(pieces)))]
    assert [result.text for result in whole if isinstance(result, Piece)] == pieces
    assert isinstance(whole[-1], End)
    assert whole[-1].conclusive
    broken = [read(event) for event in parser().feed(wire + (writer.error(BROKEN, 1) or b""))]
    assert isinstance(broken[-1], ProviderError)
    assert broken[-1].code == "upstream_truncated"


def test_events_are_unnamed_and_numbered_from_one_over_several_reads() -> None:
    form = EventStream()
    events = SSEParser().feed(form.pieces([Piece("a"), Piece("b")], 1) + form.pieces([Piece("c")], 3) + form.done(3))
    assert [(event.event, event.id) for event in events] == [
        ("message", "1"),
        ("message", "2"),
        ("message", "3"),
        ("done", "3"),
    ]


def test_the_error_event_names_code_and_outcome() -> None:
    (event,) = SSEParser().feed(EventStream().error(timed_out("idle"), 1) or b"")
    assert event.event == "error"
    told = orjson.loads(event.data)
    assert (told["code"], told["outcome"]) == ("timeout_idle", "timeout(idle)")


@pytest.mark.parametrize("form", [EventStream(), JSONLines()])
def test_reasoning_is_a_field_of_its_own(form: Format) -> None:
    assert b'{"text":"a","reasoning":"b"}' in form.pieces([Piece("a", "b")], 1)


def test_reasoning_never_gets_into_plain_text() -> None:
    assert PlainText().pieces([Piece("", "thinking")], 1) == b""


@pytest.mark.parametrize(("form", "parser"), [(EventStream(), SSEParser), (JSONLines(), NDJSONParser)])
def test_what_was_left_out_is_told_with_the_next_piece_and_at_the_end(
    form: Format, parser: type[SSEParser | NDJSONParser]
) -> None:
    told = [
        orjson.loads(event.data)
        for event in parser().feed(form.pieces([Piece("a"), Piece("b")], 6, dropped=5) + form.done(2, dropped=5))
    ]
    assert told[:2] == [{"text": "a", "dropped": 5}, {"text": "b"}]
    assert told[2].get("done", told[2]) == {"outcome": "complete", "pieces": 2, "dropped": 5}


@pytest.mark.parametrize(("form", "parser"), [(EventStream(), SSEParser), (JSONLines(), NDJSONParser)])
def test_why_the_provider_ended_is_told_with_the_end_where_it_is_known(
    form: Format, parser: type[SSEParser | NDJSONParser]
) -> None:
    known, unknown = (orjson.loads(event.data) for event in parser().feed(form.done(2, 0, "length") + form.done(2)))
    assert known.get("done", known) == {"outcome": "complete", "pieces": 2, "finish_reason": "length"}
    assert unknown.get("done", unknown) == {"outcome": "complete", "pieces": 2}
    assert PlainText().done(2, 0, "length") == b"", "text is the provider's alone"


def test_ids_are_the_numbers_of_the_pieces_in_the_stream_so_what_was_left_out_leaves_a_gap() -> None:
    form = EventStream()
    events = SSEParser().feed(form.pieces([Piece("a")], 1) + form.pieces([Piece("b")], 7, dropped=5))
    assert [event.id for event in events] == ["1", "7"]


def test_only_plain_text_cannot_tell_what_is_missing() -> None:
    assert [form.tells_drops for form in (PlainText(), EventStream(), JSONLines())] == [False, True, True]
