"""A recorded answer as a script plays it: which bytes are due when, and what it says of itself; without sockets."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamkit as sk
from streamkit.lab.recording.cuts import Cut
from streamkit.lab.recording.rows import Events, Reads, SlimEvents
from streamkit.lab.upstream.playback import playback_of, renewed
from streamkit.transport.http1 import ResponseParser

MS = 1_000_000
META = {"framing": "chunked", "wire_end": "clean", "method": "POST"}


def recording(*bodies: bytes, every_ms: int = 10, **given: Any) -> sk.Recording:
    """Reads of these bytes, the first `every_ms` after the request, which left 3 ms after the call."""
    at_ns = [3 * MS + (number + 1) * every_ms * MS for number in range(len(bodies))]
    fields: dict[str, Any] = {
        "reads": Reads(at_ns, data=bodies),
        "status": 200,
        "sent_ns": 3 * MS,
        "head_ns": 5 * MS,
        "ended_ns": at_ns[-1] if at_ns else 5 * MS,
        "content_type": "text/event-stream",
        "headers": {"content-type": "text/event-stream", "transfer-encoding": "chunked"},
        "meta": META,
    }
    return sk.Recording(**{**fields, **given})


def played(one: sk.Recording, speed: float = 1.0) -> bytes:
    return b"".join(step.framed for step in sk.Script.from_recording(one, speed).steps())


def parsed(wire: bytes) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser("POST")
    return parser, parser.feed(wire)


# --- The same bytes, in the same writes, at the same times ----------------------------------------------------------


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=12)


@given(BODIES, st.lists(st.integers(0, 10**10), min_size=12, max_size=12), st.sampled_from([0.25, 1.0, 2.0, 16.0]))
def test_each_read_is_one_write_of_its_bytes_due_when_it_came(
    bodies: list[bytes], waits: list[int], speed: float
) -> None:
    at_ns = [5 * MS + ns for ns in accumulate(waits[: len(bodies)])]
    one = recording(reads=Reads(at_ns, data=bodies), ended_ns=max(at_ns, default=5 * MS))
    steps = [step for step in sk.Script.from_recording(one, speed).steps() if step.kind in ("noise", "piece")]
    assert [step.data for step in steps] == bodies
    assert [step.due_ns for step in steps] == [int((ns - 3 * MS) / speed) for ns in at_ns]


@given(BODIES, st.sampled_from(["chunked", "length", "close", "transport"]))
def test_whatever_its_framing_a_strict_parser_reads_the_same_body_and_its_end(
    bodies: list[bytes], framing: str
) -> None:
    length = {"content-length": str(sum(map(len, bodies)))} if framing == "length" else {}
    end = "fin" if framing == "close" else "clean"
    one = recording(*bodies, headers=length, meta={**META, "framing": framing, "wire_end": end})
    parser, body = parsed(played(one))
    if framing == "close":
        parser.eof()
    assert (body, parser.complete) == (b"".join(bodies), True)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(1, 50))
def test_no_lateness_adds_up_as_all_is_due_by_one_schedule(counts: list[int], every_ms: int) -> None:
    one = recording(*[b"x" * (count + 1) for count in counts], every_ms=every_ms)
    due_ns = [step.due_ns for step in sk.Script.from_recording(one, speed=3).steps()]
    assert due_ns == sorted(due_ns)
    assert due_ns[-1] == int((one.reads.at_ns[-1] - 3 * MS) / 3)


def test_what_came_before_the_request_had_left_is_due_at_once() -> None:
    one = recording(b"a", reads=Reads([1 * MS], data=[b"a"]), head_ns=1 * MS, ended_ns=2 * MS)
    assert [step.due_ns for step in sk.Script.from_recording(one).steps()] == [0, 0, 0]


def test_the_head_goes_out_with_the_first_bytes_if_one_read_brought_both() -> None:
    together, apart = recording(b"a", head_ns=13 * MS), recording(b"a", head_ns=5 * MS)
    assert [step.joined for step in sk.Script.from_recording(together).steps()] == [True, False, False]
    assert [step.joined for step in sk.Script.from_recording(apart).steps()] == [False, False, False]


# --- Its head -------------------------------------------------------------------------------------------------------


def test_the_head_has_the_recorded_fields_but_those_of_the_connection_and_of_another_framing() -> None:
    headers = {"content-encoding": "gzip", "retry-after": "7", "connection": "keep-alive", "content-length": "5"}
    parser, _ = parsed(played(recording(b"ab", headers=headers, status=429)))
    found = {name.decode(): value.decode() for name, value in parser.headers}
    assert parser.status == 429
    assert found == {
        "content-encoding": "gzip",
        "retry-after": "7",
        "content-type": "text/event-stream",
        "transfer-encoding": "chunked",
        "connection": "close",
    }


@pytest.mark.parametrize(
    "headers",
    [{"x": "1\r\nset-cookie: a=b"}, {"x\r\ny": "1"}, {":status": "200"}, {"x": "\0"}, {"": "1"}, {"a b": "c"}],
)
def test_a_file_of_somebody_else_cannot_smuggle_fields_into_the_head(headers: dict[str, str]) -> None:
    parser, body = parsed(played(recording(b"ab", headers=headers)))
    assert sorted(name for name, _ in parser.headers) == [b"connection", b"content-type", b"transfer-encoding"]
    assert body == b"ab"


def test_what_names_one_answer_is_new_in_each_and_what_is_the_servers_stays() -> None:
    headers = {
        "server": "nginx/1.22.1",
        "cache-control": "no-store",
        "date": "Tue, 01 Jan 2019 00:00:00 GMT",
        "x-stream-id": "0123456789abcdef",
        "location": "/streams/0123456789abcdef",
        "x-request-id": "req_011CTabcdefgh",
        "cf-ray": "8f2ab3c4d5e6f708-FRA",
        "openai-model-id": "gpt-12345678",
    }
    recorded = sk.Script.from_recording(recording(b"ab", headers=headers)).playback
    assert recorded is not None
    (one, _), (other, _) = (parsed(renewed(recorded.head, "a" * 32)), parsed(renewed(recorded.head, "b" * 32)))
    first, second = ({name.decode(): value.decode() for name, value in parser.headers} for parser in (one, other))
    assert {name for name, value in first.items() if headers.get(name, value) == value} == {
        "server",
        "cache-control",
        "openai-model-id",
        "content-type",
        "transfer-encoding",
        "connection",
    }
    assert (first["x-stream-id"], first["location"]) == ("a" * 32, f"/streams/{'a' * 32}")
    assert re.fullmatch("req_[0-9A-Za-z]{13}", first["x-request-id"])
    assert re.fullmatch("[0-9a-f]{16}-FRA", first["cf-ray"])
    assert "2019" not in first["date"]
    assert {name for name in first if first[name] != second[name]} - {"date"} == {
        "x-stream-id",
        "location",
        "x-request-id",
        "cf-ray",
    }


def test_a_head_that_names_nothing_is_as_it_was_recorded() -> None:
    head = playback_of(recording(b"ab")).head
    assert renewed(head, "a" * 32) == head


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none_again(status: int) -> None:
    one = recording(status=status, headers={}, content_type=None, meta={**META, "framing": "no body"})
    parser, body = parsed(played(one))
    assert (parser.complete, body, [name for name, _ in parser.headers]) == (True, b"", [b"connection"])


# --- Its end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire_end", "kind"), [("clean", "end"), ("fin", "fin"), ("reset", "rst"), ("open", "silence")]
)
def test_it_ends_as_the_recording_says(wire_end: str, kind: str) -> None:
    one = recording(b"a", ended_ns=500 * MS, meta={**META, "wire_end": wire_end})
    last = sk.Script.from_recording(one, speed=2).steps()[-1]
    assert (last.kind, last.due_ns) == (kind, (497 * MS) // 2)


@pytest.mark.parametrize(
    ("outcome", "framing", "kind"),
    [
        (sk.Outcome("complete"), "chunked", "end"),
        (sk.Outcome("complete"), "close", "fin"),
        (sk.Outcome("truncated"), "chunked", "fin"),
        (sk.Outcome("timeout", "idle"), "chunked", "silence"),
        (sk.Outcome("cancelled", "by us"), "chunked", "silence"),
    ],
)
def test_of_a_recording_that_does_not_tell_it_the_outcome_does(outcome: sk.Outcome, framing: str, kind: str) -> None:
    one = recording(b"a", outcome=outcome, meta={"framing": framing})
    assert sk.Script.from_recording(one).steps()[-1].kind == kind


def test_a_silence_before_the_head_is_nothing_but_silence() -> None:
    one = sk.Recording(outcome=sk.Outcome("timeout", "first_piece"), meta={"wire_end": "open"}, ended_ns=MS)
    assert [step.kind for step in sk.Script.from_recording(one).steps()] == ["silence"]


# --- What the script says of itself ---------------------------------------------------------------------------------


def of_pieces(**given: Any) -> sk.Recording:
    pieces = [(7 * MS, "Hel"), (57 * MS, "lo"), (57 * MS, "!")]
    return sk.Recording.from_pieces(pieces, status=200, sent_ns=0, ended_ns=57 * MS, **given)


def test_it_has_the_pieces_that_were_recorded_each_due_when_its_read_came() -> None:
    script = sk.Script.from_recording(of_pieces(), speed=0.5)
    assert (list(script.pieces), script.text, script.expected_text) == (["Hel", "lo", "!"], "Hello!", "Hello!")
    assert script.due_ns() == [14 * MS, 114 * MS, 114 * MS]


def test_taps_count_the_pieces_of_a_write_one_by_one() -> None:
    steps = [step for step in sk.Script.from_recording(of_pieces()).steps() if step.kind == "piece"]
    assert [step.text_bytes for step in steps] == [3, 2, 1]
    assert [step.data for step in steps] == [b"Hel", b"", b"lo!"]
    assert [step.joined for step in steps] == [False, True, False]


@pytest.mark.parametrize("outcome", [sk.Outcome("complete"), sk.Outcome("truncated"), sk.Outcome("error_event", "x")])
@pytest.mark.parametrize("wire_end", ["clean", "fin", "open"])
def test_it_is_whole_if_the_recorded_answer_was_whatever_its_connection_did(outcome: sk.Outcome, wire_end: str) -> None:
    script = sk.Script.from_recording(of_pieces(outcome=outcome, meta={"wire_end": wire_end}))
    assert (script.whole, script.expected_text) == (outcome.ok, "Hello!")


def test_two_of_one_recording_are_equal_and_go_to_other_processes() -> None:
    script = sk.Script.from_recording(of_pieces())
    assert script == sk.Script.from_recording(copy.deepcopy(of_pieces()))
    assert pickle.loads(pickle.dumps(script)) == script  # noqa: S301  # what it has just written
    assert script != sk.Script.from_recording(of_pieces(), speed=2)


@pytest.mark.parametrize(("recorded", "used"), [("openai", "openai"), (None, "seed"), ("extractor", "seed")])
def test_its_preset_is_the_recorded_one_where_that_can_be_written(recorded: str | None, used: str) -> None:
    assert sk.Script.from_recording(of_pieces(preset=recorded)).preset == used


def test_half_a_character_that_a_provider_sent_is_no_hindrance() -> None:
    one = replace(of_pieces(), events=Events([7 * MS], text=["\ud83d"], read=[0]))
    assert sk.Script.from_recording(one).steps()


# --- What cannot be played ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (recording(reads=Reads([9 * MS], size=[5])), "keep_bytes=True"),
        (recording(reads=Reads([9 * MS, 9 * MS], size=[1, 5], data=[b"a", None])), "8 MiB"),
        (recording(events=SlimEvents()), "keep_text=True"),
        (recording(b"a", cuts=(Cut(at_ns=9),)), "without resume="),
        (recording(b"a", damage=("line 3: no JSON",)), "damaged file"),
        (sk.Recording(outcome=sk.Outcome("refused", "connect")), "no server got its request"),
        (sk.Recording(outcome=sk.Outcome("timeout", "connect")), "no server got its request"),
    ],
)
def test_what_is_not_known_is_not_made_up(one: sk.Recording, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sk.Script.from_recording(one)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="expected speed as a number > 0"):
        playback_of(of_pieces(), speed)


def test_faults_do_not_go_with_it() -> None:
    with pytest.raises(ValueError, match="expected no faults with a recorded answer"):
        replace(sk.Script.from_recording(of_pieces()), faults=[sk.faults.NoEnd()])


def test_a_method_in_lower_case_is_the_same_method() -> None:
    assert playback_of(recording(b"a", meta={**META, "method": "get"})).method == "GET"
