"""`find_buffering()` against real servers and the real proxies: a right name or none, and what it asks for.

The configurations are those of `python -m campaigns.buffering`, which asks all of them.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.buffering import CONFIGURATIONS, Backends, Configuration, backends, find
from streamkit.lab import experiments
from streamkit.lab.experiments import Buffering
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

ASKED = (
    "no proxy",
    "nginx, buffering on; the relay says X-Accel-Buffering: no",
    "nginx, buffering on, deaf to X-Accel-Buffering",
    "nginx, gzip on",
    "nginx, proxy_cache",
    "HAProxy, as it is",
    "HAProxy, no-delay, wait-for-body",
    "Caddy, as it is",
    "Caddy, encode gzip",
    "Caddy, buffer_responses",
    "nginx, as docs/operating.md",
    "HAProxy, as docs/operating.md",
    "Caddy, as docs/operating.md",
    "nginx (off), HAProxy as it is",
    "HAProxy as it is, nginx deaf: both hold",
    "nginx, an endpoint that tells nothing",
    "nginx, the same, asked around it too",
)
CHOSEN = [one for one in CONFIGURATIONS if one.name in ASKED]


@pytest.fixture(scope="module")
def there() -> Iterator[Backends]:
    with backends() as made:
        yield made


def test_the_names_above_are_those_of_the_campaign() -> None:
    assert [one.name for one in CHOSEN] == list(ASKED)


@pytest.mark.parametrize(
    "configuration", [one for one in CHOSEN if not one.missing], ids=lambda one: one.name.replace(" ", "_")
)
def test_the_layer_that_holds_is_named_or_none_is(there: Backends, configuration: Configuration) -> None:
    """On a machine that is busy it may be "unknown" once, or twice: never a wrong name."""
    for _ in range(3):
        found = asyncio.run(find(there, configuration))
        assert not configuration.is_wrong(found), f"{configuration.truth}, but:\n{found}"
        if configuration.is_right(found):
            return
    pytest.fail(f"{configuration.truth}, but it was never found:\n{found}")


# --- Servers that do one thing --------------------------------------------------------------------------------------


EVENT = b"data: %b\n\n" % (b"x" * 392)


def asked(url: str, **options: Any) -> Buffering:
    return asyncio.run(experiments.find_buffering(url, data={}, side_by_side=True, **options))


def bursts(connection: socket.socket) -> None:
    """A server that pauses, and then says much at once."""
    connection.sendall(SSE_HEAD)
    for _ in range(6):
        connection.sendall(chunk(EVENT * 20))
        time.sleep(0.1)
    connection.sendall(LAST_CHUNK)


def test_a_server_that_pauses_is_no_buffer() -> None:
    with RawServer(bursts) as server:
        found = asked(server.url)
    assert (found.layer, found.mechanism) == ("unknown", "unknown")
    assert "a server that pauses" in found.sentence


def test_asked_around_the_layers_it_is_the_server_itself() -> None:
    """Here, too, a machine that is busy may make it "unknown" once, or twice."""
    with RawServer(bursts) as server:
        said = [(found.layer, found.kind) for found in (asked(server.url, direct=server.url) for _ in range(3))]
    assert ("none", "server") in said
    assert set(said) <= {("none", "server"), ("unknown", "unknown")}


def test_it_is_asked_with_one_difference_each_and_last_by_heads_that_are_too_long() -> None:
    with RawServer(bursts) as server:
        asked(server.url, headers={"x-mine": "1"})
        heads = [request.partition(b"\r\n\r\n")[0].lower() for request in server.requests]
    posts = [head for head in heads if head.startswith(b"post ")]
    assert all(b"\r\nx-mine: 1" in head for head in posts)
    assert sorted((b"incremental: ?1" in head, b"gzip, deflate, br, zstd" in head) for head in posts) == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]
    gets = [head for head in heads if head.startswith(b"get / ")]
    assert [head.count(b"\r\nx-padding-") for head in gets] == [1, 3]
    assert all(b"x-mine" not in head for head in gets)


def test_refusals_are_not_looked_for_where_they_raise_an_alarm() -> None:
    with RawServer(bursts) as server:
        asked(server.url, refusals=False)
        assert not any(request.startswith(b"GET") for request in server.requests)


def refuses(connection: socket.socket) -> None:
    connection.sendall(
        b"HTTP/1.1 501 Not Implemented\r\nProxy-Status: cdn.example; error=incremental_refused\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )


def test_a_proxy_that_refuses_incremental_is_named_and_asked_without() -> None:
    with RawServer(refuses) as server:
        found = asked(server.url)
        later = [request.lower() for request in server.requests[1:] if request.startswith(b"POST")]
    assert (found.layer, found.kind) == ("cdn.example", "refused")
    assert all(b"incremental: ?0" in request for request in later)


def test_a_short_answer_is_asked_for_again_longer() -> None:
    def speak(connection: socket.socket) -> None:
        many = 300 if b"much" in server.requests[-1] else 3
        connection.sendall(SSE_HEAD + b"".join(chunk(EVENT) for _ in range(many)) + LAST_CHUNK)

    sizes: list[int] = []

    def longer(size: int) -> dict[str, Any]:
        sizes.append(size)
        return {"json": {"say": "much"}, "data": None}

    with RawServer(speak) as server:
        found = asked(server.url, probe=longer)
    assert sizes == [256 * 1024]
    assert found.probes[0].name == "plain, longer"
    assert found.probes[0].releasing.bytes == 300 * len(EVENT)


def test_a_server_that_is_not_there_is_unknown() -> None:
    found = asked("http://127.0.0.1:1/")
    assert (found.layer, found.mechanism) == ("unknown", "unknown")
    assert "refused(connect)" in str(found)


@pytest.mark.parametrize("options", [{"accept_encoding": "gzip"}, {"taps": True}, {"resume": None}, {"client": None}])
def test_what_each_probe_sets_cannot_be_given(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="set by each probe"):
        asked("http://127.0.0.1:1/", **options)


def test_a_body_has_to_be_one_that_can_be_sent_again() -> None:
    with pytest.raises(
        TypeError, match="expected bytes or text as content, which is sent several times, got list_iter"
    ):
        asyncio.run(experiments.find_buffering("http://127.0.0.1:1/", content=iter([b"x"])))


@pytest.mark.parametrize("name", ["X-Stream-Id", "Idempotency-Key"])
def test_each_probe_is_a_stream_of_its_own(name: str) -> None:
    with pytest.raises(TypeError, match=name.lower()):
        asked("http://127.0.0.1:1/", headers={name: "mine"})
