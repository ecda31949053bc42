"""A proxy in between that compresses or buffers: the recording names what a browser would see.

With nginx where it is installed, and with a stand-in of the same ways wherever it is not.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from tests.proxies import PROXIES, Proxy
from tests.rawsockets import RawServer

EVENTS = 12
GAP_S = 0.05
TEXT = "".join(f"{number} " for number in range(EVENTS))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nConnection: close\r\n"


def speak(connection: socket.socket) -> None:
    """A body that ends with its connection, which nginx can buffer: of a chunked one it hands each chunk on."""
    connection.sendall(HEAD + b"\r\n")
    for number in range(EVENTS):
        time.sleep(GAP_S)
        connection.sendall(b'data: {"choices":[{"index":0,"delta":{"content":"%d "}}]}\n\n' % number)
    connection.sendall(b"data: [DONE]\n\n")


@pytest.fixture
def upstream() -> Iterator[str]:
    with RawServer(speak) as server:
        yield server.url


EVERY = pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)


def began(recording: Recording) -> float:
    """When the first text came, as a share of the whole time: near 0 where it streamed, near 1 where it did not."""
    summary = recording.summary()
    assert (str(recording.outcome), recording.text) == ("complete", TEXT)
    assert summary.ttft_ms is not None
    assert summary.duration_ms is not None
    return summary.ttft_ms / summary.duration_ms


@EVERY
def test_as_a_browser_asks_the_text_of_a_compressing_proxy_comes_late_and_the_recording_says_why(
    upstream: str, proxy: Proxy
) -> None:
    with proxy(upstream, gzip=True, ignoring=True) as url:
        recording = asyncio.run(record(url, json={}, preset="openai", accept_encoding="browser"))
    assert began(recording) > 0.8
    assert recording.headers["content-encoding"] == "gzip"
    (note,) = recording.meta["notes"]
    assert note.startswith(f"the body is gzip: {EVENTS + 1} events came out of 1 of ")
    assert note.endswith("a compressor keeps text back until it is flushed")
    assert "unencoded" not in str(recording.trust)


@EVERY
def test_a_proxy_that_compresses_and_flushes_is_not_blamed(upstream: str, proxy: Proxy) -> None:
    with proxy(upstream, gzip=True) as url:
        recording = asyncio.run(record(url, json={}, preset="openai", accept_encoding="gzip, br"))
    assert began(recording) < 0.5
    (note,) = recording.meta["notes"]
    assert note.startswith(f"the body is gzip: {EVENTS + 1} events came out of ")
    assert "keeps text back" not in note


@EVERY
def test_as_we_ask_it_comes_early_and_trust_says_what_a_browser_would_have_asked(upstream: str, proxy: Proxy) -> None:
    with proxy(upstream, gzip=True) as url:
        recording = asyncio.run(record(url, json={}, preset="openai"))
    assert began(recording) < 0.5
    assert recording.trust.level != "good"
    assert "asked for an unencoded body; a browser would ask for gzip" in str(recording.trust)


@EVERY
def test_from_a_proxy_that_buffers_all_comes_in_one_lump_and_the_gaps_are_not_known(
    upstream: str, proxy: Proxy
) -> None:
    with proxy(upstream, ignoring=True) as url:
        recording = asyncio.run(record(url, json={}, preset="openai"))
    assert began(recording) > 0.8
    assert len(set(recording.events.read)) == 1
    assert "share a read with an earlier one: their gaps are not known" in str(recording.trust)


@EVERY
def test_a_proxy_that_obeys_x_accel_buffering_hands_on_what_comes(upstream: str, proxy: Proxy) -> None:
    with proxy(upstream) as url:
        recording = asyncio.run(record(url, json={}, preset="openai"))
    assert began(recording) < 0.5
    assert len(set(recording.events.read)) > EVENTS // 2
