"""Faults of logs and of their readers that both the oracle and the campaign of cuts have to find."""

from __future__ import annotations

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.log import Log, LogReader


def a_reader_that_is_not_woken_when_it_refused(patch: pytest.MonkeyPatch) -> None:
    def came(reader: LogReader, pieces: list[Piece]) -> None:
        if reader._offer is not None and reader._offer(pieces):
            reader.position += len(pieces)

    patch.setattr(LogReader, "came", came)


def a_reader_that_is_not_told_of_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LogReader, "news", lambda _: None)


def an_end_that_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def finish(log: Log, end: StreamEnd) -> None:
        """Nobody is told."""

    patch.setattr(Log, "finish", finish)


def a_failure_that_is_stored_as_complete(patch: pytest.MonkeyPatch) -> None:
    close = Log.close
    patch.setattr(Log, "close", lambda log, end: close(log, StreamEnd(None, end.finish_reason)))


def an_end_that_overtakes_pieces(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LogReader, "at_end", property(lambda reader: reader.log.end is not None))
