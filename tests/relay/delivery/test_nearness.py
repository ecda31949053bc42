"""How far a client is behind: what is told is believed, but of who may be a proxy; and when a state may leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.relay.delivery import nearness as module
from streamkit.relay.delivery.nearness import NEAR_BYTES, Nearness


class Client:
    """A connection to a client that is told about as `told` says (None: not), on a clock that the test moves."""

    def __init__(
        self, patch: pytest.MonkeyPatch, told: Callable[[Client], int | None], *, proxied: bool = False
    ) -> None:
        self.now_s = 100.0
        self.wrote = 0
        self.unsent: int | None = 0
        self.unread = 0
        self.asked = 0
        self._told = told
        self._socket = socket.socket(socket.AF_INET)
        self._socket.close()
        patch.setattr(module, "unsent_bytes", lambda _: self.unsent)
        patch.setattr(module, "peer_unread_bytes", self._ask)
        transport = cast("asyncio.WriteTransport", self)
        self.nearness = Nearness(transport, lambda: self.wrote, lambda: self.now_s, proxied=proxied)

    def get_extra_info(self, _: str) -> socket.socket:
        return self._socket

    def _ask(self, _: object) -> int | None:
        self.asked += 1
        return self._told(self)

    def write(self, size: int) -> None:
        self.wrote += size
        self.unread += size


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch, lambda client: client.unread)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch, lambda client: client.unread, proxied=True)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch, lambda _: None)


def test_what_is_behind_is_what_has_not_left_and_what_was_not_read(seen: Client) -> None:
    seen.write(700)
    seen.unsent = 50
    assert seen.nearness.behind_bytes() == 750
    assert repr(seen.nearness) == "<Nearness: 750 bytes behind>"


def test_a_state_leaves_as_long_as_it_and_all_before_it_are_near(seen: Client) -> None:
    seen.write(NEAR_BYTES - 280)
    assert seen.nearness.may_leave(280)
    assert not seen.nearness.may_leave(281)


def test_a_large_state_leaves_when_nothing_lies_before_it(seen: Client) -> None:
    seen.write(1)
    assert not seen.nearness.may_leave(5_000)
    seen.unread = 0
    assert seen.nearness.may_leave(5_000)


def test_who_is_slower_than_what_is_assumed_is_told_of(seen: Client) -> None:
    seen.write(900)
    seen.now_s += 10
    assert seen.nearness.behind_bytes() == 900


def test_who_reads_at_once_is_behind_by_nothing(seen: Client) -> None:
    seen.write(900)
    seen.unread = 0
    assert seen.nearness.behind_bytes() == 0


def test_a_proxy_reads_at_once_and_more_is_not_sent_than_somebody_behind_it_reads(proxied: Client) -> None:
    proxied.write(900)
    proxied.unread = 0
    assert proxied.nearness.behind_bytes() == 900
    proxied.now_s += 0.5
    assert proxied.nearness.behind_bytes() == 400


def test_a_proxy_that_does_not_read_is_told_of(proxied: Client) -> None:
    proxied.write(900)
    proxied.now_s += 10
    assert proxied.nearness.behind_bytes() == 900


def test_for_a_connection_that_is_closed_nothing_waits(seen: Client) -> None:
    seen.write(100_000)
    seen.unsent = None
    assert seen.nearness.behind_bytes() is None
    assert seen.nearness.may_leave(5_000)


def test_another_machines_kernel_is_asked_for_once(unseen: Client) -> None:
    for _ in range(5):
        assert unseen.nearness.behind_bytes() == 0
    assert unseen.asked == 1


def test_where_nothing_is_told_a_client_is_taken_to_read_a_kilobyte_a_second(unseen: Client) -> None:
    unseen.write(900)
    assert unseen.nearness.behind_bytes() == 900
    unseen.now_s += 0.5
    assert unseen.nearness.behind_bytes() == 400
    assert unseen.nearness.may_leave(600)
    assert not unseen.nearness.may_leave(601)
    unseen.now_s += 10
    assert unseen.nearness.behind_bytes() == 0


def test_of_larger_states_it_is_taken_to_read_one_a_second(unseen: Client) -> None:
    assert unseen.nearness.may_leave(3_000)
    unseen.write(3_000)
    assert unseen.nearness.behind_bytes() == 3_000
    unseen.now_s += 0.75
    assert not unseen.nearness.may_leave(3_000)
    unseen.now_s += 0.25
    assert unseen.nearness.may_leave(3_000)


def test_nothing_is_taken_as_read_that_has_not_arrived(unseen: Client) -> None:
    unseen.write(500)
    unseen.unsent = 500
    unseen.now_s += 60
    assert unseen.nearness.behind_bytes() == 500
    unseen.unsent = 0
    assert unseen.nearness.behind_bytes() == 500
    unseen.now_s += 0.2
    assert unseen.nearness.behind_bytes() == 300


@given(
    size=st.integers(1, NEAR_BYTES), pauses=st.lists(st.floats(0.0, 0.5), max_size=60), told=st.sampled_from([None, 0])
)
def test_who_reads_a_kilobyte_a_second_is_a_second_behind_at_most_wherever_it_is(
    size: int, pauses: list[float], told: int | None
) -> None:
    """On another machine, or behind a proxy that reads at once."""
    with pytest.MonkeyPatch.context() as patch:
        client = Client(patch, lambda _: told, proxied=True)
        unread = 0.0
        for pause in pauses:
            client.now_s += pause
            unread = max(0.0, unread - 1_000 * pause)
            if client.nearness.may_leave(size):
                client.write(size)
                unread += size
            assert unread <= NEAR_BYTES + 1


def test_what_was_written_since_one_looked_may_have_been_written_just_now(unseen: Client) -> None:
    unseen.now_s += 10
    unseen.write(900)
    assert unseen.nearness.behind_bytes() == 900


def test_a_unix_socket_is_not_asked_as_its_unsent_bytes_tell_all_that_was_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(monkeypatch, lambda _: None)
    client._socket = socket.socket(socket.AF_UNIX)
    with client._socket:
        nearness = Nearness(cast("asyncio.WriteTransport", client), lambda: client.wrote, lambda: client.now_s)
        client.write(900)
        client.unsent = 1_280
        assert nearness.behind_bytes() == 1_280
        client.unsent = 0
        assert nearness.behind_bytes() == 0
    assert client.asked == 0
