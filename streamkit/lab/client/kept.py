"""The last recording of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["LAST", "last_recording"]

LAST: Final = Last["Recording"]("recording")


def last_recording(of: BaseException | None = None) -> Recording | None:
    """The last recording that this process finished, or was interrupted in; None where there was none.

        try:
            recording = await asyncio.wait_for(sk.record(url), timeout=3)
        except TimeoutError as error:
            recording = sk.last_recording(of=error)

    One that was interrupted (Ctrl-C, a notebook's "interrupt", `asyncio.wait_for`, a task that is cancelled, an
    `on_piece` that raises) is finished as `cancelled(by us)` with all that had come. The exception that passes through
    has it as its attribute `recording`. Others make a new exception of it, `wait_for` a TimeoutError, asyncio's runner
    a KeyboardInterrupt, a TaskGroup a group: `of` finds it in what they were made of, and None there where nothing was
    recorded yet. That is also how to tell apart several streams at a time, of which the last is any.

    Memory: one recording is held until the next one takes its place: its events, and the bytes of its body as far as
    `keep_bytes` lets them be kept.
    """
    return LAST.of(of)
