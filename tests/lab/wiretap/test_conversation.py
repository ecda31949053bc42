"""Conversation: which recordings one connection's bytes give, however they are cut; and what it does with what it
cannot read.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording
from streamkit.lab.wiretap.answer import PassingAnswer
from streamkit.lab.wiretap.conversation import MAX_WAITING, Conversation
from streamkit.lab.wiretap.requests import PassingRequest, Requests
from streamkit.transport.framing import LAST_CHUNK, chunk
from tests.lab.wiretap.test_bodies import cut
from tests.lab.wiretap.test_requests import CHUNKED, GET, POST, UPLOAD

MS = 1_000_000
EVENT = b'data: {"text": "hi"}\n\n'
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Stream-Id: s1\r\n"
BEGUN = SSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(EVENT) * 2
REST = chunk(b"event: done\ndata: {}\n\n") + LAST_CHUNK
STREAM = BEGUN + REST
HEAD = b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWERS: dict[bytes, list[bytes]] = {
    GET: [
        STREAM,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + STREAM,
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
    ],
    POST: [
        b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b'HTTP/1.1 429 No\r\nContent-Type: application/problem+json\r\nContent-Length: 13\r\n\r\n{"code": "a"}',
    ],
    UPLOAD: [STREAM],
    HEAD: [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"],
}
HOSTS = re.compile(rb"(?i)host: ?(api\.test|127\.0\.0\.1:9000|here|x)(?=\r)")
PARTS = st.sampled_from(
    [GET, POST, UPLOAD[:70], UPLOAD[70:], HEAD, STREAM, BEGUN, REST, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"]
)
TALKS = st.lists(
    st.sampled_from([(asked, answer) for asked, answers in ANSWERS.items() for answer in answers]),
    min_size=1,
    max_size=5,
)


@dataclass
class Fake:
    """Who takes the recordings."""

    room: bool = True
    bytes_left: int = 1 << 20
    max_bytes: int = 1 << 20
    recordings: list[Recording] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    running: int = 0

    def recorder(self, request: PassingRequest, clock: Callable[[], int]) -> Recorder | None:
        if not self.room:
            return None
        recorder = Recorder(url=request.target, method=request.method, clock=clock, max_bytes=self.max_bytes)
        recorder.started_ns = request.begun_ns
        self.running += 1
        return recorder

    def grows(self, recorder: Recorder, size: int) -> bool:
        del recorder
        self.bytes_left -= size
        return self.bytes_left >= 0

    def ends(self, recorder: Recorder) -> None:
        del recorder
        self.running -= 1

    def drop(self, recorder: Recorder) -> None:
        self.ends(recorder)

    def keep(self, recorder: Recorder, recording: Recording) -> None:
        del recorder
        self.recordings.append(recording)

    def tell(self, what: str) -> None:
        self.told.append(what)

    @property
    def outcomes(self) -> list[str]:
        return [str(each.outcome) for each in self.recordings]


@pytest.fixture
def party() -> Fake:
    return Fake()


@pytest.fixture
def talk(party: Fake) -> Conversation:
    return Conversation(party, "connection 1")


def ask(talk: Conversation, data: bytes, at_ms: int = 0) -> bytes:
    """The client's bytes, which go on at once."""
    out = talk.sent(data, at_ms * MS)
    talk.passed(len(out), at_ms * MS)
    return out


def told_of(recording: Recording) -> tuple[Any, ...]:
    return (
        *(recording.url, recording.status, str(recording.outcome), recording.error, recording.text, recording.body),
        *(recording.meta["framing"], dict(recording.headers), [event.data for event in recording.events if event.data]),
    )


def heard(sent: list[bytes], came: list[bytes]) -> Fake:
    """All that is sent before anything comes: each request of a pipeline waits for those before it."""
    party = Fake()
    talk = Conversation(party, "connection 1")
    for part in sent:
        assert ask(talk, part) == part
    for part in came:
        talk.answered(part, 7)
    talk.target_ended("fin", 8)
    talk.over(9)
    return party


