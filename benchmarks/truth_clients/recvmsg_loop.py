"""The floor: a bare recvmsg loop in plain Python with the kernel's own receive stamps. No HTTP library, no loop."""

from __future__ import annotations

import selectors
import socket
import time

from benchmarks.golden import ANCILLARY_BYTES, SO_TIMESTAMPNS, kernel_stamp_ns, realtime_offset_ns
from benchmarks.truth_clients import Job, Seen, events_of_pieces, raw_request


def run(job: Job) -> tuple[float, list[Seen]]:
    """Without a stamp (the kernel gave none) the time of the read stands in."""
    cpu_s = time.process_time()
    offset, _ = realtime_offset_ns(50)
    seen: list[Seen] = []
    pieces: list[list[tuple[int, bytes]]] = []
    with selectors.DefaultSelector() as selector:
        for stream in range(job.streams):
            called_ns = time.monotonic_ns()
            connection = socket.create_connection(("127.0.0.1", job.port))
            connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            # Before the call: the server it wakes may take the CPU, and the time after would tell when it came back.
            seen.append(Seen(stream, called_ns, time.monotonic_ns()))
            connection.sendall(raw_request(job, stream))
            connection.setblocking(False)
            pieces.append([])
            selector.register(connection, selectors.EVENT_READ, pieces[stream])
        left = job.streams
        while left:
            for key, _ in selector.select():
                connection = key.fileobj  # type: ignore[assignment]  # the socket registered above
                data, ancillary, _, _ = connection.recvmsg(65536, ANCILLARY_BYTES)
                if data:
                    stamp = kernel_stamp_ns(ancillary)
                    key.data.append((time.monotonic_ns() if stamp is None else stamp - offset, data))
                if data.endswith(b"\r\n0\r\n\r\n") or not data:
                    selector.unregister(connection)
                    connection.close()
                    left -= 1
    cpu_s = time.process_time() - cpu_s
    for one, own in zip(seen, pieces, strict=True):
        one.at_ns, one.read = events_of_pieces(own, job.events)
    return cpu_s, seen
