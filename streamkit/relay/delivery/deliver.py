"""A source run into an outlet under its deadlines, and how that ended."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, NamedTuple

from sanic import HTTPResponse

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.delivery.deadline import Watch
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.failure import Failure, SourceFailed

__all__ = ["SHUT_DOWN", "Ended", "deliver", "end_of_grace", "is_end_of_grace", "timed_out"]

log = logging.getLogger("streamkit.relay")
END_OF_GRACE: Final = "the server stops, and its grace is over"


SHUT_DOWN: Final = Failure(
    Outcome("cancelled", "shutdown"), "shutting_down", 503, "the server is being stopped", retry_after_s=1
)


class Ended(NamedTuple):
    """How a stream ended: `code` is the failure's, `response` still has to be sent as the whole answer."""

    outcome: Outcome
    code: str = ""
    response: HTTPResponse | None = None


async def deliver(source: AsyncGenerator[list[Piece], None], outlet: Outlet, watch: Watch) -> Ended:
    """Run `source` into `outlet` under the deadlines of `watch`.

    Nothing piles up between them beyond what the outlet's policy allows: reading waits for it. CancelledError (the
    client left) passes through, after the source is closed; unless it says that the server stops (`end_of_grace`).
    """
    with outlet:
        try:
            async with watch, aclosing(source) as batches:
                async for pieces in batches:
                    await outlet.put(pieces)
                await outlet.finish()
        except SourceFailed as error:
            failure = error.failure
        except TimeoutError as error:
            failure = timed_out(watch.fired) if watch.fired else _internal(error)
        except asyncio.CancelledError as error:
            if not is_end_of_grace(error):
                raise
            failure = SHUT_DOWN
        except Exception as error:  # noqa: BLE001  # whatever went wrong here, Sanic would end the answer as if it were whole
            failure = _internal(error)
        else:
            return Ended(Outcome("complete"))
        if watch.fired == "write_stall":
            outlet.cut()
            return Ended(failure.outcome, failure.code)
        return Ended(failure.outcome, failure.code, await outlet.fail(failure))


def end_of_grace(task: asyncio.Task[Any]) -> None:
    """End the stream that `task` delivers: the server stops, and its grace is over."""
    task.cancel(END_OF_GRACE)


def is_end_of_grace(error: asyncio.CancelledError) -> bool:
    """Whether it comes from `end_of_grace`; the task is then no longer cancelled, and has to end by itself."""
    ours = error.args == (END_OF_GRACE,)
    if ours and (task := asyncio.current_task()) is not None:
        task.uncancel()
    return ours


def _internal(error: Exception) -> Failure:
    """A bug of ours. Its type and place are logged, not its text: that may hold addresses and keys."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("internal error: %s at %s:%s", type(error).__name__, Path(place.filename).name, place.lineno)
    return Failure(Outcome("error_event", "internal_error"), "internal_error", 500, "the relay failed")


def timed_out(deadline: str) -> Failure:
    """The failure for a deadline that fired."""
    return Failure(Outcome("timeout", deadline), f"timeout_{deadline}", 504, f"the deadline {deadline!r} passed")
