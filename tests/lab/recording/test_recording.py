"""A recording: what it shows of itself, and as a table of pandas."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from tests.lab.recording.examples import MS, small


class TestShown:
    def test_the_repr_is_one_line_of_counts_without_times(self) -> None:
        assert repr(small()) == "<Recording complete: 4 events, 4 characters>"

    def test_the_repr_tells_one_from_many(self) -> None:
        recording = Recording.from_pieces([(1, "a")], outcome=Outcome("timeout", "idle"))
        assert repr(recording) == "<Recording timeout(idle): 1 event, 1 character>"
        assert repr(Recording.from_pieces([(1, "a" * 6_150)])) == "<Recording complete: 1 event, 6,150 characters>"

    def test_where_no_event_came_the_repr_tells_why(self) -> None:
        refused = Recording(outcome=Outcome("refused", 401), error="the server answered with status 401: no key")
        assert repr(refused) == "<Recording refused(401): the server answered with status 401: no key>"
        assert repr(Recording()) == "<Recording complete: 0 events, 0 characters>"
        assert refused._repr_html_().count("no key") == 1
        assert "–" not in refused._repr_html_()

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
        assert frame["coalesced"].tolist() == [False, False, True, False]
        assert frame["label"].tolist() == [""] * 4
        assert replace(small(), label="slow").to_pandas()["label"].tolist() == ["slow"] * 4

    def test_its_times_count_from_when_the_request_was_sent_as_the_summarys(self) -> None:
        frame = small().to_pandas()
        assert frame["t_ms"].tolist() == [100.0, 150.0, 150.0, 580.0]
        assert frame["at_ns"].tolist() == frame["handed_ns"].tolist() == [100 * MS, 150 * MS, 150 * MS, 580 * MS]
        assert frame["t_ms"][0] == small().summary().ttft_ms
        assert replace(small(), sent_ns=None).to_pandas()["t_ms"][0] == 120.0

    def test_its_gaps_are_those_of_the_summary(self) -> None:
        gaps = small().to_pandas()["gap_ms"]
        assert gaps.isna().tolist() == [True, False, True, False]
        assert gaps.dropna().tolist() == [50.0, 430.0]
        assert gaps.max() == small().summary().max_gap_ms

    @given(
        st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["", "a", "bc"])), max_size=30).map(sorted),
        st.integers(0, 10),
    )
    def test_whatever_came_its_gaps_are_those_of_the_metrics(self, pieces: list[tuple[int, str]], sent_ns: int) -> None:
        recording = Recording.from_pieces(pieces, sent_ns=sent_ns)
        gaps_ns = (recording.to_pandas()["gap_ms"].dropna() * 1e6).round().astype(int).tolist()
        assert gaps_ns == metrics.gaps_ns(recording.counted.at_ns, recording.counted.read).tolist()

    def test_an_empty_one_has_the_same_columns(self) -> None:
        assert list(Recording().to_pandas().columns) == list(small().to_pandas().columns)

    def test_recordings_stand_below_one_another_by_their_labels(self) -> None:
        both = pd.concat([replace(small(), label=label).to_pandas() for label in ("one", "two")])
        assert both.groupby("label")["gap_ms"].max().to_dict() == {"one": 430.0, "two": 430.0}

    def test_without_pandas_the_error_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=re.escape("streamkit[pandas]")):
            small().to_pandas()


class TestCurvesAsATable:
    recording = Recording.from_pieces(
        [(9 * MS, "a"), (20 * MS, "你")], sent_ns=5 * MS, taps={"relay.sent": Tap([7 * MS, 8 * MS], [1, 2], [1, 4])}
    )

    def test_a_frame_of_them_has_a_row_for_each_step_of_each_tap(self) -> None:
        frame = pd.DataFrame(self.recording.curves())
        assert list(frame.columns) == ["tap", "t_ms", "events"]
        assert frame.values.tolist() == [
            ["relay.sent", 2.0, 1],
            ["relay.sent", 3.0, 2],
            ["client.read", 4.0, 1],
            ["client.read", 15.0, 2],
            ["client.event", 4.0, 1],
            ["client.event", 15.0, 2],
        ]
        assert frame.groupby("tap").events.max().to_dict() == dict.fromkeys(self.recording.curves(), 2)

    def test_in_bytes_the_column_is_called_so(self) -> None:
        frame = pd.DataFrame(self.recording.curves("bytes"))
        assert frame[frame.tap == "client.read"].bytes.tolist() == [1, 4]

    def test_it_is_a_dict_by_tap_in_all_else(self) -> None:
        curves = self.recording.curves()
        assert list(curves) == ["relay.sent", "client.read", "client.event"]
        assert len(curves) == 3
        assert "relay.sent" in curves
        assert "tap" not in curves
        assert {name: curve.total for name, curve in curves.items()} == dict.fromkeys(curves, 2)
        assert curves["relay.sent"].at_ns.tolist() == [7 * MS, 8 * MS]
        assert list({**curves, "more": 1}) == [*curves, "more"]
        with pytest.raises(KeyError, match=re.escape("relay.snet")):
            curves["relay.snet"]

    def test_nothing_is_a_table_without_rows(self) -> None:
        assert list(pd.DataFrame(Recording().curves()).columns) == ["tap", "t_ms", "events"]


class TestBudget:
    def test_it_takes_what_it_needs_from_the_recording(self) -> None:
        recording = replace(TestCurvesAsATable.recording, marks={"relay.asked": 6 * MS})
        wanted = metrics.budget(recording.curves(), origin_ns=5 * MS, marks=recording.marks, n=2)
        assert recording.budget(2) == wanted
        assert wanted is not None
        assert wanted.total.ns == 15 * MS
        assert wanted.parts[0].name == "request → relay.asked"

    def test_an_event_that_did_not_come_has_none(self) -> None:
        assert TestCurvesAsATable.recording.budget(3) is None
        assert Recording().budget() is None
        with pytest.raises(ValueError, match="expected the number of an event, from 1, got 0"):
            small().budget(0)
