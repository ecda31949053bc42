"""What has to be said of a body that lay under content codings, and of one that did not only because we asked so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.content.codings import asks_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.lab.recording.recorded import Events

__all__ = ["coding_notes"]


def coding_notes(coding: str | None, asked: str | None, events: Events, reads: int, sent_ns: int) -> list[str]:
    """Notes on a body of `reads` reads under `coding` (None: under none), where `asked` was the Accept-Encoding."""
    if coding is None:
        return []
    notes = []
    if not all(asks_for(asked, name) for name in coding.split(", ")):
        notes.append(f"the body is compressed ({coding}) although that was not asked for")
    if (first := events.first_with_text) is not None:
        notes.append(_how_it_came(coding, events.read, reads, (events.at_ns[first] - sent_ns) / 1e6))
    return notes


def _how_it_came(coding: str, read: Sequence[int], reads: int, first_ms: float) -> str:
    brought = len(set(read))
    came = f"the body is {coding}: {_counted(len(read), 'event')} came out of {brought} of {_counted(reads, 'read')}"
    kept = "; a compressor keeps text back until it is flushed" if len(read) > 2 * brought else ""
    return f"{came}, the first text {first_ms:,.0f} ms after the request{kept}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
