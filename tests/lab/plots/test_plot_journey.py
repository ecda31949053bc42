"""The figures of the way: what they draw is what was measured, and every word has its place."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from streamkit.lab import plots
from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import COLUMNS_PER_PT, stairs
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import TAPS, Tap
from tests.figures import are_apart, are_readable, empty_axes

mpl.use("Agg")  # no test may open a window
import matplotlib.pyplot as plt

MS = 1_000_000
DUE = [300 + 50 * i for i in range(40)]


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


def later(times: Sequence[float], by_ms: float) -> list[float]:
    return [at + by_ms for at in times]


def way(
    taps: Mapping[str, Sequence[float]],
    client: Sequence[float],
    outcome: str = "complete",
    ended_ms: float = 0,
    **fields: Any,
) -> Recording:
    """One event of seven bytes at each of these times, tap by tap, in ms; the client's equal times share a read."""
    at_ns = [round(at * MS) for at in client]
    reads = sorted(set(at_ns))
    steps = {
        name: Tap([round(at * MS) for at in times], range(1, len(times) + 1), range(7, 7 * len(times) + 1, 7))
        for name, times in taps.items()
    }
    return Recording(
        reads=Reads(reads, size=[99] * len(reads)),
        events=Events(at_ns, text=["seven b"] * len(at_ns), event=fields.pop("event", None)),
        taps=steps,
        outcome=Outcome.parse(outcome),
        ended_ns=round(max([ended_ms, *client]) * MS),
        **{"sent_ns": 0, **fields},
    )


def slow_reader(count: int = 120, pace: float = 20) -> Recording:
    """From event 30 on the reader is slow; the socket holds 15 events and the relay 12, then the upstream waits."""
    due = [200 + pace * i for i in range(count)]
    read, sent, client = [0.0] * count, [0.0] * count, [0.0] * count
    for i in range(count):
        read[i] = max(due[i] + 0.2, sent[i - 12] if i >= 12 else 0)
        sent[i] = max(read[i] + 0.2, client[i - 15] if i >= 15 else 0)
        client[i] = max(sent[i] + 0.2, client[i - 1] + 2.1 * pace if i >= 30 else 0)
    return way({"upstream.due": due, "upstream.sent": due, "relay.read": read, "relay.sent": sent}, client)


def every_tap(times: Sequence[float], **changes: Sequence[float]) -> Recording:
    stamps = {name: changes.get(name.replace(".", "_"), later(times, 0.2 * i)) for i, name in enumerate(TAPS[:6])}
    return way(stamps, changes.get("client_read", later(times, 1.2)))


