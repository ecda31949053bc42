"""Faults of the scripted upstream: what they send, that it is the same each time, and what is true of it.

An answer's truth is judged twice: by the script, from what its faults say of themselves, and here, from the bytes, by
h11 (another HTTP parser than the relay's), the event parsers and the presets.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import random
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamkit.errors import LimitExceeded
from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.lab.upstream import app as upstream
from streamkit.lab.upstream.app import SentLog, create_upstream
from streamkit.lab.upstream.fault_base import Fault
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
from streamkit.lab.upstream.random_scripts import random_script
from streamkit.lab.upstream.script import Script, plan
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import PRESETS, preset, writer
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, chunk, is_whole, read_answer, request
from tests.servers import connect, eventually, rest_of

MS = 1_000_000
PIECES = ("你", "好", "ab")
SEED, OPENAI = writer("seed"), writer("openai")
MARKED = sorted(name for name in PRESETS if preset(name).has_end_marker)
UNMARKED = sorted(name for name in PRESETS if not preset(name).has_end_marker)


def script(*faults: Fault, preset: str = "seed", pieces: tuple[str, ...] = PIECES, gap_ms: float = 5) -> Script:
    return Script(pieces, first_piece_ms=10, gap_ms=gap_ms, preset=preset, faults=faults)


def wires(given: Script) -> list[bytes]:
    """What is written behind the head, step by step."""
    return [step.wire for step in plan(given) if step.kind != "head"]


def head_of(given: Script) -> bytes:
    return b"".join(step.wire for step in plan(given) if step.kind == "head")


def times_ms(given: Script) -> list[float]:
    return [step.due_ns / MS for step in plan(given) if step.kind not in ("head", "open")]


A, B, C = (chunk(SEED.piece(text, index)) for index, text in enumerate(PIECES))


# --- What is sent, and when -----------------------------------------------------------------------------------------


def test_without_faults_the_plan_is_events_only_and_with_one_it_is_the_whole_answer() -> None:
    assert [step.kind for step in plan(script())] == ["piece"] * 3
    assert [step.kind for step in plan(script(Stall(1, 0)))] == ["head", *["piece"] * 3, "end"]
    assert wires(script(Stall(1, 0))) == [A, B, C, LAST_CHUNK]
    assert head_of(script(Stall(1, 0))).startswith(b"HTTP/1.1 200 Scripted\r\nContent-Type: text/event-stream")


def test_a_stall_makes_its_event_and_all_behind_it_later() -> None:
    assert times_ms(script(Stall(2, 100))) == [10, 115, 120, 120]
    assert times_ms(script(Stall(4, 100))) == [10, 15, 20, 120], "before the end"
    assert plan(script(Stall(0, 100)))[0].due_ns == 100 * MS, "before the head"


def test_a_split_tears_a_character_of_several_bytes_into_two_chunks() -> None:
    first, second = wires(script(Split(2, gap_ms=7)))[1:3]
    with pytest.raises(UnicodeDecodeError):
        unframed(first).decode()
    assert unframed(first) + unframed(second) == SEED.piece("好", 1)
    assert times_ms(script(Split(2, gap_ms=7))) == [10, 15, 22, 27, 27]


def test_merged_events_are_chunks_of_one_write_due_with_the_last() -> None:
    steps = plan(script(Merge(1, 2)))[1:]
    assert [step.joined for step in steps] == [True, False, False, False]
    assert [step.due_ns // MS for step in steps] == [15, 15, 20, 20]
    assert [step.wire for step in steps] == [A, B, C, LAST_CHUNK]


def test_heartbeats_fill_a_silence_and_are_comments_events_or_blank_lines() -> None:
    beating = script(Heartbeats(2, every_ms=30, ms=100))
    assert wires(beating)[1:4] == [chunk(b": ping\n\n")] * 3
    assert times_ms(beating) == [10, 45, 75, 105, 115, 120, 120]
    assert wires(script(Heartbeats(1, 1, 2, how="event")))[0] == chunk(b'event: ping\ndata: {"type":"ping"}\n\n')
    assert wires(script(Heartbeats(1, 1, 2), preset="ollama"))[0] == chunk(b"\n")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_ends_the_connection_before_an_event_or_inside_of_its_chunk(how: Any) -> None:
    assert wires(script(Cut(2, how))) == [A, b""]
    assert plan(script(Cut(2, how)))[-1].kind == how
    first, begun, _ = wires(script(Cut(2, how, inside=True)))
    assert first == A
    assert B.startswith(begun)
    assert len(B) // 3 < len(begun) < len(B) - 4, "what is missing is more than the chunk's CRLF"
    assert wires(script(Cut(5, how, inside=True))) == [A, B, C, b"0\r", b""]
    assert plan(script(Cut(0, how)))[0].kind == how
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
    tracemalloc.start()
    try:
        steps = plan(script(HugeEvent(2, 100_000_000)))
        sent = sum(len(step.data) for step in steps if step.kind == "part")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > 100_000_000
    assert peak < 2_000_000
    (huge,) = SSEParser().feed(b"".join(step.data for step in plan(script(HugeEvent(1, 70_001)))[1:5]))
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
    finish, usage, done = (chunk(data) for data in OPENAI.close())
    assert wires(script(NoEnd(), preset="openai"))[-1:] == [LAST_CHUNK]
    assert done not in (kept := wires(script(NoEnd(keep_finish=True), preset="openai")))
    assert kept[-3:] == [finish, usage, LAST_CHUNK]
    assert wires(script(MoreAfterEnd("!"), preset="openai"))[-3:-1] == [done, chunk(OPENAI.piece("!", 4))]


def test_the_head_can_be_slow_big_preceded_by_others_or_missing() -> None:
    plain = head_of(script(Stall(1, 0)))
    slow = [step for step in plan(script(SlowHead(2))) if step.kind == "head"]
    assert [step.wire for step in slow] == [bytes([byte]) for byte in plain]
    assert [step.due_ns // MS for step in slow] == list(range(0, 2 * len(plain), 2))
    assert times_ms(script(SlowHead(2)))[0] == 10 + 2 * len(plain)
    assert len(head_of(script(BigHead(5000)))) == len(plain) + 5000 + len("X-Filler: \r\n")
    assert head_of(script(Interim(3))) == b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + plain
    assert [step.kind for step in plan(script(NoAnswer()))] == ["silence"]


@pytest.mark.parametrize(
    ("status", "body"), [(200, "html"), (200, "json"), (302, "html"), (429, "json"), (503, "html")]
)
def test_a_status_brings_an_error_in_json_or_html_with_its_headers(status: int, body: Any) -> None:
    given = script(Status(status, retry_after=7, body=body))
    head, text, clean = parted(b"".join(step.wire for step in plan(given)), closed=True)
    assert head is not None
    assert (head.status_code, clean) == (status, True)
    fields = dict(head.headers)
    assert body.encode() in fields[b"content-type"]
    assert fields[b"retry-after"] == b"7"
    assert (b"location" in fields) == (300 <= status < 400)
    assert str(status).encode() in text


# --- The same each time ---------------------------------------------------------------------------------------------


@given(st.integers(0, 10**9))
@example(623)  # nothing to say, and nothing wrong
def test_a_random_script_is_the_same_for_its_seed_pickled_too_and_never_goes_back_in_time(seed: int) -> None:
    given = random_script(seed)
    assert given == random_script(seed) == pickle.loads(pickle.dumps(given))  # noqa: S301  # our own bytes
    assert repr(given) == repr(random_script(seed))
    due = [step.due_ns for step in plan(given)]
    assert due == sorted(due) == [step.due_ns for step in plan(random_script(seed))]
    assert max(due, default=0) < 50 * MS, "three stalls of at most 5 ms"


def test_random_scripts_take_what_is_given_and_draw_the_rest() -> None:
    drawn = [random_script(seed, preset="openai", stall_ms=0) for seed in range(50)]
    assert {one.preset for one in drawn} == {"openai"}
    assert len({one.pieces for one in drawn}) > 40
    assert random_script(3, faults=(NoEnd(),)).faults == (NoEnd(),)
    assert max(plan(one)[-1].due_ns for one in drawn if plan(one)) < 6 * MS
    kinds = {type(fault) for seed in range(600) for fault in random_script(seed).faults}
    known = itertools.chain(*(kind.__subclasses__() or [kind] for kind in Fault.__subclasses__()))
    assert kinds == {kind for kind in known if kind.__module__ == Stall.__module__}


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ((Stall(6, 1),), "expected at from 0 to 5"),
        ((Split(4),), "expected at from 1 to 3"),
        ((ErrorEvent(5),), "expected at from 1 to 4"),
        ((Merge(2, 3),), "expected events out of 1 to 3"),
        ((NoAnswer(), Stall(2, 1)), "no stream"),
        ((Status(500), NoAnswer()), "no stream"),
        ((Cut(1), Cut(2)), "once"),
        ((WrongLength(1), BadChunk(1)), "no chunks"),
        (("stall",), "expected faults such as"),
        (Stall(1, 1), "as a sequence"),
    ],
)
def test_faults_that_this_script_cannot_have_are_refused_with_the_reason(faults: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Script(PIECES, faults=faults)


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


# --- What is true of it ---------------------------------------------------------------------------------------------


def unframed(one: bytes) -> bytes:
    """The data of a chunk."""
    return one.partition(b"\r\n")[2].removesuffix(b"\r\n")


def parted(data: bytes, *, closed: bool) -> tuple[h11.Response | None, bytes, bool]:
    """The head of an answer, its body, and whether its framing was kept to the end, as h11 sees them."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 30)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    head, body = None, []
    try:
        for read in (data, b"") if closed else (data,):
            client.receive_data(read)
            while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return head, b"".join(body), True
                elif isinstance(event, h11.ConnectionClosed):
                    break
    except h11.RemoteProtocolError:
        pass
    return head, b"".join(body), False


