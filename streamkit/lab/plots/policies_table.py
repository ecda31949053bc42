"""What the table beside the lanes of `plot_policies` says: a column for each price of a policy, a cell for a lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streamkit.lab.findings.journey import NOISE_NS
from streamkit.lab.findings.policies import Compared, PolicyFacts
from streamkit.lab.findings.words import about, byte_size
from streamkit.lab.plots.palette import LABEL_PT, width_pt

__all__ = ["Cell", "Column", "table_of"]


class Cell(NamedTuple):
    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table: two lines of head, and a cell for each lane."""

    head: tuple[str, str]
    cells: tuple[Cell, ...]

    @property
    def width(self) -> float:
        bold = (1.12 * width_pt(cell.text, LABEL_PT) for cell in self.cells)
        return max(*map(width_pt, self.head), *bold, *(width_pt(cell.note) for cell in self.cells))


def table_of(lanes: Sequence[Compared]) -> tuple[Column, ...]:
    """The columns in the order in which they matter: the last go first where there is no room."""
    return (
        _column(("pieces", "lost"), lanes, _lost, lambda one: one.lost),
        _column(("memory,", "relay"), lanes, _memory, lambda one: one.peak_relay_bytes),
        _column(("finished", "after"), lanes, _finished, lambda one: one.finished_ns),
        _column(("upstream", "held"), lanes, _held, lambda one: one.held_ns),
        _column(("oldest", "piece"), lanes, _age, lambda one: one.age_max_ns),
    )


def _column(
    head: tuple[str, str],
    lanes: Sequence[Compared],
    cell: Callable[[PolicyFacts], Cell],
    measure: Callable[[PolicyFacts], int | None],
) -> Column:
    """Best is the least, as it is written, among the streams that completed, if not all of them have it. The note of a
    group is its range.
    """
    cells = []
    for lane in lanes:
        known = [(value, cell(one.facts).text) for one in lane.group if (value := measure(one.facts)) is not None]
        (_, low), (_, high) = (min(known), max(known)) if known else ((0, ""), (0, ""))
        shown = cell(lane.facts)
        cells.append(shown if low == high else shown._replace(note=_range(low, high)))
    rivals = [
        (value, cell.text)
        for one, cell in zip(lanes, cells, strict=True)
        if one.whole and (value := measure(one.facts)) is not None
    ]
    best = min(rivals)[1] if len({text for _, text in rivals}) > 1 else None
    return Column(
        head=head,
        cells=tuple(
            cell._replace(best=one.whole and cell.text == best) for one, cell in zip(lanes, cells, strict=True)
        ),
    )


def _range(low: str, high: str) -> str:
    """`3.0 – 3.2 s`, `900 ms – 1.1 s`."""
    least, _, unit = low.rpartition(" ")
    return f"{least if least and high.endswith(f' {unit}') else low} – {high}"


def _lost(one: PolicyFacts) -> Cell:
    if one.lost is None:
        return Cell("–")
    if not one.lost or one.total is None:
        return Cell(f"{one.lost:,}", "" if one.total is None else f"of {one.total:,}")
    if one.dropped and one.not_delivered:
        return Cell(f"{one.lost:,}", f"{one.dropped:,} dropped")
    return Cell(f"{one.lost:,}", "dropped" if one.dropped else "never came")


def _memory(one: PolicyFacts) -> Cell:
    kernel = "" if one.peak_kernel_bytes is None else f"kernel {byte_size(one.peak_kernel_bytes)}"
    return Cell("–" if one.peak_relay_bytes is None else byte_size(one.peak_relay_bytes), kernel)


def _finished(one: PolicyFacts) -> Cell:
    return Cell(_time(one.finished_ns), "" if one.outcome.ok else one.outcome.name.replace("_", " "))


def _held(one: PolicyFacts) -> Cell:
    by_relay = one.upstream_held_ns is not None and one.relay_held_ns is not None
    return Cell(_hold(one.held_ns), f"relay {_hold(one.relay_held_ns)}" if by_relay else "")


def _hold(ns: int | None) -> str:
    """Without a shared machine's noise, by which nobody is best."""
    return f"< {about(NOISE_NS)}" if ns is not None and ns < NOISE_NS else _time(ns)


def _age(one: PolicyFacts) -> Cell:
    return Cell(_time(one.age_max_ns), "" if one.age_p50_ns is None else f"p50 {about(one.age_p50_ns)}")


def _time(ns: int | None) -> str:
    return "–" if ns is None else about(ns)
