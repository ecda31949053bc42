"""A recording as a diagnosis sees it, and the diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from streamkit.lab import metrics
from streamkit.lab.diagnosis.result import Cause, Diagnosis
from streamkit.lab.diagnosis.rules import diagnose
from streamkit.lab.diagnosis.seen import Seen, TcpRows, quiet_reads, spans
from streamkit.lab.diagnosis.several import Served
from streamkit.lab.recording.recorded import FOREIGN_TAPS
from streamkit.lab.recording.tap_curves import has_borders, tap_curves
from streamkit.lab.recording.trust import LOOP_PROBE_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamkit.lab.metrics.columns import Ints
    from streamkit.lab.metrics.curves import Curve
    from streamkit.lab.recording.recorded import Recorded

__all__ = ["diagnosed", "seen", "served"]

MOST_TOLD: Final = 60
"""Characters of a field of the head, which is somebody else's text."""
UNTIMED: Final = "Whether it stuttered cannot be told: the file does not say what came when"


def diagnosed(recording: Recorded) -> Diagnosis:
    """Why it stuttered; see `Recording.diagnose`."""
    if recording.meta.get("untimed"):
        return Diagnosis((Cause(name="unknown", sentence=UNTIMED),))
    return diagnose(seen(recording))


def seen(recording: Recorded) -> Seen:
    """Its columns, and what it says of its own making."""
    counted, reads, events, meta = recording.counted, recording.reads, recording.events, recording.meta
    beats = quiet_reads(
        reads.at_ns, reads.size, reads.data, events.read, events.event, counted.which, _plain_sizes(recording)
    )
    borders = has_borders(recording)
    unread = recording.gauges.get("client.unread")
    return Seen(
        at_ns=np.array(counted.at_ns),
        handed_ns=np.array(events.handed_ns, dtype=np.int64)[counted.which],
        read=np.array(counted.read),
        weight=np.ones(counted.at_ns.size) if borders else _weights(counted.characters),
        follows=counted.follows,
        alive_ns=beats.alive_ns,
        other_ns=beats.other_ns,
        parts_ns=beats.parts_ns,
        kernel=recording.stamps == "kernel",
        borders=borders,
        paced="reader" in meta,
        watched="loop_busy_ns" in meta,
        loop_busy_ns=_certainly_busy(spans(meta.get("loop_busy_ns", ()))),
        reader_busy_ns=spans(meta.get("reader_busy_ns", ())),
        unread=(unread.at_ns, unread.value) if unread is not None and unread.known else None,
        tcp=TcpRows.of(meta.get("tcp")),
        end=_end(recording),
        ended=str(recording.outcome),
        cuts=recording.cut_silences,
        curves=_taps(recording),
        origin_ns=recording.origin_ns,
        by=_passed_on(recording.headers),
    )


def served(recording: Recorded) -> Served | None:
    """When it was asked for, when its first piece came, and its last, by the clock of its origin; None if none came."""
    counted, began_ns = recording.counted, recording.started_ns
    if not counted.at_ns.size:
        return None
    first_ns, last_ns = int(counted.at_ns[0]), int(counted.at_ns[-1])
    asked_ns = max(recording.origin_ns, recording.acquired_ns or 0)  # before that it was this client that waited
    return Served(began_ns + asked_ns, began_ns + first_ns, began_ns + last_ns)


def _plain_sizes(recording: Recorded) -> Sequence[int]:
    """The bytes of each event, to be held against those of reads; none where these were compressed on the wire."""
    return () if "content-encoding" in recording.headers else recording.events.size


def _passed_on(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Who is named by the head, and what was done to the body: whoever compresses collects."""
    named = [name for name in ("via", "server") if name in headers]
    lines = [f"the answer's head says {name}: {headers[name][:MOST_TOLD]}" for name in named]
    if (coding := headers.get("content-encoding")) is not None:
        lines.append(f"the body was compressed on its way ({coding[:MOST_TOLD]}), and compressors collect")
    return tuple(lines)


def _certainly_busy(looks: Ints) -> Ints:
    """Between two looks the loop was late: for certain since the second one was due. What came before may be a few ms
    of work, and of a loop that is a little late all the time it would make one that is always busy.
    """
    since_ns = looks[:, 0] + LOOP_PROBE_NS
    certain = np.column_stack((since_ns, looks[:, 1]))
    return certain[since_ns < looks[:, 1]]


def _weights(characters: Ints) -> npt.NDArray[np.float64]:
    """Without borders an event is what a read brought: it counts as its text does beside that of a usual one."""
    usual = float(np.median(characters)) if characters.size else 1.0
    return characters / max(usual, 1.0)


def _end(recording: Recorded) -> tuple[int, int] | None:
    """The silence before the end, where that is as long as a stall."""
    if recording.ended_ns is None:
        return None
    counted, events = recording.counted, recording.events
    found = metrics.end_silence(
        events.at_ns,
        counted.which,
        recording.ended_ns,
        complete=recording.outcome.ok,
        late_ns=recording.end_late_ns,
    )
    gaps = metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)
    return None if found is None or found[1] - found[0] <= metrics.stall_threshold_ns(gaps) else found


def _taps(recording: Recorded) -> dict[str, Curve]:
    """Those of others, and the client's own; none where only it looked, or where its texts are not here to join
    them.
    """
    if not set(FOREIGN_TAPS) & recording.taps.keys():
        return {}
    try:
        return tap_curves(recording)
    except ValueError:  # what a relay left out stands in texts that were not kept
        return {}
