"""load(): requests are sent when they are due, all is recorded, and nothing of it is lost when it is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

import streamkit as sk
from streamkit.errors import ConfigError
from streamkit.lab.load import kept
from streamkit.lab.load.kept import last_load
from streamkit.lab.load.load import load
from streamkit.lab.load.mix import Visit
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.outcome import Outcome
from tests.lab.client.peers import DONE, END, HEAD, Peer, Script, chunk, event, sending, serving

HELLO = sending(HEAD, chunk(event("hello") + DONE), END)
BY_US = Outcome("cancelled", "by us")


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.LAST, "value", None)


async def piece_and_silence(peer: Peer) -> None:
    await peer.send(HEAD, chunk(event("hel")))
    await peer.left()


def loaded(script: Script = HELLO, **given: Any) -> RecordingSet:
    """What a load of a server that does `script` gives."""

    async def main() -> RecordingSet:
        async with serving(script) as (url, _):
            return await load(url, progress=False, **given)

    return asyncio.run(main())


# --- What is sent, and when -----------------------------------------------------------------------------------------


def test_every_answer_is_recorded_in_the_order_in_which_they_were_due() -> None:
    streams = loaded(streams=20, rate=400)
    assert [recording.text for recording in streams] == ["hello"] * 20
    due_ns = [recording.started_ns + (recording.due_ns or 0) for recording in streams]
    assert due_ns == sorted(due_ns)
    assert last_load() is streams


def test_no_request_is_sent_before_it_is_due() -> None:
    streams = loaded(streams=20, rate=400, arrivals="constant")
    lateness_ns = [-recording.due_ns for recording in streams if recording.due_ns is not None]
    assert len(lateness_ns) == 20
    assert min(lateness_ns) >= 0


def test_the_same_seed_gives_the_same_load() -> None:
    def told(streams: RecordingSet) -> list[Any]:
        begun_ns = streams.meta["begun_ns"]
        return [(one.started_ns + (one.due_ns or 0) - begun_ns, dict(one.labels)) for one in streams]

    given: dict[str, Any] = {"streams": 12, "rate": 300, "prompts": ["a", "b"], "seed": 5}
    assert told(loaded(**given)) == told(loaded(**given))


def test_a_text_is_asked_as_a_form_and_as_its_provider_wants_it_where_that_is_known() -> None:
    async def main() -> list[bytes]:
        async with serving(HELLO) as (url, peers):
            await load(url, streams=1, prompts="who?", progress=False)
            await load(url, streams=1, prompts="who?", preset="ollama", model="qwen3", progress=False)
            await load(url, streams=1, prompts={"json": {"n": 1}}, headers={"x-mine": "1"}, progress=False)
            return [peer.request for peer in peers]

    form, provider, mine = asyncio.run(main())
    assert form.endswith(b"chat_history=who%3F")
    assert b'{"model":"qwen3","messages":[{"role":"user","content":"who?"}]' in provider
    assert mine.endswith(b'{"n":1}')
    assert b"x-mine: 1" in mine.lower()


def test_a_header_of_ones_own_takes_the_place_of_the_providers_and_may_be_repeated() -> None:
    headers = [("Accept", "text/plain"), ("x-mine", "1"), ("X-Mine", "2")]

    async def main() -> list[bytes]:
        async with serving(HELLO) as (url, peers):
            await load(url, streams=1, preset="openai", model="m", headers=headers, progress=False)
            return [peer.request for peer in peers]

    (asked,) = asyncio.run(main())
    fields = [line.partition(b": ") for line in asked.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")]
    assert [value for name, _, value in fields if name == b"accept"] == [b"text/plain"]
    assert [value for name, _, value in fields if name == b"x-mine"] == [b"1", b"2"]


def test_what_the_set_was_to_be_stands_in_it() -> None:
    meta = loaded(streams=3, rate=500, arrivals="gamma(0.5)", seed=2, slo=sk.metrics.SLO(ttft_ms=50)).meta
    assert (meta["arrivals"], meta["rate"], meta["streams"], meta["seed"]) == ("gamma(0.5)", 500, 3, 2)
    assert meta["slo"] == {"ttft_ms": 50, "gap_ms": None}


def test_each_recording_is_told_of_as_it_ends() -> None:
    seen: list[Recording] = []
    streams = loaded(streams=5, on_done=seen.append)
    assert sorted(seen, key=id) == sorted(streams, key=id)


# --- Those that leave, and those that ask again ---------------------------------------------------------------------


def test_who_leaves_is_recorded_as_having_left_and_the_server_is_left() -> None:
    streams = loaded(piece_and_silence, streams=6, leave=1, leave_after_s=(0.05, 0.15))  # else the server would wait
    assert {recording.outcome for recording in streams} == {BY_US}
    assert {recording.labels["leaves"] for recording in streams} == {True}


def test_in_a_closed_loop_there_are_never_more_than_its_users() -> None:
    now, most = 0, 0

    async def counting(peer: Peer) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        await peer.send(HEAD, chunk(event("a") + DONE), END)

    streams = loaded(counting, streams=12, arrivals="closed(3)")
    assert len(streams) == 12
    assert most == 3
    assert {recording.labels["user"] for recording in streams} == {0, 1, 2}
    assert {recording.due_ns for recording in streams} == {None}


def test_a_closed_loop_ends_with_its_time() -> None:
    streams = loaded(duration_s=0.05, arrivals="closed(2, 0.01)")
    last_s = max(one.started_ns for one in streams) - streams.meta["begun_ns"]
    assert last_s < 0.05e9 + 1e9 * 0.01 + max(one.ended_ns or 0 for one in streams)


# --- What is kept ---------------------------------------------------------------------------------------------------


def test_what_is_interrupted_keeps_what_had_ended_and_what_ran() -> None:
    async def main() -> RecordingSet:
        answered = 0

        async def first_three(peer: Peer) -> None:
            nonlocal answered
            answered += 1
            await (HELLO if answered <= 3 else piece_and_silence)(peer)

        done = asyncio.Event()
        ended: list[Recording] = []

        def count(recording: Recording) -> None:
            ended.append(recording)
            if len(ended) == 3:
                asyncio.get_running_loop().call_later(0.1, done.set)

        async with serving(first_three) as (url, _):
            task = asyncio.ensure_future(load(url, streams=5, progress=False, on_done=count))
            await done.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        found = last_load(of=caught.value)
        assert found is not None
        assert found is last_load()
        return found

    streams = asyncio.run(main())
    assert sorted(str(recording.outcome) for recording in streams) == ["cancelled(by us)"] * 2 + ["complete"] * 3
    assert sorted(recording.text for recording in streams) == ["hel"] * 2 + ["hello"] * 3
    assert streams.resources


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_in_a_plain_cell_keeps_it_too() -> None:
    async def main() -> None:
        async with serving(piece_and_silence) as (url, _):
            asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGINT)
            await load(url, streams=2, progress=False)

    with pytest.raises(KeyboardInterrupt) as caught:
        sk.run(main())
    streams = last_load(of=caught.value)
    assert streams is not None
    assert [recording.outcome for recording in streams] == [BY_US] * 2


def test_what_a_function_raises_ends_the_load_as_it_is_and_keeps_the_others() -> None:
    async def main() -> RecordingSet | None:
        async with serving(piece_and_silence) as (url, _):

            async def target(n: int, visit: Visit) -> Recording:
                if n == 2:
                    await asyncio.sleep(0.1)
                    raise KeyError("mine")
                return await sk.record(url, **visit.options)

            with pytest.raises(KeyError, match="mine") as caught:
                await load(target, streams=3, progress=False)
            return last_load(of=caught.value)

    streams = asyncio.run(main())
    assert streams is not None
    assert [recording.outcome for recording in streams] == [BY_US] * 2


# --- Targets --------------------------------------------------------------------------------------------------------


def test_a_function_need_not_pass_on_what_it_was_asked() -> None:
    async def target(n: int, visit: Visit) -> Recording:
        return Recording.from_pieces([(0, f"{n} {visit.prompt}")], started_ns=time.monotonic_ns())

    streams = asyncio.run(load(target, streams=4, rate=400, prompts=["a", "b"], progress=False))
    assert [recording.text for recording in streams] == [f"{n} {one.labels['prompt']}" for n, one in enumerate(streams)]
    assert all(recording.due_ns is not None and recording.due_ns <= 0 for recording in streams)


def test_of_a_lab_all_three_are_told_of() -> None:
    async def main() -> RecordingSet:
        with sk.Lab(sk.Script("one two three", gap_ms=5), gauge_ms=0) as lab:
            return await load(lab, streams=10, rate=100, accept="sse", progress=False)

    streams = asyncio.run(main())
    assert {recording.text for recording in streams} == {"one two three"}
    assert all({"upstream.sent", "relay.read"} <= recording.taps.keys() for recording in streams)
    by_name = {used.name: used for used in streams.resources}
    assert list(by_name) == ["all in one process", "client", "relay", "upstream"]
    assert all(max(by_name[name].cpu_ns) > 0 for name in by_name)
    assert all(max(by_name[name].loop_late_ns) >= 0 for name in ("client", "relay", "upstream"))
    assert max(by_name["all in one process"].rss_bytes) > 1 << 20


def test_a_lab_in_one_loop_is_started_once() -> None:
    async def main() -> RecordingSet:
        return await load(sk.Lab(sk.Script("one two"), roles="one loop"), streams=3, accept="sse", progress=False)

    assert {recording.text for recording in asyncio.run(main())} == {"one two"}


def test_a_process_elsewhere_is_watched_by_its_number() -> None:
    used = {used.name: used for used in loaded(streams=2, pids={"mine": os.getpid()}).resources}
    assert list(used) == ["client", "mine"]
    assert min(used["mine"].descriptors) > 0


# --- What is refused ------------------------------------------------------------------------------------------------


def test_more_at_once_than_there_are_descriptors_are_refused_before_the_first() -> None:
    with pytest.raises(ConfigError, match=r"expected at most 3 streams open at a time, got 4: .* Set `ulimit -n \d+`"):
        asyncio.run(load("http://127.0.0.1:9/", streams=4, max_open=3))


def test_one_more_than_may_be_open_ends_the_load_and_keeps_the_others() -> None:
    with pytest.raises(ConfigError, match="expected at most 2 streams open at a time, got 3") as caught:
        loaded(piece_and_silence, streams=4, rate=100, arrivals="constant", max_open=2)
    streams = last_load(of=caught.value)
    assert streams is not None
    assert [recording.outcome for recording in streams] == [BY_US] * 2


@pytest.mark.parametrize(
    ("target", "given", "error", "message"),
    [
        (3, {"streams": 1}, TypeError, r"expected a Lab, a URL or an async function \(n, visit\) -> Recording"),
        ("here", {"streams": 1}, ValueError, "expected a full URL"),
        (print, {"streams": 1, "accept": "sse"}, TypeError, r"expected no options of record\(\) beside a function"),
        ("http://h/", {"streams": 1, "slo": 3}, TypeError, "expected slo as an SLO"),
        ("http://h/", {"streams": 1, "pids": 0}, ValueError, "expected the process id of server as an integer >= 1"),
        ("http://h/", {"streams": 1, "preset": "opnai"}, LookupError, "expected a preset's name, got 'opnai'"),
        ("http://h/", {"streams": 1, "prompts": "a", "json": {}}, TypeError, "expected prompts= or json="),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    target: Any, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        asyncio.run(load(target, progress=False, **given))


def test_what_records_nothing_is_no_target() -> None:
    async def nothing(n: int, visit: Visit) -> None:
        """Returns none."""

    with pytest.raises(TypeError, match="expected the target to return a Recording, got None"):
        asyncio.run(load(nothing, streams=1, progress=False))  # type: ignore[arg-type]  # the claim
