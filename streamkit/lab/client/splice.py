"""Splice: how the answers to several requests are joined into one stream, by the ids of their events. No I/O.

A server that goes on behind the id it was told sends new events alone. One that goes on before it sends some once more:
those are dropped, if they are the same. If they are not, the server has begun another answer, and nothing of it is
taken. (One that does not know `Last-Event-ID`, and whose ids are new each time, cannot be found out by them; what its
head says, `resume` looks at.) Ids of a relay of ours count (`<stream>.<n>`), so what is missing between two of them is
known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamkit.content.head import Grammar
    from streamkit.lab.recording.recorded import Events
    from streamkit.parser import ServerSentEvent

__all__ = ["Splice"]


class Splice:
    """Knows the `events` that came, and takes of what comes behind a cut what is new.

    differs   an event came once more, and was another one: this is not the same stream
    dropped   how many came once more
    lost      how many pieces are missing, by their numbers
    replayed  how many events had happened before the server went on, by its own word (`live`)
    """

    def __init__(self, events: Events) -> None:
        self.differs = False
        self.dropped = self.lost = self.replayed = 0
        self._events = events
        self._lines = False
        self._first: dict[str, int] = {}  # the row at which each id came first
        self._upto = 0
        self._cursor = ""
        self._stream = ""
        self._live = -1
        self._last = 0  # the number of the last event
        self._again = "", 0  # the id that comes again, and how many events of it did

    def cut(self, grammar: Grammar | None, last_event_id: str) -> tuple[str, str]:
        """The connection ended: the id behind which to go on, and why that does not say where to (or "")."""
        self._lines = grammar == "ndjson"
        last = last_event_id or self._cursor  # an answer that was cut before its first id has none
        for row in range(self._upto, len(self._events)):
            id_ = self._id_of(row)
            self._first.setdefault(id_, row)
            last = id_ or last if self._lines else last
        self._upto = len(self._events)
        self._again, self._cursor = ("", 0), last
        behind = self._first.get(last, self._upto) + 1 if last else self._upto
        if any(self._events.text[behind:]) or any(self._events.reasoning[behind:]):
            return last, "the last pieces have no id of their own, and the server cannot be told that they had come"
        self._last = max(self._last, self._number(last) or 0)
        return last, ""

    def head(self, stream: str, live: str = "") -> None:
        """The head of an answer: the stream's id, and the number of the last piece that the server had by then."""
        self._stream, self.replayed = stream, 0
        self._live = int(live) if live.isascii() and live.isdigit() and len(live) < 19 else -1

    @property
    def told(self) -> bool:
        """The server said what it replays."""
        return self._live >= 0

    def new(self, wire_events: Iterable[ServerSentEvent]) -> Iterator[ServerSentEvent]:
        """Those of them that had not come."""
        for event in wire_events:
            id_ = self._id(event.id, event.data)
            row = self._row(id_)
            if row is None:
                self._count(id_)
                yield event
            elif (self._events.event[row], self._events.data[row]) == event[:2]:
                self.dropped += 1
            else:
                self.differs = True
                return

    def notes(self) -> list[str]:
        dropped = f"events that came once more after a cut, and were dropped: {self.dropped}"
        return [dropped] if self.dropped else []

    def _row(self, id_: str) -> int | None:
        """The row that an event of this id repeats; None: it is new. Events without an id of their own share one."""
        if not id_ or (first := self._first.get(id_)) is None:
            return None
        came = self._again[1] + 1 if self._again[0] == id_ else 0
        self._again = id_, came
        return first + came if first + came < self._upto and self._id_of(first + came) == id_ else None

    def _count(self, id_: str) -> None:
        number = self._number(id_)
        if number is None:
            return
        self.replayed += number <= self._live
        if number > self._last:
            self.lost += number - self._last - 1
            self._last = number

    def _number(self, id_: str) -> int | None:
        """Which piece of a relay's stream this is."""
        stream, dot, number = id_.rpartition(".")
        told = dot and stream == self._stream and number.isascii() and number.isdigit() and len(number) < 19
        return int(number) if told else None

    def _id_of(self, row: int) -> str:
        return self._id(self._events.id[row], self._events.data[row])

    def _id(self, id_: str, data: str) -> str:
        """An NDJSON line may have its id in it."""
        if not self._lines or '"id"' not in data:
            return id_
        try:
            found = json.loads(data).get("id")
        except (ValueError, RecursionError, AttributeError):
            return ""
        return str(found) if type(found) in (str, int) else ""
