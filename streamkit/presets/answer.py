"""`Answer`: one answer of a provider, event by event: what it says, and what its end proves. Sans-IO.

**Theory of operation.** A preset reads one event and knows of no other. What only the events together tell is here, so
that whoever reads a stream (a relay, a recorder) comes to the same verdict:

    the end        the provider's last word (`complete`); or signs of it (a finish reason), with clean framing behind
                   whole events; or clean framing alone, where the provider need not say more
    something      an answer in which not one event was of this provider (no event, comments, `[DONE]` alone) is none
    the failure    the first one counts, and nothing behind an end does
    the reason     why it ended, in the provider's word, which may stand in another event than the end
    choices        which of several is taken, and what was left out (see `choices`)
    texts          the new part of each, where they repeat all before (`cumulative`); a whole text, where none came in
                   pieces (`whole`)

Most events are read by plans, in `Rules.read_pieces`; those that are more than a text come to `_otherwise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Final

import orjson

from streamkit.extractor import Document
from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets.choices import MIXED, Choices
from streamkit.presets.common import Common, CommonReaders, OneCommon
from streamkit.presets.cumulative import Cumulative, Repeats
from streamkit.presets.reader import DONE, Rules

if TYPE_CHECKING:
    from streamkit.presets.rules import Preset

__all__ = ["EMPTY", "TRUNCATED", "Answer"]

TRUNCATED: Final = "upstream_truncated"
"""The answer stopped, and nothing proves that this was its end."""

EMPTY: Final = "upstream_empty"
"""It ended, and not one event of it was of its provider: none came, or all were another one's."""


