"""Which web pages may ask: every case as a browser, or a client that is none, would send it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sanic.compat import Header

from streamkit.errors import ConfigError
from streamkit.relay.failure import Failed
from streamkit.relay.request.pages import Admission

OURS = "127.0.0.1:8000"
LOOPBACK = ("127.0.0.1", 8000)
OUTSIDE = ("192.0.2.7", 8000)
ROOM = Admission()


def verdict(
    *fields: tuple[str, str], host: str | None = OURS, local: object = LOOPBACK, admission: Admission = ROOM
) -> str:
    """ "" for a request that may be answered, or the code by which it is refused."""
    try:
        admission.check(Header([*fields, *([] if host is None else [("Host", host)])]), local)
    except Failed as error:
        return error.failure.code if error.failure.status == 403 else f"not refused, but {error.failure.status}"
    return ""


def by(origin: str | None = None, site: str | None = None) -> list[tuple[str, str]]:
    given = [("Origin", origin), ("Sec-Fetch-Site", site)]
    return [(name, value) for name, value in given if value is not None]


# --- Whose page asks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", "cross-site"),
        ("http://localhost:3000", "same-site"),
        ("null", "cross-site"),
        ("null", None),  # a sandboxed frame, a file; an older browser
        ("https://evil.example", None),
        ("http://127.0.0.1:3000", None),
        ("http://127.0.0.1", None),
        ("http://127.0.0.1:8000.evil.example", None),
        ("http://evil.example/127.0.0.1:8000", None),
        ("127.0.0.1:8000", None),  # no origin
        ("", None),
        (None, "cross-site"),  # a link, a picture
        (None, "same-site"),
        (None, "what-comes-next"),
        (None, ""),
    ],
)
def test_a_page_of_another_site_may_not_ask(origin: str | None, site: str | None) -> None:
    assert verdict(*by(origin, site)) == "cross_site"
    assert verdict(*by(origin, site), local=OUTSIDE) == "cross_site", "whatever address it came by"
    assert verdict(*by(origin, site), local="/run/relay.sock") == "cross_site"


@pytest.mark.parametrize(
    ("origin", "site", "host"),
    [
        (None, None, OURS),  # curl, httpx
        (None, "none", OURS),  # typed into the address bar
        ("http://127.0.0.1:8000", "same-origin", OURS),
        ("http://127.0.0.1:8000", None, OURS),
        ("HTTP://LocalHost:8000", None, "localhost:8000"),
        ("http://[::1]:8000", None, "[::1]:8000"),
        ("http://localhost", None, "localhost"),
        ("http://localhost", None, "localhost:80"),
        ("https://localhost", None, "localhost:443"),
        ("https://localhost", None, "localhost"),  # behind something that ends TLS
    ],
)
def test_a_page_of_the_relays_own_origin_may_and_whoever_is_no_browser(
    origin: str | None, site: str | None, host: str
) -> None:
    assert verdict(*by(origin, site), host=host) == ""


def test_what_fetch_metadata_says_counts_before_the_origin() -> None:
    assert verdict(*by("http://127.0.0.1:8000", "cross-site")) == "cross_site"
    assert verdict(*by("https://elsewhere.example", "same-origin")) == "", "a proxy has changed the Host"


def test_of_several_values_each_has_to_be_ours() -> None:
    own, other = ("Origin", "http://127.0.0.1:8000"), ("Origin", "https://evil.example")
    assert verdict(own, other) == verdict(other, own) == "cross_site"
    assert verdict(("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")) == "cross_site"
    listening = Admission("https://app.example")
    assert verdict(("Origin", "https://app.example"), other, admission=listening) == "cross_site"


@pytest.mark.parametrize("listed", ["https://app.example", ["https://b.example", "https://app.example:443"]])
def test_pages_that_are_named_may_ask_and_no_others(listed: str | list[str]) -> None:
    admission = Admission(listed)
    assert verdict(*by("https://app.example", "cross-site"), admission=admission) == ""
    assert verdict(*by("https://APP.example", "cross-site"), admission=admission) == ""
    for other in ("http://app.example", "https://app.example:8443", "https://app.example.evil.example", "null"):
        assert verdict(*by(other, "cross-site"), admission=admission) == "cross_site"
    assert verdict(*by(None, "cross-site"), admission=admission) == "cross_site", "who does not say which page"


def test_where_any_page_may_ask_any_may() -> None:
    for origin in ("https://evil.example", "null", None):
        assert verdict(*by(origin, "cross-site"), admission=Admission("*")) == ""


# --- By which name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "localhost.", "app.localhost:8000"),
        *("127.0.0.1", "127.0.0.1.", "127.0.0.1:8000", "127.8.9.10", "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:8000"),
        *("relay", "test:8000", ""),  # no dot: not out of public DNS
        None,  # HTTP/1.0
    ],
)
def test_over_loopback_names_that_can_only_be_ours_are_taken(host: str | None) -> None:
    assert verdict(host=host) == ""


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost.com"),
        *("192.0.2.7", "[2001:db8::1]:8000", "0.0.0.0:8000", "[::]", "127.1.evil.example"),
    ],
)
def test_over_loopback_any_other_name_may_be_rebound(host: str) -> None:
    assert verdict(host=host) == "foreign_host"
    own = by(f"http://{host}", "same-origin")
    assert verdict(*own, host=host) == "foreign_host", "a page of that name is of the relay's own origin"


@pytest.mark.parametrize("local", [("::1", 8000, 0, 0), ("::ffff:127.0.0.1", 8000, 0, 0), ("127.0.0.53", 80)])
def test_every_loopback_address_is_one(local: object) -> None:
    assert verdict(host="evil.example", local=local) == "foreign_host"


@pytest.mark.parametrize("local", [OUTSIDE, ("2001:db8::1", 8000, 0, 0), "/run/relay.sock", "", b"\0abstract", None])
def test_elsewhere_names_are_others_business(local: object) -> None:
    assert verdict(host="relay.example", local=local) == ""


def test_a_page_of_a_name_without_a_dot_is_refused_too() -> None:
    assert verdict(*by("http://relay:8000"), host="relay:8000") == "foreign_host"
    assert verdict(*by("https://evil.example"), host="relay:8000") == "cross_site"
    assert verdict(*by("https://app.example"), host="relay", admission=Admission("https://app.example")) == ""


def test_names_that_a_reverse_proxy_passes_on_can_be_allowed() -> None:
    admission = Admission(allowed_hosts=["Relay.Example", "192.0.2.7", "[2001:db8::1]"])
    for host in (
        "relay.example",
        "RELAY.example:443",
        "relay.example.",
        "192.0.2.7:80",
        "[2001:DB8::1]:80",
        "localhost",
    ):
        assert verdict(host=host, admission=admission) == ""
    assert verdict(host="evil.example", admission=admission) == "foreign_host"
    assert verdict(*by("https://relay.example"), host="relay.example", admission=admission) == ""
    assert verdict(*by("https://evil.example"), host="relay.example", admission=admission) == "cross_site"
    assert verdict(host="any.example", admission=Admission(allowed_hosts="*")) == ""


@given(host=st.text(max_size=30), origin=st.text(max_size=30), site=st.text(max_size=12))
def test_whatever_the_fields_hold_there_is_a_verdict(host: str, origin: str, site: str) -> None:
    assert verdict(*by(origin, site), host=host) in {"", "cross_site", "foreign_host"}


# --- What pages are told --------------------------------------------------------------------------------------------


def test_without_the_option_no_page_is_told_anything() -> None:
    assert ROOM.cors(Header({"origin": "https://app.example"})) == {}


def test_a_page_that_may_read_is_told_so_and_the_answer_varies_by_who_asks() -> None:
    admission = Admission("https://app.example")
    told = admission.cors(Header({"origin": "https://app.example"}))
    assert told["access-control-allow-origin"] == "https://app.example"
    assert told["vary"] == "Origin"
    assert "x-stream-id" in told["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in told
    assert admission.cors(Header({"origin": "https://evil.example"})) == admission.cors(Header()) == {"vary": "Origin"}


def test_where_any_page_may_read_all_are_told_the_same() -> None:
    told = Admission("*").cors(Header({"origin": "null"}))
    assert told["access-control-allow-origin"] == "*"
    assert "vary" not in told
    assert told == Admission("*").cors(Header())


# --- What can be said -----------------------------------------------------------------------------------------------


def test_lists_are_given_as_such_or_as_one_text() -> None:
    assert Admission(" https://a.example , http://b.example:80,").cors_origins == {
        "https://a.example",
        "http://b.example",
    }
    assert Admission(allowed_hosts="a.example,b.example.").allowed_hosts == {"a.example", "b.example"}
    assert Admission("", "").cors_origins == frozenset()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("null", "any page can have"),
        ("https://app.example/", "without a path"),
        ("app.example", "expected an origin"),
        ("https://*.example", "expected an origin"),
        ("https://user@app.example", "expected an origin"),
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(wrong: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Admission(wrong)


@pytest.mark.parametrize("wrong", ["relay.example:8000", "http://relay.example", "a b"])
def test_what_is_no_host_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ConfigError, match="expected a host name"):
        Admission(allowed_hosts=wrong)
