"""Figures of recordings: one function for each figure, and no classes. `sk.plots.timeline(recording)` draws one.

Every function takes recordings and `ax=None`, and returns the matplotlib Axes it drew on; without `ax` it makes a new
pyplot figure. The title states the finding of the same name (`streamkit.lab.findings`); `title=` replaces it, and
`title=""` leaves it out. Small print below says how far to trust the figure. The functions set no style, show and save
nothing, and draw on nothing but the Axes they are given.

The way of the data: recordings → facts and sentence (`findings`) → a layout in points (each `plot_*.py`; `page` for
staircases) → artists in the one language of `palette`, which defines what each colour, line, hatch and mark means.
Only this room imports matplotlib.
"""

from __future__ import annotations

from streamkit.lab.plots.plot_backlog import backlog
from streamkit.lab.plots.plot_compare import compare
from streamkit.lab.plots.plot_ecdf import ecdf
from streamkit.lab.plots.plot_gaps import gaps
from streamkit.lab.plots.plot_heatmap import heatmap
from streamkit.lab.plots.plot_hops import hops
from streamkit.lab.plots.plot_journey import journey
from streamkit.lab.plots.plot_leaving import leaving
from streamkit.lab.plots.plot_load import load
from streamkit.lab.plots.plot_outcomes import outcomes
from streamkit.lab.plots.plot_policies import policies
from streamkit.lab.plots.plot_queues import queues
from streamkit.lab.plots.plot_results import results
from streamkit.lab.plots.plot_sweep import sweep
from streamkit.lab.plots.plot_timeline import timeline
from streamkit.lab.plots.plot_upload import upload
from streamkit.lab.plots.plot_way import way
from streamkit.lab.plots.plot_where import where

__all__ = [
    "backlog",
    "compare",
    "ecdf",
    "gaps",
    "heatmap",
    "hops",
    "journey",
    "leaving",
    "load",
    "outcomes",
    "policies",
    "queues",
    "results",
    "sweep",
    "timeline",
    "upload",
    "way",
    "where",
]


def __dir__() -> list[str]:
    return sorted(__all__)