HALTED = [1800 if 900 < at < 1800 else at for at in DUE]
FIVES = [DUE[5 * (i // 5) + 4] + 1.0 for i in range(40)]
STALLING = [312 + 50 * i + (612 if i >= 16 else 0) + (400 if i >= 20 else 0) for i in range(40)]
WHOLE_WAY = {"upstream.sent": DUE[:24], "relay.read": DUE[:22], "relay.send": DUE[:20], "relay.sent": DUE[:18]}

TYPICAL: dict[str, Recording] = {
    "slow reader": slow_reader(),
    "fine": every_tap(DUE),
    "late upstream": way({"upstream.due": DUE, "upstream.sent": later(DUE, 120)}, later(DUE, 121)),
    "relay stalls": every_tap(DUE, relay_send=HALTED, relay_sent=later(HALTED, 1), client_read=later(HALTED, 2)),
    "cut": way(WHOLE_WAY, later(DUE[:16], 0.5), "truncated", 1600),
    "coalesced": every_tap(DUE, relay_send=FIVES, relay_sent=later(FIVES, 0.1), client_read=later(FIVES, 0.3)),
    "client alone": way({}, STALLING),
    "timeout": way({"upstream.sent": DUE[:14], "relay.read": DUE[:14]}, DUE[:14], "timeout(idle)", 3000),
    "no first piece": way({}, [], "timeout(first_piece)", 5000),
    "stuck in the relay": way({"upstream.sent": DUE, "relay.read": DUE}, [], "timeout(first_piece)", 5000),
    "refused": way({}, [], "refused(503)", 12),
    "error": way({}, STALLING, "error_event(过载 $x$)", label="你好"),
    "one": every_tap([300]),
    "far": every_tap(DUE, client_read=later(DUE, 150)),
    "long": way({"upstream.sent": [1500 * i for i in range(200)]}, [1500 * i + 900 for i in range(200)]),
    "plain text": way({"upstream.sent": DUE, "relay.sent": DUE}, FIVES, event=[""] * 40),
    "made": way({"relay.sent": DUE}, later(DUE, 1), sent_ns=None),
    "nothing": Recording(),
}
FIGURES: dict[str, Callable[..., Axes]] = {"journey": plots.journey, "backlog": plots.backlog, "hops": plots.hops}
SENTENCES: dict[str, Callable[..., str]] = {
    "journey": plots.journey_finding,
    "backlog": plots.backlog_finding,
    "hops": plots.hops_finding,
}

every_case = pytest.mark.parametrize("case", TYPICAL)
all_figures = pytest.mark.parametrize("figure", FIGURES)


@functools.cache
def typical(figure: str, case: str) -> Axes:
    """The figure of a typical case, made once for all tests that only look at it."""
    return FIGURES[figure](TYPICAL[case])


def words(ax: Axes) -> list[tuple[str, Bbox]]:
    """Every word that is drawn with its box in pixels."""
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    xticks = [label for label, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True) if low <= at <= high]
    legend = ax.get_legend()
    named = legend.get_texts() if legend else []
    outside = [ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]  # no other way to the artist
    texts = [*outside, *xticks, *ax.get_yticklabels(), *ax.texts, *named]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


def legend_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def inside(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_label() != "_note"]


def labelled(ax: Axes, label: str) -> list[Any]:
    return [artist for artist in ax.get_children() if artist.get_label() == label]


def steps_of(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = labelled(ax, label)
    assert line.get_drawstyle() == "steps-post"
    return list(line.get_xdata()), list(line.get_ydata())


def areas(ax: Axes) -> dict[str, Any]:
    return {
        str(artist.get_label()).removeprefix("_held "): artist
        for artist in ax.get_children()
        if str(artist.get_label()).startswith("_held ")
    }


@all_figures
@every_case
def test_no_word_runs_into_another_or_out_of_the_figure(figure: str, case: str) -> None:
    """… and nothing warns: not of missing glyphs, not of a layout that does not fit."""
    ax = typical(figure, case)
    boxes = words(ax)
    are_readable(ax, boxes)


@pytest.mark.parametrize("case", TYPICAL)
@pytest.mark.parametrize("size", [(3.5, 2.6), (5, 3), (12, 7)])
def test_in_other_sizes_words_keep_apart_too(case: str, size: tuple[float, float]) -> None:
    ax = empty_axes(*size)
    plots.journey(TYPICAL[case], ax)
    are_apart([(text, box) for text, box in words(ax) if text in inside(ax) + legend_of(ax)])


@every_case
def test_no_staircase_runs_through_a_word(case: str) -> None:
    ax = typical("journey", case)
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    texts = [*ax.texts, *(legend.get_texts() if legend else [])]
    boxes = [text.get_window_extent() for text in texts]
    for line in ax.get_lines():
        if line.get_drawstyle() == "steps-post":
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            path = Path(ax.transData.transform(np.column_stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]])))
            assert not any(path.intersects_bbox(box, filled=False) for box in boxes)


@all_figures
@every_case
def test_no_text_is_smaller_than_eight_points(figure: str, case: str) -> None:
    ax = typical(figure, case)
    legend = ax.get_legend()
    texts = [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels(), *(legend.get_texts() if legend else [])]
    assert all(float(text.get_fontsize()) >= 8 for text in texts)


