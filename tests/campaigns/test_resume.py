"""A few hundred cuts of the large campaign (`python -m campaigns.resume`), and what it would find."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from campaigns import resume
from campaigns.visitor import NDJSON, SSE, TEXT
from streamkit.relay.replay.kept import Kept
from streamkit.relay.replay.log import InFlight, Log, LogReader
from tests.relay.replay.planted import (
    a_failure_that_is_stored_as_complete,
    a_reader_that_is_not_told_of_the_end,
    a_reader_that_is_not_woken_when_it_refused,
    an_end_that_is_forgotten,
    an_end_that_overtakes_pieces,
)

FEW = 150
BODY = 371
ENDS = {SSE: 761, NDJSON: 721, TEXT: 421}
"""No head of an answer is shorter, and no answer of three pieces longer."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("streamkit.relay").disabled = True
    yield
    logging.getLogger("streamkit.relay").disabled = False


def cut(runs: int) -> resume.Tally:
    return asyncio.run(resume.run(runs, 7, process=False))


def test_nothing_is_lost_or_doubled_wherever_a_reader_is_cut() -> None:
    tally = cut(400)
    assert tally.wrong == []
    assert tally.places >= 400
    assert {"complete", "broken"} <= set(tally.readers)
    assert tally.came_back > 200
    assert tally.while_it_spoke > 0


def test_each_case_is_the_same_for_the_same_seed() -> None:
    resume.case_of.cache_clear()
    first = [resume.case_of(seed) for seed in range(20)]
    resume.case_of.cache_clear()
    assert [resume.case_of(seed) for seed in range(20)] == first
    assert len({resume.pieces_of(seed) for seed in range(1, 10)}) == 9


def test_the_command_says_what_came_of_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*wrong: str) -> Callable[..., object]:
        async def run(*_: object, **__: object) -> resume.Tally:
            return resume.Tally(5, wrong=list(wrong))

        return run

    monkeypatch.setattr(resume, "run", found())
    assert resume.main(["--runs", "5"]) == 0
    monkeypatch.setattr(resume, "run", found("--only 7: Wrong: lost"))
    assert resume.main(["--only", "7"]) == 1
    assert "--only 7: Wrong: lost" in capsys.readouterr().out


# --- Faults that are planted ----------------------------------------------------------------------------------------


def a_cursor_that_is_one_too_high(patch: pytest.MonkeyPatch) -> None:
    attach = Log.attach

    def attached(log: Log, position: int, in_flight: InFlight) -> LogReader:
        return attach(log, min(log.last, position + bool(position)), in_flight)

    patch.setattr(Log, "attach", attached)


def a_cursor_that_is_one_too_low(patch: pytest.MonkeyPatch) -> None:
    attach = Log.attach
    patch.setattr(Log, "attach", lambda log, position, in_flight: attach(log, max(0, position - 1), in_flight))


def a_byte_that_is_one_too_far(patch: pytest.MonkeyPatch) -> None:
    at_byte = Kept.at_byte
    patch.setattr(Kept, "at_byte", lambda kept, byte: at_byte(kept, min(byte + 1, kept.text_bytes)))


HANGS = "it hangs"
OTHER_BYTES = "or other ones"


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (a_cursor_that_is_one_too_high, OTHER_BYTES),
        (a_cursor_that_is_one_too_low, OTHER_BYTES),
        (a_reader_that_is_not_told_of_the_end, HANGS),
        (a_reader_that_is_not_woken_when_it_refused, HANGS),
        (an_end_that_is_forgotten, HANGS),
        (a_failure_that_is_stored_as_complete, "broken: True"),
        (an_end_that_overtakes_pieces, OTHER_BYTES),
        (a_byte_that_is_one_too_far, OTHER_BYTES),
    ],
)
def test_it_finds(monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None], word: str) -> None:
    fault(monkeypatch)
    if word == HANGS:
        monkeypatch.setattr(resume, "LIMIT_S", 0.5)
    assert any(word in told for told in cut(FEW).wrong)


# --- Every byte -----------------------------------------------------------------------------------------------------


@cache
def seed_of(*, broken: bool) -> int:
    """Of a short text with letters of many bytes; the long ones take long to make."""
    return next(
        seed
        for seed in range(1, 10_000)
        if seed % resume.LONG_EVERY
        and len(resume.pieces_of(seed)) == 3
        and resume.case_of(seed).broken == broken
        and {"é", "😀"} <= set("".join(resume.pieces_of(seed)))
    )


@pytest.mark.parametrize(
    ("accept", "broken"), [(SSE, False), (NDJSON, False), (TEXT, False), (SSE, True), (TEXT, True)]
)
def test_a_short_answer_is_cut_at_every_byte_and_its_rest_too(accept: str, broken: bool) -> None:
    """In the head, in a chunk's head, in an event, inside a character, before the first id, in the end. Of one that is
    broken anyway, at every third.
    """
    case = replace(resume.case_of(seed_of(broken=broken)), accepts=(accept, accept))

    cuts = range(BODY, ENDS[accept], 3) if broken else range(1, ENDS[accept])  # their heads are the same

    async def main() -> list[str]:
        async with resume.servers(process=False) as (relay, _):
            address = (relay.host, relay.port)

            async def one(cut: int) -> str:
                second = 1 + random.Random(cut).randrange(ENDS[accept])
                reader = resume.Reader(case, 0, f"{accept} {cut}")
                return await asyncio.wait_for(resume.read_through(reader, address, (cut, second)), 20)

            return [
                kind
                for start in range(0, len(cuts), 40)
                for kind in await asyncio.gather(*map(one, cuts[start : start + 40]))
            ]

    kinds = asyncio.run(main())
    assert set(kinds) == {"broken" if broken else "complete"}
    assert len(kinds) == len(cuts)
