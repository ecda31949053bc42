"""What the relay itself says of a stream: how it ended there, and what it had delivered by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from streamkit.outcome import Outcome

__all__ = ["RelayWord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayWord:
    """What the relay logged of the stream (`streamkit.relay.log`); its client may have seen another end.

    outcome         how it ended for the relay: `timeout(idle)` where the client saw `truncated`, for example
    code            the stable code of the failure; "" if there was none
    finish_reason   the provider's word for why it ended (`stop`, `length`, …); None where it gave none
    status          the HTTP status the client was sent; None if none was
    format, policy  the answer's content type, and what was done for a slow client; None if it did not begin
    duration_ms, first_piece_ms   counted from the request's head; None where nothing had left
    pieces, dropped, wrote_bytes  pieces sent, pieces left out by the policy, bytes written
    held_ms         for how long it made its source wait
    """

    outcome: Outcome
    code: str = ""
    finish_reason: str | None = None
    status: int | None = None
    format: str | None = None
    policy: str | None = None
    duration_ms: float | None = None
    first_piece_ms: float | None = None
    pieces: int = 0
    dropped: int = 0
    wrote_bytes: int = 0
    held_ms: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON values only; `from_dict` is the inverse."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; also takes what the relay logged. Other keys are ignored. Raises ValueError for
        anything else.
        """
        try:
            given: dict[str, Any] = {name: told[name] for name in _FITS if name in told}
            outcome = Outcome.parse(told["outcome"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a relay's word with an outcome, got {type(told).__name__}") from error
        for name, value in given.items():
            if not _FITS[name](value):
                raise ValueError(f"expected {name} in a relay's word as another type than {type(value).__name__}")
        return cls(outcome=outcome, **given)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _or_none(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or fits(value)


_FITS: Final[Mapping[str, Callable[[object], bool]]] = {
    "code": _is_text,
    "finish_reason": _or_none(_is_text),
    "status": _or_none(_is_count),
    "format": _or_none(_is_text),
    "policy": _or_none(_is_text),
    "duration_ms": _or_none(_is_number),
    "first_piece_ms": _or_none(_is_number),
    "pieces": _is_count,
    "dropped": _is_count,
    "wrote_bytes": _is_count,
    "held_ms": _is_number,
}
