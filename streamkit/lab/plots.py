"""Figures. Every function takes `ax=None` and returns the Axes it drew on; without `ax` it makes a pyplot figure.

The title states the finding (`finding`, `gaps_finding`); `title=` replaces it, and `title=""` leaves it out. No style
is set, nothing is shown or saved, and an Axes that is given is the only thing drawn on.
"""

from streamkit.lab.findings import finding, gaps_finding
from streamkit.lab.plot_gaps import gaps
from streamkit.lab.plot_timeline import timeline

__all__ = ["finding", "gaps", "gaps_finding", "timeline"]
