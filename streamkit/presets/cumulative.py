"""Texts that repeat all the text before them: made into what is new (`Cumulative`), or noticed (`Repeats`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streamkit.extractor.pieces import ExtractionError, Piece

__all__ = ["Cumulative", "Repeats"]

NOT_CUMULATIVE: Final = ExtractionError(
    "not_cumulative", "expected a text that begins with all the text before it, got another one"
)
UNFINISHED: Final = "\ufffd"
"""In place of a character of which the rest is still to come; it is held back until the end."""

WATCHED: Final = 16
ENOUGH: Final = 3
"""The first `WATCHED` texts have to repeat before that is noted; of fewer all, and at least `ENOUGH`."""

SEEMS_CUMULATIVE: Final = (
    "each text begins with all of the text before it, as if every event repeated the whole text so far; "
    "a Preset with cumulative=True reads that"
)


class Cumulative:
    """What is new in each text; text and reasoning are each on their own."""

    def __init__(self) -> None:
        self._text = self._reasoning = ""

    def only_new(self, pieces: Sequence[Piece]) -> tuple[list[Piece], ExtractionError | None]:
        """Up to the first text that does not begin with all before it, which is a failure: nothing can be untold."""
        new: list[Piece] = []
        for text, reasoning, end in pieces:
            if end is None:
                text, reasoning = text.rstrip(UNFINISHED), reasoning.rstrip(UNFINISHED)
            if (text and not text.startswith(self._text)) or (reasoning and not reasoning.startswith(self._reasoning)):
                return new, NOT_CUMULATIVE
            piece = Piece(text[len(self._text) :], reasoning[len(self._reasoning) :], end)
            self._text, self._reasoning = text or self._text, reasoning or self._reasoning
            if piece.text or piece.reasoning or end is not None:
                new.append(piece)
        return new, None


class Repeats:
    """Watches the first texts of a stream that should not be cumulative."""

    def __init__(self) -> None:
        self.may_be = True
        self._last = ""
        self._count = 0

    def saw(self, pieces: Sequence[Piece]) -> None:
        for text, _, _ in pieces:
            if text:
                self.may_be = len(text) > len(self._last) and text.startswith(self._last) and self._count < WATCHED
                if not self.may_be:
                    return
                self._count += 1
                self._last = text

    def notes(self) -> list[str]:
        return [SEEMS_CUMULATIVE] if self._count >= WATCHED or (self.may_be and self._count >= ENOUGH) else []
