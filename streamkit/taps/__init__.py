"""Where a stream is observed."""

from __future__ import annotations

from streamkit.taps.taps import STREAM_ID_HEADER, TAPS, StreamTaps, Tap, TapLog, new_stream_id, stream_id_from

__all__ = [
    "STREAM_ID_HEADER",
    "TAPS",
    "StreamTaps",
    "Tap",
    "TapLog",
    "new_stream_id",
    "stream_id_from",
]
