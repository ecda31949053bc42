"""The last load, and what an interruption of one carries: what has come is not lost because somebody stopped the rest.

keep(streams)              # it is the last load now
carry(streams, error)      # the same, and whoever catches `error` finds it there
last_load(of=error)        # it again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.lab.client.kept import made_of

if TYPE_CHECKING:
    from streamkit.lab.sets import RecordingSet

__all__ = ["carry", "hand_on", "keep", "last_load"]

_last: RecordingSet | None = None


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
    if of is None:
        return _last
    carried = (vars(error).get("recordings") for error in made_of(of))
    return next((streams for streams in carried if streams is not None), None)


def keep(streams: RecordingSet) -> RecordingSet:
    """`streams` are the last load now."""
    global _last
    _last = streams
    return streams


def carry(streams: RecordingSet, error: BaseException) -> None:
    """The same, and `error`, which interrupted it, has them as its attribute `recordings`."""
    vars(error)["recordings"] = keep(streams)


def hand_on(ended: BaseException, error: BaseException) -> None:
    """What the load's end carries is `error`'s from now on: that of Ctrl-C, of which a cancellation was made."""
    if (streams := last_load(of=ended)) is not None:
        carry(streams, error)
