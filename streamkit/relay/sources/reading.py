"""One LLM answer being read: bytes in, pieces out, and what is known of its end. No I/O.

Its end needs proof: the provider's end marker; or, where it has none, or has said that it finishes, clean framing
behind whole events. Whatever else the body ends in is a failure, behind the pieces that came before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Final, TypeAlias

from streamkit.errors import LimitExceeded
from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError, weigh
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import Preset
from streamkit.relay.bounds import CROWDED_BYTES, is_crowded
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.settings import Limits
from streamkit.taps import StreamTaps

__all__ = ["HEARTBEATS", "TRUNCATED", "Reading", "provider_failure"]

HEARTBEATS: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""Events of these types say no more than a comment does, and keep no deadline from passing."""

ReadPieces: TypeAlias = Callable[[Iterator[ServerSentEvent], list[Piece]], End | ProviderError | None]
"""See `Preset.read_pieces`."""

TRUNCATED: Final = Failure(
    Outcome("truncated"), "upstream_truncated", 502, "the upstream's answer was cut, or malformed, before its end"
)


class Reading:
    """One answer of `preset`'s provider, within `limits`."""

    def __init__(self, preset: Preset, limits: Limits, taps: StreamTaps | None) -> None:
        if preset.grammar == "ndjson":
            self._parser: SSEParser | NDJSONParser = NDJSONParser(max_line_bytes=limits.max_line_bytes)
        else:
            self._parser = SSEParser(max_line_bytes=limits.max_line_bytes, max_event_bytes=limits.max_event_bytes)
        self._taps = taps
        self._read_ns = 0
        self._gathered = 0  # bytes since the last event was complete: what comes next is no longer than that
        # Reasoning that is not passed on is looked for until the first piece: from then on every event shows life.
        self._read_pieces = preset.with_reasoning().read_pieces
        self._read_shown = None if preset.show_reasoning else preset.read_pieces
        self._has_end_marker = preset.has_end_marker
        self._finish_sign = False
        self.complete = False
        self.saw_event = False
        self.thought = False
        """The last read brought reasoning that is not passed on, and nothing has been passed on before."""
        self.failure: Failure | None = None

    @property
    def over(self) -> bool:
        """Nothing that comes can change what is known of its end."""
        return self.complete or self.failure is not None

    def feed(self, data: bytes, read_ns: int) -> list[Piece]:
        """The pieces of what was read at `read_ns`."""
        self._read_ns = read_ns
        self._gathered += len(data)
        try:
            events = self._parser.feed(data)
        except LimitExceeded as error:
            events = error.events
            self.failure = Failure(
                Outcome("error_event", "upstream_too_large"),
                "upstream_too_large",
                502,
                f"the upstream sent a line or event beyond {error.limit} bytes",
            )
        if events:
            if self._gathered > CROWDED_BYTES:
                events = self._before_a_crowd(events)
            self._gathered = 0
        return self._extract(events)

    def _before_a_crowd(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """The events that can be parsed at ease; the first other one ends the stream behind them."""
        for number, event in enumerate(events):
            if is_crowded(event.data):
                self.failure = provider_failure(ExtractionError("too_many_values", "expected fewer values in an event"))
                return events[:number]
        return events

    def close(self) -> list[Piece]:
        """A last line that needs no terminator (NDJSON)."""
        return self._extract(self._parser.close())

    def _extract(self, events: list[ServerSentEvent]) -> list[Piece]:
        pieces: list[Piece] = []
        run = iter(events)
        while not self.complete and (end := self._read_pieces(run, pieces)) is not None:
            if isinstance(end, ExtractionError) and events[-1 - length_hint(run)].event in HEARTBEATS:
                continue  # no JSON is asked of a heartbeat
            if isinstance(end, ProviderError):
                self.failure = provider_failure(end)
                break
            self.complete = end.conclusive
            self._finish_sign = True
        self.saw_event = bool(pieces) or any(event.event not in HEARTBEATS for event in events)
        if self._read_shown is not None:
            pieces = self._without_reasoning(pieces, self._read_shown)
        if self._taps is not None and pieces:
            texts, size = weigh(pieces)
            self._taps.stamp("relay.read", self._read_ns, texts, size)
            self._taps.stamp("relay.event", time.monotonic_ns(), texts, size)
        return pieces

    def _without_reasoning(self, pieces: list[Piece], read_shown: ReadPieces) -> list[Piece]:
        """What is passed on of them; from the first piece on, `read_shown` finds no more than that."""
        shown = [Piece(text, "", end) for text, _, end in pieces if text]
        self.thought = not shown and bool(pieces)
        if shown:
            self._read_pieces, self._read_shown = read_shown, None
        return shown

    def check_end(self, *, clean: bool) -> None:
        """The body is over: raise Failed unless that was the whole answer."""
        if self.complete:
            return
        if self.failure is not None:
            raise Failed(self.failure)
        # Without any sign of its end, an answer that breaks off inside an event is none, however clean its framing is:
        # that event would be lost, or it is a page or an error that is no event stream at all.
        signs = self._finish_sign or (not self._has_end_marker and self._parser.unfinished is None)
        if not (clean and signs):
            raise Failed(TRUNCATED)


def provider_failure(error: ProviderError) -> Failure:
    """The provider's own words stay in the lab; clients get its code."""
    if isinstance(error, ExtractionError):
        return Failure(
            Outcome("error_event", error.code),
            "upstream_malformed",
            502,
            "the upstream sent an event that is malformed",
        )
    return Failure(Outcome("error_event", error.code), "upstream_error", 502, "the upstream reported an error")
