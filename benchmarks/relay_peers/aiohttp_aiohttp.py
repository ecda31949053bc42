"""aiohttp on both sides: the lines of `response.content`, one write per event."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.relay_peers import expected, question, run

CLIENT = web.AppKey("client", aiohttp.ClientSession)


def relay(upstream: str, listener: socket.socket) -> None:
    text_of = expected().text

    async def ans(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        response = web.StreamResponse(headers={"content-type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        async with request.app[CLIENT].post(upstream, json=question(str(form["chat_history"]))) as answer:
            async for line in answer.content:
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                if content := text_of(json.loads(line[6:]), json.loads):
                    await response.write(content.encode())
        await response.write_eof()
        return response

    async def client(app: web.Application) -> AsyncIterator[None]:
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            app[CLIENT] = session
            yield

    app = web.Application()
    app.router.add_post("/ans", ans)
    app.cleanup_ctx.append(client)
    web.run_app(app, sock=listener, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    run(relay)
