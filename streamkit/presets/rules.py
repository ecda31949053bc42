"""How one provider's stream is read, said declaratively: `Preset`, made of extractors, `EndMark`s and `ErrorMark`s."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias, TypeVar

import orjson

from streamkit.errors import ConfigError
from streamkit.extractor import Document, Extractor, Values, Where
from streamkit.extractor.document import Compiled
from streamkit.extractor.follow import first_key
from streamkit.extractor.path import Path, WhereSpec, conditions
from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets import asking
from streamkit.presets.asking import Ask, Question, UpstreamRequest
from streamkit.presets.plans import (
    BY_RULES,
    Plan,
    Plans,
    Shape,
    any_alarm,
    has_json_steps,
    standing,
    text_of,
    text_unless,
)
from streamkit.presets.writing import Writer

__all__ = ["COMMON_ERRORS", "EndMark", "ErrorMark", "Preset"]

MAX_MESSAGE = 200
_CODE = re.compile(r"[!-~]{1,64}")
_new_tuple = tuple.__new__  # half the cost of Piece(…)

Extractors: TypeAlias = str | Extractor | Iterable[str | Extractor]
T = TypeVar("T")
# A rule, compiled: the key without which it cannot apply; when a mark does; and what it then finds.
MarkRule: TypeAlias = tuple[str | None, Callable[[Document], bool], Callable[[Document], T]]
TextRule: TypeAlias = tuple[str | None, Callable[[Document], str]]


def _extractors(spec: Extractors) -> tuple[Extractor, ...]:
    several = (spec,) if isinstance(spec, (str, Extractor)) else tuple(spec)
    return tuple(item if isinstance(item, Extractor) else Extractor(item) for item in several)


def _first_text(rules: Iterable[TextRule], keys: Container[str], document: Document) -> str:
    for key, text in rules:
        if key is None or key in keys:
            found = text(document)
            if found:
                return found
    return ""


def _as_code(value: object) -> str | None:
    """A word of the provider's that can serve as a code: short, printable, without white space; numbers as digits."""
    word = str(value) if type(value) is int and value else value
    return word if isinstance(word, str) and _CODE.fullmatch(word) else None


def _as_message(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:MAX_MESSAGE]).strip()


@dataclass(frozen=True, kw_only=True)
class EndMark(Compiled):
    """A sign that the stream is over.

    With `where`, those conditions are the sign, and `reason` (paths or Extractors) only says why. Without `where`,
    a reason's text is itself the sign. A reason among `failures` is an error with that code. `conclusive`: see `End`.

        >>> from streamkit.presets import EndMark
        >>> done = EndMark(where="@data == '[DONE]'")
        >>> stop = EndMark(reason="choices[0].finish_reason", conclusive=False, failures=("error",))
        >>> sk.Preset(name="mine", text="say", ends=(done, stop)).read(sk.ServerSentEvent(data="[DONE]"))
        End(reason=None, conclusive=True)
    """

    where: WhereSpec = ()
    reason: Extractors = ()
    conclusive: bool = True
    failures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", conditions(self.where))
        object.__setattr__(self, "reason", _extractors(self.reason))
        if not self.where and not self.reason:
            raise ConfigError("expected where= or reason= in an EndMark, got neither: every event would end the stream")

    @cached_property
    def applies(self) -> Where:
        """`where`, compiled."""
        return Where(self.where)

    @cached_property
    def reasons(self) -> tuple[Extractor, ...]:
        """`reason`, compiled."""
        return _extractors(self.reason)

    @cached_property
    def needed_key(self) -> str | None:
        """The key without which a JSON object cannot hold this sign; None if there is no such key."""
        only = self.reasons[0].needed_key if len(self.reasons) == 1 and not self.where else None
        return self.applies.needed_key or only

    def read(self, document: Document) -> End | ProviderError | None:
        """The end that an event means for which `where` holds; the failure; or None."""
        reason = ""
        for extractor in self.reasons:
            reason = reason or extractor.text(document)
        if not reason and not self.where:
            return None
        if reason in self.failures:
            return ProviderError(_as_code(reason) or "error")
        return End(_as_code(reason), self.conclusive)


