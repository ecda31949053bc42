"""The benchmark of slow dashboards measures what it says."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.dashboard import DASHBOARDS, RULES, measure


@pytest.mark.parametrize("rule", RULES)
def test_a_dashboard_that_reads_at_once_gets_states_and_their_ages(rule: str) -> None:
    ages = asyncio.run(measure(DASHBOARDS[-1], rule, 0.25))
    assert 1 <= ages.read <= 4
    assert 0 < ages.p50_s <= ages.max_s
