"""A slow reader under one setting: a larger buffer frees the model, and costs the relay's memory."""

from __future__ import annotations

import pytest

from streamkit.lab.experiments import slow_reader
from streamkit.lab.run import run
from tests.servers import leaves_nothing


def test_a_larger_buffer_holds_the_model_for_less_and_costs_more_memory() -> None:
    with leaves_nothing():
        small = run(slow_reader("buffer", 4_000, 200, pieces=30))
        large = run(slow_reader("buffer", 64_000, 200, pieces=30))
    assert small["lost"] == large["lost"] == 0
    assert (small["held_ms"] or 0) > (large["held_ms"] or 0)
    assert (small["peak_bytes"] or 0) < (large["peak_bytes"] or 0)


def test_a_stream_that_does_not_complete_has_no_numbers() -> None:
    with leaves_nothing(), pytest.raises(RuntimeError, match="expected the stream to complete, got truncated"):
        run(slow_reader("disconnect(0.05)", None, 5, pieces=40))
