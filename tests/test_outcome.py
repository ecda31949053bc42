"""An outcome: a word with a detail, which equals its string wherever values are compared."""

from __future__ import annotations

import pickle
from typing import get_args

import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome, OutcomeName

names = st.sampled_from(get_args(OutcomeName))
details = st.none() | st.text(max_size=8) | st.integers(0, 600)
outcomes = st.builds(Outcome, names, details)


@given(outcomes)
def test_an_outcome_equals_its_string_both_ways_round_and_has_its_hash(outcome: Outcome) -> None:
    assert outcome == str(outcome)
    assert str(outcome) == outcome
    assert not outcome != str(outcome)  # noqa: SIM202  # its own claim: `!=` is another method
    assert hash(outcome) == hash(str(outcome))
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301  # our own


@given(outcomes, outcomes)
def test_two_outcomes_are_equal_exactly_if_their_strings_are(one: Outcome, other: Outcome) -> None:
    assert (one == other) == (str(one) == str(other)) == (one == str(other))
    assert (one < other) == (str(one) < str(other)) == (one < str(other)) == (str(one) < other)


def test_the_word_alone_is_equal_only_where_there_is_no_detail() -> None:
    assert Outcome("truncated") == "truncated"
    assert Outcome("timeout", "idle") != "timeout"
    assert Outcome("timeout", "idle").name == "timeout"


@pytest.mark.parametrize("other", [None, 503, ("refused", 503), b"refused(503)"])
def test_nothing_else_is_equal_to_an_outcome_or_before_it(other: object) -> None:
    assert Outcome("refused", 503) != other
    with pytest.raises(TypeError):
        Outcome("refused", 503) < other  # noqa: B015  # what it raises is the claim


def test_in_sets_and_as_a_key_it_is_its_string() -> None:
    idle = Outcome("timeout", "idle")
    assert len({idle, "timeout(idle)", Outcome("timeout", "total")}) == 2
    assert {"complete": 1, "timeout(idle)": 2}[idle] == 2  # type: ignore[index]  # equal and of one hash: that is enough


class TestColumns:
    frame = pd.DataFrame(
        [
            Recording(label=label, outcome=Outcome.parse(outcome)).summary()
            for label, outcome in [("a", "timeout(idle)"), ("b", "complete"), ("c", "complete"), ("d", "refused(503)")]
        ]
    )

    def test_complete_ones_are_found_by_the_word(self) -> None:
        assert (self.frame.outcome == "complete").tolist() == [False, True, True, False]
        assert (self.frame.outcome != "complete").tolist() == [True, False, False, True]
        assert self.frame.outcome.isin(["complete", "refused(503)"]).tolist() == [False, True, True, True]
        assert len(self.frame.query("outcome == 'complete'")) == 2

    def test_they_are_grouped_counted_and_sorted(self) -> None:
        assert self.frame.groupby("outcome").size().to_dict() == {"complete": 2, "refused(503)": 1, "timeout(idle)": 1}
        assert self.frame.outcome.value_counts()["complete"] == 2
        assert self.frame.sort_values("outcome").outcome.tolist()[:2] == ["complete", "complete"]


@pytest.mark.parametrize("text", ["complete", "timeout(idle)", "refused(503)", "refused(connect)", "error_event(a(b))"])
def test_parse_is_the_inverse_of_str(text: str) -> None:
    assert str(Outcome.parse(text)) == text
    assert Outcome.parse(text) == text


def test_an_unknown_word_is_no_outcome() -> None:
    with pytest.raises(ValueError, match="expected one of complete, refused"):
        Outcome("done")  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(ValueError, match="got 'finished'"):
        Outcome.parse("finished")
