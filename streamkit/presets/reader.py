"""A preset's rules, compiled: `Rules` read events by them, most events by a shorter plan (see `plans`)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import orjson

from streamkit.extractor import Document
from streamkit.extractor.follow import MISSING, decode
from streamkit.extractor.misfit import Misfit, wrong_type
from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets.failures import may_fail, tells_failure
from streamkit.presets.marks import TOLD
from streamkit.presets.plans import BY_RULES, Plans

__all__ = ["DONE", "HEARTBEATS", "Rules"]

DONE: Final = "[DONE]"
"""Ends a stream of any provider that writes JSON: gateways put it behind all of them."""

NO_JSON: Final = decode(DONE)
"""What its decoding finds, at each end of a stream."""

HEARTBEATS: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""Events of these types, or with these words as data, say no more than a comment does, and are asked for no JSON."""

_new_tuple = tuple.__new__  # half the cost of Piece(…)

T = TypeVar("T")
# A rule, compiled: the key without which it cannot apply; when a mark does; and what it then finds.
MarkRule: TypeAlias = tuple[str | None, Callable[[Document], bool], Callable[[Document], T | None]]
TextRule: TypeAlias = tuple[str | None, Callable[[Document], str]]
Ending: TypeAlias = End | ProviderError | None
Otherwise: TypeAlias = Callable[[ServerSentEvent], Piece | Ending]