@all_figures
@pytest.mark.parametrize("case", ["slow reader", "coalesced", "timeout", "nothing"])
def test_a_given_axes_is_drawn_on_and_returned_and_nothing_else_is_touched(figure: str, case: str) -> None:
    ax = empty_axes()
    other = ax.figure.add_axes((0.9, 0.9, 0.05, 0.05))
    before = len(other.get_children())
    assert FIGURES[figure](TYPICAL[case], ax) is ax
    assert ax.figure.axes == [ax, other]
    assert len(other.get_children()) == before
    assert plt.get_fignums() == []


@all_figures
def test_without_axes_one_pyplot_figure_is_made_and_no_setting_is_changed(figure: str) -> None:
    before = dict(mpl.rcParams)
    ax = FIGURES[figure](TYPICAL["fine"])
    assert [plt.figure(number) for number in plt.get_fignums()] == [ax.figure]
    assert dict(mpl.rcParams) == before


@all_figures
def test_a_recording_is_not_changed(figure: str) -> None:
    recording, copy = slow_reader(), slow_reader()
    FIGURES[figure](recording)
    assert recording == copy


@all_figures
def test_what_is_no_recording_is_refused_before_a_figure_is_made(figure: str) -> None:
    with pytest.raises(TypeError, match="expected a Recording"):
        FIGURES[figure](["journey"])
    with pytest.raises((ValueError, TypeError)):
        FIGURES[figure]([])
    assert plt.get_fignums() == []


@pytest.mark.parametrize("figure", ["journey", "backlog"])
def test_an_unknown_unit_is_refused(figure: str) -> None:
    with pytest.raises(ValueError, match="'events' or 'bytes', got 'tokens'"):
        FIGURES[figure](TYPICAL["fine"], unit="tokens")


@all_figures
@every_case
def test_the_title_is_the_finding(figure: str, case: str) -> None:
    title = typical(figure, case).get_title("left").replace("\n", " ")
    assert title == palette.legible(SENTENCES[figure](TYPICAL[case]), 240)[0]


@all_figures
def test_the_title_can_be_given_or_left_out(figure: str) -> None:
    assert FIGURES[figure](TYPICAL["fine"], title="Mine").get_title("left") == "Mine"
    assert FIGURES[figure](TYPICAL["fine"], title="").get_title("left") == ""


@all_figures
@every_case
def test_the_verdict_of_trust_stands_small_below_the_axis(figure: str, case: str) -> None:
    ax = typical(figure, case)
    ax.figure.canvas.draw()
    (note,) = labelled(ax, "_note")
    assert note.get_text().rstrip("…") in f"trust: {TYPICAL[case].trust}"
    assert note.get_window_extent().y1 < ax.get_window_extent().y0
    assert note.get_fontsize() == palette.NOTE_PT


# Journey


def test_the_staircases_are_the_curves() -> None:
    """… each with a riser from zero before its first step."""
    recording = slow_reader()
    ax = plots.journey(recording)
    for tap, label in (
        ("relay.read", "_relay.read"),
        ("relay.sent", "_relay.sent"),
        ("client.read", "_client.read, event"),
    ):
        x, y = steps_of(ax, label)
        curve = recording.curves()[tap]
        assert (x[0], y[0]) == (x[1], 0)
        assert x[1:] == (curve.at_ns / MS).tolist()
        assert y[1:] == curve.count.tolist()


def test_bytes_of_text_can_be_shown_instead_of_events() -> None:
    ax = plots.journey(slow_reader(), unit="bytes")
    assert ax.get_ylabel() == "bytes of text passed"
    assert steps_of(ax, "_relay.read")[1][-1] == 7 * 120


