"""What was made last, and what an interruption carries: nothing is lost because somebody stopped the rest.

LAST = Last[Recording]("recording")
LAST.keep(recording)              # it is the last one now
LAST.carry(recording, error)      # the same, and whoever catches `error` finds it there
LAST.of(error)                    # it again, also where the error has become another one on its way
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Last"]

T = TypeVar("T")


class Last(Generic[T]):
    """The last one of its kind in this process: `value`, None where there was none. An exception carries one as its
    attribute `name`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.value: T | None = None

    def of(self, error: BaseException | None) -> T | None:
        """The one that `error` carries, or what it was made of does; None where there is none. Without an error the
        last one.
        """
        if error is None:
            return self.value
        carried = (vars(each).get(self._name) for each in _made_of(error))
        return next((made for made in carried if made is not None), None)

    def keep(self, made: T) -> T:
        """It is the last one now."""
        self.value = made
        return made

    def carry(self, made: T, error: BaseException) -> None:
        """The same, and `error`, which interrupted it, has it."""
        vars(error)[self._name] = self.keep(made)  # its class may forbid new attributes

    def hand_on(self, ended: BaseException, error: BaseException) -> None:
        """What `ended` carries is `error`'s from now on: that of Ctrl-C, of which a cancellation was made."""
        if (made := self.of(ended)) is not None:
            self.carry(made, error)


def _made_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was made of: causes, contexts, the members of groups; the nearest first."""
    waiting, seen = deque([error]), set[int]()
    while waiting:
        one = waiting.popleft()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            waiting.extend(each for each in (one.__cause__, one.__context__, *inner) if each is not None)