@dataclass(frozen=True, slots=True)
class Rules:
    """A preset's rules, compiled, and the plans that shorten them.

    Each rule stands behind the key without which it cannot apply: of a dozen, most need not be tried. `by_key`
    is False where none needs a key, so that the data, which need not be JSON, are not decoded for that. `known` are the
    keys at which texts begin, `beginnings` the same, each with the key that its rule's condition needs, `roots` the
    kinds of payloads in which they do; `whole` finds the texts that repeat what came in pieces (see `Preset`).
    """

    plans: Plans
    errors: tuple[MarkRule[ProviderError], ...]
    text: tuple[TextRule, ...]
    reasoning: tuple[TextRule, ...]
    ends: tuple[MarkRule[End | ProviderError], ...]
    whole: tuple[TextRule, ...]
    misfits: tuple[Misfit, ...]
    known: frozenset[str]
    beginnings: frozenset[tuple[str, str | None]]
    by_key: bool
    roots: frozenset[type]

    def read_pieces(self, events: Iterator[ServerSentEvent], pieces: list[Piece], otherwise: Otherwise) -> Ending:
        """See `Preset.read_pieces`. `otherwise` reads the events that no plan reads, as `read_by_rules` does."""
        # Here only texts are found, as the rules would find them; on errors, ends and all else `otherwise` decides.
        plans, by_key, plan, planned = self.plans, self.by_key, BY_RULES, None
        for event in events:
            kind, data, _ = event
            try:
                value = orjson.loads(data) if by_key and data != DONE else None  # an error takes longer than an event
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
                    if reasoning is not None:
                        if text or reasoning:
                            pieces.append(_new_tuple(Piece, (text, reasoning, None)))
                            continue
                        if plan.sure:
                            continue
            result = otherwise(event)
            if isinstance(result, Piece):
                pieces.append(result)
                result = result.end
            if result is not None:
                return result
        return None

    def read_by_rules(self, event: ServerSentEvent) -> Piece | Ending:
        """`read` without plans: all that an event can mean by itself is decided here."""
        return self.read_document(self.document(event))

    def document(self, event: ServerSentEvent) -> Document:
        """The event, decoded where its JSON is asked for."""
        document = Document(event.data, event.event, event.id)
        if self.by_key and event.data == DONE:
            document.json, document.problem = MISSING, NO_JSON
        elif self.by_key:
            document.load()
        return document

    def read_document(self, document: Document) -> Piece | Ending:
        """The same of a document whose JSON is decoded."""
        value = document.json if self.by_key else None
        keys: dict[str, Any] = value if type(value) is dict else {}
        error = _first_mark(self.errors, keys, document)
        if error is not None:
            return error
        text = _first_text(self.text, keys, document)
        reasoning = _first_text(self.reasoning, keys, document)
        end = _first_mark(self.ends, keys, document)
        looks = keys or (type(value) is list and list in self.roots)
        if looks and (not text or document.is_mixed) and document.event not in HEARTBEATS:
            for misfit in self.misfits:
                found = misfit(document)
                if found is not None:
                    return TOLD.read(document) if may_fail(keys, self.known) and tells_failure(keys) else found
        if text or reasoning:
            return Piece(text, reasoning, end)
        if end is not None:
            return end
        if not self.by_key:
            return document.problem or self._of_stray(document)
        return self._of_no_object(document, value) if type(value) is not dict else self._of_unknown(document, value)

    def whole_text(self, document: Document) -> str:
        """The text of an event that repeats what came in pieces, if it did."""
        value = document.json if self.by_key else None
        return _first_text(self.whole, value, document) if type(value) is dict else ""

    def may_recognise(self, data: str) -> bool:
        """False where decoding cannot help: a large event of somebody else's is not decoded to be looked at."""
        return any(f'"{key}"' in data for key in self.known)

    def recognises(self, value: object) -> bool:
        """Something stands where this provider's texts begin."""
        return type(value) is dict and any(value.get(key) for key in self.known)

    def recognises_as_own(self, value: object) -> bool:
        """The same where a rule may hold: a `text` that is one's own only beside a `type` may be anybody's without."""
        if type(value) is not dict:
            return False
        return any(value.get(key) and (needed is None or needed in value) for key, needed in self.beginnings)

    def _of_no_object(self, document: Document, value: Any) -> Ending:
        """A payload that is no JSON object, and no rule's: `[DONE]` ends every stream, a heartbeat is none of it."""
        word = document.text().strip().strip('"')
        if word == DONE:
            return End()
        if document.event in HEARTBEATS or word.lower() in HEARTBEATS or value is None:
            return None
        if value is MISSING:  # malformed, or blank
            return document.problem
        for item in value if type(value) is list else ():
            if type(item) is dict:
                inner = Document(document.data, document.event, document.id)
                inner.json = item
                error = _first_mark(self.errors, item, inner) or self._of_unknown(inner, item)
                if isinstance(error, ProviderError):
                    return error
        return None if self._is_usual(value) else wrong_type((), frozenset((dict,)), value)

    def _of_stray(self, document: Document) -> Ending:
        """In a stream whose data are text, by events of types of their own, one of no type: an error, if it is JSON."""
        if document.event != "message":
            return None
        stray = Document(document.data)
        value = stray.load()
        if value is MISSING or value is None:
            return None
        return self._of_unknown(stray, value) if type(value) is dict else self._of_no_object(stray, value)

    def _is_usual(self, value: Any) -> bool:
        """A payload as this provider's texts begin in, although none stood there: a list of objects, an empty text."""
        if type(value) not in self.roots:
            return False
        return bool(value) and all(type(item) is dict for item in value) if type(value) is list else not value

    def _of_unknown(self, document: Document, value: dict[str, Any]) -> Ending:
        """An object in which no rule finds anything: nothing, unless it is an error by its shape."""
        if document.problem is not None or not may_fail(value, self.known) or self.recognises(value):
            return document.problem
        return TOLD.read(document) if tells_failure(value) else None


def _first_text(rules: Iterable[TextRule], keys: Container[str], document: Document) -> str:
    for key, text in rules:
        if key is None or key in keys:
            found = text(document)
            if found:
                return found
    return ""


def _first_mark(
    marks: Iterable[MarkRule[End | ProviderError]] | Iterable[MarkRule[ProviderError]],
    keys: Container[str],
    document: Document,
) -> Ending:
    for key, applies, read in marks:
        if (key is None or key in keys) and applies(document):
            found = read(document)
            if found is not None:
                return found
    return None
