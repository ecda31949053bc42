"""How one provider's stream is read, said declaratively: `Preset`, made of extractors, `EndMark`s and `ErrorMark`s."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

from streamkit.errors import ConfigError
from streamkit.extractor import Document, Extractor, Where
from streamkit.extractor.document import Compiled
from streamkit.extractor.follow import first_key
from streamkit.extractor.misfit import misfit_of
from streamkit.extractor.path import Condition, Kinds, Path, WhereSpec, kinds_of
from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets import asking
from streamkit.presets.asking import Ask, Question, UpstreamRequest
from streamkit.presets.common import CommonRules, Guarded
from streamkit.presets.failures import may_fail, tells_failure
from streamkit.presets.marks import COMMON_ERRORS, EndMark, ErrorMark, Extractors, extractors
from streamkit.presets.plans import (
    Plan,
    Plans,
    Shape,
    any_alarm,
    has_json_steps,
    left_of,
    standing,
    text_of,
    text_unless,
)
from streamkit.presets.reader import Rules, TextRule
from streamkit.presets.writer import Writer

__all__ = ["COMMON_ERRORS", "EndMark", "ErrorMark", "Preset"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Preset(Compiled):
    """How a provider is asked, how its stream is read, and how it writes.

        >>> mine = sk.Preset(name="mine", text="body.say", signs=("body exists",))
        >>> mine.read(sk.ServerSentEvent(data='{"body": {"say": "hi"}}'))
        Piece(text='hi', reasoning='', end=None)

    name             what it is called
    text             paths or Extractors of the text; of several, the first that yields text wins
    reasoning        the same for reasoning
    show_reasoning   whether pieces carry reasoning
    ends             `EndMark`s: what the end of the stream looks like. Without any, or if all are optional, clean
                     framing alone proves that the stream is complete
    errors           `ErrorMark`s: what errors inside the stream look like
    whole            Extractors of texts that repeat what came in pieces; an `Answer` uses them if nothing came in
                     pieces. They are looked for in events that their conditions name
                     (`type == 'response.output_text.done'`), and in those of the end
    cumulative       whether each event's text repeats all text before it; an `Answer` then gives only the new part
    choices          the key of a list of choices that share the stream and have an `index`. An `Answer` takes one of
                     them; `read` takes index 0 (by a condition of `text`)
    grammar          "sse", or "ndjson" for one JSON value per line
    signs            conditions by which `detect` knows the provider: one event for which one of them holds is enough
    ask              how it is asked: a function of `streamkit.presets.asking`, or one of your own, from a Question to
                     an UpstreamRequest
    write            a `Writer`: how it writes, for upstreams that follow a script; None if it is never scripted

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
    whole: Extractors = ()
    cumulative: bool = False
    choices: str | None = None

    def __post_init__(self) -> None:
        if self.grammar not in {"sse", "ndjson"}:
            raise ConfigError(f"expected grammar as 'sse' or 'ndjson', got {self.grammar!r}")
        if self.write is not None and self.write.is_ndjson is not (self.grammar == "ndjson"):
            raise ConfigError(f"expected a Writer of grammar {self.grammar!r}, got {self.write!r}")
        object.__setattr__(self, "text", extractors(self.text))
        object.__setattr__(self, "reasoning", extractors(self.reasoning))
        object.__setattr__(self, "whole", extractors(self.whole))
        _ = self._signs  # what is wrong with one is said here

    def __repr__(self) -> str:
        return f"<Preset {self.name}, {self.grammar}{', with reasoning' * self.show_reasoning}>"

    @property
    def framing(self) -> Literal["sse", "ndjson"]:
        """The old name of `grammar`, from before 0.1.0; it will be removed in 0.2."""
        warnings.warn("Preset.framing is called Preset.grammar now", DeprecationWarning, stacklevel=2)
        return self.grammar

    @property
    def has_end_marker(self) -> bool:
        """Whether the provider has to say that it is done; if not, clean framing alone proves completion."""
        return any(not mark.optional for mark in self.ends)

    def with_reasoning(self) -> Preset:
        """The same preset, with reasoning in its pieces."""
        return self if self.show_reasoning else self._with_reasoning

    def matches(self, event: ServerSentEvent) -> bool:
        """Whether the event has a sign that only this provider's events have."""
        document = Document.of(event)
        return any(sign.holds(document) for sign in self._signs)

    def read(self, event: ServerSentEvent) -> Piece | End | ProviderError | None:
        """Read one event by itself; it never raises because of what is on the wire.

        Returns a piece of text or reasoning (which holds the end, if the same event also ends the stream), an end, an
        error (an ExtractionError if data that is needed is malformed or of the wrong type), or None. A preset knows of
        no other event; to read a stream, use an `Answer`.
        """
        pieces: list[Piece] = []
        end = self.read_pieces(iter((event,)), pieces)
        return pieces[0] if pieces else end

    @cached_property
    def read_pieces(self) -> Callable[[Iterator[ServerSentEvent], list[Piece]], End | ProviderError | None]:
        """A function `(events, pieces)` that reads many events, such as all that one read brought.

        It appends their pieces to `pieces`, up to the first event that ends the stream or is an error, and returns that
        end or error; what follows is left in the iterator `events`. None: all events are read. It gives what `read`
        gives for each event (an end that came with text is also in its piece), but takes less time for many.
        """
        rules = self.rules
        return partial(rules.read_pieces, otherwise=rules.read_by_rules)

    @cached_property
    def rules(self) -> Rules:
        """The preset's rules, compiled."""
        errors = tuple((mark.needed_key, mark.applies.holds, mark.read) for mark in self.errors)
        text, reasoning, whole = map(_rules, (self._texts, self._reasonings, extractors(self.whole)))
        ends = tuple((mark.needed_key, mark.applies.holds, mark.read) for mark in self.ends)
        by_key = any(rule[0] is not None for rule in (*errors, *text, *_rules(extractors(self.reasoning)), *ends))
        looked_at = (*self._texts, *self._reasonings)
        misfits = tuple(misfit_of(one.paths, one.where, self._kinds) for one in looked_at)
        roots = self._kinds.get((), frozenset())
        return Rules(
            Plans(self._plan, self._common),
            errors,
            text,
            reasoning,
            ends,
            whole,
            misfits,
            self._known,
            frozenset(self._beginnings),
            by_key,
            roots,
        )

    @cached_property
    def _texts(self) -> tuple[Extractor, ...]:
        return extractors(self.text)

    @cached_property
    def _reasonings(self) -> tuple[Extractor, ...]:
        """Those that are shown."""
        return extractors(self.reasoning if self.show_reasoning else ())

    @cached_property
    def _all_texts(self) -> tuple[Extractor, ...]:
        return (*self._texts, *extractors(self.reasoning), *extractors(self.whole))

    @cached_property
    def _kinds(self) -> Kinds:
        """What all its texts together expect at each place: no misfit to one is what another goes on into."""
        return kinds_of(path for extractor in self._all_texts for path in extractor.paths)

    @cached_property
    def _known(self) -> frozenset[str]:
        """The keys at which its texts begin, and the reasons that are ends by themselves."""
        return frozenset(key for key, _ in self._beginnings)

    @cached_property
    def _beginnings(self) -> set[tuple[str, str | None]]:
        """Each of these keys, and the one without which it means nothing to this provider, if there is one."""
        several = (*self._all_texts, *self._end_reasons)
        found = ((first_key(path), Where(one.where).needed_key) for one in several for path in one.paths)
        return {(key, needed) for key, needed in found if key is not None}

    @cached_property
    def _with_reasoning(self) -> Preset:
        return replace(self, show_reasoning=True)

    @cached_property
    def _signs(self) -> tuple[Where, ...]:
        return tuple(map(Where, self.signs))

    @cached_property
    def literals(self) -> frozenset[str]:
        """The strings with which its conditions compare; of all other strings they only ask whether they are there."""
        several = (*self._all_texts, *(reason for mark in self.ends for reason in mark.reasons))
        wheres = [one.where for one in several]
        wheres += [end.applies.conditions for end in self.ends]
        wheres += [error.applies.conditions for error in self.errors]
        return frozenset(condition.literal for where in wheres for condition in where if type(condition.literal) is str)

    def _plan(self, shape: Shape) -> Plan:
        """The short way for events of one shape: to texts only. What may be an error or an end is read by the rules."""
        alarms = [standing(path) for path in self._places(shape)]
        if may_fail(shape.keys, self._known):
            alarms.append(tells_failure)
        text = text_of(self._texts, shape, self._kinds, self.choices)
        reason = text_of(self._end_reasons, shape, None, self.choices)
        return Plan(
            text_unless(any_alarm(self._signs_left(shape), alarms), reason, text),
            text_of(self._reasonings, shape, self._kinds, self.choices),
            sure=not has_json_steps([*self._texts, *self._reasonings, *self._end_reasons]),
        )

    def _common(self, shape: Shape) -> CommonRules | None:
        """The same for those events of the shape that are a text and nothing else; None where there can be none."""
        text = next(_found(self._texts, shape), None)
        if text is None:
            return None
        reasons = _found((*self._end_reasons, *self._reasonings), shape)
        nothing = [*reasons, *((place, ()) for place in self._places(shape))]
        return CommonRules(text, nothing, self._signs_left(shape), may_fail(shape.keys, self._known))

    @cached_property
    def _end_reasons(self) -> list[Extractor]:
        """Those that are ends by themselves."""
        return [extractor for mark in self.ends if not mark.where for extractor in mark.reasons]

    def _signs_left(self, shape: Shape) -> list[list[Condition]]:
        """Of each sign of an end or an error what remains to be tested; those that such an event cannot be are gone."""
        signs = [shape.left(mark.applies.conditions) for mark in self.ends if mark.where]
        signs += [shape.left(mark.applies.conditions) for mark in self.errors if mark.place is None]
        signs += [shape.left(one.where) for one in extractors(self.whole) if shape.may_hold(one) and one.is_plain]
        return [conditions for conditions in signs if conditions is not None]

    def _places(self, shape: Shape) -> list[Path]:
        """Where in such an event an error may stand."""
        places = (mark.place for mark in self.errors)
        return [place for place in places if place is not None and shape.has(place)]

    def request(
        self,
        chat_history: str,
        *,
        key: str | None = None,
        model: str | None = None,
        extra: Mapping[str, object] | None = None,
        **fields: object,
    ) -> UpstreamRequest:
        """The request that asks the upstream: the POST for this `chat_history` (text, or a JSON list of messages).

        `key` is the API key, `model` the model to ask for. `extra` and all further keyword arguments are fields of the
        body; they override the preset's own. Raises ConfigError for a key or a field that cannot be sent.
        """
        accept = "application/x-ndjson" if self.grammar == "ndjson" else "text/event-stream"
        return self.ask(Question(chat_history, key, model, {**(extra or {}), **fields}, accept))


def _rules(several: Iterable[Extractor]) -> tuple[TextRule, ...]:
    return tuple((extractor.needed_key, extractor.text) for extractor in several)


def _found(several: Iterable[Extractor], shape: Shape) -> Iterator[Guarded]:
    """Where they may find something in such an event, in their order, and under which conditions."""
    for extractor in several:
        guards = left_of(extractor, shape)
        if guards is not None:
            yield from ((path, guards) for path in extractor.paths if shape.has(path))
