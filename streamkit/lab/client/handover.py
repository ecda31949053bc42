"""Handover: when each event goes to whoever listens, and the stamp of it. No timers: `pace` says when.

Theory of operation
-------------------
                   an event comes        `next()`              late text comes               `end()`
    at once        stamped, told         –                     told                          –
    paced          waits                 stamped, told         told, if its event was        what waits is stamped, and
                                                               handed over; else with it     told unless interrupted

`handed_ns` of an event is the time at which it was handed over. What waits is the client's own backlog, in memory:
`waiting` events; of bytes, each of them has its share of the body that came since nothing was left to hand over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.lab.recording.recorded import Events

__all__ = ["MAX_BUSY", "Handover"]

LONG_NS: Final = 5_000_000
"""How long a reader takes nothing before that is noted: shorter is what a shared machine does to anybody."""
MAX_BUSY: Final = 1000


class Handover:
    """Hands the rows of `events` to `on_piece`, in order: at once, or `paced`, one for each `next()`."""

    def __init__(
        self, events: Events, on_piece: Callable[[str], object] | None, now: Callable[[], int], *, paced: bool = False
    ) -> None:
        self._events = events
        self._texts: dict[int, str] = {}  # of those that wait, where the events do not keep theirs
        self._on_piece = on_piece
        self._now = now
        self._paced = paced
        self._handed = 0
        self._came_events = self._came_bytes = 0  # since nothing was left to hand over
        self.busy: list[tuple[int, int]] = []
        """When whoever reads took nothing, from when to when: a listener at work, a paced reader that did not want to
        read; beyond `MAX_BUSY` of them the last are one."""

    @property
    def waiting(self) -> int:
        """Events that came and were not handed over yet."""
        return len(self._events) - self._handed

    @property
    def backlog_bytes(self) -> int:
        """Bytes of body that wait with them."""
        return self._came_bytes * self.waiting // self._came_events if self._came_events else 0

    def came(self, index: int, text: str) -> None:
        """The text of the event at `index` is known: of a new one, or of an earlier one."""
        if index < self._handed:
            self._tell(text)
            return
        if text and not self._events.kept and self._on_piece is not None:
            self._texts[index] = self._texts.get(index, "") + text
        if not self._paced:
            self.next()

    def passed(self) -> None:
        """All that have come were handed on as they came: nobody listens."""
        self._handed = len(self._events)

    def brought(self, events: int, size: int) -> None:
        """So many events came with so many bytes of body."""
        if self._paced:
            self._came_events += events
            self._came_bytes += size

    def next(self) -> None:
        """Hand over the next event that waits."""
        index = self._handed
        self._handed = index + 1
        self._events.hand_on(index, self._now())
        if self._came_events and not self.waiting:
            self._came_events = self._came_bytes = 0
        self._tell(self._events.text[index] if self._events.kept else self._texts.pop(index, ""))

    def end(self, *, interrupted: bool) -> None:
        """The recording is over: what waits has the time of now. `interrupted`: its reader never got it."""
        if interrupted:
            self.hang_up()
        while self.waiting:
            self.next()

    def hang_up(self) -> None:
        """Whoever listened has gone, or has raised: nobody is told from now on."""
        self._on_piece = None

    def _tell(self, text: str) -> None:
        if text and self._on_piece is not None:
            since_ns = self._now()
            try:
                self._on_piece(text)
            finally:
                self.took_nothing(since_ns, self._now())

    def took_nothing(self, since_ns: int, until_ns: int) -> None:
        """Nothing was read between these times, by the reader's own doing."""
        if until_ns - since_ns < LONG_NS:
            return
        if len(self.busy) == MAX_BUSY:
            since_ns = self.busy.pop()[0]
        self.busy.append((since_ns, until_ns))