class Answer:
    """Reads one answer of a provider, event by event, and remembers what its events say together.

        >>> from streamkit.presets import Answer
        >>> answer = Answer(sk.preset("openai"))
        >>> answer.read(sk.SSEParser().feed(b'data: {"choices": [{"delta": {"content": "hi"}}]}\\n\\n'))
        [Piece(text='hi', reasoning='', end=None)]
        >>> answer.problem_at_end(clean=True)
        'upstream_truncated'

    complete        whether the provider's last word came
    signed          whether that came, or a sign of the end (a finish reason), which clean framing makes a proof
    recognised      whether any event of this provider came
    failure         the first failure: a ProviderError, or an ExtractionError for what could not be read
    thought         whether the last events brought only reasoning that the preset does not show, before any text
    finish_reason   why it ended, in the provider's word (`stop`, `max_tokens`, `SAFETY`); the first one counts
    """

    def __init__(self, preset: Preset) -> None:
        self.complete = False
        self.signed = False
        self.failure: ProviderError | None = None
        self.finish_reason: str | None = None
        self.thought = False
        self._unread: dict[str, int] = {}  # a Counter takes ten times as long to make
        self._behind = 0  # pieces behind the end
        # Reasoning that the preset does not show is looked for until the first text: it is a sign of life.
        self._rules = preset.with_reasoning().rules
        self._shown = None if preset.show_reasoning else preset.rules
        self._preset = preset
        self._needs_sign = preset.has_end_marker
        self.recognised = False
        self._choices = None if preset.choices is None else Choices()
        self._choices_key = preset.choices
        self._cumulative = Cumulative() if preset.cumulative else None
        self._repeats = None if preset.cumulative else Repeats()
        self._has_text = False
        self._plain = False  # nothing need be asked of further texts
        self._was_over = False  # before the read in progress
        self._pieces: list[Piece] = []  # those of the read in progress
        self._known = 0  # how many of them were there when an event was last read by rules
        self._silent: ServerSentEvent | None = None  # the last without data, if it said nothing: it may be a flood

    @property
    def over(self) -> bool:
        """Whether nothing that may still come can change what is known about its end."""
        return self.complete or self.failure is not None

    @property
    def literals(self) -> frozenset[str]:
        """The strings with which the conditions of its preset compare."""
        return self._preset.literals

    def reads_alone(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """What the rules make of an event by itself; nothing is remembered of it."""
        return self._rules.read_by_rules(event)

    def read_apart(self, events: Sequence[ServerSentEvent]) -> tuple[list[Piece], list[int]]:
        """`read` for a `steady` answer: its pieces, and for each event that was read, how many pieces came before it.

        Each event has one piece or none: if there are as many pieces as events, each has one.
        """
        pieces: list[Piece] = []
        before: list[int] = []
        return self._read(_counted(events, pieces, before), events, pieces, before), before

    def read(self, events: Sequence[ServerSentEvent]) -> list[Piece]:
        """The pieces of these events, up to the first that ends the answer or fails; what follows that is not read.

        To go on after a failure, call it again with the events after it. After the provider's last word nothing is part
        of the answer.
        """
        pieces: list[Piece] = []
        if self.complete:
            self._behind += sum(isinstance(self._rules.read_by_rules(event), Piece) for event in events)
            return pieces
        if not self.recognised:
            self._look_at_first(events)
        return self._read(iter(events), events, pieces)

    def _read(
        self,
        run: Iterator[ServerSentEvent],
        events: Sequence[ServerSentEvent],
        pieces: list[Piece],
        before: Sequence[int] = (),
    ) -> list[Piece]:
        """`run` goes through the events; `before` says how far, where it does not itself."""
        self._pieces, self._known, self._was_over = pieces, 0, self.over
        while (end := self._rules.read_pieces(run, pieces, self._otherwise)) is not None:
            if isinstance(end, ProviderError):
                if isinstance(end, ExtractionError):
                    self._unread[end.code] = self._unread.get(end.code, 0) + 1
                self._fail(end)
                break
            self._end(end, events[len(before) - 1 if before else -1 - length_hint(run)].data)
            if end.conclusive:
                break
        pieces = self._checked(pieces) if pieces and not self._plain else pieces
        return pieces if self._shown is None else self._without_reasoning(pieces, self._shown)

    @property
    def steady(self) -> bool:
        """Whether an event that is a text and nothing else would change nothing here, and may be read elsewhere."""
        return self._plain and self._shown is None and self.recognised and not self.signed and self.failure is None

    def common(self, event: ServerSentEvent) -> Common | None:
        """How the common events among those like this one are read while the answer is `steady`; None: by `read`."""
        found = self._compiled(event)
        return None if found is None else found.texts

    def one_common(self, event: ServerSentEvent, prefix: bytes, blank: bytes) -> OneCommon | None:
        """The same for bytes that are one event, with `prefix` before its data and `blank` after it."""
        found = self._compiled(event)
        return None if found is None else found.reader(prefix, blank)

    def _compiled(self, event: ServerSentEvent) -> CommonReaders | None:
        try:
            value = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            return None
        return self._rules.plans.common(event.event, value) if type(value) is dict else None

    def close(self) -> list[Piece]:
        """Call this when the body is over; returns pieces that were held back until it was known what follows them."""
        self._pieces, self._known, self._was_over = [], 0, self.over
        if self._choices is not None and self._choices.is_waiting and not self.over:
            result = self._release(self._choices, None)
            if isinstance(result, Piece):
                self._pieces, self._known = [result], 1
                result = result.end
            if isinstance(result, ProviderError):
                self._fail(result)
            elif result is not None:
                self._end(result, "")
        pieces = self._checked(self._pieces) if self._pieces else []
        return pieces if self._shown is None else self._without_reasoning(pieces, self._shown)

    def problem_at_end(
        self, *, clean: bool, unfinished: ServerSentEvent | None = None, foreign: bool = False
    ) -> str | None:
        """Judge the end, when the body is over: None if the answer is whole, else a code.

        The code is that of the failure, `TRUNCATED` or `EMPTY`. `clean` says whether the body ended as its framing
        requires. `unfinished` is the event that the end cut off: it is lost and proves nothing, but if it reports an
        error, that counts. `foreign`: what came looks like another provider's (`misread`).
        """
        if not self.over and unfinished is not None:
            last = self._rules.read_by_rules(unfinished)
            if isinstance(last, ProviderError) and not isinstance(last, ExtractionError):
                self._fail(last)
        if self.failure is not None:
            return self.failure.code
        # Without any sign of its end, an answer that breaks off inside an event is none, however clean its framing is:
        # that event would be lost, or it is a page or an error that is no event stream at all.
        signs = self.signed or (not self._needs_sign and unfinished is None)
        if not self.complete and not (clean and signs):
            another = foreign and clean and not self.recognised and unfinished is None  # it answered: nothing was cut
            return EMPTY if another else TRUNCATED
        return None if self.recognised else EMPTY

    def notes(self) -> list[str]:
        """Remarks about its texts: what could not be read, what was left out, and what they seem to be."""
        unread = sorted(self._unread.items())
        notes = [f"events that could not be read ({code}): {count}" for code, count in unread]
        if self._behind:
            notes.append(f"pieces after the end, which are no part of the answer: {self._behind}")
        notes += [] if self._choices is None else self._choices.notes()
        return notes if self._repeats is None else [*notes, *self._repeats.notes()]

    def _fail(self, failure: ProviderError) -> None:
        if not self.over:
            self.failure = failure

    def _end(self, end: End, data: str) -> None:
        if self.over:
            return
        self.signed, self.complete = True, end.conclusive
        self.finish_reason = self.finish_reason or end.reason
        self.recognised = self.recognised or data.strip() != DONE  # which is everybody's

    def _look_at_first(self, events: Sequence[ServerSentEvent]) -> None:
        """The first event that is of this provider, if it stands before the end."""
        for event in events:
            if DONE in event.data:
                end = self._rules.read_by_rules(event)
                if isinstance(end, End) and end.conclusive:
                    return
            value = self._rules.document(event).json if self._rules.may_recognise(event.data) else None
            if value is not None and self._rules.recognises_as_own(value):
                self.recognised = True
                if self._choices is not None:
                    self._choices.saw(value.get(self._choices_key))
                return

    def _checked(self, pieces: list[Piece]) -> list[Piece]:
        self.recognised = True
        self._has_text = self._has_text or any(piece.text for piece in pieces)
        if self._choices is not None and len(pieces) > self._known and not self._goes_with(self._choices):
            self._fail(MIXED)
        if self._cumulative is not None:
            pieces, problem = self._cumulative.only_new(pieces)
            if problem is not None and not self._was_over:  # the end that the same read brought is behind it
                self.failure, self.complete = problem, False
        elif self._repeats is not None and self._repeats.may_be:
            self._repeats.saw(pieces)
        else:
            self._plain = self._has_text and (self._choices is None or self._choices.is_plain)
        return pieces

    def _without_reasoning(self, pieces: list[Piece], shown: Rules) -> list[Piece]:
        """What is shown of them. From the first text on no more than that is looked for."""
        texts = [piece if not piece.reasoning else Piece(piece.text, end=piece.end) for piece in pieces if piece.text]
        self.thought = bool(pieces) and not texts
        if texts:
            self._rules, self._shown = shown, None
        return texts

    def _goes_with(self, choices: Choices) -> bool:
        """Text of index 0 came by a plan: False if that is another choice than the one that is taken."""
        choices.first_came()
        return not choices.is_odd

    def _otherwise(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """An event that no plan reads: by the rules, with what the events before it have shown."""
        if self._choices is not None and len(self._pieces) > self._known and not self._goes_with(self._choices):
            return MIXED
        if event == self._silent:
            self._known = len(self._pieces)
            return None
        document = self._rules.document(event)
        if self._choices is not None:
            several = document.json.get(self._choices_key) if type(document.json) is dict else None
            if type(several) is list and all(type(choice) is dict for choice in several):
                document.json[self._choices_key] = self._choices.pick(several)
                self._plain = self._plain and self._choices.is_plain
        result = self._rules.read_document(document)
        if self._choices is not None and self._choices.is_waiting:
            if isinstance(result, End) and result.conclusive:
                result = self._release(self._choices, result)
            elif isinstance(result, ProviderError) and isinstance(held := self._release(self._choices, None), Piece):
                self._pieces.append(held)  # it came before the failure
        if not isinstance(result, (Piece, ProviderError)) and not self._text_came():
            whole = self._rules.whole_text(document)
            result = Piece(whole, end=result) if whole else result
        if result is None and not event.data:
            self._silent = event
        self._known = len(self._pieces) + isinstance(result, Piece)
        return result

    def _text_came(self) -> bool:
        return self._has_text or any(piece.text for piece in self._pieces)

    def _release(self, choices: Choices, end: End | None) -> Piece | End | ProviderError | None:
        """What the choices say that were held back; `end` is behind them."""
        texts, thoughts, said = [], [], None
        for choice in choices.release():
            document = Document("{}")
            document.json = {self._choices_key: [choice]}
            held = self._rules.read_document(document)
            if isinstance(held, Piece):
                texts.append(held.text)
                thoughts.append(held.reasoning)
                held = held.end
            said = said or held
            if isinstance(said, ProviderError):
                break
        if isinstance(said, End) and end is not None:
            said = End(said.reason, conclusive=True)
        text, thought = "".join(texts), "".join(thoughts)
        return Piece(text, thought, said or end) if text or thought else said or end


def _counted(
    events: Sequence[ServerSentEvent], pieces: Sequence[Piece], before: list[int]
) -> Iterator[ServerSentEvent]:
    """The events; `before` gets, of each that is taken, how many pieces there were by then."""
    for event in events:
        before.append(len(pieces))
        yield event
