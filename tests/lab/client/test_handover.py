"""Handover: when events go to whoever listens, and with which stamp."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamkit.lab.client.handover import MAX_BUSY, Handover
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recorded import Events
from tests.lab.client.answers import SSE


def test_a_paced_recorder_keeps_events_until_they_are_handed_over() -> None:
    ticks: Iterator[int] = iter(range(0, 10_000, 10))
    told: list[str] = []
    recorder = Recorder(clock=lambda: next(ticks), paced=True, on_piece=told.append)
    recorder.head(200, SSE)
    event = b'data: {"text":"hi"}\n\n'
    recorder.feed(1, 20, event * 3 + event[:5])
    recorder.feed(2, 30, event[5:])
    assert (recorder.handover.waiting, recorder.handover.backlog_bytes, told) == (4, 4 * len(event), [])
    recorder.handover.next()
    recorder.handover.next()
    assert (recorder.handover.waiting, recorder.handover.backlog_bytes, told) == (2, 2 * len(event), ["hi", "hi"])
    recording = recorder.finish()
    handed = recording.events.handed_ns.tolist()
    assert handed == sorted(handed)
    assert len(set(handed[:3])) == 3
    assert handed[2] > handed[1], "what was not handed over has the time of the end"
    assert told == ["hi", "hi"]


def rows(*texts: str) -> Events:
    return Events([0] * len(texts), text=texts)


def test_at_once_each_event_is_stamped_before_it_is_told_and_what_telling_takes_is_in_the_next_ones_time() -> None:
    clock = [5]
    events = rows("a", "", "b")

    def listen(_: str) -> None:
        clock[0] += 100

    handover = Handover(events, listen, lambda: clock[0])
    for index, text in enumerate(events.text):
        handover.came(index, text)
    assert events.handed_ns.tolist() == [5, 105, 105]
    assert (clock[0], handover.waiting) == (205, 0)


def test_text_that_is_known_late_is_told_and_its_event_keeps_its_time() -> None:
    told: list[str] = []
    events = rows("", "b")
    handover = Handover(events, told.append, lambda: 7)
    handover.came(0, "")
    events.grow(0, "a", "")
    handover.came(0, "a")
    handover.came(1, "b")
    assert told == ["a", "b"]


def test_paced_late_text_goes_with_its_event_if_that_still_waits() -> None:
    told: list[str] = []
    events = rows("", "")
    handover = Handover(events, told.append, lambda: 7, paced=True)
    handover.came(0, "")
    handover.came(1, "")
    handover.next()
    events.grow(0, "a", "")
    events.grow(1, "b", "")
    handover.came(0, "a")
    handover.came(1, "b")
    assert told == ["a"]
    handover.next()
    assert told == ["a", "b"]


@pytest.mark.parametrize(("interrupted", "heard"), [(False, ["a", "b"]), (True, [])])
def test_at_the_end_what_waits_has_the_time_of_the_end_and_is_told_unless_its_reader_was_interrupted(
    interrupted: bool, heard: list[str]
) -> None:
    told: list[str] = []
    events = rows("a", "b")
    handover = Handover(events, told.append, lambda: 9, paced=True)
    handover.end(interrupted=interrupted)
    assert (events.handed_ns.tolist(), told, handover.waiting) == ([9, 9], heard, 0)


def test_of_the_bytes_that_came_each_event_has_its_share_until_none_waits() -> None:
    events = Events()
    handover = Handover(events, None, lambda: 0, paced=True)
    for at_ns in (1, 1, 1, 1):
        events.append(rows("x")[0], at_ns=at_ns, handed_ns=at_ns, read=0, text="x", reasoning="", size=1)
    handover.brought(4, 100)
    held = [handover.backlog_bytes]
    for _ in range(4):
        handover.next()
        held.append(handover.backlog_bytes)
    assert held == [100, 75, 50, 25, 0]


def test_a_listener_that_takes_long_is_noted_with_when_and_a_quick_one_is_not() -> None:
    clock = [5]

    def listen(text: str) -> None:
        clock[0] += 700_000_000 if text == "slow" else 1_000

    handover = Handover(rows("quick", "slow", "quick"), listen, lambda: clock[0])
    for index, text in enumerate(("quick", "slow", "quick")):
        handover.came(index, text)
    assert handover.busy == [(1_005, 700_001_005)]


def test_of_a_listener_that_is_always_slow_the_last_times_are_one() -> None:
    clock = [0]

    def listen(_: str) -> None:
        clock[0] += 10_000_000

    count = MAX_BUSY + 5
    handover = Handover(rows(*["slow"] * count), listen, lambda: clock[0])
    for index in range(count):
        handover.came(index, "slow")
    assert len(handover.busy) == MAX_BUSY
    assert handover.busy[-1] == (10_000_000 * (MAX_BUSY - 1), 10_000_000 * count)


def test_a_listener_that_raises_is_noted_too() -> None:
    clock = [0]

    def listen(_: str) -> None:
        clock[0] += 10_000_000
        raise KeyError

    handover = Handover(rows("one"), listen, lambda: clock[0])
    with pytest.raises(KeyError):
        handover.came(0, "one")
    assert handover.busy == [(0, 10_000_000)]
