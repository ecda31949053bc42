"""Streams that are cut, wherever: `python -m campaigns.resume [--runs 100000] [--seed 1] [--only SEED] [--replay URL]`.

    two readers a stream  --POST, GET, Range-->  relay (a process)  --POST-->  an upstream that says `pieces_of(seed)`

A run is one place where a reader is cut (by RST: what lies in its sockets is lost), anywhere in an answer: in the head,
in a chunk's, in an event, inside a character, in the end. A reader is cut once to three times, each time comes back as
it can (by its Idempotency-Key before it knows the stream, by `Last-Event-ID`, by the path, by `?after=`, by `Range`),
and keeps only what a client has: complete events, or bytes of text. The upstream says it all at once, in bursts, or, in
every 12th stream, as fast as it can for so long that readers come back while it speaks. Every 8th stream is in a log
that holds next to nothing.

What has to hold, for each reader: its text is the upstream's, to the byte, each piece once and in order; its end is the
true one (complete, or `upstream_truncated`); or, from the small log alone, it is told `cursor_trimmed`. The readers and
the framing are those of `visitor`: nothing here knows the relay's code. Exit status 1 if a claim is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import secrets
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

from campaigns.visitor import NDJSON, SSE, TEXT, Answer, Unreadable, is_over, parse
from streamkit.app import create_app
from streamkit.presets import writer
from streamkit.serving.running import new_loop
from streamkit.serving.server import Server, serve

__all__ = ["Case", "Reader", "Tally", "Wrong", "case_of", "main", "pieces_of", "read_through", "run", "servers"]

QUESTION: Final = re.compile(rb"resume-(\d+)-")
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
WORDS: Final = ("a", " the", "é", "床前", "😀", " of\n", "明月光", "data: ", "}", "longer than the others")
SEED: Final = writer("seed")
AT_ONCE: Final = 48
LONG: Final = 1500
LONG_EVERY: Final = 12
ROUNDS: Final = 100
"""Of the loop, that such a stream takes at least: so it goes on while its readers are cut and come back."""
ATTEMPTS: Final = 30
LIMIT_S: Final = 30.0
SMALL_LOG: Final = 100
KEEP_S: Final = 10.0
PAUSE_S: Final = 0.002
"""Between those rounds: on a busy machine, too, some readers come back while it speaks."""
TOTAL_BYTES: Final = 1 << 30


# -- what happens ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """All that a seed stands for. `cuts` are, of each reader, shares of an answer as long as the whole text's."""

    seed: int
    broken: bool
    small: bool
    burst: int
    accepts: tuple[str, str]
    cuts: tuple[tuple[float, ...], tuple[float, ...]]


@lru_cache(maxsize=256)
def pieces_of(seed: int) -> tuple[str, ...]:
    """The upstream's text: of letters of one to four bytes, and of what means something to the formats."""
    chance = random.Random(f"text {seed}")
    many = LONG if seed % LONG_EVERY == 0 else chance.randint(0, 60)
    return tuple(chance.choice(WORDS) * chance.randint(1, 2) for _ in range(many))


@lru_cache(maxsize=256)
def case_of(seed: int) -> Case:
    """The same for the same seed."""
    chance = random.Random(f"case {seed}")

    def places() -> tuple[float, ...]:
        count = chance.choice((1, 1, 2, 3))
        furthest = (0.1, 0.3) if seed % LONG_EVERY == 0 else (1, 1, 0.1)  # while it speaks
        return tuple(chance.random() * chance.choice(furthest) for _ in range(count))

    accepts = (chance.choice((SSE, NDJSON, TEXT)), chance.choice((SSE, NDJSON, TEXT)))
    burst = chance.choice((1, 3, 10_000))
    return Case(
        seed, chance.random() < 0.15 and bool(pieces_of(seed)), seed % 8 == 7, burst, accepts, (places(), places())
    )


