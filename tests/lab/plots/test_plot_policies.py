"""The figure of the policies: what it draws is what was measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.findings.policies import policy_facts
from streamkit.lab.plots import palette
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap
from tests.figures import (
    empty_axes,
    key_of,
    labelled,
    texts,
)
from tests.lab.plots.cases import SLOW_READER, drawn
from tests.policy_model import FOUR, under


def bold(ax: Axes) -> list[str]:
    return [text.get_text() for text in labelled(ax, "_cell") if text.get_fontweight() == "bold"]


def stairs_of(ax: Axes, tap: str) -> list[tuple[list[float], list[float]]]:
    """Times and heights (from 0 to 1 of the lane) of a tap in each lane that has it."""
    found = []
    tall = abs(np.subtract(*ax.get_yticks()[:2]))
    for line in labelled(ax, f"_{tap}"):
        y = np.asarray(line.get_ydata())
        found.append((list(line.get_xdata()), list((y[0] - y) / tall)))
    return found


def came(ax: Axes) -> list[float]:
    """Of each bar, which share of its area is filled."""
    shares = []
    frames = [*labelled(ax, "_lost"), *labelled(ax, "_whole")]
    for filled in labelled(ax, "_came"):
        path = filled.get_paths()[0].vertices
        area = abs(np.sum(path[:-1, 0] * path[1:, 1] - path[1:, 0] * path[:-1, 1])) / 2
        shares.append(area / (frames[0].get_width() * np.ptp(path[:, 1])))
    return shares


def test_each_lane_has_its_name_and_staircases_in_the_colours_of_their_taps() -> None:
    ax = drawn("policies", "four")
    assert texts(ax, "_name") == list(FOUR)
    for tap in ("upstream.due", "upstream.sent", "relay.sent", "client.event"):
        lines = labelled(ax, f"_{tap}")
        assert len(lines) == 4
        assert {line.get_color() for line in lines} == {palette.TAP_STROKES[tap].colour}
        assert {line.get_drawstyle() for line in lines} == {"steps-post"}


def test_equal_heights_are_equal_numbers_in_all_lanes() -> None:
    for tap in ("upstream.due", "client.event"):
        reached = [heights[-1] for _, heights in stairs_of(drawn("policies", "four"), tap)]
        assert reached[:3] == pytest.approx([1, 1, 1])
    received = len(FOUR["disconnect"].events) / 300
    assert stairs_of(drawn("policies", "four"), "client.event")[3][1][-1] == pytest.approx(received)


def test_a_staircase_is_where_the_pieces_were() -> None:
    x, heights = stairs_of(drawn("policies", "four"), "client.event")[0]
    assert x[-1] == pytest.approx(FOUR["pause"].events.at_ns[-1] / 1e9)
    assert heights == sorted(heights)


def test_staircases_behind_the_policy_leap_over_what_was_dropped() -> None:
    """The longest leap is what was dropped in the pause."""
    numbers = policy_facts(FOUR["latest"]).numbers or ()
    _, heights = stairs_of(drawn("policies", "four"), "client.event")[2]
    assert max(np.diff(heights)) == pytest.approx(max(np.diff(numbers)) / 300, abs=0.01)


def test_a_bar_is_filled_as_far_as_pieces_came() -> None:
    pause, buffer, latest, cut = came(drawn("policies", "four"))
    assert pause == pytest.approx(1)
    assert buffer == pytest.approx(1)
    assert latest == pytest.approx(len(FOUR["latest"].events) / 300, rel=0.05)
    assert cut == pytest.approx(len(FOUR["disconnect"].events) / 300, rel=0.05)
    assert came(drawn("policies", "untold"))[1] == pytest.approx(latest, rel=0.05)


def test_where_it_is_not_known_what_there_was_there_is_no_bar() -> None:
    assert len(came(drawn("policies", "no taps"))) == 1
    assert came(drawn("policies", "only refused")) == []


def test_a_cut_is_marked_and_named_and_what_stood_still_goes_on_to_it() -> None:
    ax = drawn("policies", "four")
    (cross,) = labelled(ax, "_cut")
    end_s = (FOUR["disconnect"].ended_ns or 0) / 1e9
    assert cross.get_xdata()[0] == pytest.approx(end_s)
    assert texts(ax, "_beside") == ["truncated after 1.8 s"]
    assert stairs_of(ax, "upstream.sent")[3][0][-1] == pytest.approx(end_s)
    assert len(labelled(ax, "_complete")) == 3


def test_a_lane_without_taps_says_so() -> None:
    assert texts(drawn("policies", "no taps"), "_beside") == ["seen by the client alone"]
    assert texts(drawn("policies", "refused"), "_beside") == ["refused(415) after 12 ms"]


def test_the_table_has_a_row_for_each_lane() -> None:
    cells = texts(drawn("policies", "refused"), "_cell")
    assert cells[-6:] == ["–", "–", "12 ms", "refused", "–", "–"]
    assert cells[:2] == ["0", "of 300"]
    heads = texts(drawn("policies", "refused"), "_head")
    assert [" ".join(pair) for pair in zip(heads[::2], heads[1::2], strict=True)] == [
        "pieces lost",
        "memory, relay",
        "finished after",
        "upstream held",
        "oldest piece",
    ]


def test_bold_is_the_best_of_a_column_among_those_that_completed() -> None:
    dropped = FOUR["latest"].counts["relay.dropped_pieces"]
    shown = bold(drawn("policies", "four"))
    assert shown.count("0") == 2  # neither `pause` nor `buffer` lost any
    assert str(dropped) not in shown
    assert bold(drawn("policies", "only refused")) == []
    assert bold(drawn("policies", "one")) == []
    assert bold(drawn("policies", "a list")) != []


def test_nobody_is_best_by_a_shared_machines_noise() -> None:
    """The model's upstream is held for whole steps of 10 ms, or not at all."""
    shown = bold(drawn("policies", "four"))
    assert shown.count("< 10 ms") == 2
    assert "relay" not in " ".join(shown)


