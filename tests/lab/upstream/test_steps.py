"""The truth about a scripted answer: what its steps say of themselves is what their bytes say.

It is judged twice: by the script, from what its faults say of themselves, and here, from the bytes, by h11 (another
HTTP parser than the relay's), the event parsers and the presets.
"""

from __future__ import annotations

import random

import pytest

from streamkit.errors import LimitExceeded
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
from streamkit.lab.upstream.script import Script
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import PRESETS, Answer, preset, writer
from tests.scripted import parted, script

MARKED = sorted(name for name in PRESETS if preset(name).has_end_marker)
UNMARKED = sorted(name for name in PRESETS if not preset(name).has_end_marker)


def judged(given: Script, max_event_bytes: int) -> tuple[bool, str]:
    """Whether the planned bytes prove that the answer is complete, and its text."""
    steps = given.steps()
    clean, body = True, b"".join(step.data for step in steps)
    if given.faults:
        data = b"".join(step.framed for step in steps)
        head, body, clean = parted(data, closed=steps[-1].kind != "silence")
        expected_type = writer(given.preset).content_type.encode()
        if head is None or head.status_code != 200 or dict(head.headers)[b"content-type"] != expected_type:
            return False, ""
    known = preset(given.preset)
    parser: NDJSONParser | SSEParser
    if known.grammar == "ndjson":
        parser = NDJSONParser(max_line_bytes=max_event_bytes)
    else:
        parser = SSEParser(max_line_bytes=max_event_bytes, max_event_bytes=max_event_bytes, strays=True)
    try:
        events = parser.feed(body)
        events += parser.close() if clean else []
    except LimitExceeded as error:
        events, clean = error.events, False
    answer = Answer(known)
    pieces = answer.read(events)
    pieces += [] if answer.over else answer.close()
    problem = answer.problem_at_end(clean=clean, unfinished=parser.unfinished)
    return problem is None, "".join(piece.text for piece in pieces)


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
    proven = {name for name in PRESETS if any(mark.conclusive for mark in preset(name).ends)}
    for fault in (Cut(5), Cut(5, inside=True), BadChunk(5), BadChunk(5, "crlf")):
        assert {script(fault, preset=name).whole for name in proven} == {True}
        assert {script(fault, preset=name).whole for name in PRESETS if name not in proven} == {False}


def test_no_end_marker_breaks_what_has_one_unless_there_was_a_sign_of_the_end() -> None:
    assert not script(NoEnd(), preset="openai").whole
    assert script(NoEnd(keep_finish=True), preset="openai").whole
    assert not script(NoEnd(keep_finish=True), Cut(5), preset="openai").whole
    assert script(NoEnd(), preset="seed").whole
    assert not script(NoEnd(), preset="gemini").whole
    assert script(NoEnd(keep_finish=True), preset="gemini").whole


def test_what_a_reader_refuses_by_size_is_whole_only_for_one_with_larger_limits() -> None:
    huge, big, storm = script(HugeEvent(2, 5000)), script(BigHead(5000)), script(Interim(20))
    assert huge.truth(max_event_bytes=6000).whole
    assert huge.truth(max_event_bytes=5000) == (False, "你")
    assert [big.truth(max_head_bytes=limit).whole for limit in (5000, 6000)] == [False, True]
    assert [storm.truth(max_interim=limit).whole for limit in (16, 20)] == [False, True]
