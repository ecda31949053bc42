"""Which address wins when a name has several, and what becomes of the others. Fake time, no connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from streamkit.transport.dialer import STAGGER_S, Attempt, first_connected
from tests.fakes import run_in_fake_time


class Race:
    """Attempts to connect that take a given time, and then succeed or fail."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.sockets: list[socket.socket] = []
        self.connected = asyncio.Event()

    def attempt(self, takes_s: float, error: OSError | None = None) -> Attempt:
        async def run() -> socket.socket:
            self.started.append(asyncio.get_running_loop().time() - 1000.0)
            await asyncio.sleep(takes_s)
            if error is not None:
                raise error
            self.sockets.append(socket.socket())
            self.connected.set()
            return self.sockets[-1]

        return run

    def open(self) -> int:
        return sum(sock.fileno() >= 0 for sock in self.sockets)


REFUSED = ConnectionRefusedError("refused")


def test_the_next_address_is_tried_after_a_quarter_of_a_second_and_the_first_to_connect_wins() -> None:
    race = Race()
    won = run_in_fake_time(first_connected([race.attempt(9.0), race.attempt(9.0), race.attempt(0.1)]))
    assert race.started == pytest.approx([0.0, STAGGER_S, 2 * STAGGER_S])
    assert race.sockets == [won]
    won.close()


def test_the_next_address_is_tried_at_once_when_the_last_one_failed() -> None:
    race = Race()
    run_in_fake_time(first_connected([race.attempt(0.0, REFUSED), race.attempt(0.0)])).close()
    assert race.started == pytest.approx([0.0, 0.0])


def test_when_all_fail_the_last_error_counts() -> None:
    race = Race()
    with pytest.raises(ConnectionRefusedError):
        run_in_fake_time(first_connected([race.attempt(0.3, OSError("other")), race.attempt(1.0, REFUSED)]))
    assert race.started == pytest.approx([0.0, STAGGER_S])


def test_a_slow_address_may_still_win_when_the_later_ones_failed() -> None:
    race = Race()
    run_in_fake_time(first_connected([race.attempt(2.0), race.attempt(0.1, REFUSED)])).close()
    assert len(race.sockets) == 1


@pytest.mark.parametrize("cancel_after_s", [0.0, 0.3, 0.9, 1.0])
def test_who_loses_and_who_is_cancelled_closes_its_socket(cancel_after_s: float) -> None:
    race = Race()

    async def main() -> socket.socket | None:
        task = asyncio.create_task(first_connected([race.attempt(1.0), race.attempt(0.75), race.attempt(0.5)]))
        await asyncio.sleep(cancel_after_s)
        task.cancel()
        won = (await asyncio.gather(task, return_exceptions=True))[0]
        await asyncio.sleep(5)
        return won if isinstance(won, socket.socket) else None

    won = run_in_fake_time(main())
    assert race.open() == (won is not None)
    if won is not None:
        won.close()


@pytest.mark.parametrize("turns", range(8))
def test_a_cancellation_is_never_lost_to_a_win(turns: int) -> None:
    """Who is told that it was cancelled is cancelled, in whichever turn of the loop that falls behind the win."""
    race = Race()

    async def main() -> None:
        task = asyncio.create_task(first_connected([race.attempt(9.0), race.attempt(9.0), race.attempt(0.1)]))
        await race.connected.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        asked = task.cancel()
        won = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(won, asyncio.CancelledError if asked else socket.socket)
        await asyncio.sleep(1)
        assert race.open() == (not asked)
        if isinstance(won, socket.socket):
            won.close()

    run_in_fake_time(main())


def test_the_error_has_a_number_also_where_addresses_fail_for_different_reasons() -> None:
    race = Race()
    unreachable = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    refused = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    with pytest.raises(ConnectionRefusedError) as failed:
        run_in_fake_time(first_connected([race.attempt(0.0, unreachable), race.attempt(0.1, refused)]))
    assert failed.value.errno == errno.ECONNREFUSED
