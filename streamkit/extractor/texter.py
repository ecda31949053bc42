"""The text at a path, quickly: for plans, which leave all that is odd to the rules.

As `follow.collector`, a path is made into closures, one for each stretch of keys and indices. These know strings only,
and give None where something else stands than the paths expect (`path.Kinds`): what that is, a closer look has to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import orjson

from streamkit.extractor.follow import MISSING, all_of, ends_in_key, finder, split, stretches
from streamkit.extractor.path import EVERY, Condition, Kinds, Step

__all__ = ["Text", "texter"]

Find: TypeAlias = Callable[[Any], Any]
Test: TypeAlias = Callable[[Any], bool]
Text: TypeAlias = Callable[[Any], str | None]


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


_NOTHING: Final[frozenset[type]] = frozenset((type(None), type(MISSING)))


def _texter(steps: Sequence[Step], guards: Sequence[Condition], expected: _Expected, alone: bool) -> Text:
    special, here, behind = split(steps, guards)
    test = all_of(here)
    if special == len(steps):
        return _text_leaf(steps, test, expected, None if alone else "")
    if test is None and EVERY not in steps and all(map(ends_in_key, stretches(steps))):
        return _text_straight(steps)
    stretch, beyond = steps[:special], expected.beyond(*steps[: special + 1])
    if steps[special] is EVERY:
        follow = _texter(steps[special + 1 :], behind, beyond, alone)
        walk = _text_every(stretch, follow, expected.at(*stretch), alone)
    else:
        walk = _text_in_json(stretch, _texter(steps[special + 1 :], behind, beyond, alone), expected.at(*stretch))
    missed = None if alone else ""
    return walk if test is None else lambda value: walk(value) if test(value) else missed


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
    first, *behind_json = stretches(steps)

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
