"""Events in, text out: by the preset given, or by one guessed from the first events. No I/O.

A known provider shows in one event. That the data itself is the text (`sse-text`) shows only in that no other preset
fits. It is believed after WORDS events whose data is no JSON, or at `[DONE]`, an error or the end of the body, and only
if no event was a JSON object: a greeting in front of somebody's JSON is not the text. What was guessed stays.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from streamkit.extractor.pieces import ExtractionError, Piece
from streamkit.lab.client.channels import Channels
from streamkit.lab.recording.results import Results, is_plain_text
from streamkit.presets import SSE_TEXT, Answer, Preset, PresetLike, detect, misread
from streamkit.presets import preset as find_preset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamkit.parser import ServerSentEvent

__all__ = ["PieceReader"]

DONE: Final = "[DONE]"
DETECT_WITHIN: Final = 32  # events; a provider's shape shows in the first few
WORDS: Final = 3
"""Events whose data is no JSON: so many are not a greeting."""
OURS: Final = "streamkit"


class PieceReader:
    """What one answer's events say; `final` once nothing that comes can change how it ended.

    `answer` judges them; None while no preset is known.
    """

    def __init__(self, preset: PresetLike | None, reasoning: bool) -> None:
        self.answer: Answer | None = None
        self.error_data = ""
        """The data of the event that reported the error."""
        self.headers: Mapping[str, str] = {}
        """The answer's, by which some presets are guessed."""
        self.is_sse = True
        """The events are Server-Sent Events: of no others is it guessed that their data is the text."""
        self._reasoning = reasoning
        self._channels = Channels()
        self._preset: Preset | None = None
        self._waiting: list[ServerSentEvent] = []  # seen before a preset was found
        self._words = 0  # how many of them
        self._guessing = preset is None
        self._first: list[ServerSentEvent] = []  # until one is of the preset
        if preset is not None:
            self._read_by(preset)

    @property
    def name(self) -> str | None:
        return None if self._preset is None else self._preset.name

    @property
    def error(self) -> str | None:
        """The code of the error that the stream reported."""
        failure = None if self.answer is None else self.answer.failure
        return None if failure is None or isinstance(failure, ExtractionError) else failure.code

    @property
    def final(self) -> bool:
        """The provider's last word came, or its error."""
        return self.answer is not None and (self.answer.complete or self.error is not None)

    @property
    def unread_code(self) -> str | None:
        """Why the first event that could not be read could not; None if all could, up to the end."""
        failure = None if self.answer is None else self.answer.failure
        return failure.code if isinstance(failure, ExtractionError) else None

    @cached_property
    def _results(self) -> Results:
        """By the head, which has come when the first event does."""
        return Results(self.headers)

    @cached_property
    def _has_results(self) -> bool:
        """It may have: JSON of any shape, which is no preset's business."""
        return self._results.ours and self.name is not None and self.name.startswith(OURS)

    def read(self, event: ServerSentEvent) -> list[tuple[str, str]]:
        """(text, reasoning) of this event, last in the list; before it those of earlier events, if they show now."""
        if self._guessing and not self._waiting and self._results.ours:
            self._guessing = False
            self._read_by(OURS)
        if not self._guessing:
            return [self._read(event)]
        self._waiting.append(event)
        found = detect((event,), self.headers)  # one event is enough to tell, and those before it told nothing
        if found == SSE_TEXT:
            self._words += 1
            found = SSE_TEXT if self._words >= WORDS and self._are_text() else None
        elif found is None and (event.data == DONE or event.event == "error") and self._are_text():
            found = SSE_TEXT
        if found is None:
            self._guessing = len(self._waiting) < DETECT_WITHIN
            return [("", "")]
        return self._found(found)

    def settle(self) -> list[tuple[str, str]]:
        """The body is over: (text, reasoning) of the last so many events, if it is known only now how they are read."""
        return self._found(SSE_TEXT) if self._guessing and self._are_text() else []

    def _are_text(self) -> bool:
        return self.is_sse and self._words > 0 and detect(self._waiting) == SSE_TEXT

    def _found(self, preset: str) -> list[tuple[str, str]]:
        self._guessing = False
        self._read_by(preset)
        return [self._read(waiting) for waiting in self._waiting]

    @property
    def steady(self) -> bool:
        """What comes is text by the preset that is known, and nothing has to be found out any more."""
        return self.answer is not None and self.answer.steady and not (self._guessing or self._has_results)

    def read_all(self, events: Sequence[ServerSentEvent]) -> tuple[list[str], list[str]]:
        """The texts and the reasoning of these events, of a `steady` reader: as `read` gives them one by one."""
        assert self.answer is not None  # noqa: S101  it is steady
        pieces, before = self.answer.read_apart(events)
        if len(pieces) == len(events):
            return [piece[0] for piece in pieces], [piece[1] for piece in pieces]
        texts, reasoning = [""] * len(events), [""] * len(events)
        for number, (first, behind) in enumerate(pairwise([*before, len(pieces)])):
            if first == behind:
                self._channels.no_piece(events[number])
            else:
                texts[number], reasoning[number] = _joined(pieces[first:behind])
        if self.error is not None:
            self.error_data = events[len(before) - 1].data
        for number in range(len(before), len(events)):  # behind the end, or a failure
            texts[number], reasoning[number] = self._read(events[number])
        return texts, reasoning

    def notes(self) -> list[str]:
        notes = [] if self.answer is None else self.answer.notes()
        if self._preset is None and self._waiting:
            notes.append(
                "no preset fits the events, so there is no text: name one with preset= (--preset; sse-text, if "
                "the data itself is the text), or say where it stands with preset=sk.Extractor('path') (--text PATH)"
            )
        if (why := self.other_provider) is not None:
            notes.append(why)
        return [*notes, *self._channels.notes()]

    @property
    def other_provider(self) -> str | None:
        """A sentence that names the provider whose events seem to have come instead of the preset's."""
        if self._preset is None or not self._first:
            return None
        return misread(self._first, self._preset, self.headers)

    def _read_by(self, preset: PresetLike) -> None:
        self._preset = find_preset(preset, reasoning=self._reasoning)
        self._channels.recorded = self._preset.show_reasoning
        self.answer = Answer(self._preset)

    def _read(self, event: ServerSentEvent) -> tuple[str, str]:
        if self.answer is None:
            return "", ""
        if self._has_results and not is_plain_text(event.data) and not self.answer.over:
            told = self._results.told(event.event, event.data)
            if told.kind != "other":
                return self._result(told.line) if told.kind == "result" else ("", "")
        had_error = self.error is not None
        pieces = self.answer.read((event,))
        if self.answer.recognised:
            self._first.clear()
        elif len(self._first) < DETECT_WITHIN:
            self._first.append(event)
        if not had_error and self.error is not None:
            self.error_data = event.data
        self._note(event, pieces, thought=self.answer.thought)
        return _joined(pieces)

    def _result(self, line: str) -> tuple[str, str]:
        """Its text is what a client that takes text/plain gets of it."""
        assert self.answer is not None  # noqa: S101  it is asked first
        self.answer.recognised = True
        self._channels.piece(line, "")
        return line, ""

    def _note(self, event: ServerSentEvent, pieces: list[Piece], *, thought: bool) -> None:
        if pieces:
            self._channels.piece(*_joined(pieces))
        elif thought:
            self._channels.hidden()
        else:
            self._channels.no_piece(event)

    def close(self) -> tuple[str, str]:
        """(text, reasoning) that waited for what might come behind it; nothing does."""
        return ("", "") if self.answer is None else _joined(self.answer.close())


def _joined(pieces: list[Piece]) -> tuple[str, str]:
    return "".join([piece.text for piece in pieces]), "".join([piece.reasoning for piece in pieces])
