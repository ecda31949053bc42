"""Relay and recorder judge every stream alike: whether it is whole, and which text it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.fuzz.stream import read_all
from streamkit.lab.client.recorder import Recorder
from streamkit.presets import PRESETS, Preset, preset, writer
from streamkit.relay.failure import Failed
from streamkit.relay.settings import Limits
from streamkit.relay.sources.reading import Reading

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"

NOTES = (
    b": hi\n\n",
    b"event: ping\ndata: {}\n\n",
    b"event: ping\ndata: now\n\n",
    b"data: ping\n\n",
    b"data: [DONE]\n\n",
    b'data: "x"\n\n',
    b"data: 7\n\n",
    b"data: [1]\n\n",
    b"data: {oops\n\n",
    b"data: null\n\n",
    b'data: {"error": {"code": "busy"}}\n\n',
    b'data: {"code": 500, "msg": "m"}\n\n',
    b'error: {"code": 500}\n\n',
    b'{"error": {"code": 500}}\n\n',
    b"event: error\ndata: x\n\n",
    b"data: cut",
)


def chat(index: int, content: object, reason: str | None) -> bytes:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


CHATS = st.builds(
    chat,
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from(["a", "b", "", None, 7, ["a"]]),
    st.sampled_from([None, None, None, "stop", "length", "abort"]),
)


def by_relay(known: Preset, reads: Sequence[bytes], *, clean: bool) -> tuple[bool, str, str | None]:
    """As `sources.llm` does it, without the network."""
    reading = Reading(known, Limits(), None)
    text = "".join(piece.text for piece in read_all(reading, reads))
    try:
        reading.check_end(clean=clean)
    except Failed:
        return False, text, None
    return True, text, reading.finish_reason


def by_recorder(known: Preset, reads: Sequence[bytes], *, clean: bool) -> tuple[bool, str, str | None]:
    recorder = Recorder(preset=known)
    recorder.start()
    framing = {"transfer-encoding": "chunked"} if clean else {}
    recorder.head(200, {"content-type": NDJSON if known.grammar == "ndjson" else SSE, **framing})
    for number, data in enumerate(reads):
        recorder.feed(number, recorder.started_ns, data)
    recording = recorder.finish()
    return recording.outcome.ok, recording.text, recorder._decoder.finish_reason if recording.outcome.ok else None


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=25)  # of each preset; they share most of their rules
@given(data=st.data(), clean=st.booleans())
def test_every_stream_is_as_whole_for_the_recorder_as_it_is_for_the_relay(
    name: str, data: st.DataObject, clean: bool
) -> None:
    known, form = preset(name), writer(name)
    own = [*form.open(), form.piece("a", 0), form.piece("b", 1), *form.close(2), form.error("busy")]
    some: Any = st.sampled_from(own) | st.sampled_from(NOTES)
    some = some | CHATS if known.choices else some
    reads = [read for read in data.draw(st.lists(some, max_size=12)) if read]
    assert by_recorder(known, reads, clean=clean)[0] == by_relay(known, reads, clean=clean)[0]


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=25)  # of each preset; they share most of their rules
@given(data=st.data())
def test_a_whole_stream_has_one_text_and_one_reason(name: str, data: st.DataObject) -> None:
    known, form = preset(name), writer(name)
    said = ["a", "ab", "abc"] if form.cumulative else ["a", "b", "c"]
    body = b"".join([*form.open(), *map(form.piece, said, range(3)), *form.close(3)])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=5)))
    reads = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    ok, text, reason = by_recorder(known, reads, clean=True)
    assert (ok, text) == (True, "abc")
    assert by_relay(known, reads, clean=True) == (ok, text, reason)
