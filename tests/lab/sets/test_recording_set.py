"""RecordingSet: many recordings as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics import SLO, gaps_ns, percentile_ns
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet, Resources
from streamkit.outcome import Outcome
from tests.lab.recording.examples import small
from tests.lab.sets.streams import MS, load, stream, wordless


class TestItIsASequenceOfRecordings:
    def test_in_the_order_in_which_they_were_due(self) -> None:
        late = Recording(started_ns=900, due_ns=-800, label="due first")
        early = Recording(started_ns=500, due_ns=-100, label="due second")
        assert [one.label for one in RecordingSet([early, late])] == ["due first", "due second"]

    def test_a_slice_is_a_set_with_the_same_load(self) -> None:
        some = RecordingSet([Recording(), Recording(started_ns=1)], meta={"seed": 7})[1:]
        assert (len(some), some.meta) == (1, {"seed": 7})

    def test_two_are_one_by_adding_them(self) -> None:
        one = RecordingSet([stream(0), stream(20)], resources=[Resources.of("relay", [])])
        both = one + RecordingSet([stream(10)], resources=[Resources.of("client", [])])
        assert both.columns()["due_ms"].tolist() == [0, 10, 20]
        assert [each.name for each in both.resources] == ["relay", "client"]

    def test_it_says_how_many_there_are_and_how_they_ended(self) -> None:
        several = RecordingSet([stream(), stream(), stream(outcome="timeout(idle)")])
        assert repr(several) == "<RecordingSet: 3 streams, 2 complete, 1 timeout(idle)>"
        assert several.outcomes == {"complete": 2, "timeout(idle)": 1}


class TestItsColumns:
    def test_from_due_and_from_sent_part_by_what_we_were_late_and_by_what_it_took_to_send(self) -> None:
        told = RecordingSet([stream(100, 30, ttft=50, leaving=2), stream(0)]).columns()
        assert told["due_ms"].tolist() == [0, 100]
        assert told["own_late_ms"].tolist() == [0, 30]
        assert told["ttft_due_ms"].tolist() == [102, 82]
        assert told["ttft_sent_ms"].tolist() == [100, 50]
        assert told["sent_ms"].tolist() == [2, 132]

    def test_labels_are_columns_and_one_of_a_column_s_own_name_gives_way(self) -> None:
        told = RecordingSet(
            [stream(labels={"prompt": "long", "events": 7}), stream(1, labels={"prompt": "x"})]
        ).columns()
        assert told["prompt"].tolist() == ["long", "x"]
        assert told["label_events"].tolist() == [7, None]
        assert told["events"].tolist() == [5, 5]

    def test_what_is_not_known_is_nan(self) -> None:
        told = RecordingSet([stream(None, pieces=0)]).columns()
        assert all(np.isnan(told[name]).all() for name in ("due_ms", "own_late_ms", "ttft_due_ms", "gap_p50_ms"))

    def test_moments_of_different_clocks_are_never_put_on_one_axis(self) -> None:
        told = RecordingSet([stream(meta={"origin": "a"}), stream(meta={"origin": "b"})]).columns()
        assert np.isnan(told["started_ms"]).all()
        assert told["ttft_sent_ms"].tolist() == [100, 100]

    def test_of_events_there_is_a_row_each_with_its_stream_and_labels(self) -> None:
        frame = RecordingSet([stream(labels={"n": 1}), stream(9, pieces=2, labels={"n": 2})]).to_pandas("events")
        assert frame.stream.tolist() == [0] * 5 + [1] * 2
        assert frame.groupby("n").gap_ms.median().tolist() == [20, 20]

    def test_other_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="expected rows 'streams' or 'events', got 'reads'"):
            RecordingSet([]).columns("reads")  # type: ignore[arg-type]

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 500), st.integers(0, 90), st.integers(0, 300), st.integers(0, 4), st.integers(0, 50)
            ),
            min_size=1,
            max_size=6,
        )
    )
    def test_they_agree_with_each_recording_s_own_summary(self, drawn: list[tuple[int, ...]]) -> None:
        several = RecordingSet(
            stream(due, late, ttft=ttft, pieces=pieces, gap=gap) for due, late, ttft, pieces, gap in drawn
        )
        told = several.columns()
        for place, one in enumerate(several):
            summary = one.summary()
            for name, theirs in (
                ("ttft_sent_ms", summary.ttft_ms),
                ("duration_ms", summary.duration_ms),
                ("gap_p50_ms", summary.gap_p50_ms),
                ("gap_p99_ms", summary.gap_p99_ms),
                ("gap_max_ms", summary.max_gap_ms),
            ):
                assert (None if np.isnan(told[name][place]) else told[name][place]) == theirs, name
            assert told["bytes"][place] == summary.bytes
            assert told["gaps"][place] == summary.gaps
            assert told["characters"][place] == summary.characters


class TestItsSummary:
    def test_pools_all_gaps_and_takes_percentiles_by_nearest_rank(self) -> None:
        several = RecordingSet(load(40, pieces=8))
        pooled = [gap for one in several for gap in gaps_ns(one.counted.at_ns, one.counted.read)]
        summary = several.summary()
        assert summary.gap.p99_ms == (percentile_ns(pooled, 99) or 0) / 1e6
        assert summary["gap_p99_ms"] == summary.gap.p99_ms
        assert summary["gap_count"] == 40 * 7

    def test_offered_and_achieved_rates_are_between_the_first_and_the_last(self) -> None:
        summary = RecordingSet([stream(0), stream(500, 500), stream(1000, 1000)]).summary()
        assert (summary.offered_per_s, summary.achieved_per_s) == (2, 1)

    def test_speaks_of_no_rate_where_all_were_due_at_once_or_within_a_moment(self) -> None:
        at_once = [stream(0, leaving=2 + n / 100) for n in range(3)]
        shortly = [stream(20 * n) for n in range(5)]
        closed = [stream(None, 0, started_ns=n) for n in range(3)]
        for streams in (at_once, shortly, closed):
            summary = RecordingSet(streams).summary()
            assert not {"offered", "sent"} & {name for name, _ in summary.rows()}
            assert summary["achieved_per_s"] > 0, "as a value it is there"
            assert "completed" in dict(summary.rows())
        short = dict(RecordingSet([stream(n, ttft=5, gap=1) for n in range(3)]).summary().rows())
        assert "completed" not in short
        assert short["from the first request to the last end"] == "14 ms"
        spread = dict(RecordingSet([stream(500 * n) for n in range(3)]).summary().rows())
        assert (spread["offered"], spread["sent"]) == ("2.0 requests/s", "2.0 requests/s")
        assert spread["from the first request to the last end"] == "1.2 s"

    def test_most_live_counts_an_end_before_a_begin_of_the_same_moment(self) -> None:
        one, two, three = stream(0, ttft=7, pieces=0), stream(10, ttft=7), stream(15, ttft=7)
        assert RecordingSet([one, two, three]).summary().most_live == 2

    def test_is_a_table_whose_first_line_is_the_verdict(self) -> None:
        text = str(RecordingSet(load(20)).summary())
        assert text.splitlines()[0] == "trust  good"
        assert "time to first piece, from due, p50 / p95 / p99 / max" in text
        assert "with fewer than 100 values the p99 is the largest one" in text

    def test_says_what_is_in_no_percentile(self) -> None:
        notes = RecordingSet([stream(), stream(pieces=0, outcome="refused(503)")]).summary().notes
        assert notes[0] == "1 stream brought no piece: left out of the time to the first piece"

    @pytest.mark.parametrize(
        ("preset", "said"),
        [
            (None, ", so there is no time to the first piece: name a preset (preset=, --preset)"),
            ("openai", " by the preset openai, so there is no time to the first piece"),
        ],
    )
    def test_says_that_no_text_was_found_in_events_that_came(self, preset: str | None, said: str) -> None:
        silent = [
            wordless(stream(), preset),
            wordless(stream(20), preset),
            stream(40, pieces=0, outcome="refused(503)"),
        ]
        assert RecordingSet(silent).summary().notes[0] == f"no text was found in any event{said}"
        for others in ([stream(pieces=0)], [stream(pieces=0, outcome="refused(503)")]):
            assert not any("no text" in note for note in RecordingSet(others).summary().notes)

    def test_says_what_whoever_made_the_load_has_to_say(self) -> None:
        assert RecordingSet([stream()], meta={"notes": ["a closed loop"]}).summary().notes[-1] == "a closed loop"

    def test_of_nothing_has_no_number(self) -> None:
        summary = RecordingSet([]).summary()
        assert (summary.streams, summary.ttft_due.p50_ms, summary.offered_per_s) == (0, None, None)
        assert "streams" in str(summary)

    def test_its_html_escapes_what_came_from_outside(self) -> None:
        html = RecordingSet([stream(outcome="error_event(<b>)")])._repr_html_()
        assert "<b>" not in html
        assert "error_event(&lt;b&gt;)" in html

    def test_goodput_is_that_of_its_recordings(self) -> None:
        several = RecordingSet([stream(ttft=90), stream(ttft=110), stream(outcome="truncated")])
        assert several.goodput(SLO(ttft_ms=100)).good == 1


class TestItsGroups:
    def test_are_sets_by_a_label_in_its_order(self) -> None:
        groups = RecordingSet([stream(n, labels={"clients": clients}) for n, clients in enumerate((50, 5, 50))]).by(
            "clients"
        )
        assert [(key, len(part)) for key, part in groups.items()] == [(5, 1), (50, 2)]

    def test_by_several_are_tuples_and_outcomes_are_words(self) -> None:
        groups = RecordingSet([stream(labels={"n": 1}), stream(labels={"n": 1}, outcome="truncated")]).by(
            "n", "outcome"
        )
        assert list(groups) == [(1, "complete"), (1, "truncated")]

    def test_without_the_label_is_the_group_none(self) -> None:
        assert set(RecordingSet([stream(labels={"n": 1}), stream()]).by("n")) == {1, None}

    @pytest.mark.parametrize("names", [("propmt",), ()])
    def test_a_name_that_no_stream_has_is_refused_and_those_there_are_named(self, names: tuple[str, ...]) -> None:
        with pytest.raises(ValueError, match="out of prompt, label, outcome, status, preset, url, got"):
            RecordingSet([stream(labels={"prompt": "x"})]).by(*names)


def test_recordings_of_any_kind_can_be_in_it() -> None:
    """An upload, one without a request that left, one with an error, one by hand."""
    mixed = [small(), Recording(), Recording.from_pieces([(5 * MS, "x")]), stream(outcome="cancelled(by us)")]
    mixed.append(Recording(outcome=Outcome("refused", "connect"), ended_ns=3 * MS))
    several = RecordingSet(mixed)
    assert several.summary().streams == 5
    assert len(several.to_pandas()) == 5
    assert len(several.to_pandas("events")) == 4 + 1 + 5


def test_what_servers_tell_of_themselves_stands_beside_what_was_seen() -> None:
    data = '{"metrics": {"queue_time_ms": 40.5}}'
    at = [100 * MS, 101 * MS]
    told = Recording(reads=Reads(at, size=[9, 9]), events=Events(at, text=["x", ""], data=["{}", data]), sent_ns=0)
    several = RecordingSet([told, stream()])
    assert several.columns()["server_queue_ms"].tolist()[0] == 40.5
    assert np.isnan(several.columns()["server_queue_ms"][1])
    assert several.summary()["server_queue_p50_ms"] == 40.5
    assert "server: queue, as it reports, p50 / p95 / p99 / max" in str(several.summary())
