"""The benchmark of workers counts what it says: answers that are right, and the CPU of those processes that serve."""

from __future__ import annotations

import os
import socket

import pytest

import streamkit as sk
from benchmarks.harness import Started
from benchmarks.workers import EVENTS, FRAMING, Run, answer, measure, text, workers_of
from streamkit.extractor import Piece
from tests.rawsockets import RawServer, chunk


def test_no_letter_of_the_text_is_taken_for_framing_and_the_answer_says_it() -> None:
    assert text().translate(None, FRAMING) == text()
    read = sk.preset("openai")
    pieces = [read.read(event) for event in sk.SSEParser().feed(answer())]
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)).encode() == text()
    assert len(pieces) == EVENTS + 1


@pytest.mark.parametrize(("told", "right"), [(text(), True), (text()[:-1] + b"x", False), (text()[:-1], False)])
def test_an_answer_that_is_not_right_ends_the_run(told: bytes, right: bool) -> None:
    def speak(connection: socket.socket) -> None:
        half = len(told) // 2
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head + chunk(told[:half]) + chunk(told[half:]) + chunk(b""))

    with RawServer(speak) as server:
        here = Started(os.getpid(), server.url)
        if right:
            assert measure(here, here, 2, 2).events == 2 * EVENTS
        else:
            with pytest.raises(AssertionError, match="an answer is not right"):
                measure(here, here, 1, 1)


def test_one_without_a_manager_serves_itself() -> None:
    assert workers_of(os.getpid()) == [os.getpid()]


def test_what_is_told_of_a_run_are_its_rates_and_shares() -> None:
    run = Run(1_000_000, 5.0, (3.0, 1.0), 1.0)
    assert (run.per_second, run.per_event_us, run.cores_had) == (200_000, 4.0, 0.8)
    assert (run.others_share, run.busiest_share) == (0.25, 0.75)
    assert (run.at_best(2), run.at_best(8)) == (400_000, 500_000)
