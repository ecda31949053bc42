"""How a compiled path is followed through decoded JSON. Nothing here raises for what stands on the wire.

**Theory of operation.** Asking of each step, for each event, what kind of step it is would cost more than decoding the
event. So a path is compiled: cut at its special steps, `[*]` and `| json`, into stretches of keys and indices, and made
into closures, one for each stretch, of which each knows its own way only. What is compiled depends on what is asked:

    straight        data → text or None               a path without conditions and `[*]`: an Extractor's quickest way
    finder          value → what stands there         one stretch; MISSING where it leads nowhere
    collector       value, list → all values found    any path; tells a string that should be JSON and is not
    texter          value → the texts, joined         any path; as collector, but quicker: for plans, which leave what
                                                      is odd to the rules
    condition_test  value → bool                      a condition: by finder, or by collector where it has special steps

Conditions that share a path's beginning through a special step are handed along (`split`) and tested behind it, on
the very element that the text is taken from; all others are tested where the path begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from functools import reduce
from typing import Any, Final, TypeAlias

import orjson

from streamkit.extractor.path import EVERY, JSON, Condition, Kinds, Path, Special, Step
from streamkit.extractor.pieces import ExtractionError

__all__ = [
    "MISSING",
    "all_hold",
    "collector",
    "condition_test",
    "decode",
    "finder",
    "first_key",
    "needed_key",
    "split",
    "straight",
    "texter",
]

Find: TypeAlias = Callable[[Any], Any]
Collect: TypeAlias = Callable[[Any, list[Any]], None]
Test: TypeAlias = Callable[[Any], bool]
Text: TypeAlias = Callable[[Any], str | None]


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


# What a path finds where there is nothing; JSON's null is None.
MISSING: Final = _Missing.MISSING


def decode(data: str | bytes) -> Any:
    """The JSON value of `data`; an ExtractionError where it is malformed; MISSING where it is blank (a keep-alive).

    Nesting is bounded at 1024 levels and numbers at the range of a double (larger whole numbers lose digits, as in
    JavaScript); of duplicate keys the last one counts.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if not isinstance(data, (str, bytes)):
            raise TypeError(f"expected the data of an event as str or bytes, got {type(data).__name__}") from None
        return MISSING if not data.strip() else _malformed(data, error)


def _malformed(data: str | bytes, error: orjson.JSONDecodeError) -> ExtractionError:
    reason = error.msg.lower()
    where = f"at character {error.pos}"
    if "depth" in reason or "recursion" in reason:
        return ExtractionError("too_deep", f"expected JSON of at most 1024 levels, got a deeper one {where}")
    if "infinity" in reason:
        return ExtractionError("number_too_large", f"expected a number within the range of a double {where}")
    if "surrogate in string" in reason or ("utf-8" in reason and isinstance(data, str)):
        return ExtractionError("lone_surrogate", f"expected whole characters, got half a surrogate pair {where}")
    if "utf-8" in reason:
        return ExtractionError("invalid_utf8", "expected UTF-8")
    return ExtractionError("malformed_json", f"expected JSON, got something else {where}")


def needed_key(condition: Condition) -> str | None:
    """The key of the outermost object without which the condition cannot hold; None if there is no such key."""
    if condition.path.root != "json" or condition.or_absent or condition.operator not in {"==", "exists"}:
        return None
    return first_key(condition.path)


def first_key(path: Path) -> str | None:
    """The key of the outermost object at which the path begins; None if it begins in another way."""
    first = path.steps[0] if path.root == "json" and path.steps else None
    return first if isinstance(first, str) else None


def condition_test(condition: Condition) -> Callable[[Any], bool]:
    """A test of the value from which the path's steps start."""
    simple = _one_key_equals(condition)
    if simple is not None:
        return simple
    matches = _matcher(condition)
    negated = condition.operator in {"!=", "absent"}
    if condition.path.plain:
        find, literal = finder(condition.path.steps), condition.literal
        if isinstance(literal, str) and condition.operator == "==" and not condition.or_absent:
            return lambda value: bool(find(value) == literal)
        if isinstance(literal, str) and condition.operator == "!=":
            return lambda value: bool(find(value) != literal)
        if negated:
            return lambda value: not matches(find(value))
        return lambda value: matches(find(value))
    collect = collector(condition.path.steps)

    def some(value: Any) -> bool:
        found: list[Any] = []
        collect(value, found)
        if not found and condition.or_absent:
            return True
        return any(matches(item) for item in found) is not negated

    return some


