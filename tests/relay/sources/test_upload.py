"""An upload as a source: results while it comes, for those who read and without those who do not; fair to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.processors.registry import PROCESSORS, Processors
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Snapshot
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.upload import SLICE_BYTES, processor, upload
from tests.fakes import run_in_fake_time
from tests.processors.cuts import CUTS, cut


@dataclass
class Body:
    """An `Arriving`: parts `every_s` seconds apart, an end after `ends_s`, perhaps a length."""

    parts: Sequence[bytes]
    content_type: str = ""
    every_s: float = 0.0
    ends_s: float = 0.0
    length: int | None = None
    received: int = 0
    whole: bool = False
    error: Failed | None = None

    def cut(self) -> None:
        """It never waits for long."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if self.every_s:
                await asyncio.sleep(self.every_s)
            self.received += len(part)
            yield part
        if self.ends_s:
            await asyncio.sleep(self.ends_s)
        if self.error:
            raise self.error
        self.whole = True


class Client:
    """Takes what is offered; and when."""

    def __init__(self, *, takes: bool = True) -> None:
        self.got: list[tuple[float, dict[str, Any]]] = []
        self.takes = takes

    def take(self, pieces: list[Piece]) -> bool:
        if self.takes:
            for piece in pieces:
                assert type(piece) is Snapshot
                self.got.append((asyncio.get_running_loop().time() - 1000, piece.data))
        return self.takes

    async def read(self, body: Body, process: str = "lines", *, processors: Processors = PROCESSORS) -> None:
        self.takes, takes = False, self.takes
        async with aclosing(upload(body, process, Into(self.take), processors=processors)) as source:
            async for pieces in source:
                self.takes = True
                self.take(pieces)
                self.takes = takes

    @property
    def bytes_at(self) -> list[tuple[float, int]]:
        return [(round(at_s, 3), data["bytes"]) for at_s, data in self.got]


def results(body: Body, process: str = "lines", **given: Any) -> list[dict[str, Any]]:
    """All that a client gets that takes all."""
    client = Client()
    run_in_fake_time(client.read(body, process, **given))
    return [data for _, data in client.got]


def refused(body: Body, process: str = "lines", **given: Any) -> tuple[int, str]:
    with pytest.raises(Failed) as raised:
        results(body, process, **given)
    return raised.value.failure.status, raised.value.failure.code


def test_the_first_result_comes_with_the_first_bytes_and_others_at_their_pace() -> None:
    client = Client()
    run_in_fake_time(client.read(Body([b"x"] * 10, every_s=0.12)))
    assert client.bytes_at == [(0.12, 1), (0.37, 3), (0.62, 5), (0.87, 7), (1.12, 9), (1.2, 10)]
    assert [data.get("final", False) for _, data in client.got] == [False] * 5 + [True]


def test_a_result_does_not_wait_for_more_bytes() -> None:
    client = Client()
    run_in_fake_time(client.read(Body([b"x", b"y", b"z"], every_s=0.2)))
    assert client.bytes_at == [(0.2, 1), (0.45, 2), (0.6, 3)]
    client = Client()
    run_in_fake_time(client.read(Body([b"x", b"y"], every_s=60)))
    assert client.bytes_at == [(60.0, 1), (120.0, 2)], "and none is sent when nothing has come"


def test_a_client_that_does_not_read_does_not_hold_the_upload() -> None:
    client = Client(takes=False)
    run_in_fake_time(client.read(Body([b"x"] * 100, every_s=0.1)))
    assert client.bytes_at == [(0.1, 1), (10.0, 100)]


def test_what_comes_whole_at_once_has_only_a_final_result() -> None:
    assert [data["final"] for data in results(Body([b"one\ntwo"], length=7))] == [True]
    assert [data["final"] for data in results(Body([], length=0))] == [True]
    assert len(results(Body([b"one\n", b"two"], length=7))) == 2
    assert len(results(Body([b"one\ntwo"]))) == 2


@given(st.binary(max_size=300), CUTS, st.sampled_from(["lines", "digest"]))
def test_the_final_result_is_the_same_however_the_bytes_come(data: bytes, cuts: list[int], process: str) -> None:
    def last(parts: Sequence[bytes]) -> dict[str, Any]:
        found = results(Body(parts), process)[-1]
        return {name: value for name, value in found.items() if name != "per_s"}

    assert last([part for part in cut(data, cuts) if part]) == last([data] if data else [])


def test_a_file_in_a_form_is_found() -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\n'
    parts = [head, b"a,b\n1,2\n", b"3,4", b"\r\n--b--\r\n"]
    found = results(Body(parts, "multipart/form-data; boundary=b"), "csv")[-1]
    assert (found["rows"], found["bytes"]) == (2, 11)


