"""How often is a comparison wrong? `python -m campaigns.compare [--quick] [--times N] [--on-sockets N] [--seed N]`.

The same is compared with the same (A/A), thousands of times, with numbers drawn from distributions as waits have them:
narrow, skewed, with rare stalls, with a tail that has no variance, of two values only, and in rounds that grow slower
and slower. Everything runs through what `sk.compare` runs through, `sk.findings.compare`'s statistics.

- **false positives**: how often two that are alike are called different. At most 5 %, over all of them, and in no cell
  more than chance explains of a true 5 %
- **coverage**: how often a difference that was put in lies in the interval of 95 %
- **power**: how often the least difference that a comparison says it could have shown is shown, when it is put in: four
  times of five
- **several targets**: how often any of three is called different from the first, and from the best
- **real sockets**: a scripted LLM behind the relay, compared with itself, and with one that is 3 ms later

Exit status 1 if a claim is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from math import sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

import streamkit as sk
from benchmarks.harness import table
from streamkit.lab.metrics.resampling import (
    ALPHA,
    At,
    bootstrap,
    design_of,
    holm,
    interval,
    least_difference,
    null,
    p_value,
)

__all__ = [
    "DISTRIBUTIONS",
    "SETTINGS",
    "Cell",
    "Setting",
    "Tally",
    "known_difference",
    "main",
    "on_sockets",
    "several",
    "simulated",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, int], Floats]

TIMES: Final = 400
QUICK: Final = 60
DRAWS: Final = 999
"""Of each test and interval, in the place of 9,999: p in steps of a thousandth."""
ON_SOCKETS: Final = 40
COVERED: Final = 0.94
"""The interval is one of 95 %; a cell shows less by chance alone."""
SEEN: Final = (0.65, 0.95)
"""Between these the power at the least difference has to lie, which is to be 80 %."""


def _stalls(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.05, 400.0, 0.0) + rng.normal(100, 5, n)


def _two_values(rng: np.random.Generator, n: int) -> Floats:
    """Ticks of a coarse clock: the same two numbers over and over."""
    return np.asarray(rng.choice([40.0, 60.0], n))


DISTRIBUTIONS: Final[dict[str, Draw]] = {
    "normal": lambda rng, n: rng.normal(100, 10, n),
    "gamma, skewed": lambda rng, n: 80 + rng.gamma(2, 20, n),
    "log-normal": lambda rng, n: 100 * rng.lognormal(0, 0.6, n),
    "5 % stalls": _stalls,
    "Pareto 1.5": lambda rng, n: 100 * (1 + rng.pareto(1.5, n)),
    "two values": _two_values,
}
DISCRETE: Final = ("two values",)
"""What is put into such numbers is no difference of their kind: of the least one nothing is asked there."""
DRIFT: Final = "drift"
"""Of rounds only: each is slower than the one before, for both alike."""


@dataclass(frozen=True)
class Setting:
    """How many runs, in rounds or in none, and what is compared of them."""

    runs: int
    rounds: bool
    at: At

    def __str__(self) -> str:
        what = "mean" if self.at == "mean" else f"p{self.at}"
        return f"{what}, {self.runs} {'rounds' if self.rounds else 'of each'}"


SETTINGS: Final = (
    *(Setting(runs, rounds, 50) for runs in (6, 10, 20, 40) for rounds in (True, False)),
    *(Setting(40, rounds, "mean") for rounds in (True, False)),
    *(Setting(80, rounds, 90) for rounds in (True, False)),
)


@dataclass
class Tally:
    """What came of the comparisons of one cell."""

    times: int = 0
    wrong: int = 0
    covered: int = 0
    tried: int = 0
    seen: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def wrong_share(self) -> float:
        return self.wrong / max(self.times, 1)

    @property
    def covered_share(self) -> float:
        return self.covered / max(self.times, 1)

    @property
    def seen_share(self) -> float:
        return self.seen / max(self.tried, 1)


Cell: TypeAlias = tuple[Setting, str]


def _decided(a: Floats, b: Floats, setting: Setting, rng: np.random.Generator) -> tuple[bool, float, float, float]:
    """What `findings/comparing.py` decides: p, and the interval; and the least difference."""
    design = design_of(a, b, setting.at, rounds=setting.rounds)
    p = p_value(design, null(design, rng, DRAWS))
    low, high = interval(design, bootstrap(design, rng, DRAWS))
    least = least_difference(design, rng, high - low, draws=DRAWS)
    return p <= ALPHA and not low <= 0 <= high, low, high, least


def _drawn(name: str, setting: Setting, rng: np.random.Generator) -> tuple[Floats, Floats]:
    if name == DRIFT:
        hour = np.cumsum(rng.gamma(2, 20, setting.runs))
        return hour + rng.gamma(2, 20, setting.runs), hour + rng.gamma(2, 20, setting.runs)
    draw = DISTRIBUTIONS[name]
    return draw(rng, setting.runs), draw(rng, setting.runs)


def simulated(setting: Setting, name: str, times: int, seed: int) -> Tally:
    """A/A comparisons of this kind; each again with the least difference that it names put into the second of a new
    pair, which is what it claims to see.
    """
    rng, tally = np.random.default_rng([seed, setting.runs, setting.rounds, len(name)]), Tally()
    for _ in range(times):
        differs, low, high, least = _decided(*_drawn(name, setting, rng), setting, rng)
        tally += Tally(times=1, wrong=int(differs), covered=int(low <= 0 <= high))
        if name not in DISCRETE:
            a, b = _drawn(name, setting, rng)
            tally += Tally(tried=1, seen=int(_decided(a, b + least, setting, rng)[0]))
    return tally


def several(times: int, seed: int, *, best: bool) -> float:
    """How often one of three is called different from the first (or from the best), where all four are alike."""
    rng, wrong = np.random.default_rng([seed, best]), 0
    for _ in range(times):
        groups = [80 + rng.gamma(2, 20, 20) for _ in range(4)]
        base = min(range(4), key=lambda index: float(np.median(groups[index]))) if best else 0
        designs = [design_of(groups[base], each, 50, rounds=True) for n, each in enumerate(groups) if n != base]
        ps = holm([p_value(design, null(design, rng, DRAWS)) for design in designs], 6 if best else None)
        wrong += any(
            p <= ALPHA and not low <= 0 <= high
            for design, (p, divided) in zip(designs, ps, strict=True)
            for low, high in [interval(design, bootstrap(design, rng, DRAWS), 1 - ALPHA / divided)]
        )
    return wrong / times


async def on_sockets(comparisons: int, runs: int) -> dict[str, int]:
    """A lab compared with itself, by several numbers: how often each called it different."""
    wrong = dict.fromkeys(("ttft", "gap_p50", "gap_p99", "duration"), 0)
    with sk.Lab(sk.Script("one two three four five six", first_piece_ms=5, gap_ms=2), gauge_ms=0) as lab:
        for n in range(comparisons):
            compared = await sk.compare(
                {"a": lab, "again": lab}, runs=runs, seed=n, accept="sse", taps=False, progress=False
            )
            for metric in wrong:
                wrong[metric] += sk.findings.compare(compared, metric=metric, seed=n).only.real
    return wrong


async def known_difference(comparisons: int, runs: int, ms: float = 3.0) -> tuple[int, int]:
    """A lab against one whose first piece is so many ms later: how often that was seen, and how often it lay in the
    interval.
    """
    seen = held = 0
    script = sk.Script("one two three four five six", first_piece_ms=5, gap_ms=2)
    with sk.Lab(script, gauge_ms=0) as lab, sk.Lab(replace(script, first_piece_ms=5 + ms), gauge_ms=0) as later:
        for n in range(comparisons):
            compared = await sk.compare(
                {"a": lab, "later": later}, runs=runs, seed=n, accept="sse", taps=False, progress=False
            )
            seen += compared.verdict == "slower"
            held += compared.low <= ms <= compared.high
    return seen, held


def _limit(share: float, times: int) -> float:
    """What of a true share so many show at the most, but once in a thousand times."""
    return share + 3.1 * sqrt(share * (1 - share) / times)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all of it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} comparisons of each kind instead of {TIMES}")
    parser.add_argument("--times", type=int, help="so many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--on-sockets", type=int, metavar="N", help=f"so many on sockets, 0: none ({ON_SOCKETS})")
    arguments = parser.parse_args(argv)
    times = arguments.times or (QUICK if arguments.quick else TIMES)
    failed = _simulate(times, arguments.seed)
    failed += _several(times, arguments.seed)
    comparisons = (6 if arguments.quick else ON_SOCKETS) if arguments.on_sockets is None else arguments.on_sockets
    if comparisons:
        failed += _sockets(comparisons)
    print("\n".join(f"BROKEN: {one}" for one in failed) if failed else "\nevery claim held")
    return 1 if failed else 0


def _simulate(times: int, seed: int) -> list[str]:
    rows, failed, whole = [], list[str](), Tally()
    for setting in SETTINGS:
        names = [*DISTRIBUTIONS, *([DRIFT] if setting.rounds else [])]
        cells = {name: simulated(setting, name, times, seed) for name in names}
        of_setting = sum(cells.values(), Tally())
        whole += of_setting
        worst = max(cell.wrong_share for cell in cells.values())
        least_covered = min(cell.covered_share for cell in cells.values())
        shares = (of_setting.wrong_share, worst, of_setting.covered_share, least_covered, of_setting.seen_share)
        rows.append((str(setting), *(f"{share:.1%}" for share in shares)))
        failed += [
            f"{setting}, {name}: {cell.wrong_share:.1%} of {times} A/A called different"
            for name, cell in cells.items()
            if cell.wrong_share > _limit(ALPHA, times)
        ]
        if of_setting.covered_share < COVERED - 2 * sqrt(0.05 * 0.95 / of_setting.times):
            failed.append(f"{setting}: an interval of 95 % holds {of_setting.covered_share:.1%}")
        if setting.runs >= 10 and not SEEN[0] <= of_setting.seen_share <= SEEN[1]:
            failed.append(f"{setting}: of the least differences {of_setting.seen_share:.0%} are seen")
    head = ("compared", "A/A called different", "worst", "interval holds", "worst", "least difference seen")
    print(f"\n{len(rows)} settings, {whole.times:,} A/A comparisons; {whole.wrong_share:.2%} called different\n")
    print(table([head, *rows]))
    if whole.wrong_share > ALPHA:
        failed.append(f"{whole.wrong_share:.2%} of all A/A comparisons called different")
    return failed


def _several(times: int, seed: int) -> list[str]:
    failed = []
    for best in (False, True):
        wrong, against = several(times, seed, best=best), "the best" if best else "the first"
        print(f"\nfour alike, three against {against}, {times:,} times: any called different in {wrong:.1%}")
        if wrong > _limit(ALPHA, times):
            failed.append(f"of several against {against} {wrong:.1%} are called different")
    return failed


def _sockets(comparisons: int) -> list[str]:
    wrong = asyncio.run(on_sockets(comparisons, 12))
    print(f"\nreal sockets, a lab against itself, {comparisons} comparisons of 12 rounds; called different by")
    print(table([("metric", "times"), *wrong.items()]))
    seen, held = asyncio.run(known_difference(comparisons // 2, 12))
    print(f"\na lab that is 3 ms later: seen in {seen} of {comparisons // 2}, and in {held} of their intervals")
    most = _limit(ALPHA, comparisons * len(wrong)) * comparisons * len(wrong)
    return [f"on sockets {sum(wrong.values())} of {comparisons * len(wrong)}"] if sum(wrong.values()) > most else []


if __name__ == "__main__":
    sys.exit(main())
