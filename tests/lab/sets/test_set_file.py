"""A set as one file: what was saved is loaded; what is damaged is named, and takes nothing else with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamkit.errors import RecordingFormatError
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet, Resources
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge
from tests.lab.recording.examples import small
from tests.lab.sets.streams import load, stream

RELAY = Resources.of("relay", [(0, 1 << 20, 9, 0, -1), (10, 2 << 20, 10, 5, 3)])


def saved(path: Path, *recordings: Recording) -> Path:
    RecordingSet(recordings, meta={"seed": 7, "arrivals": "poisson"}, resources=[RELAY]).save(path)
    return path


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    foreign = stream(5, taps={"relay.sent": Tap([1, 2], [1, 2], [5, 9])}, gauges={"relay.unsent": Gauge([1], [7])})
    odd = Recording.from_pieces([(1, "\ud800 你"), (2, "")], label="a lone surrogate")
    recordings = [*load(9), small(), foreign, odd, Recording()]
    loaded = RecordingSet.load(saved(tmp_path / "load.jsonl", *recordings))
    assert loaded.recordings == RecordingSet(recordings).recordings
    assert loaded.meta == {"seed": 7, "arrivals": "poisson"}
    assert loaded.resources[0].rss_bytes.tolist() == RELAY.rss_bytes.tolist()
    assert loaded.damage == ()


def test_streams_whose_texts_were_not_kept_come_back_as_their_lengths(tmp_path: Path) -> None:
    recorder = Recorder(keep_text=False, keep_bytes=0)
    recorder.head(200, {"content-type": "text/event-stream"})
    for number, text in enumerate(["data: a\n\n", "data: 你好\n\ndata: b\n\n"]):
        recorder.feed(number, recorder.started_ns + number, text.encode())
    slim = recorder.finish()
    (loaded,) = RecordingSet.load(saved(tmp_path / "load.jsonl", slim))
    assert loaded == slim
    assert (len(loaded.events), loaded.events.kept) == (3, False)


def test_a_set_of_none_is_a_set(tmp_path: Path) -> None:
    assert len(RecordingSet.load(saved(tmp_path / "none.jsonl"))) == 0


def test_the_file_of_a_recording_is_a_set_of_one(tmp_path: Path) -> None:
    small().save(tmp_path / "one.jsonl")
    assert RecordingSet.load(tmp_path / "one.jsonl").recordings == (small(),)


def test_a_recording_is_not_loaded_from_a_set(tmp_path: Path) -> None:
    with pytest.raises(RecordingFormatError, match=r"a set of them: RecordingSet.load\(\) reads it"):
        Recording.load(saved(tmp_path / "load.jsonl", small()))


@pytest.mark.parametrize("place", range(0, 100, 9))
def test_a_flipped_bit_is_named_and_takes_one_stream_with_it(tmp_path: Path, place: int) -> None:
    path = saved(tmp_path / "load.jsonl", *load(4))
    lines = path.read_bytes().splitlines(keepends=True)
    at = len(lines[3]) * place // 100
    lines[3] = lines[3][:at] + bytes([lines[3][at] ^ 1]) + lines[3][at + 1 :]
    path.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match="load.jsonl is damaged"):
        loaded = RecordingSet.load(path)
    assert loaded.recordings == (load(4)[0], *load(4)[2:])
    assert loaded.damage[0].startswith("line 4: ")
    assert loaded.damage[1:] == ("1 stream is missing: 1",)
    assert loaded.verdict.level == "do not quote"


def test_a_file_that_was_cut_off_says_where_and_what_is_missing(tmp_path: Path) -> None:
    path = saved(tmp_path / "load.jsonl", *load(4))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=r"is damaged \(3 faults\): line 6: no line end"):
        loaded = RecordingSet.load(path)
    assert len(loaded) == 3
    assert loaded.damage[-1] == "1 stream is missing: 3"


def test_a_lost_header_costs_what_stood_in_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "load.jsonl", *load(2))
    path.write_bytes(b"{}\n" + path.read_bytes().split(b"\n", 1)[1])
    with pytest.warns(UserWarning, match="line 1: is cut off or holds no checksum"):
        loaded = RecordingSet.load(path)
    assert len(loaded) == 2
    assert loaded.damage[-1].startswith("no header")


@pytest.mark.parametrize("change", [{"stream": "x"}, {"reads": {}}, {"events": []}, {"footer": {}}, {"header": None}])
def test_a_line_with_a_true_checksum_and_wrong_content_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    from streamkit.lab.recording.lines import decode, encode

    path = saved(tmp_path / "load.jsonl", *load(2))
    lines = path.read_bytes().splitlines()
    told = {**decode(lines[2]), **change}
    del told["crc32"]
    path.write_bytes(b"\n".join([*lines[:2], encode(told).rstrip(), lines[3]]) + b"\n")
    with pytest.warns(UserWarning, match="line 3: "):
        assert len(RecordingSet.load(path)) == 1


def test_a_newer_format_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"streamkit": "recordings", "version": 2}) + "\n")
    with pytest.raises(RecordingFormatError, match="format 2, and this version reads up to 1: update"):
        RecordingSet.load(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"hello\n", "no line of it is JSON"),
        (b"\x80\n" * 3, "no line of it is JSON"),
        (b"[1]\n", "its lines are JSON, but none is a whole line of a set"),
        (b'{"streamkit":"recordings","version":1}\n', "its lines are JSON, but none is a whole line of a set"),
        (b'hello\n{"a": 1}\n', "some of its lines are JSON, but none is a whole line of a set"),
    ],
)
def test_what_is_no_set_is_refused_and_what_it_is_instead_is_said(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RecordingFormatError, match=f"x is no recording: {why}$"):
        RecordingSet.load(tmp_path / "x")


def test_a_compressed_one_comes_back_too(tmp_path: Path) -> None:
    loaded = RecordingSet.load(saved(tmp_path / "load.jsonl.gz", *load(9)))
    assert loaded.recordings == RecordingSet(load(9)).recordings
    assert (tmp_path / "load.jsonl.gz").read_bytes().startswith(b"\x1f\x8b")
    small().save(tmp_path / "one.gz")
    assert RecordingSet.load(tmp_path / "one.gz").recordings == (small(),)