@pytest.mark.parametrize(
    ("case", "label"),
    [
        ("fine", "ms since the request was sent"),
        ("made", "ms since the request was made"),
        ("long", "s since the request was sent"),
    ],
)
def test_the_axes_say_the_unit_and_where_time_begins(case: str, label: str) -> None:
    ax = typical("journey", case)
    assert ax.get_xlabel() == label
    assert ax.get_ylabel() == "events passed"


def test_time_begins_when_the_request_had_left() -> None:
    ax = plots.journey(replace(way({"relay.sent": DUE}, later(DUE, 100)), sent_ns=60 * MS))
    assert steps_of(ax, "_relay.sent")[0][0] == 240


def test_every_area_is_the_backlog_of_its_hop() -> None:
    recording = slow_reader()
    curves = recording.curves()
    area = areas(plots.journey(recording))["relay.sent → client.read"]
    (path,) = area.get_paths()
    for at_ms in (500, 1000, 2000, 3000, 4000):
        crossing = [
            y
            for (x0, y0), (x1, y1) in itertools.pairwise(path.vertices.tolist())
            if min(x0, x1) <= at_ms < max(x0, x1)
            for y in [y0]
            if y0 == y1
        ]
        assert max(crossing) == count_at(curves["relay.sent"], at_ms * MS)
        assert min(crossing) == count_at(curves["client.read"], at_ms * MS)


def test_every_hop_has_a_shade_and_a_hatch_of_its_own() -> None:
    """In grey they are told apart by the hatch alone."""
    assert set(palette.HOPS) == set(TAPS) - {"upstream.due"}
    assert len({fill.hatch for fill in palette.HOPS.values()}) == len(palette.HOPS)
    assert len({fill.colour for fill in palette.HOPS.values()}) == len(palette.HOPS)
    drawn = areas(typical("journey", "cut")).values()
    looks = {(mpl.colors.to_hex(area.get_facecolor()[0]), area.get_hatch()) for area in drawn}
    assert len(looks) == len(drawn) == 4


def test_taps_of_one_place_that_coincide_are_one_staircase_and_one_entry() -> None:
    assert legend_of(typical("journey", "fine")) == [
        "upstream.due, sent",
        "relay.read, event, send, sent",
        "client.read, event",
    ]


def test_the_legend_is_in_the_order_of_the_way_and_says_what_each_hop_held() -> None:
    assert legend_of(typical("journey", "slow reader")) == [
        "upstream.due, sent",
        "relay.read",
        "relay.sent",
        "client.read, event",
        "upstream.sent → relay.read: max 21 events, 847 ms",
        "relay.read → relay.sent: max 12 events, 504 ms",
        "relay.sent → client.read: max 15 events, 630 ms",
    ]


def test_a_small_frame_has_the_staircases_in_its_legend_at_least() -> None:
    ax = plots.journey(TYPICAL["slow reader"], empty_axes(3.5, 2.6))
    assert legend_of(ax)[:4] == ["upstream.due, sent", "relay.read", "relay.sent", "client.read, event"]


def test_a_tap_wears_its_colour_and_the_schedule_is_dotted() -> None:
    ax = typical("journey", "late upstream")
    (due,), (sent,) = labelled(ax, "_upstream.due"), labelled(ax, "_upstream.sent")
    assert (due.get_color(), due.get_linestyle()) == (palette.TAPS["upstream.due"].colour, ":")
    assert (sent.get_color(), sent.get_linestyle()) == ("#0072B2", "-")


def test_stalls_and_the_wait_lie_under_the_clients_staircase_with_their_lengths() -> None:
    ax = typical("journey", "client alone")
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in labelled(ax, "_pause")]
    assert spans == [(0, 312), (1062, 1724), (1874, 2324)]
    assert {"first piece after 312 ms", "stall 662 ms", "stall 450 ms"} <= set(inside(ax))


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("cut", "truncated"),
        ("refused", "refused(503)"),
        ("timeout", "timeout(idle)"),
        ("no first piece", "timeout(first_piece)"),
    ],
)
def test_an_end_that_is_not_complete_is_a_cross_with_its_name(case: str, outcome: str) -> None:
    ax = typical("journey", case)
    assert outcome in inside(ax)
    (cross,) = labelled(ax, "_cut")
    assert list(cross.get_xdata()) == [(TYPICAL[case].ended_ns or 0) / MS]
    assert not labelled(typical("journey", "fine"), "_cut")


