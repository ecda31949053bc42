"""Is b slower than a? What is said of runs, and what keeps from saying it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.findings.comparing import compare, compare_finding
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.outcome import Outcome
from tests.lab.compare.examples import COMPARISONS, runs
from tests.lab.sets.streams import load, stream, wordless

BY_US = Outcome("cancelled", "by us")


# --- A difference, or none ------------------------------------------------------------------------------------------


def test_a_difference_that_is_there_is_called_real_with_its_interval_and_how_sure_that_is() -> None:
    compared = COMPARISONS["slower"]
    low, high = round(compared.low), round(compared.high)
    assert compared.sentence == f"b's first piece is {low} to {high} ms later than a's: real (p = 0.0001, 40 runs each)"
    assert compared.verdict == "slower"
    assert compared.low < 31 < compared.high
    assert compared.low < compared.difference_ms == compared.difference < compared.high


def test_of_two_that_are_alike_it_is_said_what_could_have_been_seen() -> None:
    compared = COMPARISONS["not shown"]
    assert compared.verdict == "not shown"
    assert compared.sentence.startswith("Not shown that b's first piece is later or earlier than a's (p = ")
    assert compared.sentence.endswith("could not have been seen")
    assert compared.low < 0 < compared.high
    assert 3 < compared.least_ms < 15


def test_who_is_first_is_only_a_sign() -> None:
    one, other = compare({"a": runs("a"), "b": runs("b", 120)}), compare({"b": runs("b", 120), "a": runs("a")})
    assert (one.verdict, other.verdict) == ("slower", "faster")
    assert other.difference == pytest.approx(-one.difference)
    assert " ms earlier than b's: real" in other.sentence


def test_rounds_that_grow_slower_and_slower_do_not_hide_a_difference() -> None:
    """Each is 50 ms slower than the one before: as two groups nothing is seen, as rounds it is."""
    both = {"a": runs("a", drift=50), "b": runs("b", 125, drift=50)}
    without = {name: [replace(one, labels={}) for one in each] for name, each in both.items()}
    assert (compare(both).verdict, compare(both).in_rounds) == ("slower", True)
    assert (compare(without).verdict, compare(without).in_rounds) == ("not shown", False)


def test_runs_of_one_target_before_those_of_another_are_told_of() -> None:
    for rounds in (True, False):  # of two sittings: rounds of the same number have nothing in common
        one_after_the_other = {"a": runs("a", rounds=rounds), "b": runs("b", rounds=rounds, begun=50_000)}
        (note,) = compare(one_after_the_other).notes
        assert note.startswith("the runs of one came before the other's")
    assert compare({"a": runs("a", rounds=False), "b": runs("b", rounds=False)}).notes == ()


def test_runs_of_several_machines_are_told_of() -> None:
    there = [replace(one, meta={**one.meta, "origin": "another boot"}) for one in runs("b")]
    (note,) = compare({"a": runs("a"), "b": there}).notes
    assert note.startswith("runs by several clocks")


def test_runs_side_by_side_as_those_of_a_load_are_told_of() -> None:
    assert compare({"a": load(40), "b": load(40, seed=2)}).notes[-1].startswith("runs of one target overlap in time")


def test_only_rounds_that_both_have_are_compared() -> None:
    compared = compare({"a": runs("a", count=30), "b": runs("b", count=40)})
    assert compared.only.runs == (30, 30)


# --- Which number ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "given", "said"),
    [
        ("duration", {}, "b's whole answer is"),
        ("gap_p99", {"gap": 30}, "b's p99 gap is 10 ms longer than a's"),
        ("gaps", {"pieces": 8}, "b's number of gaps is 3 higher than a's"),
        ("throughput_events_per_s", {"gap": 40}, "b's throughput_events_per_s is 25 lower than a's"),
    ],
)
def test_any_number_of_the_summary_can_be_compared(metric: str, given: dict[str, Any], said: str) -> None:
    compared = compare({"a": runs("a"), "b": runs("b", 131, **given)}, metric=metric)
    assert compared.sentence.startswith(said)
    assert compared.only.real


def test_an_objective_is_compared_by_the_share_that_kept_it_failures_among_those_that_did_not() -> None:
    compared = compare({"a": runs("a"), "b": runs("b", failed=20)}, metric=sk.metrics.SLO(ttft_ms=1000))
    assert (compared.metric, compared.at, compared.verdict) == ("kept_share", "mean", "less")
    assert compared.difference == pytest.approx(-0.5)
    assert compared.sentence.startswith("b's share of runs that kept the objective is 3")


def test_a_function_of_a_recording_is_a_metric_too() -> None:
    def second_ms(recording: Recording) -> float:
        return recording.events.at_ns[1] / 1e6

    assert compare({"a": runs("a"), "b": runs("b", 131)}, metric=second_ms).sentence.startswith("b's second_ms is ")


def test_another_percentile_of_the_runs_is_named_and_takes_more_of_them() -> None:
    few = compare({"a": runs("a"), "b": runs("b", 131)}, at=95)
    assert few.verdict == "cannot decide"
    assert few.sentence == (
        "Cannot decide whether b's first piece (p95 of the runs) is later than a's: 40 rounds, and it takes 160 (p95)"
    )
    many = compare({"a": runs("a", count=200), "b": runs("b", 181, count=200)}, at=95)
    assert many.sentence.startswith("b's first piece (p95 of the runs) is ")
    assert many.verdict == "slower"


def test_the_same_runs_are_compared_again_by_another_number() -> None:
    compared = compare(COMPARISONS["slower"], metric="gap_p50")
    assert compared.metric == "gap_p50_ms"
    assert compared.sentence.endswith("all runs are alike") or compared.verdict == "not shown"


# --- Failures -------------------------------------------------------------------------------------------------------


def test_where_one_fails_more_often_that_is_the_finding_and_nothing_is_said_of_survivors() -> None:
    compared = compare({"a": runs("a"), "b": runs("b", 60, failed=15)})
    assert compared.verdict == "cannot decide"
    assert compared.only.failed_p < 0.001
    assert "b failed 15 of 40 times, a 0 of 40 (p = 0.000" in compared.sentence
    assert compared.sentence.endswith("and those that are left are the lucky ones")


def test_of_a_target_whose_every_run_failed_there_are_no_survivors() -> None:
    compared = compare({"a": runs("a"), "b": runs("b", failed=40)})
    assert compared.verdict == "cannot decide"
    assert "b failed 40 of 40 times, a 0 of 40" in compared.sentence
    assert compared.sentence.endswith(", and none is left")


def test_a_few_failures_are_counted_told_and_in_no_number() -> None:
    compared = compare({"a": runs("a"), "b": runs("b", 131, failed=2)})
    assert compared.verdict == "slower"
    assert (compared.only.failed, compared.only.made, compared.only.runs) == ((0, 2), (40, 40), (38, 38))
    assert compared.sentence.endswith(". Failed, and left out: 2 of 40 of b's")
    assert [math.isnan(value) for value in compared.values["b"]][:3] == [True, True, False]


def test_where_all_fail_alike_too_little_is_left() -> None:
    compared = compare({"a": runs("a", failed=12), "b": runs("b", 131, failed=14)})
    assert compared.sentence.endswith("26 of 80 runs failed: those that are left say too little")


def test_a_client_that_had_enough_has_not_failed_and_one_that_was_interrupted_has_no_number() -> None:
    enough = [replace(one, outcome=Outcome("cancelled", "max_events")) for one in runs("b", 131)]
    assert compare({"a": runs("a"), "b": enough}).only.runs == (40, 40)
    interrupted = [*runs("b", 131)[:-1], replace(runs("b", 131)[-1], outcome=BY_US)]
    compared = compare({"a": runs("a"), "b": interrupted})
    assert (compared.only.runs, compared.only.failed, compared.only.made) == ((39, 39), (0, 0), (40, 39))


def test_a_limit_on_all_of_a_stream_that_passed_is_a_failure() -> None:
    late = [replace(one, outcome=Outcome("timeout", "total")) for one in runs("b")]
    assert compare({"a": runs("a"), "b": late}).only.failed == (0, 40)


# --- What keeps from a decision -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "verdict"), [(5, "cannot decide"), (6, "slower")])
def test_six_rounds_are_the_fewest_that_decide(count: int, verdict: str) -> None:
    assert compare({"a": runs("a", count=count), "b": runs("b", 300, count=count)}).verdict == verdict


def test_a_difference_that_drowns_in_the_instruments_error_is_not_shown_whatever_p_says() -> None:
    """Stamps of user space, uncalibrated: 2 ms for the read; the request may have left 2 ms later, too."""
    seen = [Recording.from_pieces([(round(ms * 1e6), "x")], sent_ns=0) for ms in (*range(100, 120), 103)]
    later = [Recording.from_pieces([(round((ms + 1.5) * 1e6), "x")], sent_ns=0) for ms in (*range(100, 120), 103)]
    both = {
        name: [replace(one, labels={"round": n}) for n, one in enumerate(each)]
        for name, each in {"a": seen, "b": later}.items()
    }
    compared = compare(both)
    assert (compared.verdict, compared.p < 0.001) == ("not shown", True)
    assert compared.only.error == pytest.approx(4)
    assert compared.least_ms >= 4
    assert compared.sentence.endswith(
        "the difference of 1.5 ms drowns in the 4.0 ms by which the instrument may be wrong"
    )


def test_the_interval_has_the_instruments_error_in_it() -> None:
    coarse = [replace(one, meta={**one.meta, "sent_error_ns": 10_000_000}) for one in runs("b", 131)]
    sharp, compared = COMPARISONS["slower"], compare({"a": runs("a"), "b": coarse})
    assert compared.low == pytest.approx(sharp.low - 10, abs=0.1)
    assert compared.high == pytest.approx(sharp.high, abs=0.1)


def test_gaps_of_recordings_that_are_not_to_be_quoted_decide_nothing_and_their_first_pieces_do() -> None:
    late = [replace(one, counts={"upstream.own_late_p95_ns": 400_000_000}) for one in runs("b", 131, gap=90)]
    assert late[0].trust.level == "do not quote"
    both = {"a": [replace(one, counts=late[0].counts) for one in runs("a")], "b": late}
    assert compare(both, metric="gap_p50").sentence.endswith("80 of 80 recordings say of themselves: do not quote")
    assert compare(both).verdict == "slower"


def test_runs_without_the_number_are_told_of() -> None:
    compared = compare({"a": runs("a"), "b": [*runs("b")[:-1], stream(39_000, pieces=0, labels={"round": 39})]})
    assert compared.notes == ("1 run without ttft_ms, left out",)
    none = compare({"a": runs("a", pieces=1), "b": runs("b")}, metric="gap_p50")
    assert none.sentence == "Cannot decide whether b's median gap is longer than a's: no run of a's has a gap_p50_ms"
    assert math.isnan(none.difference)


def test_runs_in_whose_events_no_text_was_found_are_told_of() -> None:
    silent = {name: [wordless(one) for one in runs(name)] for name in "ab"}
    compared = compare(silent)
    assert compared.sentence == (
        "Cannot decide whether b's first piece is later than a's: no text was found in any event of a's: "
        "name a preset (preset=, --preset)"
    )
    assert "of b's" in compare({"a": runs("a"), "b": silent["b"]}).sentence


# --- Several --------------------------------------------------------------------------------------------------------


def test_of_several_each_is_compared_with_the_first_and_p_is_holms() -> None:
    compared = compare({"a": runs("a"), "b": runs("b", 131), "c": runs("c")})
    alone = compare({"a": runs("a"), "b": runs("b", 131)})
    assert [(each.name, each.base, each.verdict) for each in compared.others] == [
        ("b", "a", "slower"),
        ("c", "a", "not shown"),
    ]
    assert compared.others[0].p == pytest.approx(2 * alone.p)
    assert compared.others[0].low < alone.low < alone.high < compared.others[0].high
    assert compared.sentence.startswith("Against a, 40 runs each: first piece of b ")
    assert "; not shown to differ: c (a difference of less than " in compared.sentence


def test_against_whom_can_be_said_and_the_best_costs_every_pair() -> None:
    given = {"a": runs("a", 131), "b": runs("b"), "c": runs("c", 131)}
    assert [each.base for each in compare(given, against="c").others] == ["c", "c"]
    best = compare(given, against="best")
    assert (best.base, [each.verdict for each in best.others]) == ("b", ["slower", "slower"])
    assert [each.p for each in best.others] == pytest.approx([3e-4, 3e-4])
    assert best.notes == ("the best was chosen by these very numbers: p counts all 3 pairs",)


def test_the_best_of_rates_is_the_highest() -> None:
    given = {"a": runs("a", gap=30), "b": runs("b", gap=20)}
    assert compare(given, metric="throughput_events_per_s", against="best").base == "b"


def test_of_several_each_has_its_own_numbers() -> None:
    with pytest.raises(ValueError, match="expected two targets, got 5: see `others`"):
        _ = COMPARISONS["five"].difference


# --- How many runs --------------------------------------------------------------------------------------------------


def test_half_the_difference_takes_four_times_the_runs() -> None:
    compared = COMPARISONS["not shown"]
    assert compared.runs_for(compared.least - compared.only.error) == pytest.approx(40, abs=1)
    assert compared.runs_for(3) == pytest.approx(4 * compared.runs_for(6), rel=0.02)


def test_what_the_instrument_cannot_show_no_number_of_runs_shows() -> None:
    with pytest.raises(ValueError, match=r"expected a difference larger than the instrument's error, 0\.011"):
        COMPARISONS["not shown"].runs_for(0.005)


# --- What is given --------------------------------------------------------------------------------------------------


def test_a_saved_set_is_compared_by_its_labels(tmp_path: Path) -> None:
    RecordingSet([*runs("a"), *runs("b", 131)]).save(tmp_path / "runs.jsonl")
    again = compare(RecordingSet.load(tmp_path / "runs.jsonl"))
    assert (again.sentence, again.in_rounds) == (COMPARISONS["slower"].sentence, True)


def test_any_label_tells_them_apart() -> None:
    labelled = [replace(one, labels={"preset": "x" if ms > 120 else "y"}) for ms in (100, 131) for one in runs("r", ms)]
    assert compare(labelled, by="preset").targets == ("x", "y")


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({"a": []}, {}, "expected 2 to 10 targets"),
        ({str(n): [] for n in range(11)}, {}, "got 11"),
        ({"a": [], "b": []}, {"against": "c"}, "expected against out of a, b, or 'best'"),
        ({"a": [], "b": []}, {"at": 100}, "from 1 to 99"),
        ({"a": [], "b": []}, {"metric": "nothing"}, "expected metric out of"),
        ([stream()], {"by": "who"}, "expected the name of a label"),
    ],
)
def test_what_makes_no_sense_is_refused(given: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compare(given, **options)


@pytest.mark.parametrize("given", [7, {"a": 7, "b": 7}, {"a": ["x"], "b": []}])
def test_what_are_no_recordings_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="expected recordings, or a RecordingSet, got"):
        compare(given)


def test_of_nothing_nothing_is_decided() -> None:
    compared = compare({"a": [], "b": []})
    assert compared.verdict == "cannot decide"
    assert "–" in str(compared)


# --- How it is shown ------------------------------------------------------------------------------------------------


def test_the_table_has_every_number_and_the_sentence_stands_above_it() -> None:
    compared = COMPARISONS["slower"]
    assert str(compared).startswith(compared.sentence)
    assert repr(compared) == f"<Comparison: {compared.sentence}>"
    assert compared.sentence.replace("'", "&#x27;") in compared._repr_html_()
    assert [name for name, _ in compared.rows()] == [
        "a: ttft_ms, p50 of 40 runs",
        "b: ttft_ms, p50 of 40 runs",
        "verdict",
        "difference",
        "p",
        "least that could be seen",
        "of which the instrument's",
    ]


def test_as_a_table_there_is_a_row_for_each_run() -> None:
    frame = compare({"a": runs("a"), "b": runs("b", failed=1)}).to_pandas()
    assert list(frame.columns) == ["target", "round", "outcome", "ttft_ms"]
    assert len(frame) == 80
    assert frame.groupby("target").ttft_ms.count().to_dict() == {"a": 40, "b": 39}


def test_the_finding_is_the_sentence_of_runs_and_of_what_is_compared_already() -> None:
    assert compare_finding({"a": runs("a"), "b": runs("b", 131)}) == COMPARISONS["slower"].sentence
    assert compare_finding(COMPARISONS["slower"]) == COMPARISONS["slower"].sentence


def test_a_difference_that_is_no_time_is_not_told_in_ms() -> None:
    with pytest.raises(ValueError, match="expected a metric that is a time, got gaps"):
        _ = COMPARISONS["a share"].difference_ms
