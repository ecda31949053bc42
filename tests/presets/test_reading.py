"""Every provider's table entry on a small sample of its stream."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import pytest

from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import (
    End,
    Piece,
    ProviderError,
    detect,
    preset,
)
from tests.presets.providers import COHERE, chunk, event


def results(name: str, body: str, *, reasoning: bool = False) -> list[object]:
    """What a preset makes of a whole body, without the events that mean nothing."""
    known = preset(name, reasoning=reasoning)
    parser = NDJSONParser() if known.grammar == "ndjson" else SSEParser()
    read = [known.read(item) for item in [*parser.feed(body.encode()), *parser.close()]]
    return [result for result in read if result is not None]


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
    why = End("end_turn", conclusive=False)
    assert results("anthropic", ANTHROPIC) == [Piece("Tea"), why, End()]
    assert results("anthropic", ANTHROPIC, reasoning=True) == [Piece("", "Hm."), Piece("Tea"), why, End()]
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
    why = End("STOP", conclusive=False)
    assert results("gemini", GEMINI) == [Piece("Teaé"), why]
    assert results("gemini", GEMINI, reasoning=True) == [Piece("", "Hm."), Piece("Teaé", "more"), why]
    assert preset("gemini").has_end_marker
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


def test_cohere() -> None:
    assert results("cohere", COHERE) == [Piece("Tea"), End("COMPLETE"), End()]
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


SSE_TEXT = """\
: hi

data: Tea 

data:  with

data:

data: 2

data: "lemons"

event: ping
data: x

data: and
data:
data: {}

data: [DONE]

"""  # noqa: W291  # what people write


def test_sse_text() -> None:
    said = ["Tea ", " with", "2", '"lemons"', "and\n\n{}"]
    assert results("sse-text", SSE_TEXT) == [*map(Piece, said), End()]
    assert detect(SSE_TEXT.encode()) == "sse-text"


def test_sse_text_failing() -> None:
    read = preset("sse-text").read
    assert read(event("the GPU is gone", "error")) == ProviderError("error", "the GPU is gone")
    assert read(event({"code": "busy", "message": "later"}, "error")) == ProviderError("busy", "later")
    for data in ('{"error": "busy"}', "Error: busy", "[DONE] "):
        assert read(event(data)) == Piece(data)


@pytest.mark.parametrize("kind", ["status", "done", "ping"])
def test_sse_text_has_no_text_in_events_of_other_types(kind: str) -> None:
    for data in ("x", "", '"x"', '{"error": "busy"}', "[1"):
        assert preset("sse-text").read(event(data, kind)) is None


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
    assert results("watsonx", WATSONX) == [Piece("Tea"), End("eos_token", conclusive=False)]
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
    reasons = (
        event({"outcome": "complete", "finish_reason": "length"}, "done"),
        event({"done": {"finish_reason": "length"}}),
    )
    assert [preset("streamkit").read(each) for each in reasons] == [End("length"), End("length")]
    told = {"code": "upstream_truncated", "outcome": "truncated"}
    for error in (event(told, "error"), event({"error": told})):
        result = preset("streamkit").read(error)
        assert isinstance(result, ProviderError)
        assert result.code == "upstream_truncated"
