"""The taps of one stream joined: what others saw of it and what the client saw, as curves of one unit.

Events are joined by their number: event n of one tap is event n of every other, since all of them count events with
text. (What the client saw by itself, without taps of others, counts reasoning too where it was recorded.) A text/plain
answer has no event borders. There the client's events are found by cumulative bytes: event n has arrived when as many
bytes have as the first n events took at a tap that saw the borders.

Where the relay left pieces out for a slow client (`latest`), each event says how many just before it. They count as
passed with it, at the client as at the relay's own taps: the staircase leaps, and stays comparable.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from streamkit.lab.metrics.columns import Ints, characters, pieces, utf8_sizes
from streamkit.lab.metrics.curves import Curve, curve, curve_of
from streamkit.taps import TAPS

if TYPE_CHECKING:
    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.recording.recorded import Recorded
    from streamkit.taps import Tap

__all__ = ["OF_ONE_ANSWER", "has_borders", "tap_curves", "upload_curves"]

OF_ONE_ANSWER = frozenset(("relay.send", "relay.sent"))
"""What the relay wrote into one answer. Of a stream that was resumed, whose other taps are of the whole, they are no
curves: what is missing there came in another answer, and was not lost.
"""


def tap_curves(recording: Recorded, unit: Unit = "events") -> dict[str, Curve]:
    """All taps of a recording as curves, in the order of the way; see `Recording.curves`.

    Raises ValueError for an unknown unit.
    """
    if unit not in ("events", "bytes"):
        raise ValueError(f"expected unit 'events' or 'bytes', got {unit!r}")
    resumed = any(cut.resumed for cut in recording.cuts)
    shown = [name for name in TAPS if name in recording.taps and not (resumed and name in OF_ONE_ANSWER)]
    found = {name: curve_of(recording.taps[name], unit) for name in shown}
    events = recording.events
    own = {"client.read": np.asarray(events.at_ns), "client.event": np.asarray(events.handed_ns)}
    borders = None if has_borders(recording) else _finest(recording)
    left_out = _left_out(recording)
    if unit == "events" and borders is None:
        counted = pieces(characters(events.text)) if found else recording.counted.which
        return found | {name: curve(at_ns[counted], 1 + left_out[counted]) for name, at_ns in own.items()}
    size = _text_bytes(recording)
    if left_out.any() and (sent := recording.taps.get("relay.sent")) is not None:
        size = _with_left_out(size, left_out, sent)
    for name, at_ns in own.items():
        by_bytes = curve(at_ns, size)
        found[name] = by_bytes if unit == "bytes" or borders is None else _in_events(by_bytes, borders)
    return found


def upload_curves(recording: Recorded) -> dict[str, Curve]:
    """What is known of the request's body on its way, in bytes; see `Recording.upload`."""
    sends = recording.sends
    found = {"client.sent": curve(np.array(sends.at_ns), np.array(sends.size))} if sends else {}
    read = recording.taps.get("server.read")
    return found if read is None else {**found, "server.read": curve_of(read, "bytes")}


def has_borders(recording: Recorded) -> bool:
    """Whether the wire told where one event ends and the next begins; text/plain does not (see `RecordedEvent`)."""
    names = recording.events.event
    return not names or any(names)


def _text_bytes(recording: Recorded) -> Ints:
    """The bytes of text that each event brought.

    Without borders that is what the read brought: of a character cut in two by the end of a read each part is counted
    with its own read, although its text stands in the later event.
    """
    events = recording.events
    return utf8_sizes(events.text) if has_borders(recording) else np.array(events.size, dtype=np.int64)


def _left_out(recording: Recorded) -> Ints:
    """How many pieces the relay left out just before each event; its format's field `dropped`."""
    left_out = np.zeros(len(recording.events), dtype=np.int64)
    if recording.counts.get("relay.dropped_pieces"):
        if not recording.events.kept:
            raise ValueError(
                "expected a recording with its texts, got one without: how many pieces a relay left out before each "
                "event stands in them; record it with keep_text=True"
            )
        for index, data in enumerate(recording.events.data):
            if '"dropped"' in data:
                left_out[index] = _told(data)
    return left_out


def _told(data: str) -> int:
    """What a piece of the relay says; the event that ends the stream has the sum of all, and no text."""
    try:
        told = json.loads(data)
        return int(told["dropped"]) if "text" in told else 0
    except (ValueError, TypeError, KeyError):  # not one of the relay's
        return 0


def _with_left_out(size: Ints, left_out: Ints, sent: Tap) -> Ints:
    """The bytes of text of each event and of what was left out before it, which only the relay knows: its tap has a
    step for each write, and by then as many events.
    """
    number = np.cumsum((size > 0) + left_out)
    step = np.searchsorted(np.array(sent.events, dtype=np.int64), number).clip(max=len(sent) - 1)
    upto = np.array(sent.bytes, dtype=np.int64)[step]
    return np.where(left_out > 0, np.diff(upto, prepend=0), size)


def _finest(recording: Recorded) -> Tap | None:
    """The tap that saw the borders best: of those that counted bytes the one with most steps, the first of equals."""
    taps = [recording.taps[name] for name in TAPS if name in recording.taps]
    return max((tap for tap in taps if len(tap) and tap.bytes[-1]), key=len, default=None)


def _in_events(by_bytes: Curve, borders: Tap) -> Curve:
    """Events whose last byte had come: at B bytes, the `events` of the last step of `borders` with `bytes <= B`."""
    passed = np.searchsorted(np.array(borders.bytes, dtype=np.int64), by_bytes.count, side="right")
    events = np.concatenate((np.zeros(1, dtype=np.int64), np.array(borders.events, dtype=np.int64)))
    return Curve(by_bytes.at_ns, events[passed])
