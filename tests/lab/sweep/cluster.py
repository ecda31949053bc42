"""A cluster of dask's: a scheduler in this process, on a socket, and two workers in processes of their own.

with cluster() as client:
    client.get_executor()
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

WORKERS = 2
WAIT_S = 60
ROOT = Path(__file__).parents[3]

# Imports once, which is what takes its time, and then becomes one process for each worker. They end with stdin.
START = """
import asyncio, os, sys
from distributed import Worker

async def work():
    async with Worker(sys.argv[1], nthreads=1, host="127.0.0.1", dashboard=False) as worker:
        await asyncio.to_thread(sys.stdin.read)

children = [os.fork() for _ in range(int(sys.argv[2]) - 1)] if sys.argv[2] != "1" else []
asyncio.run(work())
for child in filter(None, children):
    os.waitpid(child, 0)
"""


@contextmanager
def cluster() -> Iterator[Any]:
    """A client of it."""
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", protocol="tcp://", dashboard_address=None) as scheduler,  # type: ignore[no-untyped-call]  # untyped
        workers(scheduler.scheduler_address),
        Client(scheduler, timeout=WAIT_S) as client,  # type: ignore[no-untyped-call]  # untyped
    ):
        client.wait_for_workers(WORKERS, timeout=WAIT_S)
        yield client


@contextmanager
def workers(scheduler: str) -> Iterator[None]:
    started = subprocess.Popen(
        [sys.executable, "-c", START, scheduler, str(WORKERS)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # they log what they do
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield
    finally:
        assert started.stdin is not None
        started.stdin.close()
        started.wait(WAIT_S)
