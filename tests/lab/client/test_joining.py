"""Taps that are asked for over HTTP: what a server may answer instead, and what is said of it."""

from __future__ import annotations

import asyncio
import gzip
import json

import httpx2
import pytest

from streamkit.errors import NoTaps
from streamkit.lab.client.joining import join, origin_of
from streamkit.lab.recording.recording import Recording
from streamkit.taps import StreamTaps

STARTED_NS = 1_000
ORIGIN = "boot-here"


def recording(url: str = "http://relay:8000/ans") -> Recording:
    return Recording(headers={"x-stream-id": "one"}, meta={"origin": ORIGIN}, started_ns=STARTED_NS, url=url)


def taps_of(name: str, *, stream_id: str = "one", origin: str = ORIGIN, finished: bool = True) -> StreamTaps:
    taps = StreamTaps(stream_id)
    taps.origin, taps.finished = origin, finished
    taps.stamp(name, STARTED_NS + 5, 1, 3)
    return taps


def answers(*each: httpx2.Response | StreamTaps) -> tuple[httpx2.AsyncClient, list[httpx2.Request]]:
    """A client whose server gives one answer after the other, and what it was asked."""
    left, asked = list(each), list[httpx2.Request]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        one = left.pop(0) if len(left) > 1 else left[0]
        return one if isinstance(one, httpx2.Response) else httpx2.Response(200, json=one.as_dict())

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer)), asked


def joined(*each: httpx2.Response | StreamTaps, url: str | None = None, wait_s: float = 5) -> Recording:
    return asyncio.run(join(recording(), url, client=answers(*each)[0], wait_s=wait_s))


def test_the_recordings_own_server_is_asked_by_the_streams_id() -> None:
    client, asked = answers(taps_of("relay.read"))
    whole = asyncio.run(join(recording(), client=client))
    assert [str(request.url) for request in asked] == ["http://relay:8000/streams/one/taps"]
    assert whole.taps["relay.read"].at_ns.tolist() == [5]
    assert not recording().taps


def test_another_url_may_have_a_path_and_headers_go_along() -> None:
    client, asked = answers(taps_of("relay.read"))
    asyncio.run(join(recording(), "http://proxy/relay/", client=client, headers={"authorization": "Bearer k"}))
    assert [str(request.url) for request in asked] == ["http://proxy/relay/streams/one/taps"]
    assert asked[0].headers["authorization"] == "Bearer k"


def test_an_id_is_one_part_of_a_path_whatever_is_in_it() -> None:
    client, asked = answers(taps_of("relay.read", stream_id="a/../b"))
    odd = Recording(headers={"x-stream-id": "a/../b"}, meta={"origin": ORIGIN}, url="http://relay/ans")
    asyncio.run(join(odd, client=client))
    assert asked[0].url.raw_path == b"/streams/a%2F..%2Fb/taps"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://relay:8000/a/b?key=1", "http://relay:8000"),
        ("http+unix://%2Ftmp%2Fs.sock/ans", "http+unix://%2Ftmp%2Fs.sock"),
        ("https://[::1]:8/ans", "https://[::1]:8"),
    ],
)
def test_the_origin_of_a_url_is_what_stands_before_its_path(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_it_waits_until_the_server_has_seen_the_end_too() -> None:
    running = taps_of("relay.read", finished=False)
    whole = joined(running, running, taps_of("relay.sent"))
    assert list(whole.taps) == ["relay.sent"]
    assert "notes" not in whole.meta


def test_taps_of_a_stream_that_does_not_end_are_joined_and_it_is_said() -> None:
    whole = joined(taps_of("relay.read", finished=False), wait_s=0.02)
    assert list(whole.taps) == ["relay.read"]
    assert whole.meta["notes"] == ["read before their stream had ended, so their end may be missing: relay.read"]


def test_what_a_proxy_compressed_is_read_too() -> None:
    body = gzip.compress(json.dumps(taps_of("relay.read").as_dict()).encode())
    packed = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(body))
    assert list(joined(packed).taps) == ["relay.read"]


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"stream_id": "one"}'])
def test_an_answer_that_is_no_taps_is_of_no_relay_of_ours(body: bytes) -> None:
    with pytest.raises(
        NoTaps, match="http://relay:8000 answered with something other than taps: is it a relay of ours"
    ):
        joined(httpx2.Response(200, content=body))


def test_a_server_that_does_not_trace_is_told_how() -> None:
    with pytest.raises(NoTaps, match=r"has no taps \(404\): a relay has them with --trace, create_app\(trace=True\)"):
        joined(httpx2.Response(404, text="<h1>Not Found</h1>"))


def test_a_stream_that_a_relay_does_not_know_is_something_else() -> None:
    problem = {"code": "unknown_stream", "status": 404}
    with pytest.raises(NoTaps, match=r"does not know the stream .*: it is another relay, or another of its workers"):
        joined(httpx2.Response(404, json=problem))


@pytest.mark.parametrize("status", [301, 403, 502])
def test_any_other_status_is_named(status: int) -> None:
    with pytest.raises(NoTaps, match=f"answered {status} when asked"):
        joined(httpx2.Response(status, json=["no problem"]))


def test_another_clock_and_another_stream_are_refused() -> None:
    with pytest.raises(ValueError, match="different machines or boots are never subtracted"):
        joined(taps_of("relay.read", origin="boot-there"))
    with pytest.raises(ValueError, match="expected the taps of stream one, got those of stream two"):
        joined(taps_of("relay.read", stream_id="two"))


def test_a_recording_without_an_id_is_of_no_relay_of_ours() -> None:
    with pytest.raises(NoTaps, match="expected a recording of an answer with X-Stream-Id"):
        asyncio.run(join(Recording(url="http://relay/ans")))


def test_no_key_of_the_url_is_in_what_is_said() -> None:
    with pytest.raises(NoTaps) as raised:
        joined(httpx2.Response(403), url="http://user:secret@relay:8000")
    assert "secret" not in str(raised.value)
    assert "user" not in str(raised.value)


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="full URL"):
        asyncio.run(join(recording(), "relay"))
    with pytest.raises(ValueError, match="wait_s"):
        asyncio.run(join(recording(), wait_s=-1))
    with pytest.raises(TypeError, match="expected verify or a client"):
        asyncio.run(join(recording(), client=answers(taps_of("relay.read"))[0], verify=False))
