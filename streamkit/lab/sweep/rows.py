"""The result of a sweep: `Sweep`, with a `TrialRow` for each trial."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from streamkit.lab.sweep import journal
from streamkit.lab.sweep.grid import Setting, Value

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

__all__ = ["Sweep", "TrialRow"]


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial: what was tried, and what came of it.

    parameters   its setting
    repeat       its round, from 0: trials of one round are compared with each other
    order        its place in the whole sweep, from 0
    seed         the seed of its round, which the trial was given if it takes one
    metrics      the numbers it returned; empty if it failed
    error        why it failed: the type of the exception and its message, without secrets; None if it did not
    when         when it began (UTC); None if it never did
    duration_s   how long it took, including any labs and servers it made
    """

    parameters: Setting
    repeat: int
    order: int
    seed: int
    metrics: dict[str, Value]
    error: str | None = None
    when: str | None = None
    duration_s: float | None = None

    @classmethod
    def of(cls, record: dict[str, Any]) -> TrialRow:
        """The inverse of `as_dict`. Raises TypeError for what is not a row."""
        return cls(**record)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Sweep:
    """The result of `sk.sweep`, with a row for each trial, and what was planned.

        swept = sk.sweep(trial, {"gap_ms": [10, 20]}, repeats=6)
        swept.to_pandas().groupby("gap_ms").ttft_ms.median()
        sk.plots.sweep(swept)

    trial      the name of the function
    settings   all settings that were to be tried, in the order of the grid
    repeats    how many rounds
    seed       what the order of each round, and the seeds of the trials, are made from
    rows       a `TrialRow` for each trial, in the order in which they were begun
    left_out   what was damaged in the file it was loaded from, in words
    """

    trial: str
    settings: tuple[Setting, ...]
    repeats: int
    seed: int
    rows: tuple[TrialRow, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sweep:
        """Read the file of a sweep (`sweep(path=…)`), finished or not, even while it is being written.

            sk.Sweep.load("buffers.jsonl").to_pandas()

        Raises OSError if it cannot be read, RecordingFormatError if it is not the file of a sweep.
        """
        head, rows, left_out, _ = journal.read(path)
        return cls(**_fields(head), rows=_in_order(map(TrialRow.of, rows)), left_out=tuple(left_out))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the grid's parameters."""
        return tuple(dict.fromkeys(name for setting in self.settings for name in setting))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all numbers that trials returned (texts are left out)."""
        found = dict.fromkeys(
            name for row in self.rows for name, value in row.metrics.items() if isinstance(value, int | float)
        )
        return tuple(found)

    @property
    def failed(self) -> tuple[TrialRow, ...]:
        """The rows of the trials that failed."""
        return tuple(row for row in self.rows if row.error is not None)

    @property
    def planned(self) -> int:
        """How many trials were planned."""
        return len(self.settings) * self.repeats

    def where(self, **parameters: Value) -> Sweep:
        """The part of the sweep whose parameters have these values.

            swept.where(events_per_s=100)

        Raises ValueError if there is no such setting.
        """

        def has_them(setting: Setting) -> bool:
            return all(name in setting and setting[name] == value for name, value in parameters.items())

        settings = tuple(filter(has_them, self.settings))
        if not settings:
            raise ValueError(f"expected values out of the grid ({', '.join(self.parameters)}), got {parameters}")
        rows = tuple(row for row in self.rows if has_them(row.parameters))
        return Sweep(trial=self.trial, settings=settings, repeats=self.repeats, seed=self.seed, rows=rows)

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame with one row per trial.

        The columns: each parameter, `repeat`, `order`, `seed`, each number (NaN where it is not defined), `error`,
        `when`, `duration_s`.

            frame = swept.to_pandas()
            frame[frame.error.isna()].groupby(["policy", "buffer"]).held_ms.describe()

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        metrics = dict.fromkeys(name for row in self.rows for name in row.metrics)
        columns = [*self.parameters, "repeat", "order", "seed", *metrics, "error", "when", "duration_s"]
        frame = pd.DataFrame([_flat(row) for row in self.rows], columns=columns)
        frame["when"] = pd.to_datetime(frame["when"], utc=True)
        return frame

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        done = f"{len(self)} of {self.planned}" if len(self) != self.planned else f"{len(self)}"
        rounds = f"{self.repeats} round{'s' if self.repeats > 1 else ''}"
        settings = f"{len(self.settings)} setting{'s' if len(self.settings) > 1 else ''}"
        failed = f", {len(self.failed)} failed: {_commonest(self.failed)}" if self.failed else ""
        return f"<Sweep of {self.trial}: {done} trials, {settings} in {rounds}{failed}>"


def _flat(row: TrialRow) -> dict[str, Any]:
    record = row.as_dict()
    return {**record.pop("parameters"), **record.pop("metrics"), **record}


def _in_order(rows: Iterable[TrialRow]) -> tuple[TrialRow, ...]:
    """The newest of each place: one that had failed may have been tried again."""
    return tuple(sorted({row.order: row for row in rows}.values(), key=lambda row: row.order))


def _fields(head: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(Sweep)} - {"rows", "left_out"}
    return {name: tuple(value) if name == "settings" else value for name, value in head.items() if name in known}


def _commonest(failed: Iterable[TrialRow]) -> str:
    (error, _), *_ = Counter(row.error for row in failed).most_common(1)
    return str(error)
