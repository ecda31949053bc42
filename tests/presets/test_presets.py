"""Every preset on small samples of its provider's wire shape."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError, PathSyntaxError, UnknownPreset
from streamkit.extractor import Extractor
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import (
    ALIASES,
    PRESETS,
    End,
    EndMark,
    ErrorMark,
    ExtractionError,
    Piece,
    Preset,
    ProviderError,
    asking,
    detect,
    preset,
    presets,
)


def event(data: object, kind: str = "message") -> ServerSentEvent:
    return ServerSentEvent(kind, data if isinstance(data, str) else json.dumps(data))


def results(name: str, body: str, *, reasoning: bool = False) -> list[object]:
    """What a preset makes of a whole body, without the events that mean nothing."""
    known = preset(name, reasoning=reasoning)
    parser = NDJSONParser() if known.grammar == "ndjson" else SSEParser()
    read = [known.read(item) for item in [*parser.feed(body.encode()), *parser.close()]]
    return [result for result in read if result is not None]


def chunk(delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None} | choice],
    }


# --- one whole stream of each provider


def test_seed() -> None:
    body = (
        r'data: {"data":[{"value":"{\"MessageBody\":{\"DirectMessageBody\":{\"SentenceList\":[{\"Content\":\"你\"}]}}}"}]}'
        "\n\n"
        r'data: {"data":[{"value":"{\"MessageBody\":{\"DirectMessageBody\":{\"SentenceList\":[{\"Content\":\"好\"},{\"Content\":\"二\"}]}}}"}]}'
        "\n\n"
        r'data: {"data":[{"value":"{\"MessageBody\":{\"Typing\":true}}"}]}'
        "\n\ndata: {}\n\n"
    )
    assert results("seed", body) == [Piece("你"), Piece("好")]
    assert detect(body.encode()) == "seed"


OPENAI = """\
: processing

data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm."}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Tea"},"finish_reason":null}]}

data: {"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"content":"Coffee"},"finish_reason":null}]}

data: {"object":"chat.completion.chunk","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" 茶"},"finish_reason":null}],"error":null}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}

data: {"object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":3}}

data: [DONE]

"""


def test_openai_chat_completions() -> None:
    ends = [End("length", conclusive=False), End()]
    assert results("openai", OPENAI) == [Piece("Tea"), Piece(" 茶"), *ends]
    assert results("openai", OPENAI, reasoning=True) == [Piece("", "Hm."), Piece("Tea"), Piece(" 茶"), *ends]
    assert detect(OPENAI.encode()) == "openai"


def test_openai_choices_are_told_apart_by_index_wherever_they_stand() -> None:
    two = {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
    assert preset("openai").read(event(two)) == Piece("yes")


def test_openai_compatible_servers_may_leave_the_index_out() -> None:
    assert preset("openai").read(event({"choices": [{"delta": {"content": "x"}}]})) == Piece("x")
    assert preset("openai").read(event({"choices": [{"finish_reason": "stop"}]})) == End("stop", conclusive=False)


def test_openai_legacy_completions() -> None:
    assert preset("openai").read(event({"choices": [{"index": 0, "text": "x", "finish_reason": None}]})) == Piece("x")


@pytest.mark.parametrize("nothing", [None, "", False, 0, [], {}])
def test_openai_an_empty_finish_reason_is_no_end(nothing: object) -> None:
    assert preset("openai").read(event(chunk({"content": "x"}, finish_reason=nothing))) == Piece("x")


def test_openai_text_in_the_event_that_finishes_is_kept() -> None:
    finished = event(chunk({"content": "last"}, finish_reason="stop"))
    assert preset("openai").read(finished) == Piece("last", end=End("stop", conclusive=False))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_openai_reasoning_has_several_names(field: str) -> None:
    thinking = event(chunk({field: "hm", "content": "x"}))
    assert preset("openai", reasoning=True).read(thinking) == Piece("x", "hm")
    assert preset("openai").read(thinking) == Piece("x")


RESPONSES = """\
event: response.created
data: {"type":"response.created","response":{"id":"r","status":"in_progress","error":null}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","delta":"Hm."}

event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":0,"delta":"Te"}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","delta":"{no"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":0,"delta":"a"}

event: response.output_text.done
data: {"type":"response.output_text.done","text":"Tea"}

event: response.completed
data: {"type":"response.completed","response":{"status":"completed","error":null,"output":[{"content":[{"text":"Tea"}]}]}}

"""


@pytest.mark.parametrize("name", ["openai", "openai-responses"])
def test_openai_responses(name: str) -> None:
    assert results(name, RESPONSES) == [Piece("Te"), Piece("a"), End("completed")]
    assert results(name, RESPONSES, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(RESPONSES.encode()) == "openai"


def test_openai_responses_incomplete_and_failed() -> None:
    incomplete = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}
    assert preset("openai").read(event(incomplete)) == End("max_output_tokens")
    failed = {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}}
    assert preset("openai").read(event(failed)) == ProviderError("server_error", "no")
    plain = {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}
    assert preset("openai").read(event(plain, "error")) == ProviderError("rate_limit_exceeded", "slow")


ANTHROPIC = """\
event: message_start
data: {"type":"message_start","message":{"role":"assistant","content":[],"stop_reason":null}  }

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Tea"}   }

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{no"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}

event: message_stop
data: {"type":"message_stop"}

"""


def test_anthropic() -> None:
    assert results("anthropic", ANTHROPIC) == [Piece("Tea"), End()]
    assert results("anthropic", ANTHROPIC, reasoning=True) == [Piece("", "Hm."), Piece("Tea"), End()]
    assert detect(ANTHROPIC.encode()) == "anthropic"


def test_anthropic_overloaded() -> None:
    data = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert preset("anthropic").read(event(data, "error")) == ProviderError("overloaded_error", "Overloaded")


GEMINI = """\
data: {"candidates": [{"content": {"parts": [{"text": "Hm.","thought": true}],"role": "model"},"index": 0}]}

data: {"candidates": [{"content": {"parts": [{"text": "more","thought": true},{"text": "Te"},{"text": "a\\u00e9"}]}}]}

data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]},"finishReason": "STOP"}]}

