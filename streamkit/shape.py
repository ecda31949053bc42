"""What the outside of an event, its type and its top-level keys, already says about a preset's rules.

The events of a stream come in a handful of shapes, and most rules cannot apply to most shapes. What is left to do for
the events of one shape is compiled once, into a `Plan`, and remembered in `Plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from streamkit.extractor import Extractor
from streamkit.paths import JSON, Condition, Path
from streamkit.walk import MISSING, all_hold, collector, condition_test, decode, finder, first_key, texter

__all__ = ["Alarm", "Plan", "Plans", "Shape", "Text", "Undecided", "any_alarm", "hops", "standing", "text_of"]

Alarm: TypeAlias = Callable[[Any], object]
Text: TypeAlias = Callable[[Any], str]
T = TypeVar("T")

# Bounds against streams in which every event has another shape.
MAX_PLANS = 256
MAX_KEYS = 64
MAX_KEY_CHARACTERS = 2048
# Making a plan costs as much as reading some 20 events by the rules: it is made for shapes that have come this often.
PATIENCE = 16


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

    `alarm` is true where a rule for errors or ends may apply (None: none can). `sure` is False where having found
    nothing may mean that something was malformed.
    """

    alarm: Alarm | None
    text: Text | None
    reasoning: Text | None
    sure: bool


class Plans(dict[tuple[str, ...], Plan | None]):
    """Plans by an event's type and top-level keys, in one tuple, made when often needed; else None."""

    def __init__(self, make: Callable[[Shape], Plan]) -> None:
        super().__init__()
        self._make = make
        self._seen: dict[tuple[str, ...], int] = {}

    def __missing__(self, key: tuple[str, ...]) -> Plan | None:
        if len(key) > MAX_KEYS or sum(map(len, key)) > MAX_KEY_CHARACTERS:
            return None
        times = self._seen.pop(key, 0) + 1
        if times < PATIENCE:
            if len(self._seen) >= MAX_PLANS:
                self._seen.clear()
            self._seen[key] = times
            return None
        try:
            plan = self._make(Shape(key[0], frozenset(key[1:])))
        except Undecided:
            plan = None
        if len(self) >= MAX_PLANS:
            self.clear()
        self[key] = plan
        return plan


def text_of(extractors: Iterable[Extractor], shape: Shape) -> Text | None:
    """The first text that the extractors find in such an event; None where none of them can."""
    texts = [text for extractor in extractors for text in _texts(extractor, shape)]
    return _first_of(texts) if texts else None


def _texts(extractor: Extractor, shape: Shape) -> list[Text]:
    left = shape.left(condition for condition in extractor.where if condition.path.plain)
    if left is None:
        return []
    guards = left + [condition for condition in extractor.where if not condition.path.plain]
    return [texter(path.steps, guards) for path in extractor.paths if shape.has(path)]


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


def any_alarm(wheres: Iterable[Sequence[Condition]], places: Iterable[Alarm], reason: Text | None) -> Alarm | None:
    """True where all conditions of one of `wheres` hold, or something is found by the others; None for nothing at all.

    Raises Undecided where one of `wheres` is empty, and so always true.
    """
    words: dict[str, set[str]] = {}
    alarms = [*places, reason] if reason else [*places]
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