def places_in(seed: int) -> int:
    return sum(map(len, case_of(seed).cuts))


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream's side of one connection."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
        while True:
            found = LENGTH.search(await reader.readuntil(b"\r\n\r\n"))
            assert found is not None, "expected a question with a Content-Length"
            asked = QUESTION.search(await reader.readexactly(int(found[1])))
            assert asked is not None, "the question did not come through the relay"
            case = case_of(int(asked[1]))
            writer.write(HEAD)
            events = [SEED.piece(text, index) for index, text in enumerate(pieces_of(case.seed))]
            size = case.burst if len(events) < LONG else LONG // ROUNDS
            for start in range(0, len(events), size):
                burst = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events[start : start + size])
                writer.write(burst)
                await writer.drain()
                if case.burst < LONG or len(events) >= LONG:
                    await asyncio.sleep(PAUSE_S if len(events) >= LONG else 0)
            if case.broken:
                return
            writer.write(LAST_CHUNK)


# -- a client --------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    """A claim is broken."""


@dataclass
class Reader:
    """One client of a stream: what it has, and how it comes back."""

    case: Case
    which: int
    key: str
    stream_id: str = ""
    number: int = 0
    text: bytearray = field(default_factory=bytearray)
    end: str = ""
    """`complete`, or the code of an error."""
    came_back: int = 0
    while_it_spoke: int = 0
    """So many answers met a stream in the middle: part was replayed, part came live."""

    @property
    def accept(self) -> str:
        return self.case.accepts[self.which]

    def request(self, chance: random.Random) -> bytes:
        body = f"chat_history=resume-{self.case.seed}-".encode()
        posted = f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n"
        post = f"POST /ans HTTP/1.1\r\nhost: relay\r\naccept: {self.accept}\r\n{posted}"
        get = f"GET /streams/{self.stream_id}%s HTTP/1.1\r\nhost: relay\r\naccept: {self.accept}\r\n%s\r\n"
        if not self.stream_id:
            return f'{post}idempotency-key: "{self.key}"\r\n\r\n'.encode() + body
        if self.accept == TEXT:
            return (get % ("", f"range: bytes={len(self.text)}-\r\n")).encode()
        cursor = f"last-event-id: {self.stream_id}.{self.number}\r\n"
        ways = [
            f"{post}{cursor}\r\n".encode() + body,
            (get % ("", cursor)).encode(),
            (get % (f"?after={self.number}", "")).encode(),
        ]
        return chance.choice(ways)

    def take(self, data: bytes) -> None:
        """What came of one answer, until it ended or was cut. Raises Wrong, Unreadable."""
        answer = parse(data)
        if answer.status is None:
            return
        if answer.status not in (200, 206):
            self._refused(answer)
            return
        named = answer.fields["x-stream-id"]
        if self.stream_id and named != self.stream_id:
            raise Wrong("an answer of another stream")
        self.stream_id = named
        self.while_it_spoke += 0 < int(answer.fields.get("x-stream-live", 0)) < len(pieces_of(self.case.seed))
        if self.accept == TEXT:
            self._take_text(answer)
        elif self.accept == SSE:
            self._take_events(answer)
        else:
            for line in filter(None, answer.body.split(b"\n")[:-1]):
                value = json.loads(line)
                kind = next((kind for kind in ("done", "error") if kind in value), "")
                self._take(value.get("id"), value[kind] if kind else value, kind)
        if answer.whole and not self.end:
            raise Wrong("a whole answer without an end")

    def _refused(self, answer: Answer) -> None:
        told = json.loads(answer.body) if answer.whole else {"code": ""}
        if told["code"] == "range_not_satisfiable":
            if answer.fields["content-range"] != f"bytes */{len(self.text)}":
                raise Wrong("416 before the end of the text")
            self.end = "complete"
        elif told["code"] in ("cursor_trimmed", "upstream_truncated", "upstream_empty"):
            self.end = told["code"]
        elif told["code"]:
            raise Wrong(f"refused: {answer.status} {told['code']}")

    def _take_text(self, answer: Answer) -> None:
        if answer.status == 206 and not answer.fields["content-range"].startswith(f"bytes {len(self.text)}-"):
            raise Wrong(f"asked for byte {len(self.text)}, got {answer.fields['content-range']}")
        if answer.status == 200 and self.text:
            raise Wrong("the text begins anew")
        self.text += answer.body
        if answer.whole:
            self.end = "complete"

    def _take_events(self, answer: Answer) -> None:
        for index, block in enumerate(answer.body.split(b"\n\n")[:-1]):
            lines = block.decode().split("\n")
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if not fields:
                continue
            if ("retry" in fields) != (index == 0):
                raise Wrong("retry stands in the first event, and in no other")
            kind = fields.get("event", "")
            self._take(fields.get("id"), json.loads(fields["data"]), kind)

    def _take(self, cursor: str | None, value: dict[str, Any], kind: str) -> None:
        if self.end:
            raise Wrong("an event behind the end")
        if kind:
            if cursor is not None:
                raise Wrong("an end with an id")
            if kind == "done" and value["pieces"] != self.number:
                raise Wrong(f"{value['pieces']} pieces were said, {self.number} came")
            self.end = "complete" if kind == "done" else value["code"]
            return
        if cursor != f"{self.stream_id}.{self.number + 1}":
            raise Wrong(f"piece {cursor} behind piece {self.number}")
        self.number += 1
        self.text += value["text"].encode()

    def judge(self) -> str:
        """How it went. Raises Wrong."""
        case = self.case
        whole = "".join(pieces_of(case.seed)).encode()
        if self.end == "cursor_trimmed":
            if not case.small or not whole.startswith(self.text):
                raise Wrong("trimmed, though the log holds all of it; or wrong before that")
            return "trimmed"
        if self.end == ("complete" if pieces_of(case.seed) else "upstream_empty") and not case.broken:
            if bytes(self.text) != whole:
                raise Wrong(f"complete, with {len(self.text)} of {len(whole)} bytes, or other ones")
            return "complete"
        # what the relay had not read when the upstream reset its connection nobody has; what was said is a beginning
        if case.broken and whole.startswith(self.text) and self.end in ("upstream_truncated", "cut"):
            return "broken"
        raise Wrong(f"ended as {self.end!r}, with {len(self.text)} of {len(whole)} bytes; broken: {case.broken}")


