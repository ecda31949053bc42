"""Recording: what one streamed answer looked like from the client: reads, events, outcome, and how it was taken.

Columns, not objects, lie underneath: integers in `array('q')`, so `np.asarray(recording.reads.at_ns)` is a view, and
strings in lists. All times are integer nanoseconds counted from the call of `record()` (`started_ns`, on the
monotonic clock named in `meta`), those of the taps too that others kept of the same stream.

A **read** is what one socket read returned, an **event** one SSE event or NDJSON line, a **piece** the text
extracted from one event. Events that were completed by the same read share its number and its time: they are
*coalesced*, and the zero gaps between them are artefacts of reading, not of sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from streamkit.lab.recording import file as storage
from streamkit.lab.recording.goodput import failures_of
from streamkit.lab.recording.recorded import Recorded
from streamkit.lab.recording.summary import Summary, summarize
from streamkit.lab.recording.tables import html_table
from streamkit.lab.recording.tap_curves import tap_curves
from streamkit.lab.recording.trust import Trust, judge

if TYPE_CHECKING:
    import os

    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    from streamkit.lab.metrics.curves import Curve, Unit
    from streamkit.lab.metrics.slo import SLO

__all__ = ["Recording"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Recording(Recorded):
    """One recorded answer. Made by `record()`, by `Recording.load()`, or by hand (every field has a default).

    Its fields are those of `Recorded`.

    >>> sk.Recording.from_pieces([(0, "Hel"), (50_000_000, "lo")], sent_ns=0).summary().gap_p50_ms
    50.0
    """

    def summary(self) -> Summary:
        """The numbers of this recording: TTFT, duration, gaps, stalls, coalescing, throughput.

        >>> print(sk.Recording.from_pieces([(7_000_000, "Hello")], sent_ns=0).summary().ttft_ms)
        7.0
        """
        return summarize(self)

    def curves(self, unit: Unit = "events") -> dict[str, Curve]:
        """All taps as cumulative curves, in the order of the way: `taps`, then `client.read` and `client.event`.

        Events are those with text, which is what taps count (`metrics.pieces`; without taps of others those with
        reasoning too, where it was recorded), bytes are those of their text in UTF-8, as everywhere in taps.
        Where the wire had no event borders, the client's events are found by bytes, against the foreign tap that saw
        most borders; if there is none, the client's own events count (one for each read).
        Raises ValueError for an unknown unit.

        >>> sk.Recording.from_pieces([(7, "Hello"), (9, "!")]).curves("bytes")["client.read"].count.tolist()
        [5, 6]
        """
        return tap_curves(self, unit)

    def slo_failures(self, slo: SLO) -> tuple[str, ...]:
        """By which parts of an objective this stream failed, out of `outcome`, `ttft`, `gap`; empty if it kept it.

        `findings.goodput` does the same for many.

        >>> sk.Recording.from_pieces([(7_000_000, "Hello")]).slo_failures(sk.metrics.SLO(ttft_ms=5))
        ('ttft',)
        """
        return failures_of(self, slo)

    @cached_property
    def trust(self) -> Trust:
        """How far the numbers can be trusted; `str()` of it is the verdict.

        >>> str(sk.Recording.from_pieces([(0, "Hel"), (50_000_000, "lo")]).trust)
        'good'
        """
        return judge(self)

    def to_pandas(self) -> pd.DataFrame:
        """One row per event, times in ns as recorded; `coalesced` marks events that share a read with an earlier one.

            recording.to_pandas().query("not coalesced")

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        events = self.events
        numbers = {name: np.array(getattr(events, name)) for name in ("at_ns", "handed_ns", "read", "size")}
        strings = {name: getattr(events, name) for name in ("event", "id", "data", "text", "reasoning")}
        frame = pd.DataFrame({**numbers, **strings})
        frame["coalesced"] = frame["read"].duplicated()
        frame.index.name = "n"
        return frame

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON Lines file, whole or not at all (a new file takes the old one's place when it is ready).

        recording.save("slow.jsonl")
        """
        storage.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file written by `save()`.

            recording = sk.Recording.load("slow.jsonl")

        Of a damaged file the whole lines are kept; the bad ones are named in `damage`, and a warning says so.
        Raises `RecordingFormatError` if the file is not a recording or was written in a newer format.
        """
        return storage.load(path, cls)

    def __repr__(self) -> str:
        return f"<Recording {self.outcome}: {self._counts()}>"

    def _counts(self) -> str:
        """What does not change from run to run: the number of reads does, and without event borders that of events."""
        characters = _plural(sum(map(len, self.events.text)), "character")
        without_borders = len(self.events) > 0 and not any(self.events.event)
        return characters if without_borders else f"{_plural(len(self.events), 'event')}, {characters}"

    def _repr_html_(self) -> str:
        title = f"{self.label}: {self.outcome}" if self.label else str(self.outcome)
        status = "–" if self.status is None else str(self.status)
        rows = [("HTTP status", status), ("counts", self._counts()), *self.summary().rows()]
        if self.error:
            rows.insert(0, ("error", self.error))
        return html_table(rows, caption=title)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
