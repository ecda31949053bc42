"""The benchmark of resumed streams sees what it counts. No speed is judged here, and no package of others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack

import httpx2
import pytest

from benchmarks.harness import ROOT, started
from benchmarks.relay import our_command
from benchmarks.relay_load import ANSWERS
from benchmarks.relay_upstream import Question, Sum, pieces_of
from benchmarks.resume_cuts import Ours, Script, Tally, Told, cut_and_resume, upstream
from streamkit.extractor.pieces import Piece
from streamkit.relay.delivery.format import EventStream
from streamkit.relay.delivery.portion import WHOLE, Portion


class Flawed:
    """Keeps what it made, and does one thing wrong."""

    def __init__(self, flaw: str) -> None:
        self._flaw = flaw
        self._made: dict[str, Script] = {}

    async def begin(self, name: str, script: Script) -> AsyncGenerator[str, None]:
        self._made[name] = script
        for piece in script.expected():
            yield piece
        if script.fails and self._flaw != "silent":
            raise Told("error")

    async def resume(self, name: str, got: Sequence[str]) -> AsyncGenerator[str, None]:
        script = self._made[name]
        if self._flaw == "refuses":
            raise Told("404")
        shift = {"loses": 1, "doubles": -1}.get(self._flaw, 0)
        for piece in script.expected()[len(got) + shift :]:
            yield piece
        if self._flaw == "hangs":
            await asyncio.sleep(60)
        if script.fails and self._flaw != "silent":
            raise Told("error")


def tally(flaw: str) -> Tally:
    return asyncio.run(cut_and_resume(Flawed(flaw), resumes=3, failing=2, pieces=20, seed=1))


@pytest.mark.parametrize(
    ("flaw", "counted"),
    [
        ("none", {"exact": 3}),
        ("loses", {"lost": 3}),
        ("doubles", {"duplicated": 3}),
        ("refuses", {"refused": 3}),
        ("silent", {"exact": 3, "looks_complete": 2, "looks_complete_resumed": 2}),
    ],
)
def test_each_flaw_is_counted_as_what_it_is(flaw: str, counted: dict[str, int]) -> None:
    names = ("exact", "lost", "duplicated", "refused", "hung", "looks_complete", "looks_complete_resumed")
    found = tally(flaw)
    assert {name: many for name in names if (many := getattr(found, name))} == counted


def test_who_waits_in_vain_is_counted_as_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.resume_cuts.HANG_S", 0.05)
    found = tally("hangs")
    assert (found.hung, found.exact, found.hung_resumed) == (3, 0, 2)


async def ours() -> Tally:
    async with AsyncExitStack() as stack:
        command = our_command(await upstream(stack), "--resume")
        with started(command) as relay:
            async with httpx2.AsyncClient(trust_env=False) as client:
                there = Ours(relay.url.removesuffix("/ans"), client)
                return await cut_and_resume(there, resumes=5, failing=2, pieces=300, seed=2)


def test_ours_loses_nothing_and_tells_every_failure() -> None:
    found = asyncio.run(ours())
    assert (found.exact, found.looks_complete, found.looks_complete_resumed, found.hung_resumed) == (5, 0, 0, 0)


@pytest.mark.parametrize(("answer", "portion"), [("events", WHOLE), ("cursors", Portion("0123456789abcdef" * 2))])
def test_the_load_client_knows_our_event_stream(answer: str, portion: Portion) -> None:
    question = Question(40)
    form = EventStream(portion)
    words = [Piece(word.decode()) for word in _words(question.events)]
    shown = [form.pieces(words[:7], 1), form.pieces(words[7:], 8), form.done(len(words), 0, "stop")]
    assert Sum(shown) == Sum(ANSWERS[answer](question.events))
    assert Sum([form.pieces(words[1:], 1), shown[-1]]) != Sum(ANSWERS[answer](question.events))


def _words(events: int) -> list[bytes]:
    return [word for part in pieces_of(events) for word in part]


def test_it_says_what_it_can_do() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.resume", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "cost,readers,store,cuts" in said
