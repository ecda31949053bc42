"""A recording: what it shows of itself, and as a table of pandas."""

from __future__ import annotations

import re
import sys

import pytest

from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.lab.recording.examples import MS, small


class TestShown:
    def test_the_repr_is_one_line_of_counts_without_times(self) -> None:
        assert repr(small()) == "<Recording complete: 4 events, 4 characters>"

    def test_the_repr_tells_one_from_many(self) -> None:
        recording = Recording.from_pieces([(1, "a")], outcome=Outcome("timeout", "idle"))
        assert repr(recording) == "<Recording timeout(idle): 1 event, 1 character>"

    def test_html_shows_the_outcome_and_the_numbers(self) -> None:
        shown = small()._repr_html_()
        assert "<caption>complete</caption>" in shown
        assert "<th>time to first piece</th><td>100.0 ms</td>" in shown

    def test_html_escapes_what_came_from_outside(self) -> None:
        recording = Recording(label="<script>", outcome=Outcome("error_event", "<b>"), error="<i>")
        shown = recording._repr_html_() + recording.summary()._repr_html_()
        assert not {"<script>", "<b>", "<i>"} & set(re.findall(r"<\w+>", shown))


class TestPandas:
    def test_there_is_one_row_per_event(self) -> None:
        frame = small().to_pandas()
        assert frame["text"].tolist() == ["a", "bc", "", "你"]
        assert frame["at_ns"].tolist() == [120 * MS, 170 * MS, 170 * MS, 600 * MS]
        assert frame["coalesced"].tolist() == [False, False, True, False]

    def test_without_pandas_the_error_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=re.escape("streamkit[pandas]")):
            small().to_pandas()
