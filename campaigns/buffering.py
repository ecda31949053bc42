"""Who holds the bytes back? `python -m campaigns.buffering [--only WORDS] [--rows]`.

    find_buffering()  ──▶  nginx, HAProxy, Caddy, alone or two in a row  ──▶  a relay, an upstream, a bare endpoint

Each configuration is asked, and what was found is printed beside what is true. A right name, or "unknown": what is
named wrongly, a layer or a mechanism, is a failure; what is not known although it could be is "missed", as happens on a
machine that is busy. A proxy that is not installed is named, and left out. Exit status 1 if anything was named wrongly
or more than a fifth was missed, or nobody was there to be asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from sanic import Sanic

import streamkit as sk
from benchmarks.harness import table
from campaigns.proxies import CADDY, GZIP, HAPROXY, NGINX, Proxy, documented, running, until_close
from streamkit.app import create_app
from streamkit.lab.buffering.verdict import Buffering
from streamkit.relay.asks import ask_function
from streamkit.relay.route import Route

__all__ = ["CONFIGURATIONS", "Backends", "Configuration", "backends", "find", "main"]

NAME: Final = "relay.example"
EVENTS, GAP_MS = 130, 8.0
TEXT: Final = "It is a small step from a stream to a lump. " * 9
"""About 400 bytes an event, 52 kB in a second: more than the buffers hold, as an answer of a minute has."""


def piece(number: int) -> str:
    """The text of event `number`."""
    return f"{number:4d} {TEXT}"[:400]


# --- The proxies ----------------------------------------------------------------------------------------------------

HTTP11: Final = "proxy_http_version 1.1;"
DEAF: Final = "proxy_ignore_headers X-Accel-Buffering;"
CACHE: Final = "proxy_cache_path {folder}/c keys_zone=c:1m; access_log off;"
WAIT: Final = "http-response wait-for-body time 10s at-least 1000000"
SEVERAL_TYPES: Final = "compression algo gzip\n    compression type text/event-stream text/plain"


def _nginx(options: str, http: str = "access_log off;") -> Proxy:
    arguments = ("-p", "{folder}", "-c", "{config}", "-e", "stderr")
    return Proxy("nginx", "nginx", NGINX.replace("access_log off;", http), arguments, options)


def _haproxy(options: str = "", backend: str = "") -> Proxy:
    config = HAPROXY.replace("    server one", f"    {backend}\n    server one") if backend else HAPROXY
    return Proxy("HAProxy", "haproxy", config, ("-db", "-q", "-f", "{config}"), options)


def _caddy(inside: str = "", options: str = "") -> Proxy:
    config = CADDY.replace("127.0.0.1:{backend}", f"127.0.0.1:{{backend}} {{{{\n{inside}\n}}}}") if inside else CADDY
    return Proxy("Caddy", "caddy", config, ("run", "--config", "{config}", "--adapter", "caddyfile"), options)


@dataclass(frozen=True)
class Configuration:
    """Layers from the client's side on, and what is true of them: who holds bytes back (several, where several do), and
    how, as the kind of a `Buffering`.

    backend     "relay" says `X-Accel-Buffering: no` and tells its taps; "upstream" says nothing, and tells them; "bare"
                says and tells nothing, and ends its body with its connection
    named       whether the layer has to be named; else "unknown" will do
    direct      it is asked around the layers too
    """

    name: str
    layers: tuple[Proxy, ...]
    backend: str
    holds: frozenset[str]
    kinds: frozenset[str]
    named: bool = True
    direct: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The programs that are not installed."""
        return sorted({layer.program for layer in self.layers if not layer.installed})

    def is_right(self, found: Buffering) -> bool:
        """Named rightly, or not named where nobody can know."""
        layer = found.layer in ({*self.holds, "unknown"} if not self.named else self.holds)
        return layer and found.kind in self.kinds

    def is_wrong(self, found: Buffering) -> bool:
        """Something is named that is not true: "unknown" is no name."""
        return not (found.layer in {*self.holds, "unknown"} and found.kind in {*self.kinds, "unknown"})

    @property
    def truth(self) -> str:
        """Who holds, and how."""
        who = " and ".join(sorted(self.holds))
        return who if who == "none" else f"{who}: {' or '.join(sorted(self.kinds))}"


def _free(name: str, layer: Proxy, backend: str = "upstream") -> Configuration:
    return Configuration(name, (layer,), backend, frozenset({"none"}), frozenset({"none"}))


def _holding(name: str, layers: Sequence[Proxy], backend: str, who: str, how: str, **more: Any) -> Configuration:
    kinds = frozenset({how, "unknown"} if more.pop("or_unknown", False) else {how})
    return Configuration(name, tuple(layers), backend, frozenset(who.split("+")), kinds, **more)


