"""Clouds by their own interfaces, on small samples of their streams: Hunyuan, Qianfan, Assistants, Interactions."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.presets import End, Piece, ProviderError, detect, preset
from tests.presets.providers import event
from tests.presets.test_reading import results

# --- Hunyuan

HUNYUAN = """\
data: {"Note":"以上内容为AI生成","Choices":[{"Index":0,"Delta":{"Role":"assistant","Content":"","ReasoningContent":"Hm."},"FinishReason":""}],"Created":1716359713,"Id":"i","Usage":{"PromptTokens":7,"CompletionTokens":1,"TotalTokens":8}}

data: {"Note":"以上内容为AI生成","Choices":[{"Index":0,"Delta":{"Role":"assistant","Content":"茶"},"FinishReason":""}],"Created":1716359713,"Id":"i","Usage":{"PromptTokens":7,"CompletionTokens":2,"TotalTokens":9}}

data: {"Note":"以上内容为AI生成","Choices":[{"Index":0,"Delta":{"Role":"assistant","Content":""},"FinishReason":"stop"}],"Created":1716359713,"Id":"i","Usage":{"PromptTokens":7,"CompletionTokens":2,"TotalTokens":9}}

"""


def test_hunyuan() -> None:
    assert results("hunyuan", HUNYUAN) == [Piece("茶"), End("stop")]
    assert results("hunyuan", HUNYUAN, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(HUNYUAN.encode()) == "hunyuan"
    halted = {"Choices": [{"Delta": {"Content": ""}, "FinishReason": "sensitive"}]}
    assert preset("hunyuan").read(event(halted)) == End("sensitive")


def test_hunyuan_fails_in_its_own_words() -> None:
    read = preset("hunyuan").read
    assert read(event({"ErrorMsg": {"Msg": "gone", "Code": 4001}})) == ProviderError("4001", "gone")
    refused = {"Response": {"RequestId": "r", "Error": {"Code": "InvalidParameter", "Message": "too hot"}}}
    assert read(event(refused)) == ProviderError("InvalidParameter", "too hot")


# --- Qianfan

QIANFAN = """\
data: {"id":"as-1","object":"chat.completion","created":1709089502,"sentence_id":0,"is_end":false,"is_truncated":false,"result":"茶，","need_clear_history":false,"finish_reason":"normal","usage":{"total_tokens":7}}

data: {"id":"as-1","object":"chat.completion","created":1709089502,"sentence_id":1,"is_end":true,"is_truncated":false,"result":"好。","need_clear_history":false,"finish_reason":"length","usage":{"total_tokens":9}}

"""


def test_qianfan() -> None:
    assert results("qianfan", QIANFAN) == [Piece("茶，"), Piece("好。", end=End("length"))]
    assert detect(QIANFAN.encode()) == "qianfan"


def test_qianfan_fails_in_its_own_words() -> None:
    error = event({"error_code": 336003, "error_msg": "the max input characters is 2000"})
    assert preset("qianfan").read(error) == ProviderError("336003", "the max input characters is 2000")


# --- Assistants

ASSISTANTS = """\
event: thread.created
data: {"id":"thread_1","object":"thread"}

event: thread.run.created
data: {"id":"run_1","object":"thread.run","status":"queued","last_error":null,"incomplete_details":null}

event: thread.message.created
data: {"id":"msg_1","object":"thread.message","role":"assistant","content":[]}

event: thread.message.delta
data: {"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"Te","annotations":[]}}]}}

event: thread.message.delta
data: {"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"a"}},{"index":1,"type":"image_file","image_file":{"file_id":"no"}}]}}

event: thread.run.step.delta
data: {"id":"step_1","object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls"}}}

event: thread.message.completed
data: {"id":"msg_1","object":"thread.message","content":[{"type":"text","text":{"value":"Tea"}}]}

event: thread.run.completed
data: {"id":"run_1","object":"thread.run","status":"completed","last_error":null,"incomplete_details":null}

event: done
data: [DONE]

"""


def run(status: str, **fields: object) -> object:
    return preset("openai-assistants").read(event({"status": status, **fields}, f"thread.run.{status}"))


def test_openai_assistants() -> None:
    ends = [End("completed", conclusive=False), End()]
    assert results("openai-assistants", ASSISTANTS) == [Piece("Te"), Piece("a"), *ends]
    assert detect(ASSISTANTS.encode()) == "openai-assistants"


def test_openai_assistants_say_why_they_stopped() -> None:
    incomplete = {"incomplete_details": {"reason": "max_completion_tokens"}}
    assert run("incomplete", **incomplete) == End("max_completion_tokens", conclusive=False)
    assert run("requires_action") == End("requires_action", conclusive=False)


def test_openai_assistants_fail_in_their_own_words() -> None:
    last_error = {"code": "rate_limit_exceeded", "message": "slow down"}
    assert run("failed", last_error=last_error) == ProviderError("rate_limit_exceeded", "slow down")
    for status in ("expired", "cancelled"):
        ended = run(status, last_error=None)
        assert isinstance(ended, ProviderError)
        assert ended.code == status


# --- Interactions

INTERACTIONS = """\
event: interaction.created
data: {"interaction":{"id":"v1_1","status":"in_progress","object":"interaction","model":"gemini-3-flash"},"event_type":"interaction.created"}

