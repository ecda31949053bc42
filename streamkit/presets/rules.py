"""How one provider's stream is read, said declaratively: `Preset`, made of extractors, `EndMark`s and `ErrorMark`s."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import orjson

from streamkit.errors import ConfigError
from streamkit.extractor import Document, Extractor, Values, Where
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

__all__ = ["COMMON_ERRORS", "EndMark", "ErrorMark", "Preset"]

MAX_MESSAGE = 200
_CODE = re.compile(r"[!-~]{1,64}")
_new_tuple = tuple.__new__  # half the cost of Piece(…)

Extractors: TypeAlias = str | Extractor | Iterable[str | Extractor]


def _extractors(spec: Extractors) -> tuple[Extractor, ...]:
    several = (spec,) if isinstance(spec, (str, Extractor)) else tuple(spec)
    return tuple(item if isinstance(item, Extractor) else Extractor(item) for item in several)


def _first_text(extractors: Iterable[tuple[str | None, Extractor]], keys: Container[str], document: Document) -> str:
    for key, extractor in extractors:
        if key is None or key in keys:
            text = extractor.text(document)
            if text:
                return text
    return ""


def _as_code(value: object) -> str | None:
    """A word of the provider's that can serve as a code: short, printable, without white space; numbers as digits."""
    word = str(value) if type(value) is int and value else value
    return word if isinstance(word, str) and _CODE.fullmatch(word) else None


