"""Small scripts with faults, and what they write, for the tests of faults, of steps and of the upstream."""

from __future__ import annotations

import h11

from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.script import Script
from streamkit.presets import writer
from tests.rawsockets import chunk

MS = 1_000_000
PIECES = ("你", "好", "ab")
SEED, OPENAI = writer("seed"), writer("openai")


def script(*faults: Fault, preset: str = "seed", pieces: tuple[str, ...] = PIECES, gap_ms: float = 5) -> Script:
    return Script(pieces, first_piece_ms=10, gap_ms=gap_ms, preset=preset, faults=faults)


def wires(given: Script) -> list[bytes]:
    """What is written behind the head, step by step."""
    return [step.framed for step in given.steps() if step.kind != "head"]


def head_of(given: Script) -> bytes:
    return b"".join(step.framed for step in given.steps() if step.kind == "head")


def times_ms(given: Script) -> list[float]:
    return [step.due_ns / MS for step in given.steps() if step.kind not in ("head", "open")]


def parted(data: bytes, *, closed: bool) -> tuple[h11.Response | None, bytes, bool]:
    """The head of an answer, its body, and whether its framing was kept to the end, as h11 sees them."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 30)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    head, body = None, []
    try:
        for read in (data, b"") if closed else (data,):
            client.receive_data(read)
            while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return head, b"".join(body), True
                elif isinstance(event, h11.ConnectionClosed):
                    break
    except h11.RemoteProtocolError:
        pass
    return head, b"".join(body), False


A, B, C = (chunk(SEED.piece(text, index)) for index, text in enumerate(PIECES))