def test_a_timer_that_fired_is_a_line_and_the_silence_before_it_is_measured() -> None:
    ax = typical("journey", "timeout")
    (timer,) = labelled(ax, "_timer")
    assert timer.get_segments()[0][0][0] == 3000
    assert "nothing for 2,050 ms" in inside(ax)
    assert not labelled(typical("journey", "cut"), "_timer")


def test_what_never_arrived_stays_held_up_to_the_end() -> None:
    ax = typical("journey", "cut")
    assert steps_of(ax, "_relay.send")[0][-1] == 1600
    assert areas(ax)["relay.send → relay.sent"].get_paths()[0].vertices[:, 0].max() == 1600
    lost = way({"relay.sent": DUE[:18]}, DUE[:16], "truncated", 1600)
    assert "relay.sent → client.read: max 2 events, 2 of them for good" in legend_of(plots.journey(lost))


def test_reads_that_carried_several_events_are_outlined_and_counted() -> None:
    ax = typical("journey", "coalesced")
    (shared,) = labelled(ax, "_shared")
    assert [np.ptp(ends[:, 1]) for ends in shared.get_segments()] == [5] * 8
    assert inside(ax).count("×5") == 7  # the last has no room before the frame's edge
    assert "events that shared a read" in legend_of(ax)
    assert not labelled(typical("journey", "fine"), "_shared")


def test_without_event_borders_events_are_joined_by_bytes() -> None:
    """In text/plain an event of the client is a read; its staircase counts what the other taps count."""
    ax = typical("journey", "plain text")
    assert steps_of(ax, "_client.read, event")[1][-1] == 40


def test_ends_that_are_far_apart_have_their_names() -> None:
    names = ["upstream.sent", "client.read, event"]
    assert inside(plots.journey(way({"upstream.sent": DUE}, [3 * at for at in DUE])))[-2:] == names
    assert not set(names) & set(inside(typical("journey", "timeout")))


def test_ticks_are_whole_events() -> None:
    for case in ("one", "cut", "slow reader", "nothing"):
        ticks = typical("journey", case).get_yticks()
        assert all(tick == int(tick) >= 0 for tick in ticks)


def test_a_hundred_thousand_events_make_a_bounded_path_in_bounded_time() -> None:
    """… that covers the same points of the paper, to a quarter of a point."""
    times = np.cumsum(np.full(100_000, 0.5)) + 300
    ways = {name: (times + 0.2 * i).tolist() for i, name in enumerate(TAPS[1:6])}
    recording = way(ways, np.maximum(times + 2, times * 1.1 - 2_000).tolist())
    started = time.perf_counter()
    ax = plots.journey(recording)
    ax.figure.canvas.draw()
    assert time.perf_counter() - started < 20
    width, _ = palette.size_pt(ax)
    for line in ax.get_lines():
        assert np.size(line.get_xdata()) <= 2 * COLUMNS_PER_PT * width + 3
    for area in areas(ax).values():
        assert len(area.get_paths()[0].vertices) <= 16 * COLUMNS_PER_PT * width


def test_thinned_stairs_leave_no_seen_step_out() -> None:
    """In every column of a quarter point they begin and end where all steps do."""
    at_ns = np.sort(np.random.default_rng(1).integers(0, 10**9, 50_000))
    curve = Curve(at_ns, np.arange(1, at_ns.size + 1))
    thin = stairs(curve, ns_per_pt=2e6)
    assert thin.at_ns.size <= 2 * 500 * COLUMNS_PER_PT
    edges = np.arange(0, 10**9, int(2e6 / COLUMNS_PER_PT))
    assert np.array_equal(count_at(thin, edges - 1), count_at(curve, edges - 1))
    few = Curve(at_ns[:3], curve.count[:3])
    assert np.array_equal(stairs(few, ns_per_pt=1).at_ns, few.at_ns)