OFF: Final = _nginx(f"{HTTP11} proxy_buffering off;")
SMALL: Final = _nginx(DEAF)
QUICK: Final = _haproxy("option http-no-delay")
CONFIGURATIONS: Final = (
    Configuration("no proxy", (), "upstream", frozenset({"none"}), frozenset({"none"})),
    Configuration("no proxy, an endpoint that tells nothing", (), "bare", frozenset({"none"}), frozenset({"none"})),
    _free("nginx, buffering on; the relay says X-Accel-Buffering: no", _nginx(""), "relay"),
    _free("nginx, proxy_buffering off", _nginx(f"{DEAF} proxy_buffering off;"), "relay"),
    _holding("nginx, buffering on, deaf to X-Accel-Buffering", [SMALL], "relay", "nginx", "portions"),
    _holding(
        "nginx, deaf, proxy_buffer_size 8k; proxy_buffers 8 8k",
        [_nginx(f"{DEAF} proxy_buffer_size 8k; proxy_buffers 8 8k;")],
        "relay",
        "nginx",
        "portions",
    ),
    _holding(
        "nginx, deaf, proxy_buffers 4 256k",
        [_nginx(f"{DEAF} proxy_buffer_size 256k; proxy_buffers 4 256k; proxy_busy_buffers_size 256k;")],
        "relay",
        "nginx",
        "whole",
        named=False,
    ),
    _holding(
        "nginx, deaf, sub_filter",
        [_nginx(f"{DEAF} sub_filter_types *; sub_filter 'nothing like it' '';")],
        "relay",
        "nginx",
        "portions",
    ),
    _holding("nginx, gzip on", [_nginx(f"{HTTP11} {GZIP}")], "upstream", "nginx", "compression"),
    _holding(
        "nginx, gzip on, gzip_buffers 32 64k",
        [_nginx(f"{HTTP11} {GZIP} gzip_buffers 32 64k;")],
        "upstream",
        "nginx",
        "compression",
    ),
    _free("nginx, gzip on, proxy_buffering off", _nginx(f"{HTTP11} {GZIP} proxy_buffering off;")),
    _free("nginx, ssi on", _nginx(f"{HTTP11} ssi on; ssi_types *;")),
    _holding(
        "nginx, proxy_cache",
        [
            _nginx(
                f"{HTTP11} proxy_ignore_headers Cache-Control; proxy_cache c; proxy_cache_methods GET POST; "
                "proxy_cache_key $request_body; proxy_cache_valid 200 1m; add_header X-Cache $upstream_cache_status;",
                CACHE,
            )
        ],
        "upstream",
        "nginx",
        "copy",
    ),
    _holding("HAProxy, as it is", [_haproxy()], "upstream", "HAProxy", "period"),
    _free("HAProxy, option http-no-delay", QUICK),
    _free("HAProxy, no-delay, compression", _haproxy(f"option http-no-delay\n    {SEVERAL_TYPES}")),
    _free("HAProxy, no-delay, http-buffer-request", _haproxy("option http-no-delay\n    option http-buffer-request")),
    _holding(
        "HAProxy, no-delay, wait-for-body",
        [_haproxy("option http-no-delay", WAIT)],
        "upstream",
        "HAProxy",
        "head start",
    ),
    _free("Caddy, as it is", _caddy()),
    _free("Caddy, flush_interval -1", _caddy("flush_interval -1")),
    _holding(
        "Caddy, encode gzip",
        [_caddy(options="encode {\n gzip\n minimum_length 1\n match header Content-Type text/event-stream*\n }")],
        "upstream",
        "Caddy",
        "compression",
    ),
    _free("Caddy, buffer_requests", _caddy("buffer_requests")),
    _holding("Caddy, buffer_responses", [_caddy("buffer_responses")], "upstream", "Caddy", "whole"),
    _holding(
        "Caddy, buffer_responses, max_buffer_size 8192",
        [_caddy("buffer_responses\nmax_buffer_size 8192")],
        "upstream",
        "Caddy",
        "head start",
    ),
    *(
        Configuration(
            proxy.name,
            (proxy,),
            "relay",
            frozenset({"none"}),
            frozenset({"none"}),
            options={"headers": {"host": NAME}},
        )
        for proxy in documented()
    ),
    _holding("nginx (off), HAProxy as it is", [OFF, _haproxy()], "upstream", "HAProxy", "period"),
    _holding("HAProxy (no-delay), nginx deaf", [QUICK, SMALL], "relay", "nginx", "portions"),
    _holding("Caddy, nginx deaf", [_caddy(), SMALL], "relay", "nginx", "portions"),
    _holding(
        "nginx (off), Caddy, buffer_responses",
        [OFF, _caddy("buffer_responses")],
        "upstream",
        "Caddy",
        "whole",
        named=False,
    ),
    _holding("Caddy, nginx gzip on", [_caddy(), _nginx(f"{HTTP11} {GZIP}")], "upstream", "nginx", "compression"),
    _holding(
        "HAProxy as it is, nginx deaf: both hold",
        [_haproxy(), SMALL],
        "relay",
        "HAProxy+nginx",
        "portions",
        named=False,
        or_unknown=True,
    ),
    _holding("nginx, an endpoint that tells nothing", [_nginx("")], "bare", "nginx", "portions", named=False),
    _holding(
        "HAProxy, no-delay, wait-for-body, the same, asked around it too",
        [_haproxy("option http-no-delay", WAIT)],
        "bare",
        "HAProxy",
        "head start",
        direct=True,
    ),
    _holding("nginx, the same, asked around it too", [_nginx("")], "bare", "nginx", "portions", direct=True),
)


