"""An event in, a piece out."""

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
