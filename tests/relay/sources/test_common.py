"""Reads that are nothing but texts, taken at once: the same pieces, end and taps as by the general way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.errors import EncodeError
from streamkit.extractor.pieces import Piece
from streamkit.parser import ServerSentEvent, encode_event
from streamkit.presets import PRESETS, Preset, preset, writer
from streamkit.relay.failure import Failed
from streamkit.relay.settings import Limits
from streamkit.relay.sources.reading import Reading
from streamkit.taps import StreamTaps
from tests.presets.test_plans import REAL, WIRE, mutated


@pytest.fixture(autouse=True, scope="module")
def plans_are_made_soon() -> Iterator[None]:
    with patch("streamkit.presets.plans.PATIENCE", 1):
        yield


def new_reading(rules: Preset, taps: StreamTaps | None = None, bound: int = 1 << 20) -> Reading:
    return Reading(rules, Limits(max_line_bytes=bound, max_event_bytes=bound), taps)


class Told:
    """What a reading tells of a body, read by read."""

    def __init__(self, reading: Reading, reads: list[bytes], taps: StreamTaps | None = None, *, shortly: bool) -> None:
        self.batches: list[Any] = []
        self.short = 0
        for number, data in enumerate(reads):
            texts = reading.texts(data) if shortly else None
            if texts is not None:
                self.short += bool(texts)
                if texts and taps is not None:
                    reading.stamp(texts, number, taps)
                self.batches.append((bool(texts), False, [Piece(text) for text in texts]))
                continue
            pieces = reading.feed(data, number)
            self.batches.append((reading.saw_event, reading.thought, pieces))
            if reading.over:
                break
        self.last = None if reading.over else reading.close()
        self.end: object = None
        try:
            reading.check_end(clean=True)
        except Failed as error:
            self.end = error.failure
        self.facts = (reading.complete, reading.signed, reading.finish_reason, reading.failure, reading.notes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Told) and all(
            getattr(self, name) == getattr(other, name) for name in ("batches", "last", "end", "facts")
        )

    __hash__ = None  # type: ignore[assignment]  # it is compared only


def both(rules: Preset, reads: list[bytes], bound: int = 1 << 20) -> Told:
    """What is told by either way, which is the same."""
    taps = StreamTaps("a"), StreamTaps("b")
    short = Told(new_reading(rules, taps[0], bound), reads, taps[0], shortly=True)
    general = Told(new_reading(rules, taps[1], bound), reads, shortly=False)
    assert short.batches == general.batches
    assert short == general
    steps = [{name: (tap.events, tap.bytes) for name, tap in one.taps.items()} for one in taps]
    assert steps[0] == steps[1]
    assert taps[0].taps.get("relay.read") == taps[1].taps.get("relay.read")
    return short


@cache
def written(name: str) -> tuple[list[bytes], list[bytes]]:
    """What comes before the first piece, and some pieces."""
    form = writer(name)
    return form.open(), [form.piece(text, number) for number, text in enumerate(["a", "你", " b\n", '"', "x" * 90])]


def encoded(event: ServerSentEvent, *, ndjson: bool) -> bytes:
    try:
        return event.data.encode() + b"\n" if ndjson else encode_event(event, last_event_id=event.id)
    except EncodeError:
        return b": odd\n\n"


ODD = [
    b": ping\n\n",
    b"\n",
    b"data: [DONE]\n\n",
    b"data:\n\n",
    b"retry: 5\n\n",
    b"\xff\n\n",
    b"data: {\n\n",
    b"id: 7\n",
]
LINE_ENDS = [b"\n", b"\n", b"\n", b"\r\n", b"\r"]


@st.composite
def bodies(draw: st.DrawFn, name: str) -> list[bytes]:
    """An answer's reads: many of its pieces, and between them what is none."""
    ndjson = preset(name).grammar == "ndjson"
    opening, pieces = written(name)
    other = (mutated(WIRE[name]) | mutated(REAL)).map(lambda event: encoded(event, ndjson=ndjson)) | st.sampled_from(
        ODD
    )
    blocks = [*opening, *pieces[:2]]
    for odd in draw(st.lists(st.sampled_from([True, *[False] * 8]), max_size=16)):
        blocks.append(draw(other if odd else st.sampled_from(pieces)))
    end = draw(st.sampled_from(LINE_ENDS))
    blocks = [block.replace(b"\r\n", b"\n").replace(b"\n", end) if end != b"\n" else block for block in blocks]
    blocks += writer(name).close(len(blocks)) if draw(st.booleans()) else []
    if draw(st.booleans()):
        return blocks
    body = b"".join(blocks)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reads = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return [read for read in reads if read]


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=5)  # of each preset, in both ways
@given(data=st.data())
def test_by_either_way_an_answer_is_the_same(name: str, data: st.DataObject) -> None:
    reads = data.draw(bodies(name))
    both(preset(name), reads)
    both(preset(name, reasoning=True), reads, bound=data.draw(st.sampled_from([60, 400, 1 << 20])))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["openai", "seed", "anthropic", "gemini", "cohere", "mistral", "openai-responses"])
