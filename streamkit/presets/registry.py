"""The presets by name: preset(), writer(), presets(), detect()."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

from streamkit.errors import ConfigError, LimitExceeded, UnknownPreset
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets.reading import TABLE
from streamkit.presets.rules import Preset
from streamkit.presets.writing import Writer

__all__ = ["ALIASES", "PRESETS", "detect", "preset", "presets", "writer"]

# The first events of a stream that `detect` looks at, and the first bytes.
DETECT_EVENTS = 32
DETECT_BYTES = 1 << 16

PRESETS = {known.name: known for known in TABLE}

# Providers that speak a known preset's language, in request and answer.
ALIASES = dict.fromkeys(
    ("deepseek", "fireworks", "groq", "openrouter", "perplexity", "together", "vllm", "xai"), "openai"
)


def preset(which: str | Preset, *, reasoning: bool = False) -> Preset:
    """The preset of that name or alias (or the one given); with `reasoning`, its pieces carry reasoning too.

        >>> sk.preset("groq").read(sk.ServerSentEvent(data='{"choices": [{"delta": {"content": "hi"}}]}'))
        Piece(text='hi', reasoning='', end=None)

    Raises UnknownPreset, with the names that exist, those like it first.
    """
    if isinstance(which, Preset):
        found = which
    elif isinstance(which, str) and ALIASES.get(which, which) in PRESETS:
        found = PRESETS[ALIASES.get(which, which)]
    else:
        names = presets()
        near = difflib.get_close_matches(str(which), names)
        ordered = [*near, *(name for name in names if name not in near)]
        raise UnknownPreset(f"expected a preset's name, got {which!r}; there are {', '.join(ordered)}")
    return found.with_reasoning() if reasoning else found


def writer(which: str | Preset) -> Writer:
    """How that provider writes: for upstreams that follow a script.

        >>> from streamkit.presets import writer
        >>> writer("seed").piece("hi", 0)[:15]
        b'data: {"data":['

    Raises UnknownPreset, and ConfigError for a Preset of one's own that does not say it (`write=`).
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
    return sorted([*PRESETS, *ALIASES])


def detect(events: bytes | Iterable[ServerSentEvent | bytes]) -> str | None:
    """Guesses the preset from the first events of a stream, or from the first bytes of its body (SSE or NDJSON).

        >>> sk.detect(b'data: {"candidates": []}\\n\\n')
        'gemini'

    None where nothing tells them apart. Providers with OpenAI's shape, Azure among them, are all "openai".
    """
    first = list(islice([events] if isinstance(events, bytes) else events, DETECT_EVENTS))
    seen = [event for event in first if isinstance(event, ServerSentEvent)]
    body = b"".join(item for item in first if isinstance(item, bytes))[:DETECT_BYTES]
    for parser in (SSEParser(), NDJSONParser()):
        if not seen:
            seen = _events(parser, body)[:DETECT_EVENTS]
    for known in TABLE:
        if any(known.matches(event) for event in seen):
            return known.name
    return None


def _events(parser: SSEParser | NDJSONParser, body: bytes) -> list[ServerSentEvent]:
    try:
        return parser.feed(body)
    except LimitExceeded as error:
        return error.events
