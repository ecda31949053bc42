"""Several client processes send one load: what one would have sent, and what they have is kept."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.load import kept
from streamkit.lab.load.kept import last_load
from streamkit.lab.load.load import load
from streamkit.outcome import Outcome
from tests.lab.client.peers import DONE, END, HEAD, Peer, chunk, event, sending, serving

HELLO = sending(HEAD, chunk(event("hello") + DONE), END)


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.LAST, "value", None)


def test_together_they_send_what_one_would_have_sent() -> None:
    async def main() -> list[sk.RecordingSet]:
        given: dict[str, Any] = {"streams": 7, "rate": 200, "prompts": ["a", "b"], "seed": 3, "progress": False}
        async with serving(HELLO) as (url, _):
            return [await load(url, clients=2, pids=os.getpid(), **given), await load(url, **given)]

    def told(streams: sk.RecordingSet) -> list[Any]:
        begun_ns = streams.meta["begun_ns"]
        return [(one.started_ns + (one.due_ns or 0) - begun_ns, dict(one.labels), one.text) for one in streams]

    two, one = asyncio.run(main())
    assert told(two) == told(one)
    assert [used.name for used in two.resources] == ["client 1", "client 2", "server"]
    assert last_load() is one


def test_interrupted_they_tell_what_they_have_and_none_is_left() -> None:
    waiting = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.send(HEAD, chunk(event("hel")))
        asyncio.get_running_loop().call_later(0.1, waiting.set)
        await peer.left()

    async def main() -> sk.RecordingSet | None:
        async with serving(silent) as (url, _):
            task = asyncio.ensure_future(load(url, streams=1, clients=2, progress=False))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return last_load(of=caught.value)

    streams = asyncio.run(main())
    assert streams is not None
    assert [(recording.text, recording.outcome) for recording in streams] == [("hel", Outcome("cancelled", "by us"))]


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        (print, {}, r"expected a URL as the target of several clients, such as lab.relay.url \+ '/ans'"),
        ("http://h/", {"arrivals": "closed(2)"}, "expected an open loop with several clients"),
        ("http://h/", {"on_done": print}, "expected no on_done= with several clients"),
        ("http://h/", {"clients": 0}, "expected clients as an integer >= 1"),
    ],
)
def test_what_several_cannot_share_is_refused(target: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        asyncio.run(load(target, streams=4, progress=False, **{"clients": 2, **given}))
