"""How a compiled path is followed through decoded JSON. Nothing here raises for what stands on the wire.

**Theory of operation.** Asking of each step, for each event, what kind of step it is would cost more than decoding the
event. So a path is compiled: cut at its special steps, `[*]` and `| json`, into stretches of keys and indices, and made
into closures, one for each stretch, of which each knows its own way only. What is compiled depends on what is asked:

    straight        data → text or None               a path without conditions and `[*]`: an Extractor's quickest way
    finder          value → what stands there         one stretch; MISSING where it leads nowhere
    collector       value, list → all values found    any path; tells a string that should be JSON and is not
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

from streamkit.extractor.path import EVERY, JSON, Condition, Path, Special, Step
from streamkit.extractor.pieces import ExtractionError

__all__ = [
    "MISSING",
    "all_hold",
    "all_of",
    "collector",
    "condition_test",
    "decode",
    "ends_in_key",
    "finder",
    "first_key",
    "needed_key",
    "split",
    "straight",
    "stretches",
]

Find: TypeAlias = Callable[[Any], Any]
Collect: TypeAlias = Callable[[Any, list[Any]], None]
Test: TypeAlias = Callable[[Any], bool]


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
    if data == "":  # of which an upstream may send a flood: an exception for each would hold up the loop
        return MISSING
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
    parts = stretches(steps)
    if EVERY in steps or not all(map(ends_in_key, parts)):
        return None
    first, *behind_json = parts

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


def stretches(steps: Sequence[Step]) -> list[tuple[Any, ...]]:
    """The steps between the steps into JSON."""
    parts: list[list[Any]] = [[]]
    for step in steps:
        if step is JSON:
            parts.append([])
        else:
            parts[-1].append(step)
    return [tuple(part) for part in parts]


def ends_in_key(stretch: tuple[Any, ...]) -> bool:
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


def all_hold(where: Sequence[Condition]) -> Test:
    """A test of all conditions, of which there is at least one."""
    tests = [condition_test(condition) for condition in where]
    return all_of(tests) or tests[0]


def all_of(tests: Sequence[Test]) -> Test | None:
    """The first one is asked first, by one call."""
    return reduce(lambda others, one: _both(one, others), reversed(tests)) if tests else None


def _both(one: Test, other: Test) -> Test:
    return lambda value: one(value) and other(value)
