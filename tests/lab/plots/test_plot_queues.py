"""The figure of the queues: what it stacks is what they held."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.findings.queues import queued, queues_finding
from streamkit.lab.findings.stretches import held
from streamkit.lab.findings.words import byte_size
from streamkit.lab.plots import palette
from streamkit.lab.recording.recording import Recording
from streamkit.taps.gauges import GAUGES, Gauge
from tests.figures import (
    are_readable,
    areas,
    boxes,
    empty_axes,
    inside,
    key_of,
    labelled,
    texts,
    title_of,
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


def lanes(ax: Axes) -> list[str]:
    """Their names and sizes, from the top."""
    return [label.get_text().replace("\n", ": ") for label in ax.get_yticklabels()]


def said(ax: Axes) -> str:
    """The small print above the lanes."""
    return " ".join(texts(ax, "_said"))


@pytest.mark.parametrize("case", QUEUES)
def test_the_lanes_stay_below_the_words(case: str) -> None:
    ax = drawn("queues", case)
    low = min((box.y0 for text, box in boxes(ax) if text in inside(ax)), default=ax.figure.bbox.y1)
    for artist in areas(ax).values():
        (path,) = artist.get_paths()
        assert ax.transData.transform(path.vertices)[:, 1].max() < low


def test_the_lanes_are_in_the_order_of_the_way_below_what_the_curves_say() -> None:
    names = [name for name in GAUGES if name not in ("relay.pending", "client.backlog")]
    ax = drawn("queues", "small")
    assert list(areas(ax)) == ["by the curves", *names]
    assert [lane.partition(":")[0] for lane in lanes(ax)] == ["by the curves", *names]
    assert list(ax.get_yticks()) == sorted(ax.get_yticks(), reverse=True)


def test_every_area_is_as_high_as_its_queue_was_full() -> None:
    """In bytes, so all lanes have one scale."""
    ax, stretches = drawn("queues", "small"), held(queue_case("small"))
    for stretch in stretches.values():
        for name, value in stretch.by_queue.items():
            if name in areas(ax):
                for index in range(0, stretch.at_ns.size - 1, 7):
                    at_ms = float(stretch.at_ns[index] / MS) + 1
                    assert height_at(ax, name, at_ms) == pytest.approx(value[index])


@pytest.mark.parametrize("case", QUEUES)
def test_no_lane_reaches_into_another(case: str) -> None:
    edges = [artist.get_paths()[0].vertices[:, 1] for artist in areas(drawn("queues", case)).values()]
    for above, below in itertools.pairwise(edges):
        assert above.min() > below.max()


def test_the_line_is_the_queues_and_the_rest_together_over_the_queues_in_grey() -> None:
    ax = drawn("queues", "small")
    (line,) = labelled(ax, "_curves")
    by_curves = sum(np.asarray(stretch.by_curves) for stretch in held(queue_case("small")).values())
    base = areas(ax)["by the curves"].get_paths()[0].vertices[:, 1].min()
    assert np.asarray(line.get_ydata()) - base == pytest.approx(np.asarray(by_curves))
    assert line.get_drawstyle() == "steps-post"
    together = sum(stretch.in_queues for stretch in held(queue_case("small")).values())
    assert height_at(ax, "by the curves", 2301) == pytest.approx(int(np.asarray(together)[115]))
    assert said(ax).startswith("Line: what lay on the way by the curves; grey: all queues together. ")


def test_a_queue_wears_its_shade_and_hatch() -> None:
    for name, area in areas(drawn("queues", "small")).items():
        fill = palette.OTHERS if name == "by the curves" else palette.QUEUE_FILLS[name]
        assert mpl.colors.to_hex(area.get_facecolor()[0]).upper() == fill.colour
        assert (area.get_hatch() or "") == fill.hatch


def test_beside_each_lane_stands_the_most_that_it_held_and_a_dot_is_where() -> None:
    ax = drawn("queues", "tcp")
    assert lanes(ax) == [
        "by the curves: 8.2 MB",
        "upstream.unsent: 2.6 MB",
        "relay.unread: 1.4 MB",
        "relay.unsent: 2.6 MB",
        "client.unread: 1.4 MB",
    ]
    assert [dot.get_xdata()[0] for dot in labelled(ax, "_most")] == [2040, 1400, 1020, 360]
    assert not key_of(ax), "all names stand where they belong"


def test_queues_that_held_little_are_named_with_their_sizes_and_so_are_empty_ones() -> None:
    assert (
        "Too little to draw: upstream.buffer 66 kB, relay.inbox 66 kB, relay.buffer 66 kB, client.backlog 4.0 kB. "
        "Empty: relay.pending." in said(drawn("queues", "tcp"))
    )


def test_queues_that_held_little_each_and_more_together_share_a_lane() -> None:
    ax = drawn("queues", "unknown")
    assert lanes(ax)[-1] == "The others: 131 kB"
    assert "The others: relay.inbox 66 kB, relay.buffer 66 kB." in said(ax)


# --- What curves and queues do not agree on --------------------------------------------------------------------------


def test_held_shows_for_each_stretch_what_its_curves_say_beyond_its_queues() -> None:
    ax = plots.queues(queue_case("small"), empty_axes(8, 4.5), held=True)
    stretches = held(queue_case("small"))
    assert list(areas(ax)) == list(stretches)
    for name, stretch in stretches.items():
        (line,) = labelled(ax, f"_{name}")
        (path,) = areas(ax)[name].get_paths()
        assert stretch.rest is not None
        base = path.vertices[:, 1].min() - stretch.rest.min()
        assert np.asarray(line.get_ydata()) - base == pytest.approx(stretch.rest)
    are_readable(ax)


def test_held_has_the_sentence_of_the_rest_and_says_what_is_above_and_below() -> None:
    recording = small()
    late = recording.gauges["relay.unsent"]
    acked = Gauge(late.at_ns, [value + 700 for value in late.value])
    doubled = replace(recording, gauges={**recording.gauges, "relay.unsent": acked})
    ax = plots.queues(doubled, empty_axes(8, 4.5), held=True)
    assert title_of(ax) == queues_finding(doubled, held=True)
    assert "were in two queues at once" in title_of(ax)
    assert said(ax) == "Above each line: in no queue that was seen; below it: in two queues at once."
    assert "relay → client: −7" in lanes(ax)[2]
    assert not labelled(ax, "_blocked")


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (Recording(gauges={"client.unread": Gauge([0, MS], [5, 0])}), "The curves do not tell what lay on the way"),
        (Recording(), "no gauges in this recording (gauge_ms turns them on)"),
    ],
)
def test_held_says_in_words_why_there_is_nothing_to_draw(recording: Recording, words: str) -> None:
    ax = plots.queues(recording, empty_axes(8, 4.5), held=True)
    assert inside(ax) == [words]
    are_readable(ax)


# --- What is said beside it -------------------------------------------------------------------------------------------


def test_what_cannot_be_seen_is_named() -> None:
    assert "Not known here: upstream → relay, relay.unsent, in the client." in said(drawn("queues", "unknown"))
    assert "Not known" not in said(drawn("queues", "tcp"))


def test_where_the_curves_do_not_tell_is_named() -> None:
    assert "Not told by the curves: in the relay (pieces were dropped there)." in said(drawn("queues", "dropping"))
    assert "Not told" not in said(drawn("queues", "small"))


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


def test_time_begins_when_the_request_had_left() -> None:
    ax = plots.queues(replace(small(), sent_ns=60 * MS))
    (line,) = [line for line in ax.get_lines() if line.get_label() == "_curves"]
    assert np.asarray(line.get_xdata()).tolist()[0] == -60


def test_without_gauges_words_say_so() -> None:
    ax = drawn("queues", "nothing")
    assert inside(ax) == ["no gauges in this recording (gauge_ms turns them on)"]
    assert not key_of(ax)


@pytest.mark.parametrize("case", QUEUES)
def test_the_most_that_lay_anywhere_is_beside_the_uppermost_lane(case: str) -> None:
    """The sentence and the picture say one number, where the curves say it at all."""
    ax, shown = drawn("queues", case), queued(queue_case(case))
    if labelled(ax, "_curves"):
        assert lanes(ax)[0] == f"by the curves: {byte_size(shown.most)}"
    assert bool(labelled(ax, "_curves")) == (shown.rest is not None and shown.most > 0)