""".replace("\n", "\r\n")


def test_gemini() -> None:
    assert results("gemini", GEMINI) == [Piece("Teaé")]
    assert results("gemini", GEMINI, reasoning=True) == [Piece("", "Hm."), Piece("Teaé", "more")]
    assert not preset("gemini").has_end_marker
    assert detect(GEMINI.encode()) == "gemini"


def test_gemini_errors() -> None:
    full = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}
    assert preset("gemini").read(event(full)) == ProviderError("RESOURCE_EXHAUSTED", "quota")
    blocked = preset("gemini").read(event({"promptFeedback": {"blockReason": "SAFETY"}}))
    assert isinstance(blocked, ProviderError)
    assert blocked.code == "SAFETY"


OLLAMA = """\
{"model":"m","created_at":"2024-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}
{"model":"m","created_at":"2024-01-01T00:00:00Z","message":{"role":"assistant","content":"Te"},"done":false}
{"model":"m","created_at":"2024-01-01T00:00:00Z","response":"a 茶","done":false}

{"model":"m","created_at":"2024-01-01T00:00:00Z","response":"!","done":true,"done_reason":"stop"}
"""


def test_ollama() -> None:
    assert preset("ollama").grammar == "ndjson"
    assert results("ollama", OLLAMA) == [Piece("Te"), Piece("a 茶"), Piece("!", end=End("stop"))]
    assert results("ollama", OLLAMA, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(OLLAMA.encode()) == "ollama"


def test_ollama_says_its_errors_in_prose() -> None:
    error = preset("ollama").read(event({"error": "model 'm' not found"}))
    assert error == ProviderError("error", "model 'm' not found")


def test_ollama_without_a_reason_ends_all_the_same() -> None:
    assert preset("ollama").read(event({"model": "m", "response": "", "done": True})) == End()


COHERE = """\
event: message-start
data: {"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}

event: content-start
data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Tea"}}}}

event: citation-start
data: {"type":"citation-start","index":0,"delta":{"message":{"citations":{"text":"no"},"content":{"text":"no"}}}}

event: content-end
data: {"type":"content-end","index":0}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"output_tokens":1}}}}

data: [DONE]

"""


def test_cohere() -> None:
    assert results("cohere", COHERE) == [Piece("Tea"), End("COMPLETE"), End(conclusive=False)]
    assert detect(COHERE.encode()) == "cohere"


def test_cohere_ending_in_an_error() -> None:
    data = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no"}}
    assert preset("cohere").read(event(data, "message-end")) == ProviderError("ERROR")


MISTRAL = """\
data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"p":"abc"}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"},{"type":"text","text":"."}]}]}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"So"}]},{"type":"text","text":"Te"}]}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}

data: [DONE]

