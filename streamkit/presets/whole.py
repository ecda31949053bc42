"""An answer that came whole, in one JSON document, where a stream was asked for: `whole_of`, `detect_whole`.

Gateways ignore `stream: true`. What they then answer has each provider's other shape: a message instead of its deltas.
The rules here are tried behind a preset's own. They go by the document's shape and not by the provider's name, so those
that speak another one's language are read too. They are for documents, and not for streams: some of these repeat the
message behind its deltas, where it would be read twice.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from streamkit.extractor import Document, Extractor, Where
from streamkit.extractor.pieces import ExtractionError, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets.registry import PRESETS
from streamkit.presets.rules import EndMark, Extractors, Preset

__all__ = ["detect_whole", "whole_of"]

_CHAT: Final = "choices[*].index == 0 or absent"
_MESSAGE: Final = "type == 'message'"  # Anthropic's
_RESPONSE: Final = "object == 'response'"  # OpenAI's other API
_COHERE: Final = ("finish_reason exists", "message.content exists")
_TGI: Final = "token absent"  # which its events have, the last one beside the whole text

_TEXT: Final = (
    Extractor("choices[*].message.content", "choices[*].message.content[*].text", where=_CHAT),
    Extractor("content[*].text", where=(_MESSAGE, "content[*].type == 'text'")),
    Extractor("output[*].content[*].text", where=(_RESPONSE, "output[*].content[*].type == 'output_text'")),
    Extractor("message.content[*].text", where=_COHERE),
    Extractor("generated_text", where=_TGI),
)
_REASONING: Final = (
    Extractor("choices[*].message.reasoning_content", "choices[*].message.reasoning", where=_CHAT),
    Extractor("content[*].thinking", where=(_MESSAGE, "content[*].type == 'thinking'")),
    Extractor("message.content[*].thinking", where=_COHERE),
)
_ENDS: Final = (
    EndMark(where=(_MESSAGE, "stop_reason exists"), reason="stop_reason"),
    EndMark(where=(_RESPONSE, "status == 'completed'"), reason="status"),
    EndMark(where=(_RESPONSE, "status == 'incomplete'"), reason="incomplete_details.reason"),
    EndMark(where=_COHERE, reason="finish_reason", failures=("ERROR", "TIMEOUT")),
    EndMark(where=("generated_text exists", _TGI), reason="details.finish_reason"),
)
_SIGNS: Final = (
    ("openai", Where((_RESPONSE,))),
    ("anthropic", Where((_MESSAGE, "stop_reason exists"))),
    ("cohere", Where(_COHERE)),
    ("huggingface", Where(("generated_text exists", _TGI))),
)


@lru_cache(maxsize=64)
def whole_of(preset: Preset) -> Preset:
    """The preset, for documents: it knows how its provider answers, and how others do, where no stream is asked for.

    >>> from streamkit.presets.whole import whole_of
    >>> document = '{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    >>> whole_of(sk.preset("openai")).read(sk.ServerSentEvent(data=document))
    Piece(text='hi', reasoning='', end=End(reason='stop', conclusive=False))
    """
    return replace(
        preset,
        text=(*_several(preset.text), *_TEXT),
        reasoning=(*_several(preset.reasoning), *_REASONING),
        ends=(*preset.ends, *_ENDS),
    )


def _several(spec: Extractors) -> tuple[str | Extractor, ...]:
    return (spec,) if isinstance(spec, (str, Extractor)) else tuple(spec)


def detect_whole(event: ServerSentEvent) -> str | None:
    """Whose whole answer that is, or whose error; None where nothing tells."""
    document = Document.of(event)
    for name, sign in _SIGNS:
        if sign.holds(document):
            return name
    result = PRESETS["openai"].read(event)
    return "openai" if isinstance(result, ProviderError) and not isinstance(result, ExtractionError) else None
