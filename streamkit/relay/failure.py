"""How a stream failed, and what a client is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from streamkit.outcome import Outcome

__all__ = ["BadRequest", "Failure", "SourceFailed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """How a stream failed: its outcome, a stable `code` for clients, and the status if no byte has left yet."""

    outcome: Outcome
    code: str
    status: int
    detail: str
    retry_after_s: int | None = None


class SourceFailed(Exception):
    """Carries a `Failure` out of a source."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class BadRequest(Exception):
    """A request that cannot be served as it stands: the HTTP `status`, a stable `code`, and what to do instead.

    The texts quote nothing that the client sent.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        """`timeout(head)` or `timeout(body)` for what did not come in time, `refused(status)` for the rest."""
        if self.code.startswith("timeout_"):
            return Outcome("timeout", self.code.removeprefix("timeout_"))
        return Outcome("refused", self.status)
