"""A Sanic handler with `stream=True`, and nothing else."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from benchmarks.upload_peers import run


def serve(listener: socket.socket) -> None:
    app: Sanic[Any, Any] = Sanic("bare", configure_logging=False)
    app.config.REQUEST_MAX_SIZE = 1 << 40
    app.config.REQUEST_TIMEOUT = app.config.RESPONSE_TIMEOUT = 600

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> HTTPResponse:
        digest = hashlib.sha256()
        stream: Any = request.stream
        async for data in stream:
            digest.update(data)
        return json({"sha256": digest.hexdigest()})

    app.run(sock=listener, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    run(serve)
