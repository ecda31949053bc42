"""What ends a body, and so whether its end proves anything."""

from __future__ import annotations

import pytest

from streamkit.transport.http1 import framing


@pytest.mark.parametrize(
    ("headers", "ends_with"),
    [
        ({"transfer-encoding": "chunked"}, "chunked"),
        ({"transfer-encoding": "gzip, Chunked"}, "chunked"),
        ({"transfer-encoding": "chunked", "content-length": "5"}, "chunked"),
        ({"transfer-encoding": "chunked, gzip"}, "close"),
        ({"transfer-encoding": "gzip", "content-length": "5"}, "close"),
        ({"content-length": "5"}, "length"),
        ({}, "close"),
    ],
)
def test_in_http_1_the_headers_say_it(headers: dict[str, str], ends_with: str) -> None:
    assert framing(headers, "HTTP/1.1") == framing(headers, "HTTP/1.0") == ends_with


@pytest.mark.parametrize("version", ["HTTP/2", "HTTP/3", None])
def test_elsewhere_the_transport_says_it(version: str | None) -> None:
    assert framing({}, version) == "transport"
