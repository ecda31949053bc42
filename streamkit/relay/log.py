"""The one line of JSON that the relay logs for each stream, however it ended.

It holds nothing that a client or an upstream said, except short words of the provider's for the end: the code of its
error, and its `finish_reason`.

    {"stream_id":"5f…","outcome":"timeout(idle)","code":"timeout_idle","finish_reason":null,"status":200,
     "format":"text/event-stream","policy":"pause","duration_ms":2041.3,"first_piece_ms":312.0,"pieces":17,"dropped":0,"wrote_bytes":912,"held_ms":0.0}

A failure with more to say than its code also has a `why` ("connection refused: nobody listens there"), which may quote
the upstream: one line, bounded, without secrets. An answer from which something was left out, such as a second choice,
has `notes`.

If streams are traced, the line is kept with their taps (`StreamTaps.word`), but without `why` and `notes`, as anybody
who reaches the relay can read it there. A lab in the same process gets the `why` too (`StreamTaps.why`).
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streamkit.outcome import Outcome

__all__ = ["StreamRecord", "show_log"]

log = logging.getLogger("streamkit.relay")
CLIENT_LEFT: Final = Outcome("cancelled")


class _Formatter(logging.Formatter):
    """The standard one, which writes the date and the time anew for each line."""

    _second = -1
    _written = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        return self.at(record.created, record.msecs)

    def at(self, seconds: float, milliseconds: float) -> str:
        """The date and the time, with the milliseconds of it."""
        if (second := int(seconds)) != self._second:
            self._second, self._written = second, time.strftime(self.default_time_format, self.converter(second))
        return f"{self._written},{milliseconds:03.0f}"


class _Shown(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers only, before 3.12
    """Shows lines on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._own = _Formatter("%(asctime)s %(name)s %(message)s")
        self.setFormatter(self._own)

    def is_as_made(self) -> bool:
        """Nobody has changed what becomes of a line."""
        return self.formatter is self._own and self.level <= logging.INFO and not self.filters

    def show(self, said: str) -> bool:
        """As `handle` shows a record that says so, without making one: of whose process and thread it is takes longer
        than the line. False where it could not be: `handle` knows what to do then.
        """
        now_s = time.time()
        try:
            with self.lock or nullcontext():
                self.stream.write(f"{self._own.at(now_s, int(now_s % 1 * 1000))} {log.name} {said}{self.terminator}")
                self.flush()
        except Exception:  # noqa: BLE001  # a stream of somebody else's, closed perhaps
            return False
        return True


def show_log() -> None:
    """Show what streamkit logs on stderr, unless logging has been configured already."""
    logger = logging.getLogger("streamkit")
    if not logger.hasHandlers():
        logger.addHandler(_Shown())
        logger.setLevel(logging.INFO)


def _shown_alone() -> _Shown | None:
    """The handler of `show_log`, where it is the only one that would get a line, and as it was made."""
    above = log.parent
    if log.handlers or log.filters or not log.propagate or above is None or len(above.handlers) != 1:
        return None
    handler = above.handlers[0]
    if type(handler) is not _Shown or not handler.is_as_made():
        return None
    others = above.propagate and above.parent is not None and above.parent.hasHandlers()
    return None if others or logging.getLogRecordFactory() is not logging.LogRecord else handler


@dataclass(slots=True)
class StreamRecord:
    """What is known of one stream.

    `code` is the failure's stable code, "" for none; `finish_reason` the provider's word for why it ended (`stop`,
    `length`, …), None where it gave none; `status` what the client was told, None if it was told nothing.
    The times count from the request's head; `first_piece_ms` is None where no piece has left. Who delivers the stream
    keeps the numbers from `format` on; an outcome that nobody has named is that the client left. `why` says more of a
    failure than its code, in the upstream's words perhaps: masked (`streamkit.reasons`), and logged only; so are the
    `notes`, what its source left out of the text or doubts about it. `received_bytes`: of a body that was read while
    the answer ran.

    Where streams can be resumed, a stream and its answers are told apart by their `role`: "stream" for what was asked
    of the upstream, "answer" for what one client got of it, `after` so many pieces that it had before. `label` is the
    name that the client gave it. `trace_id` is that of the trace that its request is part of (W3C Trace Context).
    `resumed`: it was asked to go on with a stream, which is counted, and not logged.
    """

    stream_id: str
    outcome: Outcome = CLIENT_LEFT
    code: str = ""
    status: int | None = None
    format: str | None = None
    policy: str | None = None
    finish_reason: str | None = None
    why: str = ""
    notes: list[str] = field(default_factory=list)
    pieces: int = 0
    dropped: int = 0
    wrote_bytes: int = 0
    received_bytes: int = 0
    held_ns: int = 0
    first_piece_ns: int = 0
    role: str = ""
    label: str = ""
    after: int = 0
    trace_id: str = ""
    resumed: bool = False
    started_ns: int = field(default_factory=time.monotonic_ns)

    def ended(self, outcome: Outcome, code: str, status: int | None) -> None:
        """How it ended; `status` is that of a whole answer, if there was one."""
        self.outcome = outcome
        self.code = code
        self.status = self.status if status is None else status

    def write(self) -> dict[str, Any]:
        """Log it; the stream is over. Returns what was logged, as JSON values, but for what is not of every
        stream, which is logged only.
        """
        line = self._line()
        optional = ("received_bytes", "role", "after", "label", "trace_id", "why", "notes")
        more = {name: told for name in optional if (told := getattr(self, name))}
        if log.isEnabledFor(logging.INFO):
            said = orjson.dumps({**line, **more}).decode()
            shown = _shown_alone()
            if shown is None or not shown.show(said):
                # As `log.info` does it, without looking for the caller, which takes as long as all the rest.
                log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, "%s", (said,), None, "write"))
        return line

    def _line(self) -> dict[str, Any]:
        return {
            "stream_id": self.stream_id,
            "outcome": str(self.outcome),
            "code": self.code,
            "finish_reason": self.finish_reason,
            "status": self.status,
            "format": self.format,
            "policy": self.policy,
            "duration_ms": self._after_ms(time.monotonic_ns()),
            "first_piece_ms": self._after_ms(self.first_piece_ns) if self.first_piece_ns else None,
            "pieces": self.pieces,
            "dropped": self.dropped,
            "wrote_bytes": self.wrote_bytes,
            "held_ms": round(self.held_ns / 1e6, 3),
        }

    def _after_ms(self, at_ns: int) -> float:
        return round((at_ns - self.started_ns) / 1e6, 3)
