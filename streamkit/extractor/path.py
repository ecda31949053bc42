"""The path language: where the text is in an event, and under which conditions.

    choices[0].delta.content                       keys and list indices; [-1] is the last element
    ["odd key"].x   ['x'].键                        keys that hold dots, spaces, brackets …; unicode plainly
    candidates[0].content.parts[*].text            every element of a list; their texts are joined
    data[0].value | json | Body.List[0].Content    a step into a JSON string
    @data   @event   @id                           the event itself: its raw data, its type, its id

The same as a plain sequence: `("data", 0, "value", JSON, "Body", "List", 0, "Content")`, in which `"*"` is every
element (in an expression, a key named `*` is written `["*"]`), and `None` in place of a path is `@data`.

Conditions compare one path with one literal, by JSON's own equality (0 is not false, 1 equals 1.0, "0" is not 0):

    type == 'content_block_delta'    @event != "ping"    choices[0].index == 0    thought != true
    error exists    index absent    choices[*].index == 0 or absent

An absent value equals nothing, so `!=` holds for it. If a condition's path shares `[*]` with the text's path, it is
tested on the element from which the text is taken; any other `[*]` means some element (for `!=`, no element).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, cast

import orjson

from streamkit.errors import PathSyntaxError

__all__ = [
    "EVERY",
    "JSON",
    "Condition",
    "ConditionSpec",
    "Kinds",
    "Path",
    "PathSpec",
    "Special",
    "Step",
    "WhereSpec",
    "conditions",
    "kinds_of",
]


class Special(Enum):
    """The steps of a path that are neither a key nor an index, for paths as sequences.

        >>> import streamkit as sk
        >>> sk.Extractor(("value", sk.JSON, "say"))('{"value": "{\\\\"say\\\\": \\\\"hi\\\\"}"}')
        'hi'

    EVERY   every element of a list
    JSON    a step into a JSON string: what is below it is the path in the JSON that this string holds
    """

    EVERY = "*"
    JSON = "json"

    def __repr__(self) -> str:
        return self.name


EVERY: Final = Special.EVERY
JSON: Final = Special.JSON

Step: TypeAlias = str | int | Special
Root: TypeAlias = Literal["json", "data", "event", "id"]
PathSpec: TypeAlias = str | Sequence[str | int | Special] | None
ConditionSpec: TypeAlias = str | tuple[PathSpec, str, object]

# A path longer than this is a mistake; the bound keeps compilation, which is recursive, shallow.
MAX_STEPS = 100

_FIELDS = {"@data": "data", "@event": "event", "@id": "id"}
_PLAIN_KEY = re.compile(r"""[^\s.\[\]|"'=!*@][^\s.\[\]|"'=!*]*""")
_INDEX = re.compile(r"-[1-9][0-9]{0,8}|0|[1-9][0-9]{0,8}")
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(["'\\/bfnrt]))""")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Path:
    """A path: from its root (the decoded data, or a field of the event) along its steps."""

    root: Root
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, spec: PathSpec | Path) -> Path:
        """Compiles an expression or a sequence; raises PathSyntaxError, which shows the place."""
        if isinstance(spec, Path):
            return spec
        if spec is None:
            return cls("data")
        if isinstance(spec, str):
            scanner = _Scanner(spec)
            path = scanner.path()
            scanner.finish("the end of the path")
            return path
        return _from_sequence(spec)

    @property
    def plain(self) -> bool:
        """True where there are only keys and indices, so that at most one value can be found."""
        return not any(isinstance(step, Special) for step in self.steps)

    def __str__(self) -> str:
        if self.root != "json":
            return f"@{self.root}"
        if not self.steps or self.steps[0] is JSON:
            return "@data | json" + _spell(self.steps, after_pipe=True)
        return _spell(self.steps)


def _spell(steps: Sequence[Step], *, after_pipe: bool = False) -> str:
    words: list[str] = []
    for step in steps:
        if step is JSON:
            words.append(" | json")
            after_pipe = True
            continue
        if after_pipe:
            words.append(" | ")
        if not isinstance(step, str):
            words.append("[*]" if step is EVERY else f"[{step}]")
        elif _is_plain(step) and not (after_pipe and step == "json"):
            words.append(step if after_pipe or not words else f".{step}")
        else:
            words.append(f"[{json.dumps(step, ensure_ascii=False)}]")
        after_pipe = False
    return "".join(words)


def _is_plain(key: str) -> bool:
    return bool(_PLAIN_KEY.fullmatch(key)) and not _INDEX.fullmatch(key) and key != "$"


def _from_sequence(spec: Sequence[Step]) -> Path:
    if isinstance(spec, (bytes, bytearray)) or not isinstance(spec, Sequence):
        raise PathSyntaxError("expected a path as a string or a sequence of keys and indices", repr(spec), 0)
    source = repr(spec)
    if not spec or len(spec) > MAX_STEPS:
        raise PathSyntaxError(f"expected 1 to {MAX_STEPS} steps, got {len(spec)}", source, 0)
    steps: list[Step] = []
    for number, step in enumerate(spec):
        if isinstance(step, bool) or not isinstance(step, (str, int, Special)) or step == "":
            shown = ", ".join(repr(before) for before in spec[:number])
            position = len(shown) + 3 if number else 1
            expected = "expected a non-empty key, an index, '*' or JSON"
            raise PathSyntaxError(f"{expected} as step {number}, got {step!r}", source, position)
        steps.append(EVERY if step == "*" else step)
    return Path("json", tuple(steps))


class _Scanner:
    """A recursive-descent reader of paths, conditions and literals."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def fail(self, message: str, at: int | None = None) -> PathSyntaxError:
        return PathSyntaxError(message, self.source, self.at if at is None else at)

    def space(self) -> bool:
        before = self.at
        self.at += len(_SPACE.match(self.source, self.at)[0])  # type: ignore[index]  # matches the empty string too
        return self.at > before

    def scan(self, text: str) -> bool:
        found = self.source.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.source, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def finish(self, expected: str) -> None:
        self.space()
        if self.at == len(self.source):
            return
        if self.source[self.at] in "=!":
            raise self.fail(f"expected {expected}; a comparison belongs in where=, a key that holds = or ! in quotes")
        raise self.fail(f"expected {expected}, or one of . [ |, got {self.source[self.at]!r}")

    def path(self) -> Path:
        self.space()
        start = self.at
        if self.scan("@"):
            return self.field(start)
        steps = self.keys()
        return Path("json", self.bounded(steps + self.json_steps(), start))

    def bounded(self, steps: list[Step], start: int) -> tuple[Step, ...]:
        if len(steps) > MAX_STEPS:
            raise self.fail(f"expected at most {MAX_STEPS} steps, got {len(steps)}", start)
        return tuple(steps)

    def field(self, start: int) -> Path:
        word = "@" + (self.match(_PLAIN_KEY) or "")
        if word not in _FIELDS:
            raise self.fail(f"expected {', '.join(_FIELDS)} (a key that begins with @ in quotes), got {word!r}", start)
        if word == "@data":
            steps = self.json_steps()
            if steps:  # the first is the decoding of the data itself, from which every path starts
                return Path("json", self.bounded(steps[1:], start))
        return Path(_FIELDS[word])  # type: ignore[arg-type]  # the dict's values are the Literal's own

    def json_steps(self) -> list[Step]:
        steps: list[Step] = []
        while self.pipe():
            start = self.at
            if self.match(_PLAIN_KEY) == "json" and self.source[self.at : self.at + 1] not in {".", "["}:
                steps.append(JSON)
            elif steps and steps[-1] is JSON:
                self.at = start
                steps += self.keys()
            else:
                raise self.fail("expected the filter json after | (and a further | before the keys behind it)", start)
        return steps

    def pipe(self) -> bool:
        before = self.at
        self.space()
        if self.scan("|"):
            self.space()
            return True
        self.at = before
        return False

    def keys(self) -> list[Step]:
        steps = [self.bracket() if self.scan("[") else self.key()]
        while True:
            if self.scan("["):
                steps.append(self.bracket())
            elif self.scan("."):
                steps.append(self.key())
            else:
                return steps

    def key(self) -> str:
        start = self.at
        key = self.match(_PLAIN_KEY)
        if key is None:
            got = repr(self.source[start]) if start < len(self.source) else "the end"
            raise self.fail(f'expected a key (odd ones are written ["odd key"]), got {got}', start)
        if _INDEX.fullmatch(key):
            raise self.fail(f'expected a key: an index is written [{key}], the key "{key}" is written ["{key}"]', start)
        if key == "$":
            raise self.fail('expected a key: a path starts at the data without $; the key "$" is written ["$"]', start)
        return key

    def bracket(self) -> Step:
        opened = self.at - 1
        step: Step
        if self.scan("*"):
            step = EVERY
        elif self.source[self.at : self.at + 1] in {'"', "'"}:
            start = self.at
            step = self.quoted()
            if not step:
                raise self.fail("expected a key that is not empty", start)
        else:
            number = self.match(_INDEX)
            if number is None:
                raise self.fail('expected an index such as 0 or -1, "a key" in quotes, or *')
            step = int(number)
        if not self.scan("]"):
            if self.at >= len(self.source):
                raise self.fail("expected ] for this [", opened)
            raise self.fail(f"expected ], got {self.source[self.at]!r}")
        return step

    def quoted(self) -> str:
        start, quote = self.at, self.source[self.at]
        self.at += 1
        text: list[str] = []
        while True:
            if self.at >= len(self.source):
                raise self.fail(f"expected a closing {quote}", start)
            sign = self.source[self.at]
            if sign == quote:
                self.at += 1
                return "".join(text)
            if sign == "\\":
                sign = self.escape()
            else:
                self.at += 1
            text.append(sign)

    def escape(self) -> str:
        found = _ESCAPE.match(self.source, self.at)
        if found is None:
            raise self.fail(r"""expected one of \\ \" \' \/ \b \f \n \r \t \uXXXX""")
        self.at = found.end()
        code, sign = found.groups()
        if code is None:
            return _ESCAPES.get(sign, sign)
        if "d800" <= code.lower() <= "dfff":
            raise self.fail("expected a whole character: write it plainly, not as surrogates", found.start())
        return chr(int(code, 16))

    def condition(self) -> Condition:
        path = self.path()
        spaced = self.space()
        for operator in ("==", "!="):
            if self.scan(operator):
                self.space()
                literal = self.literal()
                return Condition(path, operator, literal, operator == "==" and self.or_absent())
        for operator in ("exists", "absent"):
            if spaced and self.scan(operator):
                return Condition(path, operator)
        raise self.fail("expected a comparison: == or != and a literal, or the word exists or absent")

    def or_absent(self) -> bool:
        before = self.at
        if self.space() and self.scan("or") and self.space() and self.scan("absent"):
            return True
        self.at = before
        return False

    def literal(self) -> object:
        if self.source[self.at : self.at + 1] in {'"', "'"}:
            return self.quoted()
        start = self.at
        number = self.match(_NUMBER)
        if number is not None:
            try:
                return cast("object", orjson.loads(number))
            except orjson.JSONDecodeError:
                raise self.fail("expected a number within the range of a double", start) from None
        for word, value in _WORDS.items():
            if self.scan(word):
                return value
        raise self.fail("expected a literal: \"text\" or 'text' in quotes, a number, true, false or null", start)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: a path, `==`, `!=`, `exists` or `absent`, and (for the first two) a literal.

    With `or_absent`, `==` holds for an absent value too (`!=` always does).
    """

    path: Path
    operator: str
    literal: Any = None
    or_absent: bool = False

    def __post_init__(self) -> None:
        if self.operator not in {"==", "!=", "exists", "absent"}:
            raise PathSyntaxError(f"expected == or != as comparison, got {self.operator!r}", self._source(), 0)
        if self.literal is not None and not isinstance(self.literal, (str, int, float)):
            raise PathSyntaxError(
                f"expected a string, a number, true, false or null to compare with, got {self.literal!r}",
                self._source(),
                0,
            )

    def _source(self) -> str:
        return f"{self.path} {self.operator} {self.literal!r}"

    def __repr__(self) -> str:
        return repr(str(self))

    def __str__(self) -> str:
        if self.operator in {"exists", "absent"}:
            return f"{self.path} {self.operator}"
        suffix = " or absent" * self.or_absent
        return f"{self.path} {self.operator} {json.dumps(self.literal, ensure_ascii=False)}{suffix}"


WhereSpec: TypeAlias = ConditionSpec | Condition | Iterable[ConditionSpec | Condition]


def conditions(where: WhereSpec) -> tuple[Condition, ...]:
    """Compiles one condition or several; a condition is an expression, or a tuple (path, "==" or "!=", value)."""
    if isinstance(where, (str, Condition)) or _is_structured(where) or not isinstance(where, Iterable):
        return (_condition(where),)
    return tuple(_condition(item) for item in where)


def _is_structured(where: object) -> bool:
    return isinstance(where, tuple) and len(where) == 3 and where[1] in ("==", "!=")


def _condition(spec: Any) -> Condition:
    if isinstance(spec, Condition):
        return spec
    if isinstance(spec, str):
        scanner = _Scanner(spec)
        condition = scanner.condition()
        scanner.finish("the end of the condition")
        return condition
    if not _is_structured(spec):
        expected = 'expected a condition such as "type == \'x\'" or a tuple (path, "==" or "!=", value)'
        raise PathSyntaxError(f"{expected}, got {spec!r}", repr(spec), 0)
    path, operator, literal = spec
    return Condition(Path.of(path), operator, literal)


Kinds: TypeAlias = dict[tuple[Step, ...], frozenset[type]]
"""Which kinds of value (str, list, dict) paths expect, by the steps that lead there."""


def kinds_of(paths: Iterable[Path]) -> Kinds:
    """What these paths together expect, place by place: a list where one goes on by `[*]`, text where one ends."""
    kinds: dict[tuple[Step, ...], set[type]] = {}
    for path in paths:
        for number in range(len(path.steps) + 1 if path.root == "json" else 0):
            kinds.setdefault(path.steps[:number], set()).add(_kind_for(path.steps[number : number + 1]))
    return {place: frozenset(found) for place, found in kinds.items()}


def _kind_for(following: Sequence[Step]) -> type:
    """The kind of value that the next step goes into; text at the end."""
    if not following or following[0] is JSON:
        return str
    return dict if isinstance(following[0], str) else list
