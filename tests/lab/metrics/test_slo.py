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
    with pytest.raises(ValueError, match="expected gap_ms above 0 ms"):
        metrics.SLO(gap_ms=limit)
