"""How the upstream is asked, and asked again."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Iterable

import httpx2
import pytest

from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.settings import Retries
from streamkit.relay.sources.post import post
from tests.fakes import run_in_fake_time
from tests.relay.sources.upstreams import upstream_over


class Answering(httpx2.AsyncBaseTransport):
    """Answers 200 to everything; knows what it was asked as long as somebody else does."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked = weakref.ref(request)
        self.seen = (str(request.url), request.headers, request.content, request.extensions["timeout"])
        return httpx2.Response(200, content=b"")


def asked(ask: UpstreamRequest) -> Answering:
    async def main() -> Answering:
        transport = Answering()
        async with await post(upstream_over(transport, url="http://api.test/v1?x=1", connect_s=7.0), ask):
            assert transport.asked() is None, "the question is held while its answer streams"
        return transport

    return asyncio.run(main())


def test_what_is_asked_goes_out_whole_and_only_connecting_is_timed() -> None:
    url, headers, content, timeout = asked(UpstreamRequest({"accept": "a/b"}, b"{}", {"alt": "sse"})).seen
    assert (url, content) == ("http://api.test/v1?x=1&alt=sse", b"{}")
    assert headers["host"] == "api.test"
    assert headers["accept"] == "a/b"
    assert headers["content-length"] == "2"
    assert headers["user-agent"].startswith("streamkit/")
    assert (timeout["read"], timeout["write"]) == (None, None)
    assert timeout["connect"] == timeout["pool"] == pytest.approx(7.0, abs=0.5)


def test_the_question_is_let_go_when_its_answer_begins() -> None:
    assert asked(UpstreamRequest({}, b"x" * 1_000_000)).asked() is None


# --- Retries: only of connecting, bounded, jittered -----------------------------------------------------------------


class Failing(httpx2.AsyncBaseTransport):
    """Takes `takes_s` for each attempt and raises one error after the other; then it answers."""

    def __init__(self, errors: Iterable[Exception], takes_s: float = 0.0) -> None:
        self._errors = iter(errors)
        self._takes_s = takes_s
        self.began: list[float] = []
        self.allowed: list[float | None] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.began.append(asyncio.get_running_loop().time() - 1000.0)
        self.allowed.append(request.extensions["timeout"]["connect"])
        await asyncio.sleep(self._takes_s)
        if (error := next(self._errors, None)) is not None:
            raise error
        return httpx2.Response(200, content=b"")


REFUSED = httpx2.ConnectError("refused")
ASK = UpstreamRequest({}, b"{}")


def tried(transport: Failing, retries: Retries | None = None, connect_s: float = 10.0) -> type[Exception] | None:
    """What became of it, in fake time."""

    async def main() -> None:
        async with await post(upstream_over(transport, connect_s=connect_s, retries=retries), ASK):
            pass

    try:
        run_in_fake_time(main())
    except httpx2.TransportError as error:
        return type(error)
    return None


def test_nothing_is_tried_again_unless_that_is_asked_for() -> None:
    transport = Failing([REFUSED])
    assert tried(transport) is httpx2.ConnectError
    assert len(transport.began) == 1


@pytest.mark.parametrize(("failures", "attempts", "ends"), [
    (0, 1, None), (1, 2, None), (3, 4, None), (4, 4, httpx2.ConnectError), (99, 4, httpx2.ConnectError)
])  # fmt: skip
def test_connecting_is_tried_as_often_as_allowed_and_then_the_error_counts(
    failures: int, attempts: int, ends: type[Exception] | None
) -> None:
    transport = Failing([REFUSED] * failures)
    assert tried(transport, Retries(connect_retries=3)) is ends
    assert len(transport.began) == attempts


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ReadError("reset"),
        httpx2.WriteError("reset"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.ReadTimeout("silent"),
        httpx2.ConnectTimeout("the whole time is over"),
        httpx2.PoolTimeout("all are in use"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_have_been_heard_or_has_had_its_time_is_never_asked_again(error: Exception) -> None:
    for before in range(3):
        transport = Failing([REFUSED] * before + [error])
        assert tried(transport, Retries(connect_retries=10, retry_backoff_ms=0)) is type(error)
        assert len(transport.began) == before + 1


def test_all_attempts_and_waits_share_the_time_for_connecting() -> None:
    transport = Failing([REFUSED] * 99, takes_s=0.3)
    assert tried(transport, Retries(connect_retries=10, retry_backoff_ms=0), connect_s=1.0) is httpx2.ConnectError
    assert transport.began == pytest.approx([0.0, 0.3, 0.6, 0.9])
    assert transport.allowed == pytest.approx([1.0, 0.7, 0.4, 0.1])


def test_no_wait_is_begun_that_would_outlast_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    transport = Failing([REFUSED] * 99)
    assert tried(transport, Retries(connect_retries=10, retry_backoff_ms=400), connect_s=1.0) is httpx2.ConnectError
    assert transport.began == pytest.approx([0.0, 0.4])


def test_without_a_limit_each_attempt_is_without_one() -> None:
    transport = Failing([REFUSED])
    assert tried(transport, Retries(connect_retries=1), connect_s=0.0) is None
    assert transport.allowed == [None, None]


@pytest.mark.parametrize(
    ("chance", "waits_ms"), [(0.0, [0, 0, 0, 0, 0, 0, 0]), (1.0, [100, 200, 400, 800, 1600, 3200, 5000])]
)
def test_the_waits_double_up_to_five_seconds_and_chance_shortens_them(
    chance: float, waits_ms: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: chance)
    transport = Failing([REFUSED] * 7)
    assert tried(transport, Retries(connect_retries=7, retry_backoff_ms=100), connect_s=60.0) is None
    waited = [(later - sooner) * 1e3 for sooner, later in itertools.pairwise(transport.began)]
    assert waited == pytest.approx(waits_ms)


def test_two_clients_do_not_wait_equally_long() -> None:
    waits = []
    for _ in range(20):
        transport = Failing([REFUSED])
        tried(transport, Retries(connect_retries=1, retry_backoff_ms=100))
        waits.append(transport.began[1])
    assert len({round(wait, 6) for wait in waits}) > 10
    assert all(0 <= wait <= 0.1 + 1e-9 for wait in waits)
