"""Mix: what each stream asks is drawn by seed and number, and stands in its labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from streamkit.lab.client.pace import Reader
from streamkit.lab.load.mix import Mix

SLOW = Reader(events_per_s=5)


def test_with_one_of_each_nothing_has_to_be_told_apart() -> None:
    visit = Mix("hello", SLOW).visit(0, due_ns=5)
    assert (visit.prompt, visit.reader, visit.leave_s, visit.labels) == ("hello", SLOW, None, {})
    assert visit.options == {"due_ns": 5, "labels": {}, "reader": SLOW}


def test_a_stream_is_the_same_in_every_load_of_its_seed() -> None:
    mixes = [Mix(["a", "b", "c"], [None, SLOW], leave=0.5, seed=4) for _ in range(2)]
    assert mixes[0].visit(7, None) == mixes[1].visit(7, None)
    assert [mixes[0].visit(n, None).labels for n in range(9)] != [
        Mix(["a", "b", "c"]).visit(n, None).labels for n in range(9)
    ]


def test_several_are_drawn_as_often_each_by_its_name() -> None:
    mix = Mix({"short": "hi", "long": {"json": {"n": 100}}}, {"fast": None, "slow": SLOW}, seed=1)
    visits = [mix.visit(n, None) for n in range(400)]
    assert Counter(visit.labels["prompt"] for visit in visits)["long"] == pytest.approx(200, abs=40)
    assert Counter(visit.labels["reader"] for visit in visits)["slow"] == pytest.approx(200, abs=40)
    assert all((visit.labels["prompt"] == "short") == (visit.prompt == "hi") for visit in visits)
    assert all((visit.labels["reader"] == "slow") == (visit.reader is SLOW) for visit in visits)


def test_those_without_a_name_are_told_apart_by_what_they_are() -> None:
    mix = Mix(["x" * 100, {"json": {}}], [None, SLOW])
    names = {name: {str(mix.visit(n, None).labels[name]) for n in range(40)} for name in ("prompt", "reader")}
    assert names == {"prompt": {"x" * 39 + "…", "prompt 1"}, "reader": {"full speed", "5 events/s"}}


def test_a_share_of_them_leaves_early() -> None:
    mix = Mix(leave=0.25, leave_after_s=(0.5, 2), seed=2)
    visits = [mix.visit(n, None) for n in range(400)]
    leaving = [visit.leave_s for visit in visits if visit.leave_s is not None]
    assert len(leaving) == pytest.approx(100, abs=30)
    assert 0.5 <= min(leaving) <= max(leaving) <= 2
    assert all(visit.labels["leaves"] is (visit.leave_s is not None) for visit in visits)


def test_a_user_thinks_as_long_as_was_said() -> None:
    mix = Mix(seed=1)
    assert mix.think_s(3, (2.0, 2.0)) == 2.0
    assert len({mix.think_s(n, (1.0, 2.0)) for n in range(9)}) == 9
    assert all(1 <= mix.think_s(n, (1.0, 2.0)) <= 2 for n in range(9))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"prompts": 3}, TypeError, "expected prompts as a text, several, or a table of them by name, got 3"),
        ({"prompts": []}, ValueError, "expected at least one prompt"),
        ({"prompts": ["a", 3]}, TypeError, "expected a prompt as a text, or as options of record"),
        ({"readers": "slow"}, TypeError, "expected readers as a Reader, several, or a table of them by name"),
        ({"readers": [3]}, TypeError, r"expected a reader as a Reader, such as Reader\(events_per_s=5\), or None"),
        ({"readers": []}, ValueError, "expected at least one reader"),
        ({"leave": 1.5}, ValueError, "expected leave as a share from 0 to 1, got 1.5: 0.1 is every tenth"),
        ({"leave_after_s": 2}, TypeError, "expected leave_after_s as two numbers of seconds"),
        ({"leave_after_s": (2, 1)}, ValueError, r"expected leave_after_s as \(from, to\) with from <= to"),
        ({"seed": -1}, ValueError, "expected seed as an integer >= 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Mix(**given)
