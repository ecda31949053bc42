"""Draws pictures in a process of its own, one at a time: nothing of a stream waits for a figure.

A figure takes a tenth of a second and more, in which nothing else of an interpreter gets on: on the event loop it would
delay the client, in a thread beside it all of the servers. Here only a copy of what has come is made and sent away,
which takes a millisecond or two.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from streamkit.jobs.processes import Processes
from streamkit.lab.live.picture import LoadPart, draw, make_ready
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.lab.sweep import Sweep

if TYPE_CHECKING:
    from concurrent.futures import Future

    from streamkit.lab.live.picture import Picture

__all__ = ["Camera"]


class Camera:
    """`camera.take(recording, "journey").result()` is a `Picture`; nothing is left of it behind `close()`."""

    def __init__(self) -> None:
        self._sent: set[int] = set()  # of a load's recordings, by their identity: they live as long as it does
        self._processes = Processes(1)
        self._processes.submit(os.nice, 10).result()  # it is there before the stream is, and gives way to others
        self._ready = self._processes.submit(make_ready)

    def take(self, shown: object, kind: str | None) -> Future[Picture] | None:
        """A picture of it. None: there is nothing to draw yet, or no figure of it, or nobody ready to draw it."""
        if not self._ready.done():
            return None
        told: Recording | Sweep | LoadPart
        if isinstance(shown, RecordingSet):
            if not shown:
                return None
            new = tuple(each for each in shown if id(each) not in self._sent)
            self._sent.update(map(id, new))
            told = LoadPart(new, shown.meta, shown.resources)
        elif isinstance(shown, Recording | Sweep):
            told = shown
        else:
            return None
        return self._processes.submit(draw, told, kind, _look())

    def close(self) -> None:
        """The process ends, in the midst of its work perhaps."""
        self._processes.shutdown(cancel_futures=True)


def _look() -> dict[str, Any]:
    """What somebody has set of matplotlib's settings here: dark figures are dark while they are drawn, too."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return {}
    default = matplotlib.rcParamsDefault
    return {
        name: value
        for name, value in matplotlib.rcParams.items()
        if not name.startswith(("backend", "interactive", "savefig", "toolbar")) and value != default[name]
    }
