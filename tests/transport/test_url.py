"""URLs: plain ones, those of unix sockets, and the ones that are refused."""

from __future__ import annotations

import pytest

from streamkit.errors import ConfigError
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


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ws://secret.test/x", r"got a WebSocket URL \(ws://\): streamkit speaks HTTP"),
        ("wss://secret.test/x", r"got a WebSocket URL \(wss://\): streamkit speaks HTTP"),
        ("http://secret.test:65536/", "expected a port up to 65535 in the URL, got 65536"),
    ],
)
def test_why_another_url_cannot_be_asked_is_said_without_repeating_it(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        split_unix_url(url)
    assert "secret" not in str(refused.value)
