"""plots.load: each panel shows its own, and few streams and many are as readable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from streamkit.lab.plots import load as draw
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from tests.figures import are_apart, labelled, note_of, words
from tests.lab.plots.cases import LOADS, drawn
from tests.lab.sets.streams import load, stream

MANY = "many, one late and one refused"


def panels(ax: Axes) -> dict[str, Any]:
    """Those within the one that was given."""
    return {str(inner.get_label()).removeprefix("_"): inner for inner in ax.child_axes}


def said(inner: Axes) -> list[str]:
    legend = inner.get_legend()
    key = [text.get_text() for text in legend.get_texts()] if legend else []
    return [*(text.get_text() for text in labelled(inner, "_caption")), *key]


@pytest.mark.parametrize("case", LOADS)
def test_no_word_of_a_panel_runs_into_another_panel(case: str) -> None:
    ax = drawn("load", case)
    every = [word for each in (ax, *panels(ax).values()) for word in words(each)]
    are_apart((word.get_text(), word.get_window_extent()) for word in every)


def test_there_is_a_panel_for_each_question_and_for_each_thing_used() -> None:
    assert list(panels(drawn("load", "few"))) == ["requests", "live", "first piece", "outcomes"]
    assert list(panels(drawn("load", MANY)))[4:] == ["rss_bytes", "descriptors", "cpu_ns", "loop_late_ns"]


def test_all_panels_have_one_axis_of_time() -> None:
    assert len({inner.get_xlim() for inner in drawn("load", MANY).child_axes}) == 1


def test_few_streams_are_dots_from_due_and_from_sent() -> None:
    inner = panels(drawn("load", "few"))["first piece"]
    told = RecordingSet(LOADS["few"]).columns()
    (due,), (sent,) = labelled(inner, "_due"), labelled(inner, "_sent")
    assert list(due.get_ydata()) == list(told["ttft_due_ms"])
    assert list(sent.get_ydata()) == list(told["ttft_sent_ms"])
    assert list(due.get_xdata()) == list(told["due_ms"])


def test_many_are_bands_with_the_median_and_what_lies_above() -> None:
    inner = panels(drawn("load", MANY))["first piece"]
    (band,), (median,), (beyond,) = (labelled(inner, name) for name in ("_band due", "_due", "_beyond due"))
    assert band is not None
    assert len(median.get_xdata()) < 60
    assert max(beyond.get_ydata()) == np.nanmax(LOADS[MANY].columns()["ttft_due_ms"])


def test_the_captions_say_how_many_and_the_keys_how_they_ended() -> None:
    inner = panels(drawn("load", MANY))
    assert said(inner["first piece"])[0].endswith("by when it was due (1 had none)")
    assert said(inner["outcomes"])[1:] == ["331 complete", "1 refused"]
    assert said(inner["live"]) == [f"streams live, begun and not ended: at most {LOADS[MANY].summary().most_live:,}"]


def test_the_stair_of_those_sent_is_below_that_of_those_due() -> None:
    inner = panels(draw(RecordingSet([stream(0, 50), stream(100, 50)])))["requests"]
    (due,), (sent,) = labelled(inner, "_due"), labelled(inner, "_sent")
    assert (list(due.get_xdata()), list(sent.get_xdata())) == ([0, 100], [52, 152])
    assert list(due.get_ydata()) == list(sent.get_ydata()) == [1, 2]


def test_the_bars_add_up_to_the_streams() -> None:
    inner = panels(drawn("load", MANY))["outcomes"]
    tops = [labelled(inner, f"_{word}")[0].get_data() for word in ("complete", "refused")]
    assert sum((top.values - top.baseline).sum() for top in tops) == len(LOADS[MANY])


def test_the_verdict_stands_small_below() -> None:
    assert note_of(drawn("load", "few")).startswith("verdict: good")


def test_streams_of_different_clocks_have_no_axis() -> None:
    ax = draw([Recording(meta={"origin": "a"}), Recording(meta={"origin": "b"})])
    assert ax.child_axes == []
    assert any("different clocks" in text.get_text() for text in ax.texts)


def test_from_three_seconds_on_time_is_in_seconds() -> None:
    assert draw(load(3)).get_xlabel() == "ms since the first request was due"
    assert draw([stream(0), stream(4000)]).get_xlabel() == "s since the first request was due"
