"""Which of several choices is the answer: they share a stream, and are told apart by their index alone.

**Theory of operation.** Most streams hold one choice, of index 0, and nothing here is asked. What comes under another
index is one of two things, which the events themselves tell apart:

    another choice (n > 1)              it stands beside the first in one event; or it began with an event without text,
                                        as choices do; or the first has finished; or the first index comes again behind
                                        it: it is left out, and counted
    the same one, oddly numbered        some servers count the index up with each event, some always say 1: it is taken

Where neither is to be seen yet, it is held back until one is: the first index comes again, more others have come than
anybody asks for (`SURELY`), or the answer is over. If text of another index was taken at once, as there was none before
it, and index 0 comes after all, text of two has been mixed: that is an error, for nothing can be taken back.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from streamkit.extractor.pieces import ExtractionError

__all__ = ["MIXED", "Choices"]

MIXED: Final = ExtractionError("mixed_choices", "expected one choice, got text of several that only later came apart")

SURELY: Final = 16
"""Whoever counts so far without looking back counts events, not choices; so many others are counted one by one."""

Choice: TypeAlias = dict[str, Any]


class Choices:
    """The choice that is taken, event by event; `left_out` counts the texts of all others by their index."""

    def __init__(self) -> None:
        self.left_out: dict[object, int] = {}
        self._taken: int | None = None  # the index that was taken first, once one is
        self._begun: set[int] = set()  # indices of which an event without text came first
        self._finished = False
        self._held: list[tuple[int, Choice]] = []
        self._several = False
        self._counts_up = False

    @property
    def is_odd(self) -> bool:
        """Text of another index than 0 is taken: if the index 0 comes (again), that is mixed."""
        return self._counts_up or self._taken not in (None, 0)

    @property
    def is_plain(self) -> bool:
        """The choice of index 0 is taken, and what comes of it matters to none other."""
        return self._taken == 0 and not self._counts_up and not self._held

    @property
    def is_waiting(self) -> bool:
        """Something is held back."""
        return bool(self._held)

    def saw(self, choices: object) -> None:
        """The very first event with choices."""
        if type(choices) is list:
            self._begun.update(_index(choice) for choice in choices if type(choice) is dict)

    def first_came(self) -> None:
        """Text of index 0 came, in an event that was not asked about here."""
        if self._taken is None:
            self._taken = 0
        if self._taken == 0:
            self._leave_held()

    def pick(self, choices: list[Choice]) -> list[Choice]:
        """Of the choices in one event those to be read now, perhaps behind earlier ones, each numbered 0."""
        if len(choices) > 1:
            self._several = True
            self._leave_held()
        return [taken for choice in choices for taken in self._pick(choice, _index(choice), _speaks(choice))]

    def release(self) -> list[Choice]:
        """The answer is over: what is held was of the same choice."""
        held, self._held = self._held, []
        self._counts_up = self._counts_up or bool(held)
        return [_first(choice) for _, choice in held]

    def notes(self) -> list[str]:
        self._leave_held()
        notes = [
            f"choice {index} was left out: {count} piece{'s' * (count != 1)}" for index, count in self.left_out.items()
        ]
        if self._counts_up:
            notes.append("the choice's index changes from event to event; all were read as one choice")
        return notes

    def _pick(self, choice: Choice, index: int, speaks: bool) -> list[Choice]:
        if self._taken is None and not speaks:
            self._begun.add(index)
            return [_first(choice)] if index == min(self._begun) else []
        if self._taken is None:
            self._taken = min((*self._begun, index))  # 0 began, and 1 speaks: it may be the same one
        if index == self._taken or self._counts_up:
            self._finished = self._finished or bool(choice.get("finish_reason"))
            self._leave_held()
            return [_first(choice)]
        if self._several or self._finished or index in self._begun:
            self._leave_out(index, speaks)
        elif speaks or choice.get("finish_reason"):
            return self._hold(index, choice)
        else:
            self._begun.add(index)
        return []

    def _hold(self, index: int, choice: Choice) -> list[Choice]:
        self._held.append((index, choice))
        return self.release() if len(self._held) >= SURELY else []

    def _leave_held(self) -> None:
        """Other choices are what was held."""
        held, self._held = self._held, []
        self._several = self._several or bool(held)
        for index, choice in held:
            self._leave_out(index, _speaks(choice))

    def _leave_out(self, index: int, speaks: bool) -> None:
        if speaks:
            named = index if index in self.left_out or len(self.left_out) < SURELY else "of further indices"
            self.left_out[named] = self.left_out.get(named, 0) + 1


def _first(choice: Choice) -> Choice:
    return {**choice, "index": 0}


def _index(choice: Choice) -> int:
    """Its index; 0 where it has none, or something else in its place."""
    index = choice.get("index")
    return index if type(index) is int else 0


def _speaks(choice: Choice) -> bool:
    """It holds text, of whatever sort, or calls a tool."""
    delta = choice.get("delta") or choice.get("message")
    said = any(value for key, value in delta.items() if key != "role") if type(delta) is dict else False
    return said or bool(choice.get("text"))
