"""The proxies of docs/operating.md, as they stand there: run where they are installed, read everywhere."""

from __future__ import annotations

import asyncio
import queue
import re
import shlex
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from campaigns.proxies import PAGE, Proxy, documented, running
from streamkit.app import create_app
from streamkit.cli import main
from streamkit.lab.buffering.holders import MENDS
from streamkit.relay.asks import ask_function
from streamkit.relay.route import Route
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S, exchange, request
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


# --- See what passes ------------------------------------------------------------------------------------------------


def tap_commands() -> list[list[str]]:
    """The commands that the page shows below that heading, as words."""
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")
    block = page.split("## See what passes\n", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    lines = block.replace("\\\n", " ").splitlines()  # a line may go on in the next
    return [shlex.split(line)[1:] for line in lines if line.startswith("streamkit ")]


def test_a_tap_before_the_relay_shows_what_its_clients_see_and_the_plot_draws_it(
    relay: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's first command, with the port of this relay, a count, and the second one's folder."""
    first, second, _, plot = tap_commands()
    monkeypatch.chdir(tmp_path)
    words = [relay.url if word.startswith("http") else "0" if word == "9000" else word for word in first]
    folder = second[second.index("--out") : second.index("--out") + 2]
    urls: queue.Queue[str] = queue.Queue()

    def ready(text: str) -> None:
        if text.startswith("streamkit tap ready"):
            urls.put(re.findall(r"http://\S+", text)[0])

    monkeypatch.setattr("streamkit.cli.tap.note", ready)
    status: list[int] = []
    running = threading.Thread(target=lambda: status.append(main([*words, *folder, "--count", "2"])))
    running.start()
    url = urls.get(timeout=WAIT_S)
    for path in ("/whole", "/broken"):
        exchange(url, asked(path, accept="text/event-stream"))
    running.join(WAIT_S)
    assert status == [1]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in shown[1:]] == ["complete", "error_event(internal_error)"]
    files = sorted(map(str, (tmp_path / "streams").iterdir()))
    assert main([each for word in plot for each in (files if "*" in word else [word])]) == 0
    assert (tmp_path / "gaps.png").exists()
