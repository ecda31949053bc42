"""Running statistics of numbers: any amount of them in the memory of a few thousand.

    statistics = Statistics()
    statistics.add([1.0, 2.0, 4.0])
    statistics.mean, statistics.variance        # (2.333…, 2.333…)
    statistics.quantiles([0.5, 0.95])            # [2.0, …]

Mean and variance by Welford's method, many values at once (Chan, Golub, LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979): no difference of two large sums, which loses all digits where the
spread is small against the mean. Quantiles by a t-digest (Dunning, Ertl, "Computing extremely accurate quantiles using
t-digests", 2019): exact at both ends, and within a thousandth or so of the rank in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from fastdigest import TDigest
from numpy.typing import ArrayLike, NDArray

__all__ = ["Statistics"]


class Statistics:
    """Running statistics of all numbers that are added: `count`, `mean`, `min`, `max`, `variance`, quantiles.

    >>> from streamkit.processors.statistics import Statistics
    >>> statistics = Statistics()
    >>> statistics.add([1.0, 2.0, 3.0, 4.0])
    >>> statistics.mean, statistics.min, statistics.max, round(statistics.variance, 3)
    (2.5, 1.0, 4.0, 1.667)

    The t-digest for the quantiles has `centroids` of 16 bytes each; with more it is more exact. The caller has to leave
    out NaN and infinite values.
    """

    __slots__ = ("_digest", "count", "max", "mean", "min", "square")

    def __init__(self, centroids: int = 1_000) -> None:
        self.count = 0
        self.mean = math.nan
        """NaN without a value, as are `min` and `max`."""
        self.min = math.nan
        self.max = math.nan
        self.square = 0.0
        """Σ (x - mean)²."""
        self._digest = TDigest(max_centroids=centroids)

    def add(self, values: ArrayLike) -> None:
        """Add more numbers: a sequence of floats, or an array."""
        array = np.asarray(values, dtype=np.float64)
        if not array.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):  # a mean beyond a double is infinite, or NaN
            mean = float(array.mean())
            square = float(np.square(array - mean).sum())
        self._digest.batch_update(np.sort(array).tolist())  # half the time of an array as it is
        least, most = float(array.min()), float(array.max())
        if not self.count:
            self.count, self.mean, self.square, self.min, self.max = array.size, mean, square, least, most
            return
        total, delta = self.count + array.size, mean - self.mean
        self.square += square + delta * delta * self.count * array.size / total
        self.mean += delta * array.size / total
        self.count = total
        self.min, self.max = min(self.min, least), max(self.max, most)

    @property
    def variance(self) -> float:
        """The variance of a sample: Σ (x - mean)² / (count - 1); NaN for fewer than two values."""
        return self.square / (self.count - 1) if self.count > 1 else math.nan

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """The values below which these shares (0 … 1) of all numbers lie; NaN if there are none."""
        if not self.count:
            return [math.nan] * len(ranks)
        return [float(self._digest.quantile(rank)) for rank in ranks]

    def below(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share (0 … 1) of all numbers that lies below each of these: the inverse of `quantiles`."""
        flat = values.ravel().tolist()
        return np.reshape(self._digest.cdf_vec(flat), values.shape)

    def __repr__(self) -> str:
        return f"<Statistics: {self.count} values, mean {self.mean:g}>"
