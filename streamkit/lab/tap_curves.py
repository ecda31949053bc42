"""The taps of one stream joined: what others saw of it and what the client saw, as curves of one unit.

Events are joined by their number: event n of one tap is event n of every other, since all of them count events with
text. A text/plain answer has no event borders. There the client's events are found by cumulative bytes: event n has
arrived when as many bytes have as the first n events took at a tap that saw the borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamkit.lab.columns import characters, pieces, utf8_sizes
from streamkit.lab.curves import Curve, curve, curve_of
from streamkit.taps import TAPS

if TYPE_CHECKING:
    from streamkit.lab.curves import Ints, Unit
    from streamkit.lab.recording import Recording
    from streamkit.taps import Tap

__all__ = ["has_borders", "tap_curves"]


def tap_curves(recording: Recording, unit: Unit = "events") -> dict[str, Curve]:
    """All taps of a recording as curves, in the order of the way; see `Recording.curves`.

    Raises ValueError for an unknown unit.
    """
    if unit not in ("events", "bytes"):
        raise ValueError(f"expected unit 'events' or 'bytes', got {unit!r}")
    found = {name: curve_of(recording.taps[name], unit) for name in TAPS if name in recording.taps}
    events = recording.events
    own = {"client.read": np.asarray(events.at_ns), "client.event": np.asarray(events.handed_ns)}
    borders = None if has_borders(recording) else _finest(recording)
    if unit == "events" and borders is None:
        counted = pieces(characters(events.text))
        return found | {name: curve(at_ns[counted]) for name, at_ns in own.items()}
    size = _text_bytes(recording)
    for name, at_ns in own.items():
        by_bytes = curve(at_ns, size)
        found[name] = by_bytes if unit == "bytes" or borders is None else _in_events(by_bytes, borders)
    return found


def has_borders(recording: Recording) -> bool:
    """Whether the wire told where one event ends and the next begins; text/plain does not (see `RecordedEvent`)."""
    names = recording.events.event
    return not names or any(names)


def _text_bytes(recording: Recording) -> Ints:
    """The bytes of text that each event brought.

    Without borders that is what the read brought: of a character cut in two by the end of a read each part is counted
    with its own read, although its text stands in the later event.
    """
    events = recording.events
    return utf8_sizes(events.text) if has_borders(recording) else np.array(events.size, dtype=np.int64)


def _finest(recording: Recording) -> Tap | None:
    """The tap that saw the borders best: of those that counted bytes the one with most steps, the first of equals."""
    taps = [recording.taps[name] for name in TAPS if name in recording.taps]
    return max((tap for tap in taps if len(tap) and tap.bytes[-1]), key=len, default=None)


def _in_events(by_bytes: Curve, borders: Tap) -> Curve:
    """Events whose last byte had come: at B bytes, the `events` of the last step of `borders` with `bytes <= B`."""
    passed = np.searchsorted(np.array(borders.bytes, dtype=np.int64), by_bytes.count, side="right")
    events = np.concatenate((np.zeros(1, dtype=np.int64), np.array(borders.events, dtype=np.int64)))
    return Curve(by_bytes.at_ns, events[passed])
