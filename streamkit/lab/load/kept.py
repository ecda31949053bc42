"""The last load of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.sets import RecordingSet

__all__ = ["LAST", "last_load"]

LAST: Final = Last["RecordingSet"]("recordings")


def last_load(of: BaseException | None = None) -> RecordingSet | None:
    """The recordings of the last load of this process, finished or interrupted; None where there was none.

        streams = await sk.load(lab, streams=1000, rate=10)     # interrupted after a minute, by Ctrl-C
        sk.last_load().summary()                                # of those that ended by then, and those that ran

    A load that was interrupted (Ctrl-C, a notebook's "interrupt", a task that is cancelled, an `on_done` that raises)
    has in it all streams that had ended, and as `cancelled(by us)` those that ran. The exception that passes through
    has them as its attribute `recordings`. Others make a new exception of it: `of` finds them in what it was made of,
    and None where it carries none.

    Memory: the recordings of one load are held until those of the next take their place.
    """
    return LAST.of(of)
