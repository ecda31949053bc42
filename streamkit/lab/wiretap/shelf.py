"""What is kept of all that passes: the newest recordings, in bounds; and whether there is room for those that run."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamkit.lab.client.recorder import Recorder
    from streamkit.lab.recording.recording import Recording

__all__ = ["Shelf"]

STREAM_BYTES: Final = 4_096
"""A recording without a body: head, outcome, where and when."""
EVENT_BYTES: Final = 600
"""What an event takes beside its bytes: its numbers, and its strings as objects."""
SLIM_EVENT_BYTES: Final = 64
"""The same where of texts only the lengths are kept."""


class Shelf:
    """At most `max_streams` recordings and about `max_bytes` of memory; the oldest make room for those that come.

        shelf = Shelf(max_streams=1000, max_bytes=256 << 20, keep_text=True)

    What a stream takes is counted while it runs: its body, twice (an event's data and its text), and so much an event.
    A stream for which all that is kept could not make room is given up; it is counted in neither.
    """

    def __init__(self, *, max_streams: int, max_bytes: int, keep_text: bool) -> None:
        self._max_streams = max_streams
        self._max_bytes = max_bytes
        self._per_event = EVENT_BYTES if keep_text else SLIM_EVENT_BYTES
        self._per_byte = 2 if keep_text else 1  # what is not decoded yet is held in any case
        self._per_byte_kept = 2 if keep_text else 0
        self._kept: deque[tuple[Recording, int]] = deque()
        self._running: dict[Recorder, tuple[int, int]] = {}  # bytes of body, and what that takes
        self._taken = 0
        self._lock = threading.Lock()
        self.finished = 0
        """How many were put here, those included that have made room."""

    def begins(self, recorder: Recorder) -> bool:
        """A recorder begins; False: so many run already that there is no room for it."""
        if len(self._running) >= self._max_streams or not self._make_room(STREAM_BYTES):
            return False
        self._running[recorder] = 0, STREAM_BYTES
        self._taken += STREAM_BYTES
        return True

    def grows(self, recorder: Recorder, size: int) -> bool:
        """It has taken `size` bytes more; False: there is no room for more."""
        body, before = self._running[recorder]
        body += size
        now = self._reckoned(recorder, body, self._per_byte)
        self._running[recorder] = body, now
        self._taken += now - before
        return self._make_room(0)

    def put(self, recorder: Recorder, recording: Recording) -> int:
        """It is finished; what it takes."""
        body, before = self._running.pop(recorder)
        takes = self._reckoned(recorder, body, self._per_byte_kept)
        self._taken += takes - before
        with self._lock:
            self._kept.append((recording, takes))
            self.finished += 1
        while len(self._kept) > self._max_streams:
            self._drop_oldest()
        return takes

    def drop(self, recorder: Recorder) -> None:
        """It will not be finished."""
        _, takes = self._running.pop(recorder)
        self._taken -= takes

    @property
    def recordings(self) -> list[Recording]:
        """Those that are kept, in the order in which they ended."""
        with self._lock:
            return [recording for recording, _ in self._kept]

    @property
    def running(self) -> int:
        """How many recorders run."""
        return len(self._running)

    def _make_room(self, size: int) -> bool:
        while self._kept and self._taken + size > self._max_bytes:
            self._drop_oldest()
        return self._taken + size <= self._max_bytes

    def _reckoned(self, recorder: Recorder, body: int, per_byte: int) -> int:
        """What it takes; an encoded body counts as what it has grown to."""
        grown = max(body, recorder.decoded_bytes)
        return STREAM_BYTES + per_byte * grown + self._per_event * recorder.event_count

    def _drop_oldest(self) -> None:
        with self._lock:
            _, takes = self._kept.popleft()
        self._taken -= takes
