"""An event in, a piece out: where the text is in an event's JSON, and what else reading an event can give.

A path or a condition is an expression (`path`), compiled once to functions that follow it through decoded JSON
(`follow`). An event becomes a `Document`, which decodes its JSON only once for all who ask it: an `Extractor` for text,
a `Where` for conditions, `Values` for values of any type. Nothing on the wire raises: malformed data is an
`ExtractionError`, which is returned like any other value.

Doors: `Extractor` (with `JSON` and `EVERY` for paths as sequences), and the results in `pieces`: `Piece`, `End`,
`ProviderError`, `ExtractionError`. `Document`, `Where` and `Values` are for presets.
"""

from __future__ import annotations

from streamkit.extractor.document import Document, Values, Where
from streamkit.extractor.extractor import Extractor
from streamkit.extractor.path import EVERY, JSON
from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError

__all__ = [
    "EVERY",
    "JSON",
    "Document",
    "End",
    "ExtractionError",
    "Extractor",
    "Piece",
    "ProviderError",
    "Values",
    "Where",
]
