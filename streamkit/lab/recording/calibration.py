"""What `calibrate()` found: how wrong the instrument was, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from streamkit.lab.metrics import percentile_ns
from streamkit.lab.metrics.words import ms
from streamkit.lab.recording.tables import html_table, text_table

__all__ = ["Calibration", "Lag", "percentile"]


@dataclass(frozen=True, slots=True)
class Lag:
    """How late Python's stamp after a read was, against the kernel's receive time, over `reads` reads at one rate.

    Percentiles are by nearest rank: for fewer than 100 reads the 99th is the largest value.
    """

    rate_per_s: float
    reads: int
    p50_ns: int
    p95_ns: int
    p99_ns: int

    @classmethod
    def of(cls, rate_per_s: float, lags_ns: Sequence[int]) -> Self:
        """Of `stamped - received` of each read."""
        return cls(rate_per_s, len(lags_ns), *(percentile(lags_ns, q) for q in (50, 95, 99)))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What `calibrate()` found: how wrong the instrument was, on this machine, at that time.

        print(sk.calibrate().lag_p99_ns)

    timer_p50_ns, timer_p99_ns   how late `asyncio.sleep()` of 1 ms returns on an idle loop: no schedule is more exact
    loop_p99_ns, loop_max_ns     how late a timer of 10 ms is on a loop that reads the messages of all `lags`
    clock_ns, stamp_ns           what one `time.monotonic_ns()`, and one step of a tap, costs
    lags                         read stamps against kernel receive times, one `Lag` per rate; empty where they could
                                 not be compared
    started_at, origin           when it was measured, by the wall clock, and on which monotonic clock
    notes                        what could not be measured, and why
    """

    timer_p50_ns: int
    timer_p99_ns: int
    loop_p99_ns: int
    loop_max_ns: int
    clock_ns: int
    stamp_ns: int
    lags: tuple[Lag, ...] = ()
    started_at: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def lag_p99_ns(self) -> int | None:
        """How late a stamp in user space may be: the largest 99th percentile of all rates. None if not measured."""
        return max((lag.p99_ns for lag in self.lags), default=None)

    def rows(self) -> list[tuple[str, str]]:
        """The rows of the printed table: pairs of a name and a value with its unit."""
        return [
            ("timer lateness p50", ms(self.timer_p50_ns / 1e6, 2)),
            ("timer lateness p99", ms(self.timer_p99_ns / 1e6, 2)),
            ("loop lateness while reading p99", ms(self.loop_p99_ns / 1e6, 2)),
            ("loop lateness while reading max", ms(self.loop_max_ns / 1e6, 2)),
            ("reading the clock", f"{self.clock_ns} ns"),
            ("stamping a tap", f"{self.stamp_ns} ns"),
            *(
                (
                    f"read stamp after kernel's, {lag.rate_per_s:g}/s, p50 / p95 / p99 of {lag.reads}",
                    f"{lag.p50_ns / 1e3:.0f} / {lag.p95_ns / 1e3:.0f} / {lag.p99_ns / 1e3:.0f} µs",
                )
                for lag in self.lags
            ),
        ]

    def __str__(self) -> str:
        return text_table(self.rows(), self.notes)

    def _repr_html_(self) -> str:
        return html_table(self.rows(), self.notes)

    def as_dict(self) -> dict[str, Any]:
        """JSON values only; `from_dict` is the inverse."""
        return {**asdict(self), "lags": [asdict(lag) for lag in self.lags], "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; unknown keys are ignored. Raises ValueError for what is not a calibration."""
        known = {field.name for field in fields(cls)}
        try:
            values: dict[str, Any] = {name: value for name, value in told.items() if name in known}
            values["lags"] = tuple(Lag(**lag) for lag in values["lags"])
            values["notes"] = tuple(values["notes"])
            return cls(**values)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected what Calibration.as_dict() gives: {error}") from error


def percentile(values: Sequence[int], q: int) -> int:
    """0 for no values: a calibration has a number in each place."""
    return percentile_ns(values, q) or 0