def judged(given: Script, max_event_bytes: int) -> tuple[bool, str]:
    """Whether the planned bytes prove that the answer is complete, and its text."""
    steps = plan(given)
    clean, body = True, b"".join(step.data for step in steps)
    if given.faults:
        data = b"".join(step.wire for step in steps)
        head, body, clean = parted(data, closed=steps[-1].kind != "silence")
        expected_type = writer(given.preset).content_type.encode()
        if head is None or head.status_code != 200 or dict(head.headers)[b"content-type"] != expected_type:
            return False, ""
    known = preset(given.preset)
    parser: NDJSONParser | SSEParser
    if known.grammar == "ndjson":
        parser = NDJSONParser(max_line_bytes=max_event_bytes)
    else:
        parser = SSEParser(max_line_bytes=max_event_bytes, max_event_bytes=max_event_bytes)
    try:
        events = parser.feed(body)
        events += parser.close() if clean else []
    except LimitExceeded as error:
        events, clean = error.events, False
    texts: list[str] = []
    signed = False
    for event in events:
        result = known.read(event)
        if isinstance(result, ProviderError):
            return False, "".join(texts)
        if isinstance(result, Piece):
            texts.append(result.text)
        if isinstance(result, End):
            signed = True
            if result.conclusive:
                return True, "".join(texts)
    proved = signed or (not known.has_end_marker and parser.unfinished is None)
    return clean and proved, "".join(texts)


