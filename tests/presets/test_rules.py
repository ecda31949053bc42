"""A preset's rules: what is an error, an end or a text, for known providers and for one's own."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError, PathSyntaxError
from streamkit.extractor import Document, Extractor
from streamkit.parser import ServerSentEvent
from streamkit.presets import (
    PRESETS,
    End,
    EndMark,
    ErrorMark,
    ExtractionError,
    Piece,
    Preset,
    ProviderError,
    asking,
    preset,
    writer,
)
from tests.presets.providers import KINDS, PLAIN, VALUES, chunk, event

# --- errors of every shape


@pytest.mark.parametrize(
    ("data", "kind", "code", "message"),
    [
        ({"error": {"message": "busy", "type": "server_error", "code": "overloaded"}}, "message", "overloaded", "busy"),
        ({"error": {"message": "busy", "type": "server_error", "code": None}}, "message", "server_error", "busy"),
        ({"error": {"message": "slow", "code": 429}, "choices": []}, "message", "429", "slow"),
        ({"error": {"message": "no"}}, "message", "error", "no"),
        ({"error": "overloaded"}, "message", "overloaded", "overloaded"),
        ({"error": "in plain words"}, "message", "error", "in plain words"),
        ({"error": True, "message": "m"}, "message", "error", "m"),
        ({"error": {"code": "a b", "type": "t"}}, "message", "t", '{"error": {"code": "a b", "type": "t"}}'),
        ({"error": {"message": "busy", "type": "server_error"}}, "error", "server_error", "busy"),
        ({"code": "c", "message": "m"}, "error", "c", "m"),
        ({"detail": "gone"}, "error", "error", "gone"),
        ("upstream\nfell over", "error", "error", "upstream fell over"),
        ("", "error", "error", ""),
        ("[1]", "error", "error", "[1]"),
    ],
)
def test_errors_in_the_stream(data: object, kind: str, code: str, message: str) -> None:
    assert preset("openai").read(event(data, kind)) == ProviderError(code, message)


@pytest.mark.parametrize("nothing", [None, False, 0, "", [], {}])
def test_an_error_field_that_holds_nothing_is_no_error(nothing: object) -> None:
    assert preset("openai").read(event(chunk({"content": "x"}) | {"error": nothing})) == Piece("x")


def test_an_error_wins_over_text_and_end() -> None:
    data = chunk({"content": "x"}, finish_reason="error") | {"error": {"code": 502, "message": "gone"}}
    assert preset("openai").read(event(data)) == ProviderError("502", "gone")


def test_a_finish_reason_that_means_failure_is_an_error() -> None:
    assert preset("openai").read(event(chunk({}, finish_reason="error"))) == ProviderError("error")


def test_codes_and_messages_are_bounded_and_printable() -> None:
    error = preset("openai").read(
        event({"error": {"code": "x" * 65, "type": "a\u200bb", "message": "\x1b[31m" + "m" * 999}})
    )
    assert isinstance(error, ProviderError)
    assert error.code == "error"
    assert error.message == "[31m" + "m" * 195


def test_a_reason_that_is_no_word_is_left_out() -> None:
    assert preset("openai").read(event(chunk({}, finish_reason="in so many words"))) == End(conclusive=False)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - PLAIN))
def test_malformed_data_is_a_named_error(name: str) -> None:
    assert preset(name).read(event("{")) == Extractor("x").read("{")
    error = preset(name).read(event("[" * 10_000))
    assert isinstance(error, ExtractionError)
    assert error.code == "too_deep"


@pytest.mark.parametrize("name", sorted({*PRESETS} - {"sse-text"}))  # of which a space is a word
def test_blank_data_is_a_keep_alive(name: str) -> None:
    assert preset(name).read(event("")) is None
    assert preset(name).read(event(" ")) is None


# --- presets of one's own


MINE = Preset(
    name="mine",
    text=Extractor("body.parts[*].say", where="kind == 'delta'"),
    reasoning="body.think",
    ends=(EndMark(where="@event == 'bye'", reason="why"),),
    errors=(ErrorMark(at="oops", code="oops.no", message="oops.say", default="oops"),),
    ask=asking.openai,
    signs=("kind exists",),
)


def test_a_preset_of_ones_own() -> None:
    assert preset(MINE) is MINE
    assert MINE.read(event({"kind": "delta", "body": {"parts": [{"say": "a"}, {"say": "b"}]}})) == Piece("ab")
    assert MINE.read(event({"why": "tired"}, "bye")) == End("tired")
    assert MINE.read(event("{}", "bye")) == End()
    assert MINE.read(event("no JSON", "bye")) == End()
    assert MINE.read(event({"oops": {"no": 7, "say": "sorry"}})) == ProviderError("7", "sorry")
    assert MINE.read(event({"oops": ["?"]})) == ProviderError("oops", '{"oops": ["?"]}')
    assert MINE.read(event({"error": "not in my marks"})) == ProviderError("error", "not in my marks")
    assert preset(MINE, reasoning=True).read(event({"body": {"think": "hm"}})) == Piece("", "hm")
    assert MINE.matches(event({"kind": "x"}))


def test_presets_are_values() -> None:
    assert repr(MINE) == "<Preset mine, sse>"
    assert repr(MINE.with_reasoning()) == "<Preset mine, sse, with reasoning>"
    assert MINE.with_reasoning().with_reasoning() == MINE.with_reasoning() != MINE
    again = pickle.loads(pickle.dumps(MINE))  # noqa: S301  # our own bytes
    assert again == MINE
    assert again.read(event({"why": "tired"}, "bye")) == End("tired")
    with pytest.raises(FrozenInstanceError):
        MINE.name = "yours"  # type: ignore[misc]  # that is the claim


def test_a_preset_that_makes_no_sense_raises() -> None:
    with pytest.raises(PathSyntaxError):
        Preset(name="x", text="a..b")
    with pytest.raises(ConfigError, match="EndMark"):
        EndMark()
    with pytest.raises(ConfigError, match="ErrorMark"):
        ErrorMark()
    xml: Any = "xml"
    with pytest.raises(ConfigError, match="grammar"):
        Preset(name="x", text="a", grammar=xml)
    with pytest.raises(ConfigError, match="expected a Writer of grammar 'ndjson', got <Writer openai"):
        Preset(name="x", text="a", grammar="ndjson", write=writer("openai"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Preset(name="x", text="a", reasoning="a..b"),
        lambda: Preset(name="x", text="a", signs=("a = b",)),
        lambda: EndMark(where="a = b"),
        lambda: EndMark(reason="a..b"),
        lambda: ErrorMark(where="a = b"),
        lambda: ErrorMark(at="a..b"),
        lambda: ErrorMark(at="a", code="a..b"),
        lambda: ErrorMark(at="a", message=("a", "a..b")),
    ],
)
def test_a_bad_path_raises_when_the_rule_is_made_not_when_it_is_used(make: Callable[[], object]) -> None:
    with pytest.raises(PathSyntaxError):
        make()


LAST = ServerSentEvent(data='{"stop": "now", "no": 7, "a": "x"}')
VALUES_OF_RULES: dict[str, tuple[Callable[[], Any], Callable[[Any], object], dict[str, Any]]] = {
    "end": (
        lambda: EndMark(where="stop exists", reason="stop", failures=("never",)),
        lambda mark: mark.read(Document.of(LAST)),
        {"failures": ("now",)},
    ),
    "error": (
        lambda: ErrorMark(where="stop exists", at="no", code="no"),
        lambda mark: mark.read(Document.of(LAST)),
        {"at": "yes"},
    ),
    "preset": (
        lambda: Preset(name="x", text="a", ends=(EndMark(reason="stop"),), signs=("stop exists",)),
        lambda known: (known.read(LAST), known.matches(LAST)),
        {"text": "no", "signs": ()},
    ),
}


@pytest.mark.parametrize("copied", [copy, deepcopy, replace, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301  # our own bytes
@pytest.mark.parametrize(("make", "use", "fields"), VALUES_OF_RULES.values(), ids=VALUES_OF_RULES)
def test_rules_are_values_and_only_what_they_were_made_of_is_copied(
    make: Callable[[], Any], use: Callable[[Any], object], fields: dict[str, Any], copied: Callable[[Any], Any]
) -> None:
    used = make()
    result = use(used)
    assert used == make()  # not yet used
    assert hash(used) == hash(make())
    assert repr(used) == repr(make())
    again = copied(used)
    assert again == used
    assert again.__getstate__().keys() == {item.name for item in dataclasses.fields(again)}  # and no function
    assert use(again) == result
    changed = replace(used, **fields)
    assert changed != used
    assert use(changed) != result  # nothing compiled was kept


def test_rules_said_in_another_way_are_the_same() -> None:
    assert EndMark(where="a == 1", reason="b") == EndMark(where=[("a", "==", 1)], reason=(Extractor("b"),))
    assert ErrorMark(where="a == 1") == ErrorMark(where=(spelled for spelled in ["a==1"]))
    assert Preset(name="x", text="a[0]") == Preset(name="x", text=[Extractor(["a", 0])])
    assert repr(EndMark(where="a == 1")).startswith("EndMark(where=('a == 1',), reason=(), conclusive=True")


def test_an_end_is_needed_of_all_whose_marks_are_not_optional() -> None:
    sign = EndMark(reason="stop", conclusive=False)
    assert Preset(name="x", text="a", ends=(sign,)).has_end_marker
    assert not Preset(name="x", text="a", ends=(replace(sign, optional=True),)).has_end_marker
    without = {name for name, known in PRESETS.items() if not known.has_end_marker}
    assert without == {"seed", "watsonx", "langgraph", "langserve", "sse-text"}


# --- nothing on the wire raises


@given(VALUES.map(json.dumps) | st.text(), KINDS)
def test_read_never_raises_and_gives_only_what_it_promises(data: str, kind: str) -> None:
    for known in PRESETS.values():
        result = known.with_reasoning().read(ServerSentEvent(kind, data))
        assert result is None or isinstance(result, (Piece, End, ProviderError))
        assert result != Piece("")
        if isinstance(result, ProviderError):
            assert result.code.isprintable()
            assert 0 < len(result.code) <= 64
            assert len(result.message) <= 200


def test_the_grammar_is_still_found_by_its_old_name_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match=r"Preset\.grammar"):
        assert preset("ollama").framing == "ndjson"
