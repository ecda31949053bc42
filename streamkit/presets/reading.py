"""The providers that streamkit knows: what the stream of each looks like, how it ends and fails.

How each is asked stands in `streamkit.presets.asking`, how it writes in `streamkit.presets.writing`. A provider of
one's own is a `Preset`, and is taken wherever a name is.
"""

from __future__ import annotations

from dataclasses import replace

from streamkit.extractor import Extractor
from streamkit.presets import asking, writing
from streamkit.presets.marks import COMMON_ERRORS, DONE_MARK, EndMark, ErrorMark
from streamkit.presets.rules import Preset

__all__ = ["TABLE"]


def _first_choice(*paths: str) -> Extractor:
    """Alternative paths within the choice of index 0.

    With n > 1, several choices share the stream and are told apart by their index only; some compatible servers leave
    the index out.
    """
    return Extractor(*(f"choices[*].{path}" for path in paths), where="choices[*].index == 0 or absent")


# Chat completions; a list of typed parts is Mistral's, `text` the older completions API's. A refusal is an answer.
_CHAT_TEXT = _first_choice("delta.content", "delta.content[*].text", "text", "delta.refusal")
# `reasoning_content` is DeepSeek's, Qwen's, GLM's and vLLM's, `reasoning` OpenRouter's, Groq's and Ollama's, the list
# in the content Mistral's, `reasoning_details` OpenRouter's again (text or a summary), `thinking` MiMo's.
_CHAT_REASONING = _first_choice(
    "delta.reasoning_content",
    "delta.reasoning",
    "delta.content[*].thinking[*].text",
    "delta.reasoning_details[*].text",
    "delta.reasoning_details[*].summary",
    "delta.thinking",
)
# One whole message, in place of deltas.
_CHAT_WHOLE = _first_choice("message.content", "message.content[*].text", "message.refusal")
_WHOLE_RESPONSE = ("output exists", "object == 'response'")
_FINISH_REASON = EndMark(reason=_first_choice("finish_reason"), conclusive=False)
# What gateways that speak OpenAI's language report in ways of their own: MiniMax, and OpenRouter within a choice.
_BASE_RESP = ErrorMark(at="base_resp.status_code", code="base_resp.status_code", message="base_resp.status_msg")
_CHOICE_ERROR = ErrorMark(
    at="choices[0].error", code=("choices[0].error.code", "choices[0].error.type"), message="choices[0].error.message"
)

_OPENAI = Preset(
    name="openai",
    text=(
        Extractor("delta", where="type == 'response.output_text.delta'"),
        _CHAT_TEXT,
        Extractor("delta", where="type == 'response.refusal.delta'"),
    ),
    reasoning=(
        _CHAT_REASONING,
        Extractor("delta", where="type == 'response.reasoning_summary_text.delta'"),
        Extractor("delta", where="type == 'response.reasoning_text.delta'"),
    ),
    ends=(
        DONE_MARK,
        EndMark(where="type == 'response.completed'", reason="response.status"),
        EndMark(where="type == 'response.incomplete'", reason="response.incomplete_details.reason"),
        EndMark(where="type == 'response.done'", reason="response.status", conclusive=False),
        EndMark(where=_WHOLE_RESPONSE, reason=("incomplete_details.reason", "status"), conclusive=False),
        _FINISH_REASON,
    ),
    whole=(
        Extractor("text", where="type == 'response.output_text.done'"),
        Extractor("refusal", where="type == 'response.refusal.done'"),
        _CHAT_WHOLE,
        Extractor("response.output[*].content[*].text", where="type == 'response.completed'"),
        Extractor("output[*].content[*].text", where=_WHOLE_RESPONSE),
    ),
    choices="choices",
    errors=(
        *COMMON_ERRORS,
        _BASE_RESP,
        _CHOICE_ERROR,
        ErrorMark(where="type == 'error'"),
        ErrorMark(where="type == 'response.failed'", code="response.error.code", message="response.error.message"),
        ErrorMark(where="type == 'response.cancelled'", code="response.status"),
    ),
    signs=(
        "choices exists",
        "type == 'response.created'",
        "type == 'response.output_text.delta'",
        "object == 'response'",
        # Whoever fails does so in its shape; our relay's errors have an outcome.
        ("error exists", "error != null", "error != false", "error != ''", "error.outcome absent"),
    ),
    ask=asking.openai,
    write=writing.OPENAI,
)

