"""What the outside of an event, its type and its top-level keys, already says about a preset's rules.

The events of a stream come in a handful of shapes, and most rules cannot apply to most shapes. What is left to do for
the events of one shape is compiled once, into a `Plan`, and remembered in `Plans`.

Most events of one read differ in nothing but their text: `Envelope`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import orjson

from streamkit.extractor import Extractor
from streamkit.extractor.follow import MISSING, all_hold, collector, condition_test, decode, finder, first_key, texter
from streamkit.extractor.path import EVERY, JSON, Condition, Path, Step
from streamkit.extractor.pieces import Piece
from streamkit.parser import ServerSentEvent

__all__ = [
    "BY_RULES",
    "Alarm",
    "Envelope",
    "Plan",
    "Plans",
    "Shape",
    "Text",
    "Undecided",
    "any_alarm",
    "hops",
    "opaque",
    "standing",
    "text_of",
    "text_unless",
]

Alarm: TypeAlias = Callable[[Any], object]
Text: TypeAlias = Callable[[Any], str]
Way: TypeAlias = tuple[tuple[Step, ...], list[Condition]]
T = TypeVar("T")

# Bounds against streams in which every event has another shape.
MAX_PLANS = 256
MAX_KEYS = 64
MAX_KEY_CHARACTERS = 2048
# Making a plan costs as much as reading some 20 events by the rules: it is made for shapes that have come this often.
PATIENCE = 16


PROBE: Final = secrets.token_hex(16)  # random, so that no stream can contain it
_new_tuple = tuple.__new__


class Undecided(Exception):
    """A rule asks for more than the decoded JSON, or applies whatever stands there: there is no shorter way."""


class Shape(NamedTuple):
    """The type of an event, and the keys of its data, which is a JSON object."""

    kind: str
    keys: frozenset[str]

    def has(self, path: Path) -> bool:
        """False where nothing can stand at that path. Raises Undecided for a path that does not start in the JSON."""
        if path.root != "json":
            raise Undecided
        key = first_key(path)
        return key is None or key in self.keys

    def left(self, where: Iterable[Condition]) -> list[Condition] | None:
        """The conditions that remain to be tested on the JSON; None where one fails for every event of this shape."""
        left = []
        for condition in where:
            verdict = self._verdict(condition)
            if verdict is False:
                return None
            if verdict is None:
                left.append(condition)
        return left

    def _verdict(self, condition: Condition) -> bool | None:
        root, literal = condition.path.root, condition.literal
        if root == "event":
            return condition_test(condition)(self.kind)
        if root == "data" and condition.operator == "==" and type(decode(str(literal))) is not dict:
            return False  # the data is an object, so it is not spelled like that
        return None if self.has(condition.path) else condition_test(condition)({})


class Plan(NamedTuple):
    """How an event of one shape is read, from its decoded JSON.

    `text` gives None where a rule for errors or ends may apply. `sure` is False where having found nothing may mean
    that something was malformed. `opaque` is True where the text, unless it is empty, is only handed on: nothing
    depends on what it says.
    """

    text: Callable[[Any], str | None]
    reasoning: Text | None
    sure: bool
    opaque: bool


BY_RULES: Final = Plan(lambda _: None, None, sure=False, opaque=False)


class Plans(dict[tuple[str, ...], Plan]):
    """Plans by an event's type and top-level keys, in one tuple, made when often needed; else `BY_RULES`."""

    def __init__(self, make: Callable[[Shape], Plan]) -> None:
        super().__init__()
        self._make = make
        self._seen: dict[tuple[str, ...], int] = {}

    def __missing__(self, key: tuple[str, ...]) -> Plan:
        if len(key) > MAX_KEYS or sum(map(len, key)) > MAX_KEY_CHARACTERS:
            return BY_RULES
        times = self._seen.pop(key, 0) + 1
        if times < PATIENCE:
            if len(self._seen) >= MAX_PLANS:
                self._seen.clear()
            self._seen[key] = times
            return BY_RULES
        try:
            plan = self._make(Shape(key[0], frozenset(key[1:])))
        except Undecided:
            plan = BY_RULES
        if len(self) >= MAX_PLANS:
            self.clear()
        self[key] = plan
        return plan


class Envelope:
    """What stands around the text of an event. Where the next event has the same, only its text need be decoded.

    JSON is compositional: whatever string stands between `head` and `tail`, all around it is the same value, and gives
    the same (the text is `opaque`). That it is this string, whole and alone, that makes the text, is tried out with one
    that occurs nowhere else.
    """

    __slots__ = ("_head", "_kind", "_tail")

    def __init__(self, kind: str, head: str, tail: str) -> None:
        self._kind, self._head, self._tail = kind, head, tail

    @classmethod
    def of(cls, event: ServerSentEvent, text: str, plan: Plan) -> Envelope | None:
        """The envelope of an event that gave this text by this plan; None where none is found."""
        head, found, tail = event.data.rpartition(f'"{text}"')
        if not found or not plan.opaque:
            return None
        try:
            value = orjson.loads(f'{head}"{PROBE}"{tail}')
        except orjson.JSONDecodeError:
            return None
        if plan.text(value) != PROBE or (plan.reasoning is not None and plan.reasoning(value)):
            return None
        return cls(event.event, head, tail)

    def follow(self, events: Iterator[ServerSentEvent], pieces: list[Piece]) -> ServerSentEvent | None:
        """Append the pieces of the events in this envelope; returns the first that is in another, None at the end."""
        add, loads, kind, head, tail = pieces.append, orjson.loads, self._kind, self._head, self._tail
        start, stop = len(head), -len(tail)
        for event in events:
            if not (event[0] == kind and event[1].startswith(head) and event[1].endswith(tail)):
                return event
            try:
                text = loads(event[1][start:stop])
            except orjson.JSONDecodeError:
                return event
            if type(text) is not str or not text:
                return event
            add(_new_tuple(Piece, (text, "", None)))
        return None