@pytest.mark.parametrize(
    ("body", "process", "told"),
    [
        (Body([b"a"]), "zip", (422, "unknown_process")),
        (Body([b"a\0,b\n"]), "csv", (422, "bad_csv_header")),
        (Body([b"," * 5000 + b"\n"]), "csv", (422, "too_many_columns")),
        (Body([b"a"], "text/csv; charset=latin1"), "csv", (415, "unsupported_charset")),
        (Body([b"--b--"], "multipart/form-data; boundary=b"), "csv", (422, "no_file")),
        (Body([b"--b\r\n"], "multipart/form-data; boundary=b"), "digest", (400, "bad_form")),
        (Body([b"a"], "multipart/form-data"), "digest", (400, "bad_form")),
    ],
)
def test_what_cannot_be_processed_is_refused_by_name(body: Body, process: str, told: tuple[int, str]) -> None:
    assert refused(body, process) == told


def test_an_unknown_process_is_refused_before_and_what_there_is_is_said() -> None:
    with pytest.raises(Failed, match="unknown_process: send process= and one of csv, digest, lines"):
        processor("zip")


def test_a_body_that_is_not_whole_fails_as_it_says_behind_what_came() -> None:
    cut_off = Failed.of_request(400, "upload_cut", "it was cut")
    client = Client()
    with pytest.raises(Failed, match="upload_cut"):
        run_in_fake_time(client.read(Body([b"a\n"] * 5, every_s=0.2, error=cut_off)))
    assert [data.get("final") for _, data in client.got] == [None] * len(client.got) != []


class Broken:
    """Somebody's own processor, with a bug in its results."""

    def feed(self, data: bytes) -> None:
        self.fed = data

    def snapshot(self) -> dict[str, Any]:
        return {"bytes": 1} if self.fed == b"1" else {"bytes": 1 / (len(self.fed) - 2)}

    def final(self) -> dict[str, Any]:
        return {}


def test_a_bug_in_a_result_that_was_offered_is_raised_by_the_source() -> None:
    own = {"mine": Broken}
    with pytest.raises(ZeroDivisionError):
        results(Body([b"1", b"22", b"333"], every_s=1.0), "mine", processors=own)
    with pytest.raises(ZeroDivisionError):
        results(Body([b"1", b"22"], every_s=1.0, ends_s=1.0), "mine", processors=own)


def test_nothing_is_offered_once_it_is_closed() -> None:
    async def main() -> list[tuple[float, int]]:
        client = Client()
        source = upload(Body([b"x"] * 9, every_s=0.1), "lines", Into(client.take))
        await anext(source)
        reading = asyncio.ensure_future(anext(source))
        await asyncio.sleep(0.15)
        reading.cancel()
        await asyncio.wait({reading})
        await asyncio.sleep(9)
        return client.bytes_at

    assert run_in_fake_time(main()) == []


class Slow:
    """Takes a second of its clock for a slice."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.fed: list[int] = []

    def feed(self, data: bytes) -> None:
        self.now_s += 1
        self.fed.append(len(data))

    def snapshot(self) -> dict[str, Any]:
        return {}

    def final(self) -> dict[str, Any]:
        return {"final": True}


def test_who_takes_long_lets_others_have_their_turn_behind_each_slice() -> None:
    async def main() -> tuple[list[int], int]:
        worker, turns = Slow(), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.ensure_future(other())
        source = upload(
            Body([b"x" * (3 * SLICE_BYTES + 1)], length=3 * SLICE_BYTES + 1),
            "slow",
            Into(),
            processors={"slow": lambda: worker},
            clock=lambda: worker.now_s,
        )
        assert [pieces async for pieces in source] == [[Snapshot({"final": True})]]
        others.cancel()
        return worker.fed, turns

    assert run_in_fake_time(main()) == ([SLICE_BYTES] * 3 + [1], 4)


def test_uploads_have_their_turn_one_after_the_other_and_others_in_between() -> None:
    async def main() -> list[str]:
        worked: list[str] = []
        now_s = 0.0

        class Named(Slow):
            def feed(self, data: bytes) -> None:
                nonlocal now_s
                now_s += 1
                worked.append(data[:1].decode())

        async def other() -> None:
            while True:
                if worked[-1:] not in ([], ["-"]):
                    worked.append("-")
                await asyncio.sleep(0)

        async def one(name: bytes) -> None:
            body = Body([name * (SLICE_BYTES * 3)])
            async for _ in upload(body, "slow", Into(), processors={"slow": Named}, clock=lambda: now_s):
                pass

        others = asyncio.ensure_future(other())
        await asyncio.gather(*(one(name) for name in (b"a", b"b", b"c")))
        others.cancel()
        return worked

    assert "".join(run_in_fake_time(main())).rstrip("-") == "a-b-c-a-b-c-a-b-c"


def test_results_that_take_long_come_more_rarely() -> None:
    class Wide(Slow):
        def snapshot(self) -> dict[str, Any]:
            loop: Any = asyncio.get_running_loop()
            loop.now += 0.1
            return {"bytes": len(self.fed)}

    client = Client()
    run_in_fake_time(client.read(Body([b"x"] * 30, every_s=0.1), "wide", processors={"wide": Wide}))
    made_s = [at_s for at_s, data in client.got[:-1]]
    assert all(later - earlier > 0.99 for earlier, later in pairwise(made_s))
    assert len(made_s) >= 3
