"""How a stream failed, and what a client is told of it."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from streamkit.outcome import Outcome

__all__ = ["SHUT_DOWN", "Failed", "Failure", "internal", "timed_out"]

log = logging.getLogger("streamkit.relay")


@dataclass(frozen=True, slots=True)
class Failure:
    """How a stream failed: its outcome, a stable `code`, and the status if no byte has left yet.

    All but the outcome's detail and `why` is told to clients: `detail` quotes nothing that a client or an upstream
    said. `why` is for the log: what the upstream said, perhaps. `unnamed`: the answer does not even hold the stream's
    id, so that all answers of this failure are equal.
    """

    outcome: Outcome
    code: str
    status: int
    detail: str
    retry_after_s: int | None = None
    why: str = field(default="", repr=False)
    unnamed: bool = False

    @classmethod
    def of_request(cls, status: int, code: str, detail: str) -> Self:
        """Of a request that cannot be served as it stands; `detail` says what to do instead.

        `timeout(head)` and `timeout(body)` are the outcomes of what did not come in time (its code is `timeout_…`),
        `refused(status)` that of the rest.
        """
        late = code.startswith("timeout_")
        outcome = Outcome("timeout", code.removeprefix("timeout_")) if late else Outcome("refused", status)
        return cls(outcome, code, status, detail)

    def as_problem(self) -> dict[str, str | int]:
        """What a client is told, by the names of RFC 9457 and two of ours: in a body before the first piece, in an
        event behind it. `status` is the one that it has, or would have had.
        """
        return {
            "type": "about:blank",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "outcome": str(self.outcome),
        }


class Failed(Exception):
    """Ends a stream, wherever it is raised: while the request is read, or out of a source. Holds its `Failure`.

    >>> raise sk.Failed.of_request(422, "bad_upto", "send a number")
    Traceback (most recent call last):
    streamkit.relay.failure.Failed: bad_upto: send a number
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    @classmethod
    def of_request(cls, status: int, code: str, detail: str) -> Self:
        """`Failure.of_request`, to be raised."""
        return cls(Failure.of_request(status, code, detail))

    def __str__(self) -> str:
        return f"{self.failure.code}: {self.failure.detail}"


SHUT_DOWN: Final = Failure(
    Outcome("cancelled", "shutdown"), "shutting_down", 503, "the server is being stopped", retry_after_s=1
)


def timed_out(deadline: str) -> Failure:
    """The failure for a deadline that fired."""
    return Failure(Outcome("timeout", deadline), f"timeout_{deadline}", 504, f"the deadline {deadline!r} passed")


def internal(error: Exception) -> Failure:
    """A bug of ours. Its type and place are logged, not its text: that may hold addresses and keys."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("internal error: %s at %s:%s", type(error).__name__, Path(place.filename).name, place.lineno)
    return Failure(Outcome("error_event", "internal_error"), "internal_error", 500, "the relay failed")