def text_of(extractors: Iterable[Extractor], shape: Shape) -> Text | None:
    """The first text that the extractors find in such an event; None where none of them can."""
    return _first_text(_ways(extractors, shape))


def text_unless(
    alarm: Alarm | None, reasons: Iterable[Extractor], texts: Iterable[Extractor], shape: Shape
) -> Callable[[Any], str | None]:
    """As `text_of`, but None where the alarm is true or one of `reasons` finds a text."""
    to_reasons, to_texts = _ways(reasons, shape), _ways(texts, shape)
    reason, text = _first_text(to_reasons), _first_text(to_texts) or (lambda _: "")
    alarms = [one for one in (alarm, reason) if one is not None]
    if not alarms:
        return text
    alarming = _first_of(alarms)

    def at_large(value: Any) -> str | None:
        return None if alarming(value) else text(value)

    return at_large if alarm else _in_one_element(to_reasons, to_texts, at_large)


def _ways(extractors: Iterable[Extractor], shape: Shape) -> list[Way]:
    """The paths on which the extractors can find something in such an event, with the conditions left to test."""
    ways: list[Way] = []
    for extractor in extractors:
        guards = shape.left(condition for condition in extractor.where if condition.path.plain)
        if guards is not None:
            guards += [condition for condition in extractor.where if not condition.path.plain]
            ways += [(path.steps, guards) for path in extractor.paths if shape.has(path)]
    return ways


def _first_text(ways: Iterable[Way]) -> Text | None:
    texts = [texter(steps, guards) for steps, guards in ways]
    return _first_of(texts) if texts else None


def _in_one_element(
    to_reasons: list[Way], to_texts: list[Way], at_large: Callable[[Any], str | None]
) -> Callable[[Any], str | None]:
    """`at_large`; but where all ways lead to the same list, and that has one element, they go there only once."""
    starts = {steps[:2] for steps, _ in [*to_reasons, *to_texts]}
    starts |= {guard.path.steps[:2] for _, guards in [*to_reasons, *to_texts] for guard in guards}
    start = starts.pop()
    if starts or start[1:] != (EVERY,) or not isinstance(start[0], str):
        return at_large
    key = start[0]
    reason, text = _first_text(map(_behind_two, to_reasons)), _first_text(map(_behind_two, to_texts))
    if reason is None or text is None:
        return at_large

    def in_one_element(value: Any) -> str | None:
        items = value.get(key)
        if type(items) is not list or len(items) != 1:
            return at_large(value)
        return None if reason(items[0]) else text(items[0])

    return in_one_element


def _behind_two(way: Way) -> Way:
    steps, guards = way
    return steps[2:], [replace(guard, path=Path(guard.path.root, guard.path.steps[2:])) for guard in guards]


def opaque(
    texts: Sequence[Extractor],
    others: Iterable[Extractor],
    signs: Iterable[Iterable[Condition]],
    places: Iterable[Path],
) -> bool:
    """True where nothing depends on what a text says: it is not compared with a string, nor decoded.

    That it is a string, and not empty, others may know. What may be compared with it stands at the end of a path, so it
    is under the same key.
    """
    extractors = [*texts, *others]
    conditions = [*chain(*(extractor.where for extractor in extractors), *signs)]
    paths = chain(*(extractor.paths for extractor in extractors), (condition.path for condition in conditions), places)
    ends = {path.steps[-1:] for extractor in texts for path in extractor.paths}
    compared = {condition.path.steps[-1:] for condition in conditions if isinstance(condition.literal, str)}
    under_keys = all(end and isinstance(end[0], str) for end in ends)
    return under_keys and not ends & compared and not any(JSON in path.steps for path in paths)


def hops(extractors: Iterable[Extractor]) -> bool:
    """True where a path leads into a string of JSON, which may be malformed."""
    return any(JSON in path.steps for extractor in extractors for path in extractor.paths)


def standing(path: Path) -> Alarm:
    """True where something stands at the path that is not null, false, 0, "" or empty."""
    if path.plain:
        find = finder(path.steps)
        return lambda value: (found := find(value)) is not MISSING and found
    collect = collector(path.steps)

    def any_standing(value: Any) -> bool:
        found: list[Any] = []
        collect(value, found)
        return any(found)

    return any_standing


def any_alarm(wheres: Iterable[Sequence[Condition]], places: Iterable[Alarm]) -> Alarm | None:
    """True where all conditions of one of `wheres` hold, or something is found by the others; None for nothing at all.

    Raises Undecided where one of `wheres` is empty, and so always true.
    """
    words: dict[str, set[str]] = {}
    alarms = [*places]
    for where in wheres:
        if not where:
            raise Undecided
        key, literal = first_key(where[0].path), where[0].literal
        if key and isinstance(literal, str) and [*where] == [Condition(Path("json", (key,)), "==", literal)]:
            words.setdefault(key, set()).add(literal)
        else:
            alarms.append(all_hold(where))
    alarms += [_one_of(key, frozenset(literals)) for key, literals in words.items()]
    return _first_of(alarms) if alarms else None


def _first_of(several: Sequence[Callable[[Any], T]]) -> Callable[[Any], T]:
    """What the first of them finds that finds anything."""
    first, *others = several
    if not others:
        return first
    other = _first_of(others)
    return lambda value: first(value) or other(value)


def _one_of(key: str, words: frozenset[str]) -> Alarm:
    return lambda value: type(word := value.get(key)) is str and word in words
