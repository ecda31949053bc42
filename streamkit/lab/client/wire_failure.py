"""What ended a stream from outside, as an outcome: the exceptions of httpx, httpx2 and of our own transport, and those
of whoever stops a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamkit.lab.recording.recorded import WireEnd
from streamkit.outcome import Outcome
from streamkit.transport.refusals import reason_behind

__all__ = ["BY_US", "WireFailure", "failure_of", "interrupted_by"]

BY_US: Final = Outcome("cancelled", "by us")
"""Whoever records stopped it."""
LIBRARIES: Final = frozenset(("httpx", "httpx2", "httpcore", "httpcore2"))


@dataclass(frozen=True, slots=True)
class WireFailure:
    """How the wire failed: the outcome it gives unless the stream itself says better, why, in our words, and how the
    connection ended.
    """

    outcome: Outcome
    error: str
    end: WireEnd = "open"


def failure_of(error: BaseException, *, own: bool, started: bool) -> WireFailure | None:
    """What an exception of the wire means; None for every other exception. `started`: body bytes had come.

    By the names of its classes, which httpx and httpx2 share, so that httpx need not be imported. The texts of our
    `own` transport hold no address; those of others may.
    """
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in LIBRARIES}
    if names & {"UnsupportedProtocol", "LocalProtocolError"}:
        return None
    if "TimeoutException" in names:
        which = _which_timeout(names, started)
        return WireFailure(Outcome("timeout", which), str(error) if own else f"the client's {which} timeout fired")
    if "ConnectError" in names:
        why = reason_behind(error)
        theirs = "no connection could be made" if why is None else f"no connection: {why}"
        return WireFailure(Outcome("refused", "connect"), str(error) if own else theirs)
    if names & {"NetworkError", "ProtocolError", "RequestError"}:
        end: WireEnd = "reset" if "NetworkError" in names else "fin"
        return WireFailure(
            Outcome("truncated"), str(error) if own else "the connection ended before the answer did", end
        )
    return None


def interrupted_by(error: BaseException) -> WireFailure:
    """What an exception means that has nothing to do with the wire: the recording was stopped from outside."""
    told = "" if not isinstance(error, Exception) else f": a {type(error).__name__} was raised meanwhile"
    return WireFailure(BY_US, f"the recording was interrupted{told}")


def _which_timeout(names: set[str], started: bool) -> str:
    if "ReadTimeout" in names:
        return "idle" if started else "first_piece"
    return next((name.removesuffix("Timeout").lower() for name in names if name.endswith("Timeout")), "client")
