"""How a stream failed, and what the client is told about it."""

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
    """How a stream failed, and what the client is told about it.

    outcome         how the stream ended
    code            a stable word for the reason
    status          the HTTP status, if no byte has left yet
    detail          a sentence for the client; it quotes nothing that a client or an upstream said
    retry_after_s   after how many seconds it may be worth trying again
    why             for the log only: what the upstream said, for example
    unnamed         the answer does not even have the stream's id, so that all answers of this failure are equal
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
        """The failure of a request that cannot be served as it is; `detail` says what to do instead.

        The outcome is `timeout(head)` or `timeout(body)` if something did not come in time (the code is `timeout_…`),
        otherwise `refused(status)`.
        """
        late = code.startswith("timeout_")
        outcome = Outcome("timeout", code.removeprefix("timeout_")) if late else Outcome("refused", status)
        return cls(outcome, code, status, detail)

    def as_problem(self) -> dict[str, str | int]:
        """What the client is told, with the names of RFC 9457 and two of ours: in a body, or after the first piece in
        an event. `status` is the one that the answer has, or would have had.
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
    """Raise this to end a stream with a failure that the client is told: in a source, or while a request is read.

    >>> raise sk.Failed.of_request(422, "bad_upto", "send a number")
    Traceback (most recent call last):
    streamkit.relay.failure.Failed: bad_upto: send a number

    Its attribute `failure` is the `Failure`.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    @classmethod
    def of_request(cls, status: int, code: str, detail: str) -> Self:
        """Refuse the request: an HTTP status, a stable `code`, and a sentence for the client that says what to do.

        raise sk.Failed.of_request(422, "bad_upto", "send a number")
        """
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
