"""The backlog: what it draws is what each hop held."""

from __future__ import annotations

import numpy as np

from streamkit.lab import plots
from streamkit.lab.metrics.curves import count_at
from tests.figures import (
    areas,
    inside,
    key_of,
    labelled,
    steps_of,
)
from tests.lab.plots.cases import drawn
from tests.ways import DUE, MS, later, slow_reader, way


def test_the_lines_are_the_backlog_of_each_hop() -> None:
    recording = slow_reader()
    curves = recording.curves()
    x, y = steps_of(plots.backlog(recording), "_relay.sent → client.read")
    times = np.round(np.array(x) * MS).astype(np.int64)
    held = count_at(curves["relay.sent"], times) - count_at(curves["client.read"], times)
    assert np.array_equal(np.sort(y)[-40:], np.sort(held)[-40:])
    assert max(y) == 15


def test_the_largest_backlog_is_marked_and_all_are_in_the_key() -> None:
    ax = drawn("backlog", "slow reader")
    assert inside(ax) == ["21 events"]
    assert key_of(ax) == [
        "upstream.sent → relay.read: max 21 events, after 2,580 ms",
        "relay.read → relay.sent: max 12 events, after 1,780 ms",
        "relay.sent → client.read: max 15 events, after 1,320 ms",
    ]
    dots = [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in labelled(ax, "_most")]
    assert (2580, 21) in dots


def test_hops_that_held_next_to_nothing_are_told_in_the_key() -> None:
    recording = way({"upstream.sent": DUE, "relay.read": later(DUE, 1)}, [max(at + 2, 1800) for at in DUE])
    ax = plots.backlog(recording)
    assert list(areas(ax)) == ["relay.read → client.read"]
    assert key_of(ax)[1:] == ["the others: max 1 event"]


def test_the_backlog_axes_say_what_is_counted() -> None:
    assert drawn("backlog", "fine").get_ylabel() == "events held"
    assert plots.backlog(slow_reader(), unit="bytes").get_ylabel() == "bytes of text held"


def test_an_event_that_seems_to_arrive_before_it_left_is_drawn_as_no_backlog() -> None:
    ax = plots.backlog(way({"upstream.sent": DUE, "relay.sent": later(DUE, 30)}, later(DUE, 20)))
    assert all(np.min(np.asarray(line.get_ydata())) >= 0 for line in ax.get_lines())
