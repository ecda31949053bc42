"""From an event to the text it carries: a compiled path, sans-IO.

The path language is described in `streamkit.extractor.path`. Nothing on the wire raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streamkit.errors import PathSyntaxError
from streamkit.extractor.document import ROOTS, Compiled, Document, Where
from streamkit.extractor.follow import collector, finder, first_key, straight
from streamkit.extractor.misfit import Misfit, misfit_of
from streamkit.extractor.path import Condition, Path, PathSpec, WhereSpec, conditions, kinds_of
from streamkit.extractor.pieces import ExtractionError, Piece
from streamkit.parser import ServerSentEvent

__all__ = ["Extractor"]


@dataclass(frozen=True, init=False, repr=False)
class Extractor(Compiled):
    """A compiled path to the text in an event. Call it with an event, or an event's data: it returns the text, or None.

        >>> sk.Extractor("choices[0].delta.content")(b'{"choices": [{"delta": {"content": "hi"}}]}')
        'hi'
        >>> sk.Extractor("delta.text", where="type == 'delta'")('{"type": "ping", "delta": {"text": "hi"}}')

    paths   alternatives, of which the first that yields text wins. Each is an expression
            (`"choices[0].delta.content"`), a sequence (`["choices", 0, "delta", "content"]`), or None for the event's
            data itself
    where   one condition or several, all of which must hold: expressions (`"type == 'delta'"`), or tuples
            `(path, "==" or "!=", value)`

    The path language: `a.b[0]` for keys and indices, `[-1]` for the last element, `[*]` for every element (their texts
    are joined), `["odd key"]`, `| json` for a step into a JSON string; `@data`, `@event` and `@id` for the event
    itself. Conditions also know `exists`, `absent` and `… or absent`. See `streamkit.extractor.path`.

    Only strings count as text; "", null and absent values do not. If something else is where text belongs, `read` says
    so by an ExtractionError, `wrong_type`; unless another of the paths goes on into it (`"content"` beside
    `"content[*].text"`).

    Raises PathSyntaxError for a path or a condition that does not compile. Calling it never raises because of what is
    on the wire.
    """

    paths: tuple[Path, ...]
    where: tuple[Condition, ...]

    def __init__(self, *paths: PathSpec | Path, where: WhereSpec = ()) -> None:
        if not paths:
            raise PathSyntaxError("expected at least one path", "", 0)
        object.__setattr__(self, "paths", tuple(map(Path.of, paths)))
        object.__setattr__(self, "where", conditions(where))

    def __call__(self, data: str | bytes | ServerSentEvent) -> str | None:
        """The text of one event, given as an event or as its data; None if there is none, or the data is malformed."""
        direct = self._direct
        if direct is None:
            return self.text(Document.of(data)) or None
        return direct(data.data if type(data) is ServerSentEvent else data)  # type: ignore[arg-type]  # narrowed

    def read(self, data: str | bytes | ServerSentEvent) -> Piece | ExtractionError | None:
        """Read an event: a `Piece`, None if there is no text, or an ExtractionError for malformed data and non-text.

        >>> sk.Extractor("a[*].b").read('{"a": [{"b": 7}]}').message
        'expected text at a[*].b, got a number'
        """
        document = Document.of(data)
        text = self.text(document)
        if text:
            return (self._misfit(document) if document.is_mixed else None) or Piece(text)
        return document.problem or self._misfit(document)

    @cached_property
    def text(self) -> Callable[[Document], str]:
        """A function that returns the text in a document, or ""; malformed data is noted in `document.problem`."""
        # A condition that can share an element with a path is tested along it, any other one beforehand.
        guards = tuple(condition for condition in self.where if not condition.path.plain)
        beforehand = Where(condition for condition in self.where if condition.path.plain).holds
        alternatives = tuple(_alternative(path, guards) for path in self.paths)

        def text(document: Document) -> str:
            if beforehand(document):
                for alternative in alternatives:
                    found = alternative(document)
                    if found:
                        return found
            return ""

        return text

    @property
    def is_plain(self) -> bool:
        """Whether it has conditions, and each of them asks for one value."""
        return bool(self.where) and all(condition.path.plain for condition in self.where)

    @cached_property
    def _misfit(self) -> Misfit:
        return misfit_of(self.paths, self.where, kinds_of(self.paths))

    @cached_property
    def needed_key(self) -> str | None:
        """A key without which a JSON object cannot have the text; None if there is no such key."""
        keys = {first_key(path) for path in self.paths}
        return Where(self.where).needed_key or (keys.pop() if len(keys) == 1 else None)

    @cached_property
    def _direct(self) -> Callable[[str | bytes], str | None] | None:
        """A single path without conditions, the most frequent case, needs no document."""
        only = len(self.paths) == 1 and not self.where and self.paths[0].root == "json"
        return straight(self.paths[0].steps) if only else None

    def __repr__(self) -> str:
        words = [repr(str(path)) for path in self.paths]
        if self.where:
            words.append(f"where={self.where[0] if len(self.where) == 1 else self.where!r}")
        return f"Extractor({', '.join(words)})"


def _alternative(path: Path, guards: tuple[Condition, ...]) -> Callable[[Document], str]:
    root = ROOTS[path.root]
    if path.plain and not guards:
        find = finder(path.steps)

        def plain(document: Document) -> str:
            found = find(root(document))
            return found if type(found) is str else ""

        return plain
    if path.root != "json":
        holds = Where(guards).holds
        return lambda document: root(document) if holds(document) else ""
    collect = collector(path.steps, guards)

    def joined(document: Document) -> str:
        found: list[Any] = []
        collect(document.json, found)
        if len(found) == 1 and type(found[0]) is str:
            return found[0]
        text = "".join([item for item in found if type(item) is str])
        for item in found:
            if type(item) is ExtractionError:
                document.problem = document.problem or item
            elif text and type(item) is not str and item is not None:
                document.is_mixed = True
        return text

    return joined
