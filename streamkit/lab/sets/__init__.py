"""Sets: many recordings as one, with a row for each stream, groups by label, and what a load cost the server.

    client ──▶ recordings ──▶ RecordingSet ──▶ findings/load ──▶ plots.load
                                  │  columns.py: a row a stream ─▶ verdict.py ─▶ set_summary.py
                                  └─ set_file.py: one file

A set consists of recordings, and adds nothing to what they say: when each was due and sent, its labels and its outcome
are in the recordings themselves. Whether its numbers may be quoted is decided in one place, `verdict.py`.
"""

from __future__ import annotations

from streamkit.lab.sets.recording_set import RecordingSet
from streamkit.lab.sets.resources import Resources
from streamkit.lab.sets.set_summary import SetSummary, Spread
from streamkit.lab.sets.verdict import Verdict

__all__ = ["RecordingSet", "Resources", "SetSummary", "Spread", "Verdict"]
