"""Figures. Every function takes `ax=None` and returns the Axes it drew on; without `ax` it makes a pyplot figure.

The title states the finding (that of `gaps` is by `gaps_finding`, and so on; that of `timeline` by `finding`); `title=`
replaces it, and `title=""` leaves it out. No style is set, nothing is shown or saved, and an Axes that is given is the
only thing drawn on.
"""

from streamkit.lab.findings.journeys import backlog_finding, hops_finding, journey_finding
from streamkit.lab.findings.policies import policies_finding
from streamkit.lab.findings.queues import queues_finding
from streamkit.lab.findings.timelines import finding, gaps_finding
from streamkit.lab.plots.plot_backlog import backlog
from streamkit.lab.plots.plot_gaps import gaps
from streamkit.lab.plots.plot_hops import hops
from streamkit.lab.plots.plot_journey import journey
from streamkit.lab.plots.plot_outcomes import outcomes
from streamkit.lab.plots.plot_policies import policies
from streamkit.lab.plots.plot_queues import queues
from streamkit.lab.plots.plot_timeline import timeline

__all__ = [
    "backlog",
    "backlog_finding",
    "finding",
    "gaps",
    "gaps_finding",
    "hops",
    "hops_finding",
    "journey",
    "journey_finding",
    "outcomes",
    "policies",
    "policies_finding",
    "queues",
    "queues_finding",
    "timeline",
]