def _one_key_equals(condition: Condition) -> Callable[[Any], bool] | None:
    """The most frequent condition by far, `key == "text"` or `key == number`, in one call instead of three."""
    steps, literal = condition.path.steps, condition.literal
    if len(steps) != 1 or not isinstance(steps[0], str) or condition.operator != "==":
        return None
    key = steps[0]
    if condition.or_absent:
        if isinstance(literal, bool) or literal is None:
            return None
        return lambda value: (
            type(value) is not dict or ((found := value.get(key, literal)) == literal and type(found) is not bool)
        )
    if isinstance(literal, str):
        return lambda value: type(value) is dict and value.get(key) == literal
    if isinstance(literal, (int, float)) and not isinstance(literal, bool):
        return lambda value: type(value) is dict and (found := value.get(key)) == literal and type(found) is not bool
    return None


def _matcher(condition: Condition) -> Callable[[Any], bool]:
    """Strict equality with the literal, or mere presence. What a path finds may also be MISSING or malformed."""
    literal = condition.literal
    if condition.or_absent:
        same = _matcher(replace(condition, or_absent=False))
        return lambda found: found is MISSING or same(found)
    if condition.operator in {"exists", "absent"}:
        return lambda found: found is not MISSING and type(found) is not ExtractionError
    if literal is None or isinstance(literal, bool):
        return lambda found: found is literal
    if isinstance(literal, str):
        return lambda found: bool(found == literal)
    return lambda found: (type(found) is int or type(found) is float) and found == literal


def finder(steps: Sequence[Step]) -> Find:
    """A function that walks along keys and indices and returns what stands there, or MISSING."""
    if len(steps) == 1 and isinstance(steps[0], str):
        key = steps[0]
        return lambda value: value.get(key, MISSING) if type(value) is dict else MISSING
    if len(steps) == 2 and isinstance(steps[0], str) and isinstance(steps[1], str):
        return _two_keys(steps[0], steps[1])
    path = tuple(steps)
    if not path:
        return lambda value: value

    def find(value: Any) -> Any:
        for step in path:
            if type(step) is str:
                if type(value) is not dict:
                    return MISSING
                value = value.get(step, MISSING)
            elif type(value) is list and -len(value) <= step < len(value):  # type: ignore[operator]  # only indices are left
                value = value[step]  # type: ignore[index]
            else:
                return MISSING
        return value

    return find


def _two_keys(outer: str, inner: str) -> Find:
    def find(value: Any) -> Any:
        if type(value) is dict:
            value = value.get(outer)
            if type(value) is dict:
                return value.get(inner, MISSING)
        return MISSING

    return find


def straight(steps: Sequence[Step]) -> Callable[[str | bytes], str | None] | None:
    """One function for the whole way from data to text, or None for a path that it does not suit.

    It uses Python's own indexing, which agrees with ours but for one case: an index into a string is a character. Where
    a key follows, that fails as it should, for strings have no keys; so each stretch of the path must end in a key.
    """
    stretches = _stretches(steps)
    if EVERY in steps or not all(map(_ends_in_key, stretches)):
        return None
    first, *behind_json = stretches

    def text(data: str | bytes) -> str | None:
        try:
            value = orjson.loads(data)
            for step in first:
                value = value[step]
            for stretch in behind_json:
                if type(value) is not str:
                    return None
                value = orjson.loads(value)
                for step in stretch:
                    value = value[step]
        except (LookupError, TypeError, orjson.JSONDecodeError):
            if isinstance(data, (str, bytes)):
                return None
            raise TypeError(f"expected the data of an event as str or bytes, got {type(data).__name__}") from None
        return value if type(value) is str and value else None

    return text


def _stretches(steps: Sequence[Step]) -> list[tuple[Any, ...]]:
    """The steps between the steps into JSON."""
    stretches: list[list[Any]] = [[]]
    for step in steps:
        if step is JSON:
            stretches.append([])
        else:
            stretches[-1].append(step)
    return [tuple(stretch) for stretch in stretches]


def _ends_in_key(stretch: tuple[Any, ...]) -> bool:
    return not stretch or isinstance(stretch[-1], str)


def collector(steps: Sequence[Step], guards: Sequence[Condition] = ()) -> Collect:
    """A function (value, found) that appends every value at the end of the path to `found`.

    `guards` are conditions whose paths start where `steps` start. One that shares this path through its next
    special step is tested behind that step, on the same element; the others are tested here. A string that should
    be JSON and is not appends its ExtractionError.
    """
    special, here, behind = split(steps, guards)
    find = finder(steps[:special])
    if special == len(steps):
        walk = _leaf(find)
    else:
        follow = collector(steps[special + 1 :], behind)
        walk = _every(find, follow) if steps[special] is EVERY else _in_json(find, follow)
    return _guarded(here, walk) if here else walk