event: interaction.status_update
data: {"interaction_id":"v1_1","status":"in_progress","event_type":"interaction.status_update"}

event: step.start
data: {"index":0,"step":{"type":"thought"},"event_type":"step.start"}

event: step.delta
data: {"index":0,"delta":{"content":{"text":"Hm.","type":"text"},"type":"thought_summary"},"event_type":"step.delta"}

event: step.stop
data: {"index":0,"event_type":"step.stop"}

event: step.delta
data: {"index":1,"delta":{"text":"Te","type":"text"},"event_type":"step.delta"}

event: step.delta
data: {"index":1,"delta":{"partial_arguments":"no","type":"arguments_delta"},"event_type":"step.delta"}

event: step.delta
data: {"index":1,"delta":{"text":"a","type":"text"},"event_type":"step.delta"}

event: interaction.completed
data: {"interaction":{"id":"v1_1","status":"completed","usage":{"total_tokens":19}},"event_type":"interaction.completed"}

event: done
data: [DONE]

"""


def test_gemini_interactions() -> None:
    assert results("gemini-interactions", INTERACTIONS) == [
        Piece("Te"),
        Piece("a"),
        End("completed"),
        End(),
    ]
    assert results("gemini-interactions", INTERACTIONS, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(INTERACTIONS.encode()) == "gemini-interactions"


def test_gemini_interactions_before_there_were_steps() -> None:
    read = preset("gemini-interactions", reasoning=True).read
    thought = {"type": "thought_summary", "content": {"type": "text", "text": "Hm."}}
    assert read(event({"event_type": "content.delta", "delta": {"type": "text", "text": "Tea"}})) == Piece("Tea")
    assert read(event({"event_type": "content.delta", "delta": thought})) == Piece("", "Hm.")
    ended = {"event_type": "interaction.complete", "interaction": {"status": "incomplete"}}
    assert read(event(ended)) == End("incomplete")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_gemini_interactions_that_did_not_come_to_an_end_have_failed(status: str) -> None:
    ended = {"event_type": "interaction.completed", "interaction": {"status": status}}
    assert preset("gemini-interactions").read(event(ended)) == ProviderError(status)


def test_gemini_interactions_fail_in_their_own_words() -> None:
    read = preset("gemini-interactions").read
    error = {"error": {"message": "Deadline expired", "code": "gateway_timeout"}, "event_type": "error"}
    assert read(event(error, "error")) == ProviderError("gateway_timeout", "Deadline expired")
    update = read(event({"event_type": "interaction.status_update", "status": "failed"}))
    assert isinstance(update, ProviderError)
    assert update.code == "failed"


# --- how they are asked

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "茶?"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "Why?"},
]


def ask(name: str, chat_history: object = "你好", **options: Any) -> Any:
    text = chat_history if isinstance(chat_history, str) else json.dumps(chat_history)
    return json.loads(preset(name).request(text, **options).content)


def test_hunyuan_is_asked_in_capitals() -> None:
    assert ask("hunyuan", model="hunyuan-turbo") == {
        "Model": "hunyuan-turbo",
        "Messages": [{"Role": "user", "Content": "你好"}],
        "Stream": True,
    }
    headers = preset("hunyuan").request("hi").headers
    assert (headers["x-tc-action"], headers["x-tc-version"]) == ("ChatCompletions", "2023-09-01")


def test_qianfan_has_its_instructions_apart_and_its_model_in_the_url() -> None:
    assert ask("qianfan", TALK, model="not sent") == {"system": "Be brief.", "messages": TALK[1:], "stream": True}
    assert "system" not in ask("qianfan")


def test_an_assistant_is_asked_in_a_new_thread() -> None:
    assert ask("openai-assistants", TALK, model="asst_1") == {
        "assistant_id": "asst_1",
        "additional_instructions": "Be brief.",
        "thread": {"messages": TALK[1:]},
        "stream": True,
    }
    assert preset("openai-assistants").request("hi").headers["openai-beta"] == "assistants=v2"


def test_an_interaction_takes_a_text_or_turns() -> None:
    assert ask("gemini-interactions", model="m") == {"model": "m", "input": "你好", "stream": True}
    sent = ask("gemini-interactions", TALK)
    assert sent["system_instruction"] == "Be brief."
    assert sent["input"][1] == {"role": "model", "content": "Yes"}
    assert preset("gemini-interactions").request("hi", key="k").headers["x-goog-api-key"] == "k"