@dataclass(frozen=True, kw_only=True)
class ErrorMark(Compiled):
    """A shape in which errors come inside the stream.

    It is an error where all of `where` hold and, if `at` is given, something stands there: null, false, 0, "" and empty
    objects are nothing (so `error: null` is no error). The code is the first of the `code` paths that leads to a word
    or a number, else `default`; the message the first of the `message` paths that leads to a string, else the raw data.

        >>> from streamkit.presets import ErrorMark
        >>> at_error = ErrorMark(at="error")
        >>> failed = ErrorMark(where="@event == 'failed'", code="last_error.code", message="last_error.msg")
        >>> mine = sk.Preset(name="mine", text="say", errors=(at_error, failed))
        >>> mine.read(sk.ServerSentEvent("failed", '{"last_error": {"code": 7, "msg": "gone"}}'))
        ProviderError(code='7', message='gone')
    """

    where: WhereSpec = ()
    at: str | None = None
    code: str | tuple[str, ...] = (
        "error.code",
        "error.type",
        "error.status",
        "error_code",
        "error_type",
        "code",
        "error",
    )
    message: str | tuple[str, ...] = ("error.message", "message", "msg", "detail", "error")
    default: str = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", conditions(self.where))
        if not self.where and self.at is None:
            raise ConfigError("expected where= or at= in an ErrorMark, got neither: every event would be an error")
        _ = self.place, self._codes, self._messages  # what is wrong with a path is said here

    @cached_property
    def applies(self) -> Where:
        """`where`, compiled."""
        return Where(self.where)

    @cached_property
    def place(self) -> Path | None:
        """`at`, compiled."""
        return None if self.at is None else Path.of(self.at)

    @cached_property
    def needed_key(self) -> str | None:
        """The key without which a JSON object cannot be this error; None if there is no such key."""
        return self.applies.needed_key or (first_key(self.place) if self.place else None)

    def read(self, document: Document) -> ProviderError | None:
        """The error that an event reports for which `where` holds, or None."""
        if self._standing is not None and not any(self._standing.of(document)):
            return None
        codes = (_as_code(value) for value in self._codes.of(document))
        messages = (value for value in self._messages.of(document) if isinstance(value, str) and value)
        return ProviderError(
            next((code for code in codes if code), self.default),
            _as_message(next(messages, None) or document.text()),
        )

    @cached_property
    def _standing(self) -> Values | None:
        return None if self.place is None else Values(self.place)

    @cached_property
    def _codes(self) -> Values:
        return _values(self.code)

    @cached_property
    def _messages(self) -> Values:
        return _values(self.message)


def _values(paths: str | tuple[str, ...]) -> Values:
    return Values(paths) if isinstance(paths, str) else Values(*paths)


# The shapes that providers share: Groq's `event: error`, OpenAI's `{"error": …}` beside or in place of the answer.
COMMON_ERRORS = (ErrorMark(where="@event == 'error'"), ErrorMark(at="error"))


