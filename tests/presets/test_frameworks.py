"""Application frameworks on small samples of their streams: Dify, AI SDK, LangGraph, LangServe, AG-UI."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.presets import End, Piece, ProviderError, detect, preset
from tests.presets.providers import event
from tests.presets.test_reading import results

# --- Dify

DIFY = """\
event: ping

data: {"event": "message", "conversation_id": "c", "message_id": "m", "created_at": 1679586595, "task_id": "t", "id": "m", "answer": "Te", "from_variable_selector": null}

data: {"event": "agent_thought", "conversation_id": "c", "message_id": "m", "task_id": "t", "id": "a", "position": 1, "thought": "no", "observation": ""}

event: ping

data: {"event": "agent_message", "conversation_id": "c", "message_id": "m", "created_at": 1679586595, "task_id": "t", "id": "m", "answer": "a"}

data: {"event": "message_end", "conversation_id": "c", "message_id": "m", "task_id": "t", "id": "m", "metadata": {"usage": {"total_tokens": 3}}}

"""
DIFY_WORKFLOW = """\
data: {"event": "workflow_started", "task_id": "t", "workflow_run_id": "w", "data": {"id": "w", "workflow_id": "f", "inputs": {}, "created_at": 1679586595}}

data: {"event": "node_started", "task_id": "t", "workflow_run_id": "w", "data": {"id": "n", "title": "LLM"}}

data: {"event": "text_chunk", "task_id": "t", "workflow_run_id": "w", "data": {"text": "Tea", "from_variable_selector": ["n", "text"]}}

data: {"event": "workflow_finished", "task_id": "t", "workflow_run_id": "w", "data": {"id": "w", "status": "succeeded", "outputs": {"text": "Tea"}, "error": null}}

"""


def test_dify_chats_and_agents() -> None:
    assert results("dify", DIFY) == [Piece("Te"), Piece("a"), End()]
    assert detect(DIFY.encode()) == "dify"


def test_dify_workflows() -> None:
    assert results("dify", DIFY_WORKFLOW) == [Piece("Tea"), End("succeeded")]
    assert detect(DIFY_WORKFLOW.encode()) == "dify"


def dify(kind: str, **fields: Any) -> object:
    return preset("dify").read(event({"event": kind, "task_id": "t", **fields}))


def test_dify_fails_in_its_own_words() -> None:
    told = {"status": 400, "code": "provider_quota_exceeded", "message": "too much"}
    assert dify("error", **told) == ProviderError("provider_quota_exceeded", "too much")
    failed = {"status": "failed", "error": "the model is gone"}
    assert dify("workflow_finished", data=failed) == ProviderError("failed", "the model is gone")
    assert dify("workflow_finished", data={"status": "stopped"}) == ProviderError("stopped")
    assert dify("workflow_paused", data={"status": "paused"}) == End("paused", conclusive=False)


@pytest.mark.parametrize("kind", ["message_replace", "text_replace"])
def test_dify_text_that_moderation_takes_back_is_no_answer(kind: str) -> None:
    replaced = dify(kind, answer="I cannot say that.", reason="output_moderation")
    assert isinstance(replaced, ProviderError)
    assert replaced.code == "output_moderation"
    unsaid = dify(kind, answer="I cannot say that.")
    assert isinstance(unsaid, ProviderError)
    assert unsaid.code == kind


# --- AI SDK

AI_SDK = """\
data: {"type":"start","messageId":"msg-1"}

data: {"type":"start-step"}

data: {"type":"reasoning-start","id":"0"}

data: {"type":"reasoning-delta","id":"0","delta":"Hm."}

data: {"type":"reasoning-end","id":"0"}

data: {"type":"text-start","id":"1"}

data: {"type":"text-delta","id":"1","delta":"Te"}

