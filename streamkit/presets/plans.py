"""What the outside of an event, its type and its top-level keys, already says about a preset's rules.

**Theory of operation.** The events of a stream come in a handful of shapes, and most rules cannot apply to most shapes:
of OpenAI's ten, two (its text, its finish reason) concern a chunk with `choices`. What is left to do for the events of
one shape is compiled once, into a `Plan` of functions on the decoded JSON, and remembered in `Plans`. A plan finds
texts, exactly those that the rules would find; whatever may be an error or an end it leaves to the rules. So there are
two ways to read, and the longer one (`read_by_rules`) decides alone what an event means:

    the event                                                      is read
    its data is no JSON object (`[DONE]`, malformed, blank)        by rules
    its shape has come fewer than PATIENCE times                   by rules
    its shape is out of bounds (MAX_KEYS, MAX_KEY_CHARACTERS)      by rules
    a rule asks for more than type and JSON (`Undecided`: `@id`)   by rules, for each event of this shape
    the plan's alarm is true: an error's or an end's sign stands   by rules
    the plan finds text or reasoning                               by its plan: a Piece
    it finds none, and nothing can be malformed (`sure`)           by its plan: nothing
    it finds none, and a string of JSON may be malformed           by rules, to tell it
    it finds something of another type, or another choice          by rules, to tell it

What a read brings that is nothing but events of one shape, each a text and no more, may be read without even that, by
one function (see `common`).

What a shape decides about a rule: a condition on `@event` is settled by the type; a path whose first key is not there
leads nowhere; a condition that then fails strikes its rule off. What remains of the conditions is tested on the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from streamkit.extractor import Extractor
from streamkit.extractor.follow import MISSING, all_hold, collector, condition_test, decode, finder, first_key
from streamkit.extractor.path import EVERY, JSON, Condition, Kinds, Path
from streamkit.extractor.texter import Text, texter
from streamkit.presets.common import CommonReaders, CommonRules, Unwritten, compiled

__all__ = [
    "BY_RULES",
    "Alarm",
    "Plan",
    "Plans",
    "Shape",
    "Text",
    "Undecided",
    "any_alarm",
    "has_json_steps",
    "left_of",
    "standing",
    "text_of",
    "text_unless",
]

Alarm: TypeAlias = Callable[[Any], object]
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

    def may_hold(self, extractor: Extractor) -> bool:
        """False where none of its texts can stand in such an event."""
        return any(map(self.has, extractor.paths))

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

    `text` gives None where a rule for errors or ends may apply, both give it where something stands that needs a closer
    look. `sure` is False where having found nothing may mean that something was malformed.
    """

    text: Text
    reasoning: Text | None
    sure: bool


BY_RULES: Final = Plan(lambda _: None, None, sure=False)


class Plans(dict[tuple[str, ...], Plan]):
    """Plans by an event's type and top-level keys, in one tuple, made when often needed; else `BY_RULES`."""

    def __init__(
        self, make: Callable[[Shape], Plan], write: Callable[[Shape], CommonRules | None] = lambda _: None
    ) -> None:
        super().__init__()
        self._make = make
        self._write = write
        self._common: dict[tuple[str, ...], CommonReaders | None] = {}
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
            self._common.clear()
        self[key] = plan
        return plan

    def common(self, kind: str, value: dict[str, Any]) -> CommonReaders | None:
        """The functions for events like this one (see `common`); None where there is none, or not yet."""
        key = (kind, *value)
        if self[key] is BY_RULES:
            return None
        if key not in self._common:
            try:
                rules = self._write(Shape(kind, frozenset(value)))
                self._common[key] = None if rules is None else compiled(key[1:], rules)
            except (Undecided, Unwritten):
                self._common[key] = None
        return self._common[key]


def left_of(extractor: Extractor, shape: Shape) -> list[Condition] | None:
    """The conditions that remain to be tested of an extractor's; None where it finds nothing in such an event."""
    guards = shape.left(condition for condition in extractor.where if condition.path.plain)
    return None if guards is None else [*guards, *(one for one in extractor.where if not one.path.plain)]


def text_of(
    extractors: Iterable[Extractor], shape: Shape, kinds: Kinds | None = None, choices: str | None = None
) -> Text | None:
    """The first text that the extractors find in such an event; None where none of them can.

    It gives None itself where, no text being found, something stands that `kinds` does not expect, or another choice
    than that of index 0: what to make of that is for the rules to say.
    """
    texts: list[Text] = []
    for extractor in extractors:
        guards = left_of(extractor, shape)
        if guards is not None:
            alone = any(guard.path.steps == (choices, EVERY, "index") for guard in guards)
            texts += [texter(path.steps, guards, kinds, alone=alone) for path in extractor.paths if shape.has(path)]
    return _first_text(texts) if texts else None


def _first_text(several: Sequence[Text]) -> Text:
    first, *others = several
    if not others:
        return first
    other = _first_text(others)

    def text(value: Any) -> str | None:
        found = first(value)
        if found:
            return found
        rest = other(value)
        return rest if rest or found is not None else None

    return text


def text_unless(alarm: Alarm | None, reason: Text | None, text: Text | None) -> Text:
    """As `text`, but None where the alarm is true or a reason is found, or something odd in its place."""
    find = text or (lambda _: "")
    if alarm is None and reason is None:
        return find
    if reason is None:
        return lambda value: None if alarm(value) else find(value)  # type: ignore[misc]  # one of both is there
    if alarm is None:
        return lambda value: find(value) if reason(value) == "" else None
    return lambda value: find(value) if not alarm(value) and reason(value) == "" else None


def has_json_steps(extractors: Iterable[Extractor]) -> bool:
    """True where a path leads into a string of JSON, which may be malformed."""
    return any(JSON in path.steps for extractor in extractors for path in extractor.paths)


def standing(path: Path) -> Alarm:
    """True where something stands at the path that is not null, false, 0, "" or empty."""
    if len(path.steps) == 3 and [*map(type, path.steps)] == [str, int, str]:
        return _standing_in_element(*path.steps)
    if path.plain:
        find = finder(path.steps)
        return lambda value: (found := find(value)) is not MISSING and found
    collect = collector(path.steps)

    def any_standing(value: Any) -> bool:
        found: list[Any] = []
        collect(value, found)
        return any(found)

    return any_standing


def _standing_in_element(outer: Any, index: Any, inner: Any) -> Alarm:
    """The same for `choices[0].error` and its like, which stands in nearly no event: as quick as can be."""

    def standing_in_element(value: Any) -> object:
        try:
            return value[outer][index].get(inner)
        except (LookupError, TypeError, AttributeError):
            return None

    return standing_in_element


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
