"""A preset that was forgotten: events of one provider, read as another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamkit.parser import ServerSentEvent
from streamkit.presets.registry import PRESETS, SSE_TEXT, detect
from streamkit.presets.rules import Preset

__all__ = ["misread"]


def misread(
    seen: bytes | Iterable[ServerSentEvent], given: Preset, headers: Mapping[str, str] | None = None
) -> str | None:
    """A sentence saying which provider a stream seems to be of, if it is not that of the preset `given`; else None.

        >>> from streamkit.presets import misread
        >>> misread([sk.ServerSentEvent(data='{"choices": [{"index": 0, "delta": {}}]}')], sk.preset("gemini"))
        "these events look like openai's, not gemini's: give preset='openai' (--preset openai)"

    `seen` are the stream's first events, or its first bytes, `headers` those of its answer (see `detect`). It is a
    guess, to be shown only if nothing could be read.
    """
    found = detect(seen, headers)
    if found == SSE_TEXT and given.grammar != "sse":  # to whom any line is an event
        return None
    if found is None or PRESETS[found].text == given.text:  # whatever its name: many write as openai does
        return None
    return f"these events look like {found}'s, not {given.name}'s: give preset={found!r} (--preset {found})"
