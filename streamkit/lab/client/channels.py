"""Channels: what comes beside an answer's text, reasoning and tool calls, and what of it is not recorded. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.presets.tools import carries_tool_call

if TYPE_CHECKING:
    from streamkit.parser import ServerSentEvent

__all__ = ["Channels"]


class Channels:
    """Takes what each event brought; says in the end what a reader of the recording has to know of it.

    `recorded`: the reasoning is recorded too. Where it is not, that before the first text is counted.
    """

    def __init__(self) -> None:
        self.recorded = False
        self._text = False
        self._reasoning = 0
        self._tool_calls = 0

    def piece(self, text: str, reasoning: str) -> None:
        """A piece that is recorded."""
        self._text = self._text or bool(text)
        self._reasoning += bool(reasoning) and not self._text

    def hidden(self) -> None:
        """Reasoning, before the first text, that is not recorded."""
        self._reasoning += 1

    def no_piece(self, event: ServerSentEvent) -> None:
        """An event without text and reasoning."""
        self._tool_calls += carries_tool_call(event)

    def notes(self) -> list[str]:
        """What has to be known of them, in sentences."""
        return [*self._of_reasoning(), *self._of_tool_calls()]

    def _of_reasoning(self) -> list[str]:
        if not self._reasoning:
            return []
        notes = []
        if not self.recorded:
            text = ", and the first piece is that of the text" if self._text else ""
            notes.append(
                f"reasoning came first, in {_events(self._reasoning)}; it was not recorded{text} "
                "(reasoning=True records it)"
            )
        if not self._text:
            notes.append("there is no text: the answer holds reasoning alone")
        return notes

    def _of_tool_calls(self) -> list[str]:
        if not self._tool_calls:
            return []
        carries = "carries a tool call" if self._tool_calls == 1 else "carry tool calls"
        alone = "" if self._text or self._reasoning else ": there is no text"
        return [f"{_events(self._tool_calls)} without text {carries}{alone}"]


def _events(count: int) -> str:
    return f"{count} event" if count == 1 else f"{count} events"
