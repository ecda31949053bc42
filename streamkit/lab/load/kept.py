"""The last load of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.sets import RecordingSet

__all__ = ["LAST", "last_load"]

LAST: Final = Last["RecordingSet"]("recordings")


def last_load(of: BaseException | None = None) -> RecordingSet | None:
    """The recordings of the last load of this process, finished or interrupted; None if there was none.

        streams = await sk.load(lab, streams=1000, rate=10)     # interrupted after a minute, by Ctrl-C
        sk.last_load().summary()                                # of those that had ended by then, and those that ran

    After an interruption (Ctrl-C, a notebook's "interrupt", a cancelled task, an `on_done` that raises) it holds all
    streams that had ended, and those that ran, as `cancelled(by us)`. The exception that passes through carries them as
    its attribute `recordings`. If that exception was turned into another one, `of` finds them behind it; it returns
    None if there are none.

    The recordings of one load are held in memory until those of the next replace them.
    """
    return LAST.of(of)
