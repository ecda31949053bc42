"""Percentiles by the nearest-rank rule: the only ones that streamkit shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["percentile_ns", "percentiles_ns"]


def percentile_ns(values: npt.ArrayLike, q: int) -> int | None:
    """The q-th percentile by the nearest-rank rule: the value at rank `ceil(n * q / 100)` of the sorted values.

    It is always a value that occurred (numpy calls this rule "inverted_cdf"); interpolation would report latencies
    that nobody saw. For n < 100 the 99th percentile is therefore the largest value. None for no values.
    Raises ValueError unless 0 < q <= 100.
    """
    return percentiles_ns(values, [q])[0]


def percentiles_ns(values: npt.ArrayLike, qs: Sequence[int]) -> list[int | None]:
    """`percentile_ns` for each of `qs`, for little more than the price of one."""
    if wrong := [q for q in qs if not 0 < q <= 100]:
        raise ValueError(f"expected a percentile above 0 and up to 100, got {wrong[0]!r}")
    numbers = np.asarray(values, dtype=np.int64)
    if not numbers.size or not qs:
        return [None] * len(qs)
    ranks = [math.ceil(numbers.size * q / 100) - 1 for q in qs]
    return [int(value) for value in np.partition(numbers, ranks)[ranks]]