def _as_message(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:MAX_MESSAGE]).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndMark:
    """A sign that the stream is over.

    With `where`, those conditions are the sign, and `reason` (paths or Extractors) only says why. Without `where`,
    a reason's text is itself the sign. A reason among `failures` is an error with that code. `conclusive`: see `End`.

        EndMark(where="@data == '[DONE]'")
        EndMark(reason="choices[0].finish_reason", conclusive=False, failures=("error",))
    """

    where: WhereSpec = ()
    reason: Extractors = ()
    conclusive: bool = True
    failures: tuple[str, ...] = ()
    applies: Where = field(init=False, repr=False, compare=False)
    needed_key: str | None = field(init=False, repr=False, compare=False)
    _reason: tuple[Extractor, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where, reason = conditions(self.where), _extractors(self.reason)
        if not where and not reason:
            raise ConfigError("expected where= or reason= in an EndMark, got neither: every event would end the stream")
        object.__setattr__(self, "where", where)
        object.__setattr__(self, "applies", Where(where))
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "_reason", reason)
        only = reason[0].needed_key if len(reason) == 1 and not where else None
        object.__setattr__(self, "needed_key", self.applies.needed_key or only)

    def read(self, document: Document) -> End | ProviderError | None:
        """The end that an event means for which `where` holds; the failure; or None."""
        reason = ""
        for extractor in self._reason:
            reason = reason or extractor.text(document)
        if not reason and not self.where:
            return None
        if reason in self.failures:
            return ProviderError(_as_code(reason) or "error")
        return End(_as_code(reason), self.conclusive)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMark:
    """A shape in which errors come inside the stream.

    It is an error where all of `where` hold and, if `at` is given, something stands there: null, false, 0, "" and empty
    objects are nothing (so `error: null` is no error). The code is the first of the `code` paths that leads to a word
    or a number, else `default`; the message the first of the `message` paths that leads to a string, else the raw data.

        ErrorMark(at="error")
        ErrorMark(where="@event == 'chat.failed'", code="last_error.code", message="last_error.msg")
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
    applies: Where = field(init=False, repr=False, compare=False)
    needed_key: str | None = field(init=False, repr=False, compare=False)
    _at: Values | None = field(init=False, repr=False, compare=False)
    _code: Values = field(init=False, repr=False, compare=False)
    _message: Values = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = conditions(self.where)
        if not where and self.at is None:
            raise ConfigError("expected where= or at= in an ErrorMark, got neither: every event would be an error")
        object.__setattr__(self, "where", where)
        object.__setattr__(self, "applies", Where(where))
        object.__setattr__(self, "_at", None if self.at is None else Values(self.at))
        inside = None if self.at is None else first_key(Path.of(self.at))
        object.__setattr__(self, "needed_key", self.applies.needed_key or inside)
        object.__setattr__(self, "_code", _values(self.code))
        object.__setattr__(self, "_message", _values(self.message))

    def read(self, document: Document) -> ProviderError | None:
        """The error that an event reports for which `where` holds, or None."""
        if self._at is not None and not any(self._at.of(document)):
            return None
        codes = (_as_code(value) for value in self._code.of(document))
        messages = (value for value in self._message.of(document) if isinstance(value, str) and value)
        return ProviderError(
            next((code for code in codes if code), self.default),
            _as_message(next(messages, None) or document.text()),
        )


def _values(paths: str | tuple[str, ...]) -> Values:
    return Values(paths) if isinstance(paths, str) else Values(*paths)


# The shapes that providers share: Groq's `event: error`, OpenAI's `{"error": …}` beside or in place of the answer.
COMMON_ERRORS = (ErrorMark(where="@event == 'error'"), ErrorMark(at="error"))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Preset:
    """How one provider's upstream is asked, and how its stream is read.

    - `text`, `reasoning`: paths or Extractors; of several, the first that yields text wins. Reasoning is left out of
      the pieces unless `show_reasoning`.
    - `ends`: what the end of the stream looks like. With no conclusive one (none at all, often), only clean framing
      proves that the stream is complete.
    - `errors`: what errors inside the stream look like.
    - `framing`: "sse", or "ndjson" for one JSON value per line.
    - `signs`: conditions by which `detect` knows the provider; one event for which one of them holds is enough.
    - `ask`: how it is asked; the functions of `streamkit.presets.asking` or one's own, from a Question
      to an UpstreamRequest.

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
    framing: Literal["sse", "ndjson"] = "sse"
    signs: tuple[WhereSpec, ...] = ()
    ask: Ask = asking.form
    show_reasoning: bool = False
    # Each rule with the key without which it cannot apply: of a dozen rules, most need not be tried.
    _errors: tuple[tuple[str | None, ErrorMark], ...] = field(init=False, compare=False)
    _text: tuple[tuple[str | None, Extractor], ...] = field(init=False, compare=False)
    _reasoning: tuple[tuple[str | None, Extractor], ...] = field(init=False, compare=False)
    _ends: tuple[tuple[str | None, EndMark], ...] = field(init=False, compare=False)
    _looks_at_keys: bool = field(init=False, compare=False)
    _signs: tuple[Where, ...] = field(init=False, compare=False)
    _plans: Plans = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if self.framing not in {"sse", "ndjson"}:
            raise ConfigError(f"expected framing as 'sse' or 'ndjson', got {self.framing!r}")
        object.__setattr__(self, "text", _extractors(self.text))
        object.__setattr__(self, "reasoning", _extractors(self.reasoning))
        looks = False
        for name in ("errors", "text", "reasoning", "ends"):
            keyed = tuple((rule.needed_key, rule) for rule in getattr(self, name))
            object.__setattr__(self, f"_{name}", keyed)
            looks = looks or any(key is not None for key, _ in keyed)
        object.__setattr__(self, "_looks_at_keys", looks)
        object.__setattr__(self, "_signs", tuple(Where(sign) for sign in self.signs))
        object.__setattr__(self, "_plans", Plans(self._plan))

    def __reduce__(self) -> tuple[Any, ...]:
        # Only what it was made of: the plans are functions, which cannot be pickled.
        return _restore, (type(self), {item.name: getattr(self, item.name) for item in fields(self) if item.init})

    def __repr__(self) -> str:
        return f"<Preset {self.name}, {self.framing}{', with reasoning' * self.show_reasoning}>"

    @property
    def has_end_marker(self) -> bool:
        """False where the provider never says that it is done, so that only clean framing proves completion."""
        return any(mark.conclusive for mark in self.ends)

    def with_reasoning(self) -> Preset:
        """The same preset, with reasoning in its pieces."""
        return self if self.show_reasoning else replace(self, show_reasoning=True)

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

    def read_pieces(self, events: Iterator[ServerSentEvent], pieces: list[Piece]) -> End | ProviderError | None:
        """Append the pieces of the events to `pieces`, up to the first that ends the stream or is an error.

        Returns that end or error; what follows it is left in `events`. None: all events are read. It gives what `read`
        gives for each event (an end that came with text is also in its piece), and takes less time for many.
        """
        # Here only texts are found, as `_read_by_rules` would find them; on errors, ends and all else it decides.
        plans, plan, planned = self._plans, BY_RULES, None
        for event in events:
            kind, data, _ = event
            try:
                value = orjson.loads(data) if self._looks_at_keys else None
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
            result = self._read_by_rules(event)
            if isinstance(result, Piece):
                pieces.append(result)
                result = result.end
            if result is not None:
                return result
        return None

    def _plan(self, shape: Shape) -> Plan:
        """The short way for events of one shape: to texts only. What may be an error or an end is read by the rules."""
        text, reasoning = _extractors(self.text), _extractors(self.reasoning if self.show_reasoning else ())
        reasons = [
            extractor for mark in self.ends if not mark.applies.conditions for extractor in _extractors(mark.reason)
        ]
        signs = [shape.left(mark.applies.conditions) for mark in self.ends if mark.applies.conditions]
        signs += [shape.left(mark.applies.conditions) for mark in self.errors if mark.at is None]
        left = [conditions for conditions in signs if conditions is not None]
        places = [Path.of(mark.at) for mark in self.errors if mark.at is not None]
        alarm = any_alarm(left, [standing(path) for path in places if shape.has(path)])
        return Plan(
            text_unless(alarm, reasons, text, shape),
            text_of(reasoning, shape),
            sure=not has_json_steps([*text, *reasoning, *reasons]),
        )

    def _read_by_rules(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """`read` without plans: all that an event can mean is decided here."""
        document = Document(event.data, event.event, event.id)
        value = document.load() if self._looks_at_keys else None
        keys = value if type(value) is dict else ()
        for key, error_mark in self._errors:
            if (key is None or key in keys) and error_mark.applies.holds(document):
                error = error_mark.read(document)
                if error is not None:
                    return error
        text = _first_text(self._text, keys, document)
        reasoning = _first_text(self._reasoning, keys, document) if self.show_reasoning else ""
        end = None
        for key, end_mark in self._ends:
            if (key is None or key in keys) and end_mark.applies.holds(document):
                end = end_mark.read(document)
                if end is not None:
                    break
        if isinstance(end, ProviderError):
            return end
        if text or reasoning:
            return Piece(text, reasoning, end)
        return end or document.problem

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
        accept = "application/x-ndjson" if self.framing == "ndjson" else "text/event-stream"
        return self.ask(Question(chat_history, key, model, {**(extra or {}), **fields}, accept))


def _restore(cls: type[Preset], made_of: dict[str, Any]) -> Preset:
    return cls(**made_of)
