"""One event, decoded once: Document; and what is asked of it: Where, Values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from streamkit.extractor.follow import (
    MISSING,
    collector,
    condition_test,
    decode,
    needed_key,
)
from streamkit.extractor.path import Condition, Path, PathSpec, WhereSpec, conditions
from streamkit.extractor.pieces import ExtractionError
from streamkit.parser import ServerSentEvent

__all__ = ["Document", "Values", "Where"]


class Document:
    """One event on its way through several extractors: its JSON is decoded once, and only when somebody asks.

    `json` is the decoded data, MISSING where that is blank or malformed; `problem` the first ExtractionError met.
    """

    __slots__ = ("data", "event", "id", "json", "problem")
    json: Any

    def __init__(self, data: str | bytes, event: str = "message", id: str = "") -> None:  # noqa: A002  # the field's name
        self.data = data
        self.event = event
        self.id = id
        self.problem: ExtractionError | None = None

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


ROOTS: dict[str, Callable[[Document], Any]] = {
    "json": attrgetter("json"),
    "data": Document.text,
    "event": attrgetter("event"),
    "id": attrgetter("id"),
}


class Where:
    """Conditions on one event, all of which must hold; those on the event's own fields are tested first.

    `holds(document)` is True where they do (so also where there is none). It never does for a JSON object that lacks
    `needed_key` (unless that is None).
    """

    __slots__ = ("conditions", "holds", "needed_key")

    def __init__(self, where: WhereSpec = ()) -> None:
        self.conditions = conditions(where)
        self.needed_key = next(filter(None, map(needed_key, self.conditions)), None)
        ordered = sorted(self.conditions, key=lambda condition: condition.path.root == "json")
        tests = tuple(_document_test(condition) for condition in ordered)
        self.holds = tests[0] if len(tests) == 1 else _all(tests)

    def __repr__(self) -> str:
        return f"Where({show(self.conditions)})"

    def __eq__(self, other: object) -> bool:
        return self.conditions == other.conditions if isinstance(other, Where) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.conditions)

    def __reduce__(self) -> tuple[Any, ...]:
        return Where, (self.conditions,)


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


def show(where: Sequence[Condition]) -> str:
    return repr(where[0]) if len(where) == 1 else repr(tuple(where))


class Values:
    """Compiled paths to values of any type, where an Extractor would only take text."""

    __slots__ = ("_collect", "paths")

    def __init__(self, *paths: PathSpec | Path) -> None:
        self.paths = tuple(Path.of(path) for path in paths)
        self._collect = tuple((ROOTS[path.root], collector(path.steps)) for path in self.paths)

    def of(self, document: Document) -> list[Any]:
        """What stands at the paths, in their order; strings that should be JSON and are not count as absent."""
        found: list[Any] = []
        for root, collect in self._collect:
            collect(root(document), found)
        return [item for item in found if type(item) is not ExtractionError] if found else found

    def __repr__(self) -> str:
        return f"Values({', '.join(repr(str(path)) for path in self.paths)})"

    def __eq__(self, other: object) -> bool:
        return self.paths == other.paths if isinstance(other, Values) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.paths)

    def __reduce__(self) -> tuple[Any, ...]:
        return Values, self.paths