async def read_through(reader: Reader, address: tuple[str, int], cuts: Sequence[int] = ()) -> str:
    """Ask, be cut behind so many bytes, or where the case says, come back, to the end. Raises Wrong, Unreadable."""
    chance = random.Random(f"{reader.case.seed} {reader.which}")
    if not cuts:
        sizes = {SSE: 70, NDJSON: 70, TEXT: 12}
        length = 500 + sizes[reader.accept] * len(pieces_of(reader.case.seed))
        cuts = [1 + int(share * length) for share in reader.case.cuts[reader.which]]
    for attempt in range(ATTEMPTS):
        cut = cuts[attempt] if attempt < len(cuts) else None
        data, over = await _ask(address, reader.request(chance), cut)
        reader.take(data)
        if reader.end:
            return reader.judge()
        if cut is None and over and reader.accept == TEXT and reader.case.broken and parse(data).status == 206:
            reader.end = "cut"  # again and again: text has no other way to say that it is broken
            return reader.judge()
        reader.came_back += 1
    raise Wrong(f"no end after {ATTEMPTS} attempts")


async def _ask(address: tuple[str, int], request: bytes, cut: int | None) -> tuple[bytes, bool]:
    """The bytes of an answer up to `cut`, then a reset; and whether the answer ended by itself."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, request)
        while cut is None or len(data) < cut:
            try:
                more = await loop.sock_recv(sock, 1 << 16)
            except ConnectionError:
                more = b""
            data += more
            if not more or is_over(data):
                return bytes(data[:cut]), cut is None or len(data) <= cut
    return bytes(data[:cut]), False


# -- many of them ----------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of all."""

    places: int = 0
    readers: Counter[str] = field(default_factory=Counter)
    came_back: int = 0
    while_it_spoke: int = 0
    wrong: list[str] = field(default_factory=list)


