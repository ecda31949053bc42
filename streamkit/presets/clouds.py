"""Clouds by their own interfaces: Hunyuan, Qianfan, OpenAI's Assistants, Gemini's Interactions. How each is asked, read
and written.
"""

from __future__ import annotations

from typing import Any

from streamkit.extractor import Extractor
from streamkit.presets.asking import Body, Question, UpstreamRequest, plain_text, without_system
from streamkit.presets.marks import COMMON_ERRORS, DONE_MARK, EndMark, ErrorMark
from streamkit.presets.rules import Preset
from streamkit.presets.writer import DONE_EVENT, Writer, json_event

__all__ = ["CLOUDS"]


def _number(code: str) -> int | str:
    return int(code) if code.isdecimal() else code


# --- Hunyuan (Tencent): OpenAI's shape, its names capitalised


def ask_hunyuan(question: Question) -> UpstreamRequest:
    """POST, X-TC-Action: ChatCompletions: https://cloud.tencent.com/document/api/1729/105701

    Tencent wants each request signed (TC3-HMAC-SHA256), which is not done here: this request, its key as a bearer
    token, suits a gateway that signs. Tencent's compatible endpoint takes a plain key, and has the preset `openai`.
    """
    body = {
        "Model": question.model or "hunyuan-lite",
        "Messages": [
            {"Role": message["role"], "Content": plain_text(message["content"])} for message in question.messages()
        ],
        "Stream": True,
    }
    return question.post(body, {"x-tc-action": "ChatCompletions", "x-tc-version": "2023-09-01"} | question.bearer())


def _hunyuan(text: str, finish_reason: str = "") -> bytes:
    choice = {"Delta": {"Role": "assistant", "Content": text}, "FinishReason": finish_reason}
    usage = {"PromptTokens": 9, "CompletionTokens": 9, "TotalTokens": 18}
    return json_event({"Note": "scripted", "Choices": [choice], "Created": 1700000000, "Id": "script", "Usage": usage})


HUNYUAN = Preset(
    name="hunyuan",
    text="Choices[0].Delta.Content",
    reasoning="Choices[0].Delta.ReasoningContent",
    ends=(EndMark(reason="Choices[0].FinishReason"),),  # "" until the last event
    errors=(
        ErrorMark(at="ErrorMsg", code="ErrorMsg.Code", message="ErrorMsg.Msg"),
        ErrorMark(at="Response.Error", code="Response.Error.Code", message="Response.Error.Message"),
        *COMMON_ERRORS,
    ),
    signs=(("Choices exists", "Note exists"),),
    ask=ask_hunyuan,
    write=Writer(
        name="hunyuan",
        content_type="text/event-stream",
        piece_event=lambda text, _: _hunyuan(text),
        closing=lambda _: [_hunyuan("", "stop")],
        error_event=lambda code: json_event({"ErrorMsg": {"Msg": "scripted error", "Code": _number(code)}}),
    ),
)


# --- Qianfan (Baidu): ERNIE


def ask_qianfan(question: Question) -> UpstreamRequest:
    """POST /rpc/2.0/ai_custom/v1/wenxinworkshop/chat/…: https://cloud.baidu.com/doc/WENXINWORKSHOP/

    The model stands in the URL, and so does Baidu's own key (`?access_token=…`); a key given here goes as a bearer
    token, to a gateway. Instructions stand outside of the list.
    """
    system, messages = without_system(question.messages())
    body: Body = {
        "messages": [{"role": message["role"], "content": plain_text(message["content"])} for message in messages],
        **({"system": system} if system else {}),
        "stream": True,
    }
    return question.post(body, question.bearer())


def _qianfan(text: str, index: int, *, last: bool = False) -> bytes:
    head = {"id": "as-script", "object": "chat.completion", "created": 1700000000, "sentence_id": index}
    flags = {"is_end": last, "is_truncated": False, "result": text, "need_clear_history": False}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return json_event({**head, **flags, "finish_reason": "normal", "usage": usage})


QIANFAN = Preset(
    name="qianfan",
    text="result",
    reasoning="reasoning_content",
    ends=(EndMark(where="is_end == true", reason="finish_reason"),),
    errors=(ErrorMark(at="error_code", code="error_code", message="error_msg"), *COMMON_ERRORS),
    signs=(("result exists", "is_end exists", "is_truncated exists"),),
    ask=ask_qianfan,
    write=Writer(
        name="qianfan",
        content_type="text/event-stream",
        piece_event=_qianfan,
        closing=lambda index: [_qianfan("", index, last=True)],
        error_event=lambda code: json_event({"error_code": _number(code), "error_msg": "scripted error"}),
    ),
)


# --- OpenAI's Assistants


def ask_assistants(question: Question) -> UpstreamRequest:
    """POST /v1/threads/runs: https://platform.openai.com/docs/api-reference/runs/createThreadAndRun

    `model` is the assistant's id. There is no default: without it, OpenAI answers that `assistant_id` is missing.
    A thread takes no instructions among its messages: they go beside it.
    """
    system, messages = without_system(question.messages())
    body: Body = {
        **({"assistant_id": question.model} if question.model else {}),
        **({"additional_instructions": system} if system else {}),
        "thread": {"messages": messages},
        "stream": True,
    }
    return question.post(body, {"openai-beta": "assistants=v2"} | question.bearer())


