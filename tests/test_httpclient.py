"""How the upstream is asked, and its URLs: plain ones, unix sockets, and the ones that are refused."""

from __future__ import annotations

import asyncio
import weakref

import httpx2
import pytest

from streamkit.app import create_app
from streamkit.asking import UpstreamRequest
from streamkit.errors import ConfigError
from streamkit.httpclient import post, split_unix_url


def test_a_plain_url_stays_as_it_is() -> None:
    url, unix = split_unix_url("https://api.test:8443/v1/x?alt=sse")
    assert (str(url), unix) == ("https://api.test:8443/v1/x?alt=sse", None)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http+unix://%2Ftmp%2Fa%20b.sock", "http://localhost/"),
        ("http+unix://%2Ftmp%2Fa%20b.sock/ans?x=1", "http://localhost/ans?x=1"),
    ],
)
def test_a_unix_url_is_a_path_and_a_url_on_localhost(given: str, url: str) -> None:
    split, unix = split_unix_url(given)
    assert (str(split), unix) == (url, "/tmp/a b.sock")  # noqa: S108  # a name in a URL, no file


@pytest.mark.parametrize("url", ["", "localhost:8000", "/ans", "ftp://x/", "http://", "http://[::1/", "http://x:port/"])
def test_what_is_no_full_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a full URL such as"):
        split_unix_url(url)


def test_a_password_in_the_upstreams_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="UPSTREAM_API_KEY") as refused:
        create_app(upstream="https://user:secret@api.test/v1")
    assert "secret" not in str(refused.value)


class Answering(httpx2.AsyncBaseTransport):
    """Answers 200 to everything; knows what it was asked as long as somebody else does."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked = weakref.ref(request)
        self.seen = (str(request.url), request.headers, request.content, request.extensions["timeout"])
        return httpx2.Response(200, content=b"")


def asked(ask: UpstreamRequest) -> Answering:
    async def main() -> Answering:
        transport = Answering()
        async with post(transport, httpx2.URL("http://api.test/v1?x=1"), ask, 7.0):
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
    assert timeout == {"connect": 7.0, "pool": 7.0, "read": None, "write": None}


def test_the_question_is_let_go_when_its_answer_begins() -> None:
    assert asked(UpstreamRequest({}, b"x" * 1_000_000)).asked() is None
