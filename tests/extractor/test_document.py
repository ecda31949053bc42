"""One event, decoded once at most, and what is asked of it: conditions, values."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any
from unittest.mock import patch

import pytest

from streamkit.errors import PathSyntaxError
from streamkit.extractor import Document, ExtractionError, Extractor, Values, Where
from streamkit.extractor.follow import MISSING, decode
from streamkit.parser import ServerSentEvent


def test_a_document_is_an_event_or_the_data_of_one() -> None:
    event = Document.of(ServerSentEvent("add", '{"a": 1}', "7"))
    assert (event.data, event.event, event.id, event.json) == ('{"a": 1}', "add", "7", {"a": 1})
    data = Document.of(b'{"a": "\xc3\xa9"}')
    assert (data.event, data.id, data.text(), data.json) == ("message", "", '{"a": "é"}', {"a": "é"})
    with pytest.raises(AttributeError):
        _ = data.jason


def test_its_json_is_decoded_once_however_many_ask_and_only_if_somebody_does() -> None:
    document = Document('{"type": "x", "a": "hi"}')
    with patch("streamkit.extractor.document.decode", wraps=decode) as decoding:
        assert not Where("@event == 'other'").holds(document)
        assert decoding.call_count == 0
        assert [Extractor(path, where="type == 'x'").text(document) for path in ("a", "b", "a")] == ["hi", "", "hi"]
        assert Values("type", "a").of(document) == ["x", "hi"]
        assert decoding.call_count == 1


def test_malformed_data_is_missing_and_noted_and_blank_data_is_only_missing() -> None:
    malformed, blank = Document("{"), Document(" ")
    assert (malformed.json, blank.json) == (MISSING, MISSING)
    assert isinstance(malformed.problem, ExtractionError)
    assert blank.problem is None


# --- conditions


def test_all_of_several_conditions_must_hold() -> None:
    extractor = Extractor("t", where=("a == 1", "@event == 'x'", "b != 2"))
    held = ServerSentEvent("x", '{"t": "yes", "a": 1}')
    assert extractor(held) == "yes"
    assert extractor(held._replace(event="y")) is None
    assert extractor(held._replace(data='{"t": "yes", "a": 1, "b": 2}')) is None
    assert extractor(held._replace(data='{"t": "yes", "a": 3}')) is None


def test_conditions_on_the_events_own_fields() -> None:
    event = ServerSentEvent("output", "text", "7")
    assert Extractor(None, where="@event == 'output'")(event) == "text"
    assert Extractor(None, where="@id != '7'")(event) is None
    assert Extractor(None, where="@data == 'text'")(event) == "text"
    assert Extractor(None, where="@event == 'message'")("bare data is a message") is not None


def test_an_event_type_that_does_not_match_spares_the_json() -> None:
    assert Extractor("a", where=("b == 1", "@event == 'x'")).read(ServerSentEvent("log", "no JSON")) is None


def test_no_condition_always_holds() -> None:
    assert Where().holds(Document("{"))
    assert Where().needed_key is None


@pytest.mark.parametrize(
    ("where", "needed_key"),
    [
        ("a.b == 1", "a"),
        ("a exists", "a"),
        (("@event == 'x'", "a != 1", "b.c == null"), "b"),
        ("a != 1", None),
        ("a absent", None),
        ("a == 1 or absent", None),
        ("[0].a == 1", None),
        ("@data | json | a exists", "a"),
    ],
)
def test_conditions_never_hold_for_an_object_without_the_key_they_need(where: Any, needed_key: str | None) -> None:
    assert Where(where).needed_key == needed_key
    assert not (needed_key and Where(where).holds(Document("{}", "x")))


# --- values


def test_values_are_of_any_type_and_in_the_order_of_their_paths() -> None:
    values = Values("b", "a[*]", "@event", "missing", "a[0] | json | c", "b | json")
    assert values.of(Document('{"a": ["{", 0], "b": null}')) == [None, "{", 0, "message"]


def test_a_bad_path_to_a_value_raises() -> None:
    with pytest.raises(PathSyntaxError):
        Values("a", "b..c")


# --- what is compiled

COMPILED: dict[str, tuple[Callable[[], Any], Callable[[Any], object], Any]] = {
    "where": (
        lambda: Where(("a == 1", "@event != 'x'")),
        lambda where: where.holds(Document('{"a": 1}')),
        Where("a == 1"),
    ),
    "values": (lambda: Values("a[*]", None), lambda values: values.of(Document('{"a": [1]}')), Values("a[*]")),
    "extractor": (
        lambda: Extractor("a", "b", where="c == 1"),
        lambda extractor: extractor('{"c": 1, "b": "x"}'),
        Extractor("a", "b"),
    ),
}


@pytest.mark.parametrize("copied", [copy, deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301  # our own bytes
@pytest.mark.parametrize(("make", "use", "other"), COMPILED.values(), ids=COMPILED)
def test_what_it_was_made_of_is_its_value_and_all_that_is_copied(
    make: Callable[[], Any], use: Callable[[Any], object], other: Any, copied: Callable[[Any], Any]
) -> None:
    used = make()
    result = use(used)
    assert used == make()  # not yet used
    assert hash(used) == hash(make())
    assert repr(used) == repr(make())
    assert used != other
    again = copied(used)
    assert again == used
    assert again.__getstate__().keys() == {item.name for item in dataclasses.fields(again)}  # and no function
    assert use(again) == result
