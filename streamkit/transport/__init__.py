"""An HTTP/1.1 client that stamps its reads: the relay and the recorder use it to ask, and to know when each byte came.

The way of the data: `transport` takes httpx2's request, gets a slot from the `pool`, has the `dialer` connect a `wire`,
and sends what `outgoing` made of the request. What comes back goes from the wire, one stamped read at a time
(`receive_times`), through `http1`'s parser into the `exchange`'s inbox, and out of the `body`.

Doors: `StreamTransport` and what it hands out, named here; `transport.http1`, HTTP/1.1 without I/O; `transport.url`,
URLs of unix sockets; `transport.tls`, whom to trust; `transport.refusals`, why there is no connection;
`transport.receive_times`, the kernel's receive times without an HTTP client.
"""

from __future__ import annotations

from streamkit.transport.body import Body
from streamkit.transport.exchange import ReadPart, Sink
from streamkit.transport.outgoing import Template
from streamkit.transport.receive_times import Stamp
from streamkit.transport.transport import StreamTransport
from streamkit.transport.wire import Timings

__all__ = [
    "Body",
    "ReadPart",
    "Sink",
    "Stamp",
    "StreamTransport",
    "Template",
    "Timings",
]
