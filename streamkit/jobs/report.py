"""What a job may say while it runs, in the process or the thread that works.

Progress is sent at once if none was sent within the last 50 ms; otherwise the latest of it is sent when these are over,
by a thread, since the job may be deep in its work by then. The very last is sent in any case. So a job may report as
often as it likes. A result waits until the socket takes it, which it does as long as somebody reads.
"""

from __future__ import annotations

import math
import socket
import threading
import time
import traceback
from numbers import Real
from pathlib import Path
from typing import Any, Final

from streamkit.jobs.messages import ENDS, Kind, encode_message

__all__ = ["FINAL", "PROGRESS_EVERY_S", "JobCancelled", "Report"]

PROGRESS_EVERY_S: Final = 0.05
FINAL: Final = "final"
"""The field that marks the last result; it is set by whoever delivers it."""
MAX_WORDS: Final = 1000
"""Characters of a progress's message, and of why a job failed."""


class JobCancelled(BaseException):
    """Raised in a job by its report when nobody waits for it any more. `except Exception` does not catch it.

    A job in a process of ours hardly ever sees it, as that process is stopped; a job in another executor sees it at its
    next report.

        def job(report: Report) -> None:
            try:
                work(report)
            finally:
                tidy_up()
    """


class Report:
    """A job's way to report its progress and its results. Each job gets one as its first argument.

    def squares(report: Report, upto: int) -> dict[str, Any]:
        for number in range(upto):
            report.progress(number, upto)
            report.result({"square": number * number})
        return {"squares": upto}

    Any thread of the job may use it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._telling = threading.Lock()  # one line at a time
        self._latest: dict[str, Any] | None = None
        self._told: dict[str, Any] | None = None
        self._told_at = -math.inf
        self._waits = threading.Event()  # some progress is to be told when its time has come
        self._over = threading.Event()
        self._left = False
        self._trailer: threading.Thread | None = None

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report how far the job is: `done` of `total` (None: not known), and what it is doing (up to 1000 characters).

        Of several reports that wait, only the latest is sent. Raises ValueError for numbers that are negative or not
        finite, for a progress beyond its total, and for one that goes back; JobCancelled when nobody waits for the job
        any more.
        """
        if self._left:
            raise JobCancelled
        self._latest = _progress(done, total, message, self._latest)
        if time.monotonic() - self._told_at >= PROGRESS_EVERY_S:
            with self._telling:
                self._tell_latest()
        elif not self._waits.is_set():
            self._tell_later()

    def result(self, data: dict[str, Any]) -> None:
        """Send a partial result, a JSON object. It waits until it is on its way, so a slow client slows the job down.

        Raises TypeError for what is not a JSON object, ValueError for more than a megabyte and for a field "final",
        which marks what the job returns; JobCancelled when nobody waits for the job any more.
        """
        self._tell("result", _checked(data))

    def returned(self, data: dict[str, Any] | None) -> None:
        """Send what the job returned, as the last result; called by streamkit. Raises what `result` raises."""
        self._tell("returned", {} if data is None else _checked(data))

    def raised(self, error: BaseException) -> None:
        """Send what the job raised: its type for the client, and why, without a traceback, for the log; called by
        streamkit.
        """
        self._tell("raised", {"type": type(error).__name__[:MAX_WORDS], "why": _why(error)})

    def close(self) -> None:
        """Close the connection when the job is over, however it ended; called by streamkit."""
        self._over.set()
        self._waits.set()

    def _tell(self, kind: Kind, data: dict[str, Any]) -> None:
        line = encode_message(kind, data)
        with self._telling:
            if kind in ENDS:
                self._tell_latest()
            self._send(line)
            self._left = kind in ENDS  # for a thread of the job's that goes on

    def _tell_latest(self) -> None:
        latest = self._latest
        if latest is not None and latest is not self._told:
            self._send(encode_message("progress", latest))
            self._told, self._told_at = latest, time.monotonic()

    def _send(self, line: bytes) -> None:
        if self._left:
            raise JobCancelled
        try:
            self._connection.sendall(line)
        except OSError:
            self._left = True
            raise JobCancelled from None

    # -- progress that comes too soon behind another --------------------------------------------------------------

    def _tell_later(self) -> None:
        self._waits.set()
        if self._trailer is None:
            self._trailer = threading.Thread(target=self._trail, name="streamkit progress", daemon=True)
            self._trailer.start()

    def _trail(self) -> None:
        while self._waits.wait() and not self._over.wait(PROGRESS_EVERY_S):
            self._waits.clear()
            try:
                with self._telling:
                    self._tell_latest()
            except JobCancelled:
                return  # the job is told with its next report


def _progress(done: float, total: float | None, message: str, before: dict[str, Any] | None) -> dict[str, Any]:
    done = _number("done", done)
    if total is not None and done > (total := _number("total", total)):
        raise ValueError(f"expected progress up to its total, got {done!r} of {total!r}")
    if before is not None and done < before["progress"]:
        raise ValueError(f"expected progress that does not go back, got {done!r} after {before['progress']!r}")
    if not isinstance(message, str) or len(message) > MAX_WORDS:
        raise ValueError(f"expected a message of at most {MAX_WORDS} characters, got {message!r:.50}")
    return {"progress": done, "total": total, "message": message}


def _number(name: str, value: Any) -> float:
    if type(value) is not int and type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, Real):  # numpy's are
            raise ValueError(f"expected {name} as a finite number >= 0, got {value!r}")
        value = float(value)
    if not 0 <= value < math.inf:
        raise ValueError(f"expected {name} as a finite number >= 0, got {value!r}")
    return value  # type: ignore[no-any-return]  # an int or a float by now


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError(f"expected a result as a dict, got {type(data).__name__}")
    if FINAL in data:
        raise ValueError(f"expected a result without a field {FINAL!r}: it marks what the job returns")
    return data


def _why(error: BaseException) -> str:
    """`ValueError: no such column, at mine.py:12`."""
    said = traceback.format_exception_only(error)[-1].strip()
    frames = traceback.extract_tb(error.__traceback__)
    place = f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return said[: MAX_WORDS - len(place)] + place
