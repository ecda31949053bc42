"""What of a recording is compared or asserted: one number by its name, and how wrong that may be.

    ttft = measure_of("ttft")
    ttft.of(recording)                  # Measured(value=312.4, above=0.03, below=0.0), in ms

The names are those of `Summary`, with or without their unit; an objective (`SLO`) is a number too, 1 where it was kept;
and so is whatever a function makes of a recording. A number's unit is in its name, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from streamkit.lab import metrics
from streamkit.lab.metrics import SLO
from streamkit.lab.recording.goodput import failures_of
from streamkit.lab.recording.summary import Summary, summarize
from streamkit.lab.recording.trust import read_error_ns

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Recorded
    from streamkit.lab.recording.recording import Recording

__all__ = ["KEPT", "PER", "RATE", "Measure", "Measured", "MetricLike", "measure_of", "per_ms_of"]

MetricLike: TypeAlias = "str | SLO | Callable[[Recording], float | None]"

KEPT: Final = "kept_share"
"""What an objective is called: of one stream 1 or 0, of many which share kept it."""
NUMBERS: Final = frozenset(("int", "float", "int | None", "float | None"))
ALSO: Final = {"gap_max": "max_gap_ms", "longest_gap": "max_gap_ms"}
RATE: Final = "_per_s"
PER: Final = {"_ms": 1.0, "_ns": 1e6, "_s": 1e-3}
"""Units of time, by the end of a name: how many there are in a millisecond."""


class Measured(NamedTuple):
    """A number, and by how much it may lie `above` or `below` what it should be; None: it is not defined."""

    value: float | None
    above: float = 0.0
    below: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a recording: `measure_of("gap_p99").of(recording).value`.

    name        with its unit: `ttft_ms`, `stalls`
    whole       it is of streams that came whole; an objective is missed by those that did not
    """

    name: str
    whole: bool
    _read: Callable[[Recorded, Summary | None], Any]

    def of(self, recording: Recorded) -> Measured:
        """The number, and its error. Raises TypeError where a function gives none, ValueError for an infinite one."""
        summary = None if self.name == KEPT else summarize(recording)
        value = self._read(recording, summary)
        if value is None:
            return Measured(None)
        if not isinstance(value, Real):
            raise TypeError(f"expected {self.name} of a recording as a number or None, got {value!r}")
        if math.isinf(value):
            raise ValueError(f"expected {self.name} of a recording as a finite number, or None without, got {value!r}")
        return Measured(float(value), *self._error(recording, summary))

    @property
    def higher_is_better(self) -> bool:
        """A rate, or an objective that is kept."""
        return self.name == KEPT or self.name.endswith(RATE)

    def _error(self, recording: Recorded, summary: Summary | None) -> tuple[float, float]:
        """A piece cannot have come later than its read ended, so a wait for it is too long at most; a gap lies between
        two reads, of which each may be wrong.
        """
        per_ms = per_ms_of(self.name)
        if per_ms is None or summary is None:
            return 0.0, 0.0
        if self.name.startswith("ttft"):
            return (summary.ttft_error_ms or 0.0) * per_ms, 0.0
        error_ns = metrics.percentile_ns(read_error_ns(recording), 99) or 0
        return error_ns / 1e6 * per_ms, error_ns / 1e6 * per_ms


def per_ms_of(name: str) -> float | None:
    """How many of its unit a millisecond has, by the end of its name; None of what is no time.

    >>> from streamkit.lab.recording.measures import per_ms_of
    >>> per_ms_of("wait_s"), per_ms_of("events_per_s")
    (0.001, None)
    """
    return None if name.endswith(RATE) else next((PER[unit] for unit in PER if name.endswith(unit)), None)


def measure_of(metric: MetricLike) -> Measure:
    """The number that is meant. Raises TypeError for what names none, ValueError for a name that `Summary` does not
    have, or that is no number there.

    >>> from streamkit.lab.recording.measures import measure_of
    >>> measure_of("gap_p99").name, measure_of(sk.metrics.SLO(ttft_ms=500)).name
    ('gap_p99_ms', 'kept_share')
    """
    if isinstance(metric, SLO):
        return Measure(name=KEPT, whole=False, _read=lambda one, _: float(not failures_of(one, metric)))
    if isinstance(metric, str):
        name = _known(metric)
        return Measure(name=name, whole=True, _read=lambda _, summary: getattr(summary, name))
    if callable(metric):
        name = getattr(metric, "__name__", type(metric).__name__)
        return Measure(name="value" if name == "<lambda>" else name, whole=True, _read=lambda one, _: metric(one))  # type: ignore[arg-type]  # whoever gives a function gives recordings
    raise TypeError(
        "expected metric as a name such as 'ttft' or 'gap_p99', an SLO, or a function of a recording, got "
        f"{metric!r} ({type(metric).__name__})"
    )


def _known(metric: str) -> str:
    numbers = [field.name for field in fields(Summary) if field.type in NUMBERS]
    for name in (metric, f"{metric}_ms", ALSO.get(metric, "")):
        if name in numbers:
            return name
    if metric == "goodput":
        raise ValueError("expected the objective itself as the metric, such as sk.metrics.SLO(ttft_ms=500)")
    raise ValueError(f"expected metric out of {', '.join(numbers)} (with or without _ms), got {metric!r}")