def test_nearly_all_reads_of_an_event_are_common(name: str, end: bytes) -> None:
    form = writer(name)
    events = [*form.open(), *(form.piece(f"{number} ", number) for number in range(40))]
    told = both(preset(name), [event.replace(b"\r\n", b"\n").replace(b"\n", end) for event in events])
    assert told.short >= 36


def test_lines_of_json_are_too() -> None:
    form = writer("ollama")
    assert both(preset("ollama"), [form.piece("a", number) for number in range(40)]).short >= 36


@pytest.mark.parametrize("size", [100, 1000, 5000])
def test_reads_that_end_anywhere_are_common(size: int) -> None:
    form = writer("openai")
    body = b"".join(form.piece(f"{number} ", number) for number in range(400))
    told = both(preset("openai"), [body[start : start + size] for start in range(0, len(body), size)])
    assert told.short >= 0.8 * min(400, len(body) / size)


def chat(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **more}
    return b"data: %b\n\n" % orjson.dumps({"id": "x", "choices": [choice]})


@pytest.mark.parametrize(
    "odd",
    [
        chat("b", finish_reason="stop"),
        chat("b", index=1),
        chat("b", index=False),
        chat("b", error={"code": 7}),
        chat(""),
        chat("b").replace(b'"b"', b"7"),
        chat("b").replace(b'"b"', b'"\xff"'),
        chat("b").replace(b'"b"', b'"\\ud800"'),
        chat("b").replace(b"data: ", b"data:"),
        chat("b").replace(b"data: ", b"data: \n"),
        chat("b").replace(b'{"id', b'{"error": "busy", "id'),
        chat("b").replace(b'"index"', b'\n"index"'),
        b"event: error\n" + chat("b"),
        b"data: [DONE]\n\n",
    ],
)
def test_what_is_more_than_a_text_is_read_in_the_general_way(odd: bytes) -> None:
    common = [chat("a")] * 6
    told = both(preset("openai"), [*common, odd, *common])
    assert told.short <= 10
    both(preset("openai"), [*common, b"".join([chat("c"), odd, chat("d")]), *common])


def test_a_failure_by_its_shape_is_seen_among_events_that_look_alike() -> None:
    told = b'data: {"text": "a", "code": %b, "message": "m"}\n\n'
    rules = Preset(name="mine", text="text")
    fine, failed = told % b"0", told % b'"busy"'
    assert both(rules, [fine] * 9).short >= 5
    both(rules, [*[fine] * 6, failed, fine])
    both(rules, [*[told % b"true"] * 6, told % b"1", fine])


@pytest.mark.parametrize("nested", ["{", '{"List": 7}', "7", "", '{"List": []}', "[" * 2000])
def test_json_within_json_that_is_none_is_read_in_the_general_way(nested: str) -> None:
    form = writer("seed")
    common = [form.piece(f"{number} ", number) for number in range(8)]
    event = orjson.loads(common[0].removeprefix(b"data: "))

    def broken(value: object) -> object:
        if isinstance(value, str) and value.startswith("{"):
            return nested
        if isinstance(value, dict):
            return {name: broken(each) for name, each in value.items()}
        return [*map(broken, value)] if isinstance(value, list) else value

    odd = broken(event)
    assert odd != event
    both(preset("seed"), [*common, b"data: %b\n\n" % orjson.dumps(odd), *common])
