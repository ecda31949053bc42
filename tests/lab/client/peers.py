"""Servers that write exact bytes and look at what they got, and what record() makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording

HEAD = (  # of a relay of ours: by its stream's id, such an `event` is known
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Stream-Id: s1\r\nTransfer-Encoding: chunked\r\n\r\n"
)
TEXT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
END = b"0\r\n\r\n"
DONE = b"event: done\ndata: {}\n\n"

Script = Callable[["Peer"], Awaitable[None]]


def event(text: str) -> bytes:
    return b'data: {"text":"%s"}\n\n' % text.encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Peer:
    """The server's end of one connection, behind a request that has been read whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = b""

    async def read_request(self) -> None:
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.request = head
        if b"transfer-encoding: chunked" in head.lower():
            self.request += await self.reader.readuntil(b"0\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self.request += await self.reader.readexactly(int(line.partition(b":")[2]))

    async def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def left(self) -> None:
        """Returns when the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(script: Script, *, unix: Path | None = None) -> AsyncIterator[tuple[str, list[Peer]]]:
    """A server whose every connection runs `script` and is then closed; gives its URL and the connections."""
    peers: list[Peer] = []
    done: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.append(asyncio.current_task())  # type: ignore[arg-type]  # a task is running
        peer = Peer(reader, writer)
        peers.append(peer)
        try:
            await peer.read_request()
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    if unix is not None:
        server = await asyncio.start_unix_server(handle, unix)
        url = f"http+unix://{str(unix).replace('/', '%2F')}/ans"
    else:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ans"
    try:
        yield url, peers
        await asyncio.wait_for(asyncio.gather(*done), 5)
    finally:
        server.close()
        await server.wait_closed()


def sending(*data: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(*data)

    return script


def recorded(script: Script, **options: Any) -> Recording:
    """What record() gives for a server that does `script`."""

    async def main() -> Recording:
        async with serving(script) as (url, _):
            return await record(url, **options)

    return asyncio.run(main())


def requested(**options: Any) -> bytes:
    """What record() sends."""

    async def main() -> bytes:
        async with serving(sending(HEAD, END)) as (url, peers):
            await record(url, **options)
            return peers[0].request

    return asyncio.run(main())


async def silent(peer: Peer) -> None:
    await peer.left()


async def silent_in_the_body(peer: Peer) -> None:
    await peer.send(HEAD, chunk(event("a")))
    await peer.left()


async def open_after_its_end(peer: Peer) -> None:
    await peer.send(HEAD, chunk(event("a") + DONE))
    await peer.left()
