"""The figure of the policies: what it draws is what was measured, and every word has its place."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from streamkit.lab import plots
from streamkit.lab.findings.policies import facts
from streamkit.lab.plots import palette
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge
from tests.figures import are_apart, are_readable, empty_axes

mpl.use("Agg")  # no test may open a window
import matplotlib.pyplot as plt

MS = 1_000_000
SIZE = 500
IN_KERNEL = 40


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


class Model:
    """An upstream of 100 pieces/s, a relay, a kernel with room for 40, and a reader of 30 pieces/s that pauses."""

    def __init__(self, pieces: int, pause_ms: tuple[int, int]) -> None:
        self.due = [100 + 10 * n for n in range(pieces)]
        self.pause_ms = pause_ms
        self.times: dict[str, list[int]] = {
            name: [] for name in ("upstream.sent", "relay.read", "relay.sent", "client.event")
        }
        self.on_the_way: list[int] = []
        self.waiting: list[int] = []
        self.kernel: list[int] = []
        self.numbers: list[int] = []
        self.dropped = 0
        self.gauges: dict[str, list[int]] = {"relay.inbox": [], "relay.pending": [], "relay.unsent": []}

    def send(self, now: int) -> None:
        sent = self.times["upstream.sent"]
        while len(sent) < len(self.due) and self.due[len(sent)] <= now and len(self.on_the_way) < 20:
            sent.append(now)
            self.on_the_way.append(len(sent))

    def relay(self, now: int, keep: int, newest: bool) -> None:
        while self.on_the_way and (newest or len(self.waiting) < max(keep, 1)):
            if newest and self.waiting:
                self.waiting.pop()
                self.dropped += 1
            self.waiting.append(self.on_the_way.pop(0))
            self.times["relay.read"].append(now)
            self.flush(now)

    def flush(self, now: int) -> None:
        while self.waiting and len(self.kernel) < IN_KERNEL:
            self.kernel.append(self.waiting.pop(0))
            self.times["relay.sent"].append(now)

    def read(self, now: int) -> None:
        came = self.times["client.event"]
        if self.kernel and not self.pause_ms[0] <= now < self.pause_ms[1] and (not came or now - came[-1] >= 33):
            came.append(now)
            self.numbers.append(self.kernel.pop(0))

    def sample(self) -> None:
        queues = (self.on_the_way, self.waiting, self.kernel)
        for column, queue in zip(self.gauges.values(), queues, strict=True):
            column.append(SIZE * len(queue))

    def recording(self, outcome: str, ended_ms: int) -> Recording:
        at_ns = [at * MS for at in self.times["client.event"]]
        left_out = np.diff(self.numbers, prepend=0) - 1
        taps = {
            name: Tap([at * MS for at in times], range(1, len(times) + 1), range(SIZE, SIZE * len(times) + 1, SIZE))
            for name, times in {"upstream.due": self.due, **self.times}.items()
            if name not in ("relay.sent", "client.event")
        }
        sent = [*self.numbers, *self.kernel]
        taps["relay.sent"] = Tap([at * MS for at in self.times["relay.sent"]], sent, [SIZE * n for n in sent])
        return Recording(
            reads=Reads(at_ns, size=[SIZE] * len(at_ns)),
            events=Events(
                at_ns, text=["x" * SIZE] * len(at_ns), data=[f'{{"text":"x","dropped":{n}}}' for n in left_out]
            ),
            taps=taps,
            counts={"relay.dropped_pieces": self.dropped},
            gauges={name: Gauge([10 * MS * i for i in range(len(c))], c) for name, c in self.gauges.items()},
            outcome=Outcome.parse(outcome),
            sent_ns=0,
            ended_ns=ended_ms * MS,
        )


@functools.cache
def under(policy: str, pieces: int = 300, pause_ms: tuple[int, int] = (800, 2400)) -> Recording:
    """`pause`, `buffer` (as much as there is), `latest`, `disconnect` (after a second)."""
    model = Model(pieces, pause_ms)
    for now in range(0, 60_000, 10):
        model.send(now)
        model.flush(now)
        model.relay(now, keep=pieces if policy == "buffer" else 0, newest=policy == "latest")
        model.read(now)
        model.sample()
        if policy == "disconnect" and now > pause_ms[0] + 1000:
            return model.recording("truncated", now)
        if len(model.numbers) + model.dropped == pieces:
            return model.recording("complete", now + 3)
    raise AssertionError("the model never ends")


REFUSED = Recording(outcome=Outcome("refused", 415), sent_ns=0, ended_ns=12 * MS)
FOUR = {name: under(name) for name in ("pause", "buffer", "latest", "disconnect")}


def without_taps(recording: Recording, **fields: Any) -> Recording:
    return Recording(
        **{
            "reads": recording.reads,
            "events": recording.events,
            "sent_ns": 0,
            "ended_ns": recording.ended_ns,
            **fields,
        }
    )


def untold(recording: Recording) -> Recording:
    events = Events(recording.events.at_ns, text=recording.events.text)
    return without_taps(recording, events=events, taps=recording.taps, counts=recording.counts)


TYPICAL: dict[str, Any] = {
    "two": {"pause": under("pause"), "latest": under("latest")},
    "four": FOUR,
    "six": {**FOUR, "buffer(65536)": under("buffer"), "coalesce": under("buffer")},
    "one": under("latest"),
    "a list": [under("pause"), under("buffer")],
    "no difference": {name: under(name, 30, (0, 0)) for name in ("pause", "latest")},
    "long names": {
        "a policy with a very long name that goes on and on for ever": under("pause"),
        "你好 $x$\nand more of the same, and more, and more, and more": under("disconnect"),
    },
    "no taps": {"pause": under("pause"), "from afar": without_taps(under("latest"))},
    "refused": {"pause": under("pause"), "latest": REFUSED},
    "only refused": REFUSED,
    "untold": {"pause": under("pause"), "latest": untold(under("latest"))},
    "error": {"pause": without_taps(under("latest"), outcome=Outcome("error_event", "a code that is long " * 5))},
    "made": without_taps(under("pause"), sent_ns=None),
    "nothing": Recording(),
}
every_case = pytest.mark.parametrize("case", TYPICAL)


@functools.cache
def typical(case: str) -> Axes:
    """The figure of a typical case, made once for all tests that only look at it."""
    return plots.policies(TYPICAL[case])


def words(ax: Axes) -> list[tuple[str, Bbox]]:
    """Every word that is drawn with its box in pixels."""
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    named = legend.get_texts() if legend else []
    outside = [ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]  # no other way to the artist
    texts = [*outside, *ax.get_xticklabels(), *ax.get_yticklabels(), *ax.texts, *named]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


def title_of(ax: Axes) -> str:
    return ax.get_title(loc="left").replace("\n", " ")


def labelled(ax: Axes, label: str) -> list[Any]:
    return [artist for artist in ax.get_children() if artist.get_label() == label]


def texts(ax: Axes, label: str) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_label() == label]


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


@every_case
def test_no_word_runs_into_another_or_out_of_the_figure(case: str) -> None:
    """… and nothing warns: not of missing glyphs, not of a layout that does not fit."""
    ax = typical(case)
    boxes = words(ax)
    are_readable(ax, boxes)


@pytest.mark.parametrize("size", [(5, 5), (6.5, 4.5), (12, 9)])
@pytest.mark.parametrize("case", ["two", "four", "long names", "refused", "one"])
def test_in_other_sizes_words_keep_apart_too(case: str, size: tuple[float, float]) -> None:
    ax = empty_axes(*size)
    assert plots.policies(TYPICAL[case], ax) is ax
    are_apart(words(ax))


@every_case
def test_the_title_is_the_finding(case: str) -> None:
    finding = plots.policies_finding(TYPICAL[case])
    shown, _ = palette.legible(finding, limit=240)
    assert title_of(typical(case)).split() == shown.split()


def test_another_title_replaces_it() -> None:
    assert title_of(plots.policies(FOUR, title="Mine")) == "Mine"
    assert title_of(plots.policies(FOUR, title="")) == ""


def test_each_lane_has_its_name_and_staircases_in_the_colours_of_their_taps() -> None:
    ax = typical("four")
    assert texts(ax, "_name") == list(FOUR)
    for tap in ("upstream.due", "upstream.sent", "relay.sent", "client.event"):
        lines = labelled(ax, f"_{tap}")
        assert len(lines) == 4
        assert {line.get_color() for line in lines} == {palette.TAPS[tap].colour}
        assert {line.get_drawstyle() for line in lines} == {"steps-post"}


def test_equal_heights_are_equal_numbers_in_all_lanes() -> None:
    for tap in ("upstream.due", "client.event"):
        reached = [heights[-1] for _, heights in stairs_of(typical("four"), tap)]
        assert reached[:3] == pytest.approx([1, 1, 1])
    received = len(FOUR["disconnect"].events) / 300
    assert stairs_of(typical("four"), "client.event")[3][1][-1] == pytest.approx(received)


def test_a_staircase_is_where_the_pieces_were() -> None:
    x, heights = stairs_of(typical("four"), "client.event")[0]
    assert x[-1] == pytest.approx(FOUR["pause"].events.at_ns[-1] / 1e9)
    assert heights == sorted(heights)


def test_staircases_behind_the_policy_leap_over_what_was_dropped() -> None:
    """The longest leap is what was dropped in the pause."""
    numbers = facts(FOUR["latest"]).numbers or ()
    _, heights = stairs_of(typical("four"), "client.event")[2]
    assert max(np.diff(heights)) == pytest.approx(max(np.diff(numbers)) / 300, abs=0.01)


def test_a_bar_is_filled_as_far_as_pieces_came() -> None:
    pause, buffer, latest, cut = came(typical("four"))
    assert pause == pytest.approx(1)
    assert buffer == pytest.approx(1)
    assert latest == pytest.approx(len(FOUR["latest"].events) / 300, rel=0.05)
    assert cut == pytest.approx(len(FOUR["disconnect"].events) / 300, rel=0.05)
    assert came(typical("untold"))[1] == pytest.approx(latest, rel=0.05)


def test_where_it_is_not_known_what_there_was_there_is_no_bar() -> None:
    assert len(came(typical("no taps"))) == 1
    assert came(typical("only refused")) == []


def test_a_cut_is_marked_and_named_and_what_stood_still_goes_on_to_it() -> None:
    ax = typical("four")
    (cross,) = labelled(ax, "_cut")
    end_s = (FOUR["disconnect"].ended_ns or 0) / 1e9
    assert cross.get_xdata()[0] == pytest.approx(end_s)
    assert texts(ax, "_beside") == ["truncated after 1.8 s"]
    assert stairs_of(ax, "upstream.sent")[3][0][-1] == pytest.approx(end_s)
    assert len(labelled(ax, "_complete")) == 3


def test_a_lane_without_taps_says_so() -> None:
    assert texts(typical("no taps"), "_beside") == ["seen by the client alone"]
    assert texts(typical("refused"), "_beside") == ["refused(415) after 12 ms"]


def test_the_table_has_a_row_for_each_lane() -> None:
    cells = texts(typical("refused"), "_cell")
    assert cells[-6:] == ["–", "–", "12 ms", "refused", "–", "–"]
    assert cells[:2] == ["0", "of 300"]
    heads = texts(typical("refused"), "_head")
    assert [" ".join(pair) for pair in zip(heads[::2], heads[1::2], strict=True)] == [
        "pieces lost",
        "memory, relay",
        "finished after",
        "upstream held",
        "oldest piece",
    ]


def test_bold_is_the_best_of_a_column_among_those_that_completed() -> None:
    dropped = FOUR["latest"].counts["relay.dropped_pieces"]
    shown = bold(typical("four"))
    assert shown.count("0") == 2  # neither `pause` nor `buffer` lost any
    assert str(dropped) not in shown
    assert bold(typical("only refused")) == []
    assert bold(typical("one")) == []
    assert bold(typical("a list")) != []


def test_nobody_is_best_by_a_shared_machines_noise() -> None:
    """The model's upstream is held for whole steps of 10 ms, or not at all."""
    shown = bold(typical("four"))
    assert shown.count("< 10 ms") == 2
    assert "relay" not in " ".join(shown)


