"""What stands where text belongs, and is none: a number, a list, an object where the path wants a string.

**Theory of operation.** A path that leads nowhere has found nothing, and so has one that meets null, or on its way an
empty list or object. One that meets
a value of a kind which no path expects there has met text in a shape that nobody declared: to skip it would lose it in
silence. `Kinds` (of `path`) say which kinds several paths together expect at each place (a string or a list, say,
where one path ends and another one goes on by `[*]`), and `misfit_of` finds the first place that holds another kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from streamkit.extractor.document import Document, Where
from streamkit.extractor.follow import MISSING, decode, split
from streamkit.extractor.path import EVERY, Condition, Kinds, Path, Step
from streamkit.extractor.pieces import ExtractionError

__all__ = ["Misfit", "misfit_of", "wrong_type"]

Misfit: TypeAlias = Callable[[Document], ExtractionError | None]
Walk: TypeAlias = Callable[[Any], ExtractionError | None]

NAMES: Final = {
    str: "a string",
    list: "a list",
    dict: "an object",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}
EMPTY: Final[tuple[Any, ...]] = ([], {})
"""Nothing on the way to a text: what PHP writes for an empty object is an empty list."""

WANTED: Final = ((str, "text"), (list, "a list"), (dict, "an object"))


def misfit_of(paths: Iterable[Path], where: Sequence[Condition], kinds: Kinds) -> Misfit:
    """A function: the first misfit in a document for which `where` holds, along any of these paths; or None."""
    beforehand = Where(condition for condition in where if condition.path.plain).holds
    guards = [condition for condition in where if not condition.path.plain]
    walks = [_walk(path.steps, guards, kinds, ()) for path in paths if path.root == "json"]

    def misfit(document: Document) -> ExtractionError | None:
        if walks and beforehand(document):
            for walk in walks:
                found = walk(document.json)
                if found is not None:
                    return found
        return None

    return misfit


def wrong_type(place: Sequence[Step], wanted: frozenset[type], value: Any) -> ExtractionError:
    """The error that names the place and what stands there, of its payload nothing."""
    expected = next((name for kind, name in WANTED if kind in wanted), "text")
    where = f"at {Path('json', tuple(place))!s:.100}" if place else "as the whole payload"
    return ExtractionError("wrong_type", f"expected {expected} {where}, got {NAMES.get(type(value), 'a number')}")


def _walk(steps: Sequence[Step], guards: Sequence[Condition], kinds: Kinds, place: tuple[Step, ...]) -> Walk:
    """Along one stretch of keys and indices, and on behind the special step at its end, as `collector` goes."""
    special, here, behind = split(steps, guards)
    stretch = steps[:special]
    end = (*place, *stretch)
    further = None
    if special < len(steps):
        further = _walk(steps[special + 1 :], behind, kinds, (*end, steps[special]))
        further = _each(further) if steps[special] is EVERY else _inside(further)
    wanted = [kinds.get((*place, *stretch[:number]), frozenset()) for number in range(special + 1)]

    def walk(value: Any) -> ExtractionError | None:
        if here and not all(test(value) for test in here):
            return None
        for number, step in enumerate(stretch):
            if value is None or value is MISSING:
                return None
            if type(value) not in wanted[number]:
                here_at = (*place, *stretch[:number])
                return None if here_at and value in EMPTY else wrong_type(here_at, wanted[number], value)
            named = type(value) is dict and type(step) is str  # as nearly all are: without a call
            value = value.get(step, MISSING) if named else _next(value, step)
        if value is None or value is MISSING or (further is not None and end and value in EMPTY):
            return None
        if type(value) not in wanted[-1]:
            return wrong_type(end, wanted[-1], value)
        return further(value) if further is not None else None

    return walk


def _next(value: Any, step: Any) -> Any:
    if type(value) is dict:
        return value.get(step, MISSING) if type(step) is str else MISSING
    if type(value) is list and type(step) is int and -len(value) <= step < len(value):
        return value[step]
    return MISSING


def _each(walk: Walk) -> Walk:
    def each(value: Any) -> ExtractionError | None:
        for item in value if type(value) is list else ():
            found = walk(item)
            if found is not None:
                return found
        return None

    return each


def _inside(walk: Walk) -> Walk:
    def inside(value: Any) -> ExtractionError | None:
        inner = decode(value) if type(value) is str else None
        return None if type(inner) is ExtractionError else walk(inner)  # malformed JSON is told by who looks for text

    return inside
