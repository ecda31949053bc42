"""What is under way tells what it has so far: to whoever watches, completed, and as a copy."""

from __future__ import annotations

import contextvars

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.rows import Events, Reads, SlimEvents
from streamkit.lab.under_way import Watcher, completed_by, is_watched, under_way, watched_by
from streamkit.parser import ServerSentEvent


def test_nobody_is_told_where_nobody_watches() -> None:
    def so_far() -> None:
        raise AssertionError("nobody asked")

    with under_way(so_far):
        assert not is_watched()


def test_of_several_one_within_the_other_that_is_told_which_began_first() -> None:
    watched = Watcher()
    with watched_by(watched):
        assert watched.so_far() is None
        with under_way(lambda: "load"):
            with under_way(lambda: "stream"):
                assert watched.so_far() == "load"
            assert watched.so_far() == "load"
        with under_way(lambda: "next"):
            assert watched.so_far() == "next"
        assert watched.so_far() is None


def test_what_begins_in_a_block_that_completes_it_is_told_completed() -> None:
    watched = Watcher()
    with watched_by(watched), under_way(lambda: 1):
        seen = [watched.last_is_completed]
    with watched_by(watched), completed_by(lambda told: told + 1), under_way(lambda: 1):
        assert watched.so_far() == 2
    assert [*seen, watched.last_is_completed] == [False, True]
    assert watched.completed(7) == 8  # when it is over, too


def test_it_is_a_matter_of_the_context() -> None:
    elsewhere, seen = contextvars.copy_context(), []
    with watched_by(Watcher()):
        seen += [is_watched(), elsewhere.run(is_watched)]
        with watched_by(None):
            seen.append(is_watched())
        seen.append(is_watched())
    assert [*seen, is_watched()] == [True, False, False, True, False]


def test_what_a_recorder_has_so_far_does_not_grow_with_it() -> None:
    recorder = Recorder(preset="openai", clock=iter(range(0, 10_000, 10)).__next__)
    recorder.head(200, {"content-type": "text/event-stream"})
    said = b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
    recorder.feed(0, 50, said)
    before = recorder.so_far()
    recorder.feed(1, 90, said)
    assert ("".join(before.events.text), len(before.reads)) == ("Hel", 1)
    assert before.reads.data == [None]
    assert recorder.finish().text == "HelHel"


@pytest.mark.parametrize("rows", [Reads([1, 2], size=[3, 4]), Events([1, 2], text=["Hel", "lo"])])
def test_a_copy_has_the_same_rows_and_none_that_is_not_whole_yet(rows: Reads | Events) -> None:
    copied = rows.copied()
    assert copied == rows
    rows.at_ns.append(9)  # as another thread sees it in between
    assert rows.copied() == copied


def test_a_copy_of_few_bytes_has_the_same_rows_and_does_not_grow_either() -> None:
    events = SlimEvents()
    for read in range(2):
        events.append(ServerSentEvent("Hel"), at_ns=7 * read, handed_ns=8, read=read, text="Hel", reasoning="", size=3)
    copied = events.copied()
    assert copied == events
    events.append(ServerSentEvent("lo"), at_ns=20, handed_ns=20, read=2, text="lo", reasoning="", size=2)
    assert [event.at_ns for event in copied] == [0, 7]