@asynccontextmanager
async def servers(*, process: bool, replay: str | None = None) -> AsyncIterator[tuple[Server, Server]]:
    """A relay, and one with small logs."""
    upstream = await asyncio.start_server(_speak, "127.0.0.1", 0, backlog=1024)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    made = partial(
        create_app,
        upstream=url,
        preset="seed",
        resume=replay or True,
        resume_keep_s=KEEP_S,
        resume_max_total_bytes=TOTAL_BYTES,
    )
    loop = asyncio.get_running_loop()
    relay = await loop.run_in_executor(None, partial(serve, made, process=process))
    small = await loop.run_in_executor(None, partial(serve, partial(made, resume_max_bytes=SMALL_LOG), process=process))
    try:
        yield relay, small
    finally:
        for server in (relay, small):
            await loop.run_in_executor(None, server.stop, 0)
        upstream.close()


async def run(
    runs: int,
    seed: int,
    *,
    only: int | None = None,
    process: bool = True,
    replay: str | None = None,
    progress: bool = False,
) -> Tally:
    """So many places, from that seed on; or one case. `replay` is the Redis that keeps the logs; None: memory."""
    tally = Tally()
    name = secrets.token_hex(8)  # what an earlier run has asked under its keys is another stream
    seeds = iter([only] if only is not None else range(seed * 1_000_000, (seed + 1) * 1_000_000))
    started_s = time.monotonic()

    async def work(relay: Server, small: Server) -> None:
        while tally.places < runs and (each := next(seeds, None)) is not None:
            tally.places += places_in(each)
            server = small if case_of(each).small else relay
            readers = [Reader(case_of(each), which, f"{name}-{each}") for which in (0, 1)]
            both = asyncio.gather(
                *(read_through(one, (server.host, server.port)) for one in readers), return_exceptions=True
            )
            try:
                found = await asyncio.wait_for(both, LIMIT_S)
            except TimeoutError:
                found = [Wrong("it hangs")]
            for one in found:
                if isinstance(one, Wrong | Unreadable | ValueError | KeyError):
                    tally.wrong.append(f"--only {each}: {type(one).__name__}: {one}")
                elif isinstance(one, BaseException):
                    raise one
                else:
                    tally.readers[one] += 1
            tally.came_back += sum(one.came_back for one in readers)
            tally.while_it_spoke += sum(one.while_it_spoke for one in readers)

    async def tell() -> None:
        while progress:
            await asyncio.sleep(5)
            rate = tally.places / (time.monotonic() - started_s)
            print(f"\r{tally.places:,} places, {rate:,.0f} a second, {len(tally.wrong)} wrong", end="", flush=True)

    async with servers(process=process, replay=replay) as (relay, small):
        teller = asyncio.create_task(tell())
        try:
            await asyncio.gather(*(work(relay, small) for _ in range(AT_ONCE)))
        finally:
            teller.cancel()
    return tally


def show(tally: Tally) -> bool:
    """Print it; whether all claims held."""
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.readers.items()))
    print(
        f"\n{tally.places:,} places; readers: {told}; came back {tally.came_back:,} times; "
        f"{tally.while_it_spoke:,} answers met a stream that spoke"
    )
    for line in tally.wrong[:20]:
        print(f"WRONG {line}")
    print(f"{len(tally.wrong)} lost, doubled, or ended untruly")
    return not tally.wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut, print; 1 if a claim is broken."""
    options = argparse.ArgumentParser(prog="python -m campaigns.resume", description="Streams, cut at seeded places")
    options.add_argument("--runs", type=int, default=100_000, help="places (default: 100,000)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int, help="one case again")
    options.add_argument("--replay", metavar="URL", help="keep the logs in that Redis, redis://host:port/0")
    given = options.parse_args(arguments)
    print(f"CPython {sys.version.split()[0]}, seed {given.seed}, {AT_ONCE} streams at once")
    try:
        with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner:
            tally = runner.run(
                run(given.runs, given.seed, only=given.only, replay=given.replay, progress=given.only is None)
            )
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0 if show(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
