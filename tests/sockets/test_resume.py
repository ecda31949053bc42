"""record(resume=…) over sockets: cut at every byte, the answer is the whole one, or the end is named."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

import streamkit as sk
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from tests.lab.client.peers import END, Peer, Script, chunk, sending, serving
from tests.lab.client.resumable import DONE_SSE, TEXT, Resumable

AT_ONCE = sk.Resume(backoff_ms=0)
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")


def asked(script: Script, **options: Any) -> Recording:
    """What comes of one POST that is resumed."""

    async def main() -> Recording:
        async with serving(script) as (url, _):
            return await record(url, data={"q": "x"}, **{"resume": AT_ONCE, **options})

    return asyncio.run(main())


def several(*scripts: Script) -> Script:
    """One for each connection; the last one for all that follow."""
    count = 0

    async def script(peer: Peer) -> None:
        nonlocal count
        count += 1
        await scripts[min(count, len(scripts)) - 1](peer)

    return script


def piece(number: int, text: str, prefix: str = "s1.") -> bytes:
    return chunk(b'id: %b%d\ndata: {"text":"%b"}\n\n' % (prefix.encode(), number, text.encode()))


BEGUN = sending(RELAY_HEAD, piece(1, "a"))
"""One piece, and then the connection is cut."""


def whole(recording: Recording) -> bool:
    ids = [id_ for id_, text in zip(recording.events.id, recording.events.text, strict=True) if text and id_]
    return (recording.text, str(recording.outcome), len(ids)) == (TEXT, "complete", len(set(ids)))


class TestAtEveryByte:
    @pytest.mark.parametrize(("kind", "plain"), [("sse", False), ("sse", True), ("ndjson", False), ("text", False)])
    def test_the_text_is_the_whole_one_and_nothing_comes_twice(self, kind: str, plain: bool) -> None:
        async def main() -> None:
            length = len(Resumable(kind, plain=plain).wire(b""))
            for cut in range(length):
                server = Resumable(kind, [cut], plain=plain)
                async with serving(server.script) as (url, _):
                    recording = await record(url, data={"q": "x"}, resume=AT_ONCE, preset=_preset(plain))
                assert whole(recording), (cut, recording, recording.meta["notes"])
                assert len(recording.cuts) == len(server.requests) - 1, cut

        asyncio.run(main())

    @pytest.mark.parametrize("kind", ["sse", "ndjson", "text"])
    def test_so_it_is_when_every_second_answer_is_cut_too(self, kind: str) -> None:
        rng = random.Random(7)

        async def main() -> None:
            for _ in range(150):
                cuts = [rng.randrange(330) for _ in range(4)]
                server = Resumable(kind, cuts)
                async with serving(server.script) as (url, _):
                    recording = await record(url, data={"q": "x"}, resume=sk.Resume(attempts=9, backoff_ms=0))
                assert whole(recording), (cuts, recording, recording.meta["notes"])

        asyncio.run(main())

    @pytest.mark.parametrize("kind", ["sse", "ndjson"])
    @pytest.mark.parametrize("overlap", [1, 2, 9])
    def test_so_it_is_where_the_server_replays_too_much(self, kind: str, overlap: int) -> None:
        async def main() -> list[Recording]:
            recordings = []
            for cut in range(180, len(Resumable(kind).wire(b"")) - 8):
                async with serving(Resumable(kind, [cut], overlap=overlap).script) as (url, _):
                    recordings.append(await record(url, data={"q": "x"}, resume=AT_ONCE))
            return recordings

        recordings = asyncio.run(main())
        assert [recording for recording in recordings if not whole(recording)] == []
        dropped = [note for recording in recordings for note in recording.meta["notes"] if "came once more" in note]
        assert dropped

    def test_without_resume_the_same_cut_is_the_end_and_no_cut_is_recorded(self) -> None:
        recording = asked(Resumable("sse", [250]).script, resume=None)
        assert (str(recording.outcome), recording.cuts) == ("truncated", ())


def _preset(plain: bool) -> Any:
    """A server that is not ours: its text stands somewhere, and its end has to be told."""
    if not plain:
        return None
    return sk.Preset(name="plain", text="text", ends=(sk.EndMark(where="@event == 'done'"),))


class TestTheRecording:
    def test_it_is_one_with_its_cut_its_silence_and_what_was_replayed(self) -> None:
        server = Resumable("sse", [Resumable().wire(b"").index(b"id: s1.3")], live=3)
        recording = asked(server.script)
        (cut,) = recording.cuts
        assert (cut.event, cut.status, cut.attempts, str(cut.outcome)) == (2, 200, 1, "truncated")
        assert cut.at_ns <= (cut.asked_ns or 0) <= (cut.back_ns or 0) <= recording.events.at_ns[2]
        assert (cut.replayed, cut.told) == (1, True)
        assert recording.replayed.tolist() == [False, False, True, False, False]
        assert b"last-event-id: s1.2\r\n" in server.requests[1].lower()
        assert recording.status == 200
        assert repr(recording).endswith("cut once>")

    def test_the_time_to_the_first_piece_is_that_from_the_first_request(self) -> None:
        async def late(peer: Peer) -> None:
            await asyncio.sleep(0.15)
            await peer.send(RELAY_HEAD, piece(1, "a"), chunk(DONE_SSE), END)

        recording = asked(several(sending(b""), late))
        assert (recording.summary().ttft_ms or 0) >= 150
        assert recording.outcome.ok

    def test_where_the_server_does_not_say_what_it_replays_that_is_an_estimate(self) -> None:
        recording = asked(Resumable("sse", [200], plain=True).script, preset=_preset(True))
        assert [cut.told for cut in recording.cuts] == [False]
        assert any("an estimate" in note for note in recording.summary().notes)

    def test_it_is_saved_with_its_cuts(self, tmp_path: Any) -> None:
        recording = asked(Resumable("sse", [250]).script)
        recording.save(tmp_path / "cut.jsonl")
        assert Recording.load(tmp_path / "cut.jsonl") == recording

    def test_neither_key_nor_cursor_is_in_its_notes(self) -> None:
        server = Resumable("sse", [250])
        notes = " ".join(asked(server.script).meta["notes"])
        assert "s1." not in notes
        assert "dempotency-Key:" not in notes


class TestTheEnd:
    def test_an_error_event_is_one_and_never_asked_again(self) -> None:
        server = several(sending(RELAY_HEAD, piece(1, "a"), chunk(b'event: error\ndata: {"code":"store_lost"}\n\n')))
        recording = asked(server)
        assert (str(recording.outcome), recording.cuts) == ("error_event(store_lost)", ())

    def test_so_is_done_though_the_connection_is_cut_behind_it(self) -> None:
        recording = asked(sending(RELAY_HEAD, piece(1, "a"), chunk(DONE_SSE)))
        assert (recording.outcome.ok, recording.cuts) == (True, ())

    def test_an_error_event_that_is_cut_itself_comes_whole_the_next_time(self) -> None:
        error = b'event: error\ndata: {"code":"store_lost"}\n\n'
        cut = sending(RELAY_HEAD, piece(1, "a"), chunk(error)[:30])
        recording = asked(several(cut, sending(RELAY_HEAD, chunk(error), END)))
        assert (str(recording.outcome), len(recording.cuts)) == ("error_event(store_lost)", 1)

    @pytest.mark.parametrize(("status", "code"), [(410, "stream_expired"), (410, "cursor_trimmed"), (404, "unknown")])
    def test_a_refusal_is_the_outcome_with_the_code_of_its_problem(self, status: int, code: str) -> None:
        body = b'{"code": "%b"}' % code.encode()
        head = b"HTTP/1.1 %d No\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n"
        recording = asked(several(BEGUN, sending(head % (status, len(body)), body)))
        assert str(recording.outcome) == f"refused({status})"
        assert recording.meta["problem_code"] == code
        assert (recording.error or "").endswith(code)
        assert (recording.text, recording.cuts[0].status, recording.cuts[0].resumed) == ("a", status, False)
        assert (recording.body or b"").count(b"code") == 0

    def test_204_leaves_the_stream_as_it_was_cut(self) -> None:
        recording = asked(several(BEGUN, sending(b"HTTP/1.1 204 No Content\r\n\r\n")))
        assert str(recording.outcome) == "truncated"
        assert any("answered 204" in note for note in recording.meta["notes"])

    def test_a_foreign_type_does_too_and_is_named(self) -> None:
        page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
        recording = asked(several(BEGUN, sending(page)))
        assert (str(recording.outcome), recording.text) == ("truncated", "a")
        assert any("text/html instead of text/event-stream" in note for note in recording.meta["notes"])

    def test_a_text_that_begins_anew_is_not_joined(self) -> None:
        server = Resumable("text", [len(Resumable("text").wire(b"")) - 12])
        server.knows_range = False
        recording = asked(server.script)
        assert str(recording.outcome) == "truncated"
        assert TEXT.startswith(recording.text.rstrip("�"))
        assert any("200 instead of 206" in note for note in recording.meta["notes"])

    def test_another_answer_under_the_same_ids_is_not_joined_and_named(self) -> None:
        other = sending(SSE_HEAD, piece(1, "x", ""), piece(2, "y", ""), chunk(DONE_SSE), END)
        recording = asked(several(sending(SSE_HEAD, piece(1, "a", ""), piece(2, "b", "")), other), preset=_preset(True))
        assert (str(recording.outcome), recording.text) == ("error_event(other_answer)", "ab")

    def test_pieces_that_a_relay_has_lost_are_named(self) -> None:
        recording = asked(several(BEGUN, sending(RELAY_HEAD, piece(4, "d"), chunk(DONE_SSE), END)))
        assert (str(recording.outcome), recording.text) == ("error_event(lost_over_cut)", "ad")
        assert recording.error == "2 pieces lost at a cut"

    def test_events_without_ids_are_not_resumed_and_it_says_why(self) -> None:
        no_ids = sending(RELAY_HEAD, chunk(b'data: {"text":"a"}\n\n'))
        recording = asked(no_ids)
        assert (str(recording.outcome), recording.cuts) == ("truncated", ())
        assert any("have no ids" in note for note in recording.meta["notes"])


class TestAttempts:
    def test_they_are_bounded(self) -> None:
        requests = 0

        async def cutting(peer: Peer) -> None:
            nonlocal requests
            requests += 1
            await BEGUN(peer)

        recording = asked(cutting, resume=sk.Resume(attempts=3, backoff_ms=0))
        assert (requests, str(recording.outcome), recording.text) == (4, "truncated", "a")
        assert [cut.attempts for cut in recording.cuts] == [3]
        assert any("3 attempts in a row" in note for note in recording.meta["notes"])

    def test_nobody_there_is_a_failed_attempt_once_somebody_was(self) -> None:
        async def main() -> Recording:
            begun = asyncio.Event()

            async def script(peer: Peer) -> None:
                begun.set()
                await BEGUN(peer)

            async with serving(script) as (url, _):
                task = asyncio.create_task(record(url, resume=sk.Resume(attempts=2, backoff_ms=100)))
                await begun.wait()
            return await task

        recording = asyncio.run(main())
        assert (str(recording.outcome), recording.text) == ("refused(connect)", "a")

    def test_nobody_there_at_first_is_refused_as_ever(self) -> None:
        recording = asyncio.run(record("http://127.0.0.1:1/ans", resume=AT_ONCE))
        assert (str(recording.outcome), recording.cuts) == ("refused(connect)", ())

    def test_a_server_that_is_busy_is_asked_again(self) -> None:
        busy = sending(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        recording = asked(several(BEGUN, busy, busy, sending(RELAY_HEAD, piece(2, "b"), chunk(DONE_SSE), END)))
        assert (recording.outcome.ok, recording.text) == (True, "ab")
        assert [(cut.attempts, cut.status) for cut in recording.cuts] == [(3, 200)]

    def test_what_a_busy_server_said_is_forgotten_when_the_stream_goes_on_or_nobody_answers(self) -> None:
        body = b'{"code": "busy"}'
        busy = sending(
            b"HTTP/1.1 503 Busy\r\nContent-Type: application/problem+json\r\nContent-Length: 16\r\n\r\n", body
        )
        recording = asked(several(BEGUN, busy, sending(RELAY_HEAD, piece(2, "b"), chunk(DONE_SSE), END)))
        assert (recording.outcome.ok, "problem_code" in recording.meta) == (True, False)
        recording = asked(several(BEGUN, busy, sending(b"")), resume=sk.Resume(attempts=2, backoff_ms=0))
        assert (str(recording.outcome), "problem_code" in recording.meta) == ("truncated", False)
        recording = asked(several(BEGUN, busy), resume=sk.Resume(attempts=2, backoff_ms=0))
        assert (str(recording.outcome), recording.meta["problem_code"]) == ("refused(503)", "busy")

    def test_a_silent_connection_is_cut_by_the_timer_and_resumed(self) -> None:
        async def silent(peer: Peer) -> None:
            await BEGUN(peer)
            await peer.left()

        recording = asked(several(silent, sending(RELAY_HEAD, piece(2, "b"), chunk(DONE_SSE), END)), timeout=0.1)
        assert (recording.outcome.ok, recording.text) == (True, "ab")
        assert str(recording.cuts[0].outcome) == "timeout(idle)"

    def test_all_of_it_is_bounded_by_total_s_the_waiting_too(self) -> None:
        waiting = sending(RELAY_HEAD, chunk(b'retry: 20000\nid: s1.1\ndata: {"text":"a"}\n\n'))
        recording = asked(waiting, total_s=0.2)
        assert (str(recording.outcome), recording.text) == ("timeout(total)", "a")

    def test_interrupted_while_it_waits_it_is_kept(self) -> None:
        async def main() -> Recording | None:
            waiting = sending(RELAY_HEAD, chunk(b'retry: 20000\nid: s1.1\ndata: {"text":"a"}\n\n'))
            async with serving(waiting) as (url, _):
                try:
                    await asyncio.wait_for(record(url, resume=AT_ONCE), 0.2)
                except TimeoutError as error:
                    return sk.last_recording(of=error)
            return None

        recording = asyncio.run(main())
        assert recording is not None
        assert (str(recording.outcome), recording.text) == ("cancelled(by us)", "a")


class TestInALab:
    def test_a_relay_that_does_not_resume_answers_with_another_stream_which_is_not_joined(self) -> None:
        """Though its ids count from 1 in each answer, and this one says the same again."""

        async def main() -> Recording:
            with sk.Lab(sk.Script(["a"] * 30, gap_ms=1), client_link=[sk.net.Cut(after_bytes=700)]) as lab:
                return await lab.post(chat_history="hi", accept="sse", resume=AT_ONCE)

        recording = asyncio.run(main())
        assert (str(recording.outcome), recording.cuts[0].status) == ("truncated", 200)
        assert 0 < len(recording.text) < 30
        assert any("another stream, which is not joined" in note for note in recording.meta["notes"])


class TestWays:
    def test_a_client_of_your_own_goes_on_too(self) -> None:
        async def main() -> tuple[Recording, list[bytes]]:
            server = Resumable("sse", [250])
            async with serving(server.script) as (url, _), httpx2.AsyncClient(trust_env=False) as client:
                return await record(url, data={"q": "x"}, client=client, resume=AT_ONCE), server.requests

        recording, requests = asyncio.run(main())
        assert whole(recording)
        assert requests[0].partition(b"\r\n\r\n")[2] == requests[1].partition(b"\r\n\r\n")[2] == b"q=x"

    def test_a_paced_reader_goes_on_at_its_pace(self) -> None:
        recording = asked(Resumable("sse", [250]).script, reader=sk.Reader(events_per_s=200))
        assert whole(recording)

    def test_a_compressed_stream_begins_its_coding_anew_in_each_answer(self) -> None:
        head = RELAY_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        first, rest = gzip.compress(Resumable().body()), gzip.compress(Resumable().body(1))
        flushed = zlib.compressobj(wbits=31)
        begun = flushed.compress(Resumable().body()[: Resumable().body().index(b"id: s1.2")])
        begun += flushed.flush(zlib.Z_SYNC_FLUSH)
        goes_on = sending(head, chunk(rest), END)
        recording = asked(several(sending(head, chunk(begun)), goes_on), accept_encoding="gzip")
        assert (recording.text, recording.outcome.ok, len(recording.cuts)) == (TEXT, True, 1)
        recording = asked(several(sending(head, chunk(first[:20]), END), sending(head, chunk(first), END)))
        assert (recording.text, recording.outcome.ok, len(recording.cuts)) == (TEXT, True, 1)

    def test_every_piece_is_told_once(self) -> None:
        told: list[str] = []
        assert whole(asked(Resumable("sse", [250]).script, on_piece=told.append))
        assert "".join(told) == TEXT

    def test_an_iterator_cannot_be_sent_again(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"

        with pytest.raises(TypeError, match="cannot be sent again"):
            asyncio.run(record("http://127.0.0.1:1/", content=pieces(), resume=AT_ONCE))

    @pytest.mark.parametrize("given", [5, True, "yes"])
    def test_resume_is_a_resume(self, given: Any) -> None:
        with pytest.raises(TypeError, match="expected resume as a Resume"):
            asyncio.run(record("http://127.0.0.1:1/", resume=given))

    def test_the_idempotency_key_of_the_caller_is_left_alone(self) -> None:
        server = Resumable("sse", [250])
        asked(server.script, headers={"Idempotency-Key": "mine"})
        keys = [line for request in server.requests for line in request.split(b"\r\n") if b"dempotency" in line]
        assert keys == [b"Idempotency-Key: mine"] * 2

    def test_retry_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr("streamkit.lab.client.course.asyncio", _Sleepless(waits.append))
        first = sending(RELAY_HEAD, chunk(b'retry: 1500\nid: s1.1\ndata: {"text":"a"}\n\n'))
        assert asked(several(first, sending(RELAY_HEAD, piece(2, "b"), chunk(DONE_SSE), END))).text == "ab"
        assert waits == [1.5]


class _Sleepless:
    """asyncio, but sleeping is told and takes no time."""

    def __init__(self, told: Callable[[float], None]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self._told(seconds)
