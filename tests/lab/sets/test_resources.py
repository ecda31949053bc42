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


def test_it_says_the_most_that_was_used_in_words_and_leaves_out_what_is_not_known() -> None:
    rows = [(0, 91_000_000, 12, 0, 0), (5, 91_500_000, 14, 350_000_000, 4_000_000), (9, 90_000_000, 13, 350_000_000, 0)]
    assert str(Resources.of("client", rows)) == (
        "client: 92 MB of memory at most, 14 open files and sockets at most, 0.35 s of CPU time, "
        "its event loop late by 4.0 ms at most"
    )
    unknown = Resources.of("server", [(0, 20_000_000, -1, -1, -1)])
    assert str(unknown) == "server: 20 MB of memory at most"
    assert str(Resources.of("server", [])) == "server: gone"


def test_columns_of_different_lengths_are_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="one length"):
        Resources("relay", one, one, one, one, np.zeros(2, dtype=np.int64))