@pytest.mark.parametrize("part", range(5))
def test_the_truth_of_random_scripts_is_what_their_bytes_say(part: int) -> None:
    for seed in range(300 * part, 300 * part + 300):
        given = random_script(seed)
        limit = 1 << (40 if seed % 2 else 20)
        assert tuple(given.truth(max_event_bytes=limit)) == judged(given, limit), given


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_truth_of_framing_lies_is_what_their_bytes_say_in_every_format(name: str) -> None:
    chance = random.Random(name)
    lies: list[tuple[Fault, ...]] = [(WrongLength(-by),) for by in (*range(1, 8), 20, 60, 150, 400, 5000)]
    lies += [(BadChunk(at, how),) for at in range(1, 6) for how in ("size", "crlf", "long")]
    lies += [(Cut(at, "fin", inside),) for at in range(6) for inside in (False, True)]
    lies += [(WrongLength(-chance.randint(1, 300)), Cut(at)) for at in range(6)]
    lies += [(NoEnd(keep_finish=True), MoreAfterEnd()), (MoreAfterEnd(),), (NoEnd(),), (WrongLength(1), NoEnd())]
    lies += [(Garbage(at, 9, how),) for at in range(1, 5) for how in ("line", "event")]
    lies += [(Heartbeats(4, 1, 3, how), WrongLength(-3)) for how in ("comment", "event")]
    for faults in lies:
        given = script(*faults, preset=name)
        assert tuple(given.truth()) == judged(given, 1 << 40), given


