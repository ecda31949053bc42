"""Who is on the way to a server: layers that name themselves in a head, or in the page with which they refuse one.

What is told is that a layer is there, and why that is believed; not what it does. A layer that says nothing (HAProxy),
or is silenced by the one before it (Caddy behind nginx), is not seen in any head. Two are seen when they have to
refuse: nginx takes no header of more than 8 KiB (`large_client_header_buffers`), HAProxy no head of more than 15
(`tune.bufsize`), and both answer with a page of their own, which others pass on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streamkit.lab.findings.words import short

__all__ = ["Layer", "compressor_of", "is_copy", "layers_of", "page_of", "refused_by"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer by its product's name, and what it was known by."""

    name: str
    because: str


NAMES: Final[Mapping[str, str]] = {
    "nginx": "nginx",
    "openresty": "nginx",
    "haproxy": "HAProxy",
    "caddy": "Caddy",
    "cloudflare": "Cloudflare",
    "cloudfront": "CloudFront",
    "varnish": "Varnish",
    "envoy": "Envoy",
    "traefik": "Traefik",
    "apache": "Apache",
    "squid": "Squid",
    "akamaighost": "Akamai",
    "awselb": "AWS ELB",
    "litespeed": "LiteSpeed",
    "microsoft-iis": "IIS",
}
"""Words in `Server`, `Via` and `Proxy-Status`, and whose they are."""

MARKS: Final[Mapping[str, str]] = {
    "cf-ray": "Cloudflare",
    "x-amz-cf-id": "CloudFront",
    "x-fastly-request-id": "Fastly",
    "x-varnish": "Varnish",
    "x-envoy-upstream-service-time": "Envoy",
    "x-azure-ref": "Azure Front Door",
    "x-vercel-id": "Vercel",
    "fly-request-id": "Fly.io",
}
"""Fields that one product alone adds. Their values are of one request, and say nothing more."""

PAGES: Final[Mapping[str, str]] = {
    r"<center>(?:nginx|openresty)(?:/[\d.]+)?</center>": "nginx",
    r"<h1>400 Bad request</h1>\nYour browser sent an invalid request\.": "HAProxy",
    r"<center>cloudflare</center>": "Cloudflare",
}
_VALUE: Final = re.compile(r"[A-Za-z][\w.-]*")
_HIT: Final = re.compile(r"\b(?:hit|stale|updating|revalidated)\b", re.I)


def layers_of(headers: Mapping[str, str]) -> tuple[Layer, ...]:
    """Those that an answer's head (lower-case names) tells of, in no order.

    >>> [layer.name for layer in layers_of({"server": "nginx/1.22.1", "cf-ray": "8f2"})]
    ['nginx', 'Cloudflare']
    """
    found = []
    for field in ("server", "via", "proxy-status"):
        value = headers.get(field, "")
        known = {NAMES[word] for word in _words(value) if word in NAMES}
        found += [Layer(name, f"{field.title()}: {short(value, 60)}") for name in sorted(known)]
    found += [Layer(name, f"the header {field}") for field, name in MARKS.items() if field in headers]
    return tuple({layer.name: layer for layer in reversed(found)}.values())[::-1]


def _words(value: str) -> list[str]:
    """`1.1 abc.cloudfront.net (CloudFront)` → abc.cloudfront.net, cloudfront, and the parts of names with dots."""
    words = [word.lower() for word in _VALUE.findall(value)]
    return [part for word in words for part in (word, *re.split(r"[.-]", word))]


def page_of(body: bytes) -> str | None:
    """Whose page a refusal is, None for any other.

    >>> page_of(b"<html>...<hr><center>nginx/1.22.1</center></body></html>")
    'nginx'
    """
    text = body[:4096].decode("latin-1").replace("\r\n", "\n")
    return next((name for page, name in PAGES.items() if re.search(page, text)), None)


def refused_by(status: int | None, body: bytes, size: int) -> tuple[Layer, ...]:
    """Who refused a request with `size` bytes of padding in its head, by the page of the refusal."""
    name = page_of(body)
    if name is None or status is None or status < 400:
        return ()
    return (Layer(name, f"a head with {size:,} bytes of padding was refused ({status}) by {name}'s own page"),)


def is_copy(headers: Mapping[str, str]) -> str | None:
    """What says that an answer came out of a cache: the field and its value; None where nothing does."""
    for field in ("x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache", "x-varnish-cache"):
        if _HIT.search(value := headers.get(field, "")):
            return f"{field.title()}: {short(value, 40)}"
    return None


def compressor_of(body: bytes) -> str | None:
    """Who made a gzip body, by the system that its head names (RFC 1952, section 2.3.1): "Go" (Caddy, Traefik) writes
    255, zlib and libslz (nginx, HAProxy, most servers) write 3, "C". None for what is no gzip, or of others.

    >>> import zlib
    >>> compressor_of(zlib.compress(b"hi", wbits=31)), compressor_of(b"hi")
    ('C', None)
    """
    if len(body) < 10 or body[:3] != b"\x1f\x8b\x08":
        return None
    return {3: "C", 255: "Go"}.get(body[9])
