"""Each of the ways that the benchmark compares carries its streams whole. No speed is judged here."""

from __future__ import annotations

import sys

import pytest

from benchmarks.harness import started
from benchmarks.wiretap import WAYS, command, load, measure


@pytest.mark.parametrize("way", WAYS)
def test_streams_pass_whole(way: str) -> None:
    """Which the load asserts."""
    with (
        started([sys.executable, "-m", "benchmarks.relay_upstream"]) as upstream,
        started(command(way, upstream.url)) as between,
    ):
        assert load(between, 3, 20, 1000) > 0
        ((cpu_us, rate),) = measure({way: between}, 1, 2, 500, 0)[way]
        assert cpu_us >= 0
        assert rate > 0
