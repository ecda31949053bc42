"""Whom the relay asks: its URL (plain ones, unix sockets, and the ones that are refused), and what it never shows."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from streamkit.app import create_app
from streamkit.errors import ConfigError
from streamkit.presets import preset
from streamkit.relay.sources.upstream import Upstream
from streamkit.transport import StreamTransport
from streamkit.transport.url import split_unix_url


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


@pytest.mark.parametrize("wrong", [{"key": "sk-é"}, {"extra": {"x": object()}}], ids=["key", "extra"])
def test_what_no_question_can_carry_is_said_when_the_upstream_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Upstream("http://api.test/v1", preset("openai"), **wrong)


def test_the_key_goes_with_each_question_and_is_not_shown() -> None:
    upstream = Upstream("http://api.test/v1", preset("openai"), key="sk-secret", model="m", extra={"seed": 7})
    asked = upstream.question("hi")
    assert asked.headers["authorization"] == "Bearer sk-secret"
    assert b'"seed":7' in asked.content.replace(b" ", b"")
    assert repr(upstream) == "<Upstream preset='openai'>"


def test_its_own_transport_lives_from_open_to_close() -> None:
    async def main() -> None:
        upstream = Upstream("http://api.test/v1", preset("openai"), model="m")
        with pytest.raises(AssertionError, match="not open"):
            _ = upstream.transport
        await upstream.open()
        assert isinstance(upstream.transport, StreamTransport)
        await upstream.close()
        with pytest.raises(AssertionError, match="not open"):
            _ = upstream.transport

    asyncio.run(main())


def test_a_transport_of_somebody_elses_is_used_and_closed() -> None:
    class Given(httpx2.AsyncBaseTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def main() -> None:
        given = Given()
        upstream = Upstream("http://api.test/v1", preset("openai"), model="m", transport=given)
        await upstream.open()
        assert upstream.transport is given
        await upstream.close()
        assert given.closed

    asyncio.run(main())
