"""Resources: what one process used along a load."""

from __future__ import annotations

import numpy as np
import pytest

from streamkit.lab.sets import Resources


def test_samples_are_columns() -> None:
    rows = [(0, 10, 3, 0, -1), (5, 12, 4, 2, 9)]
    resources = Resources.of("relay", rows)
    assert (len(resources), resources.rss_bytes.tolist(), resources.loop_late_ns.tolist()) == (2, [10, 12], [-1, 9])


def test_no_samples_are_no_rows() -> None:
    assert len(Resources.of("relay", [])) == 0


def test_columns_of_different_lengths_are_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="one length"):
        Resources("relay", one, one, one, one, np.zeros(2, dtype=np.int64))
