"""Application frameworks: what stands between a model and a browser. How each is asked, read and written.

They are servers of one's own: the URL names the app, the graph or the chain, and the key is that server's.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from streamkit.extractor import Extractor
from streamkit.presets.asking import Message, Question, UpstreamRequest, as_prompt, plain_text
from streamkit.presets.failures import BROKEN
from streamkit.presets.marks import COMMON_ERRORS, DONE_MARK, EndMark, ErrorMark
from streamkit.presets.rules import Preset
from streamkit.presets.writer import DONE_EVENT, Writer, json_event

__all__ = ["FRAMEWORKS"]

USER = "streamkit"  # Dify demands a user's name, and only keeps users apart by it


# --- Dify: the type of an event stands in its JSON


def ask_dify(question: Question) -> UpstreamRequest:
    """POST /v1/chat-messages: https://docs.dify.ai/en/api-reference/chat-messages/send-chat-message

    The key names the app, and the app its model: `model` is not sent. For a workflow (`/v1/workflows/run`) give its
    `inputs` as an extra field.
    """
    body = {"inputs": {}, "query": as_prompt(question.messages()), "response_mode": "streaming", "user": USER}
    return question.post(body, question.bearer())


def _dify(kind: str, **fields: Any) -> bytes:
    head = {"event": kind, "task_id": "script", "message_id": "script", "conversation_id": "script"}
    return json_event({**head, **fields})


# Chat apps say `message`, agents `agent_message`, workflows `text_chunk`. What moderation replaces cannot be taken back
# from who has read it: the text that came is not the answer, so that is an error, and no end.
DIFY = Preset(
    name="dify",
    text=(
        Extractor("answer", where="event == 'message'"),
        Extractor("answer", where="event == 'agent_message'"),
        Extractor("data.text", where="event == 'text_chunk'"),
    ),
    ends=(
        EndMark(where="event == 'message_end'"),
        EndMark(where="event == 'workflow_finished'", reason="data.status", failures=(*BROKEN, "stopped")),
        EndMark(where="event == 'workflow_paused'", reason="data.status", conclusive=False),
    ),
    errors=(
        ErrorMark(where="event == 'error'"),
        ErrorMark(
            where=("event == 'workflow_finished'", "data.status == 'failed'"), code="data.status", message="data.error"
        ),
        ErrorMark(where="event == 'message_replace'", code="reason", default="message_replace"),
        ErrorMark(where="event == 'text_replace'", code="reason", default="text_replace"),
        *COMMON_ERRORS,
    ),
    signs=(
        ("event == 'message'", "answer exists", "task_id exists", "message_id exists"),
        ("event == 'agent_message'", "answer exists", "task_id exists", "message_id exists"),
        ("event == 'workflow_started'", "workflow_run_id exists", "task_id exists"),
        ("event == 'text_chunk'", "workflow_run_id exists", "task_id exists"),
    ),
    ask=ask_dify,
    write=Writer(
        name="dify",
        opening=(b"event: ping\n\n",),
        piece_event=lambda text, _: _dify("message", id="script", answer=text, created_at=1700000000),
        closing=lambda _: [_dify("message_end", id="script", metadata={"usage": {"total_tokens": 18}})],
        error_event=lambda code: _dify("error", status=400, code=code, message="scripted error"),
    ),
)


# --- AI SDK (Vercel), version 5 and later: the UI message stream


def ask_ai_sdk(question: Question) -> UpstreamRequest:
    """POST /api/chat of an app: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol; what `useChat` sends.

    `model` is sent where it is given: which models there are, the app decides.
    """
    messages = [
        {
            "id": f"message-{number}",
            "role": message["role"],
            "parts": [{"type": "text", "text": plain_text(message["content"])}],
        }
        for number, message in enumerate(question.messages())
    ]
    body = {"id": str(uuid4()), "trigger": "submit-message", "messages": messages}
    return question.post(body | ({"model": question.model} if question.model else {}), question.bearer())


# `text-delta` with `id` and `delta` is also how language models answer the AI Gateway; steps are the UI's alone. The
# answer's header x-vercel-ai-ui-message-stream tells it too (see `detect`).
AI_SDK = Preset(
    name="ai-sdk",
    text=Extractor("delta", where="type == 'text-delta'"),
    reasoning=Extractor("delta", where="type == 'reasoning-delta'"),
    ends=(
        DONE_MARK,
        EndMark(
            where="type == 'finish'", reason="finishReason", conclusive=False, failures=("error",)
        ),  # "other" is none
    ),
    errors=(
        ErrorMark(where="type == 'error'", code="errorText", message="errorText"),
        ErrorMark(where="type == 'abort'", code="code", message="reason", default="abort"),
        *COMMON_ERRORS,
    ),
    signs=("type == 'start-step'", "type == 'finish-step'"),
    ask=ask_ai_sdk,
    write=Writer(
        name="ai-sdk",
        content_type="text/event-stream",
        opening=(
            json_event({"type": "start", "messageId": "msg_script"}),
            json_event({"type": "start-step"}),
            json_event({"type": "text-start", "id": "0"}),
        ),
        piece_event=lambda text, _: json_event({"type": "text-delta", "id": "0", "delta": text}),
        closing=lambda _: [
            json_event({"type": "text-end", "id": "0"}),
            json_event({"type": "finish-step"}),
            json_event({"type": "finish", "finishReason": "stop"}),
            DONE_EVENT,
        ],
        error_event=lambda code: json_event({"type": "error", "errorText": code}),
    ),
)


# --- LangGraph: a list of a message and its metadata; and the same message growing


def _asking_langgraph(question: Question, mode: str) -> UpstreamRequest:
    messages = [{"role": message["role"], "content": message["content"]} for message in question.messages()]
    assistant = {"assistant_id": question.model} if question.model else {}
    body = {**assistant, "input": {"messages": messages}, "stream_mode": [mode]}
    return question.post(body, question.key_in("x-api-key"))


def ask_langgraph(question: Question) -> UpstreamRequest:
    """POST /runs/stream (or /threads/…/runs/stream): https://docs.langchain.com/langsmith/streaming

    `model` is the assistant's id, or the graph's name. There is no default: without it, the server answers that
    `assistant_id` is missing.
    """
    return _asking_langgraph(question, "messages-tuple")


def _langgraph(text: str) -> bytes:
    message = {"content": text, "type": "AIMessageChunk", "id": "run-script", "additional_kwargs": {}}
    metadata = {"langgraph_step": 1, "langgraph_node": "agent", "langgraph_checkpoint_ns": "agent:script"}
    return json_event([message, metadata], event="messages")


# Events of subgraphs bear longer names (`messages|node:id`): the message itself tells, and the metadata beside it.
# In the older mode `messages` (events `messages/partial`) a message stands alone and grows, one after the other: that
# is not read, and neither are `values` and `updates`, which hold the same text again when it is whole.
_CHUNK = ("[0].type == 'AIMessageChunk'", "[1] exists")

LANGGRAPH = Preset(
    name="langgraph",
    text=Extractor("[0].content", "[0].content[*].text", where=_CHUNK),
    reasoning=Extractor(
        "[0].additional_kwargs.reasoning_content",
        "[0].content[*].thinking",
        "[0].content[*].reasoning",
        where=_CHUNK,
    ),
    ends=(  # newer servers say nothing at the end, older ones `end`
        EndMark(where="@event == 'end'", conclusive=False, optional=True),
        EndMark(
            reason=Extractor(
                "[0].response_metadata.finish_reason",
                "[0].response_metadata.stop_reason",
                where=_CHUNK,
            ),
            conclusive=False,
            optional=True,
        ),
    ),
    signs=(("[0].type == 'AIMessageChunk'", "[1].langgraph_step exists", "[1].langgraph_node exists"),),
    ask=ask_langgraph,
    write=Writer(
        name="langgraph",
        content_type="text/event-stream",
        opening=(json_event({"run_id": "script", "attempt": 1}, event="metadata"),),
        piece_event=lambda text, _: _langgraph(text),
        closing=lambda _: [json_event(None, event="end")],
        error_event=lambda code: json_event({"error": code, "message": "scripted error"}, event="error"),
    ),
)


# --- LangServe: whatever the chain gives, as JSON


def ask_langserve(question: Question) -> UpstreamRequest:
    """POST /…/stream: https://github.com/langchain-ai/langserve

    The input is the conversation as one text, which chat models take too. A chain that wants an object is given it as
    an extra field: `input={"question": "…"}`.
    """
    return question.post({"input": as_prompt(question.messages()), "config": {}}, question.bearer())


# A chain ends in a parser (strings), in a model (chunks of messages) or in a dict with an answer. `event: end` comes
# without data, so that the grammar drops it: only clean framing proves the end.
LANGSERVE = Preset(
    name="langserve",
    text=Extractor("content", "content[*].text", "answer", "@data | json", where="@event == 'data'"),
    reasoning=Extractor(
        "additional_kwargs.reasoning_content", "content[*].thinking", "content[*].reasoning", where="@event == 'data'"
    ),
    ends=(
        EndMark(where="@event == 'end'", conclusive=False, optional=True),
        EndMark(reason="response_metadata.finish_reason", conclusive=False, optional=True),
    ),
    errors=(ErrorMark(where="@event == 'error'", code=("status_code", "code", "error")), ErrorMark(at="error")),
    signs=(("@event == 'data'", "type == 'AIMessageChunk'", "content exists"),),
    ask=ask_langserve,
    write=Writer(
        name="langserve",
        opening=(json_event({"run_id": "script"}, event="metadata", end="\r\n"),),
        piece_event=lambda text, _: json_event(
            {"content": text, "additional_kwargs": {}, "response_metadata": {}, "type": "AIMessageChunk"},
            event="data",
            end="\r\n",
        ),
        closing=lambda _: [b"event: end\r\n\r\n"],
        error_event=lambda code: json_event(
            {"status_code": code, "message": "scripted error"}, event="error", end="\r\n"
        ),
    ),
)


# --- AG-UI: the Agent User Interaction Protocol


def ask_ag_ui(question: Question) -> UpstreamRequest:
    """POST to an agent, its RunAgentInput: https://docs.ag-ui.com/concepts/architecture

    Each question is a thread of its own, since agents keep what belongs to one; `threadId` as an extra field goes on
    with another. Which model answers, the agent decides: `model` is not sent.
    """
    messages: list[Message] = [
        {"id": f"message-{number}", "role": message["role"], "content": plain_text(message["content"])}
        for number, message in enumerate(question.messages())
    ]
    names = {"threadId": str(uuid4()), "runId": str(uuid4())}
    rest: dict[str, Any] = {"state": {}, "messages": messages, "tools": [], "context": [], "forwardedProps": {}}
    return question.post({**names, **rest}, question.bearer())


_RUN = {"threadId": "script", "runId": "script"}

AG_UI = Preset(
    name="ag-ui",
    text=(
        Extractor("delta", where="type == 'TEXT_MESSAGE_CONTENT'"),
        Extractor("delta", where="type == 'TEXT_MESSAGE_CHUNK'"),
    ),
    reasoning=(
        Extractor("delta", where="type == 'REASONING_MESSAGE_CONTENT'"),
        Extractor("delta", where="type == 'REASONING_MESSAGE_CHUNK'"),
        Extractor("delta", where="type == 'THINKING_TEXT_MESSAGE_CONTENT'"),  # until it was called reasoning
    ),
    ends=(EndMark(where="type == 'RUN_FINISHED'", reason=("outcome.type", "outcome")),),
    errors=(ErrorMark(where="type == 'RUN_ERROR'", code="code", message="message"), *COMMON_ERRORS),
    signs=(("type == 'RUN_STARTED'", "threadId exists", "runId exists"),),
    ask=ask_ag_ui,
    write=Writer(
        name="ag-ui",
        content_type="text/event-stream",
        opening=(
            json_event({"type": "RUN_STARTED", **_RUN}),
            json_event({"type": "TEXT_MESSAGE_START", "messageId": "script", "role": "assistant"}),
        ),
        piece_event=lambda text, _: json_event({"type": "TEXT_MESSAGE_CONTENT", "messageId": "script", "delta": text}),
        closing=lambda _: [
            json_event({"type": "TEXT_MESSAGE_END", "messageId": "script"}),
            json_event({"type": "RUN_FINISHED", **_RUN}),
        ],
        error_event=lambda code: json_event({"type": "RUN_ERROR", "code": code, "message": "scripted error"}),
    ),
)


FRAMEWORKS = (DIFY, AI_SDK, LANGGRAPH, LANGSERVE, AG_UI)