"""


@pytest.mark.parametrize("name", ["mistral", "openai"])
def test_mistral(name: str) -> None:
    last = [Piece("a", end=End("stop", conclusive=False)), End()]
    assert results(name, MISTRAL) == [Piece("Te"), *last]
    assert results(name, MISTRAL, reasoning=True) == [Piece("", "Hm."), Piece("Te", "So"), *last]
    assert detect(MISTRAL.encode()) == "mistral"


DASHSCOPE = """\
id:1
event:result
:HTTP_STATUS/200
data:{"output":{"finish_reason":"null","text":"茶"},"request_id":"r"}

id:2
event:result
data:{"output":{"choices":[{"message":{"content":"","reasoning_content":"Hm."},"finish_reason":"null"}]},"request_id":"r"}

id:3
event:result
data:{"output":{"choices":[{"message":{"content":"水"},"finish_reason":"null"}]},"request_id":"r"}

id:4
event:result
data:{"output":{"finish_reason":"stop","text":"。"},"code":"","message":"","request_id":"r"}

"""


def test_dashscope() -> None:
    assert results("dashscope", DASHSCOPE) == [Piece("茶"), Piece("水"), Piece("。", end=End("stop"))]
    assert results("dashscope", DASHSCOPE, reasoning=True)[1] == Piece("", "Hm.")
    assert detect(DASHSCOPE.encode()) == "dashscope"


def test_dashscope_end_in_the_other_shape_and_error() -> None:
    end = {"output": {"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}}
    assert preset("dashscope").read(event(end, "result")) == End("length")
    error = {"code": "Throttling.RateQuota", "message": "slow", "request_id": "r"}
    for kind in ("error", "result"):
        assert preset("dashscope").read(event(error, kind)) == ProviderError("Throttling.RateQuota", "slow")


REPLICATE = """\
: hi

event: output
id: 1:0
data: 

event: output
id: 1:1
data:  Tea
data: 
data: {"a"

event: logs
id: 1:2
data: not JSON either

event: done
id: 1:3
data: {}

:408: 408 Request Timeout

"""  # noqa: W291  # the provider's own trailing spaces


def test_replicate() -> None:
    assert results("replicate", REPLICATE) == [Piece(' Tea\n\n{"a"'), End()]
    assert detect(REPLICATE.encode()) == "replicate"


def test_replicate_failing_and_cancelled() -> None:
    assert preset("replicate").read(event('{"reason": "canceled"}', "done")) == ProviderError("canceled")
    assert preset("replicate").read(event('{"detail": "GPU gone"}', "error")) == ProviderError("error", "GPU gone")


COZE = """\
event:conversation.chat.created
data:{"id":"1","status":"created","last_error":{"code":0,"msg":""}}

event:conversation.message.delta
data:{"type":"answer","content":"","reasoning_content":"Hm."}

event:conversation.message.delta
data:{"type":"answer","content":"茶"}

event:conversation.message.delta
data:{"type":"verbose","content":"no"}

event:conversation.message.completed
data:{"type":"answer","content":"茶"}

event:conversation.chat.completed
data:{"id":"1","status":"completed","last_error":{"code":0,"msg":""}}

event:done
data:"[DONE]\""""


def test_coze_does_not_need_its_last_block() -> None:
    assert results("coze", COZE) == [Piece("茶"), End()]
    assert results("coze", COZE + "\n\n") == [Piece("茶"), End(), End(conclusive=False)]
    assert results("coze", COZE, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(COZE.encode()) == "coze"


def test_coze_failed() -> None:
    data = {"status": "failed", "last_error": {"code": 4011, "msg": "no credit"}}
    assert preset("coze").read(event(data, "conversation.chat.failed")) == ProviderError("4011", "no credit")
    assert preset("coze").read(event({"code": 4000, "msg": "bad"}, "error")) == ProviderError("4000", "bad")


WATSONX = """\
id: 0
event: message

id: 1
event: message
data: {"model_id":"m","results":[{"generated_text":"Tea","stop_reason":"not_finished"}]}

id: 2
event: message
data: {"model_id":"m","results":[{"generated_text":"","stop_reason":"eos_token"}]}

"""


def test_watsonx() -> None:
    assert results("watsonx", WATSONX) == [Piece("Tea")]
    assert not preset("watsonx").has_end_marker
    assert detect(WATSONX.encode()) == "watsonx"
    error = {"errors": [{"code": "model_overloaded", "message": "busy"}], "trace": "t"}
    assert preset("watsonx").read(event(error)) == ProviderError("model_overloaded", "busy")


HUGGINGFACE = """\
data:{"index":1,"token":{"id":5,"text":"Te","special":false},"generated_text":null,"details":null}

data:{"index":2,"token":{"id":6,"text":"a","special":false},"generated_text":null,"details":null}

data:{"index":3,"token":{"id":2,"text":"</s>","special":true},"generated_text":"Tea","details":{"finish_reason":"eos_token"}}

"""


def test_huggingface() -> None:
    assert results("huggingface", HUGGINGFACE) == [Piece("Te"), Piece("a"), End("eos_token")]
    assert detect(HUGGINGFACE.encode()) == "huggingface"
    error = {"error": "Input validation error", "error_type": "validation"}
    assert preset("huggingface").read(event(error)) == ProviderError("validation", "Input validation error")


STREAMKIT = """\
id: 1
data: {"text": "茶"}

event: done
data: {"outcome": "complete", "pieces": 1}

"""


def test_our_own_relay_in_both_framings() -> None:
    lines = '{"text": "茶"}\n{"done": {"outcome": "complete"}}\n'
    assert results("streamkit", STREAMKIT) == results("streamkit-ndjson", lines) == [Piece("茶"), End()]
    assert detect(STREAMKIT.encode()) == "streamkit"
    told = {"code": "upstream_truncated", "outcome": "truncated"}
    for error in (event(told, "error"), event({"error": told})):
        result = preset("streamkit").read(error)
        assert isinstance(result, ProviderError)
        assert result.code == "upstream_truncated"


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


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"replicate"}))
def test_malformed_data_is_a_named_error(name: str) -> None:
    assert preset(name).read(event("{")) == Extractor("x").read("{")
    error = preset(name).read(event("[" * 10_000))
    assert isinstance(error, ExtractionError)
    assert error.code == "too_deep"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_blank_data_is_a_keep_alive(name: str) -> None:
    assert preset(name).read(event("")) is None
    assert preset(name).read(event(" ")) is None


