"""Reads kept back: none is lost, none waits for long, and a `no` is heard."""

from __future__ import annotations

import asyncio
import itertools
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client import batch as module
from streamkit.lab.client.batch import PARTS, READS, Batch
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recording import Recording
from tests.lab.client.answers import CHAT, CUT, DONE, HELLO, NDJSON, SSE, TEXT, Clock


@pytest.fixture(autouse=True)
def whole_first_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTS", itertools.repeat(1.0))


def part(number: int, data: bytes = b"x") -> Any:
    return (data, number, (1_010 + 10 * number, "socket", -1, 1_010 + 10 * number))


def taken(reads: int) -> list[int]:
    """How many were given on by each of so many reads."""

    async def main() -> list[int]:
        given: list[int] = []

        def feed(entries: Any) -> bool:
            given.extend(number for _, number, _ in entries)
            return True

        batch = Batch(feed, lambda: None)
        counts = []
        for number in range(reads):
            assert batch.take(part(number))
            counts.append(len(given))
        batch.end()
        assert given == list(range(reads))
        return counts

    return asyncio.run(main())


def test_so_many_reads_are_given_on_together() -> None:
    assert taken(2 * READS) == [*[0] * (READS - 1), *[READS] * READS, 2 * READS]


def test_streams_that_began_together_are_not_all_given_on_by_the_same_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTS", PARTS)
    firsts = [taken(2 * READS).count(0) for _ in range(8)]
    assert len(set(firsts)) == 8
    assert max(firsts) < READS


def test_behind_the_first_batch_all_are_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTS", itertools.repeat(0.25))
    first = READS // 4
    assert sorted(set(taken(first + 2 * READS))) == [0, first, first + READS, first + 2 * READS]


def test_what_is_kept_is_given_on_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_LEAST_EVERY_S", 0.01)

    async def main() -> None:
        given: list[int] = []
        seen = asyncio.Event()

        def feed(entries: Any) -> bool:
            given.extend(number for _, number, _ in entries)
            seen.set()
            return True

        batch = Batch(feed, lambda: None)
        for number in range(2):
            seen.clear()
            batch.take(part(number, b"xyz"))
            assert (batch.kept_bytes, len(given)) == (3, number)
            await asyncio.wait_for(seen.wait(), 5)
        assert (given, batch.kept_bytes) == ([0, 1], 0)
        batch.end()

    asyncio.run(main())


def test_a_no_that_no_read_waits_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_LEAST_EVERY_S", 0.01)

    async def main() -> None:
        enough = asyncio.Event()
        batch = Batch(lambda _: False, enough.set)
        assert batch.take(part(0))
        await asyncio.wait_for(enough.wait(), 5)

    asyncio.run(main())


def test_a_no_is_the_answer_to_the_read_that_waits_for_it() -> None:
    async def main() -> list[bool]:
        batch = Batch(lambda _: False, lambda: None)
        return [batch.take(part(number)) for number in range(READS)]

    assert asyncio.run(main()) == [*[True] * (READS - 1), False]


@given(
    body=st.lists(st.sampled_from([HELLO, CHAT, b": ping\n\n", b"data: x", b"\n\n", DONE]), max_size=60).map(b"".join),
    cuts=st.lists(st.integers(0, 2000), max_size=60),
    headers=st.sampled_from([SSE, NDJSON, TEXT]),
    bounds=st.sampled_from([{}, {"max_events": 3}, {"max_bytes": 100}]),
    failure=st.sampled_from([None, CUT]),
)
def test_whatever_the_reads_the_recording_is_the_same(
    body: bytes, cuts: list[int], headers: dict[str, str], bounds: dict[str, Any], failure: WireFailure | None
) -> None:
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reads = [body[start:stop] for start, stop in pairwise(edges)]

    async def recorded(batched: bool) -> Recording:
        clock = Clock()
        recorder = Recorder(clock=clock, **bounds)
        recorder.head(200, headers)

        def feed(entry: Any) -> bool:
            data, number, (at_ns, kind, error_ns, read_ns) = entry
            return recorder.feed(number, at_ns, data, kind, error_ns, read_ns - at_ns)

        batch = Batch(recorder.take, lambda: None)
        for number, data in enumerate(reads):
            clock.now = 1_010 + 10 * number
            if not (batch.take if batched else feed)(part(number, data)):
                break
        clock.now = 9_000
        batch.end()
        return recorder.finish(failure)

    later, live = asyncio.run(recorded(True)), asyncio.run(recorded(False))
    assert (later.events, later.reads) == (live.events, live.reads)
    assert (later.text, later.outcome, later.error, later.preset) == (live.text, live.outcome, live.error, live.preset)
