"""Reads taken many at a time: the rows are those of one by one, whatever they hold and however they are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.lab.client.alike import Alike
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording
from streamkit.parser import SSEParser
from streamkit.presets import Answer, EndMark, Preset, preset
from tests.lab.client.answers import SSE, Clock

KNOWN = 40
"""So many events of one shape, and it is known."""
WORDS = ["Hel", "lo", " wörld", "你好", "\n", '"', "\\", "", "[DONE]", "ping", "stop", "a\u2028b", "\ud83d", "x" * 300]


def chat(text: str, **more: Any) -> bytes:
    value = {"id": "c7", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}
    return b"data: " + json.dumps(value, ensure_ascii=not text.isprintable()).encode() + b"\n\n"


def recorded(reads: Sequence[bytes], several: int, **options: Any) -> Recording:
    """By `several` reads at a time; 0: one by one."""
    recorder = Recorder(clock=Clock(), **options)
    recorder.head(200, SSE)
    parts: Any = [
        (data, number, (1_010 + 10 * number, "kernel", 3, 1_014 + 10 * number)) for number, data in enumerate(reads)
    ]
    if several:
        for start in range(0, len(parts), several):
            if not recorder.take(parts[start : start + several]):
                break
    else:
        for data, number, (at_ns, kind, error_ns, read_ns) in parts:
            if not recorder.feed(number, at_ns, data, kind, error_ns, read_ns - at_ns):
                break
    return recorder.finish()


def told(recording: Recording) -> tuple[Any, ...]:
    notes = recording.meta["notes"]
    return recording.reads, recording.events, recording.outcome, recording.error, recording.finish_reason, notes


EVENTS = st.one_of(
    st.sampled_from(WORDS).map(chat),
    st.sampled_from(WORDS).map(lambda text: chat(text, obfuscation=text * 2)),
    st.sampled_from(
        [
            b": ping\n\n",
            b"id: 4\n\n",
            b"\n",
            b"data: x\n\n",
            b"event: ping\ndata: {}\n\n",
            b'data: {"error": {"message": "no"}}\n\n',
            b'data: {"choices": [{"index": 1, "delta": {"content": "b"}}]}\n\n',
            b'data: {"choices": [{"index": 0, "delta": {"tool_calls": [{}]}}]}\n\n',
            b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n',
            b"data: [DONE]\n\n",
        ]
    ),
)


@given(
    bodies=st.lists(EVENTS, max_size=40),
    cuts=st.lists(st.integers(0, 6000), max_size=30),
    whole=st.booleans(),
    options=st.sampled_from([{}, {"preset": "openai"}, {"max_events": 50}, {"max_bytes": 5000}, {"keep_bytes": 4500}]),
)
def test_whatever_comes_the_rows_are_those_of_one_by_one(
    bodies: list[bytes], cuts: list[int], whole: bool, options: dict[str, Any]
) -> None:
    first = [chat(f"word{number}") for number in range(KNOWN)]
    body = b"".join(bodies)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reads = [*first, *(bodies if whole else [body[start:stop] for start, stop in pairwise(edges)])]
    live = recorded([read for read in reads if read], 0, **options)
    for several in (7, 16):
        assert told(recorded([read for read in reads if read], several, **options)) == told(live)


@settings(max_examples=30)
@given(bodies=st.lists(EVENTS, max_size=40), heard=st.booleans())
def test_without_texts_everything_else_is_as_with_them(bodies: list[bytes], heard: bool) -> None:
    reads = [*(chat(f"word{number}") for number in range(KNOWN)), *bodies]
    pieces: list[str] = []
    options = {"on_piece": pieces.append} if heard else {}
    full, slim = recorded(reads, 0 if heard else 16), recorded(reads, 0 if heard else 16, keep_text=False, **options)
    for name in ("at_ns", "read", "size", "event"):
        assert getattr(slim.events, name) == getattr(full.events, name), name
    assert heard or slim.events.handed_ns == full.events.handed_ns
    assert slim.reads == recorded(reads, 0, keep_bytes=0).reads or any(slim.reads.data)
    assert (slim.counted.at_ns.tolist(), slim.counted.characters.tolist()) == (
        full.counted.at_ns.tolist(),
        full.counted.characters.tolist(),
    )
    assert slim.summary().rows() == full.summary().rows()
    assert not heard or "".join(pieces) == full.text


class TestAlike:
    def learnt(self, data: bytes) -> Alike:
        answer = Answer(preset("openai"))
        event = SSEParser().feed(data)[0]
        alike = Alike()
        alike.learn(event, answer.read([event])[0].text, data, answer)
        return alike

    def test_an_event_with_another_text_is_alike(self) -> None:
        alike = self.learnt(chat("Hello"))
        assert alike.texts(chat("wörld") + chat("!")) == ["wörld", "!"]

    @pytest.mark.parametrize(
        "other",
        [
            chat(""),
            chat('"'),
            chat("\\"),
            chat("\n"),
            chat("a", id="c8"),
            chat("a")[:-1],
            chat("a") + b"\n",
            chat("a") + b": ping\n\n" + chat("b"),
            chat("a").replace(b'"a"', b'"a\x00b"'),
            chat("a").replace(b'"a"', b'"\xff"'),
            chat("a").replace(b'"a"', b'"a","content":"b"'),
        ],
    )
    def test_anything_else_is_not(self, other: bytes) -> None:
        assert self.learnt(chat("Hello")).texts(other) is None

    def test_a_text_that_stands_there_twice_is_not_learnt(self) -> None:
        assert self.learnt(chat("Hello", again="Hello")).around is None

    def test_a_text_with_which_a_condition_compares_is_read_by_the_rules(self) -> None:
        known = Preset(name="mine", text="say", ends=(EndMark(where="say == 'bye'"),), signs=("say exists",))
        answer, alike = Answer(known), Alike()
        event = SSEParser().feed(b'data: {"say":"hi"}\n\n')[0]
        alike.learn(event, answer.read([event])[0].text, b'data: {"say":"hi"}\n\n', answer)
        assert alike.texts(b'data: {"say":"you"}\n\n') == ["you"]
        assert alike.texts(b'data: {"say":"bye"}\n\n') is None