def test_where_all_are_equal_none_is_best() -> None:
    assert bold(plots.policies([under("pause"), under("pause")])) == []


def test_small_frames_leave_out_columns_rather_than_squeeze_the_staircases() -> None:
    ax = empty_axes(5, 5)
    plots.policies(FOUR, ax)
    assert 0 < len(texts(ax, "_head")) < 10
    assert len(texts(typical("four"), "_head")) == 10


@pytest.mark.parametrize(("case", "label"), [("four", "s since the request was sent"),
                                             ("no difference", "s since the request was sent"),
                                             ("made", "s since the request was sent, or made"),
                                             ("only refused", "ms since the request was sent")])  # fmt: skip
def test_the_axis_of_time_has_a_unit_and_ends_where_the_table_begins(case: str, label: str) -> None:
    ax = typical(case)
    assert ax.get_xlabel() == label
    first = min((cell.get_window_extent().x0 for cell in labelled(ax, "_cell")), default=np.inf)
    assert max(tick.get_window_extent().x1 for tick in ax.get_xticklabels()) < first


@every_case
def test_the_verdict_of_trust_stands_below(case: str) -> None:
    (note,) = texts(typical(case), "_note")
    assert note.startswith("trust")


def test_the_legend_has_what_occurs() -> None:
    legend = typical("four").get_legend()
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
    alone = typical("only refused").get_legend()
    assert alone is not None
    assert [text.get_text() for text in alone.get_texts()] == ["client.event"]


def test_an_axes_that_is_given_is_the_only_thing_drawn_on() -> None:
    before = dict(mpl.rcParams)
    ax = empty_axes(9, 6)
    plots.policies(FOUR, ax)
    assert plt.get_fignums() == []
    assert ax.figure.axes == [ax]
    assert dict(mpl.rcParams) == before


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


@pytest.mark.parametrize(("given", "error"), [([], ValueError), (["latest"], TypeError), ({"a": None}, TypeError)])
def test_what_is_not_a_recording_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected a Recording"):
        plots.policies(given)


def test_a_mapping_may_be_any_mapping_and_a_sequence_any_iterable() -> None:
    class Chosen(Mapping[str, Recording]):
        def __getitem__(self, name: str) -> Recording:
            return FOUR[name]

        def __iter__(self) -> Iterator[str]:
            return iter(("pause", "latest"))

        def __len__(self) -> int:
            return 2

    assert texts(plots.policies(Chosen()), "_name") == ["pause", "latest"]
    assert texts(plots.policies(iter(FOUR.values())), "_name") == [f"recording {n}" for n in range(1, 5)]
