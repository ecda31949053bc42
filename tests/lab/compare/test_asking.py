"""compare(): targets are asked in turns, round by round; nothing is lost when it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.compare import kept
from streamkit.lab.compare.asking import compare
from streamkit.lab.compare.kept import last_comparison
from streamkit.lab.findings.comparison import Comparison
from streamkit.lab.load.mix import Visit
from streamkit.lab.recording.recording import Recording
from tests.lab.client.peers import DONE, END, HEAD, Peer, chunk, event, sending, serving

HELLO = sending(HEAD, chunk(event("hello") + DONE), END)


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.LAST, "value", None)


class Asked:
    """Targets that answer at once, with a first piece after so many ms, and remember how they were asked."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, Visit]] = []

    def target(self, name: str, ms: float = 100, stop_at: int | None = None) -> Any:
        async def ask(n: int, visit: Visit) -> Recording:
            assert n == visit.n
            self.turns.append((name, visit))
            if n == stop_at:
                raise KeyError("mine")
            at_ns = round((ms + n % 7 / 10) * 1e6)
            return Recording.from_pieces(
                [(at_ns, str(visit.prompt))], sent_ns=0, started_ns=time.monotonic_ns(), labels={"mine": name}
            )

        return ask


def compared(targets: dict[str, Any], **given: Any) -> Comparison:
    return asyncio.run(compare(targets, progress=False, **given))


# --- Who is asked when ----------------------------------------------------------------------------------------------


