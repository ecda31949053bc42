"""A recording as columns for pandas: its events, and its curves; times count from when the request was sent.

Stored times count from the call, as all of a recording's do. What is shown counts from `origin_ns`, here as in
`summary()` and in the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streamkit.lab.metrics import gaps_ns
from streamkit.lab.metrics.curves import Curve

if TYPE_CHECKING:
    from collections.abc import KeysView, Mapping

    import numpy.typing as npt

    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.recording.recorded import Recorded

__all__ = ["Curves", "event_columns"]

_NONE = np.zeros(0, dtype=np.int64)  # of an upload there may be no curve at all


def event_columns(recording: Recorded) -> dict[str, Any]:
    """The columns of `Recording.to_pandas()`, which says what they are."""
    events, zero_ns = recording.events, recording.origin_ns
    at_ns, handed_ns = (np.array(column, dtype=np.int64) - zero_ns for column in (events.at_ns, events.handed_ns))
    read = np.array(events.read, dtype=np.int64)
    return {
        "label": [recording.label] * len(events),
        "t_ms": at_ns / 1e6,
        "gap_ms": _gaps_ms(recording),
        "at_ns": at_ns,
        "handed_ns": handed_ns,
        "read": read,
        "size": np.array(events.size, dtype=np.int64),
        **{name: getattr(events, name) for name in ("event", "id", "data", "text", "reasoning")},
        "coalesced": np.diff(read, prepend=-1) == 0,
        "replayed": recording.replayed,
    }


def _gaps_ms(recording: Recorded) -> npt.NDArray[np.float64]:
    """Beside the first counted event of each read the gap before it, NaN beside all others."""
    counted = recording.counted
    gaps_ms = np.full(len(recording.events), np.nan)
    first_of_read = np.flatnonzero(counted.which)[np.diff(counted.read, prepend=-1) > 0]
    live = counted.follows[np.diff(counted.read, prepend=-1) > 0][1:]
    gaps_ms[first_of_read[1:][live]] = gaps_ns(counted.at_ns, counted.read, follows=counted.follows) / 1e6
    return gaps_ms


class Curves(dict[str, Curve]):
    """The curves of one recording: a dict from taps, in the order of the way, to `Curve`s, and a table for pandas.

        pd.DataFrame(recording.curves())        # tap, t_ms, events (or bytes): one row for each step

    For pandas, `keys()` returns the names of these three columns, which can be looked up too. In all other respects it
    is a dict by tap: `list(curves)`, `curves["relay.sent"]`, `items()`.
    """

    def __init__(self, curves: Mapping[str, Curve], unit: Unit, zero_ns: int) -> None:
        super().__init__(curves)
        self._unit = unit
        self._zero_ns = zero_ns

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # a view of names, though not of dict's own kind
        return dict.fromkeys(("tap", "t_ms", self._unit)).keys()

    def __missing__(self, name: str) -> Any:
        """A column of the table."""
        curves = list(self.values())
        if name == "tap":
            steps = np.array([curve.at_ns.size for curve in curves], dtype=np.int64)
            return np.repeat(np.array(list(self), dtype=object), steps)
        if name == "t_ms":
            return (np.concatenate([_NONE, *(curve.at_ns for curve in curves)]) - self._zero_ns) / 1e6
        if name == self._unit:
            return np.concatenate([_NONE, *(curve.count for curve in curves)])
        raise KeyError(name)
