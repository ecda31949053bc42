"""The jobs that come with streamkit, without any process: what they find is right, and they say how far they are."""

from __future__ import annotations

import math

import pytest

from streamkit.jobs import shipped
from streamkit.jobs.shipped import fails, fit, noisy, pi, words
from tests.jobs.hearing import heard, of_kind


@pytest.mark.parametrize(
    ("samples", "told_at"), [(1, [1]), (1000, [1000]), (1001, [1000, 1001]), (9000, [1000, 2000, 4000, 8000, 9000])]
)
def test_pi_counts_each_sample_once_and_tells_whenever_they_are_twice_as_many(samples: int, told_at: list[int]) -> None:
    told = heard(pi, samples=samples)
    results = [*of_kind(told, "result"), *of_kind(told, "returned")]
    assert [each["samples"] for each in results] == told_at
    assert of_kind(told, "progress")[-1] == {"progress": samples, "total": samples, "message": ""}


def test_pi_is_as_wrong_as_it_says_and_less_and_less() -> None:
    told = heard(pi, samples=600_000, seed=3)
    results = [*of_kind(told, "result"), *of_kind(told, "returned")]
    assert all(abs(each["pi"] - math.pi) < 5 * each["standard_error"] for each in results)
    errors = [each["standard_error"] for each in results]
    assert errors == sorted(errors, reverse=True)


def test_pi_of_many_samples_tells_in_steps_that_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "PI_STEP", 3000)
    told = of_kind(heard(pi, samples=12_000), "result")
    assert [each["samples"] for each in told] == [1000, 2000, 4000, 7000, 10_000]


def test_pi_is_the_same_for_the_same_seed() -> None:
    first, again, other = (heard(pi, samples=5000, seed=seed)[-1] for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_finds_what_was_chosen_and_each_step_is_told(seed: int) -> None:
    told = heard(fit, points=2000, noise=0.05, seed=seed)
    [last] = of_kind(told, "returned")
    assert last["converged"]
    assert [last["a"], last["b"], last["c"]] == pytest.approx(last["chosen"], abs=0.05)
    assert last["residual"] == pytest.approx(0.05, rel=0.1)
    steps = of_kind(told, "result")
    assert [each["step"] for each in steps] == list(range(1, last["step"] + 1))
    assert [each["residual"] for each in steps] == sorted((each["residual"] for each in steps), reverse=True)


def test_a_fit_of_points_without_noise_ends() -> None:
    [last] = of_kind(heard(fit, noise=0.0), "returned")
    assert [last["a"], last["b"], last["c"]] == pytest.approx(last["chosen"])


def test_words_of_a_text_are_counted() -> None:
    [last] = of_kind(heard(words, text="Der Hund, der HUND und die Straße. STRASSE!", top=2), "returned")
    assert last == {"words": 8, "different": 5, "top": [["der", 2], ["hund", 2]]}
    assert of_kind(heard(words, text=""), "returned") == [{"words": 0, "different": 0, "top": []}]


def test_words_that_are_made_are_so_many_and_the_same_each_time() -> None:
    told = heard(words, words=25_000, seed=1)
    assert [each["words"] for each in of_kind(told, "result")] == [10_000, 20_000, 25_000]
    assert told[-1] == heard(words, words=25_000, seed=1)[-1]
    times = [times for _, times in told[-1].data["top"]]
    assert len(times) == 10
    assert times == sorted(times, reverse=True)


def test_the_one_that_fails_does_so_behind_so_many_results() -> None:
    told = heard(fails, after=2)
    assert of_kind(told, "result") == [{"result": 1}, {"result": 2}]
    assert of_kind(told, "raised")[0]["type"] == "RuntimeError"


def test_of_the_noisy_one_no_result_is_lost() -> None:
    told = heard(noisy, reports=20_500)
    assert of_kind(told, "result") == [{"result": number} for number in range(1, 21)]
    assert told[-1] == ("returned", {"reports": 20_500, "results": 20})
    assert of_kind(told, "progress")[-1]["progress"] == 20_500