def split(
    steps: Sequence[Step], guards: Sequence[Condition]
) -> tuple[int, list[Callable[[Any], bool]], list[Condition]]:
    """Where the first special step is (or the end), the guards to be tested before it, and those behind it."""
    special = next((number for number, step in enumerate(steps) if isinstance(step, Special)), len(steps))
    shared = tuple(steps[: special + 1])
    here, behind = [], []
    for guard in guards:
        if special < len(steps) and guard.path.steps[: special + 1] == shared:
            rest = Path(guard.path.root, guard.path.steps[special + 1 :])
            behind.append(replace(guard, path=rest))
        else:
            here.append(condition_test(guard))
    return special, here, behind


def _guarded(tests: Sequence[Callable[[Any], bool]], walk: Collect) -> Collect:
    first, *others = tests

    def guarded(value: Any, found: list[Any]) -> None:
        if first(value) and all(test(value) for test in others):
            walk(value, found)

    def guarded_once(value: Any, found: list[Any]) -> None:
        if first(value):
            walk(value, found)

    return guarded if others else guarded_once


def _leaf(find: Find) -> Collect:
    def leaf(value: Any, found: list[Any]) -> None:
        item = find(value)
        if item is not MISSING:
            found.append(item)

    return leaf


def _every(find: Find, follow: Collect) -> Collect:
    def every(value: Any, found: list[Any]) -> None:
        items = find(value)
        if type(items) is list:
            for item in items:
                follow(item, found)

    return every


def _in_json(find: Find, follow: Collect) -> Collect:
    def in_json(value: Any, found: list[Any]) -> None:
        text = find(value)
        if type(text) is not str:
            return
        inner = decode(text)
        if type(inner) is ExtractionError:
            found.append(inner)
        else:
            follow(inner, found)

    return in_json


def texter(
    steps: Sequence[Step], guards: Sequence[Condition] = (), kinds: Kinds | None = None, *, alone: bool = False
) -> Text:
    """As `collector`, but quicker: returns the strings joined, and passes over what is malformed.

    None where a value stands of a kind that `kinds` does not expect there: what that is, a closer look has to tell.
    With `alone`, also where the first list on the way has several elements, or one for which `guards` do not hold.
    Meant for the common case, in which a path leads through lists of one element to one string.
    """
    return _texter(steps, guards, _Expected(kinds or {}, ()), alone)


class _Expected:
    """The kinds that are expected along a path: which of them, at a place, are nothing to this path, and no misfit."""

    def __init__(self, kinds: Kinds, place: tuple[Step, ...]) -> None:
        self._kinds = kinds
        self._place = place

    def beyond(self, *steps: Step) -> _Expected:
        return _Expected(self._kinds, (*self._place, *steps))

    def at(self, *steps: Step) -> frozenset[type]:
        expected: frozenset[type] = self._kinds.get((*self._place, *steps), frozenset())
        return expected | _NOTHING


_NOTHING: Final[frozenset[type]] = frozenset((type(None), _Missing))


def _texter(steps: Sequence[Step], guards: Sequence[Condition], expected: _Expected, alone: bool) -> Text:
    special, here, behind = split(steps, guards)
    test = _all_of(here)
    if special == len(steps):
        return _text_leaf(steps, test, expected, None if alone else "")
    if test is None and EVERY not in steps and all(map(_ends_in_key, _stretches(steps))):
        return _text_straight(steps)
    stretch, beyond = steps[:special], expected.beyond(*steps[: special + 1])
    if steps[special] is EVERY:
        follow = _texter(steps[special + 1 :], behind, beyond, alone)
        walk = _text_every(stretch, follow, expected.at(*stretch), alone)
    else:
        walk = _text_in_json(stretch, _texter(steps[special + 1 :], behind, beyond, alone), expected.at(*stretch))
    return walk if test is None else lambda value: walk(value) if test(value) else ""


def all_hold(where: Sequence[Condition]) -> Test:
    """A test of all conditions, of which there is at least one."""
    tests = [condition_test(condition) for condition in where]
    return _all_of(tests) or tests[0]


def _all_of(tests: Sequence[Test]) -> Test | None:
    """The first one is asked first, by one call."""
    return reduce(lambda others, one: _both(one, others), reversed(tests)) if tests else None


def _both(one: Test, other: Test) -> Test:
    return lambda value: one(value) and other(value)


def _text_leaf(steps: Sequence[Step], test: Test | None, expected: _Expected, missed: str | None) -> Text:
    """The test comes last: mostly it holds, and mostly there is no text where it would not; then `missed` is given."""
    if len(steps) == 2 and isinstance(steps[0], str) and isinstance(steps[1], str):
        return _text_two_keys(steps[0], steps[1], test, expected, missed)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _text_key(steps[0], test, expected, missed)
    find, nothing = _exactly(steps), expected.at(*steps)

    def text(value: Any) -> str | None:
        found = find(value)
        if type(found) is str:
            return found if test is None or test(value) else missed
        return "" if type(found) in nothing else None

    return text


