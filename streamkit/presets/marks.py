"""`EndMark` and `ErrorMark`: what an end and an error look like in a provider's stream."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from streamkit.errors import ConfigError
from streamkit.extractor import Document, Extractor, Values, Where
from streamkit.extractor.document import Compiled
from streamkit.extractor.follow import first_key
from streamkit.extractor.path import Path, WhereSpec, conditions
from streamkit.extractor.pieces import End, ProviderError
from streamkit.presets.failures import BROKEN, CODES, MESSAGES

__all__ = ["COMMON_ERRORS", "DONE_MARK", "TOLD", "EndMark", "ErrorMark", "Extractors", "extractors"]

MAX_MESSAGE = 200
_CODE = re.compile(r"[!-~]{1,64}")

Extractors: TypeAlias = str | Extractor | Iterable[str | Extractor]


def extractors(spec: Extractors) -> tuple[Extractor, ...]:
    """One path or Extractor, or several, as Extractors."""
    several = (spec,) if isinstance(spec, (str, Extractor)) else tuple(spec)
    return tuple(item if isinstance(item, Extractor) else Extractor(item) for item in several)


def _as_code(value: object) -> str | None:
    """A word of the provider's that can serve as a code: short, printable, without white space; numbers as digits."""
    word = str(value) if type(value) is int and value else value
    return word if isinstance(word, str) and _CODE.fullmatch(word) else None


def _as_message(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:MAX_MESSAGE]).strip()


@dataclass(frozen=True, kw_only=True)
class EndMark(Compiled):
    """A sign in a provider's stream that the stream is over.

        >>> from streamkit.presets import EndMark
        >>> done = EndMark(where="@data == '[DONE]'")
        >>> stop = EndMark(reason="choices[0].finish_reason", conclusive=False, failures=("oops",))
        >>> sk.Preset(name="mine", text="say", ends=(done, stop)).read(sk.ServerSentEvent(data="[DONE]"))
        End(reason=None, conclusive=True)

    where        conditions that are the sign. Without any, the text of a `reason` is the sign
    reason       paths or Extractors of the reason why the stream ended
    conclusive   whether it proves by itself that the stream is complete, or only together with clean framing (`End`)
    failures     reasons that mean a failure, without regard to case: they are read as an error with that code
    optional     whether some servers leave it out, so that its absence proves nothing
    """

    where: WhereSpec = ()
    reason: Extractors = ()
    conclusive: bool = True
    failures: Container[str] = BROKEN
    optional: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", conditions(self.where))
        object.__setattr__(self, "reason", extractors(self.reason))
        if not self.where and not self.reason:
            raise ConfigError("expected where= or reason= in an EndMark, got neither: every event would end the stream")

    @cached_property
    def applies(self) -> Where:
        """`where`, compiled."""
        return Where(self.where)

    @cached_property
    def reasons(self) -> tuple[Extractor, ...]:
        """`reason`, compiled."""
        return extractors(self.reason)

    @cached_property
    def needed_key(self) -> str | None:
        """A key without which a JSON object cannot hold this sign; None if there is no such key."""
        only = self.reasons[0].needed_key if len(self.reasons) == 1 and not self.where else None
        return self.applies.needed_key or only

    def read(self, document: Document) -> End | ProviderError | None:
        """The end, or the failure, that an event means if it is this sign; otherwise None."""
        reason = ""
        for extractor in self.reasons:
            reason = reason or extractor.text(document)
        if not reason and not self.where:
            return None
        if reason in self.failures or reason.lower() in self.failures:
            return ProviderError(_as_code(reason) or "error")
        return End(_as_code(reason), self.conclusive)


@dataclass(frozen=True, kw_only=True)
class ErrorMark(Compiled):
    """What an error looks like inside a provider's stream.

        >>> from streamkit.presets import ErrorMark
        >>> at_error = ErrorMark(at="error")
        >>> failed = ErrorMark(where="@event == 'failed'", code="last_error.code", message="last_error.msg")
        >>> mine = sk.Preset(name="mine", text="say", errors=(at_error, failed))
        >>> mine.read(sk.ServerSentEvent("failed", '{"last_error": {"code": 7, "msg": "gone"}}'))
        ProviderError(code='7', message='gone')

    where     conditions that all must hold
    at        a path at which there must be something. null, false, 0, "" and empty objects are nothing, so that
              `error: null` is not an error
    code      paths to the error's code: the first that leads to a word or a number
    message   paths to its message: the first that leads to a string; without one, the raw data
    default   the code if none is found
    """

    where: WhereSpec = ()
    at: str | None = None
    code: str | tuple[str, ...] = (
        "error.code",
        "error.type",
        "error.status",
        "error_code",
        "error_type",
        "code",
        "error",
    )
    message: str | tuple[str, ...] = ("error.message", "message", "msg", "detail", "error")
    default: str = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", conditions(self.where))
        if not self.where and self.at is None:
            raise ConfigError("expected where= or at= in an ErrorMark, got neither: every event would be an error")
        _ = self.place, self._codes, self._messages  # what is wrong with a path is said here

    @cached_property
    def applies(self) -> Where:
        """`where`, compiled."""
        return Where(self.where)

    @cached_property
    def place(self) -> Path | None:
        """`at`, compiled."""
        return None if self.at is None else Path.of(self.at)

    @cached_property
    def needed_key(self) -> str | None:
        """A key without which a JSON object cannot be this error; None if there is no such key."""
        return self.applies.needed_key or (first_key(self.place) if self.place else None)

    def read(self, document: Document) -> ProviderError | None:
        """The error that an event reports if it has this shape; otherwise None."""
        if self._standing is not None and not any(self._standing.of(document)):
            return None
        codes = (_as_code(value) for value in self._codes.of(document))
        messages = (value for value in self._messages.of(document) if isinstance(value, str) and value)
        return ProviderError(
            next((code for code in codes if code), self.default),
            _as_message(next(messages, None) or document.text()),
        )

    @cached_property
    def _standing(self) -> Values | None:
        return None if self.place is None else Values(self.place)

    @cached_property
    def _codes(self) -> Values:
        return _values(self.code)

    @cached_property
    def _messages(self) -> Values:
        return _values(self.message)


def _values(paths: str | tuple[str, ...]) -> Values:
    return Values(paths) if isinstance(paths, str) else Values(*paths)


# The shapes that providers share: Groq's `event: error`, OpenAI's `{"error": …}` beside or in place of the answer.
COMMON_ERRORS = (ErrorMark(where="@event == 'error'"), ErrorMark(at="error"))

DONE_MARK = EndMark(where="@data == '[DONE]'")
"""The last word of OpenAI's streams, and of those that took it over."""

# What `failures.tells_failure` finds, read: by any of the names that codes and messages go by.
TOLD = ErrorMark(
    at="@data",
    code=("error.code", "error.type", "error.status", "errors[*].code", *CODES, "error"),
    message=("error.message", "errors[*].message", *MESSAGES, "error"),
)
