"""`sk.join(recording)` and `record(taps=True)`: a traced relay anywhere tells what it kept; nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import streamkit as sk
from streamkit.app import create_app
from streamkit.lab.client import joining
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from streamkit.taps import TAPS
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

SCRIPT = Script(["床前", "明月", "光"], first_piece_ms=5, gap_ms=5, preset="openai")
RELAYS_OWN = [name for name in TAPS if name.startswith("relay.")]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with serve(partial(create_upstream, SCRIPT)) as server:
        yield server


def relay(upstream: Server, *, process: bool = False, **options: Any) -> Server:
    app = partial(create_app, upstream=upstream.url, preset="openai", model="m", **options)
    return serve(app, process=process)


def asked(server: Server, **options: Any) -> Recording:
    data = {"chat_history": "你好"}
    return asyncio.run(sk.record(f"{server.url}/ans", data=data, accept="sse", **options))


def test_a_recording_is_joined_by_its_own_url_and_then_with_the_upstreams(upstream: Server) -> None:
    with relay(upstream, process=True, trace=True) as server:
        alone = asked(server)
        whole = asyncio.run(sk.join(alone))
    assert alone.taps == {}
    assert [name for name in TAPS if name in whole.taps] == RELAYS_OWN
    assert {tap.events[-1] for tap in whole.taps.values()} == {3}
    assert whole.relay is not None
    assert whole.relay.outcome == whole.outcome
    both = asyncio.run(sk.join(whole, upstream.url))
    assert list(both.curves()) == list(TAPS)


def test_record_does_it_by_itself_when_the_stream_has_ended(upstream: Server) -> None:
    with relay(upstream, trace=True, gauge_ms=5) as server:
        whole = asked(server, taps=True)
        assert sk.last_recording() is whole
    assert list(whole.taps) == RELAYS_OWN
    assert whole.relay is not None
    assert "relay.unsent" in whole.gauges
    assert not whole.meta["notes"]


def test_taps_that_are_turned_off_are_an_error_of_join_and_a_note_of_record(upstream: Server) -> None:
    with relay(upstream) as server:
        with pytest.raises(sk.errors.NoTaps, match=r"has no taps \(404\): a relay has them with --trace"):
            asyncio.run(sk.join(asked(server)))
        alone = asked(server, taps=True)
    assert (alone.text, alone.taps) == (SCRIPT.text, {})
    (note,) = alone.meta["notes"]
    assert note.startswith("the taps of its server are not joined: the server at http://127.0.0.1:")
    assert "--trace" in note


def test_another_relay_does_not_know_the_stream(upstream: Server) -> None:
    with relay(upstream, trace=True) as server, relay(upstream, trace=True) as other:
        alone = asked(server)
        with pytest.raises(sk.errors.NoTaps, match="does not know the stream"):
            asyncio.run(sk.join(alone, other.url))


def test_a_relay_that_has_gone_is_no_connection(upstream: Server) -> None:
    with relay(upstream, trace=True) as server:
        alone = asked(server)
    with pytest.raises(sk.errors.NoTaps, match=r"could not be asked for the taps: .*refused"):
        asyncio.run(sk.join(alone))


def test_who_is_no_relay_of_ours_is_noted_and_the_recording_is_kept() -> None:
    def answer(connection: Any) -> None:
        connection.sendall(SSE_HEAD + chunk(b"data: hi\n\n") + LAST_CHUNK)

    with RawServer(answer) as server:
        alone = asyncio.run(sk.record(server.url, data={}, taps=True))
        assert len(server.requests) == 1  # without an id there is nothing to ask for
    assert alone.outcome.ok
    assert "expected a recording of an answer with X-Stream-Id" in alone.meta["notes"][-1]


def test_a_stream_that_goes_on_is_joined_as_far_as_it_has_come() -> None:
    """A client that has enough leaves; a stream that can be resumed goes on without it."""
    slow = Script(["a ", "b ", "c "], first_piece_ms=1, gap_ms=2_000, preset="openai")
    with serve(partial(create_upstream, slow)) as model, relay(model, trace=True, resume=True) as server:
        part = asked(server, max_events=1, taps=True)
    assert str(part.outcome) == "cancelled(max_events)"
    assert "relay.read" in part.taps
    assert any("read before their stream had ended" in note for note in part.meta["notes"])


def test_a_client_of_ones_own_asks_for_the_taps_too(upstream: Server) -> None:
    import httpx2

    async def ask(url: str) -> Recording:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return await sk.record(f"{url}/ans", data={"chat_history": "hi"}, client=client, taps=True)

    with relay(upstream, trace=True) as server:
        assert list(asyncio.run(ask(server.url)).taps) == RELAYS_OWN


def test_of_another_clock_record_keeps_what_it_has(upstream: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay on another machine: its times are not subtracted from ours, and the recording is not lost for it."""
    fetch = joining.fetch_taps

    async def elsewhere(*given: Any) -> Any:
        taps = await fetch(*given)
        taps.origin = "boot-of-another-machine"
        return taps

    monkeypatch.setattr(joining, "fetch_taps", elsewhere)
    with relay(upstream, trace=True) as server:
        alone = asked(server, taps=True)
        with pytest.raises(ValueError, match="different machines or boots are never subtracted"):
            asyncio.run(sk.join(alone))
    assert (alone.text, alone.taps) == (SCRIPT.text, {})
    assert "different machines or boots are never subtracted" in alone.meta["notes"][-1]


def test_interrupted_while_it_asks_the_recording_is_carried(upstream: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any) -> Any:
        raise asyncio.CancelledError

    monkeypatch.setattr(joining, "fetch_taps", interrupted)
    with relay(upstream, trace=True) as server, pytest.raises(asyncio.CancelledError) as raised:
        asked(server, taps=True)
    kept = sk.last_recording(of=raised.value)
    assert kept is not None
    assert kept.text == SCRIPT.text


def test_taps_is_a_switch() -> None:
    with pytest.raises(TypeError, match="expected taps as True or False, got 'relay'"):
        asyncio.run(sk.record("http://127.0.0.1:1/ans", taps="relay"))  # type: ignore[arg-type]  # what is tested
