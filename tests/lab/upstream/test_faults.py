"""Faults of the scripted upstream: what each of them sends, and when."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.lab.upstream.faults import (
    BadChunk,
    BigHead,
    Cut,
    Duplicate,
    EndlessLine,
    ErrorEvent,
    Garbage,
    Heartbeats,
    HugeEvent,
    Interim,
    Merge,
    MoreAfterEnd,
    NoAnswer,
    NoEnd,
    SlowHead,
    Split,
    Stall,
    Status,
    WrongLength,
)
from streamkit.parser import SSEParser
from streamkit.presets import preset
from tests.memory import peak_bytes
from tests.rawsockets import LAST_CHUNK, chunk
from tests.scripted import MS, OPENAI, SEED, A, B, C, head_of, parted, script, times_ms, wires


def test_without_faults_the_steps_are_events_only_and_with_one_the_whole_answer() -> None:
    assert [step.kind for step in script().steps()] == ["piece"] * 3
    assert [step.kind for step in script(Stall(1, 0)).steps()] == ["head", *["piece"] * 3, "end"]
    assert wires(script(Stall(1, 0))) == [A, B, C, LAST_CHUNK]
    assert head_of(script(Stall(1, 0))).startswith(b"HTTP/1.1 200 Scripted\r\nContent-Type: text/event-stream")


def test_a_stall_makes_its_event_and_all_behind_it_later() -> None:
    assert times_ms(script(Stall(2, 100))) == [10, 115, 120, 120]
    assert times_ms(script(Stall(4, 100))) == [10, 15, 20, 120], "before the end"
    assert script(Stall(0, 100)).steps()[0].due_ns == 100 * MS, "before the head"


def test_a_split_tears_a_character_of_several_bytes_into_two_chunks() -> None:
    first, second = wires(script(Split(2, gap_ms=7)))[1:3]
    with pytest.raises(UnicodeDecodeError):
        unframed(first).decode()
    assert unframed(first) + unframed(second) == SEED.piece("好", 1)
    assert times_ms(script(Split(2, gap_ms=7))) == [10, 15, 22, 27, 27]


def test_merged_events_are_chunks_of_one_write_due_with_the_last() -> None:
    steps = script(Merge(1, 2)).steps()[1:]
    assert [step.joined for step in steps] == [True, False, False, False]
    assert [step.due_ns // MS for step in steps] == [15, 15, 20, 20]
    assert [step.framed for step in steps] == [A, B, C, LAST_CHUNK]


def test_heartbeats_fill_a_silence_and_are_comments_events_or_blank_lines() -> None:
    beating = script(Heartbeats(2, every_ms=30, ms=100))
    assert wires(beating)[1:4] == [chunk(b": ping\n\n")] * 3
    assert times_ms(beating) == [10, 45, 75, 105, 115, 120, 120]
    assert wires(script(Heartbeats(1, 1, 2, how="event")))[0] == chunk(b'event: ping\ndata: {"type":"ping"}\n\n')
    assert wires(script(Heartbeats(1, 1, 2), preset="ollama"))[0] == chunk(b"\n")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_ends_the_connection_before_an_event_or_inside_of_its_chunk(how: Any) -> None:
    assert wires(script(Cut(2, how))) == [A, b""]
    assert script(Cut(2, how)).steps()[-1].kind == how
    first, begun, _ = wires(script(Cut(2, how, inside=True)))
    assert first == A
    assert B.startswith(begun)
    assert len(B) // 3 < len(begun) < len(B) - 4, "what is missing is more than the chunk's CRLF"
    assert wires(script(Cut(5, how, inside=True))) == [A, B, C, b"0\r", b""]
    assert script(Cut(0, how)).steps()[0].kind == how
    assert not head_of(script(Cut(0, how, inside=True))).endswith(b"\r\n\r\n")


def test_a_bad_chunk_has_a_size_that_is_none_no_crlf_or_more_than_comes() -> None:
    data = unframed(B)
    assert wires(script(BadChunk(2, "size"))) == [A, b"zz\r\n" + data + b"\r\n", C, LAST_CHUNK]
    assert wires(script(BadChunk(2, "crlf"))) == [A, B[:-2], C, LAST_CHUNK]
    assert wires(script(BadChunk(2, "long"))) == [A, b"%x\r\n" % (len(data) + 1000) + data, b""]
    lasts = [b"zz\r\n\r\n", b"0\r\n", b"3e8\r\n"]
    assert [b"".join(wires(script(BadChunk(5, how)))[3:]) for how in ("size", "crlf", "long")] == lasts


@pytest.mark.parametrize("by", [-30, -1, 1, 30])
def test_a_wrong_length_is_announced_for_the_same_body(by: int) -> None:
    body = b"".join(unframed(one) for one in (A, B, C))
    given = script(WrongLength(by))
    assert b"".join(wires(given)) == body
    assert b"\r\nContent-Length: %d\r\n" % (len(body) + by) in head_of(given)
    assert b"Transfer-Encoding" not in head_of(given)


def test_garbage_is_so_many_random_bytes_in_a_line_or_an_event_of_its_own() -> None:
    garbage = unframed(wires(script(Garbage(1, 20)))[0])
    assert garbage.endswith(b"\n\n")
    assert len(garbage) == 22
    assert len(set(garbage)) > 10
    assert unframed(wires(script(Garbage(1, 20, "event")))[0]).startswith(b"data: \xff")
    assert SSEParser().feed(garbage) == []


def test_an_error_event_is_the_providers_own_and_its_end_marker_follows_unless_left_out() -> None:
    done = chunk(b"data: [DONE]\n\n")
    told = wires(script(ErrorEvent(2, "429"), preset="openai"))
    assert told[2] == chunk(OPENAI.error("429"))
    assert told[-2:] == [done, LAST_CHUNK]
    assert done not in wires(script(ErrorEvent(2, "429"), NoEnd(), preset="openai"))


def test_a_huge_event_has_its_size_and_is_never_in_memory_as_a_whole() -> None:
    def send() -> None:
        steps = script(HugeEvent(2, 100_000_000)).steps()
        assert sum(len(step.data) for step in steps if step.kind == "part") > 100_000_000

    assert peak_bytes(send) < 2_000_000
    (huge,) = SSEParser().feed(b"".join(step.data for step in script(HugeEvent(1, 70_001)).steps()[1:5]))
    assert preset("seed").read(huge) == Piece("x" * 70_001)


def test_an_endless_line_has_no_end_but_the_answers() -> None:
    *line, end = wires(script(EndlessLine(2, 1000)))[1:]
    assert end == LAST_CHUNK
    assert b"\n" not in b"".join(map(unframed, line))
    assert b"".join(map(unframed, line)).endswith(b"x" * 1000)


def test_a_duplicate_is_the_same_to_the_byte_with_its_id() -> None:
    first, again = wires(script(Duplicate(2), preset="streamkit"))[1:3]
    assert first == again
    assert b"id: 2\n" in first


def test_the_end_marker_can_be_missing_with_or_without_the_finish_before_it_or_be_followed_by_more() -> None:
    finish, done = (chunk(data) for data in OPENAI.close())
    assert wires(script(NoEnd(), preset="openai"))[-1:] == [LAST_CHUNK]
    assert done not in (kept := wires(script(NoEnd(keep_finish=True), preset="openai")))
    assert kept[-2:] == [finish, LAST_CHUNK]
    assert wires(script(MoreAfterEnd("!"), preset="openai"))[-3:-1] == [done, chunk(OPENAI.piece("!", 4))]


def test_the_head_can_be_slow_big_preceded_by_others_or_missing() -> None:
    plain = head_of(script(Stall(1, 0)))
    slow = [step for step in script(SlowHead(2)).steps() if step.kind == "head"]
    assert [step.framed for step in slow] == [bytes([byte]) for byte in plain]
    assert [step.due_ns // MS for step in slow] == list(range(0, 2 * len(plain), 2))
    assert times_ms(script(SlowHead(2)))[0] == 10 + 2 * len(plain)
    assert len(head_of(script(BigHead(5000)))) == len(plain) + 5000 + len("X-Filler: \r\n")
    assert head_of(script(Interim(3))) == b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + plain
    assert [step.kind for step in script(NoAnswer()).steps()] == ["silence"]


@pytest.mark.parametrize(
    ("status", "body"), [(200, "html"), (200, "json"), (302, "html"), (429, "json"), (503, "html")]
)
def test_a_status_brings_an_error_in_json_or_html_with_its_headers(status: int, body: Any) -> None:
    given = script(Status(status, retry_after=7, body=body))
    head, text, clean = parted(b"".join(step.framed for step in given.steps()), closed=True)
    assert head is not None
    assert (head.status_code, clean) == (status, True)
    fields = dict(head.headers)
    assert body.encode() in fields[b"content-type"]
    assert fields[b"retry-after"] == b"7"
    assert (b"location" in fields) == (300 <= status < 400)
    assert str(status).encode() in text


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (Stall, {"at": 1.5, "ms": 1}, "expected at as an integer"),
        (Stall, {"at": 1, "ms": -1}, "expected ms as milliseconds"),
        (Split, {"at": 1, "gap_ms": float("nan")}, "expected gap_ms as milliseconds"),
        (Merge, {"at": 1, "events": 0}, "expected events as an integer"),
        (Heartbeats, {"at": 1, "every_ms": 0, "ms": 5}, "expected every_ms > 0"),
        (HugeEvent, {"at": 1, "size_bytes": 0}, "expected size_bytes as an integer"),
        (WrongLength, {"by": 0}, "got 0"),
        (ErrorEvent, {"at": 1, "code": "two words"}, "expected code as a word"),
        (MoreAfterEnd, {"text": ""}, "expected text as a non-empty"),
        (Cut, {"at": 1, "how": "bang"}, "expected how as one of 'fin', 'rst'"),
        (Status, {"status": 99}, "expected status from 200 to 599"),
        (Status, {"status": 503, "retry_after": "1\r\nX: y"}, "without control characters"),
    ],
)
def test_fields_that_make_no_sense_are_refused_by_name(kind: Any, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind(**fields)


def unframed(one: bytes) -> bytes:
    """The data of a chunk."""
    return one.partition(b"\r\n")[2].removesuffix(b"\r\n")
