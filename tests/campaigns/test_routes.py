"""A few of the requests of the large campaign (`python -m campaigns.routes`), and what it would find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from campaigns import routes
from campaigns.routes import Case, Wrong, judge
from campaigns.visitor import NDJSON, TEXT, Answer


def test_whoever_leaves_and_whatever_is_sent_what_is_final_is_right_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "KEEP_S", 0.2)
    monkeypatch.setattr(routes, "CROWD", 20)
    monkeypatch.setattr(routes, "CROWD_LINES", 1 << 10)
    monkeypatch.setattr(routes, "UNFAIR", 1e9)
    tally = asyncio.run(routes.run(80, 7, warm_up=20))
    assert tally.wrong == []
    assert tally.runs == 80
    assert {"done", "left by FIN", "left by RST", "left by half", "refused"} <= set(tally.found)
    assert tally.crowd_s is not None
    assert set(tally.growth_bytes) == {"does not", "resumes"}


def test_each_case_is_the_same_for_the_same_seed() -> None:
    routes.case_of.cache_clear()
    first = [routes.case_of(seed) for seed in range(20)]
    routes.case_of.cache_clear()
    assert [routes.case_of(seed) for seed in range(20)] == first
    assert {case.kind for case in map(routes.case_of, range(60))} == set(routes.KINDS)


@pytest.mark.parametrize(("wrong", "status"), [([], 0), (["--only 7: Wrong: lost"], 1)])
def test_the_command_says_what_came_of_it(wrong: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def campaign(runs: int, seed: int, *, only: int | None, replay: str | None) -> routes.Tally:
        assert (runs, seed, only, replay) == (500, 3, None, None)
        return routes.Tally(5, wrong=wrong, growth_bytes={"resumes": 0})

    assert routes.main(["--quick", "--seed", "3"], campaign) == status
    assert ("--only 7" in capsys.readouterr().out) == bool(wrong)


# --- What it finds ----------------------------------------------------------------------------------------------------


def case(kind: str, accept: str = NDJSON) -> Case:
    """One of that kind with something in it."""
    found = next(
        each
        for each in map(routes.case_of, range(1, 10_000))
        if each.kind == kind and (b"3}" in each.content if kind == "fails" else len(each.content) > 100)
    )
    return replace(found, accept=accept)


def said(*lines: str, status: int = 200, whole: bool = True) -> Answer:
    return Answer(status, {}, "".join(f"{line}\n" for line in lines).encode(), whole)


DONE = '{"done":{}}'
RESULTS = ['{"result":1}', '{"result":2}', '{"result":3}']
JOB_FAILED = '{"error":{"code":"job_failed"}}'


def test_what_is_right_is_right() -> None:
    assert judge(case("fails"), said(*RESULTS, JOB_FAILED)) == "job_failed"
    assert judge(case("fails", TEXT), said(*RESULTS, whole=False)) == "a cut"
    lines = case("lines")
    right = routes._right(lines)
    assert judge(lines, said(final(right), DONE)) == "done"
    assert judge(lines, said('{"error":{"code":"upload_cut"}}'), was_cut=True) == "upload_cut"


def final(value: dict[str, Any]) -> str:
    return orjson.dumps({**value, "final": True}).decode()


@pytest.mark.parametrize(
    ("kind", "answer", "word"),
    [
        ("lines", lambda right: said(final({**right, "lines": 0}), DONE), "lines is 0"),
        ("csv", lambda right: said(final({**right, "rows": -1}), DONE), "rows is -1"),
        ("digest", lambda right: said(final({**right, "sha256": ""}), DONE), "sha256 is ''"),
        ("analysis", lambda right: said(final({**right, "total": -1}), DONE), "total is -1"),
        ("lines", lambda _: said("{}", DONE), "has to be final"),
        ("lines", lambda right: said(final(right), final(right), DONE), "has to be final"),
        ("lines", lambda right: said(final(right), DONE, whole=False), "last chunk"),
        ("lines", lambda right: said(final(right), DONE, "{}"), "behind the end"),
        ("lines", lambda right: said(final(right)), "ended as ''"),
        ("lines", lambda _: said('{"error":{"code":"upload_cut"}}'), "ended as 'upload_cut'"),
        ("garbage", lambda _: said('{"error":{"code":"internal_error"}}'), "internal_error"),
        ("garbage", lambda _: said('{"code":"internal_error"}', status=500), "refused: 500"),
        ("fails", lambda _: said(*RESULTS[:2], JOB_FAILED), "2 results of 3"),
        ("fails", lambda _: said(*RESULTS, RESULTS[2], JOB_FAILED), "4 results of 3"),
        ("fails", lambda _: said('{"progress":{"progress":2}}', '{"progress":{"progress":1}}'), "went back"),
    ],
)
def test_it_finds(kind: str, answer: Callable[[dict[str, Any]], Answer], word: str) -> None:
    of = case(kind)
    right = routes._right(of) if kind not in ("garbage", "fails") else {}
    with pytest.raises(Wrong, match=word):
        judge(of, answer(right))
