"""An HTTP/1.1 client that stamps its reads."""

from __future__ import annotations

from streamkit.transport.body import Body
from streamkit.transport.transport import StreamTransport, Timings

__all__ = [
    "Body",
    "StreamTransport",
    "Timings",
]
