"""Packets that are really lost, and what is said: `python -m campaigns.losses [--streams 12]`. Linux, as root.

    record()  ── tun ──  a forwarder that drops packets  ── tun ──  a server       (a network namespace each)

What `campaigns.diagnosis` writes into the columns that TCP tells is here done to the packets. Three kinds of streams,
many at a time, each with places and lengths of its own:

    one      one packet of the answer is lost, and so is each repetition of it for 400 to 900 ms, while those behind it
             come through: they are out of order, and wait in the kernel. The cause is `network`
    outage   nothing passes for 400 to 900 ms, either way. What is sent in such a time is repaired in order, so mostly a
             client cannot see that it was the network: `held`. Where what is new overtakes what is repaired, `network`
    sparse   one packet in fifty is lost, as on a bad radio; mostly each is there again in no time, and nobody waits:
             `none`. Where two in a row are lost, somebody may: `network`

A stream is not judged if its client was late itself by more than 100 ms; how many were is told. Both namespaces are
made for this and removed behind it. Exit status 1 if a stream is named otherwise, but `unknown`; 2 where this is not
Linux, or not root.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, NamedTuple

import streamkit as sk
from benchmarks.harness import started, table

__all__ = ["KINDS", "Dropper", "Segment", "main", "segment_of"]

KINDS: Final = {"one": ("network",), "outage": ("held", "network"), "sparse": ("none", "network")}
"""And what is right."""
PORTS: Final = dict(zip((8071, 8072, 8073), KINDS, strict=True))
HERE, THERE = "10.77.0.1", "10.77.0.2"
PIECES: Final = 110
GAP_S: Final = 0.025
SPARSE: Final = 0.02
DISTURBED_NS: Final = 100_000_000
TCP: Final = 6
TUNSETIFF: Final = 0x400454CA  # linux/if_tun.h
IFF_TUN_NO_PI: Final = 0x1001
IP: Final = "/usr/sbin/ip" if os.path.exists("/usr/sbin/ip") else "ip"  # noqa: PTH110  # a constant of the module


class Segment(NamedTuple):
    """What of a TCP segment counts here: its ports, its sequence number, how many bytes of data it has."""

    source: int
    target: int
    sequence: int
    size: int


def segment_of(packet: bytes) -> Segment | None:
    """The TCP segment in an IPv4 packet (RFC 791, RFC 9293); None in any other."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    begin = (packet[0] & 15) * 4
    source, target, sequence = struct.unpack_from("!HHI", packet, begin)
    return Segment(source, target, sequence, len(packet) - begin - (packet[begin + 12] >> 4) * 4)


class _Plan:
    """What is lost of one connection, by the seconds since its first byte of data."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.chance = chance = random.Random(f"{kind} {number}")
        self.since_s = chance.uniform(0.6, 1.0)
        self.until_s = self.since_s + chance.uniform(0.4, 0.9)
        self.began_s: float | None = None
        self.victim: int | None = None

    def drops(self, segment: Segment, down: bool, now_s: float) -> bool:
        if down and segment.size and self.began_s is None:
            self.began_s = now_s
        if self.began_s is None:
            return False
        if self.kind == "sparse":
            return down and segment.size > 0 and self.chance.random() < SPARSE
        if not self.since_s <= now_s - self.began_s < self.until_s:
            return False
        if self.kind == "outage":
            return True
        if not down or not segment.size:
            return False
        self.victim = segment.sequence if self.victim is None else self.victim
        return segment.sequence <= self.victim < segment.sequence + segment.size


class Dropper:
    """Which packets are lost, by the port of the server and the number of the connection; `dropped` counts by kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._plans: dict[tuple[int, int], _Plan] = {}
        self._numbers: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def drops(self, packet: bytes) -> bool:
        """Whether this one is lost."""
        segment = segment_of(packet)
        if segment is None:
            return False
        down = segment.source in PORTS
        server, client = (segment.source, segment.target) if down else (segment.target, segment.source)
        kind = PORTS.get(server)
        if kind is None:
            return False
        if (server, client) not in self._plans:
            self._plans[server, client] = _Plan(kind, self._numbers[kind])
            self._numbers[kind] += 1
        lost = self._plans[server, client].drops(segment, down, self._clock())
        self.dropped[kind] += lost
        return lost


# -- two namespaces, and what lies between them ----------------------------------------------------------------------


def _ip(*arguments: str, inside: str = "") -> None:
    within = [IP, "netns", "exec", inside] if inside else []
    subprocess.run([*within, IP, *arguments], check=True, capture_output=True)  # noqa: S603  # our own words


