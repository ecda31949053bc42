"""From an event to the text it carries: a compiled path, sans-IO.

    >>> Extractor("choices[0].delta.content")('{"choices": [{"delta": {"content": "Hi"}}]}')
    'Hi'

The path language is described in `streamkit.extractor.path`. Nothing that stands on the wire raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamkit.errors import PathSyntaxError
from streamkit.extractor.document import ROOTS, Document, Where, show
from streamkit.extractor.follow import (
    collector,
    finder,
    first_key,
    straight,
)
from streamkit.extractor.path import EVERY, JSON, Condition, Path, PathSpec, WhereSpec, conditions
from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.parser import ServerSentEvent

__all__ = ["EVERY", "JSON", "End", "ExtractionError", "Extractor", "Piece", "ProviderError"]


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
            words.append(f"where={show(self.where)}")
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


def _alternative(path: Path, guards: tuple[Condition, ...]) -> Callable[[Document], str]:
    root = ROOTS[path.root]
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
