"""An objective for a stream, and which of its events kept it."""

from __future__ import annotations

import numpy as np
import pytest

from streamkit.lab import metrics

MS = 1_000_000
SLO = metrics.SLO(ttft_ms=100, gap_ms=50)


def test_events_that_share_a_read_share_its_lateness() -> None:
    good = metrics.on_time(np.array([50, 101, 101, 150]) * MS, [0, 1, 1, 2], SLO)
    assert good.tolist() == [True, False, False, True]


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_is_above_zero(limit: float) -> None:
    with pytest.raises(ValueError, match=r"expected gap_ms as milliseconds > 0, got .*; None: no limit"):
        metrics.SLO(gap_ms=limit)


@pytest.mark.parametrize("limit", ["100", True, [100]])
def test_a_limit_is_a_number(limit: object) -> None:
    with pytest.raises(TypeError, match="expected ttft_ms as milliseconds > 0"):
        metrics.SLO(ttft_ms=limit)  # type: ignore[arg-type]  # the claim
