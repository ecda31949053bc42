"""The line of each stream: what it says, and that what is kept of it is what was logged."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import cast

import pytest

from streamkit.outcome import Outcome
from streamkit.relay.log import StreamRecord, show_log


def test_a_stream_of_which_nobody_says_anything_is_one_whose_client_left() -> None:
    told = StreamRecord("s1").write()
    assert (told["outcome"], told["code"], told["status"], told["first_piece_ms"]) == ("cancelled", "", None, None)


def test_what_is_returned_is_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamkit.relay")
    record = StreamRecord("s1", format="text/plain", policy="pause", pieces=3, wrote_bytes=12, held_ns=1_234_567)
    record.ended(Outcome("timeout", "idle"), "timeout_idle", None)
    told = record.write()
    assert [json.loads(line.getMessage()) for line in caplog.records] == [told]
    assert (told["outcome"], told["code"], told["held_ms"]) == ("timeout(idle)", "timeout_idle", 1.235)


def test_an_answer_that_began_was_told_200_whatever_became_of_it() -> None:
    record = StreamRecord("s1", status=200, started_ns=5_000_000)
    record.first_piece_ns = 7_500_000
    assert record.write()["status"] == 200, "a client that left"
    record.ended(Outcome("truncated"), "upstream_truncated", None)
    told = record.write()
    assert (told["status"], told["first_piece_ms"]) == (200, 2.5)


def test_an_answer_that_did_not_begin_has_the_status_that_it_was_refused_with() -> None:
    record = StreamRecord("s1")
    record.ended(Outcome("refused", 429), "upstream_rate_limited", 429)
    assert record.write()["status"] == 429


def test_why_it_failed_is_logged_and_told_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamkit.relay")
    record = StreamRecord("s1", why="no connection: connection refused")
    record.ended(Outcome("refused", "connect"), "upstream_unreachable", 502)
    kept = record.write()
    (line,) = (json.loads(line.getMessage()) for line in caplog.records)
    assert (line.pop("why"), line) == ("no connection: connection refused", kept)


def test_what_was_left_out_of_an_answer_is_logged_and_told_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamkit.relay")
    record = StreamRecord("s1", notes=["choice 1 was left out: 3 pieces"])
    kept = record.write()
    (line,) = (json.loads(line.getMessage()) for line in caplog.records)
    assert (line.pop("notes"), line) == (["choice 1 was left out: 3 pieces"], kept)


class TestShowLog:
    @pytest.fixture(autouse=True)
    def as_before(self) -> Iterator[None]:
        logger = logging.getLogger("streamkit")
        before = logger.level, logger.propagate, list(logger.handlers)
        yield
        logger.level, logger.propagate, logger.handlers = before[0], before[1], before[2]

    def test_lines_are_shown_where_nobody_has_said_what_becomes_of_them(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logging.getLogger("streamkit").propagate = False  # pytest has handlers at the root
        show_log()
        show_log()
        logging.getLogger("streamkit.relay").info("a line")
        assert capsys.readouterr().err.count("streamkit.relay a line") == 1

    def test_somebodys_own_logging_stays_as_it_is(self) -> None:
        show_log()
        assert logging.getLogger("streamkit").handlers == []

    def test_a_stream_is_shown_as_any_line_is_whichever_way_it_goes(self, capsys: pytest.CaptureFixture[str]) -> None:
        logging.getLogger("streamkit").propagate = False
        show_log()
        record = StreamRecord("ab")
        record.write()
        heard = logging.NullHandler()
        logging.getLogger("streamkit.relay").addHandler(heard)  # of somebody else's: a record is made for it
        try:
            record.write()
        finally:
            logging.getLogger("streamkit.relay").removeHandler(heard)
        shown = [re.sub(r'"duration_ms":[-\d.]+', "", line) for line in capsys.readouterr().err.splitlines()]
        assert [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (.*)", line) for line in shown].count(None) == 0
        assert len({line[24:] for line in shown}) == 1
        assert len(shown) == 2

    def test_whoever_changes_what_becomes_of_lines_gets_them_all(self) -> None:
        logger, heard = logging.getLogger("streamkit"), list[str]()

        def hear(line: logging.LogRecord) -> bool:
            heard.append(line.getMessage())
            return False

        logger.propagate = False
        show_log()
        logger.handlers[0].addFilter(hear)
        StreamRecord("ab").write()
        assert len(heard) == 1

    def test_a_line_that_cannot_be_shown_breaks_no_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logging, "raiseExceptions", False)
        logger = logging.getLogger("streamkit")
        logger.propagate = False
        show_log()
        closed = io.StringIO()
        closed.close()
        cast("logging.StreamHandler[io.StringIO]", logger.handlers[0]).stream = closed
        StreamRecord("ab").write()
