"""In front of an upstream that speaks TLS, the relays of the benchmark do the same work. No speed is judged here."""

from __future__ import annotations

import pytest

from benchmarks.relay import OURS, Traffic
from benchmarks.relay_upstream import BLOCK_EVENTS
from benchmarks.tls import relays

PACED = Traffic(streams=3, events=5, gap_us=1000, limit_s=20)
SATURATED = Traffic(streams=2, events=BLOCK_EVENTS + 1, limit_s=20)


def test_the_whole_text_comes_over_tls_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the benchmark asserts of every load; it raises where a certificate is not trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", "")  # what it sets is undone behind the test
    with relays([OURS, "bare uvloop"], warm_up=PACED) as running:
        for relay in running:
            assert relay.load(SATURATED).load.errors == []
