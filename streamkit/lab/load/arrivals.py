"""Arrivals: when each request of a load is due. Pure: lists of times, the same for the same seed.

    Poisson().due_s(rate=20, duration_s=60, seed=0)     # seconds from the load's beginning, ascending
    arrivals_of("gamma(0.5)")                           # the same by a word, as the shell has it

**Open loop**: requests come when they are due, however the server is coping with those before them, as they do from
people who do not know of each other. A server that gets slow has more and more of them at a time.

**Closed loop** (`Closed`): a fixed number of users, each of whom asks again when it has its answer. Nothing is due
there. A server that gets slow is asked less, so those who would have waited appear in no number: coordinated omission
(G. Tene, "How NOT to Measure Latency").

| word | | gaps between requests |
|---|---|---|
| `constant` | `Constant()` | all the same |
| `poisson` | `Poisson()` | exponential: as people come who know nothing of each other |
| `gamma(0.5)` | `Gamma(burstiness=0.5)` | of this shape: 1 is Poisson, below 1 is bursts, above is more even |
| `ramp(1, 50)` | `Ramp(1, 50)` | ever shorter: from 1 to 50 requests a second |
| `burst(100, 5)` | `Bursts(100, every_s=5)` | 100 at once, every 5 s |
| `at once` | `AtOnce()` | none |
| `at(0, 0.5, 3)` | `At([0, 0.5, 3])` | as listed |
| `closed(50, 2)` | `Closed(users=50, think_s=2)` | closed loop: each of 50 asks again 2 s after its answer |
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from streamkit.lab.arguments import check_number, check_whole

__all__ = [
    "MAX_STREAMS",
    "Arrivals",
    "ArrivalsLike",
    "At",
    "AtOnce",
    "Bursts",
    "Closed",
    "Constant",
    "Gamma",
    "Poisson",
    "Ramp",
    "arrivals_of",
    "spread_of",
]

MAX_STREAMS: Final = 1_000_000
"""The most streams of one load: all its recordings are held until its end."""

_WORD: Final = re.compile(r"\s*([a-z]+(?: once)?)\s*(?:\((.*)\))?\s*", re.S)
_ARRIVALS: Final = 0
"""Of a load's seed; what its streams draw has other numbers, so that one does not move the other."""


class Arrivals(ABC):
    """When requests are due: the base class of those in `sk.arrivals`.

    sk.arrivals.Poisson().due_s(rate=20, duration_s=60, seed=0)

    A class of your own derives from it and defines `_due_s(limit, until_s, rate, seed)`, which returns ascending
    seconds, at most `limit` of them and all before `until_s` (one of the two is finite), and `__str__`, its name. It
    sets `own_rate = True` if it needs no `rate`.
    """

    own_rate = False
    """Whether it says itself how many requests come in a second, so that it takes no `rate`."""

    def due_s(
        self, *, streams: int | None = None, duration_s: float | None = None, rate: float | None = None, seed: int = 0
    ) -> list[float]:
        """When each request is due, in seconds from the beginning, ascending: up to `streams`, all before `duration_s`.

        `rate` is in requests a second, `seed` for whatever is drawn. Raises ValueError if neither `streams` nor
        `duration_s` is given, if they come to more than `MAX_STREAMS`, if a `rate` is missing, and for a `rate` beside
        arrivals that have their own.
        """
        _check_extent(streams, duration_s)
        self._check_rate(rate)
        limit = min(MAX_STREAMS + 1 if streams is None else streams, MAX_STREAMS + 1)
        found = self._due_s(limit, math.inf if duration_s is None else duration_s, rate or 0.0, seed)
        if len(found) > MAX_STREAMS:
            raise ValueError(
                f"expected a load of at most {MAX_STREAMS:,} streams, got more: give a shorter duration_s, a lower "
                "rate, or streams="
            )
        return found

    @abstractmethod
    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:
        """At most `limit`, all before `until_s`; one of the two is finite."""

    def _check_rate(self, rate: float | None) -> None:
        if rate is None and not self.own_rate:
            raise ValueError(f"expected rate= (requests a second) with arrivals {str(self)!r}, got none")
        if rate is not None and self.own_rate:
            raise ValueError(f"expected no rate= with arrivals {str(self)!r}, which say it themselves, got {rate!r}")
        if rate is not None:
            check_number("rate", rate, "requests a second", zero=False)

    @abstractmethod
    def __str__(self) -> str:
        """The word for it: `arrivals_of` makes the same of it again."""


