"""Recording: what one streamed answer looked like from the client: its reads, events and outcome, and how it was taken.

Underneath are columns, not objects: integers in `array('q')`, so that `np.asarray(recording.reads.at_ns)` is a view,
and strings in lists. All times are integer nanoseconds counted from the call of `record()` (`started_ns`, on the
monotonic clock named in `meta`); so are those of the taps that servers kept of the same stream.

A **read** is what one socket read returned, an **event** is one SSE event or NDJSON line, a **piece** is the text
extracted from one event. Events completed by the same read share its number and its time: they are *coalesced*, and
the zero gaps between them come from reading, not from sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from streamkit.lab import metrics
from streamkit.lab.metrics.columns import characters
from streamkit.lab.metrics.words import many, times
from streamkit.lab.recording import file as storage
from streamkit.lab.recording.diagnosed import diagnosed
from streamkit.lab.recording.frames import Curves, event_columns
from streamkit.lab.recording.goodput import failures_of
from streamkit.lab.recording.recorded import Recorded
from streamkit.lab.recording.server_times import before_first, server_times
from streamkit.lab.recording.summary import Summary, summarize
from streamkit.lab.recording.tables import html_table
from streamkit.lab.recording.tap_curves import tap_curves, upload_curves
from streamkit.lab.recording.trust import Trust, judge

if TYPE_CHECKING:
    import os

    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    from streamkit.lab.diagnosis.result import Diagnosis
    from streamkit.lab.metrics import Budget
    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.metrics.slo import SLO

__all__ = ["Recording"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Recording(Recorded):
    """One recorded answer. Made by `record()`, by `Recording.load()`, or by hand (every field has a default).

    >>> sk.Recording.from_pieces([(0, "Hel"), (50_000_000, "lo")], sent_ns=0).summary().gap_p50_ms
    50.0

    Its fields are those of `Recorded`, its base class. Those you need most: `text`, `outcome`, `status`, `headers`,
    `events` and `reads` (columns), `taps`, `gauges`, `cuts`, `meta`. In a notebook, a recording as the last line of a
    cell shows its summary.
    """

    def summary(self) -> Summary:
        """The numbers of this recording: TTFT, duration, gaps, stalls, throughput, … `print()` it for a table.

        >>> print(sk.Recording.from_pieces([(7_000_000, "Hello")], sent_ns=0).summary().ttft_ms)
        7.0
        """
        return summarize(self)

    def diagnose(self) -> Diagnosis:
        """Why this stream stuttered, as far as its client can tell, with the evidence for it.

            recording.diagnose().cause, recording.diagnose().evidence

        It looks at the kernel's stamps against the times of reading (a late event loop), at the receive queue and the
        times in which the reader took nothing (a slow reader), at what came after each silence (everything overdue at
        once: it was held back on the way; the usual pace: the source paused), at heartbeats within it, at what TCP
        counted, and at rhythms. Where none of this decides, the cause is `unknown`. With the taps of upstream and
        relay, as a `Lab` joins them, `where` is the first tap at which the stall is seen.

        >>> late = [(n * 20_000_000 + (700_000_000 if n >= 20 else 0), "word ") for n in range(50)]
        >>> sk.Recording.from_pieces(late).diagnose().sentence
        'A stall of 720 ms after event 20: the source paused'
        """
        return diagnosed(self)

    def curves(self, unit: Unit = "events") -> Curves:
        """All taps as cumulative curves, in the order of the way: `taps`, then `client.read` and `client.event`.

        >>> sk.Recording.from_pieces([(7, "Hello"), (9, "!")]).curves("bytes")["client.read"].count.tolist()
        [5, 6]

        `unit` is "events" or "bytes". Events are those with text, which is what taps count (`metrics.pieces`); without
        taps of servers, also those with reasoning, if it was recorded. Bytes are those of their text in UTF-8.

        Where the wire has no event borders (text/plain), the client's events are found by counting bytes, against the
        server's tap that saw the most borders; if there is none, each read of the client counts as an event. Of a
        stream that was resumed, `relay.send` and `relay.sent` are left out: they belong to its first answer only.

        Times (`at_ns`) are those of the recording, counted from the call. `pd.DataFrame(recording.curves())` is a table
        with one row for each step: `tap`, `t_ms` from when the request was sent, and the unit.

        Raises ValueError for an unknown unit.
        """
        return Curves(tap_curves(self, unit), unit, self.origin_ns)

    def upload(self) -> Curves:
        """The request's body on its way, as cumulative curves in bytes.

        `client.sent` is when the client's kernel had taken them; `server.read`, if a relay of ours kept taps, when the
        relay's application had them. A curve of which nothing is known is missing. What lies between the two is held by
        the kernels and the network:

            sk.metrics.max_backlog(*recording.upload().values())

        >>> from streamkit.lab.recording.sends import Sends
        >>> sk.Recording(sends=Sends([0, 7], size=[3, 4])).upload()["client.sent"].total
        7
        """
        return Curves(upload_curves(self), "bytes", self.origin_ns)

    def budget(self, n: int | None = None) -> Budget | None:
        """Where the time of event `n` went, part by part: `metrics.budget` of this recording's curves.

        `n` counts from 1; by default it is the first event. Time counts from when the request was sent, or from the
        call if that is not known. Times that the server itself tells (vLLM, llama.cpp, Groq, Ollama, `Server-Timing`;
        see `lab/recording/server_times.py`) are parts of their own, taken from what would otherwise be unexplained.
        None if the event did not pass all the taps there are. Raises ValueError for n < 1.

        >>> sk.Recording.from_pieces([(7_000_000, "Hello")], sent_ns=1_000_000).budget().total.ns
        6000000
        """
        told = [(time.name, time.ns) for time in before_first(server_times(self))]
        return metrics.budget(tap_curves(self), origin_ns=self.origin_ns, marks=self.marks, n=n, told=told)

    def slo_failures(self, slo: SLO) -> tuple[str, ...]:
        """Which parts of an objective this stream missed: `outcome`, `ttft`, `gap`; empty if it kept all of it.

        `findings.goodput` gives the share of many streams that kept it.

        >>> sk.Recording.from_pieces([(7_000_000, "Hello")]).slo_failures(sk.metrics.SLO(ttft_ms=5))
        ('ttft',)
        """
        return failures_of(self, slo)

    @cached_property
    def trust(self) -> Trust:
        """How far the numbers can be trusted: a level with reasons, which `str()` joins.

        >>> str(sk.Recording.from_pieces([(0, "Hel"), (50_000_000, "lo")]).trust)
        'good'
        """
        return judge(self)

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame with one row per event.

            pd.concat(recording.to_pandas() for recording in recordings).groupby("label").gap_ms.median()

        Times count from when the request was sent, as in `summary()` and the figures; from the call if that is not
        known (`sent_ns` is None).

        label               the recording's, in every row
        t_ms, at_ns         when its last byte was read
        gap_ms              the gap before it, by the rule of `metrics.gaps_ns`: it stands at the first event with text
                            of each read but the first. NaN at all other events, which have no gap of their own, and
                            where the gap does not belong to the live stream (over a cut, from or to a replayed event)
        handed_ns           when it was handed over
        read, size, event, id, data   as in `Events`
        text, reasoning     as in `Events`
        coalesced           whether it shares a read with an earlier event
        replayed            whether it had happened before the client was back after a cut (`Recording.cuts`)

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        frame = pd.DataFrame(event_columns(self))
        frame.index.name = "n"
        return frame

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recording to a JSON Lines file, which `Recording.load()` reads.

        recording.save("slow.jsonl")  # or "slow.jsonl.gz": compressed, a tenth of the size

        The file is written whole or not at all: a new one replaces the old one when it is ready. Raises OSError if it
        cannot be written.
        """
        storage.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file written by `save()`.

            recording = sk.Recording.load("slow.jsonl")

        Of a damaged file, the intact lines are kept; the bad ones are named in `damage`, and a warning says so.
        Raises `RecordingFormatError` if the file is not a recording or was written in a newer format, OSError if it
        cannot be read.
        """
        return storage.load(path, cls)

    def __repr__(self) -> str:
        told = self.error if self.error and not self.events else self._counts()
        cut = f", cut {times(len(self.cuts))}" if self.cuts else ""
        sent = f", {self.sent_bytes:,} bytes sent" if self.sends and told is not self.error else ""
        return f"<Recording {self.outcome}: {told}{sent}{cut}>"

    def _counts(self) -> str:
        """What does not change from run to run: the number of reads does, and without event borders that of events."""
        came = many(int(characters(self.events.text).sum()), "character")
        without_borders = len(self.events) > 0 and not any(self.events.event)
        return came if without_borders else f"{many(len(self.events), 'event')}, {came}"

    def _repr_html_(self) -> str:
        title = f"{self.label}: {self.outcome}" if self.label else str(self.outcome)
        status = [] if self.status is None else [("HTTP status", str(self.status))]
        counts = [("counts", self._counts())] if self.events else []
        rows = [*status, *counts, *self.summary().rows()]
        return html_table(rows, caption=title)
