"""A gateway that is good, and can be made bad in one way: `python -m tests.bad_gateway PORT UPSTREAM [FAULT]`.

Without a fault it passes an OpenAI-shaped answer on: status, type and text, event by event; a cut as a cut; a client's
leaving within milliseconds; a slow client's pace. Each fault is what gateways that people run really do (`FAULTS`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import zlib
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

import httpx2

from streamkit.lab.audit.witness import FindingCode

FAULTS: Final[dict[str, FindingCode]] = {
    "swallows": "false_success",  # an upstream that breaks off ends its answer as if it were whole
    "explains": "error_in_text",  # … or is told of in the text
    "hangs": "never_told",  # … or is not told of at all
    "leaks": "tells_upstream",
    "breaks": "false_failure",  # an event of more than 32 KiB
    "replaces": "text_undecodable",  # decodes each chunk by itself, errors="replace"
    "drops": "text_dropped",  # every fifth event
    "doubles": "text_doubled",
    "holds": "held_back",  # until there are 4 KiB
    "compresses": "held_from_browsers",
    "keeps": "not_cancelled",  # reads on for a client that has left
    "dawdles": "cancelled_late",
    "times": "own_timer",  # of half a second
    "hoards": "no_back_pressure",  # reads as fast as it can, for whoever does not
    "queues": "one_at_a_time",
    "skips": "resumed_wrongly",  # resumes one event too far
    "misspells": "bad_head",
    "sulks": "did_not_recover",  # never answers again after a long answer
}
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SAYS: Final = b"data: %b\n\n"
LINE_LIMIT: Final = 1 << 20
LINE_BYTES: Final = 32_768
LONG_BYTES: Final = 1_000_000


class Gateway:
    def __init__(self, upstream: str, fault: str) -> None:
        self.upstream = upstream
        self.fault = fault
        self.sulking = False
        self.lock = asyncio.Lock()
        self.client = httpx2.AsyncClient(
            timeout=None,  # a model may take its time
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question of one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            found = LENGTH.search(head)
            body = await reader.readexactly(int(found[1]) if found else 0)
            answering = asyncio.create_task(self.answer(head.lower(), body, writer))
            leaving = asyncio.create_task(reader.read(1))
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and self.fault in ("keeps", "dawdles"):
                await asyncio.wait([answering], timeout=None if self.fault == "keeps" else 1.5)
            leaving.cancel()
            answering.cancel()
            await asyncio.wait([answering, leaving])
        writer.close()

    async def answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        async with self.lock if self.fault == "queues" else contextlib.nullcontext():
            try:
                await self.pass_on(head, body, writer)
            except httpx2.HTTPError:
                writer.transport.abort()

    async def pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        if self.fault == "refuses":
            told = b'{"error": {"message": "hunter2hunter2 is no key of ours"}}'
            writer.write(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told))
            return
        if self.sulking:
            writer.write(b"HTTP/1.1 503 Sulking\r\ncontent-length: 0\r\n\r\n")
            return
        url = f"{self.upstream}/v1/chat/completions"
        headers = {"content-type": "application/json"}
        try:
            request = self.client.build_request("POST", url, content=body, headers=headers)
            response = await self.client.send(request, stream=True)
        except httpx2.HTTPError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return
        async with contextlib.aclosing(response):
            squeeze = zlib.compressobj(wbits=31) if self.fault == "compresses" and b"gzip" in head else None
            writer.write(self.head_of(response, squeezed=squeeze is not None))
            events = (
                self.resumed(self.events(response), head)
                if self.fault in ("resumes", "skips")
                else self.events(response)
            )
            async for event in events:
                data = event if squeeze is None else squeeze.compress(event)
                await self.write(writer, data)
            if squeeze is not None:
                await self.write(writer, squeeze.flush())
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    def head_of(self, response: httpx2.Response, *, squeezed: bool) -> bytes:
        fields = {
            "content-type": response.headers.get("content-type", "text/event-stream"),
            "date": formatdate(usegmt=True),
            "cache-control": "no-store",
            "retry-after": response.headers.get("retry-after", ""),
            "content-encoding": "gzip" if squeezed else "",
            "x-served-by": urlsplit(self.upstream).netloc if self.fault == "leaks" else "",
            "expires": "soon" if self.fault == "misspells" else "",
            "transfer-encoding": "chunked",
        }
        lines = [f"{name}: {value}" for name, value in fields.items() if value]
        return "\r\n".join([f"HTTP/1.1 {response.status_code} As It Was", *lines, "", ""]).encode()

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not data:
            return
        if writer.transport.is_closing():
            if self.fault == "keeps":
                return
            raise ConnectionResetError
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self.fault not in ("hoards", "keeps"):
            await writer.drain()

    async def events(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """What is passed on; raises httpx2.HTTPError where the upstream breaks off."""
        number = read = 0
        held = b""
        try:
            whole = self.fault in ("drops", "doubles", "resumes", "skips")
            async for data in self.whole(response) if whole else self.chunks(response):
                number, read = number + 1, read + len(data)
                self.sulking = self.sulking or (self.fault == "sulks" and read > LONG_BYTES)
                if self.fault == "breaks" and len(data) > LINE_BYTES:
                    raise httpx2.ReadError("a line is too long")
                if self.fault == "replaces":
                    yield data.decode(errors="replace").encode()
                elif self.fault == "holds":
                    held += data
                    if len(held) >= 4096:
                        yield held
                        held = b""
                elif not (self.fault == "drops" and number % 5 == 0):
                    yield data
                    if self.fault == "doubles" and number % 5 == 0:
                        yield data
            yield held
        except httpx2.HTTPError:
            if self.fault == "swallows":
                yield SAYS % b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
                yield SAYS % b"[DONE]"
                return
            if self.fault == "explains":
                said = {"choices": [{"index": 0, "delta": {"content": "\nError: the connection was lost"}}]}
                yield SAYS % json.dumps(said).encode()
            if self.fault == "hangs":
                await asyncio.sleep(60)
            yield held
            raise

    async def chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        chunks = response.aiter_raw()
        while True:
            try:
                async with asyncio.timeout(0.5 if self.fault == "times" else None):
                    yield await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise httpx2.ReadTimeout("half a second of silence") from None

    async def whole(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Event by event."""
        rest = b""
        async for data in self.chunks(response):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                yield event + b"\n\n"
        yield rest

    async def resumed(self, events: AsyncIterator[bytes], head: bytes) -> AsyncIterator[bytes]:
        """With ids; from behind the last one that the client has. The model is asked again: it says the same."""
        found = re.search(rb"\r\nlast-event-id: *(\d+)", head)
        last = int(found[1]) if found else 0
        if found and self.fault == "skips":
            last += 1
        number = 0
        async for event in events:
            number += bool(event)
            if number > last:
                yield b"id: %d\n%b" % (number, event) if event else b""


async def main(port: int, upstream: str, fault: str) -> None:
    gateway = Gateway(upstream, fault)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", port, limit=LINE_LIMIT)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