# Backlog


def test_the_lines_are_the_backlog_of_each_hop() -> None:
    recording = slow_reader()
    curves = recording.curves()
    x, y = steps_of(plots.backlog(recording), "_relay.sent → client.read")
    times = np.round(np.array(x) * MS).astype(np.int64)
    held = count_at(curves["relay.sent"], times) - count_at(curves["client.read"], times)
    assert np.array_equal(np.sort(y)[-40:], np.sort(held)[-40:])
    assert max(y) == 15


def test_the_largest_backlog_is_marked_and_all_are_in_the_key() -> None:
    ax = typical("backlog", "slow reader")
    assert inside(ax) == ["21 events"]
    assert legend_of(ax) == [
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
    assert legend_of(ax)[1:] == ["the others: max 1 event"]


def test_the_backlog_axes_say_what_is_counted() -> None:
    assert typical("backlog", "fine").get_ylabel() == "events held"
    assert plots.backlog(slow_reader(), unit="bytes").get_ylabel() == "bytes of text held"


def test_an_event_that_seems_to_arrive_before_it_left_is_drawn_as_no_backlog() -> None:
    ax = plots.backlog(way({"upstream.sent": DUE, "relay.sent": later(DUE, 30)}, later(DUE, 20)))
    assert all(np.min(np.asarray(line.get_ydata())) >= 0 for line in ax.get_lines())


# Hops


def test_every_hop_has_a_row_and_the_whole_way_is_the_last() -> None:
    ax = typical("hops", "slow reader")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "upstream.due → upstream.sent",
        "upstream.sent → relay.read",
        "relay.read → relay.sent",
        "relay.sent → client.read",
        "client.read → client.event",
        "all the way",
    ]
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "delay from tap to tap (ms, log scale)"


def test_percentiles_are_marked_and_written_and_differ_in_shape() -> None:
    ax = plots.hops(way({"relay.sent": [0] * 100}, [1 + i for i in range(100)]))
    marks = [labelled(ax, f"_p{q}")[0] for q in (50, 95, 99)]
    assert [mark.get_xdata()[0] for mark in marks] == [50, 95, 99]
    assert len({mark.get_marker() for mark in marks}) == 3
    assert {"50", "95", "99"} <= set(inside(ax))
    (half, *_) = labelled(ax, "_half")
    assert (half.get_x(), half.get_x() + half.get_width()) == (25, 75)


def test_several_recordings_have_a_band_each_in_every_hop() -> None:
    ax = plots.hops({"direct": TYPICAL["fine"], "你好": TYPICAL["coalesced"], "refused": TYPICAL["refused"]})
    assert legend_of(ax) == ["direct", palette.legible("你好")[0], "refused"]
    assert len(labelled(ax, "_half")) == 2 * 8
    colours = {mpl.colors.to_hex(patch.get_edgecolor()) for patch in labelled(ax, "_half")}
    assert colours == {palette.recording_stroke(i).colour.lower() for i in (0, 1)}
    assert any(text.get_text().startswith("trust, the worst of 3: ") for text in ax.texts)
    are_apart(words(ax))


def test_delays_below_zero_stand_at_a_microsecond_and_are_written_as_they_are() -> None:
    """The relay's send may return after the client has read; zero would hide it."""
    ax = plots.hops(way({"relay.sent": later(DUE, 0.5)}, DUE))
    assert labelled(ax, "_p50")[0].get_xdata()[0] == 0.001
    assert "-0.50" in inside(ax)


def test_without_a_delay_a_note_says_why() -> None:
    assert inside(typical("hops", "refused")) == ["no delay (no pieces, refused(503))"]
