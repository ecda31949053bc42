"""FastAPI, uvicorn and httpx-sse: a StreamingResponse over `aiter_sse`."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from httpx_sse import aconnect_sse

from benchmarks.relay_peers import expected, question, run


def relay(upstream: str, listener: socket.socket) -> None:
    text_of = expected().text
    clients: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=None, limits=limits) as client:  # noqa: S113  # an answer may take long
            clients.append(client)
            yield

    app = FastAPI(lifespan=lifespan)

    async def pieces(chat_history: str) -> AsyncIterator[str]:
        async with aconnect_sse(clients[0], "POST", upstream, json=question(chat_history)) as source:
            async for event in source.aiter_sse():
                if event.data == "[DONE]":
                    break
                if content := text_of(event.json(), json.loads):
                    yield content

    async def ans(request: Request) -> StreamingResponse:
        form = parse_qs((await request.body()).decode())  # FastAPI's Form() needs one more package
        return StreamingResponse(pieces(form["chat_history"][0]), media_type="text/plain")

    app.add_api_route("/ans", ans, methods=["POST"], response_model=None)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    run(relay)
