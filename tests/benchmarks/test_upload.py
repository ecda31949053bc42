"""The benchmark of uploads measures what it says. No speed is judged here."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys

import pytest

from benchmarks.harness import ROOT, started
from benchmarks.upload import BLOCK, SERVERS, Ready, by_pandas, processed, rows, send, share
from streamkit.processors.table import Csv


@pytest.mark.parametrize("quoted", [False, True])
def test_pandas_finds_the_same_in_the_same_bytes(quoted: bool) -> None:
    data = rows(0.02, quoted=quoted)
    ours, theirs = processed(Csv, data)["columns"], by_pandas(data, statistics_too=True)
    assert sorted(theirs) == ["a", "b", "c", "id"]
    for name, each in theirs.items():
        found = ours[name]
        assert (found["count"], found["min"], found["max"]) == (each.count, each.min, each.max)
        assert found["mean"] == pytest.approx(each.mean)


def test_a_body_that_is_there_is_given_once_and_whole() -> None:
    async def main() -> bytes:
        return b"".join([part async for part in Ready(BLOCK)])

    assert asyncio.run(main()) == BLOCK


def test_uploads_at_once_are_all_processed() -> None:
    it = asyncio.run(share("csv", rows(0.01), 3))
    assert 0 < it.least <= 1
    assert it.seconds > 0


@pytest.mark.parametrize("name", ["bare Sanic", "aiohttp"])
def test_a_peer_tells_the_digest_of_what_was_sent(name: str) -> None:
    with started([sys.executable, "-m", *SERVERS[name]]) as peer:
        answer = send(peer, 2).answer
    assert hashlib.sha256(BLOCK * 2).hexdigest().encode() in answer


def test_it_says_what_it_can_do() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.upload", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "digest,processors,together" in said
