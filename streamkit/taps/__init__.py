"""Where a stream is observed: the staircases of its taps, the queues between them, and one clock for all.

Each part that sees a stream pass stamps its `StreamTaps`. A server keeps those of its streams in a `TapLog`, and sends
them as `as_dict()`, which `from_dict()` reads elsewhere. Everything that is measured is computed from them later, by
`streamkit.lab`. This room imports nothing else of streamkit. Doors: the names here, `gauges`, and `clock`.
"""

from __future__ import annotations

from streamkit.taps.taps import (
    LIVE_HEADER,
    STREAM_ID_HEADER,
    TAPS,
    UPLOAD_TAPS,
    StreamTaps,
    Tap,
    TapLog,
    new_stream_id,
    stream_id_from,
)
from streamkit.taps.way import WAY, Section

__all__ = [
    "LIVE_HEADER",
    "STREAM_ID_HEADER",
    "TAPS",
    "UPLOAD_TAPS",
    "WAY",
    "Section",
    "StreamTaps",
    "Tap",
    "TapLog",
    "new_stream_id",
    "stream_id_from",
]