# --- What they stand before -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backends:
    """The port of each backend, and how it is asked."""

    ports: dict[str, int]
    paths: dict[str, str]
    options: dict[str, dict[str, Any]]


def _relay() -> Sanic[Any, Any]:
    async def long() -> AsyncIterator[str]:
        for number in range(EVENTS):
            yield piece(number)
            await asyncio.sleep(GAP_MS / 1e3)

    return create_app(routes={"/long": Route(ask_function(long, "none"))}, trace=True, allowed_hosts=NAME)


@contextlib.contextmanager
def backends(events: int = EVENTS) -> Iterator[Backends]:
    """A relay, a scripted upstream and a bare endpoint, each with a long answer, while the block runs."""
    script = sk.Script([piece(number) for number in range(events)], GAP_MS, GAP_MS, preset="openai")
    bare = until_close(events, GAP_MS / 1e3, TEXT[:400])
    with sk.serve(_relay) as relay, sk.serve(partial(sk.create_upstream, script)) as upstream, bare as port:
        assert relay.port is not None
        assert upstream.port is not None
        yield Backends(
            {"relay": relay.port, "upstream": upstream.port, "bare": port},
            {"relay": "/long", "upstream": "/v1/chat/completions", "bare": "/"},
            {
                "relay": {"data": {}, "accept": "sse"},
                "upstream": {"json": {}, "preset": "openai"},
                "bare": {"data": {}, "accept": "sse"},
            },
        )


async def find(there: Backends, configuration: Configuration) -> Buffering:
    """Start its layers, the one nearest to the server first, ask, and stop them."""
    name = configuration.backend
    port = there.ports[name]
    direct = f"http://127.0.0.1:{port}{there.paths[name]}" if configuration.direct else None
    with contextlib.ExitStack() as running_layers:
        for layer in reversed(configuration.layers):
            port = urlsplit(running_layers.enter_context(running(layer, port))).port or 0
        url = f"http://127.0.0.1:{port}{there.paths[name]}"
        given = {**there.options[name], **configuration.options}
        return await sk.experiments.find_buffering(url, direct=direct, side_by_side=True, **given)


# --- What is shown --------------------------------------------------------------------------------------------------


def run(chosen: Sequence[Configuration], *, rows: bool) -> bool:
    """Ask all of them, and print the table; whether nothing was named wrongly, and enough was named."""
    lines, wrong, missed = [], 0, 0
    with backends() as there:
        for configuration in chosen:
            print(f"\r{configuration.name:60}", end="\r", file=sys.stderr, flush=True)
            began = time.monotonic()
            found = asyncio.run(find(there, configuration))
            took = f"{time.monotonic() - began:.1f} s"
            is_wrong, is_missed = configuration.is_wrong(found), not configuration.is_right(found)
            wrong, missed = wrong + is_wrong, missed + is_missed
            said = "WRONG" if is_wrong else "missed" if is_missed else ""
            lines.append([configuration.name, configuration.truth, found.layer, found.mechanism, took, said])
            if rows:
                print(f"\n## {configuration.name}\n\n{found}", flush=True)
    print(f"\n{table([['configuration', 'true', 'layer', 'mechanism', 'took', ''], *lines])}")
    return not wrong and missed * 5 <= len(chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if a layer or a mechanism was named wrongly, or nobody was there."""
    options = argparse.ArgumentParser(prog="python -m campaigns.buffering", description="Who holds the bytes back?")
    options.add_argument("--only", metavar="WORDS", default="", help="configurations whose name has this in it")
    options.add_argument("--rows", action="store_true", help="print what each probe told")
    given = options.parse_args(arguments)
    chosen = [one for one in CONFIGURATIONS if given.only.lower() in one.name.lower()]
    for name in sorted({name for one in chosen for name in one.missing}):
        print(f"{name} is not installed: left out", file=sys.stderr)
    there = [one for one in chosen if not one.missing]
    try:
        return 0 if there and run(there, rows=given.rows) else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
