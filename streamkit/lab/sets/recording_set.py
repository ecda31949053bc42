"""RecordingSet: recordings of one load, sweep or experiment, in the order in which they were due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from streamkit.lab.recording.goodput import goodput
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import set_file
from streamkit.lab.sets.columns import StreamRows, event_rows, in_groups, label_names, rows_of, stream_columns
from streamkit.lab.sets.diagnosed_set import diagnosed_set
from streamkit.lab.sets.resources import Resources
from streamkit.lab.sets.set_summary import SetSummary, outcomes_of, summarize_set
from streamkit.lab.sets.verdict import Verdict, judge_set

if TYPE_CHECKING:
    import os

    import numpy.typing as npt
    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    from streamkit.lab.diagnosis.result import Diagnosis
    from streamkit.lab.metrics import SLO, Goodput

__all__ = ["RecordingSet"]

RowsOf: TypeAlias = Literal["streams", "events"]


class RecordingSet(Sequence[Recording]):
    """Many recordings as one. Made by `sk.load()`, by `RecordingSet.load()`, or from any recordings.

        streams = sk.RecordingSet(recordings)
        streams.summary()

    It is a sequence of its recordings: `len()`, `streams[0]`, a slice, a loop.

    recordings   in the order in which they were due (`Recording.due_ns`); without a schedule, as they were begun
    meta         what the load was meant to be (its arrivals in words, its seed, …): JSON values. Its `notes` are shown
                 in the summary
    resources    what each process used during the load
    damage       what was lost when the set was loaded from a damaged file; empty otherwise
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        *,
        meta: Mapping[str, Any] | None = None,
        resources: Iterable[Resources] = (),
    ) -> None:
        self.recordings = tuple(sorted(recordings, key=_due))
        self.meta = dict(meta or {})
        self.resources = tuple(resources)
        self.damage: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Recording: ...
    @overload
    def __getitem__(self, index: slice) -> RecordingSet: ...
    def __getitem__(self, index: int | slice) -> Recording | RecordingSet:
        if isinstance(index, slice):
            return self._part(self.recordings[index])
        return self.recordings[index]

    def __iter__(self) -> Iterator[Recording]:
        return iter(self.recordings)

    def __len__(self) -> int:
        return len(self.recordings)

    def __add__(self, other: object) -> RecordingSet:
        """Both as one: the first's `meta`, and the resources of both."""
        if not isinstance(other, RecordingSet):
            return NotImplemented
        both = RecordingSet(
            (*self.recordings, *other.recordings), meta=self.meta, resources=(*self.resources, *other.resources)
        )
        both.damage = (*self.damage, *other.damage)
        return both

    @property
    def outcomes(self) -> dict[str, int]:
        """How many streams ended in which way, the most frequent first.

        >>> sk.RecordingSet([sk.Recording(), sk.Recording()]).outcomes
        {'complete': 2}
        """
        return outcomes_of(self.recordings)

    @cached_property
    def rows(self) -> StreamRows:
        """One row per stream, in ns, for computing with; `columns()` has the same for reading."""
        return rows_of(self.recordings)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether this client was good enough for its numbers to be quoted; `str()` of it says why not.

        >>> sk.RecordingSet([]).verdict.level
        'do not quote'
        """
        return judge_set(self.recordings, self.rows, self.damage)

    def summary(self) -> SetSummary:
        """The numbers of all streams, beginning with the verdict on them; `print()` it for a table.

        The time to the first piece is given from when each request was due, and from when it was sent.

        >>> sk.RecordingSet([sk.Recording.from_pieces([(7_000_000, "Hi")], sent_ns=0)]).summary().ttft_sent.p50_ms
        7.0
        """
        return summarize_set(self.recordings, self.rows, self.verdict, map(str, self.meta.get("notes", ())))

    def diagnose(self) -> Diagnosis:
        """Why these streams stuttered, with the cause that most of them share first, each by its worst case.

            streams.diagnose().cause

        It finds what each stream has by itself (`Recording.diagnose`), and a server that answers one request after the
        other. Raises ValueError for an empty set.

        >>> sk.RecordingSet([sk.Recording.from_pieces([(n * 50_000_000, "x") for n in range(9)])]).diagnose().cause
        'none'
        """
        return diagnosed_set(self.recordings)

    def goodput(self, slo: SLO, count: Literal["streams", "events"] = "streams") -> Goodput:
        """The share of streams that kept an objective, and how many per second; see `sk.findings.goodput`.

        streams.goodput(sk.metrics.SLO(ttft_ms=500, gap_ms=100)).share
        """
        return goodput(self.recordings, slo, count)

    def by(self, *names: str) -> dict[Any, RecordingSet]:
        """Group the set by one label or several: `streams.by("prompt")["long"].summary()`.

        Besides the labels, there are `label`, `outcome`, `status`, `preset` and `url`. With several names the keys are
        tuples. A stream without the label is in the group None. Each group has the resources of the whole load. Raises
        ValueError for a name that no stream has.

        >>> one, two = (sk.Recording(labels={"clients": n}) for n in (50, 5))
        >>> sk.RecordingSet([one, two]).by("clients")
        {5: <RecordingSet: 1 stream, 1 complete>, 50: <RecordingSet: 1 stream, 1 complete>}
        """
        groups = in_groups(self.recordings, names)
        return {key: self._part(self.recordings[index] for index in places) for key, places in groups.items()}

    def columns(self, rows: RowsOf = "streams") -> dict[str, npt.NDArray[Any]]:
        """The set as numpy arrays by column name; `rows="streams"` has a row per stream, `rows="events"` one per event.

        The columns for streams:

        stream              the stream's number in the set, from 0
        label, …            the recording's `label`, and a column for each of the `labels`; a label with the name of
                            another column is called `label_…`
        due_ms, started_ms, sent_ms, first_ms, ended_ms   moments, from when the first stream was due
        own_late_ms         started − due: how late this client itself was
        own_busy_ms         for how long its loop was certainly busy from then until the request had left
        leaving_ms          sent − started: waiting for a connection, connecting, sending
        ttft_due_ms, ttft_sent_ms   the time to the first piece, from due and from sent
        duration_ms         from sent to the end
        gap_p50_ms, gap_p99_ms, gap_max_ms, gaps   of the gaps between reads, and how many there are
        loop_late_ms        how late the recorder's loop was at worst
        server_queue_ms, …  the server's own times, under whatever names it told; see `Summary.server_ms`
        events, pieces, shared, characters, reads, bytes   counts; `shared`: pieces in a read with an earlier one
        outcome, code, status, stamps   how it ended, as text; its detail; the HTTP status; see `Recording.stamps`

        Numbers that are not known are NaN. Events have the columns of `Recording.to_pandas()`. Raises ValueError for
        other `rows`.

        >>> sk.RecordingSet([sk.Recording(labels={"prompt": "long"})]).columns()["prompt"].tolist()
        ['long']
        """
        if rows == "streams":
            return stream_columns(self.recordings, self.rows)
        if rows == "events":
            return event_rows(self.recordings)
        raise ValueError(f"expected rows 'streams' or 'events', got {rows!r}")

    def to_pandas(self, rows: RowsOf = "streams") -> pd.DataFrame:
        """`columns()` as a DataFrame.

            streams.to_pandas().groupby("prompt").ttft_due_ms.quantile([0.5, 0.99])

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        return pd.DataFrame(self.columns(rows))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole set to one JSON Lines file, which `RecordingSet.load()` reads; whole or not at all.

        streams.save("load.jsonl")  # or "load.jsonl.gz": compressed
        """
        set_file.save(path, self.recordings, self.meta, self.resources)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RecordingSet:
        """Read a file written by `save()`, or by `Recording.save()`, which makes a set of one.

            streams = sk.RecordingSet.load("load.jsonl")

        Of a damaged file, the streams that are intact are kept; what was lost is named in `damage`, and a warning says
        so. Raises `RecordingFormatError` if the file is not a set or was written in a newer format.
        """
        recordings, meta, resources, damage = set_file.load(path)
        loaded = cls(recordings, meta=meta, resources=resources)
        loaded.damage = damage
        return loaded

    def __repr__(self) -> str:
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in list(self.outcomes.items())[:4])
        return f"<RecordingSet: {len(self):,} stream{'' if len(self) == 1 else 's'}{', ' if told else ''}{told}>"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    @property
    def label_names(self) -> list[str]:
        """The names of all labels that its streams have."""
        return label_names(self.recordings)

    def _part(self, recordings: Iterable[Recording]) -> RecordingSet:
        part = RecordingSet(recordings, meta=self.meta, resources=self.resources)
        part.damage = self.damage
        return part


def _due(recording: Recording) -> int:
    return recording.started_ns + (recording.due_ns or 0)
