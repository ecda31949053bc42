"""How a stream ended: one small vocabulary, the same in the relay's log, error bodies, recordings and plots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from typing import Any, Literal, get_args

__all__ = ["Outcome", "OutcomeName"]

OutcomeName = Literal["complete", "refused", "error_event", "truncated", "timeout", "cancelled"]


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a stream ended: one of six words, with a detail for some of them.

        >>> str(sk.Outcome("timeout", "idle")), sk.Outcome.parse("refused(503)").detail
        ('timeout(idle)', 503)

    complete      proved whole: by an end mark, or by clean framing where the provider has no mark
    refused       answered by an HTTP status, which is the detail, or no connection at all: `refused(connect)`
    error_event   the provider or the relay said that it failed; the detail is its code
    truncated     it stopped without proof of an end
    timeout       a deadline passed; the detail is its name
    cancelled     the client left or the server stopped; in a recording, its own side had enough: the detail says why

    It equals the string it prints as, and is hashed and sorted like it: a column of outcomes can be compared, grouped
    and counted as strings can. The word alone is `.name`.

        >>> sk.Outcome("timeout", "idle") == "timeout(idle)", sk.Outcome("timeout", "idle") == "timeout"
        (True, False)
    """

    name: OutcomeName
    detail: str | int | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(OutcomeName):
            raise ValueError(f"expected one of {', '.join(get_args(OutcomeName))} as outcome, got {self.name!r}")

    @property
    def ok(self) -> bool:
        """True for `complete` only."""
        return self.name == "complete"

    @property
    def stopped(self) -> bool:
        """Whether the stream was ended on purpose by the side that tells of it: `cancelled(…)` or `timeout(total)`.

        >>> sk.Outcome("cancelled", "by us").stopped, sk.Outcome("truncated").stopped
        (True, False)
        """
        return self.name == "cancelled" or (self.name == "timeout" and self.detail == "total")

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Outcome | str) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other) if isinstance(other, Outcome | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.name if self.detail is None else f"{self.name}({self.detail})"

    @classmethod
    def parse(cls, text: str) -> Outcome:
        """The outcome that a text stands for, the inverse of `str()`; the status in `refused(503)` becomes an int."""
        name, bracket, rest = text.partition("(")
        if not bracket:
            return cls(_known(name))
        detail: Any = rest.removesuffix(")")
        return cls(_known(name), int(detail) if name == "refused" and detail.isdecimal() else detail)


def _known(name: str) -> OutcomeName:
    for known in get_args(OutcomeName):
        if name == known:
            return known  # type: ignore[no-any-return]  # get_args is untyped; the values are the Literal's own
    raise ValueError(f"expected an outcome such as 'complete' or 'timeout(idle)', got {name!r}")
