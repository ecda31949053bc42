"""An interrupted recording is kept: what had come by then, in the exception that passes through and as the last one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import streamkit as sk
from streamkit.lab.client import kept
from streamkit.lab.client.kept import LAST, last_recording
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.lab.client.peers import DONE, END, HEAD, Peer, chunk, event, recorded, sending, serving


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.LAST, "value", None)


async def one_piece_and_silence(peer: Peer) -> None:
    await peer.send(HEAD, chunk(event("a") + b"data: {"))
    await peer.left()


Interrupt = Callable[[Awaitable[Recording], asyncio.Event], Awaitable[BaseException]]


async def by_a_timeout(recording: Awaitable[Recording], seen: asyncio.Event) -> BaseException:
    waiting = asyncio.ensure_future(recording)
    await seen.wait()
    with pytest.raises(TimeoutError) as caught:
        await asyncio.wait_for(waiting, 0.01)
    return caught.value


async def by_cancelling_its_task(recording: Awaitable[Recording], seen: asyncio.Event) -> BaseException:
    task = asyncio.ensure_future(recording)
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


async def by_a_scope(recording: Awaitable[Recording], seen: asyncio.Event) -> BaseException:
    async def expire(scope: asyncio.Timeout) -> None:
        await seen.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(None) as scope:
            expiring = asyncio.ensure_future(expire(scope))
            await recording
    except TimeoutError as error:
        await expiring
        return error
    raise AssertionError


async def by_another_task_of_its_group(recording: Awaitable[Recording], seen: asyncio.Event) -> BaseException:
    async def fail() -> None:
        await seen.wait()
        raise KeyError("another's")

    async def keeping() -> None:
        try:
            await recording
        except asyncio.CancelledError as error:
            raise ValueError("ours") from error

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(keeping())
            group.create_task(fail())
    except ExceptionGroup as error:
        return error
    raise AssertionError


INTERRUPTS = [by_a_timeout, by_cancelling_its_task, by_a_scope, by_another_task_of_its_group]


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda by: by.__name__)
def test_what_had_come_is_a_recording_that_was_cancelled_by_us(interrupt: Interrupt) -> None:
    async def main() -> BaseException:
        seen = asyncio.Event()
        async with serving(one_piece_and_silence) as (url, _):
            return await interrupt(record(url, on_piece=lambda _: seen.set()), seen)

    error = asyncio.run(main())
    recording = last_recording(of=error)
    assert recording is not None
    assert recording is sk.last_recording()
    assert (str(recording.outcome), recording.text, recording.status) == ("cancelled(by us)", "a", 200)
    assert recording.body == event("a") + b"data: {"
    assert "cut" not in " ".join([recording.error or "", *recording.meta["notes"], *recording.summary().notes])
    assert recording.meta["loop_lag_ns"] >= 0


def test_the_exception_itself_has_it() -> None:
    def fail(_text: str) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        recorded(one_piece_and_silence, on_piece=fail)
    recording = last_recording()
    assert recording is not None
    assert vars(caught.value)["recording"] is recording
    assert (str(recording.outcome), recording.text) == ("cancelled(by us)", "a")
    assert recording.error == "the recording was interrupted: a KeyError was raised meanwhile"


def test_who_listens_is_told_of_nothing_behind_what_it_raised() -> None:
    told: list[str] = []

    def fail(text: str) -> None:
        told.append(text)
        raise KeyError(text)

    with pytest.raises(KeyError, match="a"):
        recorded(sending(HEAD, chunk(event("a") + event("b")), chunk(DONE), END), on_piece=fail)
    assert told == ["a"]


def test_a_paced_reader_that_is_interrupted_has_what_it_was_not_handed_yet_too() -> None:
    async def main() -> Recording | None:
        seen = asyncio.Event()
        reader = sk.Reader(pauses_s={1: 60})
        async with serving(sending(HEAD, chunk(event("a") + event("b")), chunk(DONE), END)) as (url, _):
            return last_recording(
                of=await by_a_timeout(record(url, on_piece=lambda _: seen.set(), reader=reader), seen)
            )

    recording = asyncio.run(main())
    assert recording is not None
    assert (str(recording.outcome), recording.text) == ("cancelled(by us)", "ab")
    assert recording.events.handed_ns[1] >= (recording.ended_ns or 0) > recording.events.handed_ns[0]


def test_before_any_answer_the_wait_for_it_is_what_is_kept() -> None:
    async def main() -> BaseException:
        asked = asyncio.Event()

        async def silent(peer: Peer) -> None:
            asked.set()
            await peer.left()

        async with serving(silent) as (url, _):
            return await by_cancelling_its_task(record(url), asked)

    recording = last_recording(of=asyncio.run(main()))
    assert recording is not None
    assert (str(recording.outcome), recording.status, len(recording.events)) == ("cancelled(by us)", None, 0)
    assert recording.sent_ns is not None


def test_a_stream_that_had_ended_by_itself_is_complete_although_it_was_interrupted() -> None:
    async def ended_but_open(peer: Peer) -> None:
        await peer.send(HEAD, chunk(event("a") + DONE))
        await peer.left()

    async def main() -> Recording | None:
        seen = asyncio.Event()
        async with serving(ended_but_open) as (url, _):
            return last_recording(of=await by_cancelling_its_task(record(url, on_piece=lambda _: seen.set()), seen))

    recording = asyncio.run(main())
    assert recording is not None
    assert recording.outcome.ok


def test_it_is_saved_and_loaded_as_any_other(tmp_path: Path) -> None:
    recording = Recording.from_pieces([(7, "a")], outcome=Outcome("cancelled", "by us"))
    recording.save(tmp_path / "kept.jsonl")
    assert Recording.load(tmp_path / "kept.jsonl") == recording
    assert Outcome.parse(str(recording.outcome)) == recording.outcome


def test_a_finished_recording_is_the_last_one_too_and_the_next_takes_its_place() -> None:
    first, second = (recorded(sending(HEAD, chunk(event(text) + DONE), END)) for text in "ab")
    assert (first.text, last_recording()) == ("a", second)


def test_there_is_none_before_the_first() -> None:
    assert last_recording() is None
    assert last_recording(of=KeyError("mine")) is None


def test_it_is_found_in_what_an_exception_was_made_of() -> None:
    recording, carrier = Recording(), asyncio.CancelledError()
    LAST.carry(recording, carrier)
    outer = KeyboardInterrupt()
    outer.__context__ = ExceptionGroup("several", [ValueError("x"), _caused_by(carrier)])
    assert last_recording(of=outer) is recording
    LAST.keep(Recording())
    assert last_recording(of=outer) is recording
    assert last_recording() is not recording


def test_a_chain_that_is_a_circle_ends() -> None:
    one, other = KeyError(), KeyError()
    one.__context__, other.__cause__ = other, one
    assert last_recording(of=one) is None


def _caused_by(cause: BaseException) -> Exception:
    error = ValueError("y")
    error.__cause__ = cause
    return error


def test_the_lab_keeps_it_joined_with_the_taps_of_its_servers() -> None:
    with sk.Lab(sk.Script(["a"], first_piece_ms=0, gap_ms=0)) as lab:
        recording = sk.run(lab.ask("hi"))
    assert recording.taps
    assert last_recording() is recording


def test_the_lab_lets_an_interrupted_one_through() -> None:
    async def main(lab: sk.Lab) -> BaseException:
        seen = asyncio.Event()
        ask = functools.partial(lab.ask, "hi", accept="sse", on_piece=lambda _: seen.set())
        return await by_a_timeout(ask(), seen)

    with sk.Lab(sk.Script(["a", "b"], first_piece_ms=0, gap_ms=60_000)) as lab:
        recording = last_recording(of=sk.run(main(lab)))
    assert recording is not None
    assert (str(recording.outcome), recording.text) == ("cancelled(by us)", "a")
