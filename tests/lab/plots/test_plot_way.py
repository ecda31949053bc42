"""The way: every tap and queue by its name, in its order, and where you are."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.plots import palette
from streamkit.taps import TAPS, WAY
from streamkit.taps.gauges import GAUGES
from tests.figures import are_apart, are_readable, boxes, empty_axes, inside, labelled, texts, title_of, words

PLACES = [name for part in WAY for name in part.places]


def drawn(ax: Axes, what: str) -> dict[str, Any]:
    """The artists of these, by the name of the place, from left to right as they were drawn."""
    found = {str(each.get_label()): each for each in ax.get_children()}
    return {label.removeprefix(what): each for label, each in found.items() if label.startswith(what)}


@pytest.fixture(scope="module")
def whole() -> Axes:
    return plots.way(ax=empty_axes(8, 2.6))


@pytest.fixture(scope="module")
def here() -> Axes:
    return plots.way("client.unread", "relay.unsent", "relay.send", "relay.unsent", ax=empty_axes(8, 2.6))


def test_every_tap_and_queue_stands_there_by_its_name_in_the_order_of_the_way(whole: Axes) -> None:
    assert list(drawn(whole, "_tap ")) == list(TAPS)
    assert list(drawn(whole, "_queue ")) == list(GAUGES)
    assert {*TAPS, *GAUGES, "upstream", "relay", "client"} <= set(inside(whole))
    lines = [tap.get_xdata()[0] for tap in drawn(whole, "_tap ").values()]
    middles = [box.get_x() + box.get_width() / 2 for box in drawn(whole, "_queue ").values()]
    across = dict(zip([*TAPS, *GAUGES], lines + middles, strict=True))
    assert sorted(across, key=across.__getitem__) == PLACES


def test_nothing_is_marked_unless_it_is_asked_for(whole: Axes) -> None:
    assert title_of(whole) == "The way of a chunk: eight taps, nine queues"
    assert (len(TAPS), len(GAUGES)) == (8, 9)
    assert not texts(whole, "_here")


def test_where_you_are_is_said_in_the_title_and_marked_by_light_words_on_dark(here: Axes) -> None:
    assert title_of(here) == "You are here: relay.send, relay.unsent, client.unread"
    assert texts(here, "_here") == ["relay.send", "relay.unsent", "client.unread", "you are here"]
    for text in labelled(here, "_here"):
        assert text.get_color() == "white"
        assert mpl.colors.to_hex(text.get_bbox_patch().get_facecolor()) == palette.INK


def test_what_is_not_marked_steps_back_and_can_still_be_read(whole: Axes, here: Axes) -> None:
    for name, queue in drawn(here, "_queue ").items():
        same = queue.get_facecolor() == drawn(whole, "_queue ")[name].get_facecolor()
        assert same == (name in ("relay.unsent", "client.unread"))
    muted = [text.get_color() for text in here.texts if text.get_text() in ("upstream.buffer", "relay.sent")]
    assert muted == [palette.MUTED] * 2
    assert [text.get_position() for text in here.texts[:-1]] == [text.get_position() for text in whole.texts]


def test_of_a_party_all_that_is_in_it_is_marked_with_it() -> None:
    ax = plots.way("relay", ax=empty_axes(8, 2.6))
    assert title_of(ax) == "You are here: relay"
    inked = {text.get_text() for text in ax.texts if text.get_color() == palette.INK}
    assert inked == {name for part in WAY if part.name == "relay" for name in part.places}
    strong = [label for label, box in drawn(ax, "_box ").items() if box.get_linewidth() > 2]
    assert strong == ["relay"]


def test_taps_and_queues_wear_what_they_wear_in_the_other_figures(whole: Axes) -> None:
    for name, line in drawn(whole, "_tap ").items():
        assert mpl.colors.to_hex(line.get_color()).upper() == palette.TAP_STROKES[name].colour
    for name, box in drawn(whole, "_queue ").items():
        fill = palette.QUEUE_FILLS[name]
        assert mpl.colors.to_hex(box.get_facecolor()).upper() == fill.colour
        assert (box.get_hatch() or "") == fill.hatch


def test_no_word_runs_into_another_and_none_is_smaller_than_eight_points(whole: Axes, here: Axes) -> None:
    for ax in (whole, here):
        are_readable(ax)
        assert all(float(text.get_fontsize()) >= 8 for text in words(ax))


@pytest.mark.parametrize("size", [(5, 3), (6.5, 2.6), (12, 4)])
def test_in_other_sizes_names_are_broken_at_their_dot_where_they_must_and_keep_apart(size: tuple[float, float]) -> None:
    ax = plots.way("relay.unsent", "client.unread", ax=empty_axes(*size))
    are_apart(boxes(ax))
    assert {*TAPS, *GAUGES} <= {text.replace(".\n", ".") for text in inside(ax)}


def test_no_line_runs_through_a_name(whole: Axes) -> None:
    names = [box for text, box in boxes(whole) if text in PLACES]
    for line in [*drawn(whole, "_tap ").values(), *labelled(whole, "_leader")]:
        (x, low), (_, high) = sorted(whole.transData.transform(line.get_xydata()).tolist(), key=lambda at: at[1])
        assert not [box for box in names if box.x0 < x < box.x1 and box.y0 + 3 < high and low < box.y1 - 3]


def test_without_axes_one_pyplot_figure_is_made_and_a_title_can_be_given_or_left_out() -> None:
    before = dict(mpl.rcParams)
    ax = plots.way("relay.read", title="")
    assert title_of(ax) == ""
    assert [plt.figure(number) for number in plt.get_fignums()] == [ax.figure]
    assert dict(mpl.rcParams) == before
    assert title_of(plots.way(title="Mine", ax=empty_axes(8, 2.6))) == "Mine"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (
            "relay.unsend",
            ValueError,
            r"expected the name of a tap \(upstream.due, .*\), of a queue .*got 'relay.unsend'",
        ),
        ("kernels", ValueError, r"or of a party \(upstream, relay, client\), got 'kernels'"),
        (7, TypeError, "expected the name of a tap, a queue or a party, got 7"),
    ],
)
def test_other_names_are_refused_before_a_figure_is_made(name: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plots.way(name)
    assert plt.get_fignums() == []
