"""Sanic and httpx, as anybody writes it first: `client.stream`, `aiter_lines`, `json.loads`, one send per event."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
from sanic import Request, Sanic

from benchmarks.relay_peers import expected, question, run


def relay(upstream: str, listener: socket.socket) -> None:
    text_of = expected().text
    app: Sanic[Any, Any] = Sanic("naive", configure_logging=False)

    @app.before_server_start
    async def open_client(app: Sanic[Any, Any]) -> None:
        app.ctx.client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))  # noqa: S113  # an answer may take long

    @app.post("/ans")
    async def ans(request: Request) -> None:
        response = await request.respond(content_type="text/plain; charset=utf-8")
        form = request.form
        body = question(str(form.get("chat_history") if form else None))
        async with app.ctx.client.stream("POST", upstream, json=body) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                if content := text_of(json.loads(line[6:]), json.loads):
                    await response.send(content)
        await response.eof()

    app.run(sock=listener, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    run(relay)
