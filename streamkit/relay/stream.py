"""One stream of the relay: what all of its parts share, from its request to its log line."""

from __future__ import annotations

import asyncio
from typing import Any

from streamkit.relay.counting.counts import Counts
from streamkit.relay.log import StreamRecord
from streamkit.relay.settings import DEFAULTS, Settings
from streamkit.taps import StreamTaps

__all__ = ["Stream"]


class Stream:
    """One stream: its `record` for the log, its `taps` (None: it is not traced), the settings that it runs under,
    whether the server stops, and what is counted with it (`counts`; None: nothing is).

    To be made in the task that answers the request: that is the one which `stop` cancels.
    """

    __slots__ = ("_task", "_told", "counts", "record", "settings", "stopping", "taps")

    def __init__(self, record: StreamRecord, taps: StreamTaps | None = None, settings: Settings = DEFAULTS) -> None:
        self.record = record
        self.taps = taps
        self.settings = settings
        self.counts: Counts | None = None
        self.stopping = False
        self._told = False
        self._task: asyncio.Task[Any] | None = asyncio.current_task()

    @property
    def id(self) -> str:
        """Its name, for clients, upstreams and logs."""
        return self.record.stream_id

    def stop(self) -> None:
        """The server stops, and its grace is over: cancel what is being done, so that the stream says so and ends."""
        if not self.stopping and self._task is not None:
            self._task.cancel()
        self.stopping = True

    def is_told_to_stop(self) -> bool:
        """Whether the CancelledError in hand is `stop`'s, and nobody else's too; it then no longer counts, and the
        stream has to end by itself.

        A client may leave at the same moment, before or behind it: two cancellations, and perhaps one CancelledError.
        Then there is nobody to say a last word to, and the rule is asyncio's own (`asyncio.timeout`): take back the one
        that is ours, and let what remains through. It is answered once: what comes later is a client that left.
        """
        if not self.stopping or self._told:
            return False
        self._told = True
        return self._task is None or self._task.uncancel() == 0

    def __repr__(self) -> str:
        return f"<Stream {self.id}{' stopping' if self.stopping else ''}>"
