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
    """How a stream ended.

    `complete` needs proof (an end marker, or clean framing where the provider has no marker). `refused` carries
    the HTTP status, `error_event` the provider's or relay's code, `timeout` the name of the deadline that fired.

        >>> str(sk.Outcome("timeout", "idle")), sk.Outcome.parse("refused(503)").detail
        ('timeout(idle)', 503)

    It equals its string, the whole of it, and is hashed and ordered as that: a column of outcomes is compared, grouped,
    sorted and counted as one of strings would be. The word alone is `.name`.

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
        """Whoever tells it ended the stream by its own wish: `cancelled(…)`, or, as its limit on all, `timeout(total)`.

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
        """The inverse of `str`; `refused(503)` gets its status back as an integer."""
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
