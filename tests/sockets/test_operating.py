"""The proxies of docs/operating.md, as they stand there: run where they are installed, read everywhere."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sanic import Sanic

from campaigns.proxies import PAGE, Proxy, documented, running
from streamkit.app import create_app
from streamkit.lab.findings.holders import MENDS
from streamkit.relay.asks import ask_function
from streamkit.relay.route import Route
from streamkit.serving.server import Server, serve
from tests.rawsockets import exchange, request
from tests.servers import eventually

PIECES, GAP_S = 8, 0.04
HOST = "relay.example"
left = threading.Event()


async def whole() -> AsyncIterator[str]:
    for number in range(PIECES):
        yield f"piece {number} "
        await asyncio.sleep(GAP_S)


async def broken() -> AsyncIterator[str]:
    yield "half of "
    await asyncio.sleep(GAP_S)
    raise RuntimeError("the model is gone")


async def silent() -> AsyncIterator[str]:
    try:
        yield "more "
        await asyncio.sleep(60)  # a silence: whoever writes to the client would hear by that that it has left
    finally:
        left.set()


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    def make() -> Sanic[Any, Any]:
        told = {f"/{each.__name__}": Route(ask_function(each, "none")) for each in (whole, broken, silent)}
        return create_app(routes=told, allowed_hosts=HOST, metrics=True)

    with serve(make) as server:
        yield server


THERE = [proxy for proxy in documented() if proxy.installed]


def asked(path: str, **fields: str) -> bytes:
    return request(path, b"", host=HOST, connection="close", **fields)


def test_the_page_has_a_block_for_each_of_three_and_none_of_them_buffers_or_compresses() -> None:
    nginx, haproxy, caddy = documented()
    for line in ("proxy_http_version 1.1;", "proxy_buffering off;", "gzip off;", "proxy_read_timeout 75s;"):
        assert line in nginx.config
    assert "option http-no-delay" in haproxy.config
    assert "option abortonclose" in haproxy.config
    assert "flush_interval" not in caddy.config
    assert "encode" not in caddy.config


def test_what_mends_a_layer_that_holds_bytes_back_stands_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    for (layer, kind), advice in MENDS.items():
        first = re.findall(r"`([^`;]+)", advice)[0]
        assert first in page, (layer, kind)


@pytest.mark.parametrize("proxy", THERE, ids=lambda proxy: proxy.program)
def test_through_each_pieces_come_as_they_are_said_a_cut_is_seen_and_leaving_too(relay: Server, proxy: Proxy) -> None:
    with running(proxy, relay.port) as url:
        with socket.create_connection((relay.host, int(url.rpartition(":")[2])), 10) as connection:
            connection.sendall(asked("/whole", accept_encoding="gzip"))
            first = connection.recv(65536)
            assert b"piece 7" not in first
            reads = 1
            got = first
            while more := connection.recv(65536):
                got, reads = got + more, reads + 1
        assert reads > PIECES / 2
        assert b"content-encoding" not in got.lower()
        assert got.endswith(b"0\r\n\r\n")
        assert b"event: error" in exchange(url, asked("/broken", accept="text/event-stream"))
        looks_whole = exchange(url, asked("/broken")).endswith(b"0\r\n\r\n")
        assert looks_whole <= (proxy.program == "caddy")  # of which the page says so
        left.clear()
        with socket.create_connection((relay.host, int(url.rpartition(":")[2])), 10) as connection:
            connection.sendall(asked("/silent"))
            assert connection.recv(65536)
        assert eventually(left.is_set, 5)
        metrics = f"GET /metrics HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
        assert exchange(url, metrics)[9:12] == b"404"
        assert exchange(url, metrics.replace(b"metrics", b"readyz"))[9:12] == b"200"
