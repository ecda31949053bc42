"""The relays that are measured beside streamkit's: each a module that is run as a process of its own.

    python -m benchmarks.relay_peers.sanic_httpx UPSTREAM [EVENTS]     # prints "ready http://127.0.0.1:PORT/ans"

Each takes `POST /ans` with the form field `chat_history`, asks `UPSTREAM` in OpenAI's way, takes the text out of every
event (of OpenAI's `choices[0].delta.content`), and answers text/plain in chunks. Each is written as its own
documentation recommends, on uvloop, with one worker, without an access log and without limits on connections.
None has what a relay needs beyond that: deadlines, a proof of completion, visible cuts.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

from benchmarks.relay_events import DEFAULT, EVENTS, Events

__all__ = ["PEERS", "Peer", "command", "expected", "run"]

BACKLOG = 4096


@dataclass(frozen=True)
class Peer:
    """One relay: its module here, what has to be installed for it, and what is asked of ours beside it."""

    name: str
    module: str
    needs: tuple[str, ...]
    extracts: bool = True

    @property
    def missing(self) -> str | None:
        """What keeps this peer from running here, or None."""
        for need in self.needs:
            if not (which("nginx") if need == "nginx" else find_spec(need)):
                return f"{need} is not installed"
        return None


PEERS = {
    peer.name: peer
    for peer in (
        Peer("Sanic + httpx (naive)", "sanic_httpx", ("sanic", "httpx")),
        Peer("FastAPI + httpx-sse", "fastapi_httpx_sse", ("fastapi", "uvicorn", "httpx", "httpx_sse")),
        Peer("Sanic + aiohttp", "sanic_aiohttp", ("sanic", "aiohttp")),
        Peer("aiohttp + aiohttp", "aiohttp_aiohttp", ("aiohttp",)),
        Peer("bare uvloop", "bare_uvloop", ("uvloop", "httptools")),
        Peer("nginx (passes bytes)", "nginx", ("nginx",), extracts=False),
    )
}


def command(peer: Peer, upstream: str, said: str = DEFAULT) -> list[str]:
    """How to start it, for events of that name."""
    return [sys.executable, "-m", f"{__name__}.{peer.module}", upstream, said]


def expected() -> Events:
    """The events that the upstream of this process sends."""
    return EVENTS[sys.argv[2]]


def run(relay: Callable[[str, socket.socket], None]) -> None:
    """The main program of a peer: bind a free port, say which, and serve on it until the process is ended."""
    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # proto: see streamkit.serving.listener
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/ans", flush=True)
    relay(sys.argv[1], listener)


def question(chat_history: str) -> dict[str, object]:
    """The request's body, in OpenAI's shape."""
    return {
        "model": "some-model",
        "messages": [{"role": "user", "content": chat_history}],
        "stream": True,
    }