data: {"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"no"}

data: {"type":"tool-output-error","toolCallId":"c","errorText":"no"}

data: {"type":"data-weather","data":{"delta":"no"}}

data: {"type":"text-delta","id":"1","delta":"a"}

data: {"type":"text-end","id":"1"}

data: {"type":"finish-step"}

data: {"type":"finish","finishReason":"length"}

data: [DONE]

"""


def test_ai_sdk() -> None:
    assert results("ai-sdk", AI_SDK) == [Piece("Te"), Piece("a"), End("length", conclusive=False), End()]
    assert results("ai-sdk", AI_SDK, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(AI_SDK.encode()) == "ai-sdk"


def test_ai_sdk_fails_in_its_own_words() -> None:
    read = preset("ai-sdk").read
    assert read(event({"type": "error", "errorText": "An error occurred."})) == ProviderError(
        "error", "An error occurred."
    )
    assert read(event({"type": "abort", "reason": "user left"})) == ProviderError("abort", "user left")
    assert read(event({"type": "finish", "finishReason": "error"})) == ProviderError("error")


def test_an_ai_sdk_backend_without_steps_is_known_by_its_header() -> None:
    body = b'data: {"type":"text-delta","id":"1","delta":"Te"}\n\n'  # so do language models answer, too
    assert detect(body) is None
    assert detect(body, {"X-Vercel-AI-UI-Message-Stream": "v1"}) == "ai-sdk"


# --- LangGraph

LANGGRAPH = """\
event: metadata
data: {"run_id":"1f0","attempt":1}

event: messages
data: [{"content":"","additional_kwargs":{"reasoning_content":"Hm."},"response_metadata":{},"type":"AIMessageChunk","id":"run-1"},{"langgraph_step":1,"langgraph_node":"agent","langgraph_triggers":["branch:to:agent"]}]

event: messages
data: [{"content":"Te","additional_kwargs":{},"response_metadata":{},"type":"AIMessageChunk","id":"run-1"},{"langgraph_step":1,"langgraph_node":"agent"}]

event: messages
data: [{"content":"no","type":"tool","id":"t","tool_call_id":"c"},{"langgraph_step":2,"langgraph_node":"tools"}]

event: messages|sub:1
data: [{"content":[{"type":"text","text":"a","index":0}],"response_metadata":{},"type":"AIMessageChunk","id":"run-2"},{"langgraph_step":3,"langgraph_node":"agent"}]

event: messages
data: [{"content":"","response_metadata":{"finish_reason":"stop"},"type":"AIMessageChunk","id":"run-2"},{"langgraph_step":3,"langgraph_node":"agent"}]

event: values
data: {"messages":[{"content":"no","type":"human"},{"content":"Tea","type":"ai"}]}

event: end
data: null

"""


def test_langgraph() -> None:
    ends = [End("stop", conclusive=False), End(conclusive=False)]
    assert results("langgraph", LANGGRAPH) == [Piece("Te"), Piece("a"), *ends]
    assert results("langgraph", LANGGRAPH, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(LANGGRAPH.encode()) == "langgraph"
    error = event({"error": "ValueError", "message": "no such tool"}, "error")
    assert preset("langgraph").read(error) == ProviderError("ValueError", "no such tool")


def test_langgraph_messages_that_grow_are_not_read() -> None:
    for text in ("Te", "Tea"):
        data = json.dumps([{"type": "AIMessageChunk", "content": text}])
        assert preset("langgraph").read(event(data, "messages/partial")) is None


def test_langgraph_content_in_typed_parts_has_its_thinking_apart() -> None:
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Tea"}]
    data = json.dumps([{"type": "AIMessageChunk", "content": parts}, {}])
    assert preset("langgraph", reasoning=True).read(event(data, "messages")) == Piece("Tea", "Hm.")


# --- LangServe

LANGSERVE = """\
event: metadata\r
data: {"run_id": "1f0"}\r
\r
event: data\r
data: {"content":"","additional_kwargs":{"reasoning_content":"Hm."},"response_metadata":{},"type":"AIMessageChunk","id":"run-1"}\r
\r
event: data\r
data: {"content":"Te","additional_kwargs":{},"response_metadata":{},"type":"AIMessageChunk","id":"run-1"}\r
\r
: ping - 2024-01-01 00:00:00\r
\r
event: data\r
data: {"content":[{"type":"text","text":"a"}],"response_metadata":{"finish_reason":"stop"},"type":"AIMessageChunk","id":"run-1"}\r
\r
event: end\r
\r
"""


def test_langserve_chains_that_end_in_a_model() -> None:
    assert results("langserve", LANGSERVE) == [Piece("Te"), Piece("a", end=End("stop", conclusive=False))]
    assert results("langserve", LANGSERVE, reasoning=True)[0] == Piece("", "Hm.")
    assert detect(LANGSERVE.encode()) == "langserve"


@pytest.mark.parametrize("data", ["Tea", {"answer": "Tea"}, {"content": "Tea"}])
def test_langserve_chains_that_end_in_something_else(data: object) -> None:
    assert preset("langserve").read(event(json.dumps(data), "data")) == Piece("Tea")


@pytest.mark.parametrize("data", [{"context": [{"page_content": "no"}]}, {"input": "no"}, ""])
def test_langserve_what_a_chain_gives_beside_the_answer_is_not_text(data: object) -> None:
    assert preset("langserve").read(event(json.dumps(data), "data")) is None


def test_langserve_fails_in_its_own_words() -> None:
    error = event({"status_code": 500, "message": "Internal Server Error"}, "error")
    assert preset("langserve").read(error) == ProviderError("500", "Internal Server Error")


# --- AG-UI

AG_UI = """\
data: {"type":"RUN_STARTED","threadId":"t","runId":"r"}

data: {"type":"THINKING_TEXT_MESSAGE_CONTENT","delta":"H"}

data: {"type":"REASONING_MESSAGE_CONTENT","messageId":"m0","delta":"m"}

data: {"type":"REASONING_MESSAGE_CHUNK","messageId":"m0","delta":"."}

data: {"type":"TEXT_MESSAGE_START","messageId":"m1","role":"assistant"}

data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"Te"}

