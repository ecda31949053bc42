"""What recordings show: facts, and one sentence that says the most important of them. Nothing is drawn here.

Each file has both for one question. The facts come first (`journeys()`, `queued()`, `compared()`, `held()` …): pure
functions of recordings, with every number that the figure shows; what cannot be known is None, never 0. The sentence
follows from them by rules tried in a fixed order, with their thresholds as constants in the same file. `words` writes
numbers and names in one way everywhere, `subjects` gives recordings their names and columns. A figure draws the same
facts below the same sentence, so the two cannot differ: `plots/plot_hops.py` draws what `findings/hops.py` says, and so
on for all of them. `plots.outcomes` draws the grid of `endings`: an outcome is what a client was told, an ending sets
that against what was true.

`compare` compares runs of several targets, and gives a `Comparison`; its sentence is `compare_finding`.

The doors are the names below. `finding` is the timeline's sentence; the others are named after their figure:
`gaps_finding`, `journey_finding`, `backlog_finding`, `hops_finding`, `queues_finding`, `policies_finding`,
`results_finding`, `upload_finding`, `leaving_finding`, `where_finding`; for many streams `load_finding` and
`ecdf_finding`; for a sweep `sweep_finding`.
Facts to compute with: `policy_facts`, `load_facts`, `sweep_facts`, `held`, `after_leaving`, `end_grid`, `goodput`; and
why a stream stuttered: `diagnose`.
"""

from __future__ import annotations

from streamkit.lab.findings.backlog import backlog_finding
from streamkit.lab.findings.causes import diagnose
from streamkit.lab.findings.comparing import compare, compare_finding
from streamkit.lab.findings.comparison import Comparison
from streamkit.lab.findings.ecdf import ecdf_finding
from streamkit.lab.findings.endings import Band, EndGrid, Ending, end_grid, ending
from streamkit.lab.findings.gaps import gaps_finding
from streamkit.lab.findings.hops import hops_finding
from streamkit.lab.findings.journey import journey_finding
from streamkit.lab.findings.leaving import Leaving, after_leaving, leaving_finding
from streamkit.lab.findings.load import LoadFacts, load_facts, load_finding
from streamkit.lab.findings.policies import PolicyFacts, policies_finding, policy_facts
from streamkit.lab.findings.queues import queues_finding
from streamkit.lab.findings.results import results_finding
from streamkit.lab.findings.stretches import Held, held
from streamkit.lab.findings.sweep import SweepFacts, sweep_facts, sweep_finding
from streamkit.lab.findings.timeline import finding
from streamkit.lab.findings.upload import upload_finding
from streamkit.lab.findings.where import where_finding
from streamkit.lab.recording.goodput import goodput

__all__ = [
    "Band",
    "Comparison",
    "EndGrid",
    "Ending",
    "Held",
    "Leaving",
    "LoadFacts",
    "PolicyFacts",
    "SweepFacts",
    "after_leaving",
    "backlog_finding",
    "compare",
    "compare_finding",
    "diagnose",
    "ecdf_finding",
    "end_grid",
    "ending",
    "finding",
    "gaps_finding",
    "goodput",
    "held",
    "hops_finding",
    "journey_finding",
    "leaving_finding",
    "load_facts",
    "load_finding",
    "policies_finding",
    "policy_facts",
    "queues_finding",
    "results_finding",
    "sweep_facts",
    "sweep_finding",
    "upload_finding",
    "where_finding",
]


def __dir__() -> list[str]:
    return sorted(__all__)