def test_where_all_are_equal_none_is_best() -> None:
    assert bold(plots.policies([under("pause"), under("pause")])) == []


def test_small_frames_leave_out_columns_rather_than_squeeze_the_staircases() -> None:
    ax = empty_axes(5, 5)
    plots.policies(FOUR, ax)
    assert 0 < len(texts(ax, "_head")) < 10
    assert len(texts(drawn("policies", "four"), "_head")) == 10


@pytest.mark.parametrize(("case", "label"), [("four", "s since the request was sent"),
                                             ("no difference", "s since the request was sent"),
                                             ("made", "s since the request was sent, or made"),
                                             ("only refused", "ms since the request was sent")])  # fmt: skip
def test_the_axis_of_time_has_a_unit_and_ends_where_the_table_begins(case: str, label: str) -> None:
    ax = drawn("policies", case)
    assert ax.get_xlabel() == label
    first = min((cell.get_window_extent().x0 for cell in labelled(ax, "_cell")), default=np.inf)
    assert max(tick.get_window_extent().x1 for tick in ax.get_xticklabels()) < first


def test_the_legend_has_what_occurs() -> None:
    legend = drawn("policies", "four").get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "upstream.due",
        "upstream.sent",
        "relay.sent",
        "client.event",
        "came",
        "lost",
        "complete",
    ]
    alone = drawn("policies", "only refused").get_legend()
    assert alone is not None
    assert [text.get_text() for text in alone.get_texts()] == ["client.event"]


def test_many_pieces_are_thinned_to_what_can_be_seen() -> None:
    count = 200_000
    at_ns = [20_000 * i for i in range(count)]
    tap = Tap(at_ns, range(1, count + 1), range(1, count + 1))
    many = Recording(
        reads=Reads(at_ns), events=Events(at_ns, text=["x"] * count), taps={"upstream.sent": tap}, ended_ns=at_ns[-1]
    )
    before = time.process_time()
    ax = plots.policies(many)
    assert time.process_time() - before < 20
    ((x, _),) = stairs_of(ax, "upstream.sent")
    assert len(x) < 10_000


def test_a_mapping_may_be_any_mapping_and_a_sequence_any_iterable() -> None:
    class Chosen(Mapping[str, Recording]):
        def __getitem__(self, name: str) -> Recording:
            return FOUR[name]

        def __iter__(self) -> Iterator[str]:
            return iter(("pause", "latest"))

        def __len__(self) -> int:
            return 2

    assert texts(plots.policies(Chosen(), empty_axes(layout=None)), "_name") == ["pause", "latest"]
    assert texts(plots.policies(iter(FOUR.values()), empty_axes(layout=None)), "_name") == [
        f"recording {n}" for n in range(1, 5)
    ]


def test_more_than_eight_recordings_are_a_lane_for_each_name_with_thin_staircases_of_all_but_the_middle_one() -> None:
    ax = drawn("policies", "groups")
    assert len(texts(ax, "_name")) == 3
    assert texts(ax, "_name")[0] == "pause(8) (5)"
    middle = SLOW_READER["groups"][2]
    assert stairs_of(ax, "client.event")[0][0][-1] == pytest.approx(middle.events.at_ns[-1] / 1e9)
    assert len(labelled(ax, "_other")) == 4 * (4 + 3)
    assert len(labelled(ax, "_other_end")) == 4 + 3
    assert "the others" in key_of(ax)


def test_below_a_groups_numbers_is_from_where_to_where_it_reaches() -> None:
    cells = texts(drawn("policies", "groups"), "_cell")
    assert cells[4:6] == ["2.7 s", "2.6 – 2.8 s"]
    assert cells[:2] == ["0", "of 60"], "where all are alike it is as ever"
