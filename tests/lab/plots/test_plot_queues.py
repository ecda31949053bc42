"""The figure of the queues: what it stacks is what they held."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.findings.queues import queued
from streamkit.lab.findings.stretches import held
from streamkit.lab.plots import palette
from streamkit.taps.gauges import GAUGES, Gauge
from tests.figures import (
    areas,
    boxes,
    empty_axes,
    inside,
    key_of,
)
from tests.lab.plots.cases import drawn
from tests.queue_chain import QUEUES, queue_case, small
from tests.ways import MS


def height_at(ax: Axes, name: str, at_ms: float) -> float:
    """How high the area is there."""
    (path,) = areas(ax)[name].get_paths()
    pairs = itertools.pairwise(path.vertices.tolist())
    crossing = {y0 for (x0, y0), (x1, y1) in pairs if y0 == y1 and min(x0, x1) <= at_ms < max(x0, x1)}
    return float(max(crossing) - min(crossing))


@pytest.mark.parametrize("case", QUEUES)
def test_the_stack_and_the_line_stay_below_the_words(case: str) -> None:
    ax = drawn("queues", case)
    named = set(inside(ax)) | set(key_of(ax))
    low = min((box.y0 for text, box in boxes(ax) if text in named), default=ax.figure.bbox.y1)
    for artist in areas(ax).values():
        (path,) = artist.get_paths()
        assert ax.transData.transform(path.vertices)[:, 1].max() < low


def test_the_queues_are_stacked_from_the_client_up_and_the_rest_is_on_top() -> None:
    names = [name for name in GAUGES if name not in ("relay.pending",)]
    assert list(areas(drawn("queues", "small"))) == [*reversed(names), "rest"]


def test_every_area_is_as_high_as_its_queue_was_full() -> None:
    ax, stretches = drawn("queues", "small"), held(queue_case("small"))
    for stretch in stretches.values():
        for name, value in stretch.by_queue.items():
            if name in areas(ax):
                for index in range(0, stretch.at_ns.size - 1, 7):
                    at_ms = float(stretch.at_ns[index] / MS) + 1
                    assert height_at(ax, name, at_ms) == pytest.approx(value[index])


def test_the_line_is_the_queues_and_the_rest_together() -> None:
    (line,) = [line for line in drawn("queues", "small").get_lines() if line.get_label() == "_curves"]
    by_curves = sum(np.asarray(stretch.by_curves) for stretch in held(queue_case("small")).values())
    assert np.asarray(line.get_ydata()).tolist() == np.asarray(by_curves).tolist()
    assert line.get_drawstyle() == "steps-post"


def test_a_queue_wears_its_shade_and_hatch() -> None:
    for name, area in areas(drawn("queues", "small")).items():
        fill = palette.REST if name == "rest" else palette.QUEUE_FILLS[name]
        assert mpl.colors.to_hex(area.get_facecolor()[0]).upper() == fill.colour
        assert (area.get_hatch() or "") == fill.hatch


def test_the_key_is_in_the_order_of_the_way_with_the_most_that_each_held() -> None:
    assert key_of(drawn("queues", "tcp")) == [
        "by the curves: max 8.2 MB",
        "in no queue: max 1.4 kB",
        "the others together: max 201 kB, after 2,060 ms",
        "upstream.unsent: max 2.6 MB, after 2,040 ms",
        "relay.unread: max 1.4 MB, after 1,400 ms",
        "relay.unsent: max 2.6 MB, after 1,020 ms",
        "client.unread: max 1.4 MB, after 360 ms",
    ]


def test_in_a_small_frame_the_key_goes_without_numbers() -> None:
    ax = plots.queues(queue_case("tcp"), empty_axes(4.2, 3.2))
    assert key_of(ax)[-1] == "client.unread"


def test_bytes_that_were_in_two_queues_at_once_are_told_in_the_key() -> None:
    """TCP keeps what has come until it has acknowledged it: the line is below the stack then."""
    recording = small()
    late = recording.gauges["relay.unsent"]
    acked = Gauge(late.at_ns, [value + 700 for value in late.value])
    ax = plots.queues(replace(recording, gauges={**recording.gauges, "relay.unsent": acked}))
    assert any("in no queue: max 0 B, in two: 7" in text for text in key_of(ax))


def test_queues_that_held_next_to_nothing_are_drawn_together() -> None:
    """So the stack is as high as all of them are full."""
    ax, stretches = drawn("queues", "tcp"), held(queue_case("tcp"))
    assert list(areas(ax)) == [
        "client.unread",
        "relay.unsent",
        "relay.unread",
        "upstream.unsent",
        "the others together",
        "rest",
    ]
    total = sum(stretch.in_queues for stretch in stretches.values())
    stacked = sum(height_at(ax, name, 2301) for name in areas(ax) if name != "rest")
    assert stacked == pytest.approx(int(np.asarray(total)[115]))


def test_what_cannot_be_seen_is_named() -> None:
    assert "not known here: upstream → relay, relay.unsent, in the client" in inside(drawn("queues", "unknown"))
    assert not any("not known" in text for text in inside(drawn("queues", "tcp")))


def test_where_the_curves_do_not_tell_is_named() -> None:
    assert "not told by the curves: in the relay (pieces were dropped there)" in inside(drawn("queues", "dropping"))
    assert not any("not told" in text for text in inside(drawn("queues", "small")))


def test_where_the_relay_was_first_blocked_is_a_dashed_line_with_its_name() -> None:
    ax = drawn("queues", "small")
    (line,) = [line for line in ax.get_lines() if line.get_label() == "_blocked"]
    assert np.asarray(line.get_xdata()).tolist() == [queue_case("small").marks["relay.blocked"] / MS] * 2
    assert "relay first blocked" in inside(ax)
    assert "relay first blocked" not in inside(drawn("queues", "easy"))


@pytest.mark.parametrize(
    ("case", "label"),
    [
        ("small", "ms since the request was sent"),
        ("made", "ms since the request was made"),
        ("long", "s since the request was sent"),
    ],
)
def test_the_axis_says_the_unit_and_where_time_begins(case: str, label: str) -> None:
    assert drawn("queues", case).get_xlabel() == label
    assert drawn("queues", case).get_ylabel() == "bytes held"


def test_time_begins_when_the_request_had_left() -> None:
    ax = plots.queues(replace(small(), sent_ns=60 * MS))
    (line,) = [line for line in ax.get_lines() if line.get_label() == "_curves"]
    assert np.asarray(line.get_xdata()).tolist()[0] == -60


def test_sizes_are_written_in_the_unit_in_which_they_read_best() -> None:
    def ticks(case: str) -> list[str]:
        ax = drawn("queues", case)
        return [label.get_text() for label in ax.get_yticklabels()]

    assert ticks("tcp") == ["0", "2 MB", "4 MB", "6 MB", "8 MB"]
    assert ticks("small") == ["0", "2 kB", "4 kB", "6 kB", "8 kB"]
    assert ticks("easy")[-1].endswith(" B")


def test_without_gauges_words_say_so() -> None:
    ax = drawn("queues", "nothing")
    assert inside(ax) == ["no gauges in this recording (gauge_ms turns them on)"]
    assert not key_of(ax)


@pytest.mark.parametrize("case", QUEUES)
def test_the_most_that_lay_anywhere_is_the_top_of_what_is_drawn(case: str) -> None:
    """The sentence and the picture say one number."""
    ax, shown = drawn("queues", case), queued(queue_case(case))
    heights = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines if line.get_label() != "_blocked"]
    assert max((float(np.nanmax(each)) for each in heights if each.size), default=0) == shown.most
