"""diagnose(): why recordings stuttered, one or several together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.lab.findings.subjects import Recordings, recordings_in
from streamkit.lab.sets import RecordingSet

if TYPE_CHECKING:
    from streamkit.lab.diagnosis.result import Diagnosis

__all__ = ["diagnose"]


def diagnose(recordings: Recordings) -> Diagnosis:
    """Why a stream, or several, stuttered: `Recording.diagnose()`, or for several `RecordingSet.diagnose()`.

        sk.findings.diagnose(await asyncio.gather(*[sk.record(url) for _ in range(5)])).cause

    Raises TypeError for what is not a recording, ValueError if there is none.

    >>> sk.findings.diagnose(sk.Recording.from_pieces([(n * 50_000_000, "x") for n in range(9)])).cause
    'none'
    """
    several = [recording for _, recording in recordings_in(recordings)]
    return several[0].diagnose() if len(several) == 1 else RecordingSet(several).diagnose()
