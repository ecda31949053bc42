"""The language of the figures: colours that stay apart, names that can be drawn."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from streamkit.lab.findings.endings import KINDS
from streamkit.lab.plots import palette
from streamkit.taps.gauges import GAUGES
from tests.figures import empty_axes

# Machado, Oliveira, Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> npt.NDArray[np.float64]:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIE L*a*b* under D65."""
    t = XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast_to_white(colour: str) -> float:
    return float(1.05 / ((XYZ @ linear(colour))[1] + 0.05))


@pytest.mark.parametrize("vision", VISION)
def test_recordings_side_by_side_stay_apart_for_every_eye(vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(colour)) for colour in palette.RECORDING_COLOURS]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 20


def test_lines_and_words_stand_out_from_white() -> None:
    """WCAG 2.2: 3 to 1 for graphics, 4.5 to 1 for text."""
    assert all(contrast_to_white(colour) >= 3 for colour in palette.RECORDING_COLOURS)
    assert contrast_to_white(palette.INK) >= 4.5
    assert contrast_to_white(palette.MUTED) >= 4.5


def test_every_tap_has_a_look_of_its_own() -> None:
    assert list(palette.TAP_STROKES) == [
        "upstream.due",
        "upstream.sent",
        "relay.read",
        "relay.event",
        "relay.send",
        "relay.sent",
        "client.read",
        "client.event",
    ]
    assert len(set(palette.TAP_STROKES.values())) == 8
    assert palette.TAP_STROKES["upstream.due"].line == ":"


def test_every_queue_has_a_shade_and_a_hatch_of_its_own() -> None:
    """In grey they are told apart by the hatch alone."""
    assert list(palette.QUEUE_FILLS) == list(GAUGES)
    fills = [*palette.QUEUE_FILLS.values(), palette.REST]
    assert len({fill.colour for fill in fills}) == len({fill.hatch for fill in fills}) == len(fills)


@pytest.mark.parametrize("vision", VISION)
def test_queues_that_lie_on_each_other_stay_apart_for_every_eye(vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(fill.colour)) for fill in palette.QUEUE_FILLS.values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.pairwise(seen)) > 8


def test_every_end_has_a_shade_of_its_own_and_in_grey_a_hatch_or_a_mark() -> None:
    """What is complete and what only looks so have none; the second bears a mark."""
    assert set(palette.END_FILLS) == set(KINDS)
    hatches = [fill.hatch for kind, fill in palette.END_FILLS.items() if kind not in ("complete", "false_complete")]
    assert len(set(hatches)) == len(hatches)
    assert "" not in hatches


@pytest.mark.parametrize("vision", VISION)
def test_ends_stay_apart_for_every_eye(vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(fill.colour)) for fill in palette.END_FILLS.values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 12


@pytest.mark.parametrize("vision", VISION)
def test_what_only_looks_complete_is_far_from_what_is(vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(palette.END_FILLS[kind].colour)) for kind in ("complete", "false_complete")]
    assert float(np.linalg.norm(seen[0] - seen[1])) > 50


def test_the_first_recording_wears_the_clients_green() -> None:
    assert palette.recording_stroke(0) == palette.TAP_STROKES["client.read"]


def test_twenty_recordings_differ_before_a_look_comes_back() -> None:
    assert len({palette.recording_stroke(i) for i in range(20)}) == 20
    assert palette.recording_stroke(20) == palette.recording_stroke(0)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("direct", 24, "direct"),
        ("12345678", 8, "12345678"),
        ("123456789", 8, "1234567…"),
        ("name and more", 6, "name…"),
        ("two\nlines\t", 24, "two\\nlines\\t"),
        ("über × …", 24, "über × …"),
        ("\u2028", 24, "\\u2028"),
        ("", 24, ""),
    ],
)
def test_names_are_cut_and_control_characters_shown(text: str, limit: int, shown: str) -> None:
    assert palette.legible(text, limit)[0] == shown


def test_wrapped_lines_keep_within_the_width() -> None:
    words = "not known here: upstream → relay, relay.unsent, in the client"
    lines = palette.wrapped(words, palette.NOTE_PT, 150)
    assert " ".join(lines) == words
    assert len(lines) > 1
    assert all(palette.width_pt(line) <= 150 for line in lines)


def test_the_width_of_a_text_is_that_of_its_drawing_with_little_to_spare() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(dpi=72)
    FigureCanvasAgg(figure)
    for words in ("first piece after 312 ms", "×3", "timeout(first_piece)"):
        drawn = figure.text(0, 0, words, fontsize=palette.NOTE_PT).get_window_extent().width
        assert drawn <= palette.width_pt(words) <= 1.15 * drawn + 1


@pytest.mark.parametrize(
    ("words", "room", "columns"),
    [([], 100, 1), (["one"], 1, 1), (["one", "two"], 1000, 2), (["one", "two", "six"], 2.1, 2), (["one", "two"], 1, 1)],
)
def test_a_key_has_as_many_columns_as_its_longest_entry_allows(words: list[str], room: float, columns: int) -> None:
    """`room` in widths of the longest entry, its handle included."""
    longest = max(map(palette.width_pt, words), default=0.0) + 40
    assert palette.key_columns(words, room * longest, handle_pt=40) == columns


@pytest.mark.parametrize(
    ("end_ns", "sent", "label", "unit_ns"),
    [
        (99_999_000_000, True, "ms since the request was sent", 1e6),
        (100_000_000_000, True, "s since the request was sent", 1e9),
        (1, False, "ms since the request was made", 1e6),
    ],
)
def test_the_axis_of_time_says_its_unit_and_where_time_begins(
    end_ns: int, sent: bool, label: str, unit_ns: float
) -> None:
    ax = empty_axes()
    assert palette.time_axis(ax, end_ns, sent=sent) == unit_ns
    assert ax.get_xlabel() == label


def test_a_log_scale_begins_at_a_microsecond() -> None:
    assert [palette.log_ms(ns) for ns in (-5, 0, 1_000, 2_500_000)] == [0.001, 0.001, 0.001, 2.5]


@pytest.mark.parametrize(("most", "last"), [(0, 1), (1, 1), (7, 6), (120, 120)])
def test_ticks_of_events_are_whole_numbers_up_to_the_most(most: int, last: int) -> None:
    ticks = list(palette.whole_numbers(most).tick_values(0, most))
    assert ticks[0] == 0
    assert ticks[-1] == last
    assert all(tick == int(tick) for tick in ticks)


def test_a_look_is_given_as_arguments_of_lines_and_areas() -> None:
    assert palette.Stroke("#112233", "--").style == {"color": "#112233", "linestyle": "--"}
    assert palette.Fill("#112233", "", "#445566").style["hatch"] is None