@dataclass(frozen=True)
class Constant(Arrivals):
    """One request every `1 / rate` seconds, the first at once.

    >>> sk.arrivals.Constant().due_s(rate=4, streams=3)
    [0.0, 0.25, 0.5]
    """

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:  # noqa: ARG002  nothing is drawn
        count = min(limit, math.ceil(until_s * rate) if until_s < math.inf else limit)
        return [n / rate for n in range(count)]

    def __str__(self) -> str:
        return "constant"


@dataclass(frozen=True)
class Gamma(Arrivals):
    """Gaps drawn from a gamma distribution, `1 / rate` seconds on average, with a deviation of that over √burstiness.

        await sk.load(url, rate=20, streams=200, arrivals=sk.arrivals.Gamma(burstiness=0.5))

    `burstiness` is the shape of the distribution, as in vLLM's benchmark: 1 is a Poisson process, below 1 requests come
    in bursts with pauses between them, and the larger it is, the more even the gaps are. The first request comes after
    a gap. Raises ValueError for a burstiness that is not above 0.
    """

    burstiness: float = 1.0

    def __post_init__(self) -> None:
        check_number("burstiness", self.burstiness, zero=False, hint="; Constant() has gaps that are all the same")

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:
        rng = np.random.default_rng([seed, _ARRIVALS])
        found: list[float] = []
        now_s = 0.0
        while len(found) < limit and now_s < until_s:
            # Always the same amount is drawn, so that a longer load begins as a shorter one.
            for gap_s in rng.gamma(self.burstiness, 1 / (rate * self.burstiness), size=1024).tolist():
                now_s += gap_s
                if now_s >= until_s or len(found) == limit:
                    break
                found.append(now_s)
        return found

    def __str__(self) -> str:
        return f"gamma({self.burstiness:g})"


class Poisson(Gamma):
    """A Poisson process, as of people who come without knowing of each other. The first request comes after a gap.

    >>> len(sk.arrivals.Poisson().due_s(rate=20, streams=100, seed=1))
    100
    """

    def __init__(self) -> None:
        super().__init__(1.0)

    def __str__(self) -> str:
        return "poisson"


@dataclass(frozen=True)
class Ramp(Arrivals):
    """A rate that changes evenly from one value to another over the load's duration.

    >>> [round(time_s, 3) for time_s in sk.arrivals.Ramp(1, 3).due_s(duration_s=2)]
    [0.0, 0.732, 1.236, 1.646]

    It goes from `from_rate` to `to_rate`, in requests a second; request n is due when the rate has summed up to n. A
    load with `streams` but no duration lasts as long as these take at the mean of the two rates. Raises ValueError for
    a rate below 0, and if both are 0.
    """

    from_rate: float
    to_rate: float
    own_rate = True

    def __post_init__(self) -> None:
        for name in ("from_rate", "to_rate"):
            check_number(name, getattr(self, name), "requests a second")
        if self.from_rate + self.to_rate == 0:
            raise ValueError("expected a ramp from or to a rate above 0, got 0 and 0: nothing would come")

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:  # noqa: ARG002  nothing is drawn
        lasting_s = until_s if until_s < math.inf else 2 * limit / (self.from_rate + self.to_rate)
        slope = (self.to_rate - self.from_rate) / lasting_s
        count = min(limit, math.ceil((self.from_rate + self.to_rate) / 2 * lasting_s - 1e-9))
        # n = from·t + slope·t²/2, solved for t in the form that does not lose digits where the slope is small.
        return [
            0.0 if not n else 2 * n / (self.from_rate + math.sqrt(max(0.0, self.from_rate**2 + 2 * slope * n)))
            for n in range(count)
        ]

    def __str__(self) -> str:
        return f"ramp({self.from_rate:g}, {self.to_rate:g})"


