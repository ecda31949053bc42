"""The jobs that come with streamkit, without any process: what they find is right, and they say how far they are."""

from __future__ import annotations

import math

import pytest

from streamkit.jobs.shipped import fails, fit, noisy, pi, words
from tests.jobs.hearing import heard, of_kind


@pytest.mark.parametrize("samples", [1, 7, 300_000])
def test_pi_counts_each_sample_once_and_says_how_wrong_it_may_be(samples: int) -> None:
    told = heard(pi, samples=samples, seed=3)
    results = [*of_kind(told, "result"), *of_kind(told, "returned")]
    assert results[-1]["samples"] == samples
    assert len(results) == min(samples, 20)
    assert of_kind(told, "progress")[-1] == {"progress": samples, "total": samples, "message": ""}
    assert all(abs(each["pi"] - math.pi) < 5 * each["standard_error"] for each in results if each["samples"] > 1000)
    assert [each["standard_error"] for each in results] == sorted(
        (each["standard_error"] for each in results), reverse=True
    )


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