# --- presets of one's own, names


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
    assert MINE.read(event({"error": "not mine"})) is None
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
    framing: Any = "xml"
    with pytest.raises(ConfigError, match="framing"):
        Preset(name="x", text="a", framing=framing)


def test_only_conclusive_ends_count_as_end_markers() -> None:
    assert not Preset(name="x", text="a", ends=(EndMark(reason="stop", conclusive=False),)).has_end_marker
    without = {name for name, known in PRESETS.items() if not known.has_end_marker}
    assert without == {"seed", "gemini", "watsonx"}


def test_an_unknown_name_raises_and_lists_the_known_ones_closest_first() -> None:
    with pytest.raises(UnknownPreset, match=r"got 'opneai'; there are openai, (?=.*\bseed\b)(?=.*\bgroq\b)"):
        preset("opneai")
    nothing: Any = None
    with pytest.raises(UnknownPreset):
        preset(nothing)


def test_aliases_lead_to_the_preset_whose_language_they_speak() -> None:
    for alias, name in ALIASES.items():
        assert preset(alias) == PRESETS[name]
    assert {"openrouter", "groq", "deepseek", "seed", "azure"} <= set(presets())


# --- detect


def test_detect_takes_events_bytes_and_chunks_of_bytes() -> None:
    body = COHERE.encode()
    assert detect(SSEParser().feed(body)) == "cohere"
    assert detect([body[:50], body[50:200], body[200:]]) == "cohere"
    assert detect(body[:150]) == "cohere"


@pytest.mark.parametrize(
    "unsure", [b"", b"data: hello\n\n", b"data: {}\n\n", b'{"a": 1}\n', b"\xff\x00", b"<html>", b"data: [DONE]\n\n", []]
)
def test_detect_says_none_when_nothing_tells(unsure: Any) -> None:
    assert detect(unsure) is None


def test_detect_looks_at_the_beginning_only() -> None:
    assert detect([event("{}")] * 40 + [event({"candidates": []})]) is None
    assert detect(b"data: " + b"x" * (1 << 21)) is None


# --- nothing on the wire raises

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["error", "stop", "delta", "x"]) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "error",
                    "code",
                    "type",
                    "message",
                    "output",
                    "text",
                    "candidates",
                    "parts",
                    "index",
                    "data",
                    "value",
                    "done",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
KINDS = st.sampled_from(["message", "error", "done", "output", "conversation.message.delta", "x"])


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


@given(st.lists(st.builds(ServerSentEvent, KINDS, VALUES.map(json.dumps) | st.text())) | st.binary())
def test_detect_never_raises(events: Any) -> None:
    assert detect(events) in {None, *PRESETS}