# --- Every split of a conversation gives the same recordings --------------------------------------------------------


@given(TALKS, st.lists(st.integers(0, 3000), max_size=16), st.lists(st.integers(0, 3000), max_size=16))
@settings(max_examples=100, deadline=None)
def test_however_it_is_cut_the_recordings_are_the_same(
    talks: list[tuple[bytes, bytes]], cuts_up: list[int], cuts_down: list[int]
) -> None:
    up, down = (b"".join(each) for each in zip(*talks, strict=True))
    whole = heard([up], [down])
    split = heard(cut(up, cuts_up), cut(down, cuts_down))
    assert len(whole.recordings) == len(talks)
    assert list(map(told_of, split.recordings)) == list(map(told_of, whole.recordings))
    assert split.told == whole.told == []


@given(TALKS)
@settings(max_examples=50, deadline=None)
def test_one_after_the_other_they_are_what_they_are_in_a_pipeline(talks: list[tuple[bytes, bytes]]) -> None:
    party = Fake()
    talk = Conversation(party, "connection 1")
    for asked, answer in talks:
        ask(talk, asked)
        talk.answered(answer, 1)
    talk.over(2)
    up, down = (b"".join(each) for each in zip(*talks, strict=True))
    assert list(map(told_of, party.recordings)) == list(map(told_of, heard([up], [down]).recordings))


@given(TALKS, st.integers(1, 3000))
@settings(max_examples=100, deadline=None)
def test_cut_off_anywhere_what_was_whole_is_there_and_the_one_that_ran_is_truncated(
    talks: list[tuple[bytes, bytes]], at: int
) -> None:
    up, down = (b"".join(each) for each in zip(*talks, strict=True))
    at %= len(down)
    party = heard([up], [down[:at]])
    whole = heard([up], [down])
    ends = [sum(len(answer) for _, answer in talks[: n + 1]) for n in range(len(talks))]
    done = sum(end <= at for end in ends)
    assert list(map(told_of, party.recordings[:done])) == list(map(told_of, whole.recordings[:done]))
    assert all(outcome in ("truncated", "complete", "refused(429)") for outcome in party.outcomes[done:])
    assert len(party.recordings) == len(talks)


# --- Times ----------------------------------------------------------------------------------------------------------


def test_times_count_from_the_requests_first_byte_and_it_was_sent_with_its_last(
    talk: Conversation, party: Fake
) -> None:
    ask(talk, POST[:10], 100)
    ask(talk, POST[10:-1], 110)
    ask(talk, POST[-1:], 120)
    talk.answered(BEGUN, 150 * MS)
    talk.answered(REST, 170 * MS)
    (recording,) = party.recordings
    assert recording.started_ns == 100 * MS
    assert recording.sent_ns == 20 * MS
    assert recording.summary().duration_ms == 50


def test_a_request_is_sent_when_it_has_gone_on_not_when_it_was_read(talk: Conversation, party: Fake) -> None:
    talk.sent(POST, 0)
    talk.passed(len(POST) - 1, 5 * MS)
    talk.passed(1, 9 * MS)
    talk.answered(STREAM, 12 * MS)
    assert party.recordings[0].sent_ns == 9 * MS
    assert party.recordings[0].summary().ttft_ms == 3


