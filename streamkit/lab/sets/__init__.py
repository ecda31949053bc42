"""Many recordings as one: a row for each stream, groups by label, what a load was to be, and what it cost the server.

    client ──▶ recordings ──▶ RecordingSet ──▶ findings/load ──▶ plots.load

A set is made of recordings and adds nothing to what they say: when each was due and sent, its labels and its outcome
stand in the recordings themselves.
"""

from __future__ import annotations

from streamkit.lab.sets.recording_set import RecordingSet
from streamkit.lab.sets.resources import Resources

__all__ = ["RecordingSet", "Resources"]
