"""The figures: what they say, where they draw, and that no word runs into another."""

from __future__ import annotations

import functools
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from streamkit.lab import plots
from streamkit.lab.plots import palette
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.figures import are_readable, empty_axes

mpl.use("Agg")  # no test may open a window
import matplotlib.pyplot as plt

MS = 1_000_000


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


def made(
    count: int = 40,
    first: float = 312,
    gap: float = 50,
    per_read: int = 1,
    stalls: dict[int, float] | None = None,
    outcome: str = "complete",
    tail: float = 3,
    label: str = "",
) -> Recording:
    """`count` pieces of 1 to 12 characters, `per_read` at a time; before piece i a stall of `stalls[i]` ms."""
    seeded = random.Random(1)
    at, pieces = first, []
    for index in range(count):
        if index and index % per_read == 0:
            at += gap * per_read + (stalls or {}).get(index, 0)
        pieces.append((round(at * MS), "x" * seeded.randint(1, 12)))
    end = round((at + tail) * MS)
    return Recording.from_pieces(pieces, outcome=Outcome.parse(outcome), sent_ns=0, ended_ns=end, label=label)


TYPICAL: dict[str, Any] = {
    "normal": made(),
    "stall": made(stalls={16: 612}),
    "stalls side by side": made(120, stalls={16: 612, 40: 300, 43: 400, 80: 900}),
    "bursts": made(60, per_read=5),
    "cut": made(12, outcome="truncated", tail=20),
    "refused": made(0, first=8, outcome="refused(503)"),
    "timeout": made(22, outcome="timeout(idle)", tail=2000),
    "no first piece": made(0, first=0, outcome="timeout(first_piece)", tail=5000),
    "single": made(1),
    "many": made(20_000, gap=1),
    "long": made(200, gap=1500, stalls={90: 20_000}),
    "tiny": made(20, first=0.2, gap=0.03, tail=0.01),
    "two": {"direct": made(), "relay": made(first=612, per_read=2)},
    "side by side": {
        "direct": made(),
        "buffered": made(per_read=8),
        "stalled": made(stalls={20: 800}),
        "slow": made(gap=80),
        "refused": made(0, first=30, outcome="refused(429)"),
        "idle": made(10, outcome="timeout(idle)", tail=1500),
        "big bursts": made(60, per_read=20, gap=40),
        "one": made(1),
    },
    "twelve": [made(gap=30 + 4 * i) for i in range(12)],
    "long names": {
        "a very long label that goes on for ever": made(),
        "你好 direct": made(first=700),
        "$x$ or\n$y$": made(),
    },
    "nothing": Recording(),
    "not sent": [made(label="known"), Recording(outcome=Outcome("refused"), ended_ns=20 * MS, label="no connection")],
}
FIGURES = {"timeline": plots.timeline, "gaps": plots.gaps}

every_case = pytest.mark.parametrize("case", TYPICAL)
both_figures = pytest.mark.parametrize("figure", FIGURES)


@functools.cache
def typical(figure: str, case: str) -> Axes:
    """The figure of a typical case, made once for all tests that only look at it."""
    return FIGURES[figure](TYPICAL[case])


def words(ax: Axes) -> dict[str, list[Text]]:
    """The texts that are drawn, by where they stand."""
    low, high = ax.get_xlim()
    legend = ax.get_legend()
    ticks = [
        label
        for label, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
        if low <= at <= high and label.get_text()
    ]
    return {
        "title": [ax.title, ax._left_title],  # type: ignore[attr-defined]  # matplotlib has no other way to the artist
        "labels": [ax.xaxis.label, ax.yaxis.label],
        "ticks": [*ticks, *ax.get_yticklabels()],
        "inside": list(ax.texts),
        "legend": list(legend.get_texts()) if legend else [],
    }


