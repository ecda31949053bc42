"""Networks: how many bytes a connection takes before its writer is held, and where they lie."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import asdict

import pytest

from streamkit.lab.net.buffers import NETWORKS, Absorbed, Network, absorbed_bytes
from streamkit.relay.settings import Buffers

LINUX = sys.platform == "linux"
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
HELD_UNTIL = 2 * 4096  # of memory, for SO_SNDBUF 4096


# --- Networks by name -----------------------------------------------------------------------------------------------


def test_a_network_is_found_by_its_name_or_given_as_it_is() -> None:
    assert Network.of("small-buffers").unix
    own = Network("mine", send_buffer_bytes=8192)
    assert Network.of(own) is own


def test_loopback_is_the_machine_as_it_is() -> None:
    assert NETWORKS["loopback-tcp"].settings() == asdict(Buffers())


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="out of loopback-tcp, small-buffers, got 'wifi'"):
        Network.of("wifi")
    with pytest.raises(ValueError, match="got 'wifi'"):
        absorbed_bytes("wifi")


def test_a_size_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected send_buffer_bytes as an integer >= 0"):
        Network("mine", send_buffer_bytes=-1)


# --- What a connection absorbs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("write_bytes", [1, 100, 1024, 10_000])
def test_small_buffers_absorb_the_same_in_ten_runs_on_either_loop(write_bytes: int) -> None:
    runs = {
        absorbed_bytes("small-buffers", write_bytes=write_bytes, loop=loop)
        for loop in ("asyncio", "uvloop")
        for _ in range(10)
    }
    assert len(runs) == 1


@LOOPS
def test_small_buffers_hold_no_more_than_their_memory_and_the_write_that_did_not_fit(loop: str) -> None:
    absorbed = absorbed_bytes("small-buffers", write_bytes=1024, loop=loop)
    assert 1024 < absorbed.total <= HELD_UNTIL + 1024
    assert absorbed.total % 1024 == 0
    assert 0 < absorbed.buffer <= 1024


@LOOPS
def test_what_lies_in_a_unix_socket_is_unread_and_nothing_is_unsent(loop: str) -> None:
    total, buffer, unsent, unread = absorbed_bytes("small-buffers", loop=loop)
    assert unsent is None
    assert unread == (total - buffer if LINUX else None)


def test_on_a_unix_socket_small_writes_fill_the_buffers_with_fewer_bytes() -> None:
    totals = [absorbed_bytes("small-buffers", write_bytes=size).total for size in (1, 16, 100, 1024)]
    assert totals == sorted(totals)
    assert totals[0] < 100


@LOOPS
def test_loopback_absorbs_megabytes_and_its_parts_add_up(loop: str) -> None:
    absorbed = absorbed_bytes("loopback-tcp", loop=loop)
    assert absorbed.total > 1_000_000
    assert absorbed.buffer > NETWORKS["loopback-tcp"].write_buffer_bytes
    if LINUX:
        assert absorbed.unsent is not None
        assert absorbed.unread is not None
        assert absorbed.buffer + absorbed.unsent + absorbed.unread == absorbed.total
        assert absorbed.unsent > absorbed.unread > 0


def test_tcp_can_be_made_small_too() -> None:
    small = Network("small-tcp", send_buffer_bytes=4096, receive_buffer_bytes=4096, write_buffer_bytes=0)
    assert absorbed_bytes(small).total < 100_000 < absorbed_bytes().total


def test_it_works_inside_a_running_loop_and_leaves_nothing() -> None:
    before = threading.active_count()

    async def cell() -> Absorbed:
        return absorbed_bytes("small-buffers")

    assert asyncio.run(cell()) == absorbed_bytes("small-buffers")
    assert threading.active_count() == before


def test_it_says_where_the_bytes_lie() -> None:
    assert repr(Absorbed(5120, 1024, None, 4096)) == (
        "<Absorbed: 5,120 bytes: 1,024 in the writer's buffer, 4,096 unread>"
    )
    assert repr(Absorbed(4_000_000, 65_536, None, None)) == "<Absorbed: 4,000,000 bytes: 65,536 in the writer's buffer>"
    assert "10 in its kernel" in repr(Absorbed(20, 5, 10, 5))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected write_bytes >= 1, got 0"):
        absorbed_bytes(write_bytes=0)
    with pytest.raises(ValueError, match="expected loop="):
        absorbed_bytes(loop="libev")
