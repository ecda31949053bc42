"""Events in, text out: by the preset given, or by one guessed from the first events. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.presets import Preset, PresetLike, detect
from streamkit.presets import preset as find_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamkit.parser import ServerSentEvent

__all__ = ["PieceReader"]

DETECT_WITHIN: Final = 32  # events; a provider's shape shows in the first few


class PieceReader:
    """What one answer's events say; `final` once nothing that comes can change how it ended."""

    def __init__(self, preset: PresetLike | None, reasoning: bool) -> None:
        self.error: str | None = None
        self.error_data = ""
        """The data of the event that reported it."""
        self.final = False
        self.headers: Mapping[str, str] = {}
        """The answer's, by which some presets are guessed."""
        self._reasoning = reasoning
        self._preset: Preset | None = None if preset is None else find_preset(preset, reasoning=reasoning)
        self._waiting: list[ServerSentEvent] = []  # seen before a preset was found
        self._guessing = preset is None
        self._ended = False
        self._unread: Counter[str] = Counter()

    @property
    def name(self) -> str | None:
        return None if self._preset is None else self._preset.name

    @property
    def unread_code(self) -> str | None:
        """Why the first event that could not be read could not; None if all could."""
        return next(iter(self._unread), None)

    @property
    def lacks_end(self) -> bool:
        """The provider marks its end, and no mark was seen."""
        return self._preset is not None and self._preset.has_end_marker and not self._ended

    def read(self, event: ServerSentEvent) -> list[tuple[str, str]]:
        """(text, reasoning) of this event, last in the list; before it those of earlier events, if they show now."""
        if not self._guessing:
            return [self._read(event)]
        self._waiting.append(event)
        found = detect(self._waiting, self.headers)
        if found is None:
            self._guessing = len(self._waiting) < DETECT_WITHIN
            return [("", "")]
        self._guessing = False
        self._preset = find_preset(found, reasoning=self._reasoning)
        return [self._read(waiting) for waiting in self._waiting]

    def notes(self) -> list[str]:
        notes = [f"events that could not be read ({code}): {count}" for code, count in sorted(self._unread.items())]
        if self._preset is None and self._waiting:
            notes.append(
                "no preset fits the events, so there is no text: name one with preset= (--preset), or say where the "
                "text stands with preset=sk.Extractor('path') (--text PATH)"
            )
        return notes

    def _read(self, event: ServerSentEvent) -> tuple[str, str]:
        result = self._preset.read(event) if self._preset is not None else None
        if isinstance(result, ExtractionError):
            self._unread[result.code] += 1
        elif isinstance(result, ProviderError):
            if not self.final:
                self.error, self.error_data, self.final = result.code, event.data, True
        elif isinstance(result, Piece):
            self._end(result.end)
            return result.text, result.reasoning
        else:
            self._end(result)
        return "", ""

    def _end(self, end: End | None) -> None:
        if end is not None:
            self._ended = True
            self.final = self.final or end.conclusive