@contextmanager
def _namespace(name: str, device: str, address: str, peer: str) -> Iterator[int]:
    """A network namespace with one device, the other end of which is the descriptor."""
    _ip("netns", "add", name)
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        try:
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN_NO_PI))
            _ip("link", "set", device, "netns", name)
            _ip("addr", "add", address, "peer", peer, "dev", device, inside=name)
            _ip("link", "set", device, "up", inside=name)
            _ip("link", "set", "lo", "up", inside=name)
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        _ip("netns", "del", name)


@contextmanager
def _forwarding(here: int, there: int, dropper: Dropper) -> Iterator[None]:
    """Packets go from one descriptor to the other, but for those that are lost."""
    over = threading.Event()

    def forward() -> None:
        while not over.is_set():
            ready, _, _ = select.select([here, there], [], [], 0.1)
            for descriptor in ready:
                packet = os.read(descriptor, 65_536)
                if not dropper.drops(packet):
                    with suppress(OSError):  # not up yet
                        os.write(there if descriptor == here else here, packet)

    thread = threading.Thread(target=forward)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# -- the two ends ----------------------------------------------------------------------------------------------------


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number in range(PIECES):
        data = b'data: {"text": "word %d "}\n\n' % number
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await asyncio.sleep(GAP_S)
    writer.write(b"0\r\n\r\n")
    with suppress(ConnectionError):
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _serve() -> None:
    servers = [await asyncio.start_server(_speak, THERE, port) for port in PORTS]
    print(f"ready http://{THERE}:{min(PORTS)}", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _ask(streams: int) -> list[tuple[str, str, str]]:
    """Of each stream its kind, the cause that is named, and why; no cause where this client was late."""

    async def one(port: int, number: int) -> sk.Recording:
        await asyncio.sleep(number * 0.05)
        return await sk.record(f"http://{THERE}:{port}/", total_s=30)

    asked = [(port, number) for number in range(streams) for port in PORTS]
    recordings = await asyncio.gather(*(one(*each) for each in asked))
    found: list[tuple[str, str, str]] = []
    for (port, _), each in zip(asked, recordings, strict=True):
        diagnosis, disturbed = each.diagnose(), each.meta["loop_lag_ns"] > DISTURBED_NS
        found.append((PORTS[port], "" if disturbed else diagnosis.cause, str(diagnosis)))
    return found


# -- the command line ------------------------------------------------------------------------------------------------


def run(streams: int) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """So many streams of each kind: what was said of each, and how many packets were lost."""
    dropper, command = Dropper(), [sys.executable, "-m", "campaigns.losses"]
    with ExitStack() as stack:
        here = stack.enter_context(_namespace("streamkit_here", "sk_here", HERE, THERE))
        there = stack.enter_context(_namespace("streamkit_there", "sk_there", THERE, HERE))
        stack.enter_context(_forwarding(here, there, dropper))
        stack.enter_context(started([IP, "netns", "exec", "streamkit_there", *command, "--inside", "server"]))
        asking = [IP, "netns", "exec", "streamkit_here", *command, "--inside", "client", "--streams", str(streams)]
        told = subprocess.run(asking, check=True, capture_output=True, text=True)  # noqa: S603  # our own words
    return [tuple(each) for each in json.loads(told.stdout)], dropper.dropped


def show(found: Sequence[tuple[str, str, str]], dropped: Counter[str]) -> bool:
    """Print what was named; whether all of it is right, or `unknown`."""
    disturbed = sum(not cause for _, cause, _ in found)
    found = [each for each in found if each[1]]
    causes = sorted({cause for _, cause, _ in found})
    named = Counter((kind, cause) for kind, cause, _ in found)
    rows = [["packets lost", "how many", *causes, "right"]]
    for kind, right in KINDS.items():
        cells = [str(named[kind, cause] or "·") for cause in causes]
        rows.append([kind, str(dropped[kind]), *cells, " or ".join(right)])
    print(f"{table(rows)}\n{disturbed} not judged: this client was late itself")
    wrong = [(kind, why) for kind, cause, why in found if cause not in (*KINDS[kind], "unknown")]
    for kind, why in wrong[:10]:
        print(f"\nWRONG {kind}: {why}")
    return not wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if a cause is wrong, 2 where packets cannot be lost."""
    options = argparse.ArgumentParser(prog="python -m campaigns.losses", description="Packets that are really lost")
    options.add_argument("--streams", type=int, default=12, help="of each kind (default: 12)")
    options.add_argument("--inside", choices=("server", "client"), help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.inside == "server":
        asyncio.run(_serve())
    elif given.inside == "client":
        print(json.dumps(asyncio.run(_ask(given.streams))))
    elif sys.platform != "linux" or os.geteuid() != 0:
        print("expected Linux and root: packets are lost between two network namespaces of our own", file=sys.stderr)
        return 2
    else:
        return 0 if show(*run(given.streams)) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
