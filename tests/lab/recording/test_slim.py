"""Recordings without texts: in few bytes, with everything that can be told without them, and nothing that cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.summary import timetable
from tests.lab.client.answers import SSE, Clock
from tests.memory import kept_bytes

MOST_BYTES = 64
"""An event, in all: its own columns and those of its read."""


def event(number: int) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "w%d \xc3\xa4"}}]}\n\n' % number


def part(number: int) -> Any:
    at_ns = 1_000 + 9_999_000 * number
    return event(number), number + 1, (at_ns, "kernel", 130, at_ns + 50_000 + number % 7)


def slim(events: int, **options: Any) -> Recording:
    recorder = Recorder(clock=Clock(), keep_text=False, **options)
    recorder.head(200, SSE)
    for start in range(0, events, 16):
        recorder.take([part(number) for number in range(start, min(start + 16, events))])
    return recorder.finish()


def test_an_event_takes_few_bytes() -> None:
    events = 5_000
    recording = slim(events, keep_bytes=0)
    assert len(recording.events) == len(recording.reads) == events
    assert kept_bytes(lambda: slim(events, keep_bytes=0)) / events < MOST_BYTES


def test_its_lengths_are_told_and_its_texts_are_an_error() -> None:
    recording = slim(20)
    summary = recording.summary()
    assert (summary.events, summary.characters) == (20, sum(len(f"w{number} ä") for number in range(20)))
    assert summary.gap_p50_ms == 9.999
    assert recording.events[3].text == ""
    assert repr(recording) == "<Recording truncated: 20 events, 90 characters>"
    assert "4 characters, not kept" in timetable(recording)
    for name in ("text", "reasoning", "results", "values", "progress"):
        with pytest.raises(ValueError, match="keep_text=True"):
            getattr(recording, name)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, keep_bytes: int) -> None:
    recording = slim(20, keep_bytes=keep_bytes)
    recording.save(tmp_path / "slim.jsonl")
    loaded = Recording.load(tmp_path / "slim.jsonl")
    assert loaded == recording
    assert (loaded.events.kept, loaded.summary()) == (False, recording.summary())
    assert (tmp_path / "slim.jsonl").read_bytes().startswith(b'{"streamkit":"recording","version":5,"kept":false')
