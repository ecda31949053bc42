"""What a recording states of its own times, against a sender that knows when it sent: the error covers what is true."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.trust import first_piece_error_ns, first_piece_is_shared, stated_error_ns
from tests.rawsockets import RawServer, chunk

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = chunk(b'data: {"text":"x"}\n\n')
END = chunk(b"event: done\ndata: {}\n\n") + b"0\r\n\r\n"


class Sender:
    """Sends by `script`, and notes when the last byte of each piece had gone: by then loopback has brought it."""

    def __init__(self, script: Callable[[Sender], None]) -> None:
        self.sent_ns: list[int] = []
        self._script = script
        self._connection: socket.socket

    def __call__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._script(self)
        connection.sendall(END)

    def send(self, *, pieces: int = 0, head: bytes = b"") -> None:
        self._connection.sendall(head + pieces * EVENT)
        self.sent_ns += [time.monotonic_ns()] * pieces


def one_by_one(sender: Sender) -> None:
    sender.send(head=HEAD)
    for _ in range(20):
        sender.send(pieces=1)
        time.sleep(0.015)


def head_and_all_in_one(sender: Sender) -> None:
    sender.send(head=HEAD, pieces=1)
    one_by_one_after(sender)


def one_by_one_after(sender: Sender) -> None:
    for _ in range(20):
        time.sleep(0.015)
        sender.send(pieces=1)


def bursts(sender: Sender) -> None:
    sender.send(head=HEAD)
    for _ in range(4):
        time.sleep(0.1)
        sender.send(pieces=5)


def recorded(sender: Sender, *, busy_s: float = 0.0, after_s: float = 0.02) -> Recording:
    async def main() -> Recording:
        task = asyncio.ensure_future(record(server.url))
        await asyncio.sleep(after_s)
        time.sleep(busy_s)  # noqa: ASYNC251  # the loop is to be blocked
        return await task

    with RawServer(sender) as server:
        return asyncio.run(main())


def off_ns(recording: Recording, sender: Sender) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How much later than it came each piece is told to have come."""
    at_ns = np.asarray(recording.events.at_ns, dtype=np.int64)[: len(sender.sent_ns)]
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = at_ns + recording.started_ns - np.array(sender.sent_ns)
    return found


@pytest.mark.parametrize("busy_s", [0.0, 0.2])
@pytest.mark.parametrize("script", [one_by_one, head_and_all_in_one, bursts])
def test_the_stated_error_covers_the_true_one(script: Callable[[Sender], None], busy_s: float) -> None:
    sender = Sender(script)
    recording = recorded(sender, busy_s=busy_s)
    assert recording.outcome.ok
    covered = off_ns(recording, sender) <= stated_error_ns(recording)[: len(sender.sent_ns)]
    assert covered[0], "the first piece"
    assert covered.mean() >= 0.95


def test_a_first_piece_that_waited_in_a_blocked_loop_is_a_bound_whose_error_holds() -> None:
    sender = Sender(one_by_one)
    recording = recorded(sender, busy_s=0.25, after_s=0.0)
    assert recording.summary().ttft_is_bound == first_piece_is_shared(recording)
    assert off_ns(recording, sender)[0] <= (first_piece_error_ns(recording) or 0)


def test_when_the_request_left_is_known_with_its_error() -> None:
    recording = recorded(Sender(one_by_one))
    assert recording.sent_ns is not None
    assert recording.meta["sent_error_ns"] >= 0
    summary = recording.summary()
    assert (summary.ttft_error_ms or 0) >= min(recording.meta["sent_error_ns"] / 1e6, summary.ttft_ms or 0)