# Our own relay, and a relay behind a relay.
_STREAMKIT_ENDS = (
    EndMark(where="@event == 'done'", reason="finish_reason"),
    EndMark(where="done exists", reason="done.finish_reason"),
)

TABLE = (
    Preset(
        name="seed",
        text="data[0].value | json | MessageBody.DirectMessageBody.SentenceList[0].Content",
        signs=("data[0].value | json | MessageBody exists",),
        ask=asking.form,
        write=writing.SEED,
    ),
    Preset(
        name="anthropic",
        text=(
            Extractor("delta.text", where=("type == 'content_block_delta'", "delta.type == 'text_delta'")),
            Extractor("content_block.text", where="type == 'content_block_start'"),  # "", but for some gateways
        ),
        reasoning=Extractor(
            "delta.thinking", where=("type == 'content_block_delta'", "delta.type == 'thinking_delta'")
        ),
        ends=(
            EndMark(where="type == 'message_stop'"),
            EndMark(
                where=("type == 'message_delta'", "delta.stop_reason exists", "delta.stop_reason != null"),
                reason="delta.stop_reason",
                conclusive=False,
            ),
            EndMark(reason=Extractor("stop_reason", where="type == 'message'"), conclusive=False),
        ),
        whole=Extractor("content[*].text", where="type == 'message'"),
        errors=(*COMMON_ERRORS, ErrorMark(where="type == 'error'")),
        signs=(
            "type == 'message_start'",
            "type == 'content_block_start'",
            "type == 'content_block_delta'",
            ("type == 'message'", "stop_reason exists"),  # one whole message
        ),
        ask=asking.anthropic,
        write=writing.ANTHROPIC,
    ),
    Preset(
        name="gemini",
        text=Extractor("candidates[0].content.parts[*].text", where="candidates[0].content.parts[*].thought != true"),
        reasoning=Extractor(
            "candidates[0].content.parts[*].text", where="candidates[0].content.parts[*].thought == true"
        ),
        ends=(
            EndMark(
                reason=Extractor(
                    "candidates[0].finishReason",
                    where="candidates[0].finishReason != 'FINISH_REASON_UNSPECIFIED'",
                ),
                conclusive=False,
            ),
        ),
        errors=(
            ErrorMark(at="error", code=("error.status", "error.code")),
            ErrorMark(at="promptFeedback.blockReason", code="promptFeedback.blockReason"),
            *COMMON_ERRORS,
        ),
        signs=("candidates exists", ("usageMetadata exists", "modelVersion exists")),
        ask=asking.gemini,
        write=writing.GEMINI,
    ),
    Preset(
        name="ollama",
        grammar="ndjson",
        text=("response", "message.content"),
        reasoning=("thinking", "message.thinking"),
        ends=(EndMark(where="done == true", reason="done_reason"), EndMark(reason="done_reason", conclusive=False)),
        signs=(("done exists", "model exists"),),
        ask=asking.ollama,
        write=writing.OLLAMA,
    ),
    Preset(
        name="cohere",
        text=Extractor("delta.message.content.text", where="type == 'content-delta'"),
        reasoning=Extractor("delta.message.content.thinking", where="type == 'content-delta'"),
        ends=(EndMark(where="type == 'message-end'", reason="delta.finish_reason"),),
        signs=("type == 'message-start'", "type == 'content-start'", "type == 'content-delta'"),
        ask=asking.cohere,
        write=writing.COHERE,
    ),
    Preset(
        name="mistral",
        text=_CHAT_TEXT,
        reasoning=_CHAT_REASONING,
        ends=(DONE_MARK, _FINISH_REASON),
        whole=_CHAT_WHOLE,
        choices="choices",
        signs=(("choices exists", "p exists"), "choices[*].delta.content[*].type exists"),  # p is its padding
        ask=asking.mistral,
        write=writing.MISTRAL,
    ),
    Preset(
        name="dashscope",
        text=Extractor("output.text", "output.choices[0].message.content", "output.choices[0].message.content[*].text"),
        reasoning=("output.choices[0].message.reasoning_content",),
        ends=(  # until the last event, finish_reason is the string "null"
            EndMark(reason=Extractor("output.finish_reason", where="output.finish_reason != 'null'")),
            EndMark(
                reason=Extractor("output.choices[0].finish_reason", where="output.choices[0].finish_reason != 'null'")
            ),
        ),
        errors=(ErrorMark(at="code"), *COMMON_ERRORS),
        signs=(("output exists", "request_id exists"),),
        ask=asking.dashscope,
        write=writing.DASHSCOPE,
    ),
    Preset(
        name="replicate",
        text=Extractor("@data", where="@event == 'output'"),
        ends=(EndMark(where="@event == 'done'", reason="reason"),),
        errors=(ErrorMark(where="@event == 'error'"),),
        signs=("@event == 'output'",),
        ask=asking.replicate,
        write=writing.REPLICATE,
    ),
    # Nobody's own, and what many write by hand. It has no sign: it is what fits no other preset (see `detect`). The
    # text is what a browser's EventSource hands on: the lines of one event are joined by a newline; empty data is
    # nothing, and may be a keep-alive. No data is an error, whatever it says: an error shows by the event's type.
    Preset(
        name="sse-text",
        text=Extractor("@data", where=("@event == 'message'", "@data != '[DONE]'")),
        ends=(replace(DONE_MARK, optional=True),),
        errors=(ErrorMark(where="@event == 'error'"),),
        ask=asking.form,
        write=writing.SSE_TEXT,
    ),
    Preset(
        name="coze",
        text=Extractor("content", where=("@event == 'conversation.message.delta'", "type == 'answer'")),
        reasoning=Extractor("reasoning_content", where=("@event == 'conversation.message.delta'", "type == 'answer'")),
        ends=(
            EndMark(where="@event == 'conversation.chat.completed'"),
            EndMark(where="@event == 'done'", conclusive=False),  # often never terminated, so the grammar drops it
        ),
        whole=Extractor("content", where=("@event == 'conversation.message.completed'", "type == 'answer'")),
        errors=(
            *COMMON_ERRORS,
            ErrorMark(where="@event == 'conversation.chat.failed'", code="last_error.code", message="last_error.msg"),
        ),
        signs=("@event == 'conversation.chat.created'", "@event == 'conversation.message.delta'"),
        ask=asking.coze,
        write=writing.COZE,
    ),
    Preset(
        name="watsonx",
        text="results[0].generated_text",
        ends=(
            EndMark(
                reason=Extractor("results[0].stop_reason", where="results[0].stop_reason != 'not_finished'"),
                conclusive=False,
                optional=True,
            ),
        ),
        errors=(ErrorMark(at="errors", code="errors[*].code", message="errors[*].message"), *COMMON_ERRORS),
        signs=("results[0].generated_text exists",),
        ask=asking.watsonx,
        write=writing.WATSONX,
    ),
    Preset(
        name="huggingface",
        text=Extractor("token.text", where="token.special != true"),
        ends=(EndMark(where=("generated_text exists", "generated_text != null"), reason="details.finish_reason"),),
        whole=Extractor("generated_text", where="token absent"),
        signs=("token.text exists", ("generated_text exists", "token absent")),
        ask=asking.huggingface,
        write=writing.HUGGINGFACE,
    ),
    _OPENAI,
    replace(_OPENAI, name="openai-responses", signs=(), ask=asking.openai_responses, write=writing.OPENAI_RESPONSES),
    replace(_OPENAI, name="azure", signs=(), ask=asking.azure, write=writing.AZURE),
    Preset(
        name="streamkit",
        text="text",
        reasoning="reasoning",
        ends=_STREAMKIT_ENDS,
        signs=(  # `{"text": …}` is nobody's own; the answer's header tells earlier (see `detect`)
            ("@event == 'done'", "outcome exists", "pieces exists"),
            ("@event == 'error'", "outcome exists", "code exists"),
            ("done.outcome exists", "done.pieces exists"),
            ("error.outcome exists", "error.code exists"),
        ),
        write=writing.STREAMKIT,
    ),
    Preset(
        name="streamkit-ndjson",
        grammar="ndjson",
        text="text",
        reasoning="reasoning",
        ends=_STREAMKIT_ENDS,
        write=writing.STREAMKIT_NDJSON,
    ),
)
