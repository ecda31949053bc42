"""No test may open a window, or leave a figure behind."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    plt.close("all")  # of a test elsewhere, which ran before on the same worker
    yield
    plt.close("all")
