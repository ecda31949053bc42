"""Many recordings as one: a row for each stream, groups by label, what a load was to be, and what it cost the server.

    client ──▶ recordings ──▶ RecordingSet ──▶ findings/load ──▶ plots.load
                                  │  columns.py: a row a stream ─▶ verdict.py ─▶ set_summary.py
                                  └─ set_file.py: one file

A set is made of recordings and adds nothing to what they say: when each was due and sent, its labels and its outcome
stand in the recordings themselves. Whether its numbers may be quoted is decided in one place, `verdict.py`.
"""

from __future__ import annotations

from streamkit.lab.sets.recording_set import RecordingSet
from streamkit.lab.sets.resources import Resources
from streamkit.lab.sets.set_summary import SetSummary, Spread
from streamkit.lab.sets.verdict import Verdict

__all__ = ["RecordingSet", "Resources", "SetSummary", "Spread", "Verdict"]
