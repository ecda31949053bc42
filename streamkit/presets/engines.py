"""Inference engines by their own endpoints: llama.cpp and SGLang. How each is asked, read and written.

What they serve under /v1/chat/completions has OpenAI's shape: that is `llamacpp` and `sglang`, which are aliases.
"""

from __future__ import annotations

from typing import Any

from streamkit.extractor import Extractor
from streamkit.presets.asking import Question, UpstreamRequest, as_prompt
from streamkit.presets.marks import COMMON_ERRORS, DONE_MARK, EndMark, ErrorMark
from streamkit.presets.rules import Preset
from streamkit.presets.writer import DONE_EVENT, Writer, json_event

__all__ = ["ENGINES"]


# --- llama.cpp, /completion


def ask_llamacpp(question: Question) -> UpstreamRequest:
    """POST /completion: https://github.com/ggml-org/llama.cpp/tree/master/tools/server

    The server has loaded its model: `model` is not sent. The conversation goes as one text, without a chat template.
    """
    return question.post({"prompt": as_prompt(question.messages()), "stream": True}, question.bearer())


def _llamacpp(text: str, index: int, **fields: Any) -> bytes:
    event = {"index": 0, "content": text, "tokens": [], "stop": False, "id_slot": 0}
    return json_event({**event, "tokens_predicted": index + 1, "tokens_evaluated": 9, **fields})


LLAMACPP_COMPLETION = Preset(
    name="llamacpp-completion",
    text=Extractor("content", where="stop exists"),
    ends=(EndMark(where="stop == true", reason="stop_type"),),
    signs=(("content exists", "stop exists", "tokens_evaluated exists"),),
    ask=ask_llamacpp,
    write=Writer(
        name="llamacpp-completion",
        content_type="text/event-stream",
        piece_event=_llamacpp,
        closing=lambda index: [
            _llamacpp("", index, stop=True, truncated=False, stop_type="eos", stopping_word="", timings={})
        ],
        error_event=lambda code: json_event(
            {"error": {"code": code, "message": "scripted error", "type": "server_error"}}
        ),
    ),
)


# --- SGLang, /generate: each event holds the whole text so far


def ask_sglang(question: Question) -> UpstreamRequest:
    """POST /generate: https://docs.sglang.ai/basic_usage/native_api.html

    The server has loaded its model: `model` is not sent. The conversation goes as one text, without a chat template.
    A server that was started with --incremental-streaming-output sends only what is new, which is read by
    `dataclasses.replace(sk.preset("sglang-generate"), cumulative=False, write=None)`.
    """
    return question.post({"text": as_prompt(question.messages()), "stream": True}, question.bearer())


def _sglang(text: str, index: int, finish_reason: dict[str, Any] | None = None) -> bytes:
    counts = {"prompt_tokens": 9, "completion_tokens": index + 1, "cached_tokens": 0}
    return json_event({"text": text, "meta_info": {"id": "script", "finish_reason": finish_reason, **counts}})


_ONLY = "index == 0 or absent"  # with n > 1, the answers share the stream

SGLANG_GENERATE = Preset(
    name="sglang-generate",
    text=Extractor("text", where=_ONLY),
    ends=(
        DONE_MARK,
        EndMark(reason=Extractor("meta_info.finish_reason.type", where=_ONLY), conclusive=False),
    ),
    errors=(
        ErrorMark(
            where="meta_info.finish_reason.type == 'abort'",
            code="meta_info.finish_reason.err_type",
            message="meta_info.finish_reason.message",
            default="abort",
        ),
        *COMMON_ERRORS,
    ),
    signs=(("text exists", "meta_info.prompt_tokens exists", "meta_info.completion_tokens exists"),),
    cumulative=True,
    ask=ask_sglang,
    write=Writer(
        name="sglang-generate",
        cumulative=True,
        piece_event=_sglang,
        closing=lambda index: [_sglang("", index, {"type": "stop", "matched": 0}), DONE_EVENT],  # "" repeats nothing
        error_event=lambda code: json_event(
            {"error": {"object": "error", "message": "scripted error", "type": "ServerError", "code": code}}
        ),
    ),
)


ENGINES = (LLAMACPP_COMPLETION, SGLANG_GENERATE)
