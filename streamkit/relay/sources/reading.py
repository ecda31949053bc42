"""One LLM answer being read: bytes in, pieces out, and what is known of its end. No I/O.

Its end needs proof: the provider's end marker; or, where it has none, or has said that it finishes, clean framing
behind whole events. Whatever else the body ends in is a failure, behind the pieces that came before it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from streamkit.content.head import Grammar
from streamkit.content.looking import AnswerParser
from streamkit.errors import LimitExceeded
from streamkit.extractor.pieces import ExtractionError, Piece, ProviderError, weigh
from streamkit.outcome import Outcome
from streamkit.parser import ServerSentEvent
from streamkit.presets import Answer, Preset, misread
from streamkit.presets.answer import EMPTY
from streamkit.presets.reader import HEARTBEATS
from streamkit.relay.bounds import CROWDED_BYTES, is_crowded
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.settings import Limits
from streamkit.relay.sources.common import CommonReads
from streamkit.taps import StreamTaps

__all__ = ["TRUNCATED", "Reading", "provider_failure"]

RECOGNISED_WITHIN: Final = 16_384  # bytes of an answer, in which a provider's shape shows

TRUNCATED: Final = Failure(
    Outcome("truncated"), "upstream_truncated", 502, "the upstream's answer was cut, or malformed, before its end"
)
NOTHING_CAME: Final = Failure(
    Outcome("error_event", EMPTY), EMPTY, 502, "the upstream's answer ended, and held not one event of its preset"
)
NOT_A_STREAM: Final = Failure(
    Outcome("error_event", "upstream_content_type"),
    "upstream_content_type",
    502,
    "the upstream answered with something other than a stream of events",
)


class Reading:
    """One answer of `preset`'s provider, within `limits`; `expected`: written in what, if not the preset's grammar;
    `headers` are kept until it is known whose it is.
    """

    def __init__(
        self,
        preset: Preset,
        limits: Limits,
        taps: StreamTaps | None,
        expected: Grammar | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        bounds = {"max_line_bytes": limits.max_line_bytes, "max_event_bytes": limits.max_event_bytes}
        self._parser = AnswerParser(expected or preset.grammar, **bounds)
        self._preset = preset
        self._first = b""  # bytes, until something of the preset was found in them
        self._headers = headers
        self._taps = taps
        self._read_ns = 0
        self._gathered = 0  # bytes since the last event was complete: what comes next is no longer than that
        self._answer = Answer(preset)
        self._reads = CommonReads(self._answer, self._parser, min(CROWDED_BYTES, *bounds.values()))
        self.texts = self._reads.texts
        """The texts of a read that is nothing else; None, and nothing done, where it may be more: see `CommonReads`."""
        self._found = False  # a piece
        self._foreign = expected == "text"  # its type is not an answer's
        self.saw_event = False
        self.failure: Failure | None = None

    @property
    def over(self) -> bool:
        """Nothing that comes can change what is known of its end."""
        return self._answer.over or self.failure is not None

    @property
    def thought(self) -> bool:
        """The last read brought reasoning that is not passed on, and nothing has been passed on before."""
        return self._answer.thought

    @property
    def complete(self) -> bool:
        """The provider's last word came."""
        return self._answer.complete

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the provider's word; None where that was not told."""
        return self._answer.finish_reason

    @property
    def signed(self) -> bool:
        """The provider said that it finishes: by its last word, or by a finish reason."""
        return self._answer.signed

    def notes(self) -> list[str]:
        """What has to be known about the texts: what was left out, and what they seem to be."""
        return self._answer.notes()

    def feed(self, data: bytes, read_ns: int) -> list[Piece]:
        """The pieces of what was read at `read_ns`."""
        self._read_ns = read_ns
        if not self._answer.recognised:
            self._first += data[: RECOGNISED_WITHIN - len(self._first)]
        elif self._first:
            self._first, self._headers = b"", None  # its provider is known: nobody asks for them any more
        self._gathered += len(data)
        try:
            events = self._reads.feed(data)
        except LimitExceeded as error:
            events = error.events
            self.failure = Failure(
                Outcome("error_event", "upstream_too_large"),
                "upstream_too_large",
                502,
                f"the upstream sent a line or event beyond {error.limit} bytes",
            )
        if not events and self._parser.grammar == "text":
            self.failure = NOT_A_STREAM
        if events:
            if self._gathered > CROWDED_BYTES:
                events = self._before_a_crowd(events)
            self._gathered = 0
        pieces = self._extract(events)
        self._reads.settle(events, data)
        return pieces

    def stamp(self, texts: list[str], read_ns: int, taps: StreamTaps) -> None:
        """What `texts` gave, of what was read at `read_ns`, passes the taps of a traced stream."""
        size = len("".join(texts).encode())
        taps.stamp_two("relay.read", read_ns, "relay.event", time.monotonic_ns(), len(texts), size)

    def _before_a_crowd(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """The events that can be parsed at ease; the first other one ends the stream behind them."""
        for number, event in enumerate(events):
            if is_crowded(event.data):
                self.failure = provider_failure(ExtractionError("too_many_values", "expected fewer values in an event"))
                return events[:number]
        return events

    def close(self) -> list[Piece]:
        """A last line that needs no terminator (NDJSON), and what the answer held back."""
        self._reads.ended()
        pieces = self._extract(self._parser.close())
        return pieces if self.over else [*pieces, *self._answer.close()]

    def held(self) -> list[Piece]:
        """The body was cut: what the answer held back came before that."""
        return [] if self.over else self._answer.close()

    def _extract(self, events: list[ServerSentEvent]) -> list[Piece]:
        answer = self._answer
        pieces = answer.read(events)
        if answer.failure is not None:  # it came before what was too large
            self.failure = provider_failure(answer.failure)
        self._found = self._found or bool(pieces)
        self.saw_event = bool(pieces) or answer.thought or any(event.event not in HEARTBEATS for event in events)
        if self._taps is not None and pieces:
            texts, size = weigh(pieces)
            self._taps.stamp_two("relay.read", self._read_ns, "relay.event", time.monotonic_ns(), texts, size)
        return pieces

    def check_end(self, *, clean: bool) -> None:
        """The body is over: raise Failed unless that was the whole answer."""
        answer = self._answer
        if self.failure is None and self._is_no_stream():
            raise Failed(self._explained(NOT_A_STREAM))
        if self.failure is not None and not answer.complete:
            raise Failed(self._explained(self.failure))
        foreign = bool(self._other_provider())
        problem = answer.problem_at_end(clean=clean, unfinished=self._parser.unfinished, foreign=foreign)
        if answer.failure is not None:
            raise Failed(self._explained(provider_failure(answer.failure)))
        if problem is not None:
            raise Failed(self._explained(NOTHING_CAME if problem == EMPTY else TRUNCATED))

    def _is_no_stream(self) -> bool:
        """It was a page, or JSON of which nothing is text, and no end either, unless its type said that it is JSON."""
        if self._parser.grammar == "json" and self._parser.unfinished is None:
            return not self._found and (self._foreign or not self._answer.signed)
        return self._parser.grammar == "text"

    def _explained(self, failure: Failure) -> Failure:
        """With what explains it best: that nothing was found because another provider answers."""
        why = self._other_provider()
        return failure if why is None else replace(failure, why=why)

    def _other_provider(self) -> str | None:
        """A sentence that names the provider that seems to answer instead."""
        return None if self._answer.recognised else misread(self._first, self._preset, self._headers)


def provider_failure(error: ProviderError) -> Failure:
    """The provider's own words stay in the lab; clients get its code."""
    if isinstance(error, ExtractionError):
        return Failure(
            Outcome("error_event", error.code),
            "upstream_malformed",
            502,
            "the upstream sent an event that is malformed",
            why=error.message,
        )
    outcome = Outcome("error_event", error.code)
    return Failure(outcome, "upstream_error", 502, "the upstream reported an error", why=error.message)