HARMLESS = [
    Stall(2, 1),
    Split(1),
    Merge(1, 3),
    Heartbeats(4, 1, 5),
    SlowHead(),
    BigHead(1000),
    Interim(2),
    MoreAfterEnd(),
    Duplicate(2),
    HugeEvent(2, 100),
]


@pytest.mark.parametrize("name", ["anthropic", "ollama", "openai", "seed"])
@pytest.mark.parametrize("fault", HARMLESS, ids=repr)
def test_what_only_delays_tears_or_adds_leaves_the_answer_whole(fault: Fault, name: str) -> None:
    assert script(fault, preset=name).whole


@pytest.mark.parametrize("name", ["anthropic", "ollama", "openai", "seed"])
@pytest.mark.parametrize(
    "fault",
    [
        Cut(2),
        Cut(4),
        BadChunk(3),
        ErrorEvent(4),
        EndlessLine(4, 10),
        NoAnswer(),
        Status(200),
        Cut(0),
        BadChunk(1, "long"),
    ],
    ids=repr,
)
def test_what_breaks_before_the_end_leaves_no_answer_whole(fault: Fault, name: str) -> None:
    given = script(fault, preset=name)
    assert not given.whole
    assert given.text.startswith(given.expected_text)


def test_a_cut_behind_the_end_marker_is_none_and_where_there_is_no_marker_it_is_one() -> None:
    for fault in (Cut(5), Cut(5, inside=True), BadChunk(5), BadChunk(5, "crlf")):
        assert {script(fault, preset=name).whole for name in MARKED} == {True}
        assert {script(fault, preset=name).whole for name in UNMARKED} == {False}


def test_no_end_marker_breaks_what_has_one_unless_there_was_a_sign_of_the_end() -> None:
    assert not script(NoEnd(), preset="openai").whole
    assert script(NoEnd(keep_finish=True), preset="openai").whole
    assert not script(NoEnd(keep_finish=True), Cut(5), preset="openai").whole
    assert script(NoEnd(), preset="gemini").whole


def test_what_a_reader_refuses_by_size_is_whole_only_for_one_with_larger_limits() -> None:
    huge, big, storm = script(HugeEvent(2, 5000)), script(BigHead(5000)), script(Interim(20))
    assert huge.truth(max_event_bytes=6000).whole
    assert huge.truth(max_event_bytes=5000) == (False, "你")
    assert [big.truth(max_head_bytes=limit).whole for limit in (5000, 6000)] == [False, True]
    assert [storm.truth(max_interim=limit).whole for limit in (16, 20)] == [False, True]


# --- Over real sockets ----------------------------------------------------------------------------------------------

EVERYWHERE = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@contextmanager
def asked(given: Script, **where: Any) -> Iterator[tuple[socket.socket, Server]]:
    """A connection on which the scripted upstream was asked."""
    with serve(partial(create_upstream, given), **where) as server, connect(server) as reader:
        reader.sendall(request("/", b"x=1"))
        yield reader, server


def log_of(server: Server) -> SentLog:
    assert server.app is not None
    assert eventually(lambda: len(server.app.ctx.sent) > 0)  # type: ignore[union-attr]  # narrowed above
    log: SentLog = server.app.ctx.sent[-1]
    return log


