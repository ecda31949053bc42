"""A traced stream, over real sockets: the relay and the scripted upstream tell when each event passed their taps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import httpx2
import orjson
import pytest

from streamkit.app import create_app
from streamkit.errors import ConfigError
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from streamkit.taps import TAPS, StreamTaps, TapLog
from tests.rawsockets import WAIT_S
from tests.servers import eventually

SCRIPT = Script(["床前", "明月", "光"], first_piece_ms=5, gap_ms=5, preset="openai")
SIZES = [6, 12, 15]  # cumulative bytes of the text in UTF-8


@pytest.fixture
def upstream() -> Iterator[Server]:
    with serve(partial(create_upstream, SCRIPT)) as server:
        yield server


def relay(upstream: Server, **options: Any) -> Server:
    return serve(partial(create_app, upstream=upstream.url, preset="openai", model="m", **options))


def post(server: Server, path: str = "/ans", **headers: str) -> httpx2.Response:
    return httpx2.post(
        f"{server.url}{path}", data={"chat_history": "你好"}, headers=headers, timeout=WAIT_S, trust_env=False
    )


def told(server: Server, stream_id: str) -> StreamTaps:
    answer = httpx2.get(f"{server.url}/streams/{stream_id}/taps", timeout=WAIT_S, trust_env=False)
    assert answer.status_code == 200, answer.text
    return StreamTaps.from_dict(answer.json())


@pytest.mark.parametrize("accept", ["text/plain", "text/event-stream", "application/x-ndjson"])
def test_every_tap_counts_every_event_and_they_follow_each_other(upstream: Server, accept: str) -> None:
    with relay(upstream, trace=True) as server:
        stream_id = post(server, accept=accept).headers["x-stream-id"]
        there, here = told(upstream, stream_id), told(server, stream_id)
    taps = {**there.taps, **here.taps}
    assert list(taps) == [name for name in TAPS if not name.startswith("client.")]
    assert {(tap.events[-1], tap.bytes[-1]) for tap in taps.values()} == {(3, 15)}
    assert taps["upstream.due"].bytes.tolist() == SIZES
    firsts = [taps[name].at_ns[0] for name in TAPS if name in taps and name != "upstream.sent"]
    assert all(before <= after for before, after in pairwise(firsts))
    assert here.marks["relay.asked"] <= here.marks["relay.asking"] <= there.marks["upstream.asked"]
    assert here.origin == there.origin
    assert here.finished
    assert here.dropped == 0


def test_without_tracing_nothing_is_kept_or_told(upstream: Server) -> None:
    with relay(upstream) as server:
        stream_id = post(server).headers["x-stream-id"]
        assert server.app is not None
        assert server.app.ctx.relay.taps is None
        assert httpx2.get(f"{server.url}/streams/{stream_id}/taps", trust_env=False).status_code == 404
        assert all(log.stream_id != stream_id for log in upstream.app.ctx.sent)  # type: ignore[union-attr]  # a thread


def test_an_unknown_stream_is_a_problem_that_repeats_nothing_of_the_request(upstream: Server) -> None:
    with relay(upstream, trace=True) as server:
        answer = httpx2.get(f"{server.url}/streams/%0d%0aevil/taps", timeout=WAIT_S, trust_env=False)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_stream"
    assert "evil" not in answer.text
    assert "evil" not in str(answer.headers)


def test_a_stream_that_is_refused_has_its_marks(upstream: Server) -> None:
    with relay(upstream, trace=True) as server:
        stream_id = httpx2.post(f"{server.url}/ans", trust_env=False, timeout=WAIT_S).headers["x-stream-id"]
        taps = told(server, stream_id)
    assert (list(taps.marks), taps.taps, taps.finished) == (["relay.asked"], {}, True)


def test_the_relays_own_word_for_each_stream_stands_with_its_taps(
    upstream: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """What is logged of it but its `why`, and nothing else: whole, refused for its upstream, and for its body."""
    caplog.set_level(logging.INFO, "streamkit.relay")
    words = []
    nowhere = serve(partial(create_app, upstream="http://127.0.0.1:1/", trace=True))
    with relay(upstream, trace=True) as server, nowhere:
        answers = [(server, post(server, "/ans", accept="text/event-stream")), (nowhere, post(nowhere))]
        answers.append((server, httpx2.post(f"{server.url}/ans", trust_env=False, timeout=WAIT_S)))
        for asked, answer in answers:
            assert eventually(lambda: told(asked, answer.headers["x-stream-id"]).finished)  # noqa: B023  # asked at once
            words.append(told(asked, answer.headers["x-stream-id"]).word)
    logged = [orjson.loads(record.getMessage()) for record in caplog.records if record.name == "streamkit.relay"]
    whys = [line.pop("why") for line in logged if "why" in line]
    assert whys == ["no connection: connection refused: nobody listens there"]
    assert sorted(words, key=str) == sorted(logged, key=str)
    assert [(word["outcome"], word["status"]) for word in words if word] == [
        ("complete", 200),
        ("refused(connect)", 502),
        ("refused(415)", 415),
    ]


def test_the_upstream_names_streams_of_its_own_and_takes_no_odd_names(upstream: Server) -> None:
    own = post(upstream, "/v1", **{"x-stream-id": "../../x"}).headers["x-stream-id"]
    assert own != "../../x"
    assert told(upstream, own).taps["upstream.sent"].events[-1] == 3
    assert post(upstream, "/v1", **{"x-stream-id": "mine-1"}).headers["x-stream-id"] == "mine-1"


@pytest.mark.parametrize(("value", "on"), [("1", True), ("true", True), ("0", False), ("", False), (None, False)])
def test_the_environment_can_switch_tracing_on(monkeypatch: pytest.MonkeyPatch, value: str | None, on: bool) -> None:
    monkeypatch.delenv("STREAMKIT_TRACE", raising=False)
    if value is not None:
        monkeypatch.setenv("STREAMKIT_TRACE", value)
    relay = create_app(upstream="http://127.0.0.1:9/ans").ctx.relay
    assert isinstance(relay.taps, TapLog) is on


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMKIT_TRACE", "maybe")
    with pytest.raises(ConfigError, match="STREAMKIT_TRACE as 0, 1, true or false, got 'maybe'"):
        create_app(upstream="http://127.0.0.1:9/ans")
