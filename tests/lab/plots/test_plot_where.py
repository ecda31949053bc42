"""Where: one bar, whose parts are as wide as what lay there."""

from __future__ import annotations

import itertools

import pytest

from streamkit.lab import plots
from streamkit.lab.findings.where import moment, where_finding
from streamkit.lab.plots import palette
from streamkit.taps.gauges import GAUGES
from tests.figures import areas, empty_axes, inside, key_of, labelled, note_of, texts, title_of
from tests.lab.plots.cases import drawn
from tests.queue_chain import queue_case


@pytest.mark.parametrize("case", ["tcp", "small", "unknown", "client alone"])
def test_the_parts_lie_side_by_side_and_are_all_that_lay_there(case: str) -> None:
    ax = drawn("where", case)
    parts = list(areas(ax).values())
    for one, following in itertools.pairwise(
        sorted((part.get_x(), part.get_x() + part.get_width()) for part in labelled(ax, "_edge"))
    ):
        assert one[1] == following[0]
    assert ax.get_xlim() == (0, sum(edge.get_width() for edge in labelled(ax, "_edge")))
    assert ax.get_xlim()[1] == moment(queue_case(case)).total
    assert parts


def test_they_are_in_the_order_of_the_way_in_the_shades_of_their_queues() -> None:
    ax = drawn("where", "small")
    names = [name for name in areas(ax) if name != "the others"]
    assert names == [name for name in GAUGES if name in names]
    assert [areas(ax)[name].get_hatch() or "" for name in names] == [palette.QUEUE_FILLS[name].hatch for name in names]
    lefts = [areas(ax)[name].get_x() for name in names]
    assert lefts == sorted(lefts)


def test_each_has_its_name_and_size_below_it_and_its_stretch_above() -> None:
    ax = drawn("where", "tcp")
    assert texts(ax, "_name") == [
        "upstream → relay: 4.1 MB",
        "relay → client: 4.1 MB",
        "upstream.unsent\n2.6 MB",
        "relay.unread\n1.4 MB",
        "relay.unsent\n2.6 MB",
        "client.unread\n1.4 MB",
    ]
    assert not key_of(ax)


def test_small_parts_are_one_in_grey_and_named_in_small_print() -> None:
    ax = drawn("where", "tcp")
    assert list(areas(ax))[-1] == "the others"
    assert " ".join(texts(ax, "_said")).startswith("The others, in grey at the right: upstream.buffer 66 kB, ")
    assert not any("relay.pending" in text for text in inside(ax)), "it held nothing"


def test_what_the_curves_say_beyond_the_queues_is_white_and_dotted() -> None:
    ax = plots.where(queue_case("unknown"), 1500, ax=empty_axes(8, 2.4))
    unseen = labelled(ax, "_held in no queue that was seen")
    assert [patch.get_hatch() for patch in unseen] == [palette.REST.hatch] * 2
    assert "Not known here: upstream → relay, relay.unsent, in the client." in " ".join(texts(ax, "_said"))


def test_at_another_time_it_is_another_picture() -> None:
    ax = plots.where(queue_case("tcp"), at_ms=200, ax=empty_axes(8, 2.4))
    assert title_of(ax) == where_finding(queue_case("tcp"), 200)
    assert list(areas(ax)) == ["client.unread", "the others"]
    assert note_of(ax).startswith("trust: ")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("nothing", "no gauges in this recording (gauge_ms turns them on)"),
        ("empty queues", "No queue that was seen ever held a byte"),
    ],
)
def test_where_nothing_lay_words_say_so(case: str, words: str) -> None:
    assert inside(drawn("where", case)) == [words]