def test_events_have_the_time_of_their_read(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    head = STREAM.index(chunk(EVENT))
    for at_ms, part in ((10, STREAM[:head]), (20, chunk(EVENT)), (50, chunk(EVENT)), (60, REST)):
        talk.answered(part, at_ms * MS)
    (recording,) = party.recordings
    assert [event.at_ns // MS for event in recording.events] == [20, 50, 60]
    assert (recording.head_ns, recording.ended_ns) == (10 * MS, 60 * MS)
    assert recording.summary().max_gap_ms == 30


def test_an_answer_that_comes_before_all_is_sent_counts_from_the_first_byte(talk: Conversation, party: Fake) -> None:
    ask(talk, UPLOAD[:-5], 3)
    talk.answered(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 10 * MS)
    assert party.outcomes == ["refused(413)"]
    assert party.recordings[0].sent_ns is None
    ask(talk, UPLOAD[-5:] + GET, 20)
    talk.answered(STREAM, 30 * MS)
    assert party.outcomes == ["refused(413)", "complete"]


def test_an_upload_that_is_answered_while_it_comes_counts_from_its_first_byte(talk: Conversation, party: Fake) -> None:
    head = UPLOAD.index(b"\r\n\r\n") + 4
    ask(talk, UPLOAD[:head], 1)
    ask(talk, UPLOAD[head:-5], 10)
    talk.answered(STREAM, 14 * MS)
    (recording,) = party.recordings
    assert (recording.sent_ns, recording.sent_bytes) == (None, 11)
    assert recording.summary().ttft_ms == 4


def test_when_the_parts_of_an_upload_had_gone_on_and_for_how_long_there_was_no_room(
    talk: Conversation, party: Fake
) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    ask(talk, sent, 1)
    ask(talk, b"abc", 5)
    talk.sent(b"def", 10 * MS)
    talk.sent(b"ghi", 12 * MS)
    talk.passed(3, 30 * MS)
    talk.passed(3, 31 * MS)
    talk.answered(STREAM, 40 * MS)
    (recording,) = party.recordings
    assert [(each.at_ns // MS, each.size, each.held_ns // MS) for each in recording.sends] == [
        (4, 3, 0),
        (29, 3, 20),
        (30, 3, 1),
    ]
    assert (recording.sent_ns, recording.summary().held_ms) == (30 * MS, 21)


def test_a_body_of_one_part_is_no_upload(talk: Conversation, party: Fake) -> None:
    ask(talk, POST)
    talk.answered(STREAM, MS)
    assert not party.recordings[0].sends


def test_how_long_the_client_took_nothing_is_noted(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.client_held(30 * MS)
    talk.client_held(90 * MS)
    talk.answered(REST, 200 * MS)
    (recording,) = party.recordings
    assert recording.meta["client_held_ms"] == 120
    assert any("took nothing for 120 ms" in note for note in recording.summary().notes)


# --- How it ends ----------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_has_cancelled(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.client_ended("fin", 2 * MS)
    talk.target_ended("rst", 3 * MS)
    talk.over(3 * MS)
    assert party.outcomes == ["cancelled"]
    assert party.recordings[0].error == "the client left before the answer was complete"
    assert party.recordings[0].text == "hihi"


def test_a_client_that_only_sends_no_more_gets_its_answer(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.client_ended("fin", MS)
    talk.answered(STREAM, 2 * MS)
    talk.target_ended("fin", 3 * MS)
    talk.over(3 * MS)
    assert party.outcomes == ["complete"]


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_server_that_cuts_is_seen(talk: Conversation, party: Fake, how: Any) -> None:
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.target_ended(how, 2 * MS)
    talk.client_ended("fin", 3 * MS)
    talk.over(3 * MS)
    assert party.outcomes == ["truncated"]


def test_a_server_that_closes_without_an_answer_is_seen(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.target_ended("fin", MS)
    talk.over(MS)
    assert (party.outcomes, party.recordings[0].status) == (["truncated"], None)
    assert party.recordings[0].error == "the connection was closed before an answer came"


@pytest.mark.parametrize(("last", "outcome"), [(b"", "truncated"), (b"data: [DONE]\n\n", "complete")])
def test_an_answer_that_the_close_ends_is_judged_as_record_does(last: bytes, outcome: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    answer += b'\r\ndata: {"choices": [{"index": 0, "delta": {"content": "hi"}}]}\n\n' + last
    party = heard([CHUNKED], [answer])
    assert party.outcomes == [outcome]
    assert (party.recordings[0].text, party.recordings[0].meta["framing"]) == ("hi", "close")


def test_a_tap_that_is_stopped_says_so(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.over(2 * MS)
    assert party.outcomes == ["cancelled(by us)"]


def test_nobody_there_is_a_refusal_in_words(talk: Conversation, party: Fake) -> None:
    talk.sent(GET, 0)
    talk.unreachable(ConnectionRefusedError(errno.ECONNREFUSED, "no"), MS)
    talk.over(MS)
    assert party.outcomes == ["refused(connect)"]
    assert party.recordings[0].error == "no connection: connection refused: nobody listens there"


def test_nobody_there_before_anything_was_asked_is_told(talk: Conversation, party: Fake) -> None:
    talk.unreachable(ConnectionRefusedError(errno.ECONNREFUSED, "no"), MS)
    talk.over(MS)
    assert party.recordings == []
    assert party.told[0].startswith("connection 1: no connection to the target: ")


# --- What it cannot read --------------------------------------------------------------------------------------------

SWITCH = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_another_protocol_is_not_looked_at_and_passes(talk: Conversation, party: Fake) -> None:
    ask(talk, SWITCH)
    talk.answered(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", MS)
    assert ask(talk, b"\x81\x85\x00\x00\x00\x00hello") == b"\x81\x85\x00\x00\x00\x00hello"
    talk.answered(b"\x88\x00", 2 * MS)
    talk.over(3 * MS)
    assert party.recordings == []
    assert party.told == [
        "connection 1: not looked at from here on: the connection speaks another protocol (101 Switching Protocols)"
    ]


def test_an_upgrade_that_is_not_granted_is_an_answer_like_others(talk: Conversation, party: Fake) -> None:
    ask(talk, SWITCH)
    talk.answered(STREAM, MS)
    assert (party.outcomes, party.told) == (["complete"], [])


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n", "a tunnel was asked for (CONNECT)"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "what the client sends does not begin as HTTP/1 does"),
        (POST.replace(b"Length: 5", b"Length: x"), "a Content-Length that is not a number"),
    ],
)
def test_what_is_no_request_passes_unseen_and_is_told_once(
    sent: bytes, why: str, talk: Conversation, party: Fake
) -> None:
    assert ask(talk, sent) == sent
    talk.answered(b"HTTP/1.1 200 OK\r\n\r\nwhatever", MS)
    assert ask(talk, b"more") == b"more"
    talk.over(2 * MS)
    assert party.recordings == []
    assert len(party.told) == 1
    assert why in party.told[0]


def test_those_that_were_asked_before_are_still_recorded(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    ask(talk, b"nonsense\r\n\r\n")
    talk.answered(STREAM, MS)
    talk.answered(b"HTTP/1.1 400 Bad PassingRequest\r\nContent-Length: 0\r\n\r\n", 2 * MS)
    talk.over(3 * MS)
    assert (party.outcomes, len(party.told)) == (["complete"], 1)


def test_what_was_kept_back_goes_on_too_when_it_is_no_request(party: Fake) -> None:
    talk = Conversation(party, "connection 1", host="api.test")
    assert talk.sent(b"GET / HTT", 0) == b""
    assert talk.sent(b"P/3.0\r\nHost: x\r\n\r\n", 0) == b"GET / HTTP/3.0\r\nHost: x\r\n\r\n"
    assert talk.sent(b"Host: x\r\n\r\n", 0) == b"Host: x\r\n\r\n"


def test_what_was_kept_back_goes_on_too_when_the_client_ends(party: Fake) -> None:
    talk = Conversation(party, "connection 1", host="api.test")
    talk.sent(b"GET / HTT", 0)
    assert talk.kept_back() == b"GET / HTT"


def test_an_answer_that_is_no_http_ends_as_record_would_say_it(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.answered(b"SSH-2.0-OpenSSH_9.6\r\n", MS)
    assert party.outcomes == ["truncated"]
    assert "does not begin with HTTP/" in str(party.recordings[0].error)
    assert len(party.told) == 1


def test_of_a_broken_body_what_was_whole_is_there(talk: Conversation, party: Fake) -> None:
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.answered(b"zz\r\n", 2 * MS)
    assert party.outcomes == ["truncated"]
    assert party.recordings[0].text == "hihi"
    assert "broken chunked framing" in str(party.recordings[0].error)


def test_what_nobody_has_asked_for_is_told(talk: Conversation, party: Fake) -> None:
    talk.answered(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 0)
    assert "the server sent something that answers no request" in party.told[0]
    assert ask(talk, GET) == GET
    talk.over(1)
    assert party.recordings == []


def test_no_more_requests_wait_than_so_many(talk: Conversation, party: Fake) -> None:
    ask(talk, GET * (MAX_WAITING + 1))
    assert "more than 100 requests wait" in party.told[0]
    talk.answered(STREAM * (MAX_WAITING + 1), MS)
    talk.over(2 * MS)
    assert party.outcomes == ["complete"] * MAX_WAITING


def test_a_fault_of_the_taps_own_harms_nobody(
    talk: Conversation, party: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    ask(talk, GET)
    monkeypatch.setattr(PassingAnswer, "take", fails)
    talk.answered(STREAM, MS)
    monkeypatch.setattr(Requests, "feed", fails)
    assert ask(talk, POST) == POST
    talk.over(2 * MS)
    assert "a fault of this tap itself" in party.told[0]
    assert "looking at it has failed" in caplog.text


@given(
    st.lists(st.tuples(st.sampled_from(["up", "down"]), st.one_of(st.binary(max_size=30), PARTS)), max_size=20),
    st.sampled_from([None, "api.test"]),
)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_passes_and_no_recorder_is_left_running(
    talks: list[tuple[str, bytes]], host: str | None
) -> None:
    party = Fake()
    talk = Conversation(party, "connection 1", host)
    out = b""
    for way, data in talks:
        if way == "up":
            passed = talk.sent(data, 0)
            talk.passed(len(passed), 0)
            out += passed
        else:
            talk.answered(data, 1)
    out += talk.kept_back()
    talk.client_ended("fin", 2)
    talk.target_ended("rst", 3)
    talk.over(4)
    sent = b"".join(data for way, data in talks if way == "up")
    assert (out == sent) if host is None else (HOSTS.sub(b"Host", out) == HOSTS.sub(b"Host", sent))
    assert party.running == 0
    assert not any("fault" in told for told in party.told)


# --- Bounds ---------------------------------------------------------------------------------------------------------


def test_beyond_the_bound_of_a_stream_its_recording_ends_and_the_next_is_recorded() -> None:
    party = Fake(max_bytes=30)
    talk = Conversation(party, "connection 1")
    for _ in range(2):
        ask(talk, GET)
        talk.answered(STREAM, MS)
    assert party.outcomes == ["cancelled(max_bytes)"] * 2


def test_where_there_is_no_room_for_more_its_recording_ends() -> None:
    party = Fake(bytes_left=30)
    talk = Conversation(party, "connection 1")
    ask(talk, GET)
    talk.answered(BEGUN, MS)
    talk.answered(REST, 2 * MS)
    assert party.outcomes == ["cancelled(max_bytes)"]
    assert "no room" in str(party.recordings[0].error)


def test_where_there_is_none_at_all_an_answer_passes_unrecorded() -> None:
    party = Fake(room=False)
    talk = Conversation(party, "connection 1")
    ask(talk, GET)
    talk.answered(STREAM, MS)
    party.room = True
    ask(talk, GET)
    talk.answered(STREAM, MS)
    assert party.outcomes == ["complete"]
