"""RecordingSet: recordings of one load, sweep or experiment, in the order in which they were due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets.resources import Resources

__all__ = ["RecordingSet"]


class RecordingSet(Sequence[Recording]):
    """Many recordings as one. Made by `sk.load()`, by `RecordingSet.load()`, or of any recordings.

        streams = sk.RecordingSet(recordings)
        streams.summary()

    recordings   in the order in which they were due (`Recording.due_ns`), those without a schedule as they were begun
    meta         what the load was to be (its arrivals in words, its seed, …): JSON values
    resources    what each process used along it
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

    @overload
    def __getitem__(self, index: int) -> Recording: ...
    @overload
    def __getitem__(self, index: slice) -> RecordingSet: ...
    def __getitem__(self, index: int | slice) -> Recording | RecordingSet:
        if isinstance(index, slice):
            return RecordingSet(self.recordings[index], meta=self.meta, resources=self.resources)
        return self.recordings[index]

    def __iter__(self) -> Iterator[Recording]:
        return iter(self.recordings)

    def __len__(self) -> int:
        return len(self.recordings)

    def __repr__(self) -> str:
        return f"<RecordingSet: {len(self)} streams>"


def _due(recording: Recording) -> int:
    return recording.started_ns + (recording.due_ns or 0)
