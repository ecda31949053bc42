"""Jobs: plain functions that compute for long, in processes of their own, and report progress and results.

    def halves(report: Report, upto: Annotated[int, Bounds(1, 1000)]) -> dict[str, Any]:
        for number in range(upto):
            report.progress(number, upto)
            report.result({"half": number / 2})
        return {"halves": upto}

The way of what a job says, from the process that works to the event loop that wants to know:

    report.py    what a job may say: progress (only the latest counts), results (none is lost)
    messages.py  as lines of JSON, bounded
      a Unix socket, read only as fast as somebody takes what comes: a job whose results nobody takes waits
    intake.py    read in the event loop

`registry.py` knows which jobs there are and what they take. `work.py` runs one, in any `concurrent.futures.Executor` on
this machine; `processes.py` is an executor that can stop one in the middle of its work, and `child.py` the process
behind it. `shipped.py` has those that come with streamkit. Working processes import this room, so it is light and
imports nothing else of streamkit; a job imports what it needs itself.

Doors: `jobs.intake`, `jobs.messages`, `jobs.processes`, `jobs.registry`, `jobs.report`, `jobs.shipped`, `jobs.work`;
and this module, if you write a job.
"""

from __future__ import annotations

from streamkit.jobs.registry import Bounds
from streamkit.jobs.report import JobCancelled, Report

__all__ = ["Bounds", "JobCancelled", "Report"]
