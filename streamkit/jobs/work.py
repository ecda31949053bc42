"""One job, where it is worked on: what an executor is given to run."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress
from typing import Any
from weakref import WeakSet

from streamkit.jobs.messages import GO
from streamkit.jobs.registry import function_at
from streamkit.jobs.report import JobCancelled, Report

__all__ = ["work"]

_connections: WeakSet[socket.socket] = WeakSet()


def _leave_to_parent() -> None:
    """In a process that a job has forked: the end of its connection is to be the job's, whoever outlives it."""
    for connection in list(_connections):
        connection.close()


os.register_at_fork(after_in_child=_leave_to_parent)


def work(address: str, token: str, path: str, arguments: dict[str, Any]) -> None:
    """Run the job at `path`, and tell whoever listens at `address` and gave out `token`. It never raises for the job.

    Raises OSError where nobody listens.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        _connections.add(connection)
        connection.connect(address)
        connection.sendall(token.encode() + b"\n")
        if _is_awaited(connection):
            with closing(Report(connection)) as report, suppress(JobCancelled):
                _run(report, path, arguments)


def _is_awaited(connection: socket.socket) -> bool:
    """Whoever began the job may have left before it came to its turn."""
    try:
        return connection.recv(len(GO)) == GO
    except ConnectionError:
        return False


def _run(report: Report, path: str, arguments: dict[str, Any]) -> None:
    try:
        report.returned(function_at(path)(report, **arguments))
    except JobCancelled:
        raise
    except BaseException as error:  # noqa: BLE001  # SystemExit too: whatever ends a job is told
        report.raised(error)
