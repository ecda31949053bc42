"""Where a stream is observed: the staircases of its taps, the queues between them, and one clock for all.

Who sees a stream pass stamps its `StreamTaps`; a server keeps those of its streams in a `TapLog`, and tells each by
`as_dict`, which `from_dict` reads elsewhere. Everything that is measured is read off them later, by `streamkit.lab`.
Imports nothing else of streamkit. Doors: the names here, `gauges`, and `clock`.
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
