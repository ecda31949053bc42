"""The presets by name: preset(), writer(), presets(), detect()."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final, TypeAlias

from streamkit.errors import ConfigError, LimitExceeded, UnknownPreset
from streamkit.extractor import Document, ExtractionError, Extractor, Where
from streamkit.extractor.follow import decode
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import reading
from streamkit.presets.asking import Compatible
from streamkit.presets.clouds import CLOUDS
from streamkit.presets.engines import ENGINES
from streamkit.presets.frameworks import FRAMEWORKS
from streamkit.presets.marks import EndMark
from streamkit.presets.reader import HEARTBEATS
from streamkit.presets.rules import Preset
from streamkit.presets.writer import Writer, remember

__all__ = ["ALIASES", "PRESETS", "SSE_TEXT", "PresetLike", "detect", "preset", "presets", "writer"]

PresetLike: TypeAlias = str | Preset | Extractor
"""What is accepted as a preset: its name, a `Preset`, or an `Extractor`, which only says where the text is."""

# The first events of a stream that `detect` looks at, and the first bytes.
DETECT_EVENTS = 32
DETECT_BYTES = 1 << 16

SSE_TEXT: Final = "sse-text"
"""The preset of streams whose data is the text itself: it has no sign, and is guessed where no other fits."""

TABLE: Final = (*reading.TABLE, *FRAMEWORKS, *ENGINES, *CLOUDS)
PRESETS = {known.name: known for known in TABLE}
remember(*(known.write for known in TABLE if known.write is not None))

# Providers that speak a known preset's language, in request and answer, each with models of its own.
ALIASES = dict.fromkeys(
    (
        *("deepseek", "fireworks", "groq", "litellm", "llamacpp", "lmstudio", "minimax", "moonshot", "openrouter"),
        *("perplexity", "qwen", "sglang", "siliconflow", "together", "vllm", "volcengine", "xai", "zai", "zhipu"),
    ),
    "openai",
)
_NAMED = PRESETS | {alias: replace(PRESETS[name], name=alias, ask=Compatible(alias)) for alias, name in ALIASES.items()}

# Shapes that anybody's events may have, and the header of the answer with which they tell.
_WITH_HEADER: Final = (
    ("streamkit", "x-stream-id", Where(("@event == 'message'", "text exists", "type absent", "model absent"))),
    ("ai-sdk", "x-vercel-ai-ui-message-stream", Where(("@event == 'message'", "type exists"))),
)


def preset(which: PresetLike, *, reasoning: bool = False) -> Preset:
    """The preset of a provider, by its name or alias; with `reasoning=True`, its pieces carry reasoning too.

        >>> sk.preset("ollama").read(sk.ServerSentEvent(data='{"response": "hi", "done": false}'))
        Piece(text='hi', reasoning='', end=None)
        >>> sk.preset(sk.Extractor("body.say")).read(sk.ServerSentEvent(data='{"body": {"say": "hi"}}'))
        Piece(text='hi', reasoning='', end=None)

    `streamkit.presets.presets()` lists the names. An alias speaks the same language as its preset, but has a name of
    its own and no default model, so a model has to be named. A `Preset` is returned as it is. An `Extractor` becomes a
    preset named "extractor", for streams of which nothing more is known: `[DONE]` ends them, and errors are recognised
    by the shapes that many providers share.

    Raises UnknownPreset for an unknown name; the message has the known ones, similar ones first.
    """
    if isinstance(which, Preset):
        found = which
    elif isinstance(which, Extractor):
        found = _of_text(which)
    elif isinstance(which, str) and which in _NAMED:
        found = _NAMED[which]
    else:
        names = presets()
        near = difflib.get_close_matches(str(which), names)
        ordered = [*near, *(name for name in names if name not in near)]
        path = ""
        if isinstance(which, str) and any(sign in which for sign in ".[@"):
            path = f"; if that is the path to the text, give sk.Extractor({which!r})"
        raise UnknownPreset(f"expected a preset's name, got {which!r}{path}; there are {', '.join(ordered)}")
    return found.with_reasoning() if reasoning else found


def _of_text(text: Extractor) -> Preset:
    if any(path.root == "data" and not path.steps for path in text.paths):  # it would take the end mark for text
        text = Extractor(*text.paths, where=(*text.where, "@data != '[DONE]'"))
    return Preset(name="extractor", text=text, ends=(EndMark(where="@data == '[DONE]'", optional=True),))


def writer(which: PresetLike) -> Writer:
    """How a provider writes its stream: for upstreams that follow a script.

        >>> from streamkit.presets import writer
        >>> writer("seed").piece("hi", 0)[:15]
        b'data: {"data":['

    Raises UnknownPreset, and ConfigError for a Preset of your own that does not say how it is written (`write=`).
    """
    known = preset(which)
    if known.write is None:
        raise ConfigError(f"expected a preset that says how its provider writes (write=Writer(…)), got {known!r}")
    return known.write


def presets() -> list[str]:
    """All names that `preset` knows, aliases included.

    >>> from streamkit.presets import presets
    >>> {"openai", "groq"} <= set(presets())
    True
    """
    return sorted(_NAMED)


def detect(events: bytes | Iterable[ServerSentEvent | bytes], headers: Mapping[str, str] | None = None) -> str | None:
    """Guess the preset from the first events of a stream, or from the first bytes of its body (SSE or NDJSON).

        >>> sk.detect(b'data: {"candidates": []}\\n\\n')
        'gemini'
        >>> sk.detect(b'data: {"text": "hi"}\\n\\n', headers={"X-Stream-Id": "7"})
        'streamkit'

    `headers` are those of the answer: our own relay and the AI SDK say there what their events alone do not. Returns
    the preset's name, or None if nothing tells. Providers with OpenAI's format, Azure and all aliases included, are
    "openai". Where no other preset fits, Server-Sent Events without a type whose data is not JSON are "sse-text";
    numbers and quoted words, which are JSON too, may be among them, objects may not.

        >>> sk.detect(b'data: hello\\n\\n')
        'sse-text'
    """
    first = list(islice([events] if isinstance(events, bytes) else events, DETECT_EVENTS))
    seen = [event for event in first if isinstance(event, ServerSentEvent)]
    body = b"".join(item for item in first if isinstance(item, bytes))[:DETECT_BYTES]
    may_be_text = bool(seen)
    for parser in (SSEParser(), NDJSONParser()):
        if not seen:
            seen = _events(parser, body)[:DETECT_EVENTS]
            may_be_text = bool(seen) and isinstance(parser, SSEParser)  # any line is an event to the other
    for known in TABLE:
        if any(known.matches(event) for event in seen):
            return known.name
    there = {name.lower() for name in headers or ()}
    for name, header, shape in _WITH_HEADER:
        if header in there and any(shape.holds(Document.of(event)) for event in seen):
            return name
    return SSE_TEXT if may_be_text and _is_text(seen) else None


def _is_text(events: Iterable[ServerSentEvent]) -> bool:
    """Some of the data is no JSON; and none is an object, or a list of such, which some preset may read.

    Other JSON, and broken JSON, says nothing: there may be numbers, quotations and brackets among words.
    """
    found = False
    for event in events:
        if event.event == "message":
            value, word = decode(event.data), event.data.strip().lower()
            if (value and type(value) is dict) or (type(value) is list and any(type(item) is dict for item in value)):
                return False
            is_word = type(value) is ExtractionError and value.code == "malformed_json" and word[0] not in "{["
            found = found or (is_word and word not in HEARTBEATS)
    return found


def _events(parser: SSEParser | NDJSONParser, body: bytes) -> list[ServerSentEvent]:
    try:
        return parser.feed(body)
    except LimitExceeded as error:
        return error.events
