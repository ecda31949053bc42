"""An aiohttp handler on uvloop, where that is installed, as Sanic's is."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket

from aiohttp import web

from benchmarks.upload_peers import run


async def upload(request: web.Request) -> web.Response:
    digest = hashlib.sha256()
    async for data in request.content.iter_any():
        digest.update(data)
    return web.json_response({"sha256": digest.hexdigest()})


def serve(listener: socket.socket) -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop(uvloop.new_event_loop())
    app = web.Application()
    app.router.add_post("/upload", upload)
    web.run_app(app, sock=listener, access_log=None, print=None)


if __name__ == "__main__":
    run(serve)
