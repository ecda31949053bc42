"""Why the streams of a set stuttered, all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.lab.diagnosis.several import diagnose_several
from streamkit.lab.recording.diagnosed import served

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.lab.diagnosis.result import Diagnosis
    from streamkit.lab.recording.recording import Recording

__all__ = ["diagnosed_set"]


def diagnosed_set(recordings: Sequence[Recording]) -> Diagnosis:
    """See `RecordingSet.diagnose`. Streams of different clocks are looked at one by one alone."""
    clocks = {recording.meta.get("origin") for recording in recordings}
    streams = [served(recording) for recording in recordings] if len(clocks) == 1 else []
    return diagnose_several(streams, [recording.diagnose() for recording in recordings])
