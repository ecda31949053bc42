"""Run one client: `python -m benchmarks.truth_clients aiohttp@uvloop '{"port": 1234, …}'` prints what it saw as JSON.

CPU time is that of this process, user and system, around the run: `time.process_time()`, because `os.times()` counts in
ticks of 10 ms. Finding the events in the bytes afterwards, and this module's own start, are not in it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks.truth_clients import CLIENTS, Job


def main() -> None:
    """Run the client named by the first argument with the job in the second."""
    name, _, loop = sys.argv[1].partition("@")
    job = Job(**json.loads(sys.argv[2]))
    run = importlib.import_module(f"benchmarks.truth_clients.{CLIENTS[name]}").run
    cpu_s, seen = _runner(loop)(run(job)) if inspect.iscoroutinefunction(run) else run(job)
    json.dump({"cpu_s": cpu_s, "streams": [asdict(stream) for stream in seen]}, sys.stdout)


def _runner(loop: str) -> Callable[[Any], Any]:
    if loop == "uvloop":
        import uvloop

        return uvloop.run
    return asyncio.run


if __name__ == "__main__":
    main()
