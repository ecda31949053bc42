"""A stream that is in a log, or comes into it, as a source (see `streamkit.relay.sources.source`): replayed from where
its reader stands, then live, then its end. Which part was which nobody sees: it is one log.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed
from streamkit.relay.replay.log import LogReader
from streamkit.relay.sources.source import Into

__all__ = ["stored"]


async def stored(reader: LogReader, into: Into) -> AsyncGenerator[list[Piece], None]:
    """What stands in `reader`'s log behind its position, until the end. The reader is the caller's to close."""
    while not reader.at_end:
        if reader.behind:
            pieces = await reader.page()
            if not into.offer(pieces):
                yield pieces
        else:
            pieces = await reader.pour(into.offer)
            if pieces:
                yield pieces
        reader.took(pieces)
    end = reader.log.end
    assert end is not None  # noqa: S101  # at_end
    if end.finish_reason is not None:
        into.finished(end.finish_reason)
    if end.failed is not None:
        raise Failed(end.failed)
