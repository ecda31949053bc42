"""What was recorded last, and what an interruption carries: no recording is lost because somebody stopped it.

keep(recording)              # it is the last one now
carry(recording, error)      # the same, and whoever catches `error` finds it there
last_recording(of=error)     # it again, also where the error has become another one on its way
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamkit.lab.recording.recording import Recording

__all__ = ["carry", "keep", "last_recording", "made_of"]

_last: Recording | None = None


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
    if of is None:
        return _last
    carried = (vars(error).get("recording") for error in made_of(of))
    return next((recording for recording in carried if recording is not None), None)


def keep(recording: Recording) -> Recording:
    """`recording` is the last one now."""
    global _last
    _last = recording
    return recording


def carry(recording: Recording, error: BaseException) -> None:
    """The same, and `error`, which interrupted it, has it as its attribute `recording`."""
    vars(error)["recording"] = keep(recording)  # its class may forbid new attributes


def made_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was made of: causes, contexts, the members of groups; the nearest first."""
    waiting, seen = deque([error]), set[int]()
    while waiting:
        one = waiting.popleft()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            waiting.extend(each for each in (one.__cause__, one.__context__, *inner) if each is not None)
