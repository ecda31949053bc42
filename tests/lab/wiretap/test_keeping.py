"""What is kept of all that passes is bounded: in memory, in a folder, in what waits to be told."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording
from streamkit.lab.wiretap import teller as teller_module
from streamkit.lab.wiretap.folder import Folder
from streamkit.lab.wiretap.shelf import EVENT_BYTES, STREAM_BYTES, Shelf
from streamkit.lab.wiretap.teller import Teller
from tests.memory import kept_bytes

WAIT_S = 10.0
SSE = {"content-type": "text/event-stream"}


def recorded(shelf: Shelf, name: str = "", data: bytes = b"") -> bool:
    """A stream with this body, from beginning to end; whether there was room for all of it."""
    recorder = Recorder(label=name, keep_bytes=0)
    if not shelf.begins(recorder):
        return False
    recorder.head(200, SSE)
    room = all(
        recorder.feed(n, recorder.started_ns + n, each) and shelf.grows(recorder, len(each))
        for n, each in enumerate(data.splitlines(keepends=True))
    )
    shelf.put(recorder, recorder.finish())
    return room


def names(shelf: Shelf) -> list[str]:
    return [recording.label for recording in shelf.recordings]


def test_the_oldest_makes_room_where_they_are_too_many() -> None:
    shelf = Shelf(max_streams=2, max_bytes=1 << 20, keep_text=True)
    assert all(recorded(shelf, name) for name in "abc")
    assert (names(shelf), shelf.finished) == (["b", "c"], 3)


def test_the_oldest_make_room_where_they_are_too_large() -> None:
    body = b"data: xxxx\n\n" * 10
    one = STREAM_BYTES + 2 * len(body) + 10 * EVENT_BYTES
    shelf = Shelf(max_streams=99, max_bytes=2 * one + 10, keep_text=True)
    assert all(recorded(shelf, name, body) for name in "abc")
    assert names(shelf) == ["b", "c"]


def test_one_that_is_larger_than_all_is_given_up() -> None:
    shelf = Shelf(max_streams=99, max_bytes=STREAM_BYTES + 3 * EVENT_BYTES, keep_text=True)
    assert not recorded(shelf, "a", b"data: x\n\n" * 10)
    assert names(shelf) == ["a"]


def test_a_body_that_grows_under_its_coding_counts_as_what_it_has_grown_to() -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    shelf = Shelf(max_streams=9, max_bytes=500_000, keep_text=True)
    recorder = Recorder(keep_bytes=0)
    assert shelf.begins(recorder)
    recorder.head(200, {"content-type": "text/plain", "content-encoding": "gzip"})
    recorder.feed(0, recorder.started_ns, bomb)
    assert not shelf.grows(recorder, len(bomb))


def test_one_that_is_dropped_leaves_its_room() -> None:
    shelf = Shelf(max_streams=1, max_bytes=1 << 20, keep_text=True)
    for _ in range(3):
        recorder = Recorder()
        assert shelf.begins(recorder)
        shelf.drop(recorder)
    assert (shelf.running, shelf.finished, shelf._taken) == (0, 0, 0)


def test_no_more_run_at_a_time_than_are_kept() -> None:
    shelf = Shelf(max_streams=2, max_bytes=1 << 20, keep_text=True)
    running = [Recorder() for _ in range(3)]
    assert [shelf.begins(recorder) for recorder in running] == [True, True, False]
    shelf.put(running[0], running[0].finish())
    assert shelf.begins(running[2])
    assert shelf.running == 2


@pytest.mark.parametrize("keep_text", [True, False])
def test_what_it_reckons_with_is_about_what_recordings_take(keep_text: bool) -> None:
    body = b'data: {"choices": [{"index": 0, "delta": {"content": "hello"}}]}\n\n'

    def keep() -> Shelf:
        shelf = Shelf(max_streams=999, max_bytes=1 << 30, keep_text=keep_text)
        recorder = Recorder(keep_bytes=0, keep_text=keep_text)
        shelf.begins(recorder)
        recorder.head(200, SSE)
        for n in range(5_000):
            recorder.feed(n, recorder.started_ns + n, body)
            shelf.grows(recorder, len(body))
        shelf.put(recorder, recorder.finish())
        return shelf

    took, reckoned = kept_bytes(keep), keep()._taken - STREAM_BYTES
    assert took / 2 < reckoned < 5 * took, (took, reckoned)


def test_a_folder_has_a_file_for_each_and_the_oldest_of_its_own_make_room(tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "mine.jsonl").write_bytes(b"stays")
    folder = Folder(tmp_path / "streams", max_files=2, max_bytes=1 << 20)
    told = {"started_at": "2026-11-29T12:30:00.123+00:00"}
    paths = [folder.save(Recording.from_pieces([(1, text)], meta=told)) for text in "abc"]
    assert [path.name for path in paths] == [f"20261129T123000-00000{n}.jsonl" for n in (1, 2, 3)]
    assert sorted(path.name for path in folder.path.iterdir()) == [paths[1].name, paths[2].name, "mine.jsonl"]
    assert Recording.load(paths[2]).text == "c"


def test_a_folder_is_no_larger_than_so_many_bytes_but_for_its_newest_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new" / "streams", max_files=99, max_bytes=10)
    told = {"started_at": "2026-11-29T12:30:00.123+00:00"}
    for text in "ab":
        last = folder.save(Recording.from_pieces([(1, text)], meta=told))
    assert list(folder.path.iterdir()) == [last]


def test_listeners_are_told_in_order_and_one_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def listen(recording: Recording) -> None:
        told.append(recording.label)
        if recording.label == "a":
            raise ZeroDivisionError

    teller = Teller(listen, told.append, 1000)
    teller.begin()
    teller.recording(Recording(label="a"), 10)
    teller.notice("b")
    teller.recording(Recording(label="c"), 10)
    teller.end()
    assert teller.join(WAIT_S)
    assert told == ["a", "b", "c"]
    assert "a listener of this tap has failed" in caplog.text


def test_what_a_slow_listener_leaves_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller_module, "WAITING", 2)
    busy, free = threading.Event(), threading.Event()
    told: list[str] = []

    def listen(what: str) -> None:
        busy.set()
        assert free.wait(WAIT_S)
        told.append(what)

    teller = Teller(None, listen, 1000)
    teller.begin()
    teller.notice("1")
    assert busy.wait(WAIT_S)
    for what in "2345":
        teller.notice(what)
    assert teller.untold == 2
    free.set()
    teller.end()
    assert teller.join(WAIT_S)
    assert told == ["1", "2", "3"]


def test_what_waits_takes_no_more_than_so_many_bytes() -> None:
    busy, free = threading.Event(), threading.Event()
    told: list[str] = []

    def listen(recording: Recording) -> None:
        busy.set()
        assert free.wait(WAIT_S)
        told.append(recording.label)

    teller = Teller(listen, None, 100)
    teller.begin()
    teller.recording(Recording(label="a"), 500)
    assert busy.wait(WAIT_S)
    for name, takes in (("b", 60), ("c", 60), ("d", 40)):
        teller.recording(Recording(label=name), takes)
    free.set()
    teller.end()
    assert teller.join(WAIT_S)
    assert (told, teller.untold) == (["a", "b", "d"], 1)


def test_where_nobody_listens_there_is_no_thread() -> None:
    teller = Teller(None, None, 1000)
    teller.begin()
    teller.recording(Recording(), 10)
    teller.end()
    assert teller.join(0)
