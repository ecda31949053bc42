"""What a scripted upstream writes, the parser and the preset read back."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError, EncodeError
from streamkit.extractor import Extractor
from streamkit.lab.upstream.faults import ErrorEvent, NoEnd
from streamkit.lab.upstream.script import Script
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser, encode_event
from streamkit.presets import (
    ALIASES,
    PRESETS,
    End,
    EndMark,
    ExtractionError,
    Piece,
    Preset,
    ProviderError,
    Writer,
    detect,
    preset,
    writer,
)
from streamkit.presets.asked import Asked
from tests.presets.providers import PLAIN

NAMES = sorted(PRESETS)
# The same shape as another one, so that nothing in the stream tells them apart.
SAME_SHAPE = {"azure": "openai", "openai-responses": "openai", "streamkit-ndjson": "streamkit"}
PIECES = ["你好", "，", " world", "\n", '"quoted" \\', "\n\n two\n", "😀", "\u2028", "data: x"]


def events(which: str | Preset, body: bytes) -> list[ServerSentEvent]:
    parser = NDJSONParser() if preset(which).grammar == "ndjson" else SSEParser()
    return [*parser.feed(body), *parser.close()]


def said(name: str, pieces: list[str]) -> list[str]:
    """What each event holds: its piece, or all of the text so far."""
    return list(accumulate(pieces)) if writer(name).cumulative else pieces


def stream(name: str, pieces: list[str]) -> list[bytes]:
    form = writer(name)
    written = [form.piece(text, index) for index, text in enumerate(said(name, pieces))]
    return [*form.open(), *written, *form.close(len(pieces), "".join(pieces))]


def read(which: str | Preset, body: bytes) -> list[Any]:
    return [result for item in events(which, body) if (result := preset(which).read(item)) is not None]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize("name", NAMES)
@given(pieces=st.lists(texts, max_size=5))
def test_any_pieces_come_back_exactly_and_end_as_promised(name: str, pieces: list[str]) -> None:
    if name in PLAIN:  # no JSON: a CR would be a line end
        pieces = [piece.replace("\r", "\n") for piece in pieces]
    found = read(name, b"".join(stream(name, pieces)))
    assert [result.text for result in found if isinstance(result, Piece)] == said(name, pieces)
    assert not any(isinstance(result, ProviderError) for result in found)
    ends = [result for result in found if isinstance(result, End)]
    assert bool(ends) or not preset(name).has_end_marker
    assert any(end.conclusive for end in ends) is any(mark.conclusive for mark in preset(name).ends)


@pytest.mark.parametrize("name", NAMES)
def test_each_item_is_one_event_or_one_comment(name: str) -> None:
    dispatched = [events(name, item) for item in stream(name, PIECES)]
    assert max(map(len, dispatched)) == 1
    assert [item for one in dispatched for item in one if item.event != "x"] != []
    whole = events(name, b"".join(stream(name, PIECES)))
    assert [item.data for item in whole] == [item.data for one in dispatched for item in one]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_before_the_first_piece_and_after_the_last_carries_text(name: str) -> None:
    for item in [*writer(name).open(), *writer(name).close()]:
        assert not any(isinstance(result, Piece) for result in read(name, item))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", ["overloaded_error", "429", "Throttling.RateQuota"])
def test_an_error_comes_back_with_its_code(name: str, code: str) -> None:
    (error,) = read(name, writer(name).error(code))
    assert isinstance(error, ProviderError)
    assert not isinstance(error, ExtractionError)
    assert error.code == code


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("as_event", [False, True])
def test_a_heartbeat_says_nothing_wherever_it_stands(name: str, as_event: bool) -> None:
    beat = writer(name).heartbeat(as_event=as_event)
    assert read(name, beat) == []
    assert events(name, beat) == [] or (as_event and not writer(name).is_ndjson)
    items = stream(name, PIECES)
    assert read(name, beat.join([b"", *items])) == read(name, b"".join(items))


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_recognised_from_its_first_events(name: str) -> None:
    items = stream(name, PIECES)
    first = b"".join(items[: len(writer(name).open()) + 1])
    headers = {"x-stream-id": "s1"} if name.startswith("streamkit") else None  # only its last event tells without it
    assert detect(first, headers) == SAME_SHAPE.get(name, name)
    assert detect(events(name, b"".join(items))) == SAME_SHAPE.get(name, name)


@pytest.mark.parametrize("name", NAMES)
def test_chinese_text_stands_on_the_wire_as_utf8(name: str) -> None:
    assert "你好".encode() in writer(name).piece("你好", 0)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_refused(name: str) -> None:
    for text in ("", "\ud83d"):
        with pytest.raises(EncodeError, match="expected text"):
            writer(name).piece(text, 0)


def test_a_cr_is_refused_where_the_data_is_plain_text() -> None:
    with pytest.raises(EncodeError, match="CR"):
        writer("replicate").piece("a\rb", 0)
    for text in ("a\rb", "[DONE]"):
        with pytest.raises(EncodeError, match="expected text without CR"):
            writer("sse-text").piece(text, 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_content_type_fits_the_grammar(name: str) -> None:
    form = writer(name)
    assert form.name == name
    kind = "application/x-ndjson" if preset(name).grammar == "ndjson" else "text/event-stream"
    assert form.content_type.startswith(kind)
    assert repr(form) == f"<Writer {name}, {form.content_type}>"


def test_the_same_words_give_the_same_bytes() -> None:
    for name in NAMES:
        assert stream(name, PIECES) == stream(name, PIECES)


def test_aliases_write_what_their_preset_reads() -> None:
    assert {writer(alias) for alias in ALIASES} == {writer("openai")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", [copy, deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301  # our own bytes
def test_a_known_writer_goes_by_its_name_into_another_process(name: str, copied: Callable[[Any], Any]) -> None:
    assert copied(writer(name)) is writer(name)
    assert copied(preset(name)) == preset(name)


# --- the providers' quirks


def test_seed_writes_json_inside_of_json_and_no_end() -> None:
    inner = r"{\"MessageBody\":{\"DirectMessageBody\":{\"SentenceList\":[{\"Content\":\"你好\"}]}}}"
    assert writer("seed").piece("你好", 0) == f'data: {{"data":[{{"value":"{inner}"}}]}}\n\n'.encode()
    assert writer("seed").close() == []


def test_gemini_writes_crlf_throughout() -> None:
    body = b"".join(stream("gemini", PIECES))
    assert not re.search(rb"(?<!\r)\n", body)


def test_dashscope_writes_ids_a_comment_and_no_space_after_the_colon() -> None:
    head = b'id:8\nevent:result\n:HTTP_STATUS/200\ndata:{"output"'
    assert writer("dashscope").piece("x", 7).startswith(head)


def test_replicate_writes_text_on_several_data_lines() -> None:
    assert writer("replicate").piece(" a\n\nb", 3) == b"event: output\nid: 1700000000:3\ndata:  a\ndata: \ndata: b\n\n"


def test_coze_never_terminates_its_last_block() -> None:
    assert writer("coze").close()[-1] == b'event:done\ndata:"[DONE]"'
    assert writer("coze").piece("x", 0).startswith(b"event:conversation.message.delta\ndata:{")


def test_openai_writes_a_role_chunk_a_finish_chunk_and_done() -> None:
    assert b'"role":"assistant"' in writer("openai").open()[0]
    assert b'"finish_reason":"stop"' in writer("openai").close()[-2]
    assert writer("openai").close()[-1] == b"data: [DONE]\n\n"


@pytest.mark.parametrize("name", ["openai", "azure"])
def test_a_usage_chunk_without_choices_stands_before_done_where_usage_is_asked_for(name: str) -> None:
    finish, done = writer(name).close(3)
    assert b"usage" not in finish
    first, usage, last = writer(name).close(3, usage=True)
    assert (first, last) == (finish, done)
    assert b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}' in usage


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("openai", "azure")])
def test_others_tell_usage_in_their_own_way_or_not_at_all(name: str) -> None:
    assert writer(name).close(3, "abc", usage=True) == writer(name).close(3, "abc")


def test_cohere_has_two_end_markers_of_which_the_first_is_the_word() -> None:
    found = read("cohere", b"".join(writer("cohere").close()))
    assert found == [End("COMPLETE"), End()]


# --- without a stream


ONES = ["anthropic", "azure", "cohere", "dashscope", "gemini", "huggingface", "mistral", "ollama", "openai",
        "openai-responses", "watsonx"]  # fmt: skip


@pytest.mark.parametrize("name", ONES)
def test_the_answer_without_a_stream_is_one_json_object_with_all_of_the_text(name: str) -> None:
    text = "".join(PIECES)
    answer = json.loads(writer(name).one(text, len(PIECES)))
    assert list(answer)
    assert texts_in(answer).count(text) == 1


def texts_in(value: object) -> list[object]:
    """All that is no list and no object."""
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in texts_in(item)]
    return [value]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ONES])
def test_where_there_is_none_a_stream_comes_whatever_is_asked(name: str) -> None:
    assert writer(name).streams(Asked(body={"model": "m", "stream": False}))
    with pytest.raises(EncodeError, match=f"without a stream, got '{name}'"):
        writer(name).one("hi", 1)


@pytest.mark.parametrize("name", ONES)
def test_a_request_as_the_preset_makes_it_and_one_that_is_none_of_its_api_get_a_stream(name: str) -> None:
    request = preset(name).request("hi")
    assert writer(name).streams(Asked(headers=request.headers, body=json.loads(request.content)))
    assert writer(name).streams(Asked(body={"question": "hi"}))
    assert writer(name).streams(Asked())


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        *((name, Asked(body={"model": "m", "messages": []})) for name in ("anthropic", "cohere", "mistral", "openai")),
        *((name, Asked(body={"stream": False})) for name in ("anthropic", "azure", "huggingface", "ollama", "openai")),
        ("openai-responses", Asked(body={"model": "m", "input": "hi"})),
        ("dashscope", Asked(body={"model": "m", "input": {}})),
        ("gemini", Asked("/v1beta/models/m:generateContent", body={"contents": []})),
        ("huggingface", Asked("/generate", body={"inputs": "hi"})),
        ("watsonx", Asked("/ml/v1/text/generation", body={"input": "hi"})),
    ],
    ids=str,
)
def test_each_api_has_its_way_to_ask_for_none(name: str, asked: Asked) -> None:
    assert not writer(name).streams(asked)


def test_ollama_streams_unless_that_is_declined() -> None:
    assert writer("ollama").streams(Asked(body={"model": "m", "messages": []}))


@pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
def test_usage_is_asked_for_by_the_stream_options_alone(options: dict[str, Any]) -> None:
    assert not Asked(body=options).usage
    assert Asked(body={"stream_options": {"include_usage": True}}).usage


# --- what tells the text again


@pytest.mark.parametrize("name", ["coze", "huggingface", "openai-responses"])
def test_the_end_tells_the_whole_text_again_which_is_not_read_twice(name: str) -> None:
    text = "".join(PIECES)
    end = b"".join(writer(name).close(len(PIECES), text))
    assert json.dumps(text, ensure_ascii=False).encode() in end
    assert not [found for found in read(name, end) if isinstance(found, Piece)]


def test_the_events_of_a_response_are_numbered_through() -> None:
    numbers = [
        json.loads(item.data)["sequence_number"]
        for item in events("openai-responses", b"".join(stream("openai-responses", PIECES)))
    ]
    assert numbers == list(range(len(numbers)))


# --- providers of one's own


def _say(text: str, number: int) -> bytes:
    return encode_event(ServerSentEvent("say", json.dumps({"body": {"say": text}, "n": number})), last_event_id="")


def _bye(number: int) -> list[bytes]:
    return [encode_event(ServerSentEvent("bye", json.dumps({"said": number})), last_event_id="")]


MINE = Preset(
    name="mine",
    text=Extractor("body.say", where="@event == 'say'"),
    ends=(EndMark(where="@event == 'bye'"),),
    write=Writer(name="mine", piece_event=_say, opening=(b": welcome\n\n",), closing=_bye),
)
LINES = Preset(
    name="lines",
    grammar="ndjson",
    text="say",
    write=Writer(
        name="lines",
        content_type="application/x-ndjson",
        piece_event=lambda text, _: json.dumps({"say": text}).encode() + b"\n",
    ),
)


@pytest.mark.parametrize("mine", [MINE, LINES], ids=repr)
def test_what_a_provider_of_ones_own_writes_is_read_back(mine: Preset) -> None:
    form = writer(mine)
    items = [*form.open(), *map(form.piece, PIECES, range(99)), *form.close(len(PIECES))]
    found = read(mine, b"".join(items))
    assert [result.text for result in found if isinstance(result, Piece)] == PIECES
    assert [result for result in found if not isinstance(result, Piece)] == [End()] * len(mine.ends)


@pytest.mark.parametrize("mine", [MINE, LINES], ids=repr)
def test_without_an_error_event_of_its_own_it_fails_as_most_do(mine: Preset) -> None:
    (error,) = read(mine, writer(mine).error("busy"))
    assert error == ProviderError("busy", "scripted error")
    assert read(mine, writer(mine).heartbeat()) == []


@pytest.mark.parametrize("mine", [MINE, LINES], ids=repr)
def test_a_provider_of_ones_own_is_scripted(mine: Preset) -> None:
    script = Script(PIECES, preset=mine)
    found = read(mine, b"".join(step.data for step in script.steps()))
    assert [result.text for result in found if isinstance(result, Piece)] == PIECES
    assert script.whole
    assert replace(script, faults=(NoEnd(),)).whole is not mine.has_end_marker
    assert replace(script, faults=(ErrorEvent(2, "busy"),)).expected_text == PIECES[0]
    failing = b"".join(step.data for step in replace(script, faults=(ErrorEvent(2, "busy"),)).steps()[1:-1])
    assert ProviderError("busy", "scripted error") in read(mine, failing)


def test_what_is_made_of_functions_with_names_goes_into_another_process() -> None:
    script = pickle.loads(pickle.dumps(Script(PIECES, preset=MINE)))  # noqa: S301  # our own bytes
    assert script == Script(PIECES, preset=MINE)
    assert [step.data for step in script.steps()] == [step.data for step in Script(PIECES, preset=MINE).steps()]


def test_a_preset_that_does_not_say_how_it_is_written_is_not_scripted() -> None:
    with pytest.raises(ConfigError, match="write="):
        Script("hi", preset=replace(MINE, write=None))


def test_a_mistake_in_a_writer_of_ones_own_is_not_blamed_on_the_text() -> None:
    def piece(_: str, number: int) -> bytes:
        return number.to_bytes(b"x")  # type: ignore[arg-type]  # the mistake under test

    with pytest.raises(TypeError):
        Writer(name="wrong", piece_event=piece).piece("hi", 0)
