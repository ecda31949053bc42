"""The last recording of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["LAST", "last_recording"]

LAST: Final = Last["Recording"]("recording")


def last_recording(of: BaseException | None = None) -> Recording | None:
    """The last recording that this process finished or interrupted; None if there was none.

        try:
            recording = await asyncio.wait_for(sk.record(url), timeout=3)
        except TimeoutError as error:
            recording = sk.last_recording(of=error)

    A recording that is interrupted (Ctrl-C, a notebook's "interrupt", `asyncio.wait_for`, a cancelled task, an
    `on_piece` that raises) is finished as `cancelled(by us)` with all that had come. The exception that passes through
    carries it as its attribute `recording`. Others turn that exception into a new one: `wait_for` into a TimeoutError,
    asyncio's runner into a KeyboardInterrupt, a TaskGroup into a group. `of` finds the recording behind any of these;
    it returns None if nothing had been recorded yet. Use it too when several streams run at once: which of them is the
    last is then a matter of chance.

    One recording is held in memory until the next one replaces it: its events, and as much of its body as `keep_bytes`
    allowed.
    """
    return LAST.of(of)
