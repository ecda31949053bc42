"""The campaign of diagnosis: a few of each cause, made for real (`python -m campaigns.diagnosis` makes 200)."""

from __future__ import annotations

import pytest

from campaigns import diagnosis
from streamkit.lab.diagnosis.result import Cause, CauseName, Diagnosis
from streamkit.lab.recording.recording import Recording


def named(name: CauseName) -> Diagnosis:
    return Diagnosis((Cause(name=name, sentence=name),))


def test_a_few_of_each_cause_are_named_rightly() -> None:
    """The claim, at most one in a hundred wrong, is for the campaign; here a busy machine may spoil one in ten."""
    judged = diagnosis.run(seeds=range(2))
    assert judged.total == 2 * len(diagnosis.CAUSES)
    assert len(judged.wrong) <= judged.total / 10, diagnosis.matrix(judged)
    right = sum(judged.named[cause][made.right] for cause, made in diagnosis.CAUSES.items())
    assert right >= 0.8 * judged.total, diagnosis.matrix(judged)


def test_there_are_more_causes_than_eight_and_each_says_how_it_is_made() -> None:
    assert len(diagnosis.CAUSES) >= 10
    assert all(cause.note for cause in diagnosis.CAUSES.values())


def test_cannot_tell_is_not_wrong_and_any_other_name_is() -> None:
    judged = diagnosis.Judged()
    judged.note("held", 1, named("held"))
    judged.note("held", 2, named("unknown"))
    assert (judged.holds, judged.untold, judged.total) == (True, 1, 2)
    judged.note("held", 3, named("source_paused"))
    assert not judged.holds
    assert [(cause, seed) for cause, seed, _ in judged.wrong] == [("held", 3)]


def test_where_nothing_can_be_known_any_name_is_wrong_and_that_is_no_lack() -> None:
    judged = diagnosis.Judged()
    judged.note("dead end", 1, named("unknown"))
    assert (judged.wrong, judged.untold) == ([], 0)
    judged.note("dead end", 2, named("held"))
    assert len(judged.wrong) == 1


def test_what_was_tried_again_counts_once() -> None:
    judged = diagnosis.Judged()
    judged.note("held", 1, named("late_loop"))
    judged.note("held", 1, named("held"))
    assert (judged.total, judged.wrong, judged.named["held"]["held"]) == (1, [], 1)


def test_the_matrix_shows_what_was_true_and_what_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    judged = diagnosis.Judged()
    judged.note("held", 1, named("source_paused"))
    assert not diagnosis.show(judged)
    told = capsys.readouterr().out
    assert "WRONG held:1: <Diagnosis source_paused: source_paused>" in told
    assert "1 wrong (100.00%; at most 1%), 0 times it cannot tell" in told


def test_losses_are_written_into_the_columns_and_found_there() -> None:
    times = [*range(20), *[44] * 24, *range(44, 60)]
    recording = Recording.from_pieces([(n * 30_000_000 + k, "word ") for k, n in enumerate(times)], stamps="kernel")
    assert recording.diagnose().cause == "held"
    assert diagnosis.with_losses(recording, 1).diagnose().cause == "network"


def test_an_unknown_cause_is_a_wrong_call() -> None:
    with pytest.raises(SystemExit) as ended:
        diagnosis.main(["--causes", "gremlins"])
    assert ended.value.code == 2
