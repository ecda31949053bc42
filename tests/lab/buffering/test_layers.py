"""Who is on the way: by heads, and by the pages of those who refuse."""

from __future__ import annotations

import gzip
import zlib

import pytest

from streamkit.lab.buffering.layers import compressor_of, is_copy, layers_of, page_of, refused_by


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({}, []),
        ({"server": "nginx/1.22.1"}, ["nginx"]),
        ({"server": "openresty"}, ["nginx"]),
        ({"server": "Caddy, nginx/1.22.1"}, ["Caddy", "nginx"]),
        ({"server": "uvicorn"}, []),
        ({"server": "cloudflare", "cf-ray": "8f2-FRA"}, ["Cloudflare"]),
        ({"via": "1.1 3f2.cloudfront.net (CloudFront)", "x-amz-cf-id": "x"}, ["CloudFront"]),
        ({"via": "1.1 varnish, 1.1 Caddy"}, ["Caddy", "Varnish"]),
        ({"x-envoy-upstream-service-time": "5"}, ["Envoy"]),
        ({"proxy-status": "haproxy; error=connection_refused"}, ["HAProxy"]),
        ({"server": "not-a-caddyshack"}, []),
    ],
)
def test_a_head_names_those_who_name_themselves(headers: dict[str, str], names: list[str]) -> None:
    assert [layer.name for layer in layers_of(headers)] == names


def test_it_is_said_why_and_no_more_than_a_line() -> None:
    (layer,) = layers_of({"server": "nginx " + "x" * 500})
    assert layer.because.startswith("Server: nginx xxx")
    assert len(layer.because) < 80


NGINX = b"<html>\r\n<center><h1>400 Bad Request</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</html>\r\n"
HAPROXY = b"<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n"


def test_pages_of_refusals_are_known_by_their_words() -> None:
    assert (page_of(NGINX), page_of(HAPROXY)) == ("nginx", "HAProxy")
    assert page_of(b'{"code": "head_too_large"}') is None
    assert page_of(b"an essay on nginx and HAProxy") is None


def test_a_page_counts_as_a_refusal_alone() -> None:
    (layer,) = refused_by(400, HAPROXY, 19_500)
    assert (layer.name, layer.because) == (
        "HAProxy",
        "a head with 19,500 bytes of padding was refused (400) by HAProxy's own page",
    )
    assert refused_by(200, HAPROXY, 19_500) == ()
    assert refused_by(431, b"{}", 19_500) == ()
    assert refused_by(None, b"", 19_500) == ()


def test_a_copy_is_known_by_the_cache_that_says_so() -> None:
    assert is_copy({"x-cache": "HIT"}) == "X-Cache: HIT"
    assert is_copy({"cf-cache-status": "HIT"}) == "Cf-Cache-Status: HIT"
    assert is_copy({"x-cache": "Hit from cloudfront"}) is not None
    assert is_copy({"x-cache": "MISS"}) is None
    assert is_copy({"x-cache": "white"}) is None


def test_gzip_of_go_is_told_from_that_of_c() -> None:
    assert compressor_of(zlib.compress(b"text", wbits=31)) == "C"
    assert compressor_of(gzip.compress(b"text")[:9] + b"\xff") == "Go"
    assert compressor_of(b"\x1f\x8b\x08") is None
    assert compressor_of(b"data: no gzip at all") is None
