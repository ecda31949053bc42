"""Tells of what has passed, in a thread of its own: whoever listens, or writes files, delays no byte on its way."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["Teller"]

WAITING: Final = 1_000
"""How much may wait to be told; what comes when so much waits is counted, and told to nobody."""
_log = logging.getLogger("streamkit.wiretap")


class Teller:
    """`on_recording` is called with each recording, `on_notice` with each sentence, one after the other, in their
    order. What one of them raises is logged. Recordings that wait take no more than `max_bytes`; what comes when that
    is reached is told to nobody, and counted: `untold`.
    """

    def __init__(
        self,
        on_recording: Callable[[Recording], object] | None,
        on_notice: Callable[[str], object] | None,
        max_bytes: int,
    ) -> None:
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._on_recording = on_recording
        self._on_notice = on_notice
        self._queue: queue.Queue[tuple[Callable[[], object], int] | None] = queue.Queue(WAITING + 1)
        self._thread: threading.Thread | None = None
        self.untold = 0

    def recording(self, recording: Recording, takes: int) -> None:
        """It is finished, and takes so many bytes; never waits."""
        if (tell := self._on_recording) is not None:
            self._put(lambda: tell(recording), takes)

    def notice(self, what: str) -> None:
        """Something that is in no recording; never waits."""
        if (tell := self._on_notice) is not None:
            self._put(lambda: tell(what), 0)

    def begin(self) -> None:
        """Start the thread, where somebody listens."""
        if self._on_recording is not None or self._on_notice is not None:
            self._thread = threading.Thread(target=self._run, name="streamkit wiretap tells", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Nothing more will come: what waits is told, and then the thread ends."""
        if self._thread is not None:
            self._queue.put(None)  # for which there is always room

    def join(self, timeout_s: float) -> bool:
        """Wait until it has; False: it took longer. Never waits for itself."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, tell: Callable[[], object], takes: int) -> None:
        with self._lock:
            if (
                self._waiting_bytes and self._waiting_bytes + takes > self._max_bytes
            ) or self._queue.qsize() >= WAITING:
                self.untold += 1
                return
            self._waiting_bytes += takes
            self._queue.put_nowait((tell, takes))

    def _run(self) -> None:
        while (waiting := self._queue.get()) is not None:
            tell, takes = waiting
            with self._lock:
                self._waiting_bytes -= takes
            try:
                tell()
            except Exception:  # noqa: BLE001  # a listener's fault ends nothing but that call
                _log.exception("a listener of this tap has failed")
