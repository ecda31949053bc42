"""Sends: the writes of a request's body, as columns: the staircase `client.sent`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

from streamkit.lab.metrics.columns import Columnar, check_lengths, int_column

__all__ = ["MAX_SENDS", "Send", "Sends"]

MAX_SENDS: Final = 1 << 16
"""Of one recording; of more, neighbours are told as one."""


class Send(NamedTuple):
    """One write of the request's body: at `at_ns` the client's kernel had taken `size` more bytes.

    For `held_ns` before that it had had no room for them: the server, or the way to it, held the upload back.
    """

    at_ns: int
    size: int
    held_ns: int = 0


class Sends(Columnar[Send]):
    """The writes of a request's body, as parallel columns named like the fields of `Send`.

    Beyond `MAX_SENDS` writes, neighbours are merged into one, with the time of the last of them: first two, then four,
    and so on. A long upload keeps an even picture, and no bytes are lost from the count.

    >>> from streamkit.lab.recording.sends import Sends
    >>> Sends([10, 20], size=[3, 4])
    <Sends: 2 writes, 7 bytes>
    """

    __slots__ = ("_each", "_in_last", "at_ns", "held_ns", "size")
    _columns = ("at_ns", "size", "held_ns")

    def __init__(
        self, at_ns: Iterable[int] = (), size: Iterable[int] = (), held_ns: Iterable[int] | None = None
    ) -> None:
        self.at_ns, self.size = int_column(at_ns), int_column(size)
        self.held_ns = array("q", [0]) * len(self.at_ns) if held_ns is None else int_column(held_ns)
        check_lengths("Sends", at_ns=self.at_ns, size=self.size, held_ns=self.held_ns)
        self._each = self._in_last = 1  # how many writes are told as one; of the last one so far

    def append(self, at_ns: int, size: int, held_ns: int = 0) -> None:
        """Add one write."""
        if self.at_ns and self._in_last < self._each:
            self.at_ns[-1] = at_ns
            self.size[-1] += size
            self.held_ns[-1] += held_ns
            self._in_last += 1
            return
        if len(self.at_ns) >= MAX_SENDS:
            self._halve()
        self.at_ns.append(at_ns)
        self.size.append(size)
        self.held_ns.append(held_ns)
        self._in_last = 1

    def _halve(self) -> None:
        self.at_ns, self.size, self.held_ns = self.at_ns[1::2], _paired(self.size), _paired(self.held_ns)
        self._each *= 2

    @property
    def bytes(self) -> int:
        """How many bytes in all."""
        return sum(self.size)

    def __len__(self) -> int:
        return len(self.at_ns)

    def _at(self, index: int) -> Send:
        return Send(**self._values(index))

    def __repr__(self) -> str:
        return f"<Sends: {len(self)} writes, {self.bytes} bytes>"


def _paired(column: array[int]) -> array[int]:
    return array("q", map(sum, zip(column[::2], column[1::2], strict=True)))
