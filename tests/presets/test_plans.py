"""Reading by the shape of an event gives what reading by every rule gives, for all presets and in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.extractor import Document, Extractor
from streamkit.extractor.misfit import misfit_of
from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import PRESETS, plans, preset, writer
from streamkit.presets.failures import may_fail, tells_failure
from streamkit.presets.marks import TOLD
from streamkit.presets.reader import HEARTBEATS
from streamkit.presets.rules import EndMark, ErrorMark, Preset

PATIENCE = 2


@pytest.fixture(autouse=True, scope="module")
def plans_are_made_soon() -> Iterator[None]:
    """What a plan gives is compared here, so a shape has one when it comes for the second time."""
    with patch("streamkit.presets.plans.PATIENCE", PATIENCE):
        yield


def odd(*text: Any, reasoning: Any = (), ends: Any = (), errors: Any = ()) -> Preset:
    return Preset(name="odd", text=text or "text", reasoning=reasoning, ends=ends, errors=errors)


# What the built-in presets do not use, one by one: a rule without a shortcut bars them all.
ODD = {
    "unlike": odd(Extractor("text", where=("@event != 'ping'", "type absent", "delta != 'x'", "code exists"))),
    "or absent": odd(Extractor("delta", "text", where="type == 'delta' or absent")),
    "every": odd(Extractor("choices[*].text", "choices[*].index", where="choices[*].done != true")),
    "every, guarded": odd(Extractor("parts[*].text", "value | json | text", where="code == 1"), "text"),
    "every in every": odd(Extractor("parts[*].parts[*]", "text", where=("parts[*].parts[*] exists", "type absent"))),
    "last": odd("parts[-1]", Extractor("parts[*][0].text", where="parts[0] != 'x'"), "delta.content.text[0]"),
    "json": odd(Extractor("value | json | text", "text", where="value | json | type != 'x'"), reasoning="done | json"),
    "each json": odd("parts[*] | json | text", "text"),
    "raw": odd(ends=(EndMark(where="@data == '{\"done\": true}'"), EndMark(where="@data == '[1]'"))),
    "raw json": odd(Extractor("text", where="@data | json | type exists"), reasoning="@data | json | value | json"),
    "id": odd(Extractor("@id", where="code == 1"), "text"),
    "id end": odd(ends=(EndMark(where=("@id == '7'", "done == true"), conclusive=False),)),
    "kind": odd("text", reasoning=Extractor("@event", where=("@event == 'x'", "type exists"))),
    "reason": odd(ends=(EndMark(reason=Extractor("output", where="output != 'x'"), failures=("error",)),)),
    "reason json": odd(ends=(EndMark(reason="message | json | code"),)),
    "where and reason": odd(ends=(EndMark(where=("done == true", "type != 'x'"), reason=("stop", "code")),)),
    "every end": odd(ends=(EndMark(where="parts[*].done == true", reason="type"), EndMark(where="done absent"))),
    "words": odd(ends=(EndMark(where="type == 'x'"), EndMark(where="type == 'stop'"), EndMark(where="type == 1"))),
    "error": odd(
        errors=(ErrorMark(where=("@event == 'error'", "type == 'error' or absent")), ErrorMark(at="parts[*]"))
    ),
    "error at": odd(errors=(ErrorMark(where="type == 'x'", at="error[*].code"), ErrorMark(where="value == null"))),
    "compared": odd(Extractor("text", where=("text != 'x'", "message.text != 'x'")), "message.text", "value"),
    "decoded": odd(Extractor("text", where="text | json | code != 'b'"), Extractor("value", where="value exists")),
    "decoded place": odd(errors=(ErrorMark(at="text | json | code"),)),
    "compared end": odd(ends=(EndMark(where="text == 'stop'"), EndMark(where="code == 'x'", reason="text"))),
    "list": odd("text", reasoning=Extractor((0, "text"), where=("code != 1", "index absent"))),
}


def by_every_rule(rules: Any, event: ServerSentEvent) -> object:
    """`read` as it is promised, with no thought for time: every rule is tried, and the JSON always decoded."""
    document = Document.of(event)
    all_rules = (rules.errors, rules.text, rules.reasoning, rules.ends)
    by_key = any(rule.needed_key for several in all_rules for rule in several)
    if by_key:
        document.load()  # if only to know whether it is malformed
    value = document.json if by_key and type(document.json) is dict else None
    for error_mark in rules.errors:
        if error_mark.applies.holds(document):
            error = error_mark.read(document)
            if error is not None:
                return error
    extractors = (rules.text, rules.reasoning if rules.show_reasoning else ())
    text, reasoning = (next(filter(None, [one.text(document) for one in several]), "") for several in extractors)
    ends = [mark.read(document) for mark in rules.ends if mark.applies.holds(document)]
    end = next((end for end in ends if end is not None), None)
    in_list = by_key and type(document.json) is list and list in rules.rules.roots
    looks = (value or in_list) and (not text or document.is_mixed) and event.event not in HEARTBEATS
    misfits = [misfit_of(one.paths, one.where, rules._kinds)(document) for several in extractors for one in several]
    misfit = next(filter(None, misfits), None) if looks else None
    if misfit is not None and value and may_fail(value, rules._known) and tells_failure(value):
        return TOLD.read(document)
    if misfit is not None or text or reasoning:
        return misfit or Piece(text, reasoning, end)
    if end is not None:
        return end
    if not by_key:
        return document.problem or rules.rules._of_stray(document)
    if value is None:
        return rules.rules._of_no_object(document, document.json)
    return rules.rules._of_unknown(document, value)


def read(rules: Preset, event: ServerSentEvent) -> object:
    """What an event gives when its shape is known; the same as when it was new."""
    new, known, again = (rules.read(event) for _ in range(PATIENCE + 1))
    assert new == known == again
    assert type(new) is type(known)
    return known


def read_run(rules: Preset, events: list[ServerSentEvent]) -> list[object]:
    """What a run of events gives: pieces, ends and errors; an end that stands in a piece only there."""
    results: list[object] = []
    left = iter(events)
    with patch("streamkit.presets.plans.PATIENCE", 1):
        while True:
            pieces: list[Piece] = []
            end = rules.read_pieces(left, pieces)
            results += pieces
            assert [piece.end for piece in pieces if piece.end is not None] in ([], [end])
            if end is None:
                return results
            if not pieces or pieces[-1].end is not end:
                results.append(end)


def on_the_wire(name: str) -> list[ServerSentEvent]:
    form = writer(name)
    parser = NDJSONParser() if preset(name).grammar == "ndjson" else SSEParser()
    items = [*form.open(), form.piece("a", 0), form.piece("你", 1), form.error("busy"), *form.close(2)]
    return [*parser.feed(b"".join(items)), *parser.close()]


WIRE = {name: on_the_wire(name) for name in PRESETS}
REAL = [event for events in WIRE.values() for event in events]
KINDS = sorted({event.event for event in REAL} | {"message", "ping", "x"})
WORDS = ["error", "stop", "null", "delta", "x", "", "[DONE]", "{}", '{"text":"a","code":"b"}', "{", "[1]", '"a"']


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in _keys(item)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


def _decoded(event: ServerSentEvent) -> Any:
    try:
        return json.loads(event.data)
    except ValueError:
        return event.data


OWN_KEYS = ["value", "done", "text", "output", "parts", "code", "type", "thinking", "reasoning", "reasoning_content"]
KEYS = sorted({key for event in REAL for key in _keys(_decoded(event))} | set(OWN_KEYS))
LEAVES = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, -1, 7]) | st.sampled_from(WORDS)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((value, key), *_places(item))]


@st.composite
def mutated(draw: st.DrawFn, events: list[ServerSentEvent]) -> ServerSentEvent:
    """A real event with up to three things dropped, replaced, doubled or added."""
    kind, data, name = draw(st.sampled_from(events))
    try:
        value = json.loads(data)
    except ValueError:
        value = draw(VALUES)
    for _ in range(draw(st.integers(0, 3))):
        places = _places(value)
        if not places or not draw(st.integers(0, 9)):
            value = draw(VALUES)
            continue
        inside, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["drop", "replace", "add", "double", "move"])):
            case "drop":
                del inside[key]
            case "replace":
                inside[key] = draw(VALUES)
            case "add" if isinstance(value, dict):
                value[draw(st.sampled_from(KEYS))] = draw(VALUES)
            case "double":
                inside[key] = [deepcopy(inside[key]), draw(VALUES)]
            case "move" if isinstance(inside, dict):
                inside[draw(st.sampled_from(KEYS))] = inside.pop(key)
    text = json.dumps(value) if draw(st.integers(0, 9)) else draw(st.sampled_from([data, *WORDS]))
    return ServerSentEvent(draw(st.sampled_from([kind, kind, *KINDS])), text, draw(st.sampled_from([name, "7"])))


@st.composite
def runs(draw: st.DrawFn, events: st.SearchStrategy[ServerSentEvent]) -> list[ServerSentEvent]:
    """The same event again and again, but for one string in it, as in one read; among them another."""
    event, other = draw(events), draw(events)
    value = _decoded(event)
    strings = [place for place in _places(value) if isinstance(place[0][place[1]], str)]
    if not strings:
        return [event, other, event]
    run = []
    inside, key = draw(st.sampled_from(strings))
    for text in [inside[key], *draw(st.lists(st.sampled_from(WORDS) | st.text(max_size=2), min_size=2, max_size=5))]:
        inside[key] = text
        run.append(event._replace(data=json.dumps(value, ensure_ascii=draw(st.booleans()))))
    run.insert(draw(st.integers(0, len(run))), other)
    return run


# Few keys, all of which the odd presets look at.
ODD_KEYS = st.sampled_from(
    ["text", "type", "done", "code", "parts", "value", "delta", "message", "output", "error", "choices"]
)
ODD_VALUES = LEAVES | st.lists(LEAVES | st.dictionaries(ODD_KEYS, LEAVES, max_size=3), max_size=2)
ODD_EVENTS = st.builds(
    ServerSentEvent,
    st.sampled_from(["message", "message", "error", "ping", "x"]),
    st.dictionaries(ODD_KEYS, ODD_VALUES, max_size=4).map(lambda value: json.dumps({"text": "a"} | value))
    | st.sampled_from(['{"done": true}', "[1]", '{"text": "a", "code": 1}', '{"text": "a", "value": "{"}']),
    st.sampled_from(["", "7"]),
)


@cache
def in_both_ways(name: str) -> tuple[Preset, Preset]:
    """The preset of that name without and with reasoning: most of the time goes into drawing the events."""
    rules = ODD.get(name) or preset(name)
    return rules, rules.with_reasoning()


@pytest.mark.parametrize("name", sorted(ODD))
@settings(max_examples=50)
@given(event=ODD_EVENTS)
def test_every_kind_of_rule_reads_as_by_every_rule(name: str, event: ServerSentEvent) -> None:
    for rules in in_both_ways(name):
        assert read(rules, event) == by_every_rule(rules, event)


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=25)  # of each preset; they share most of their rules
@given(data=st.data())
def test_a_mutated_event_reads_as_by_every_rule(name: str, data: st.DataObject) -> None:
    # Mostly its own events; of all others, some look much like its own.
    event = data.draw(mutated(WIRE[name]) | mutated(REAL))
    for rules in in_both_ways(name):
        expected = by_every_rule(rules, event)
        assert read(rules, event) == expected
        assert type(read(rules, event)) is type(expected)


def test_what_is_no_text_is_looked_at_only_where_no_other_rule_finds_one() -> None:
    event = ServerSentEvent(data='{"text": false, "value": "b"}')
    for rules in in_both_ways("decoded"):
        assert read(rules, event) == by_every_rule(rules, event) == Piece("b")


def read_one_by_one(rules: Preset, events: list[ServerSentEvent]) -> list[object]:
    return [result for event in events if (result := by_every_rule(rules, event)) is not None]


@pytest.mark.parametrize("name", sorted(ODD))
@settings(max_examples=25)  # of half a dozen events each
@given(events=runs(ODD_EVENTS))
def test_a_run_reads_as_its_events_by_every_kind_of_rule(name: str, events: list[ServerSentEvent]) -> None:
    for rules in in_both_ways(name):
        assert read_one_by_one(rules, events) == read_run(rules, events)


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=25)  # of half a dozen events each
@given(data=st.data())
def test_a_run_reads_as_its_events(name: str, data: st.DataObject) -> None:
    events = data.draw(runs(st.sampled_from(WIRE[name]) | mutated(WIRE[name])))
    for rules in in_both_ways(name):
        assert read_one_by_one(rules, events) == read_run(rules, events)


def test_what_follows_an_end_or_an_error_is_left() -> None:
    a, stop, b = (ServerSentEvent(data=data) for data in ('{"text": "a"}', '{"text": "!", "stop": 1}', '{"text": "b"}'))
    rules = odd(ends=(EndMark(where="stop exists"),))
    left = iter([a, stop, b])
    pieces: list[Piece] = []
    assert rules.read_pieces(left, pieces) == End()
    assert pieces == [Piece("a"), Piece("!", end=End())]
    assert [*left] == [b]


# --- texts in a run of events that differ in nothing else

OPENAI = preset("openai")


def delta(text: str, more: str = "") -> ServerSentEvent:
    """An event with `text` spelled as given."""
    data = f'{{"id": "b", "choices": [{{"index": 0, "delta": {{"content": {text}}}, "finish_reason": null{more}}}]}}'
    return ServerSentEvent(data=data)


def test_the_texts_of_a_run_are_read_however_they_are_spelled() -> None:
    texts = ["b", "index", " ", '"', "\\", "\n", "你", "\u2028", "😀", "x" * 1000]
    spelled = [delta(json.dumps(text, ensure_ascii=ascii_only)) for text in texts for ascii_only in (False, True)]
    assert read_run(OPENAI, spelled) == [Piece(text) for text in texts for _ in range(2)]


@pytest.mark.parametrize(
    "odd_one",
    [
        *map(
            delta, ['""', "null", "0", '["a"]', '{"a": "b"}', '"a', '"a"b"', '"a", "role": "b"', r'"\ud83d"', "", "\n"]
        ),
        delta('"b"', ', "logprobs": null'),
        delta('"b"')._replace(event="x"),
        delta(r'"\u0063hoices"'),  # a key's name
        delta('"a"', ', "like": "a"'),
        delta('[{"text": "a"}, {"text": "b"}]'),
        delta(r'"\u002c "', ', "more": ["x", "y"]'),
        ServerSentEvent(data="[DONE]"),
    ],
    ids=lambda event: repr(event.data.partition('"content": ')[2][:24]),
)
def test_one_that_is_unlike_the_others_of_its_run_reads_as_by_every_rule(odd_one: ServerSentEvent) -> None:
    events = [*[delta('"b"')] * 20, odd_one, delta('"c"')]
    assert read_run(OPENAI, events) == read_one_by_one(OPENAI, events)


@pytest.mark.parametrize("name", sorted(WIRE))
def test_every_event_on_the_wire_reads_as_by_every_rule(name: str) -> None:
    for event in REAL:
        for rules in in_both_ways(name):
            assert read(rules, event) == by_every_rule(rules, event)


def test_a_rule_beyond_the_shortcuts_is_obeyed() -> None:
    assert read(ODD["id"], ServerSentEvent("message", '{"code": 1}', "5")) == Piece("5")
    seven = ServerSentEvent("message", '{"text": "a", "done": true}', "7")
    assert read(ODD["id end"], seven) == Piece("a", end=End(conclusive=False))


def test_malformed_json_within_json_is_told_where_nothing_else_is_found() -> None:
    result = read(preset("seed"), ServerSentEvent(data='{"data": [{"value": "{"}]}'))
    assert isinstance(result, ProviderError)
    assert result.code == "malformed_json"


def test_memory_is_bounded_when_every_event_has_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_PLANS", 8)
    made = plans.Plans(lambda _: plans.Plan(lambda _: "", None, sure=True))
    for number in range(100):
        for times in range(1, PATIENCE + 1):
            assert (made["message", str(number)] is not plans.BY_RULES) is (times == PATIENCE)
        assert len(made) <= 8
    for number in range(100):
        assert made["x", str(number)] is plans.BY_RULES
        assert len(made._seen) <= 8


def test_events_of_many_or_long_keys_are_not_remembered_and_read_all_the_same() -> None:
    rules = Preset(name="x", text="text")
    for keys in (map(str, range(plans.MAX_KEYS)), ["k" * plans.MAX_KEY_CHARACTERS]):
        event = ServerSentEvent(data=json.dumps(dict.fromkeys(keys) | {"text": "a"}))
        assert read(rules, event) == Piece("a")
    assert not rules.rules.plans
