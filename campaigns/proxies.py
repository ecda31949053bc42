"""What a proxy makes of a stream: `python -m campaigns.proxies [--only WORDS] [--quick]`.

    record()  ──▶  nginx, HAProxy, Caddy (those that are installed; a process each)  ──▶  the relay, or a bare endpoint

Two questions to each, with the settings that people use:

- a piece every 100 ms: when does the first byte come, and what is the longest gap between two reads? Beside it the same
  without a proxy. Asked as a browser would, with gzip accepted, and without;
- the upstream breaks off in mid-stream: what does the client see in each media type? A broken answer that looks whole
  is the proxy's doing: behind the relay the cut is visible (`the relay`, the first row).

A proxy that is not installed is named, and left out. Exit status 1 if the relay without a proxy fails either question,
or if none was there to be asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

import streamkit as sk
from benchmarks.harness import ROOT, table
from streamkit.serving.listener import free_port

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording
    from streamkit.serving.server import Server

__all__ = ["GZIP", "PROXIES", "Proxy", "Seen", "ask", "documented", "main", "nginx", "port_of", "running"]

ACCEPTS: Final = ("text", "sse", "ndjson")
RELAY_PATH: Final = "/ans"
START_S: Final = 10.0
STOP_S: Final = 5.0

NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{backend}; {options} }}
    }}
}}
"""
HAPROXY: Final = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    {options}
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{backend}
"""
CADDY: Final = """
{{
    admin off
    auto_https off
    http_port {port}
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{backend}
    {options}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy with one setting: which program, its configuration with `options` in it, and how it is started."""

    name: str
    program: str
    config: str
    arguments: tuple[str, ...]
    options: str = ""
    of_relay: bool = False
    """It stands before a relay, which it asks whether it is ready."""

    @property
    def installed(self) -> bool:
        """It is on the PATH, or where Debian has programs of the system's."""
        return self.found is not None

    @property
    def found(self) -> str | None:
        """Where it is."""
        return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


GZIP: Final = "gzip on; gzip_types text/event-stream text/plain application/x-ndjson; gzip_min_length 0;"

DEAF: Final = "proxy_ignore_headers X-Accel-Buffering;"


def nginx(name: str, options: str) -> Proxy:
    """nginx with these lines for its one location."""
    return Proxy(name, "nginx", NGINX, ("-p", "{folder}", "-c", "{config}", "-e", "stderr"), options)


def _haproxy(name: str, options: str = "") -> Proxy:
    return Proxy(name, "haproxy", HAPROXY, ("-db", "-q", "-f", "{config}"), options)


def _caddy(name: str, options: str = "") -> Proxy:
    return Proxy(name, "caddy", CADDY, ("run", "--config", "{config}", "--adapter", "caddyfile"), options)


PAGE: Final = ROOT / "docs" / "operating.md"
NGINX_OF_PAGE: Final = """
daemon off; master_process off; pid {{folder}}/pid; error_log stderr crit;
events {{{{ worker_connections 64; }}}}
http {{{{
    access_log off; client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy;
    fastcgi_temp_path {{folder}}/f; uwsgi_temp_path {{folder}}/u; scgi_temp_path {{folder}}/s;
    {block}
}}}}
"""
CADDY_OF_PAGE: Final = "{{{{\n admin off\n auto_https off\n http_port {{port}}\n}}}}\n{block}"


def documented() -> tuple[Proxy, ...]:
    """Those of docs/operating.md, as they stand there: but for where they listen, and where the relay does."""
    blocks = dict(re.findall(r"^```(nginx|haproxy|caddyfile)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
    there = (
        (nginx("nginx, as docs/operating.md", ""), NGINX_OF_PAGE, blocks["nginx"], "listen 80;"),
        (_haproxy("HAProxy, as docs/operating.md"), "{block}", blocks["haproxy"], "bind :80"),
        (_caddy("Caddy, as docs/operating.md"), CADDY_OF_PAGE, blocks["caddyfile"], NAME),
    )
    return tuple(replace(proxy, config=_here(*parts), of_relay=True) for proxy, *parts in there)


NAME: Final = "relay.example {"
LISTENS: Final = {
    "listen 80;": "listen 127.0.0.1:{port};",
    "bind :80": "bind 127.0.0.1:{port}",
    NAME: "http://127.0.0.1:{port}, http://relay.example:{port} {{\n    bind 127.0.0.1",
}


def _here(around: str, block: str, listens: str) -> str:
    """A configuration with places for `running` to fill."""
    assert block.count(listens) == block.count(BACKEND) == 1, block
    literal = block.replace("{", "{{").replace("}", "}}")
    own = literal.replace(listens.replace("{", "{{"), LISTENS[listens]).replace(BACKEND, "127.0.0.1:{backend}")
    return around.format(block=own)


BACKEND: Final = "127.0.0.1:8000"
PROXIES: Final = (
    nginx("nginx", "proxy_http_version 1.1;"),
    nginx("nginx, HTTP/1.0 (its default)", ""),
    nginx("nginx, proxy_buffering off", "proxy_http_version 1.1; proxy_buffering off;"),
    nginx("nginx, gzip on", f"proxy_http_version 1.1; {GZIP}"),
    nginx("nginx, gzip on, ignores X-Accel-Buffering", f"proxy_http_version 1.1; {DEAF} {GZIP}"),
    _haproxy("HAProxy"),
    _haproxy("HAProxy, option http-no-delay", "option http-no-delay"),
    _caddy("Caddy"),
    _caddy("Caddy, encode gzip", "encode gzip"),
    *documented(),
)


@contextlib.contextmanager
def running(proxy: Proxy, backend: int) -> Iterator[str]:
    """The URL of the proxy in front of the port `backend`, while the block runs. Nothing of it stays behind."""
    program = proxy.found
    assert program is not None, f"{proxy.program} is not installed"
    with tempfile.TemporaryDirectory(prefix="streamkit-proxy-") as folder, tempfile.TemporaryFile() as said:
        port = free_port()
        config = Path(folder, "config")
        config.write_text(proxy.config.format(folder=folder, port=port, backend=backend, options=proxy.options))
        arguments = [each.format(folder=folder, config=config) for each in proxy.arguments]
        home = os.environ | {"HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
        with subprocess.Popen([program, *arguments], stdout=said, stderr=said, env=home, cwd=folder) as process:  # noqa: S603  # a program of the system, our own configuration
            try:
                _wait_for(port, process, said)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_S)
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    until = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if process.poll() is not None or time.monotonic() > until:
            said.seek(0)
            told = said.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"the proxy did not start:\n{told}")
        time.sleep(0.02)


# -- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What one client saw of a whole stream: how it ended, its first byte and longest gap; how a broken one ended, by
    media type.
    """

    whole: str
    first_ms: float
    gap_ms: float
    reads: int
    broken: dict[str, str]


async def ask(url: str, broken_url: str, *, gzip: bool, accepts: Sequence[str] = ACCEPTS) -> Seen:
    """Put both questions to whatever answers at the URLs."""
    whole = await _recorded(url, "sse", gzip=gzip)
    at_ms = [at_ns / 1e6 for at_ns in whole.reads.at_ns]
    sent_ms = (whole.sent_ns or 0) / 1e6
    gaps_ms = [after - before for before, after in pairwise(at_ms)]
    broken = {accept: str((await _recorded(broken_url, accept, gzip=gzip)).outcome) for accept in accepts}
    first_ms = at_ms[0] - sent_ms if at_ms else float("nan")
    return Seen(str(whole.outcome), first_ms, max(gaps_ms, default=0.0), len(at_ms), broken)


async def _recorded(url: str, accept: str, *, gzip: bool) -> Recording:
    coding = "gzip" if gzip else "identity"
    return await sk.record(url, data={"chat_history": "hi"}, accept=accept, accept_encoding=coding, total_s=30)


# -- what is shown ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Endpoint:
    """Whom the proxies stand before: the ports of a whole and of a broken answer, the path, and its media types."""

    title: str
    ports: tuple[int, int]
    path: str
    accepts: tuple[str, ...]


@contextlib.contextmanager
def endpoints(pieces: int) -> Iterator[list[Endpoint]]:
    """The relay, and two that say nothing of buffering; a piece every 100 ms."""
    texts = [f"piece {number} of {pieces}. " for number in range(pieces)]
    whole = sk.Script(texts, 100, 100, preset="openai")
    broken = sk.Script(texts[:6], 50, 20, preset="openai", faults=[sk.faults.Cut(5)])
    with sk.Lab(whole) as lab, sk.Lab(broken) as cut, until_close(pieces) as port:
        relays = port_of(lab.relay), port_of(cut.relay)
        upstreams = port_of(lab.upstream), port_of(cut.upstream)
        yield [
            Endpoint("the relay, which says X-Accel-Buffering: no", relays, RELAY_PATH, ACCEPTS),
            Endpoint("an endpoint that says nothing of buffering", upstreams, "/v1/chat/completions", ("sse",)),
            Endpoint("the same, ending its body with its connection instead of chunks", (port, port), "/", ()),
        ]


@contextlib.contextmanager
def until_close(pieces: int, gap_s: float = 0.1, text: str = "piece") -> Iterator[int]:
    """The port of a server whose streams have neither chunks nor a length, as those of HTTP/1.0."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            for number in range(pieces):
                await asyncio.sleep(gap_s)
                writer.write(b"data: %b %d\n\n" % (text.encode(), number))
                await writer.drain()
            writer.close()
        except ConnectionError:  # whoever asked has seen enough
            pass
        except asyncio.CancelledError:  # the block has ended; not raised, which CPython 3.11's streams would print
            writer.transport.abort()

    async def serve(started: Future[int], over: asyncio.Event) -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            started.set_result(server.sockets[0].getsockname()[1])
            await over.wait()

    with asyncio.Runner() as runner:
        loop, over, started = runner.get_loop(), asyncio.Event(), Future[int]()
        thread = threading.Thread(target=runner.run, args=(serve(started, over),))
        thread.start()
        try:
            yield started.result(START_S)
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()


def run(proxies: Sequence[Proxy], pieces: int) -> bool:
    """Ask all of them and print the tables; whether the relay itself did as it says."""
    holds = True
    with endpoints(pieces) as asked:
        for endpoint in asked:
            bare = _asked([f"http://127.0.0.1:{port}" for port in endpoint.ports], endpoint, gzip=False)
            holds = holds and "complete" not in bare.broken.values()
            rows = [_row("no proxy", "identity", bare), *_rows(proxies, endpoint)]
            heading = ["through", "asked for", "whole", "first byte", "longest gap", "reads"]
            ends = [f"broken, as {accept}" for accept in endpoint.accepts]
            print(f"\n## {endpoint.title}: {pieces} pieces, 100 ms apart\n\n{table([[*heading, *ends], *rows])}")
    return holds


def _rows(proxies: Sequence[Proxy], endpoint: Endpoint) -> Iterator[list[str]]:
    for proxy in proxies:
        if proxy.of_relay and endpoint.path != RELAY_PATH:
            continue
        for coding in ("identity", "gzip"):
            print(f"\r{proxy.name:40}", end="\r", file=sys.stderr, flush=True)
            with running(proxy, endpoint.ports[0]) as url, running(proxy, endpoint.ports[1]) as broken_url:
                yield _row(proxy.name, coding, _asked([url, broken_url], endpoint, gzip=coding == "gzip"))


def _asked(urls: Sequence[str], endpoint: Endpoint, *, gzip: bool) -> Seen:
    return asyncio.run(ask(*(url + endpoint.path for url in urls), gzip=gzip, accepts=endpoint.accepts))


def _row(name: str, coding: str, seen: Seen) -> list[str]:
    ends = ["LOOKS WHOLE" if outcome == "complete" else outcome for outcome in seen.broken.values()]
    times = f"{seen.first_ms:,.0f} ms", f"{seen.gap_ms:,.0f} ms", str(seen.reads)
    return [name, coding, seen.whole, *times, *ends]


def port_of(server: Server | None) -> int:
    """Where it listens."""
    port = urlsplit(server.url).port if server is not None else None
    assert port is not None, server
    return port


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if the relay's own promise does not hold, or nobody was there."""
    options = argparse.ArgumentParser(prog="python -m campaigns.proxies", description="What proxies make of a stream")
    options.add_argument("--only", metavar="WORDS", default="", help="proxies whose name has this in it")
    options.add_argument("--quick", action="store_true", help="eight pieces instead of thirty")
    given = options.parse_args(arguments)
    chosen = [proxy for proxy in PROXIES if given.only.lower() in proxy.name.lower()]
    for name in sorted({proxy.program for proxy in chosen if not proxy.installed}):
        print(f"{name} is not installed: left out", file=sys.stderr)
    there = [proxy for proxy in chosen if proxy.installed]
    try:
        return 0 if run(there, 8 if given.quick else 30) and there else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