data: {"type":"TOOL_CALL_ARGS","toolCallId":"c","delta":"no"}

data: {"type":"STATE_DELTA","delta":[{"op":"replace","path":"/x","value":"no"}]}

data: {"type":"TEXT_MESSAGE_CHUNK","messageId":"m1","delta":"a"}

data: {"type":"TEXT_MESSAGE_END","messageId":"m1"}

data: {"type":"MESSAGES_SNAPSHOT","messages":[{"id":"m1","role":"assistant","content":"Tea"}]}

data: {"type":"RUN_FINISHED","threadId":"t","runId":"r"}

"""


def test_ag_ui() -> None:
    assert results("ag-ui", AG_UI) == [Piece("Te"), Piece("a"), End()]
    thinking = results("ag-ui", AG_UI, reasoning=True)[:3]
    assert thinking == [Piece("", "H"), Piece("", "m"), Piece("", ".")]
    assert detect(AG_UI.encode()) == "ag-ui"


def test_ag_ui_fails_in_its_own_words_and_says_why_it_stopped() -> None:
    read = preset("ag-ui").read
    error = {"type": "RUN_ERROR", "message": "the agent is gone", "code": "agent_error"}
    assert read(event(error)) == ProviderError("agent_error", "the agent is gone")
    assert read(event({"type": "RUN_ERROR", "message": "gone"})) == ProviderError("error", "gone")
    interrupted = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "interrupt"}}
    assert read(event(interrupted)) == End("interrupt")


# --- how they are asked

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "茶?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
    {"role": "user", "content": "Why?"},
]


def ask(name: str, chat_history: object = "你好", **options: Any) -> Any:
    text = chat_history if isinstance(chat_history, str) else json.dumps(chat_history)
    return json.loads(preset(name).request(text, **options).content)


def test_dify_is_asked_by_a_query() -> None:
    assert ask("dify", model="not sent") == {
        "inputs": {},
        "query": "你好",
        "response_mode": "streaming",
        "user": "streamkit",
    }
    assert ask("dify", extra={"inputs": {"city": "Wien"}})["inputs"] == {"city": "Wien"}
    assert "assistant: Yes" in ask("dify", TALK)["query"]


def test_an_ai_sdk_app_is_asked_as_a_browser_asks_it() -> None:
    sent = ask("ai-sdk", TALK, model="m")
    assert (sent["trigger"], sent["model"]) == ("submit-message", "m")
    assert sent["messages"][2] == {
        "id": "message-2",
        "role": "assistant",
        "parts": [{"type": "text", "text": "Yes"}],
    }
    assert "model" not in ask("ai-sdk")
    assert ask("ai-sdk")["id"] != ask("ai-sdk")["id"]


def test_langgraph_is_asked_for_messages() -> None:
    assert ask("langgraph", model="agent") == {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": "你好"}]},
        "stream_mode": ["messages-tuple"],
    }
    assert preset("langgraph").request("hi", key="k").headers["x-api-key"] == "k"
    assert "assistant_id" not in ask("langgraph")


def test_langserve_is_given_one_text_or_whatever_the_chain_wants() -> None:
    assert ask("langserve") == {"input": "你好", "config": {}}
    assert ask("langserve", extra={"input": {"question": "x"}})["input"] == {"question": "x"}


def test_an_ag_ui_agent_is_given_a_run_of_its_own() -> None:
    sent = ask("ag-ui", TALK)
    assert sent["messages"][1] == {"id": "message-1", "role": "user", "content": "茶?"}
    assert sent["messages"][2]["content"] == "Yes"
    assert {"state", "tools", "context", "forwardedProps"} <= sent.keys()
    assert ask("ag-ui")["threadId"] != sent["threadId"]
    assert ask("ag-ui", extra={"threadId": "mine"})["threadId"] == "mine"
