"""Resources: what one process used while a load ran, sampled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamkit.lab.metrics.words import ms

__all__ = ["UNKNOWN", "Resources"]

UNKNOWN = -1
COLUMNS = ("at_ns", "rss_bytes", "descriptors", "cpu_ns", "loop_late_ns")


@dataclass(frozen=True)
class Resources:
    """What one process used during a load: samples, as columns of equal length; `UNKNOWN` (-1) is not known.

    name            what the process is called
    at_ns           when, on the clock of the recordings' `started_ns`
    rss_bytes       resident memory
    descriptors     open files and sockets
    cpu_ns          user and system time used, from any zero: only differences count
    loop_late_ns    how late its event loop was at worst since the sample before

    `most()` is the most that it used, and `str()` says it in words. Raises ValueError for columns of different lengths.
    """

    name: str
    at_ns: npt.NDArray[np.int64]
    rss_bytes: npt.NDArray[np.int64]
    descriptors: npt.NDArray[np.int64]
    cpu_ns: npt.NDArray[np.int64]
    loop_late_ns: npt.NDArray[np.int64]

    @classmethod
    def of(cls, name: str, rows: Iterable[tuple[int, int, int, int, int]]) -> Resources:
        """Made from rows of samples, in the order of the columns.

        >>> Resources.of("relay", [(0, 1 << 20, 9, 0, 0)]).rss_bytes.tolist()
        [1048576]
        """
        columns = np.array(list(rows), dtype=np.int64).reshape(-1, len(COLUMNS)).T
        return cls(name, *columns)

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected columns of one length, got {lengths}")

    def __len__(self) -> int:
        return len(self.at_ns)

    def most(self) -> dict[str, int | None]:
        """The largest value of each column, and of `cpu_ns` the time used from the first sample to the last; None for
        what is not known.

        >>> Resources.of("relay", [(0, 1 << 20, 9, 5, 0), (1, 1 << 19, -1, 7, 0)]).most()
        {'rss_bytes': 1048576, 'descriptors': 9, 'cpu_ns': 2, 'loop_late_ns': 0}
        """
        cpu_ns = self.cpu_ns[self.cpu_ns >= 0]
        return {
            "rss_bytes": _most(self.rss_bytes),
            "descriptors": _most(self.descriptors),
            "cpu_ns": int(cpu_ns[-1] - cpu_ns[0]) if len(cpu_ns) else None,
            "loop_late_ns": _most(self.loop_late_ns),
        }

    def __str__(self) -> str:
        memory, files, cpu_ns, late_ns = self.most().values()
        told = [
            None if memory is None else f"{memory / 1e6:,.0f} MB of memory at most",
            None if files is None else f"{files:,} open files and sockets at most",
            None if cpu_ns is None else f"{cpu_ns / 1e9:,.2f} s of CPU time",
            None if late_ns is None else f"its event loop late by {ms(late_ns / 1e6)} at most",
        ]
        return f"{self.name}: {', '.join(each for each in told if each is not None) or 'gone'}"


def _most(column: npt.NDArray[np.int64]) -> int | None:
    """The largest value; None where none is known."""
    return int(column.max()) if len(column) and column.max() >= 0 else None
