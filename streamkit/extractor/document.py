"""One event, decoded once: Document; and what is asked of it: Where, Values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import Any

from streamkit.extractor.follow import MISSING, collector, condition_test, decode, needed_key
from streamkit.extractor.path import Condition, Path, PathSpec, WhereSpec, conditions
from streamkit.extractor.pieces import ExtractionError
from streamkit.parser import ServerSentEvent

__all__ = ["ROOTS", "Compiled", "Document", "Values", "Where"]


class Compiled:
    """Base of frozen dataclasses whose functions are compiled from their fields, as `cached_property`s.

    What it was made of is compared, shown and pickled; what it was compiled to is not, for functions cannot be pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]  # see above


class Document:
    """One event on its way through several extractors: its JSON is decoded once, and only when somebody asks.

    `json` is the decoded data, MISSING where that is blank or malformed; `problem` the first ExtractionError met;
    `is_mixed` says that beside texts that were joined there stood something else.
    """

    __slots__ = ("data", "event", "id", "is_mixed", "json", "problem")
    json: Any

    def __init__(self, data: str | bytes, event: str = "message", id: str = "") -> None:  # noqa: A002  # the field's name
        self.data = data
        self.event = event
        self.id = id
        self.problem: ExtractionError | None = None
        self.is_mixed = False

    @classmethod
    def of(cls, data: str | bytes | ServerSentEvent) -> Document:
        """Takes an event, or the data of one."""
        return cls(data.data, data.event, data.id) if isinstance(data, ServerSentEvent) else cls(data)

    def __getattr__(self, name: str) -> Any:
        # Reached once, while the slot is empty; afterwards reading it costs no call.
        if name != "json":
            raise AttributeError(name)
        return self.load()

    def load(self) -> Any:
        """Decodes the data into `json`; quicker than waiting for the first use."""
        value = decode(self.data)
        if type(value) is ExtractionError:
            self.problem = value
            value = MISSING
        self.json = value
        return value

    def text(self) -> str:
        """The raw data."""
        return self.data if isinstance(self.data, str) else self.data.decode("utf-8", "replace")


# Where a path begins.
ROOTS: dict[str, Callable[[Document], Any]] = {
    "json": attrgetter("json"),
    "data": Document.text,
    "event": attrgetter("event"),
    "id": attrgetter("id"),
}


@dataclass(frozen=True, init=False)
class Where(Compiled):
    """Conditions on one event, all of which must hold."""

    conditions: tuple[Condition, ...]

    def __init__(self, where: WhereSpec = ()) -> None:
        object.__setattr__(self, "conditions", conditions(where))

    @cached_property
    def holds(self) -> Callable[[Document], bool]:
        """A test of a document: True where all conditions hold (so also where there is none)."""
        # Those on the event's own fields come first: they may spare the decoding of its JSON.
        ordered = sorted(self.conditions, key=lambda condition: condition.path.root == "json")
        tests = tuple(map(_document_test, ordered))
        return tests[0] if len(tests) == 1 else _all(tests)

    @cached_property
    def needed_key(self) -> str | None:
        """They never hold for a JSON object that lacks this key; None if there is no such key."""
        return next(filter(None, map(needed_key, self.conditions)), None)


def _all(tests: tuple[Callable[[Document], bool], ...]) -> Callable[[Document], bool]:
    def holds(document: Document) -> bool:
        for test in tests:  # noqa: SIM110  # a generator would cost more than the tests
            if not test(document):
                return False
        return True

    return holds


def _document_test(condition: Condition) -> Callable[[Document], bool]:
    root, test = ROOTS[condition.path.root], condition_test(condition)
    if condition.path.root == "json":
        return lambda document: test(document.json)
    return lambda document: test(root(document))


@dataclass(frozen=True, init=False)
class Values(Compiled):
    """Compiled paths to values of any type, where an Extractor would only take text."""

    paths: tuple[Path, ...]

    def __init__(self, *paths: PathSpec | Path) -> None:
        object.__setattr__(self, "paths", tuple(map(Path.of, paths)))

    def of(self, document: Document) -> list[Any]:
        """What stands at the paths, in their order; strings that should be JSON and are not count as absent."""
        found: list[Any] = []
        for root, collect in self._collectors:
            collect(root(document), found)
        return [item for item in found if type(item) is not ExtractionError]

    @cached_property
    def _collectors(self) -> list[tuple[Callable[[Document], Any], Callable[[Any, list[Any]], None]]]:
        return [(ROOTS[path.root], collector(path.steps)) for path in self.paths]