def _run(status: str, **fields: Any) -> bytes:
    run = {"id": "run_script", "object": "thread.run", "status": status, "last_error": None}
    return json_event({**run, **fields}, event=f"thread.run.{status}")


def _assistants_delta(text: str) -> bytes:
    content = {"index": 0, "type": "text", "text": {"value": text, "annotations": []}}
    delta = {"id": "msg_script", "object": "thread.message.delta", "delta": {"content": [content]}}
    return json_event(delta, event="thread.message.delta")


OPENAI_ASSISTANTS = Preset(
    name="openai-assistants",
    text=Extractor("delta.content[*].text.value", where="@event == 'thread.message.delta'"),
    ends=(
        DONE_MARK,
        EndMark(where="@event == 'thread.run.completed'", reason="status", conclusive=False),
        EndMark(where="@event == 'thread.run.requires_action'", reason="status", conclusive=False),
        EndMark(where="@event == 'thread.run.incomplete'", reason="incomplete_details.reason", conclusive=False),
    ),
    errors=(
        ErrorMark(where="@event == 'thread.run.failed'", code="last_error.code", message="last_error.message"),
        ErrorMark(where="@event == 'thread.run.expired'", code="last_error.code", default="expired"),
        ErrorMark(where="@event == 'thread.run.cancelled'", code="last_error.code", default="cancelled"),
        *COMMON_ERRORS,
    ),
    signs=("@event == 'thread.run.created'", "@event == 'thread.message.delta'"),
    ask=ask_assistants,
    write=Writer(
        name="openai-assistants",
        opening=(
            _run("created"),
            _run("in_progress"),
            json_event({"id": "msg_script", "object": "thread.message"}, event="thread.message.created"),
        ),
        piece_event=lambda text, _: _assistants_delta(text),
        closing=lambda _: [
            json_event({"id": "msg_script", "object": "thread.message"}, event="thread.message.completed"),
            _run("completed"),
            b"event: done\n" + DONE_EVENT,
        ],
        error_event=lambda code: _run("failed", last_error={"code": code, "message": "scripted error"}),
    ),
)


# --- Gemini's Interactions: steps, each with its deltas


def ask_interactions(question: Question) -> UpstreamRequest:
    """POST /v1beta/interactions: https://ai.google.dev/gemini-api/docs/interactions"""
    system, messages = without_system(question.messages())
    turns = [
        {
            "role": "model" if message["role"] in {"assistant", "model"} else "user",
            "content": plain_text(message["content"]),
        }
        for message in messages
    ]
    body: Body = {
        "model": question.model or "gemini-2.5-flash",
        "input": turns[0]["content"] if len(turns) == 1 else turns,
        **({"system_instruction": system} if system else {}),
        "stream": True,
    }
    return question.post(body, question.key_in("x-goog-api-key"))


def _interactions(kind: str, **fields: Any) -> bytes:
    return json_event({**fields, "event_type": kind}, event=kind)


def _interaction(kind: str, status: str) -> bytes:
    interaction = {"id": "v1_script", "status": status, "object": "interaction", "model": "script"}
    return _interactions(kind, interaction=interaction)


# Until May 2026 the events were called `content.delta` and `interaction.complete`.
GEMINI_INTERACTIONS = Preset(
    name="gemini-interactions",
    text=(
        Extractor("delta.text", where=("event_type == 'step.delta'", "delta.type == 'text'")),
        Extractor("delta.text", where=("event_type == 'content.delta'", "delta.type == 'text'")),
    ),
    reasoning=(
        Extractor("delta.content.text", where=("event_type == 'step.delta'", "delta.type == 'thought_summary'")),
        Extractor("delta.content.text", where=("event_type == 'content.delta'", "delta.type == 'thought_summary'")),
    ),
    ends=(
        EndMark(where="event_type == 'interaction.completed'", reason="interaction.status"),
        EndMark(where="event_type == 'interaction.complete'", reason="interaction.status"),
    ),
    errors=(
        ErrorMark(where="event_type == 'error'"),
        ErrorMark(where=("event_type == 'interaction.status_update'", "status == 'failed'"), code="status"),
        *COMMON_ERRORS,
    ),
    signs=(
        ("event_type == 'interaction.created'", "interaction.object == 'interaction'"),
        ("@event == 'interaction.created'", "event_type == 'interaction.created'"),
        ("@event == 'step.delta'", "event_type == 'step.delta'"),
        ("@event == 'content.delta'", "event_type == 'content.delta'"),
    ),
    ask=ask_interactions,
    write=Writer(
        name="gemini-interactions",
        content_type="text/event-stream",
        opening=(
            _interaction("interaction.created", "in_progress"),
            _interactions("step.start", index=0, step={"type": "model_output"}),
        ),
        piece_event=lambda text, _: _interactions("step.delta", index=0, delta={"text": text, "type": "text"}),
        closing=lambda _: [
            _interactions("step.stop", index=0),
            _interaction("interaction.completed", "completed"),
            b"event: done\n" + DONE_EVENT,
        ],
        error_event=lambda code: _interactions("error", error={"message": "scripted error", "code": code}),
    ),
)


CLOUDS = (HUNYUAN, QIANFAN, OPENAI_ASSISTANTS, GEMINI_INTERACTIONS)
