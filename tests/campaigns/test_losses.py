"""The campaign of losses: which packets are lost. (Root makes it real: `python -m campaigns.losses`.)"""

from __future__ import annotations

import os
import struct
from collections import Counter

import pytest

from campaigns import losses
from campaigns.losses import KINDS, Dropper, segment_of

PORT_OF = {kind: port for port, kind in losses.PORTS.items()}
CLIENT = 50_000


def packet(source: int, target: int, sequence: int, size: int, *, protocol: int = 6, options: int = 0) -> bytes:
    """An IPv4 packet with a TCP segment, as far as it is looked at."""
    ip = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0]) + bytes(8)
    tcp = struct.pack("!HHII", source, target, sequence, 0) + bytes([(5 + options) << 4]) + bytes(7 + 4 * options)
    return ip + tcp + b"x" * size


class Line:
    """A dropper, by a clock that is set."""

    def __init__(self, kind: str) -> None:
        self.now_s = 100.0
        self.dropper = Dropper(lambda: self.now_s)
        self.port = PORT_OF[kind]

    def down(self, sequence: int, size: int = 30) -> bool:
        return self.dropper.drops(packet(self.port, CLIENT, sequence, size))

    def up(self) -> bool:
        return self.dropper.drops(packet(CLIENT, self.port, 1, 0))


def test_a_segment_is_read_off_its_packet_with_options_and_without() -> None:
    assert segment_of(packet(80, 90, 7, 5)) == (80, 90, 7, 5)
    assert segment_of(packet(80, 90, 7, 5, options=3)) == (80, 90, 7, 5)


@pytest.mark.parametrize("other", [b"", packet(80, 90, 7, 5, protocol=17), b"\x60" + bytes(60)])
def test_what_is_no_tcp_of_ipv4_is_passed_on(other: bytes) -> None:
    assert segment_of(other) is None
    assert not Dropper().drops(other)


def test_one_packet_is_lost_with_its_repetitions_and_none_behind_it() -> None:
    line = Line("one")
    assert not line.down(0)
    line.now_s += 1.1
    assert line.down(1000)
    assert not line.down(1030)
    assert not line.up()
    assert line.down(1000)
    assert line.down(990, size=50), "it may come again in a larger one"
    line.now_s += 2
    assert not line.down(1000)
    assert line.dropper.dropped == Counter(one=3)


def test_in_an_outage_nothing_passes_either_way_until_it_is_over() -> None:
    line = Line("outage")
    assert not line.down(0)
    line.now_s += 1.1
    assert line.down(1000)
    assert line.up()
    line.now_s += 2
    assert not line.down(1000)
    assert not line.up()


def test_few_are_lost_where_losses_are_sparse_and_never_what_the_client_says() -> None:
    line = Line("sparse")
    lost = sum(line.down(n * 30) for n in range(2000))
    assert 10 < lost < 120
    assert not any(line.up() for _ in range(200))


def test_connections_of_others_are_left_alone() -> None:
    assert not Dropper().drops(packet(443, CLIENT, 1, 10))


def test_the_table_says_what_was_named_and_a_wrong_name_fails(capsys: pytest.CaptureFixture[str]) -> None:
    right = [(kind, cause, "") for kind, causes in KINDS.items() for cause in causes]
    assert losses.show([*right, ("one", "unknown", ""), ("one", "", "this client was late")], Counter(one=3))
    assert "1 not judged" in capsys.readouterr().out
    assert not losses.show([("one", "held", "A stall")], Counter())
    assert "WRONG one: A stall" in capsys.readouterr().out


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert losses.main([]) == 2
    assert "expected Linux and root" in capsys.readouterr().err
