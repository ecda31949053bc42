"""Long computations: plain functions, in processes of their own, that tell how far they are and what they have found.

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

`registry.py` knows which jobs there are and what they take; `work.py` runs one, in any `concurrent.futures.Executor`
on this machine; `processes.py` is the executor that can stop one in the middle of its work, and `child.py` the process
behind it; `shipped.py` are those that come with streamkit. Processes that work import this room: it is light, knows
nobody else, and what a job needs it imports itself.

Doors: `jobs.intake`, `jobs.messages`, `jobs.processes`, `jobs.registry`, `jobs.report`, `jobs.shipped`,
`jobs.work`; this module, for whoever writes a job.
"""

from __future__ import annotations

from streamkit.jobs.registry import Bounds
from streamkit.jobs.report import JobCancelled, Report

__all__ = ["Bounds", "JobCancelled", "Report"]
