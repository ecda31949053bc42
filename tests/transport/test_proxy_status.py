"""What a proxy says that went wrong, out of the grammar of structured fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport.proxy_status import proxy_error


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("cdn.example; error=incremental_refused", "incremental_refused"),
        ("cdn.example;error=dns_timeout;rcode=7, edge.example", "dns_timeout"),
        ("edge.example, cdn.example; error=http_request_error, third; error=proxy_loop", "http_request_error"),
        ('"a; error=quoted"; next-hop="x", b; error=proxy_loop', "proxy_loop"),
        ('a; details="say \\"; error=no\\""', None),
        ("a; myerror=proxy_loop", None),
        ("a; error=Two Words", None),
        ("a; error=<script>", None),
        ("a; error=" + "x" * 65, None),
        ("error=proxy_loop", None),
        ("", None),
    ],
)
def test_the_first_error_is_named_and_nothing_else_taken_for_one(value: str, error: str | None) -> None:
    assert proxy_error(value) == error


@given(st.text())
def test_whatever_stands_there_what_is_told_is_a_short_word(value: str) -> None:
    found = proxy_error(value)
    assert found is None or (found.replace("_", "a").isalnum() and found.isascii() and len(found) <= 64)