@dataclass(frozen=True, slots=True)
class _Reader:
    """A preset's rules, compiled, and the plans that shorten them.

    Each rule stands behind the key without which it cannot apply: of a dozen, most need not be tried. `by_key`
    is False where none needs a key, so that the data, which need not be JSON, are not decoded for that.
    """

    plans: Plans
    errors: tuple[MarkRule[ProviderError | None], ...]
    text: tuple[TextRule, ...]
    reasoning: tuple[TextRule, ...]
    ends: tuple[MarkRule[End | ProviderError | None], ...]
    by_key: bool

    def read_pieces(self, events: Iterator[ServerSentEvent], pieces: list[Piece]) -> End | ProviderError | None:
        """See `Preset.read_pieces`."""
        # Here only texts are found, as the rules would find them; on errors, ends and all else `read_by_rules` decides.
        plans, by_key, plan, planned = self.plans, self.by_key, BY_RULES, None
        for event in events:
            kind, data, _ = event
            try:
                value = orjson.loads(data) if by_key else None
            except orjson.JSONDecodeError:
                value = None
            if type(value) is dict:
                shape = [kind, *value]  # a list: the quickest to make and to compare
                if shape != planned:
                    plan = plans[tuple(shape)]
                    planned = shape if plan is not BY_RULES else None
                text = plan.text(value)
                if text is not None:
                    reasoning = plan.reasoning(value) if plan.reasoning is not None else ""
                    if text or reasoning:
                        pieces.append(_new_tuple(Piece, (text, reasoning, None)))
                        continue
                    if plan.sure:
                        continue
            result = self.read_by_rules(event)
            if isinstance(result, Piece):
                pieces.append(result)
                result = result.end
            if result is not None:
                return result
        return None

    def read_by_rules(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """`read` without plans: all that an event can mean is decided here."""
        document = Document(event.data, event.event, event.id)
        value = document.load() if self.by_key else None
        keys = value if type(value) is dict else ()
        for key, applies, read_error in self.errors:
            if (key is None or key in keys) and applies(document):
                error = read_error(document)
                if error is not None:
                    return error
        text = _first_text(self.text, keys, document)
        reasoning = _first_text(self.reasoning, keys, document)
        end = None
        for key, applies, read_end in self.ends:
            if (key is None or key in keys) and applies(document):
                end = read_end(document)
                if end is not None:
                    break
        if isinstance(end, ProviderError):
            return end
        if text or reasoning:
            return Piece(text, reasoning, end)
        return end or document.problem


@dataclass(frozen=True, kw_only=True, repr=False)
class Preset(Compiled):
    """How one provider's upstream is asked, how its stream is read, and how it is written.

        >>> mine = sk.Preset(name="mine", text="body.say", signs=("body exists",))
        >>> mine.read(sk.ServerSentEvent(data='{"body": {"say": "hi"}}'))
        Piece(text='hi', reasoning='', end=None)

    - `text`, `reasoning`: paths or Extractors; of several, the first that yields text wins. Reasoning is left out of
      the pieces unless `show_reasoning`.
    - `ends`: what the end of the stream looks like. With no conclusive one (none at all, often), only clean framing
      proves that the stream is complete.
    - `errors`: what errors inside the stream look like.
    - `grammar`: "sse", or "ndjson" for one JSON value per line.
    - `signs`: conditions by which `detect` knows the provider; one event for which one of them holds is enough.
    - `ask`: how it is asked; the functions of `streamkit.presets.asking` or one's own, from a Question
      to an UpstreamRequest.
    - `write`: how it writes, for upstreams that follow a script; None where nobody scripts it.

        Preset(
            name="mine",
            text=Extractor("body.parts[*].say", where="kind == 'delta'"),
            ends=(EndMark(where="@event == 'bye'"),),
            errors=(ErrorMark(at="oops", code="oops.code"),),
            ask=streamkit.presets.asking.openai,
        )
    """

    name: str
    text: Extractors
    reasoning: Extractors = ()
    ends: tuple[EndMark, ...] = ()
    errors: tuple[ErrorMark, ...] = COMMON_ERRORS
    grammar: Literal["sse", "ndjson"] = "sse"
    signs: tuple[WhereSpec, ...] = ()
    ask: Ask = asking.form
    write: Writer | None = None
    show_reasoning: bool = False

    def __post_init__(self) -> None:
        if self.grammar not in {"sse", "ndjson"}:
            raise ConfigError(f"expected grammar as 'sse' or 'ndjson', got {self.grammar!r}")
        if self.write is not None and self.write.is_ndjson is not (self.grammar == "ndjson"):
            raise ConfigError(f"expected a Writer of grammar {self.grammar!r}, got {self.write!r}")
        object.__setattr__(self, "text", _extractors(self.text))
        object.__setattr__(self, "reasoning", _extractors(self.reasoning))
        _ = self._signs  # what is wrong with one is said here

    def __repr__(self) -> str:
        return f"<Preset {self.name}, {self.grammar}{', with reasoning' * self.show_reasoning}>"

    @property
    def framing(self) -> Literal["sse", "ndjson"]:
        """The `grammar`, by its name before 0.1.0; goes with 0.2."""
        warnings.warn("Preset.framing is called Preset.grammar now", DeprecationWarning, stacklevel=2)
        return self.grammar

    @property
    def has_end_marker(self) -> bool:
        """False where the provider never says that it is done, so that only clean framing proves completion."""
        return any(mark.conclusive for mark in self.ends)

    def with_reasoning(self) -> Preset:
        """The same preset, with reasoning in its pieces."""
        return self if self.show_reasoning else self._with_reasoning

    def matches(self, event: ServerSentEvent) -> bool:
        """True where the event has a sign that only this provider's have."""
        document = Document.of(event)
        return any(sign.holds(document) for sign in self._signs)

    def read(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """What one event gives; never raises because of what stands on the wire.

        An error (an ExtractionError for data that is malformed and would have been needed), a piece of text or
        reasoning (which holds the end, if the same event also ends the stream), an end, or None.
        """
        pieces: list[Piece] = []
        end = self.read_pieces(iter((event,)), pieces)
        return pieces[0] if pieces else end

    @cached_property
    def read_pieces(self) -> Callable[[Iterator[ServerSentEvent], list[Piece]], End | ProviderError | None]:
        """A function (events, pieces) that reads many: all that one read brought.

        It appends the pieces of the events to `pieces`, up to the first that ends the stream or is an error, and
        returns that end or error; what follows it is left in `events`. None: all events are read. It gives what `read`
        gives for each event (an end that came with text is also in its piece), and takes less time for many.
        """
        return self._reader.read_pieces

    @cached_property
    def _reader(self) -> _Reader:
        errors = tuple((mark.needed_key, mark.applies.holds, mark.read) for mark in self.errors)
        text = tuple((extractor.needed_key, extractor.text) for extractor in _extractors(self.text))
        reasoning = tuple((extractor.needed_key, extractor.text) for extractor in _extractors(self.reasoning))
        ends = tuple((mark.needed_key, mark.applies.holds, mark.read) for mark in self.ends)
        by_key = any(rule[0] is not None for rule in (*errors, *text, *reasoning, *ends))
        return _Reader(Plans(self._plan), errors, text, reasoning if self.show_reasoning else (), ends, by_key)

    @cached_property
    def _with_reasoning(self) -> Preset:
        return replace(self, show_reasoning=True)

    @cached_property
    def _signs(self) -> tuple[Where, ...]:
        return tuple(map(Where, self.signs))

    def _plan(self, shape: Shape) -> Plan:
        """The short way for events of one shape: to texts only. What may be an error or an end is read by the rules."""
        text, reasoning = _extractors(self.text), _extractors(self.reasoning if self.show_reasoning else ())
        reasons = [extractor for mark in self.ends if not mark.where for extractor in mark.reasons]
        signs = [shape.left(mark.applies.conditions) for mark in self.ends if mark.where]
        signs += [shape.left(mark.applies.conditions) for mark in self.errors if mark.place is None]
        left = [conditions for conditions in signs if conditions is not None]
        places = [mark.place for mark in self.errors if mark.place is not None]
        alarm = any_alarm(left, [standing(path) for path in places if shape.has(path)])
        return Plan(
            text_unless(alarm, reasons, text, shape),
            text_of(reasoning, shape),
            sure=not has_json_steps([*text, *reasoning, *reasons]),
        )

    def request(
        self,
        chat_history: str,
        *,
        key: str | None = None,
        model: str | None = None,
        extra: Mapping[str, object] | None = None,
        **fields: object,
    ) -> UpstreamRequest:
        """How the upstream is asked: the POST for this `chat_history` (text, or a JSON list of messages).

        `extra` and further keyword arguments are fields that go into the body beside the preset's own, and win over
        them. Raises ConfigError for a key or a field that cannot be sent.
        """
        accept = "application/x-ndjson" if self.grammar == "ndjson" else "text/event-stream"
        return self.ask(Question(chat_history, key, model, {**(extra or {}), **fields}, accept))
