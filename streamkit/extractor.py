"""From an event to the text it carries: a compiled path, sans-IO.

    >>> Extractor("choices[0].delta.content")('{"choices": [{"delta": {"content": "Hi"}}]}')
    'Hi'

The path language is described in `streamkit.paths`. Nothing that stands on the wire raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from streamkit.errors import PathSyntaxError
from streamkit.parser import ServerSentEvent
from streamkit.paths import EVERY, JSON, Condition, Path, PathSpec, WhereSpec, conditions
from streamkit.results import End, ExtractionError, Piece, ProviderError
from streamkit.walk import MISSING, collector, condition_test, decode, finder, first_key, needed_key, straight

__all__ = [
    "EVERY",
    "JSON",
    "Document",
    "End",
    "ExtractionError",
    "Extractor",
    "Piece",
    "ProviderError",
    "Values",
    "Where",
]


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


_ROOTS: dict[str, Callable[[Document], Any]] = {
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
        return f"Where({_show(self.conditions)})"

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
    root, test = _ROOTS[condition.path.root], condition_test(condition)
    if condition.path.root == "json":
        return lambda document: test(document.json)
    return lambda document: test(root(document))


def _show(where: Sequence[Condition]) -> str:
    return repr(where[0]) if len(where) == 1 else repr(tuple(where))


class Extractor:
    """A compiled path to the text in an event; several paths are alternatives, the first that yields text wins.

    Each path is an expression (`"choices[0].delta.content"`), a sequence (`["choices", 0, "delta", "content"]`), or
    None for the event's data itself. `where` is one condition or several, all of which must hold: expressions
    (`"type == 'delta'"`) or tuples `(path, "==" or "!=", value)`. Only strings count as text, and "" is no text.
    There is none in a JSON object that lacks `needed_key` (unless that is None).

    Raises PathSyntaxError for a path or a condition that does not compile. Calling it never raises because of what
    stands on the wire.
    """

    __slots__ = ("_alternatives", "_direct", "_where", "needed_key", "paths", "where")

    def __init__(self, *paths: PathSpec | Path, where: WhereSpec = ()) -> None:
        if not paths:
            raise PathSyntaxError("expected at least one path", "", 0)
        self.paths = tuple(Path.of(path) for path in paths)
        self.where = conditions(where)
        # A condition that can share an element with a path is tested along it, any other one beforehand.
        guards = tuple(condition for condition in self.where if not condition.path.plain)
        self._where = Where(condition for condition in self.where if condition.path.plain)
        self._alternatives = tuple(_alternative(path, guards) for path in self.paths)
        keys = {first_key(path) for path in self.paths}
        self.needed_key = Where(self.where).needed_key or (keys.pop() if len(keys) == 1 else None)
        first = self.paths[0]
        # A single path without conditions, the most frequent case, needs no document.
        only = len(self.paths) == 1 and not self.where and first.root == "json"
        self._direct = straight(first.steps) if only else None

    def __call__(self, data: str | bytes | ServerSentEvent) -> str | None:
        """The text of one event, given as an event or as its data; None where there is none, or malformed data."""
        if self._direct is None:
            return self.text(Document.of(data)) or None
        return self._direct(data.data if type(data) is ServerSentEvent else data)  # type: ignore[arg-type]  # narrowed

    def read(self, data: str | bytes | ServerSentEvent) -> Piece | ExtractionError | None:
        """As calling it, but tells malformed data (an ExtractionError) from absent text (None)."""
        document = Document.of(data)
        text = self.text(document)
        return Piece(text) if text else document.problem

    def text(self, document: Document) -> str:
        """The text in a document, or ""; what is malformed is noted in `document.problem`."""
        if self._where.holds(document):
            for alternative in self._alternatives:
                text = alternative(document)
                if text:
                    return text
        return ""

    def __repr__(self) -> str:
        words = [repr(str(path)) for path in self.paths]
        if self.where:
            words.append(f"where={_show(self.where)}")
        return f"Extractor({', '.join(words)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extractor):
            return NotImplemented
        return (self.paths, self.where) == (other.paths, other.where)

    def __hash__(self) -> int:
        return hash((self.paths, self.where))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.paths, self.where)


def _restore(paths: tuple[Path, ...], where: tuple[Condition, ...]) -> Extractor:
    return Extractor(*paths, where=where)


class Values:
    """Compiled paths to values of any type, where an Extractor would only take text."""

    __slots__ = ("_collect", "paths")

    def __init__(self, *paths: PathSpec | Path) -> None:
        self.paths = tuple(Path.of(path) for path in paths)
        self._collect = tuple((_ROOTS[path.root], collector(path.steps)) for path in self.paths)

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


def _alternative(path: Path, guards: tuple[Condition, ...]) -> Callable[[Document], str]:
    root = _ROOTS[path.root]
    if path.plain and not guards:
        find = finder(path.steps)

        def plain(document: Document) -> str:
            found = find(root(document))
            return found if type(found) is str else ""

        return plain
    if path.root != "json":
        tests = Where(guards)
        return lambda document: root(document) if tests.holds(document) else ""
    collect = collector(path.steps, guards)

    def joined(document: Document) -> str:
        found: list[Any] = []
        collect(document.json, found)
        if len(found) == 1 and type(found[0]) is str:
            return found[0]
        for item in found:
            if type(item) is ExtractionError:
                document.problem = document.problem or item
        return "".join([item for item in found if type(item) is str])

    return joined