@EVERYWHERE
@pytest.mark.parametrize(
    "fault",
    [Split(1, 1), Merge(1, 3), WrongLength(-5), WrongLength(5), BadChunk(2), BadChunk(2, "long"), Cut(2, inside=True)],
    ids=repr,
)
def test_a_client_gets_exactly_the_planned_bytes_and_then_the_end(fault: Fault, loop: str) -> None:
    given = script(fault, Interim(1), gap_ms=0)
    with asked(given, loop=loop) as (reader, server):
        assert rest_of(reader) == b"".join(step.wire for step in plan(given))
        log = log_of(server)
        assert eventually(lambda: log.ended)
        assert log.how == ("cut" if plan(given)[-1].kind == "fin" else "finished")
        assert len(log.sent_ns) == len(log.due_ns) == len(plan(given))
        assert log.wrote_bytes == len(b"".join(wires(given)))


@EVERYWHERE
@pytest.mark.parametrize("inside", [False, True])
def test_a_reset_comes_behind_all_that_was_sent(loop: str, inside: bool) -> None:
    given = script(Cut(3, "rst", inside), Merge(2, 2), pieces=("x" * 200_000, "b", "c"), gap_ms=0)
    with asked(given, loop=loop) as (reader, server):
        got: list[bytes] = []
        with pytest.raises(ConnectionResetError):
            got.extend(iter(partial(reader.recv, 65536), b""))
        assert b"".join(got) == b"".join(step.wire for step in plan(given))
        assert log_of(server).how == "cut"


def test_on_a_unix_socket_a_reset_is_an_end() -> None:
    with asked(script(Cut(2, "rst")), unix=True) as (reader, _):
        assert rest_of(reader).endswith(A)


@pytest.mark.parametrize("fault", [Merge(1, 3), Split(2), Heartbeats(1, 1, 3)], ids=repr)
def test_each_step_is_one_write_but_merged_ones_leave_together(fault: Fault) -> None:
    writes: list[bytes] = []
    free = asyncio.Event()
    free.set()
    steps = plan(script(fault, gap_ms=0))

    async def perform() -> None:
        leave = asyncio.Event()
        transport = SimpleNamespace(
            write=writes.append,
            is_closing=lambda: False,
            get_extra_info=lambda _: None,
            close=leave.set,
        )
        protocol = SimpleNamespace(transport=transport, _can_write=free)
        request: Any = SimpleNamespace(transport=transport, stream=SimpleNamespace(stage=None), protocol=protocol)
        log = SentLog(time.monotonic_ns(), b"", "", steps)
        task = asyncio.ensure_future(upstream._perform(request, log))
        await leave.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert log.how == "finished"

    asyncio.run(perform())
    head, *events, end = (step.wire for step in steps)
    assert writes == [head, *([b"".join(events)] if isinstance(fault, Merge) else events), end]


@EVERYWHERE
@pytest.mark.parametrize("fault", [NoAnswer(), Stall(0, 3_600_000), Stall(2, 3_600_000)], ids=repr)
def test_an_upstream_that_is_silent_ends_when_its_asker_leaves(fault: Fault, loop: str) -> None:
    with asked(script(fault), loop=loop) as (reader, server):
        log = log_of(server)
        assert (log.how, log.ended) == ("running", False)
        reader.close()
        assert eventually(lambda: log.ended)
        assert log.how == "left"
        with connect(server) as other:
            other.sendall(request("/", b"").replace(b"POST /", b"GET /sent"))
            assert b'"how":"left"' in read_answer(other)


def test_an_upstream_whose_reader_takes_nothing_is_held_and_ends_when_it_leaves() -> None:
    with asked(script(HugeEvent(1, 100_000_000))) as (reader, server):
        log = log_of(server)
        assert eventually(lambda: log.wrote_bytes > 100_000)
        assert not log.ended
        reader.close()
        assert eventually(lambda: log.ended)
        assert (log.how, log.wrote_bytes < 50_000_000) == ("left", True)


def test_another_answer_comes_on_the_next_connection() -> None:
    with serve(partial(create_upstream, script(Garbage(1), gap_ms=0))) as server:
        for _ in range(3):
            with connect(server) as reader:
                reader.sendall(request("/", b""))
                assert is_whole(read_answer(reader))
