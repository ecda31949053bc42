"""Presets: how a provider is asked, how its stream is read, and how it writes; one `Preset` for each provider.

A question becomes a POST (`Preset.request`, by the functions of `asking`). The events that the parser makes of the
answer become pieces, ends and errors (`Preset.read`, by the rules in `reading`'s table; most events by a shorter plan).
And a scripted upstream writes what these rules read (`Writer`, in `writing`), so that each tests the other.

    preset("openai").read(event)              # -> Piece | End | ProviderError | None
    preset("anthropic", reasoning=True)       # thinking too, in Piece.reasoning
    writer("gemini").piece("hi", 0)           # -> one event, as bytes
    detect(events)                            # -> "gemini", or None

A preset reads one event by itself. A stream is read by an `Answer`, which remembers what its events say together:
whether its end is proven, why it ended, which of several choices it is.

    answer = Answer(preset("openai"))
    answer.read(events)                       # -> list[Piece]
    answer.problem_at_end(clean=True)         # -> None: it is whole

Doors: `preset`, `presets`, `writer` and `detect`, which know the providers by name, and `misread`, which notices a
wrong one; `SSE_TEXT`, the name of the preset without a sign; `Answer`; `Preset`, `EndMark`, `ErrorMark` and `Writer`,
of which you make a provider of your own, and `PresetLike`, everything that is accepted as a preset; `unreadable`,
which knows the media types that no preset reads; `asking` for questions and requests.
"""

from __future__ import annotations

from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.presets.answer import Answer
from streamkit.presets.foreign import unreadable
from streamkit.presets.recognise import misread
from streamkit.presets.registry import ALIASES, PRESETS, SSE_TEXT, PresetLike, detect, preset, presets, writer
from streamkit.presets.rules import EndMark, ErrorMark, Preset
from streamkit.presets.writer import Writer

__all__ = [
    "ALIASES",
    "PRESETS",
    "SSE_TEXT",
    "Answer",
    "End",
    "EndMark",
    "ErrorMark",
    "ExtractionError",
    "Piece",
    "Preset",
    "PresetLike",
    "ProviderError",
    "Writer",
    "detect",
    "misread",
    "preset",
    "presets",
    "unreadable",
    "writer",
]