def drawn(ax: Axes) -> list[tuple[str, Bbox]]:
    """Every word with its box in pixels, after drawing."""
    ax.figure.canvas.draw()
    texts = [text for group in words(ax).values() for text in group if text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


def inside(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_label() != "_note"]


def note(ax: Axes) -> str:
    (text,) = [text.get_text() for text in ax.texts if text.get_label() == "_note"]
    return text


def legend_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def labelled(ax: Axes, label: str) -> list[Any]:
    """The artists that the figure made under an internal name."""
    return [artist for artist in ax.get_children() if artist.get_label() == label]


def bars(ax: Axes, label: str) -> int:
    return sum(len(lines.get_segments()) for lines in labelled(ax, label))


@both_figures
def test_how_far_to_trust_it_stands_small_below(figure: str) -> None:
    draw = getattr(plots, figure)
    recording = made()
    assert note(draw(recording)) == f"trust: {recording.trust}"
    joined = made(8, per_read=4)
    worst = f"trust, the worst of 2: {joined.trust}"
    assert joined.trust < recording.trust
    assert note(draw([recording, joined])).removesuffix("…").rstrip() in worst


@both_figures
@every_case
def test_no_word_runs_into_another_or_out_of_the_figure(figure: str, case: str) -> None:
    """… and nothing warns: not of missing glyphs, not of a layout that does not fit."""
    ax = typical(figure, case)
    boxes = drawn(ax)
    are_readable(ax, boxes)


@both_figures
@every_case
def test_no_text_is_smaller_than_eight_points(figure: str, case: str) -> None:
    ax = typical(figure, case)
    assert all(float(text.get_fontsize()) >= 8 for group in words(ax).values() for text in group)


@both_figures
@every_case
def test_a_given_axes_is_drawn_on_and_returned_and_nothing_else_is_touched(figure: str, case: str) -> None:
    ax = empty_axes(8, 3, layout=None)
    other = ax.figure.add_axes((0.9, 0.9, 0.05, 0.05))
    before = len(other.get_children())
    assert FIGURES[figure](TYPICAL[case], ax) is ax
    assert ax.figure.axes == [ax, other]
    assert len(other.get_children()) == before
    assert plt.get_fignums() == []


@both_figures
def test_without_axes_one_pyplot_figure_is_made_and_no_setting_is_changed(figure: str) -> None:
    before = dict(mpl.rcParams)
    ax = FIGURES[figure](made())
    assert [plt.figure(number) for number in plt.get_fignums()] == [ax.figure]
    assert dict(mpl.rcParams) == before


@both_figures
def test_recordings_are_not_changed(figure: str) -> None:
    recording = made(per_read=3)
    copy = made(per_read=3)
    FIGURES[figure](recording)
    recording.events.at_ns.append(0)  # no view of the columns is left behind: a held buffer could not grow
    recording.events.at_ns.pop()
    assert recording == copy


@both_figures
def test_one_several_or_named_recordings_are_taken(figure: str) -> None:
    one, two = made(label="one"), made(label="two")
    assert FIGURES[figure](one).get_title("left") == FIGURES[figure]([one]).get_title("left")
    named = FIGURES[figure]({"one": one, "two": two})
    listed = FIGURES[figure](recording for recording in (one, two))
    assert [text for text, _ in drawn(named)] == [text for text, _ in drawn(listed)]


@both_figures
def test_no_recording_is_refused_before_a_figure_is_made(figure: str) -> None:
    with pytest.raises(ValueError, match="got none"):
        FIGURES[figure]([])
    assert plt.get_fignums() == []


@every_case
def test_the_title_is_the_finding(case: str) -> None:
    """Broken into lines where it is long; signs without a glyph and line ends are escaped."""
    for figure, sentence in (("timeline", plots.finding), ("gaps", plots.gaps_finding)):
        title = typical(figure, case).get_title("left").replace("\n", " ")
        assert title == palette.legible(sentence(TYPICAL[case]), 240)[0]


@both_figures
def test_the_title_can_be_given_or_left_out(figure: str) -> None:
    assert FIGURES[figure](made(), title="Mine").get_title("left") == "Mine"
    assert FIGURES[figure](made(), title="").get_title("left") == ""


@both_figures
def test_there_is_no_frame_around_the_figure(figure: str) -> None:
    ax = FIGURES[figure](made())
    assert not ax.spines["top"].get_visible()
    assert not ax.spines["right"].get_visible()


def test_importing_the_figures_chooses_no_backend_and_loads_no_pyplot() -> None:
    code = "import sys, streamkit.lab.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Timeline


@pytest.mark.parametrize(
    ("recordings", "label"),
    [
        (made(), "ms since the request was sent"),
        (Recording.from_pieces([(MS, "a")]), "ms since the request was made"),
        ([made(), Recording()], "ms since the request was made"),
        (made(3, gap=60_000), "s since the request was sent"),
        (made(3, gap=40_000), "ms since the request was sent"),
    ],
)
def test_the_axis_says_the_unit_and_where_time_begins(recordings: Any, label: str) -> None:
    """ms up to 100 s; "sent" only if it is known of every recording."""
    assert plots.timeline(recordings).get_xlabel() == label


def test_time_begins_when_the_request_had_left() -> None:
    early = Recording.from_pieces([(100 * MS, "a"), (200 * MS, "b")], sent_ns=60 * MS, ended_ns=200 * MS)
    ax = plots.timeline(early)
    (pieces,) = labelled(ax, "_pieces")
    assert [segment[0][0] for segment in pieces.get_segments()] == [40, 140]


def test_thousands_are_separated_on_the_axis() -> None:
    ax = plots.timeline(made(100))
    drawn(ax)
    assert "2,000" in [label.get_text() for label in ax.get_xticklabels()]


def test_each_recording_has_a_lane_with_its_name() -> None:
    ax = plots.timeline({"direct": made(), "relay": made(), "none": Recording()})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["direct", "relay", "none"]
    assert len(labelled(ax, "_open")) == 3


def test_a_single_recording_without_a_name_has_no_lane_name() -> None:
    assert plots.timeline(made()).get_yticklabels() == []


def test_twelve_lanes_make_a_higher_figure_than_one() -> None:
    one, twelve = (plots.timeline([made()] * lanes).figure.bbox for lanes in (1, 12))
    assert twelve.height > 2 * one.height
    assert twelve.width == one.width


def test_the_wait_is_a_bar_of_its_own_with_its_length_in_ms() -> None:
    ax = plots.timeline(made(first=312))
    (wait,) = labelled(ax, "_wait")
    assert (wait.get_x(), wait.get_width()) == (0, 312)
    assert wait.get_hatch()
    assert "first piece after 312 ms" in inside(ax)


def test_bars_are_as_high_as_pieces_have_characters() -> None:
    pieces = [(100 * MS, "x" * 10), (200 * MS, "x" * 20), (300 * MS, "x" * 30)]
    ax = plots.timeline(Recording.from_pieces(pieces, ended_ns=300 * MS))
    (lines,) = labelled(ax, "_pieces")
    low, middle, high = [abs(top[1] - bottom[1]) for bottom, top in lines.get_segments()]
    assert high - middle == pytest.approx(middle - low)
    assert "piece, height = characters (tallest 30)" in legend_of(ax)


def test_bytes_are_shown_where_no_text_was_extracted() -> None:
    times = [100 * MS, 200 * MS]
    recording = Recording(reads=Reads(times, size=[9, 9]), events=Events(times, data=["abc", "abcd"]))
    assert "event, height = bytes (tallest 4)" in legend_of(plots.timeline(recording))


def test_an_event_without_text_is_a_stub_of_its_own() -> None:
    times = [100 * MS, 200 * MS]
    recording = Recording(reads=Reads(times, size=[9, 9]), events=Events(times, text=["", "abc"]))
    ax = plots.timeline(recording)
    assert (bars(ax, "_empty"), bars(ax, "_pieces")) == (1, 1)
    assert "event without text" in legend_of(ax)


def test_events_of_one_read_are_one_outlined_bar_with_their_number() -> None:
    ax = plots.timeline(made(6, per_read=3, gap=200))
    assert (bars(ax, "_shared"), bars(ax, "_inside"), bars(ax, "_pieces")) == (2, 2, 0)
    assert inside(ax).count("×3") == 2
    assert "arrived in one read" in legend_of(ax)


def test_what_does_not_occur_is_not_in_the_legend() -> None:
    assert legend_of(plots.timeline(made(count=20))) == [
        "waiting",
        "piece, height = characters (tallest 12)",
        "complete",
    ]


def test_a_stall_is_shaded_and_its_length_written() -> None:
    ax = plots.timeline(made(20, first=300, stalls={10: 562}))
    (stall,) = labelled(ax, "_stall")
    assert (stall.get_x(), stall.get_width()) == (750, 612)
    assert "stall 612 ms" in inside(ax)
    assert "stall" in legend_of(ax)


def test_what_counts_as_a_stall_can_be_said() -> None:
    assert not labelled(plots.timeline(made(20, gap=100)), "_stall")
    assert len(labelled(plots.timeline(made(20, gap=100), stall_ms=99), "_stall")) == 19


def test_the_silence_before_a_timeout_is_shown() -> None:
    ax = plots.timeline(made(5, outcome="timeout(idle)", tail=2000))
    assert len(labelled(ax, "_wait")) == 2
    assert "nothing for 2,000 ms" in inside(ax)


@pytest.mark.parametrize(
    "outcome",
    ["truncated", "timeout(idle)", "timeout(first_piece)", "refused(503)", "error_event(overloaded)", "cancelled"],
)
@pytest.mark.parametrize("count", [0, 5])
def test_an_end_that_is_not_complete_is_a_cross_with_its_name(outcome: str, count: int) -> None:
    ax = plots.timeline(made(count, outcome=outcome))
    assert outcome in inside(ax)
    assert len(labelled(ax, "_cut")) == 1
    assert not labelled(ax, "_complete")


def test_a_complete_end_is_a_tick_at_the_end() -> None:
    ax = plots.timeline(made(3, first=100, gap=50, tail=10))
    (tick,) = labelled(ax, "_complete")
    assert list(tick.get_xdata()) == [210, 210]
    assert not labelled(ax, "_cut")


def test_without_a_piece_the_whole_time_was_waiting() -> None:
    ax = plots.timeline(made(0, first=0, tail=5000, outcome="timeout(first_piece)"))
    (wait,) = labelled(ax, "_wait")
    assert wait.get_width() == 5000
    assert "no piece in 5,000 ms" in inside(ax)


def test_a_hundred_thousand_events_are_thinned_to_what_the_width_can_show() -> None:
    """… the tallest is among what is left, and the legend says so."""
    pieces = [(i * MS, "xxx") for i in range(1, 100_000)]
    pieces[54_321] = (pieces[54_321][0], "x" * 90)
    ax = plots.timeline(Recording.from_pieces(pieces, ended_ns=100_000 * MS))
    (lines,) = labelled(ax, "_pieces")
    heights = [abs(top[1] - bottom[1]) for bottom, top in lines.get_segments()]
    assert 500 < len(heights) < 2000
    assert sum(height > 2 * min(heights) for height in heights) == 1
    assert "piece, height = characters (tallest 90; where crowded, the tallest)" in legend_of(ax)


def test_a_code_from_a_provider_cannot_spoil_the_figure() -> None:
    """Long, with dollar signs, line ends and signs that the font lacks."""
    code = "$x$ 你好\n" + "long " * 50
    recording = Recording.from_pieces([(100 * MS, "a")], outcome=Outcome("error_event", code), ended_ns=100 * MS)
    ax = plots.timeline(recording)
    (name,) = [text for text in inside(ax) if text.startswith("error_event($x$ ")]
    assert len(name) <= 32
    assert all(box.x1 <= ax.figure.bbox.x1 for _, box in drawn(ax))


def test_lanes_too_low_for_words_have_none() -> None:
    ax = plots.timeline([made()] * 12, empty_axes(8, 2, layout=None))
    assert inside(ax) == []


# Gaps


def curve_of(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = labelled(ax, label)
    assert line.get_drawstyle() == "steps-post"
    return list(line.get_xdata()), list(line.get_ydata())


def test_the_curve_is_the_share_of_gaps_up_to_each_length() -> None:
    recording = Recording.from_pieces([(at * MS, "a") for at in (100, 110, 150, 170, 200)])
    assert curve_of(plots.gaps(recording), "gaps") == ([10, 10, 20, 30, 40], [0, 25, 50, 75, 100])


def test_zero_gaps_within_a_read_are_no_gaps() -> None:
    x, _ = curve_of(plots.gaps(made(30, per_read=5)), "gaps")
    assert set(x) == {250}


@pytest.mark.parametrize(
    ("recordings", "label"),
    [
        (made(), "gap between reads (ms, log scale)"),
        (made(50, per_read=5), "gap between reads (ms, log scale); 80 % of the events shared a read"),
        (
            [made(), made(50, per_read=5)],
            "gap between reads (ms, log scale); up to 80 % of the events shared a read",
        ),
        (
            Recording.from_pieces([(max(i, 1) * MS, "a") for i in range(500)]),
            "gap between reads (ms, log scale); under 1 % of the events shared a read",
        ),
    ],
)
def test_the_axis_names_the_rule_and_how_many_events_shared_a_read(recordings: Any, label: str) -> None:
    ax = plots.gaps(recordings)
    assert ax.get_xlabel() == label
    assert ax.get_ylabel() == "gaps at most this long (%)"
    assert ax.get_xscale() == "log"


def test_percentiles_stand_on_the_curve_with_their_values() -> None:
    recording = made(101, gap=50, stalls={50: 562})
    ax = plots.gaps(recording)
    summary = recording.summary()
    assert [labelled(ax, f"_p{q}")[0].get_xdata()[0] for q in (50, 95, 99)] == [
        summary.gap_p50_ms,
        summary.gap_p95_ms,
        summary.gap_p99_ms,
    ]
    assert sorted(inside(ax)) == ["p50  50 ms", "p95  50 ms", "p99  50 ms"]


def test_the_three_percentiles_differ_in_shape() -> None:
    ax = plots.gaps(made())
    assert len({labelled(ax, f"_p{q}")[0].get_marker() for q in (50, 95, 99)}) == 3


def test_several_recordings_have_a_row_each_with_their_values() -> None:
    ax = plots.gaps({"direct": made(), "relay": made(gap=70), "none": made(0, outcome="refused(503)")})
    texts = inside(ax)
    assert {"p50 ms", "p95 ms", "p99 ms", "direct", "relay", "none", "no gap"} <= set(texts)
    assert (texts.count("50"), texts.count("70")) == (3, 3)


def test_names_stand_beside_curves_that_are_well_apart() -> None:
    assert inside(plots.gaps({"a": made(), "b": made(gap=200)})).count("a") == 2
    assert inside(plots.gaps({"a": made(), "b": made(gap=51)})).count("a") == 1


def test_twenty_recordings_differ_in_colour_or_line() -> None:
    """The first is the client's green; neighbours differ in both."""
    ax = plots.gaps({f"run {i}": made(gap=50 + i) for i in range(20)})
    curves = [labelled(ax, f"run {i}")[0] for i in range(20)]
    looks = [(curve.get_color(), str(curve._dash_pattern)) for curve in curves]
    assert looks[0][0] == "#009E73"
    assert len(set(looks)) == 20
    assert all(a != b and c != d for (a, c), (b, d) in itertools.pairwise(looks))


@pytest.mark.parametrize(
    ("recording", "note"),
    [
        (Recording(), "no gap (no event, complete)"),
        (made(0, outcome="refused(503)"), "no gap (no event, refused(503))"),
        (made(1), "no gap (one event, complete)"),
        (made(4, per_read=4), "no gap (4 events in one read, complete)"),
    ],
)
def test_without_a_gap_a_note_says_why(recording: Recording, note: str) -> None:
    ax = plots.gaps(recording)
    assert inside(ax) == [note]
    assert not ax.get_lines()


def test_two_reads_at_one_time_do_not_break_the_log_axis() -> None:
    events = Events([5 * MS] * 2 + [6 * MS], read=[0, 1, 2], text=["a"] * 3)
    ax = plots.gaps(Recording(reads=Reads([5 * MS] * 2 + [6 * MS], size=[1] * 3), events=events))
    assert curve_of(ax, "gaps")[0] == [0.001, 0.001, 1]


@pytest.mark.parametrize("case", ["normal", "stall", "stalls side by side", "bursts", "many", "long", "tiny", "two"])
def test_no_curve_runs_through_a_word(case: str) -> None:
    ax = plots.gaps(TYPICAL[case])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    curves = [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]
    assert curves
    for curve in curves:
        x, y = np.asarray(curve.get_xdata(), float), np.asarray(curve.get_ydata(), float)
        stairs = np.column_stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]])
        path = Path(ax.transData.transform(stairs))
        assert not any(path.intersects_bbox(box, filled=False) for box in boxes)
