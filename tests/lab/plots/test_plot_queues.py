"""The figure of the queues: what it stacks is what they held, and its title says where most of it was."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from streamkit.lab import plots
from streamkit.lab.findings.stretches import Held, held
from streamkit.lab.findings.queues import describe_queues, queued
from streamkit.lab.plots import palette
from streamkit.lab.recording.recording import Recording
from streamkit.taps.gauges import GAUGES, Gauge
from tests.figures import are_apart, are_readable, empty_axes
from tests.queue_chain import MS, SMALL, TCP, chain

mpl.use("Agg")  # no test may open a window
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


def tcp(**fields: Any) -> Recording:
    return chain(TCP, 12_000, read=lambda _: 10, at_once=4, until_ms=2500, **fields)


def small(**fields: Any) -> Recording:
    return chain(SMALL, 200, read=lambda _: 2, piece=100, gap_ms=10, until_ms=3000, **fields)


def only(recording: Recording, place: str) -> Recording:
    """As one place alone saw it."""
    gauges = {name: gauge for name, gauge in recording.gauges.items() if name.startswith(place)}
    return replace(recording, taps={}, marks={}, counts={}, gauges=gauges)


UNSEEN = ("upstream.buffer", "upstream.unsent", "relay.unread", "relay.unsent", "client.backlog")
TYPICAL: dict[str, Callable[[], Recording]] = {
    "tcp": tcp,
    "small": small,
    "easy": lambda: chain(TCP, 100, read=lambda _: 9000, piece=300, gap_ms=10),
    "fits": lambda: chain(TCP, 3000, read=lambda ms: 10 if ms < 2000 else 20_000, at_once=4),
    "unknown": lambda: tcp(unknown=UNSEEN),
    "all unknown": lambda: tcp(unknown=GAUGES),
    "long": lambda: chain(
        TCP, 2000, read=lambda _: 40_000, gap_ms=1000, step_ms=500, at_once=50, every_ms=500, until_ms=200_000
    ),
    "dropping": lambda: replace(small(), counts={"relay.dropped_pieces": 12}),
    "client alone": lambda: only(small(), "client."),
    "empty queues": lambda: replace(only(small(), "client."), gauges={"client.unread": Gauge([0, MS], [0, 0])}),
    "blocked late": lambda: replace(small(), marks={"relay.blocked": 2990 * MS}),
    "made": lambda: replace(small(), sent_ns=None),
    "nothing": Recording,
}
every_case = pytest.mark.parametrize("case", TYPICAL)


@functools.cache
def recorded(case: str) -> Recording:
    return TYPICAL[case]()


@functools.cache
def typical(case: str) -> Axes:
    """The figure of a typical case, made once for all tests that only look at it."""
    return plots.queues(recorded(case))


def key(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def inside(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_label() != "_note"]


def areas(ax: Axes) -> dict[str, Any]:
    """From the bottom to the top."""
    prefix = "_held "
    found = [artist for artist in ax.get_children() if str(artist.get_label()).startswith(prefix)]
    return {str(artist.get_label()).removeprefix(prefix): artist for artist in found}


def boxes(ax: Axes) -> list[tuple[str, Bbox]]:
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    low, high = ax.get_xlim()
    ticks = [label for label, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True) if low <= at <= high]
    outside = [ax._left_title, ax.xaxis.label, ax.yaxis.label, *ticks, *ax.get_yticklabels()]  # type: ignore[attr-defined]  # no other way to the title
    texts = [*outside, *ax.texts, *(legend.get_texts() if legend else [])]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


def height_at(ax: Axes, name: str, at_ms: float) -> float:
    """How high the area is there."""
    (path,) = areas(ax)[name].get_paths()
    pairs = itertools.pairwise(path.vertices.tolist())
    crossing = {y0 for (x0, y0), (x1, y1) in pairs if y0 == y1 and min(x0, x1) <= at_ms < max(x0, x1)}
    return float(max(crossing) - min(crossing))


@every_case
def test_no_word_runs_into_another_or_out_of_the_figure(case: str) -> None:
    ax = typical(case)
    words = boxes(ax)
    are_readable(ax, words)


@every_case
def test_the_stack_and_the_line_stay_below_the_words(case: str) -> None:
    ax = typical(case)
    named = set(inside(ax)) | set(key(ax))
    low = min((box.y0 for text, box in boxes(ax) if text in named), default=ax.figure.bbox.y1)
    for artist in areas(ax).values():
        (path,) = artist.get_paths()
        assert ax.transData.transform(path.vertices)[:, 1].max() < low


@every_case
@pytest.mark.parametrize("size", [(5, 3.5), (12, 7)])
def test_in_other_sizes_words_keep_apart_too(case: str, size: tuple[float, float]) -> None:
    ax = empty_axes(*size)
    plots.queues(recorded(case), ax)
    named = [(text, box) for text, box in boxes(ax) if text in inside(ax) + key(ax)]
    are_apart(named)


@every_case
def test_the_title_is_the_finding_and_the_verdict_of_trust_stands_below(case: str) -> None:
    ax = typical(case)
    assert ax.get_title("left").replace("\n", " ") == plots.queues_finding(recorded(case))
    (note,) = [text for text in ax.texts if text.get_label() == "_note"]
    assert note.get_text().startswith(f"trust: {recorded(case).trust.level}")


def test_the_title_can_be_given_or_left_out() -> None:
    assert plots.queues(recorded("easy"), title="Mine").get_title("left") == "Mine"
    assert plots.queues(recorded("easy"), title="").get_title("left") == ""


def test_a_given_axes_is_drawn_on_and_nothing_else_is_touched() -> None:
    before, ax, recording = dict(mpl.rcParams), empty_axes(8, 4.6), small()
    assert plots.queues(recording, ax) is ax
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before
    assert recording == small()


def test_what_is_no_recording_is_refused_before_a_figure_is_made() -> None:
    with pytest.raises(TypeError, match="expected a Recording"):
        plots.queues("tcp")  # type: ignore[arg-type]  # the claim
    assert plt.get_fignums() == []


def test_the_queues_are_stacked_from_the_client_up_and_the_rest_is_on_top() -> None:
    names = [name for name in GAUGES if name not in ("relay.pending",)]
    assert list(areas(typical("small"))) == [*reversed(names), "rest"]


def test_every_area_is_as_high_as_its_queue_was_full() -> None:
    ax, hops = typical("small"), held(recorded("small"))
    for hop in hops.values():
        for name, value in hop.by_queue.items():
            if name in areas(ax):
                for index in range(0, hop.at_ns.size - 1, 7):
                    at_ms = float(hop.at_ns[index] / MS) + 1
                    assert height_at(ax, name, at_ms) == pytest.approx(value[index])


def test_the_line_is_the_queues_and_the_rest_together() -> None:
    (line,) = [line for line in typical("small").get_lines() if line.get_label() == "_curves"]
    by_curves = sum(np.asarray(hop.by_curves) for hop in held(recorded("small")).values())
    assert np.asarray(line.get_ydata()).tolist() == np.asarray(by_curves).tolist()
    assert line.get_drawstyle() == "steps-post"


def test_a_queue_wears_its_shade_and_hatch() -> None:
    for name, area in areas(typical("small")).items():
        fill = palette.REST if name == "rest" else palette.QUEUES[name]
        assert mpl.colors.to_hex(area.get_facecolor()[0]).upper() == fill.colour
        assert (area.get_hatch() or "") == fill.hatch


def test_the_key_is_in_the_order_of_the_way_with_the_most_that_each_held() -> None:
    assert key(typical("tcp")) == [
        "by the curves: max 8.2 MB",
        "in no queue: max 1.4 kB",
        "the others together: max 201 kB, after 2,060 ms",
        "upstream.unsent: max 2.6 MB, after 2,040 ms",
        "relay.unread: max 1.4 MB, after 1,400 ms",
        "relay.unsent: max 2.6 MB, after 1,020 ms",
        "client.unread: max 1.4 MB, after 360 ms",
    ]


def test_in_a_small_frame_the_key_goes_without_numbers() -> None:
    ax = plots.queues(recorded("tcp"), empty_axes(4.2, 3.2))
    assert key(ax)[-1] == "client.unread"


def test_bytes_that_were_in_two_queues_at_once_are_told_in_the_key() -> None:
    """TCP keeps what has come until it has acknowledged it: the line is below the stack then."""
    recording = small()
    late = recording.gauges["relay.unsent"]
    acked = Gauge(late.at_ns, [value + 700 for value in late.value])
    ax = plots.queues(replace(recording, gauges={**recording.gauges, "relay.unsent": acked}))
    assert any("in no queue: max 0 B, in two: 7" in text for text in key(ax))


def test_queues_that_held_next_to_nothing_are_drawn_together() -> None:
    """So the stack is as high as all of them are full."""
    ax, hops = typical("tcp"), held(recorded("tcp"))
    assert list(areas(ax)) == [
        "client.unread",
        "relay.unsent",
        "relay.unread",
        "upstream.unsent",
        "the others together",
        "rest",
    ]
    total = sum(hop.in_queues for hop in hops.values())
    drawn = sum(height_at(ax, name, 2301) for name in areas(ax) if name != "rest")
    assert drawn == pytest.approx(int(np.asarray(total)[115]))


def test_what_cannot_be_seen_is_named() -> None:
    assert "not known here: upstream → relay, relay.unsent, in the client" in inside(typical("unknown"))
    assert not any("not known" in text for text in inside(typical("tcp")))


def test_where_the_curves_do_not_tell_is_named() -> None:
    assert "not told by the curves: in the relay (pieces were dropped there)" in inside(typical("dropping"))
    assert not any("not told" in text for text in inside(typical("small")))


def test_where_the_relay_was_first_blocked_is_a_dashed_line_with_its_name() -> None:
    ax = typical("small")
    (line,) = [line for line in ax.get_lines() if line.get_label() == "_blocked"]
    assert np.asarray(line.get_xdata()).tolist() == [recorded("small").marks["relay.blocked"] / MS] * 2
    assert "relay first blocked" in inside(ax)
    assert "relay first blocked" not in inside(typical("easy"))


@pytest.mark.parametrize(
    ("case", "label"),
    [
        ("small", "ms since the request was sent"),
        ("made", "ms since the request was made"),
        ("long", "s since the request was sent"),
    ],
)
def test_the_axis_says_the_unit_and_where_time_begins(case: str, label: str) -> None:
    assert typical(case).get_xlabel() == label
    assert typical(case).get_ylabel() == "bytes held"


def test_time_begins_when_the_request_had_left() -> None:
    ax = plots.queues(replace(small(), sent_ns=60 * MS))
    (line,) = [line for line in ax.get_lines() if line.get_label() == "_curves"]
    assert np.asarray(line.get_xdata()).tolist()[0] == -60


def test_sizes_are_written_in_the_unit_in_which_they_read_best() -> None:
    def ticks(case: str) -> list[str]:
        ax = typical(case)
        ax.figure.canvas.draw()
        return [label.get_text() for label in ax.get_yticklabels()]

    assert ticks("tcp") == ["0", "2 MB", "4 MB", "6 MB", "8 MB"]
    assert ticks("small") == ["0", "2 kB", "4 kB", "6 kB", "8 kB"]
    assert ticks("easy")[-1].endswith(" B")


def test_without_gauges_words_say_so() -> None:
    ax = typical("nothing")
    assert inside(ax) == ["no gauges in this recording (gauge_ms turns them on)"]
    assert not key(ax)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            "tcp",
            (
                "Up to 4.1 MB lay between relay and client, 2.6 MB of it in the relay's kernel; "
                "the relay was first blocked after 1,023 ms, when 4.1 MB had been written"
            ),
        ),
        ("easy", "The relay never had to wait: at most 320 B lay anywhere"),
        (
            "fits",
            (
                "The relay never had to wait: up to 3.0 MB lay between relay and client, "
                "1.6 MB of it in the relay's kernel"
            ),
        ),
        (
            "unknown",
            (
                "Up to 4.1 MB lay between relay and client, 2.6 MB of it in none of the queues that were seen; "
                "the relay was first blocked after 1,023 ms, when 4.1 MB had been written"
            ),
        ),
        ("client alone", "Up to 1.3 kB lay between relay and client, all of it in the client's kernel"),
        ("empty queues", "No queue held a byte"),
        ("nothing", "Where the bytes lay is not known: nobody looked at the queues"),
    ],
)
def test_the_finding(case: str, sentence: str) -> None:
    assert plots.queues_finding(recorded(case)) == sentence


def test_how_much_had_been_written_is_left_out_where_it_was_not_counted() -> None:
    assert plots.queues_finding(replace(small(), counts={})).endswith("the relay was first blocked after 404 ms")


@pytest.mark.parametrize(
    ("looks", "part"), [(2, "in the client's kernel"), (20, "in none of the queues that were seen")]
)
def test_a_rest_counts_when_it_lasts_and_not_at_a_leap_that_a_sampler_has_not_seen_yet(looks: int, part: str) -> None:
    """50 looks, 10 ms apart: 3 kB unread all along, and the curves say 9 kB for some of them."""
    at_ns = np.arange(50, dtype=np.int64) * 10 * MS
    unread = np.full(50, 3_000, dtype=np.int64)
    by_curves = np.where((at_ns >= 100 * MS) & (at_ns < (100 + 10 * looks) * MS), 9_000, unread)
    hop = Held(
        at_ns=at_ns,
        by_queue={"client.unread": unread},
        by_curves=by_curves,
        rest=by_curves - unread,
        missing=(),
    )
    shown = replace(queued(small()), hops={"relay → client": hop}, at_ns=at_ns)
    assert part in describe_queues(shown)
