"""What a fault is: something that changes the steps of an answer. The kinds are in `faults`."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Final, TypeAlias

from streamkit.lab.upstream.steps import ScriptedAnswer, Step

__all__ = ["CONTENT", "CUTS", "FRAMING", "HEAD", "MARK", "TIME", "WRITES", "Choices", "EventFault", "Fault"]

Choices: TypeAlias = dict[str, tuple[str, ...]]
MARK: Final = "@@@@"
"""A text by which the place of a text is found in what a writer writes."""
CODE: Final = re.compile(r"[!-~]{1,64}")  # what a preset takes for one

# The order in which faults are applied, whatever the order in which they are given.
CONTENT, TIME, WRITES, FRAMING, CUTS, HEAD = range(6)


class Fault(ABC):
    """Changes the steps of an answer. Each is a small frozen dataclass; two with equal fields do the same.

    Making it raises ValueError for a field that makes no sense; making a script with it, for an `at` that the script
    does not have.
    """

    stage: ClassVar[int]
    choices: ClassVar[Choices] = {}

    @abstractmethod
    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        """The steps of `answer` with this fault in them."""

    def check(self, pieces: int) -> None:  # noqa: B027  # most that are not addressed have nothing to check
        """Raise ValueError unless a script of so many pieces can have this fault."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # every fault is a dataclass
            _check_field(each.name, getattr(self, each.name), self.choices)


class EventFault(Fault):
    """A fault of event `at`."""

    at: int
    first: ClassVar[int] = 1  # `at` may be from here …
    beyond: ClassVar[int] = 1  # … to so many more than there are pieces

    def check(self, pieces: int) -> None:
        last = pieces + self.beyond
        if not self.first <= self.at <= last:
            raise ValueError(f"expected at from {self.first} to {last}, as there are {pieces} pieces, got {self!r}")

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        index = answer.find(self.at)
        return answer.steps if index is None else self.change(answer, index)

    @abstractmethod
    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        """`apply`, for the step at `index`, which is the one to be changed."""


def _check_field(name: str, value: Any, choices: Choices) -> None:
    """By the name, as everywhere here: what ends in _ms is a time, what ends in _bytes a size."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    if name in choices and value not in choices[name]:
        raise ValueError(f"expected {name} as one of {', '.join(map(repr, choices[name]))}, got {value!r}")
    if name.endswith("ms") and not (number and 0 <= value < math.inf):
        raise ValueError(f"expected {name} as milliseconds >= 0, got {value!r}")
    if name in ("at", "by") and not whole:
        raise ValueError(f"expected {name} as an integer, got {value!r}")
    if name in ("size_bytes", "count", "events") and not (whole and value >= 1):
        raise ValueError(f"expected {name} as an integer >= 1, got {value!r}")
    if name == "code" and not (isinstance(value, str) and CODE.fullmatch(value)):
        raise ValueError(f"expected code as a word of 1 to 64 printable ASCII characters, got {value!r}")
    if name == "text" and not (isinstance(value, str) and value):
        raise ValueError(f"expected text as a non-empty string, got {value!r}")
