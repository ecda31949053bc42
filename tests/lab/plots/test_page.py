"""Where things go in a figure of staircases."""

from __future__ import annotations

import numpy as np

from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots.page import COLUMNS_PER_PT, stairs


def test_thinned_stairs_leave_no_seen_step_out() -> None:
    """In every column of a quarter point they begin and end where all steps do."""
    at_ns = np.sort(np.random.default_rng(1).integers(0, 10**9, 50_000))
    curve = Curve(at_ns, np.arange(1, at_ns.size + 1))
    thin = stairs(curve, ns_per_pt=2e6)
    assert thin.at_ns.size <= 2 * 500 * COLUMNS_PER_PT
    edges = np.arange(0, 10**9, int(2e6 / COLUMNS_PER_PT))
    assert np.array_equal(count_at(thin, edges - 1), count_at(curve, edges - 1))
    few = Curve(at_ns[:3], curve.count[:3])
    assert np.array_equal(stairs(few, ns_per_pt=1).at_ns, few.at_ns)
