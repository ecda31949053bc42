"""Which web pages may send requests: by what a browser says about the page. Heads in, verdicts out; no I/O.

    admission = Admission(cors_origins=["https://app.example"], allowed_hosts=["relay.example"])
    admission.check(headers, local)          # raises Failed (403) for a page that may not
    admission.cors(headers)                  # what the answer says to a page that may

A relay on localhost spends a key, and every page that its user opens in a browser can send it requests. Two things are
refused:

- **A request from another site** (`cross_site`), by Fetch Metadata and Origin; a form can be sent without the server's
  permission (Fetch, "no-cors"). The rule is that of Go's net/http (CrossOriginProtection): if there is a
  `Sec-Fetch-Site`, it has to be `same-origin` or `none`; otherwise, if there is an `Origin`, it has to be the Host. A
  client that sends neither is not a browser (curl, httpx), or one from before 2020 sending a GET, whose answer its page
  cannot read.
- **A name that is not ours** (`foreign_host`), if the request came over a loopback address: a page whose own name is
  made to lead there (DNS rebinding) would be of the same origin as the relay. An address cannot be rebound, and
  `localhost` leads nowhere else (RFC 6761). Names without a dot are accepted too, as tools and containers use them and
  public DNS has none, unless a page of that same name asks.

This does not replace a password: anything that can open a connection, and is not a browser, may ask.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Protocol

from streamkit.errors import ConfigError
from streamkit.relay.failure import Failed

__all__ = ["Admission", "Heads"]

ANY: Final = "*"
ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.\-]*://(?:\[[0-9a-f:.]+\]|[^\s/?#@\[\]:*]+)(?::[0-9]{1,5})?")
"""RFC 6454 section 6.2, in lower case."""
HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|[^\s/?#@\[\]:*]+")
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
OWN_SITE: Final = frozenset({"same-origin", "none"})
SHOWN: Final = "x-stream-id, preference-applied, retry-after, location, content-range, x-stream-live"
TAKEN: Final = (
    "content-type, prefer, x-stream-id, authorization, last-event-id, idempotency-key, range, content-digest, "
    "repr-digest, traceparent, tracestate"
)
PREFLIGHT_S: Final = 600


class Heads(Protocol):
    """A request's header fields by name, whatever its case, as Sanic has them."""

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


class Admission:
    """Which web pages may ask, and by which names the relay may be reached over loopback.

        >>> from streamkit.relay.request.pages import Admission
        >>> Admission("http://localhost:5173").cors_origins
        frozenset({'http://localhost:5173'})

    cors_origins    other sites whose pages may ask and read the answers: exact origins (`https://app.example:8443`), or
                    `*` for any
    allowed_hosts   names besides localhost by which the relay is reached over loopback, such as those that a reverse
                    proxy on the same machine passes on; without port, or `*` for any

    Both are a list, or one text with commas. Raises ConfigError for what is not an origin or not a host.
    """

    def __init__(self, cors_origins: str | Iterable[str] = (), allowed_hosts: str | Iterable[str] = ()) -> None:
        self.cors_origins = frozenset(map(_origin, _listed(cors_origins)))
        self.allowed_hosts = frozenset(map(_host, _listed(allowed_hosts)))
        self._is_our_name = lru_cache(maxsize=64)(self._looks_like_ours)  # most come by the same few

    def check(self, headers: Heads, local: object) -> None:
        """Raise Failed unless the request may be answered; `local` is the address it came in by (a socket's name)."""
        host = ",".join(headers.getall("host", [])).lower()
        origins = [origin.lower() for origin in headers.getall("origin", [])]
        sites = headers.getall("sec-fetch-site", [])
        of_this_host = not origins or _is_own_site(host, origins)
        if _is_loopback(local) and not self._is_our_name(host, by_its_page=bool(origins) and of_this_host):
            raise Failed.of_request(
                403, "foreign_host", "this relay is on localhost; start it with --allow-host NAME for another name"
            )
        own = all(site in OWN_SITE for site in sites) if sites else of_this_host
        if not own and not self._allows(origins):
            raise Failed.of_request(
                403,
                "cross_site",
                "a web page of another site asks; start the relay with --cors-origin ORIGIN to let it",
            )

    def cors(self, headers: Heads) -> Mapping[str, str]:
        """The header fields of an answer to such a request (Fetch, "CORS protocol"); none if no page was let in.

        They allow no credentials, as the relay knows none.
        """
        if not self.cors_origins:
            return {}
        varies = {} if ANY in self.cors_origins else {"vary": "Origin"}
        origins = headers.getall("origin", [])
        if not self._allows([origin.lower() for origin in origins]):
            return varies
        allowed = ANY if ANY in self.cors_origins else origins[0]
        return {**varies, "access-control-allow-origin": allowed, "access-control-expose-headers": SHOWN}

    def preflight(self, method: str) -> Mapping[str, str]:
        """The header fields that an answer to OPTIONS adds: which `method` and which fields a page may send."""
        return {
            "access-control-allow-methods": method,
            "access-control-allow-headers": TAKEN,
            "access-control-max-age": str(PREFLIGHT_S),
        }

    def _allows(self, origins: list[str]) -> bool:
        """A page of one of the `cors_origins`; where any may, who names none too (a picture, a link)."""
        if ANY in self.cors_origins:
            return True
        return bool(origins) and all(origin in self.cors_origins for origin in origins)

    def _looks_like_ours(self, host: str, *, by_its_page: bool) -> bool:
        found = HOST.match(host)
        name = found[0].rstrip(".") if found else ""
        if name in self.allowed_hosts or ANY in self.allowed_hosts:
            return True
        if name == "localhost" or name.endswith(".localhost") or _is_loopback_address(name.strip("[]")):
            return True
        return "." not in name and ":" not in name and not by_its_page


def _is_own_site(host: str, origins: list[str]) -> bool:
    """A page of this very host, or nobody who names one."""
    return all(_authority(origin) == _authority(f"{origin.partition(':')[0]}://{host}") for origin in origins)


def _authority(origin: str) -> str:
    """Host and port, the scheme's default one left out. Not the scheme: a relay behind a proxy that ends TLS does not
    know its own.
    """
    scheme, _, authority = origin.partition("://")
    return authority.removesuffix(DEFAULT_PORTS.get(scheme, "")) if authority else "null"


def _is_loopback(local: object) -> bool:
    """The first part of a socket's name is a loopback address; a unix socket's name, a path, is none."""
    return isinstance(local, tuple) and bool(local) and _is_loopback_address(str(local[0]))


@lru_cache(maxsize=64)
def _is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _listed(given: str | Iterable[str]) -> list[str]:
    several = given.split(",") if isinstance(given, str) else given
    return [text for each in several if (text := each.strip().lower())]


def _origin(text: str) -> str:
    if text == "null":
        raise ConfigError("expected an origin, got 'null', which any page can have: write * if any page may ask")
    if text != ANY and not ORIGIN.fullmatch(text):
        raise ConfigError(f"expected an origin such as https://app.example:8443, without a path, or *, got {text!r}")
    return text.removesuffix(DEFAULT_PORTS.get(text.partition(":")[0], "\n"))


def _host(text: str) -> str:
    if text != ANY and not HOST.fullmatch(text):
        raise ConfigError(f"expected a host name such as relay.example, without a port, or *, got {text!r}")
    return text.rstrip(".")
