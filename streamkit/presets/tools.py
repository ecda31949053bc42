"""Tool calls: what they look like in the streams of all providers at once. They are no text, but an answer may be all
of them; whoever wonders why there is no text asks here. Their contents are nobody's business.
"""

from __future__ import annotations

from typing import Final

from streamkit.extractor import Document, Values, Where
from streamkit.parser import ServerSentEvent

__all__ = ["carries_tool_call"]

_HINTS: Final = ("tool", "TOOL", "unction", "input_json")
"""One of these stands in every event that one of the rules below is for; most events are not decoded again."""

_PLACES: Final = Values(
    "choices[*].delta.tool_calls",  # OpenAI's chat completions, Mistral's
    "choices[*].delta.function_call",
    "choices[*].message.tool_calls",
    "message.tool_calls",  # Ollama's
    "candidates[*].content.parts[*].functionCall",  # Gemini's
    "output.choices[*].message.tool_calls",  # DashScope's
    "delta.message.tool_calls",  # Cohere's
)
"""Where something has to stand: many servers send null, or an empty list, with every piece of text."""

_SIGNS: Final = tuple(
    map(
        Where,
        (
            "delta.type == 'input_json_delta'",  # Anthropic's
            "content_block.type == 'tool_use'",
            "type == 'response.function_call_arguments.delta'",  # OpenAI's responses
            "item.type == 'function_call'",
            "type == 'tool-call-delta'",  # Cohere's
            "type == 'tool-input-delta'",  # the AI SDK's
            "type == 'tool-input-available'",
            "type == 'TOOL_CALL_ARGS'",  # AG-UI's
        ),
    )
)


def carries_tool_call(event: ServerSentEvent) -> bool:
    """Whether the event carries a tool call, or a part of one, by whichever provider.

    >>> from streamkit.presets.tools import carries_tool_call
    >>> carries_tool_call(sk.ServerSentEvent(data='{"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}'))
    True
    """
    if not any(hint in event.data for hint in _HINTS):
        return False
    document = Document.of(event)
    return any(_PLACES.of(document)) or any(sign.holds(document) for sign in _SIGNS)