def _text_key(key: str, test: Test | None, expected: _Expected, missed: str | None) -> Text:
    nothing = expected.at(key)

    def text(value: Any) -> str | None:
        if type(value) is dict:
            found = value.get(key)
            if type(found) is str:
                return found if test is None or test(value) else missed
            return "" if type(found) in nothing else None
        return None

    return text


def _text_two_keys(outer: str, inner: str, test: Test | None, expected: _Expected, missed: str | None) -> Text:
    nothing, no_object = expected.at(outer, inner), expected.at(outer)

    def text(value: Any) -> str | None:
        if type(value) is dict:
            within = value.get(outer)
            if type(within) is dict:
                found = within.get(inner)
                if type(found) is str:
                    return found if test is None or test(value) else missed
                return "" if type(found) in nothing else None
            return "" if type(within) in no_object else None
        return None

    return text


def _text_straight(steps: Sequence[Step]) -> Text:
    first, *behind_json = _stretches(steps)

    def text(value: Any) -> str | None:
        step: Any = None
        try:
            for step in first:
                value = value[step]
            for stretch in behind_json:
                if type(value) is not str:
                    return None
                value = orjson.loads(value)
                for step in stretch:
                    value = value[step]
        except LookupError:
            return "" if _is_absent(value, step) else None
        except orjson.JSONDecodeError:
            return ""
        except TypeError:  # null on the way, which is nothing, or a misfit
            return None
        return value if type(value) is str else "" if value is None else None

    return text


def _is_absent(value: Any, step: Any) -> bool:
    """`value[step]` is a LookupError; and not only because `value` is of another kind than the step is made for."""
    return type(value) is (dict if type(step) is str else list)


def _text_every(steps: Sequence[Step], follow: Text, nothing: frozenset[type], alone: bool) -> Text:
    several = _nobody if alone else _joined(follow)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _text_every_at(steps[0], follow, several, nothing)
    find = _exactly(steps)

    def text(value: Any) -> str | None:
        items = find(value)
        if type(items) is not list:
            return "" if type(items) in nothing else None
        return follow(items[0]) if len(items) == 1 else several(items)

    return text


def _text_every_at(key: str, follow: Text, several: Text, nothing: frozenset[type]) -> Text:
    def text(value: Any) -> str | None:
        if type(value) is dict:
            items = value.get(key)
            if type(items) is list:
                return follow(items[0]) if len(items) == 1 else several(items)
            return "" if type(items) in nothing else None
        return None

    return text


def _nobody(items: Any) -> str | None:
    """No element is alone in a list of several."""
    return None if items else ""


def _joined(follow: Text) -> Text:
    def joined(items: Any) -> str | None:
        texts = [follow(item) for item in items]
        return None if None in texts else "".join(texts)  # type: ignore[arg-type]  # none of them is None

    return joined


def _text_in_json(steps: Sequence[Step], follow: Text, nothing: frozenset[type]) -> Text:
    find = _exactly(steps)

    def text(value: Any) -> str | None:
        inner = find(value)
        if type(inner) is not str:
            return "" if type(inner) in nothing else None
        try:
            value = orjson.loads(inner)
        except orjson.JSONDecodeError:
            return ""
        return follow(value)

    return text


_ODD: Final = object()
"""Found where a path goes on into a value of another kind: by a closer look, a misfit or nothing."""


def _exactly(steps: Sequence[Step]) -> Find:
    """As `finder`, by Python's own indexing (see `straight`), which is quicker; _ODD where the path meets another kind
    of value than it is made for (null among them, which is none to the rules).
    """
    if not steps:
        return lambda value: value
    if not isinstance(steps[-1], str):
        strictly = finder(steps)
        return lambda value: _ODD if (found := strictly(value)) is MISSING else found
    if len(steps) == 3 and isinstance(steps[0], str) and isinstance(steps[1], int):
        return _key_index_key(steps[0], steps[1], str(steps[2]))
    path: tuple[Any, ...] = tuple(steps)

    def find(value: Any) -> Any:
        step: Any = None
        try:
            for step in path:
                value = value[step]
        except LookupError:
            return None if _is_absent(value, step) else _ODD
        except TypeError:
            return _ODD
        return value

    return find


def _key_index_key(outer: str, index: int, inner: str) -> Find:
    """The same for `choices[0].text` and its like, of which the last key is often absent: without an exception."""

    def find(value: Any) -> Any:
        if type(value) is not dict:
            return _ODD
        items = value.get(outer)
        if type(items) is not list:
            return None if items is None else _ODD
        if not -len(items) <= index < len(items):
            return None
        within = items[index]
        if type(within) is dict:
            return within.get(inner)
        return None if within is None else _ODD

    return find