def test_each_round_asks_every_target_once_in_an_order_of_its_own() -> None:
    asked = Asked()
    compared({name: asked.target(name) for name in "abc"}, runs=12, warm_up=0)
    rounds = [[name for name, _ in asked.turns[n : n + 3]] for n in range(0, 36, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 3
    assert [visit.n for _, visit in asked.turns] == [n for n in range(12) for _ in range(3)]


def test_the_seed_is_the_order() -> None:
    def order(seed: int) -> list[str]:
        asked = Asked()
        compared({name: asked.target(name) for name in "ab"}, runs=20, seed=seed)
        return [name for name, _ in asked.turns]

    assert order(1) == order(1) != order(2)


def test_all_targets_of_a_round_are_asked_the_same() -> None:
    asked = Asked()
    compared({name: asked.target(name) for name in "ab"}, runs=20, prompts=["x", "y"], warm_up=0)
    pairs = [{str(visit.prompt) for _, visit in asked.turns[n : n + 2]} for n in range(0, 40, 2)]
    assert all(len(pair) == 1 for pair in pairs)
    assert len({*map(tuple, pairs)}) == 2


def test_what_warms_up_is_thrown_away() -> None:
    asked = Asked()
    found = compared({name: asked.target(name) for name in "ab"}, runs=6, warm_up=2)
    assert [name for name, _ in asked.turns[:4]] == ["a", "b", "a", "b"]
    assert [len(each) for each in found.recordings.values()] == [6, 6]


def test_nobody_is_asked_while_another_is() -> None:
    live: list[str] = []

    def alone(name: str) -> Any:
        async def ask(n: int, visit: Visit) -> Recording:
            live.append(f"{name} {visit.n}")
            await asyncio.sleep(0.001)
            assert live == [f"{name} {n}"]
            live.clear()
            return Recording.from_pieces([(n + 1, "x")])

        return ask

    compared({"a": alone("a"), "b": alone("b")}, runs=10)


# --- What comes of it -----------------------------------------------------------------------------------------------


def test_the_verdict_and_every_recording_with_its_targets_name_and_round() -> None:
    asked, seen = Asked(), list[Recording]()
    found = compared({"a": asked.target("a"), "b": asked.target("b", 160)}, runs=10, on_done=seen.append)
    assert found.verdict == "slower"
    assert last_comparison() is found
    assert [(one.label, one.labels) for one in found.recordings["b"]] == [
        ("b", {"mine": "b", "round": n}) for n in range(10)
    ]
    assert len(seen) == 20
    assert {one.label for one in seen} == {"a", "b"}
    assert found.wanted == 10


def test_a_url_is_asked_as_a_load_asks_it_with_the_options_of_record() -> None:
    async def main() -> Comparison:
        async with serving(HELLO) as (url, peers):
            found = await compare({"a": url, "b": url}, runs=6, accept="sse", progress=False)
            assert len(peers) == 14
            assert all(b"text/event-stream" in peer.request for peer in peers)
            assert all(b"chat_history=hi" in peer.request for peer in peers)
            return found

    found = asyncio.run(main())
    assert [one.text for one in found.recordings["a"]] == ["hello"] * 6


def test_of_a_lab_all_three_are_told_of() -> None:
    async def main() -> Comparison:
        with sk.Lab(sk.Script("one two", first_piece_ms=5, gap_ms=1), gauge_ms=0) as lab:
            return await compare({"a": lab, "again": lab}, runs=6, accept="sse", progress=False)

    found = asyncio.run(main())
    assert all("relay.sent" in one.taps for each in found.recordings.values() for one in each)
    assert [one.text for one in found.recordings["again"]] == ["one two"] * 6


def test_a_server_that_refuses_is_a_failure_and_the_others_go_on() -> None:
    refusing = sending(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async def main() -> Comparison:
        async with serving(HELLO) as (url, _), serving(refusing) as (other, _):
            return await compare({"a": url, "b": other}, runs=8, progress=False)

    found = asyncio.run(main())
    assert found.verdict == "cannot decide"
    assert found.only.failed == (0, 8)
    assert "b failed 8 of 8 times, a 0 of 8" in found.sentence


# --- What is kept ---------------------------------------------------------------------------------------------------


def test_what_a_target_raises_ends_it_and_what_has_come_is_compared() -> None:
    asked = Asked()
    with pytest.raises(KeyError, match="mine") as caught:
        compared({"a": asked.target("a"), "b": asked.target("b", 160, stop_at=8)}, runs=20)
    found = last_comparison(of=caught.value)
    assert found is not None
    assert found is last_comparison()
    assert (found.verdict, found.only.runs, found.wanted) == ("slower", (8, 8), 20)
    assert ("rounds, interrupted", "9 of 20") in found.rows() or ("rounds, interrupted", "8 of 20") in found.rows()


def test_what_was_interrupted_before_anything_came_decides_nothing() -> None:
    asked = Asked()
    with pytest.raises(KeyError) as caught:
        compared({"a": asked.target("a", stop_at=0), "b": asked.target("b")}, runs=20)
    found = last_comparison(of=caught.value)
    assert found is not None
    assert found.verdict == "cannot decide"


def test_a_metric_that_fails_does_so_with_the_first_run_and_loses_none() -> None:
    def mine(recording: Recording) -> float:
        raise LookupError(recording.label)

    asked = Asked()
    with pytest.raises(LookupError, match=r"^[ab]$") as caught:
        compared({"a": asked.target("a"), "b": asked.target("b")}, metric=mine, warm_up=0)
    found = last_comparison(of=caught.value)
    assert found is not None
    assert (len(asked.turns), found.metric) == (1, "ttft_ms")
    assert sum(len(each) for each in found.recordings.values()) == 1


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_in_a_plain_cell_keeps_it_too_and_the_run_it_fell_into() -> None:
    async def then_silence(peer: Peer) -> None:
        await peer.send(HEAD, chunk(event("hel")))
        asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGINT)
        await peer.left()

    async def main() -> None:
        async with serving(HELLO) as (url, _), serving(then_silence) as (other, _):
            await compare({"a": url, "b": other}, runs=6, warm_up=0, progress=False)

    with pytest.raises(KeyboardInterrupt) as caught:
        sk.run(main())
    found = last_comparison(of=caught.value)
    assert found is not None
    assert [str(one.outcome) for one in found.recordings["b"]] == ["cancelled(by us)"]
    assert found.recordings["b"][0].text == "hel"


# --- What makes no sense --------------------------------------------------------------------------------------------


async def one(n: int, visit: Visit) -> Recording:
    raise AssertionError(f"nobody is asked: {n}, {visit}")


@pytest.mark.parametrize(
    ("targets", "given", "error", "words"),
    [
        ({"a": one}, {}, ValueError, "expected 2 to 10 targets"),
        ({"a": one, "b": one}, {"runs": 5}, ValueError, "expected runs >= 6, got 5: fewer never show a difference"),
        ({"a": one, "b": one}, {"at": 95}, ValueError, "expected runs >= 160, got 40: fewer never show one of a p95"),
        ({"a": one, "b": one}, {"accept": "sse"}, TypeError, "expected no options of record.* beside functions"),
        ({"a": one, "b": one}, {"metric": "x"}, ValueError, "expected metric out of"),
        ({"a": one, "b": one}, {"against": "c"}, ValueError, "expected against out of a, b"),
        ({"a": one, "b": "nowhere"}, {}, ValueError, "expected a full URL"),
        ({"a": one, "b": 7}, {}, TypeError, "expected a Lab, a URL or an async function"),
        ([one, one], {}, TypeError, "expected targets by name"),
        ({1: one, "b": one}, {}, TypeError, "expected a target's name as a text, got 1"),
        ({"a": one, "b": one}, {"warm_up": -1}, ValueError, "expected warm_up"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(
    targets: Any, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        compared(targets, **given)
