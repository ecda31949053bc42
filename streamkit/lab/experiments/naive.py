"""Servers as people write them, to compare ours with: short, plausible, and wrong where it matters.

    Lab(script, relay=article)                            # or: serve(partial(stock, upstream.url, 2.0))

A relay is a factory that gets the upstream's URL (TCP) and returns a Sanic app with `POST /ans`. These go wrong where
streams break. They read the `seed` wire format, like the article they come from. One thing they do for the lab: they
pass on the client's X-Stream-Id, by which the upstream's taps of a stream are found.

The article is "Sanic框架中实现POST请求的响应流式传输" (May 2025), and its handler is retold here in our own words:
https://blog.gitcode.com/b781b6c19534634ce625a1aec31ff221.html

    serve(echo)

It has no upstream, and `POST /upload`; it goes wrong if the client reads nothing before it has sent everything. Their
mistakes are left as they are; only what Sanic would print about them is kept quiet.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx2
from sanic import HTTPResponse, Request, Sanic, response

from streamkit.inside_sanic import keep_plain, transport_of
from streamkit.lab.net import Network
from streamkit.sockets import set_buffers
from streamkit.taps import STREAM_ID_HEADER

__all__ = ["article", "article_as_written", "echo", "pumped", "retold", "stock"]

TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
DEFAULT_TIMEOUT_S: Final = 60.0  # Sanic's own default
_serial = itertools.count(1)
Write: TypeAlias = Callable[[str], Awaitable[Any]]


def article(upstream: str, timeout_s: float | None = None) -> Sanic[Any, Any]:
    """The article's relay, changed only as far as today's Sanic requires: `respond()`, `send()`, `eof()`.

        recording = await sk.Lab.once(sk.Script(), relay=sk.experiments.naive.article)

    `timeout_s` is the `timeout` of requests, for the connection and for each read. None, as in the article, waits for
    ever: the event loop is then blocked, and cannot be stopped, until the upstream says something or closes. Raises
    ImportError if requests is missing (`pip install 'streamkit[notebooks]'`).
    """
    app = _app("article")
    relay = retold(upstream, timeout_s)

    @app.post("/ans")
    async def answer(request: Any) -> None:
        chat_history = request.form.get("chat_history")
        response = await request.respond(content_type=TEXT)
        await relay(chat_history, _stream_id(request), response.send)
        await response.eof()

    return app


def article_as_written(upstream: str, timeout_s: float | None = None) -> Sanic[Any, Any]:
    """The article's relay, unchanged. Every answer is a 500: Sanic 22.6 (June 2022) removed `response.stream`.

        recording = await sk.Lab.once(sk.Script(), relay=sk.experiments.naive.article_as_written)

    The text of the answer is the end of the traceback. `timeout_s` and the ImportError are as for `article`.
    """
    app = _app("article_as_written")
    relay = retold(upstream, timeout_s)

    @app.post("/ans")
    async def answer(request: Any) -> Any:
        chat_history = request.form.get("chat_history")

        async def streaming_response(response: Any) -> None:  # hides the module of this name, which is no harm yet
            await relay(chat_history, _stream_id(request), response.write)

        return response.stream(streaming_response, content_type=TEXT)  # type: ignore[attr-defined]  # the point of it

    @app.exception(AttributeError)
    async def traced(_: Request, error: AttributeError) -> HTTPResponse:
        where = "".join(traceback.format_exception(error, limit=-1))
        return response.text(where.replace(__file__, Path(__file__).name), 500)

    return app


def retold(upstream: str, timeout_s: float | None) -> Callable[[str | None, dict[str, str], Write], Awaitable[None]]:
    """What the article's handler does, in its order: ask, fail at a status of 400 or more, and write the text of each
    `data:` line. A line that is not as expected is skipped; whatever else fails is written into the text.

    Two things are the lab's: the client's stream id among the headers, and no proxy of this machine in between. Raises
    ImportError as `article` does.
    """
    import requests

    post = partial(requests.post, upstream, stream=True, timeout=timeout_s, proxies={"no_proxy": "*"})

    async def relay(chat_history: str | None, stream_id: dict[str, str], write: Write) -> None:
        try:
            with post(data=chat_history, headers={"Accept": "text/event-stream", **stream_id}) as resp:
                resp.raise_for_status()
                for line in resp.iter_lines():
                    if (text := line.decode("utf-8")).startswith("data:"):
                        try:
                            content = _text(text)
                        except (json.JSONDecodeError, KeyError):
                            continue
                        await write(content)
        except Exception as e:
            await write(f"error: {e}")

    return relay


def stock(upstream: str, timeout_s: float = DEFAULT_TIMEOUT_S, *, httpx_timeout: bool = True) -> Sanic[Any, Any]:
    """A relay of nothing but Sanic and httpx2, with all their timeouts at `timeout_s`: what the frameworks do.

        recording = await sk.Lab.once(sk.Script(), relay=partial(sk.experiments.naive.stock, timeout_s=2))

    `httpx_timeout=False` means `timeout=None` for httpx2, as in most examples, since an answer may take long. Then only
    Sanic's timeouts are left.
    """
    app = _app("stock")
    app.config.REQUEST_TIMEOUT = app.config.RESPONSE_TIMEOUT = timeout_s

    @app.before_server_start
    async def open_client(app: Sanic[Any, Any]) -> None:
        app.ctx.client = httpx2.AsyncClient(
            timeout=timeout_s if httpx_timeout else None,
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,  # a proxy of this machine is no part of the comparison
        )

    @app.after_server_stop
    async def close_client(app: Sanic[Any, Any]) -> None:
        await app.ctx.client.aclose()

    @app.post("/ans")
    async def ans(request: Request) -> None:
        response = await request.respond(content_type=TEXT)
        async with app.ctx.client.stream(
            "POST", upstream, data=_question(request), headers=_stream_id(request)
        ) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    await response.send(_text(line))
        await response.eof()

    return app


def pumped(upstream: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Sanic[Any, Any]:
    """A relay in which a task reads the upstream into a queue, and the handler writes what it finds there.

        recording = await sk.Lab.once(sk.Script(), relay=sk.experiments.naive.pumped, post={"max_events": 3})

    It is a common way to be free for other work in between. Nobody stops the task when the client leaves, and the queue
    has no bound.
    """
    app = _app("pumped")

    async def pump(request: Request, queue: asyncio.Queue[str | None]) -> None:
        async with (
            httpx2.AsyncClient(timeout=timeout_s, trust_env=False) as client,
            client.stream("POST", upstream, data=_question(request), headers=_stream_id(request)) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    await queue.put(_text(line))
        await queue.put(None)

    @app.post("/ans")
    async def ans(request: Request) -> None:
        response = await request.respond(content_type=TEXT)
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        request.app.add_task(pump(request, queue))
        while (text := await queue.get()) is not None:
            await response.send(text)
        await response.eof()

    return app


def echo(network: str | Network = "loopback-tcp") -> Sanic[Any, Any]:
    """An upload answered while it arrives, as most people would first write it: each part is sent back as it is read.

        with sk.serve(sk.experiments.naive.echo) as server:
            recording = await sk.record(f"{server.url}/upload", content=b"…")

    While its `send()` waits for a client that does not read, it does not read either. If the client reads nothing
    before it has sent everything, and the upload is larger than the buffers of both directions, the two wait for each
    other for ever. How far the last upload got is in `app.ctx`: `read_bytes`, and `answered_bytes`, for which `send()`
    returned.

    `network` says which buffers its connections have (`sk.net.absorbed_bytes` measures what they hold). Raises
    ValueError for an unknown network.
    """
    buffers = Network.of(network)
    app = _app("echo")

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> None:
        _quiet.set(True)  # in the task of this connection, which says that a body was not read to its end
        set_buffers(
            transport_of(request),
            send_buffer_bytes=buffers.send_buffer_bytes,
            write_buffer_bytes=buffers.write_buffer_bytes,
        )
        app.ctx.read_bytes = app.ctx.answered_bytes = 0
        response = await request.respond(content_type=BYTES)
        body: Any = request.stream
        async for part in body:
            app.ctx.read_bytes += len(part)
            await response.send(part)
            app.ctx.answered_bytes += len(part)
        await response.eof()

    return app


def _question(request: Request) -> dict[str, str]:
    form = request.form
    return {"chat_history": str(form.get("chat_history")) if form else ""}


def _stream_id(request: Request) -> dict[str, str]:
    given = request.headers.get(STREAM_ID_HEADER)
    return {STREAM_ID_HEADER: given} if given else {}


def _text(line: str) -> str:
    """The article's path through a line: JSON, and in it JSON as a string."""
    value = json.loads(line[5:])["data"][0]["value"]
    return str(json.loads(value)["MessageBody"]["DirectMessageBody"]["SentenceList"][0]["Content"])


# --- Quiet ----------------------------------------------------------------------------------------------------------


class _QuietApp(Sanic[Any, Any]):
    """Answers errors as Sanic does, and does not print them: a notebook is full of them, on purpose."""

    async def handle_exception(self, *args: Any, **kwargs: Any) -> None:
        token = _quiet.set(True)
        try:
            await super().handle_exception(*args, **kwargs)
        finally:
            _quiet.reset(token)


_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)


def _is_loud(_: logging.LogRecord) -> bool:
    return not _quiet.get()


def _app(name: str) -> Sanic[Any, Any]:
    for logger in ("sanic.error", "sanic.root"):
        logging.getLogger(logger).addFilter(_is_loud)  # once: the same filter is not added twice
    app = _QuietApp(f"streamkit_{name}_{next(_serial)}", configure_logging=False)
    keep_plain(app)
    return app
