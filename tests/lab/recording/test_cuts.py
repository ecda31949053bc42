"""Cuts: what they say of events and gaps, and how they are kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamkit as sk
from streamkit.lab.metrics.words import times
from streamkit.lab.recording.cuts import Cut, caught_up, connections, replayed_of, silences
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.taps import Tap

MS = 1_000_000
LIVE_MS = (100, 150, 200, 900, 900, 905, 950, 1000)
"""Three pieces, the cut, three that are replayed (two of them in one read), two live ones."""
CUT = Cut(at_ns=210 * MS, asked_ns=890 * MS, back_ns=899 * MS, status=200, event=3, read=3, replayed=3)


def resumed(*cuts: Cut, **fields: Any) -> sk.Recording:
    at_ns = [at * MS for at in LIVE_MS]
    return sk.Recording(
        reads=Reads(sorted(set(at_ns)), size=[9] * 7),
        events=Events(at_ns, text=["word "] * 8),
        cuts=cuts or (CUT,),
        **{"sent_ns": 0, "ended_ns": 1000 * MS, **fields},
    )


class TestWhatTheySayOfEvents:
    def test_on_which_connection_each_came(self) -> None:
        assert connections([Cut(at_ns=0, event=2), Cut(at_ns=0, event=4)], 6).tolist() == [0, 0, 1, 1, 2, 2]

    def test_which_were_replayed(self) -> None:
        assert replayed_of([CUT], 8).tolist() == [False] * 3 + [True] * 3 + [False] * 2
        assert replayed_of([Cut(at_ns=0, event=9, replayed=3)], 2).tolist() == [False, False]

    def test_how_long_nothing_came(self) -> None:
        assert silences([CUT], resumed().events.at_ns) == [(200 * MS, 900 * MS)]
        first, last = Cut(at_ns=5), Cut(at_ns=2000 * MS, event=8)
        ends = silences([first, last], resumed().events.at_ns, end_ns=3000 * MS)
        assert ends == [(5, 100 * MS), (1000 * MS, 3000 * MS)]

    def test_where_nobody_says_what_was_replayed_it_is_what_came_in_one_go(self) -> None:
        at_ns, read = resumed().events.at_ns, resumed().events.read
        assert caught_up(at_ns, read, 3) == 3
        assert caught_up([0, MS, 2 * MS, 50 * MS, 51 * MS, 52 * MS], [0, 1, 2, 3, 4, 5], 3) == 1  # gaps of 1 ms live
        assert caught_up([0, 50 * MS, 90 * MS], [0, 1, 2], 3) == 0


class TestGaps:
    def test_none_is_counted_over_a_cut_nor_from_or_to_a_replayed_event(self) -> None:
        counted = resumed().counted
        assert counted.follows.tolist() == [True, True, True, False, False, False, False, True]
        gaps = sk.metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)
        assert gaps.tolist() == [50 * MS] * 3

    @pytest.mark.parametrize("rule", ["per_read", "divided", "replicated"])
    def test_by_each_rule(self, rule: Any) -> None:
        counted = resumed().counted
        gaps = sk.metrics.gaps_ns(counted.at_ns, counted.read, rule, follows=counted.follows)
        assert gaps.tolist() == [50 * MS] * 3

    def test_the_silence_of_a_cut_is_no_stall(self) -> None:
        summary = resumed().summary()
        assert (summary.stalls, summary.max_gap_ms, summary.gaps) == (0, 50, 3)
        assert (summary.cuts, summary.attempts, summary.cut_ms, summary.replayed) == (1, 1, 700, 3)
        assert ("cuts", "1, 700 ms of silence") in summary.rows()

    def test_without_cuts_all_are(self) -> None:
        assert dataclasses.replace(resumed(), cuts=()).counted.follows.all()

    def test_a_table_has_no_gap_there_and_says_which_were_replayed(self) -> None:
        frame = resumed().to_pandas()
        assert frame.replayed.tolist() == replayed_of([CUT], 8).tolist()
        assert np.flatnonzero(frame.gap_ms.notna()).tolist() == [1, 2, 7]

    def test_trust_does_not_hold_it_against_replayed_pieces_that_they_share_reads(self) -> None:
        cut = dataclasses.replace(CUT, replayed=5)
        at_ns = [100 * MS, 150 * MS, 200 * MS, *[900 * MS] * 5]
        recording = sk.Recording(
            reads=Reads(sorted(set(at_ns)), size=[9] * 4), events=Events(at_ns, text=["a"] * 8), cuts=(cut,), sent_ns=0
        )
        assert "share a read" not in str(recording.trust)
        assert "share a read" in str(dataclasses.replace(recording, cuts=()).trust)


class TestTaps:
    def test_those_of_one_answer_alone_are_no_curves_of_a_stream_that_has_two(self) -> None:
        at_ns = [at * MS for at in LIVE_MS]
        full, first = Tap(at_ns, range(1, 9), range(5, 45, 5)), Tap(at_ns[:3], range(1, 4), (5, 10, 15))
        recording = resumed(taps={"relay.read": full, "relay.sent": first})
        assert list(recording.curves()) == ["relay.read", "client.read", "client.event"]
        assert any("relay.sent" in note for note in recording.summary().notes)


class TestTheFile:
    def test_cuts_are_saved_and_loaded(self, tmp_path: Path) -> None:
        given_up = Cut(at_ns=1, outcome=sk.Outcome("timeout", "idle"), attempts=5, event=8, read=7, status=503)
        recording = resumed(CUT, given_up)
        recording.save(tmp_path / "r.jsonl")
        assert sk.Recording.load(tmp_path / "r.jsonl").cuts == (CUT, given_up)

    def test_a_file_without_any_does_not_speak_of_them(self, tmp_path: Path) -> None:
        dataclasses.replace(resumed(), cuts=()).save(tmp_path / "r.jsonl")
        assert "cuts" not in json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])
        assert sk.Recording.load(tmp_path / "r.jsonl").cuts == ()

    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"outcome": "truncated"},
            {"outcome": "nonsense", "at_ns": 1},
            {"outcome": "truncated", "at_ns": "1"},
            {"outcome": "truncated", "at_ns": 1, "told": 1},
            {"outcome": "truncated", "at_ns": 1, "event": -1},
            {"outcome": "truncated", "at_ns": 1, "event": None},
            [],
            None,
        ],
    )
    def test_what_is_no_cut_is_refused(self, told: Any) -> None:
        with pytest.raises(ValueError, match=r"outcome|a cut with"):
            Cut.from_dict(told)

    def test_cuts_out_of_order_are_refused(self) -> None:
        with pytest.raises(ValueError, match="cuts in ascending order"):
            resumed(CUT, dataclasses.replace(CUT, event=1))


class TestSentences:
    @pytest.mark.parametrize(("count", "said"), [(1, "once"), (2, "twice"), (3, "3 times"), (1234, "1,234 times")])
    def test_how_often_is_a_word(self, count: int, said: str) -> None:
        assert times(count) == said

    def test_the_finding_says_how_often_how_long_and_how_much(self) -> None:
        assert sk.findings.finding(resumed()) == "Cut once; nothing lost; 700 ms of silence; 3 pieces replayed"
        assert sk.findings.journey_finding(resumed()) == sk.findings.finding(resumed())

    def test_what_was_not_told_is_about(self) -> None:
        untold = dataclasses.replace(CUT, told=False)
        assert sk.findings.finding(resumed(untold)).endswith("about 3 pieces replayed")

    def test_one_that_did_not_come_back_says_how_often_was_asked(self) -> None:
        last = Cut(at_ns=1001 * MS, attempts=5, event=8, read=7)
        said = sk.findings.finding(resumed(CUT, last, outcome=sk.Outcome("truncated")))
        assert said == "Cut after 8 pieces: truncated; resumed once before; asked again 5 times in vain"

    def test_of_several_the_one_that_was_cut_is_named(self) -> None:
        plain = dataclasses.replace(resumed(), cuts=(), events=Events([MS]), reads=Reads([MS], size=[1]), ended_ns=MS)
        said = sk.findings.finding({"one": resumed(), "other": plain})
        assert said == "1 of 2 cut and resumed, one once: 700 ms of silence"

    def test_its_repr_says_so(self) -> None:
        assert repr(resumed()) == "<Recording complete: 8 events, 40 characters, cut once>"


@pytest.mark.parametrize("figure", ["timeline", "journey"])
def test_a_cut_before_anything_had_come_is_part_of_the_wait(figure: str) -> None:
    early = Cut(at_ns=20 * MS, asked_ns=30 * MS, back_ns=90 * MS, status=200, replayed=1)
    ax = getattr(sk.plots, figure)(resumed(early))
    assert ax.get_title("left").startswith("Cut once; nothing lost; 80 ms of silence; 1 piece replayed")


@pytest.mark.parametrize("figure", ["timeline", "journey"])
def test_the_figures_show_the_cut_and_what_was_replayed(figure: str) -> None:
    ax = getattr(sk.plots, figure)(resumed())
    written = " ".join(text.get_text() for text in ax.texts)
    assert "cut 700 ms" in written
    assert "3 replayed" in written or "3 pieces replayed" in written
    assert ax.get_title("left").startswith("Cut once")
