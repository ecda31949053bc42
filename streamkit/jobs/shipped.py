"""The jobs that come with streamkit: three that compute something, and two for trying things out."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from streamkit.jobs.registry import Bounds
from streamkit.jobs.report import Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SHIPPED", "fails", "fit", "noisy", "pi", "words"]

Seed = Annotated[int, Bounds(0, 2**32 - 1)]

# -- π -----------------------------------------------------------------------------------------------------------------

PI_BATCH: Final = 1 << 18
"""Points at once: 4 MB."""
PI_FIRST: Final = 1000
PI_STEP: Final = 1 << 25
"""Some half a second's."""


def pi(report: Report, samples: Annotated[int, Bounds(1, 10**12)], seed: Seed = 0) -> dict[str, Any]:
    """π by Monte Carlo: from the share of random points in a square that lie in its circle, and how wrong that may be.

    A result comes after a thousand samples, then whenever their number has doubled, and every 33 million: `pi`, its
    `standard_error`, which shrinks as 1/√n (that of a binomial share, with two points added, one inside and one
    outside, so that a few points of one kind do not look certain), and the `samples` so far.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    done = inside = 0
    while done < samples:
        upto = min(samples, max(PI_FIRST, done + min(done, PI_STEP)))
        while done < upto:
            points = chance.random((2, min(PI_BATCH, upto - done)))
            inside += int(np.count_nonzero(np.square(points).sum(axis=0) < 1))
            done += points.shape[1]
            report.progress(done, samples)
        if done < samples:
            report.result(_estimate(inside, done))
    return _estimate(inside, done)


def _estimate(inside: int, samples: int) -> dict[str, Any]:
    share = (inside + 1) / (samples + 2)
    return {
        "pi": 4 * inside / samples,
        "standard_error": 4 * (share * (1 - share) / samples) ** 0.5,
        "samples": samples,
    }


# -- a fit -------------------------------------------------------------------------------------------------------------


def fit(
    report: Report,
    points: Annotated[int, Bounds(10, 10**6)] = 1000,
    noise: Annotated[float, Bounds(0, 10)] = 0.1,
    seed: Seed = 0,
    steps: Annotated[int, Bounds(1, 1000)] = 100,
) -> dict[str, Any]:
    """Fit a · exp(-b · x) + c to points that were made with chosen a, b, c and noise.

    Least squares by the Levenberg-Marquardt method (K. Levenberg, "A method for the solution of certain non-linear
    problems in least squares", 1944). There is a result for each step: `a`, `b`, `c`, `residual` (root mean square),
    `step`; the last one also has the `chosen` values, and whether it `converged`.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    chosen = chance.uniform((1, 0.5, -1), (5, 2, 1))
    x = np.linspace(0, 4, points)
    y = _decay(x, chosen) + noise * chance.standard_normal(points)
    found, damping, step, converged = np.array([1.0, 1.0, 0.0]), 1e-2, 0, False
    residual = _residual(x, y, found)
    while step < steps and not converged:
        step += 1
        tried = found + _step(x, y, found, damping)
        better = _residual(x, y, tried)
        if better <= residual:
            converged = residual - better <= 1e-9 * residual
            found, residual, damping = tried, better, damping / 10
        else:
            damping *= 10
        report.progress(step, steps, "fitting")
        report.result(_parameters(found, residual, step))
    return _parameters(found, residual, step) | {"chosen": chosen.tolist(), "converged": converged}


def _decay(x: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    a, b, c = of
    decayed: NDArray[np.float64] = a * np.exp(-b * x) + c
    return decayed


def _residual(x: NDArray[np.float64], y: NDArray[np.float64], of: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(y - _decay(x, of)))))


def _step(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    import numpy as np

    a, b, _ = at
    falls = np.exp(-b * x)
    slopes = np.stack([falls, -a * x * falls, np.ones_like(x)])
    normal = slopes @ slopes.T
    return np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slopes @ (y - _decay(x, at)))


def _parameters(of: NDArray[np.float64], residual: float, step: int) -> dict[str, Any]:
    a, b, c = of.tolist()
    return {"a": a, "b": b, "c": c, "residual": residual, "step": step}


# -- words -------------------------------------------------------------------------------------------------------------

WORDS_AT_ONCE: Final = 10_000
SYLLABLES: Final = ("ba", "ce", "di", "fo", "gu", "ha", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "ze")


def words(
    report: Report,
    text: str | None = None,
    words: Annotated[int, Bounds(1, 10**9)] = 1_000_000,
    seed: Seed = 0,
    top: Annotated[int, Bounds(1, 1000)] = 10,
) -> dict[str, Any]:
    """Count how often each word occurs: in `text`, or in `words` words drawn by `seed`, some of them far more often.

    There is a result for each ten thousand words: `words` so far, how many of them are `different`, and the `top` ones
    as a list of [word, times].
    """
    count: Counter[str] = Counter()
    source, total = (_made(words, seed), words) if text is None else (_read(text), None)
    while some := list(islice(source, WORDS_AT_ONCE)):
        count.update(some)
        report.progress(count.total(), total, "counting")
        report.result(_counted(count, top))
    return _counted(count, top)


def _read(text: str) -> Iterator[str]:
    return (found[0].casefold() for found in re.finditer(r"\w+", text))


def _made(number: int, seed: int) -> Iterator[str]:
    """By Zipf's law: the n-th word occurs 1/n times as often as the first."""
    chance = random.Random(seed)  # noqa: S311  # a text that is the same each time, and no secret
    known = [first + second + third for first in SYLLABLES for second in SYLLABLES for third in SYLLABLES]
    chance.shuffle(known)
    weights = [1 / rank for rank in range(1, len(known) + 1)]
    while number > 0:
        yield from chance.choices(known, weights, k=min(number, WORDS_AT_ONCE))
        number -= WORDS_AT_ONCE


def _counted(count: Counter[str], top: int) -> dict[str, Any]:
    return {"words": count.total(), "different": len(count), "top": [list(each) for each in count.most_common(top)]}


# -- for trying things out ---------------------------------------------------------------------------------------------


def fails(report: Report, after: Annotated[int, Bounds(0, 10**9)] = 3) -> dict[str, Any]:
    """Give `after` results, and then fail."""
    for number in range(1, after + 1):
        report.progress(number, after)
        report.result({"result": number})
    raise RuntimeError(f"it fails after {after}, as it was asked to")


NOISY_RESULT_EVERY: Final = 1000


def noisy(report: Report, reports: Annotated[int, Bounds(0, 10**9)] = 100_000) -> dict[str, Any]:
    """Report progress `reports` times, as fast as possible; every thousandth time there is a result as well."""
    for number in range(1, reports + 1):
        report.progress(number, reports)
        if number % NOISY_RESULT_EVERY == 0:
            report.result({"result": number // NOISY_RESULT_EVERY})
    return {"reports": reports, "results": reports // NOISY_RESULT_EVERY}


SHIPPED: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    function.__name__: function for function in (pi, fit, words, fails, noisy)
}
