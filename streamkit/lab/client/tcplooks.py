"""What the kernel knows of a connection (TCP_INFO), looked at while a stream is recorded: seldom, at the right moments.

After the head, behind each silence, every 2 s at most, and at the end: what was lost on the way shows as counts that
have grown from one look to the next (`streamkit.sockets.TcpInfo`). A look is one system call; no read waits for it.

    meta["tcp"] = {"at_ns": [...], "rtt_us": [...], "out_of_order": [...], ...}     # columns, a row a look
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

from streamkit.sockets import TcpInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamkit.transport import ReadPart

__all__ = ["EVERY_NS", "MAX_LOOKS", "SILENCE_NS", "TcpLooks"]

SILENCE_NS: Final = 200_000_000
"""Behind a silence of this length is looked: shorter ones are no stall (`metrics.MIN_STALL_NS`)."""
EVERY_NS: Final = 2_000_000_000
MAX_LOOKS: Final = 64
"""Of one recording. Of a connection on which nothing is lost two are kept."""


class TcpLooks:
    """The looks at the connections of one recording, `now` being its clock.

    Of looks between which nothing happened the first and the last are kept.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._look: Callable[[], TcpInfo | None] = _nothing
        self._rows: list[tuple[int, TcpInfo]] = []
        self._looked_ns = self._came_ns = 0

    def begin(self, look: Callable[[], TcpInfo | None]) -> None:
        """A head has come, on a connection of which `look` tells."""
        self._look = look
        self.look()

    def came(self, at_ns: int) -> None:
        """A read came, stamped `at_ns` by the clock of reads."""
        self._after(at_ns - self._came_ns, at_ns)

    def came_several(self, parts: Sequence[ReadPart]) -> None:
        """Several came: one look is for all."""
        last_ns = parts[-1][2][0]
        silent_ns = last_ns - self._came_ns  # in all of it there can be no longer one
        if silent_ns > SILENCE_NS:
            at_ns = [stamp[0] for _, _, stamp in parts]
            silent_ns = max(map(operator.sub, at_ns, [self._came_ns, *at_ns]))
        self._after(silent_ns, last_ns)

    def _after(self, silent_ns: int, at_ns: int) -> None:
        self._came_ns = at_ns
        if silent_ns > SILENCE_NS or at_ns - self._looked_ns > EVERY_NS:
            self._looked_ns = at_ns
            self.look()

    def look(self) -> None:
        """Now."""
        info = self._look()
        if info is None:
            return
        rows = self._rows
        alike = len(rows) > 1 and all(_happened(info) == _happened(row) for _, row in rows[-2:])
        if alike or len(rows) == MAX_LOOKS:
            rows[-1] = (self._now(), info)
        else:
            rows.append((self._now(), info))

    def end(self) -> None:
        """The connection is over."""
        self.look()
        self._look = _nothing

    def as_dict(self) -> dict[str, list[int]]:
        """As columns, JSON values only; empty where nothing was told."""
        if not self._rows:
            return {}
        columns = zip(*((at_ns, *info) for at_ns, info in self._rows), strict=True)
        return dict(zip(("at_ns", *TcpInfo._fields), map(list, columns), strict=True))


def _nothing() -> None:
    return None


def _happened(info: TcpInfo) -> tuple[int, int, int]:
    return info.retransmits, info.lost, info.out_of_order
