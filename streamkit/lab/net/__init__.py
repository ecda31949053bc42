"""What lies between two parties: a bad network that can be put in, and how much the buffers of a good one hold.

    client ◀──▶ Link (carrier: connections; toxics: what is done to their bytes, and when) ◀──▶ server

A `Link` is a TCP proxy with a thread of its own. What it does to the bytes of either direction is decided by toxics
(`Latency`, `Bandwidth`, `Slice`, `Blackhole`, `Cut`, `SlowClose`), which are values and touch no socket. A `Network`
names the sockets and buffers of a lab's hops; `absorbed_bytes` measures how much vanishes into them before a writer is
held. These are the doors.
"""

from __future__ import annotations

from streamkit.lab.net.buffers import Network, absorbed_bytes
from streamkit.lab.net.link import Link
from streamkit.lab.net.toxics import Bandwidth, Blackhole, Cut, Latency, Slice, SlowClose

__all__ = ["Bandwidth", "Blackhole", "Cut", "Latency", "Link", "Network", "Slice", "SlowClose", "absorbed_bytes"]


def __dir__() -> list[str]:
    return sorted(__all__)
