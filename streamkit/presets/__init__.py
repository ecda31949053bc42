"""How providers are asked, how their streams read."""

from __future__ import annotations

from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.presets.registry import ALIASES, PRESETS, detect, preset, presets
from streamkit.presets.rules import EndMark, ErrorMark, Preset

__all__ = [
    "ALIASES",
    "PRESETS",
    "End",
    "EndMark",
    "ErrorMark",
    "ExtractionError",
    "Piece",
    "Preset",
    "ProviderError",
    "detect",
    "preset",
    "presets",
]
