"""The network between two parties: bad ones that can be put in between, and how much the buffers of a good one hold.

    client ◀──▶ Link (carrier: connections; toxics: what is done to their bytes, and when) ◀──▶ server

A `Link` is a TCP proxy with a thread of its own. Toxics decide what it does to the bytes of each direction: `Latency`,
`Bandwidth`, `Slice`, `Blackhole`, `Cut`, `SlowClose`; they are values, and touch no socket. A `Network` says which
sockets and buffers the hops of a lab have; `absorbed_bytes` measures how much vanishes into them before a writer is
held. These are the doors.
"""

from __future__ import annotations

from streamkit.lab.net.buffers import Network, absorbed_bytes
from streamkit.lab.net.link import Link
from streamkit.lab.net.toxics import Bandwidth, Blackhole, Cut, Latency, Slice, SlowClose

__all__ = ["Bandwidth", "Blackhole", "Cut", "Latency", "Link", "Network", "Slice", "SlowClose", "absorbed_bytes"]


def __dir__() -> list[str]:
    return sorted(__all__)