@dataclass(frozen=True)
class Bursts(Arrivals):
    """`streams` requests at once, every `every_s` seconds.

    >>> sk.arrivals.Bursts(2, every_s=5).due_s(streams=5)
    [0.0, 0.0, 5.0, 5.0, 10.0]
    """

    streams: int
    every_s: float
    own_rate = True

    def __post_init__(self) -> None:
        check_whole("streams", self.streams, least=1)
        check_number("every_s", self.every_s, "seconds", zero=False)

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:  # noqa: ARG002  nothing is drawn
        bursts = math.ceil(until_s / self.every_s) if until_s < math.inf else limit
        return [n // self.streams * float(self.every_s) for n in range(min(limit, bursts * self.streams))]

    def __str__(self) -> str:
        return f"burst({self.streams}, {self.every_s:g})"


@dataclass(frozen=True)
class AtOnce(Arrivals):
    """All requests at the beginning.

    >>> sk.arrivals.AtOnce().due_s(streams=3)
    [0.0, 0.0, 0.0]
    """

    own_rate = True

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:  # noqa: ARG002  nothing is drawn
        if limit > MAX_STREAMS and until_s < math.inf:
            raise ValueError("expected streams= with arrivals 'at once', got a duration: it would take no time")
        return [0.0] * limit

    def __str__(self) -> str:
        return "at once"


@dataclass(frozen=True)
class At(Arrivals):
    """At times of your own, in seconds from the load's beginning: to replay a log, for example.

    >>> sk.arrivals.At([3, 0, 0.5]).due_s()
    [0.0, 0.5, 3.0]
    """

    times_s: Sequence[float]
    own_rate = True

    def __post_init__(self) -> None:
        times_s = list(self.times_s)
        for time_s in times_s:
            check_number("a time of At", time_s, "seconds")
        if not times_s:
            raise ValueError("expected the times of At as seconds, such as At([0, 0.5, 3]), got none")
        object.__setattr__(self, "times_s", tuple(sorted(map(float, times_s))))

    def due_s(
        self, *, streams: int | None = None, duration_s: float | None = None, rate: float | None = None, seed: int = 0
    ) -> list[float]:
        """As for other arrivals, but neither `streams` nor `duration_s` is needed: a list ends by itself."""
        return super().due_s(streams=streams or len(self.times_s), duration_s=duration_s, rate=rate, seed=seed)

    def _due_s(self, limit: int, until_s: float, rate: float, seed: int) -> list[float]:  # noqa: ARG002  nothing is drawn
        return [time_s for time_s in self.times_s[:limit] if time_s < until_s]

    def __str__(self) -> str:
        return f"at({', '.join(f'{time_s:g}' for time_s in self.times_s)})"


@dataclass(frozen=True)
class Closed:
    """A closed loop, in which each of `users` asks again `think_s` seconds after its answer has ended.

        await sk.load(lab, streams=500, arrivals=sk.arrivals.Closed(users=50, think_s=2))

    `think_s` is a number, or a pair between which each time is drawn. A closed loop hides waiting: a server that gets
    slow is asked less (coordinated omission).
    """

    users: int
    think_s: float | tuple[float, float] = 0.0

    def __post_init__(self) -> None:
        check_whole("users", self.users, least=1)
        span = self.think_s if isinstance(self.think_s, tuple | list) else (self.think_s, self.think_s)
        if len(span) != 2:
            raise ValueError(f"expected think_s as seconds, or as a pair (from, to), got {self.think_s!r}")
        for seconds in span:
            check_number("think_s", seconds, "seconds")
        if span[0] > span[1]:
            raise ValueError(f"expected think_s as a pair (from, to) with from <= to, got {self.think_s!r}")

    @property
    def think_span_s(self) -> tuple[float, float]:
        """The shortest and the longest time that a user thinks, in seconds."""
        return (self.think_s[0], self.think_s[1]) if isinstance(self.think_s, tuple | list) else (self.think_s,) * 2

    def __str__(self) -> str:
        low_s, high_s = self.think_span_s
        think = f", {low_s:g}" if high_s else ""
        return f"closed({self.users}{think}{f', {high_s:g}' if high_s > low_s else ''})"


ArrivalsLike: TypeAlias = str | Arrivals | Closed | Iterable[float]


def arrivals_of(given: ArrivalsLike) -> Arrivals | Closed:
    """The arrivals that `arrivals=` stands for: arrivals themselves, a word for them, or times in seconds.

    >>> from streamkit.lab.load.arrivals import arrivals_of
    >>> arrivals_of("gamma(0.5)"), arrivals_of([0, 1])
    (Gamma(burstiness=0.5), At(times_s=(0.0, 1.0)))

    Raises ValueError for an unknown word or numbers that do not fit it, TypeError for anything else.
    """
    if isinstance(given, Arrivals | Closed):
        return given
    if isinstance(given, str):
        return _of_word(given)
    if isinstance(given, Iterable):
        return At(list(given))
    raise TypeError(
        f"expected arrivals as a word such as 'poisson', one of sk.arrivals, or times in seconds, got {given!r} "
        f"({type(given).__name__})"
    )


def spread_of(
    given: ArrivalsLike | None,
    *,
    streams: int | None = None,
    duration_s: float | None = None,
    rate: float | None = None,
) -> Arrivals | Closed:
    """The arrivals of a load, checked against its other numbers. By default Poisson with a rate, else all at once.

    >>> from streamkit.lab.load.arrivals import spread_of
    >>> spread_of("burst(100, 5)", duration_s=60)
    Bursts(streams=100, every_s=5.0)

    Raises ValueError if they do not go together, and what `arrivals_of` raises.
    """
    spread = arrivals_of("at once" if rate is None else "poisson") if given is None else arrivals_of(given)
    if isinstance(spread, Closed):
        _check_extent(streams, duration_s)
        if rate is not None:
            raise ValueError(f"expected no rate= in a closed loop, got {rate!r}: how many come is up to its server")
    elif given is None and rate is None and streams is None:
        raise ValueError("expected rate= (requests a second), arrivals= or streams= (all of them at once), got none")
    else:
        spread.due_s(streams=streams, duration_s=duration_s, rate=rate)
    return spread


def _closed(users: float, think_s: float = 0.0, longest_s: float | None = None) -> Closed:
    return Closed(_whole(users), think_s if longest_s is None else (think_s, longest_s))


def _whole(number: float) -> Any:
    """A number of the shell that has to be an integer; another is refused by who wants it."""
    return int(number) if number == int(number) else number


_WORDS: Final[dict[str, Callable[..., Arrivals | Closed]]] = {
    "constant": Constant,
    "poisson": Poisson,
    "gamma": Gamma,
    "ramp": Ramp,
    "burst": lambda streams, every_s: Bursts(_whole(streams), every_s),
    "at once": AtOnce,
    "at": lambda *times_s: At(times_s),
    "closed": _closed,
}
_FORMS: Final = (
    "constant, poisson, gamma(BURSTINESS), ramp(FROM, TO), burst(N, S), at once, at(S, …), closed(USERS, THINK_S)"
)


def _of_word(given: str) -> Arrivals | Closed:
    found = _WORD.fullmatch(given)
    make = _WORDS.get(found[1]) if found else None
    if found is None or make is None:
        raise ValueError(f"expected arrivals as one of {_FORMS}, got {given!r}")
    try:
        numbers = [float(number) for number in (found[2] or "").split(",") if number.strip()]
        return make(*numbers)
    except (TypeError, ValueError) as error:
        why = f"{error}: " if str(error).startswith("expected") else ""  # else there are too many numbers, or none
        raise ValueError(f"{why}expected arrivals as one of {_FORMS}, got {given!r}") from None


def _check_extent(streams: int | None, duration_s: float | None) -> None:
    if streams is None and duration_s is None:
        raise ValueError("expected streams= (how many) or duration_s= (for how long), got neither: a load has an end")
    if streams is not None:
        check_whole("streams", streams, least=1)
    if duration_s is not None:
        check_number("duration_s", duration_s, "seconds", zero=False)


def __dir__() -> list[str]:
    return sorted(__all__)
