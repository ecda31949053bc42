"""playground(): a slider that moves is a new stream; the widgets are plain objects, and no browser is needed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

import streamkit as sk
from streamkit.lab.live import playground
from streamkit.lab.live.playground import CHOICES, SLIDERS, Playground
from tests.lab.live.test_watch import Album

QUICK = {"first_piece_ms": 0, "gap_ms": 0}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground, "REST_S", 0.02)


@contextmanager
def album() -> Iterator[tuple[Playground, list[str], Album]]:
    """A playground, which figures it wanted, and where they went."""
    figures: list[str] = []
    shown = Album()

    def screen(figure: str) -> Album:
        figures.append(figure)
        return shown

    play = Playground(screen)
    try:
        yield play, figures, shown
    finally:
        play.close()


def test_a_change_is_a_new_stream_with_its_figure() -> None:
    async def changed() -> None:
        with album() as (play, figures, shown):
            play.set(**QUICK)
            before = await play.settled()
            play.widgets["stall_ms"].value = 300  # as a hand does it
            play.set(figure="timeline")
            after = await play.settled()
            assert after is play.recording is not before
            assert figures == ["journey", "timeline"]
            assert [shown.last[0] is before, shown.last[1] is after] == [True, True]
            silences_ns = [b - a for a, b in pairwise(after.events.at_ns.tolist())]
            assert max(silences_ns) > 100_000_000
            assert {"upstream.sent", "relay.sent"} <= after.taps.keys()

    asyncio.run(changed())


def test_the_stream_that_ran_is_stopped_and_of_quick_changes_the_last_one_counts() -> None:
    async def changed() -> None:
        with album() as (play, figures, shown):
            play.set(first_piece_ms=3000)
            play.begin()
            await asyncio.sleep(0.3)
            for gap_ms in (100, 50, 0):
                play.set(first_piece_ms=0, gap_ms=gap_ms)
            recording = await play.settled()
            assert recording.outcome.ok
            assert len(figures) == 2
            assert str(getattr(shown.last[0], "outcome", None)) == "cancelled(by us)"

    asyncio.run(changed())


def test_a_change_that_another_threads_loop_tells_of_runs_in_the_first_one() -> None:
    async def changed() -> None:
        with album() as (play, figures, shown):
            play.set(**QUICK)
            before = await play.settled()
            for stall_ms in (100, 200):  # the second while the first one's stream rests, or runs
                await asyncio.to_thread(asyncio.run, moved(play, stall_ms))
            play.set(figure="timeline")
            after = await play.settled()
            assert after is not before
            assert shown.last[-1] is after
            assert figures[-1] == "timeline"
            assert play.values["stall_ms"] == 200

    async def moved(play: Playground, stall_ms: int) -> None:
        play.widgets["stall_ms"].value = stall_ms

    asyncio.run(changed())


def test_such_a_change_alone_is_a_new_stream() -> None:
    async def changed() -> None:
        with album() as (play, _, shown):
            play.set(**QUICK)
            before = await play.settled()
            await asyncio.to_thread(asyncio.run, moved(play))
            await asyncio.sleep(0)  # the loop is told
            assert shown.last == [before]
            assert await play.settled() is not before

    async def moved(play: Playground) -> None:
        play.widgets["first_piece_ms"].value = 50

    asyncio.run(changed())


@pytest.mark.parametrize(
    "values",
    [
        {"network": "small buffers", "policy": "latest", "figure": "queues"},
        {"network": "2 kB/s", "policy": "coalesce"},
        {"network": "latency 200 ms", "policy": "buffer", "reader": "20 events/s"},
        {"policy": "disconnect(1)"},
    ],
)
def test_each_network_and_policy_can_be_chosen(values: dict[str, str]) -> None:
    async def chosen() -> None:
        with album() as (play, _, _):
            play.set(**QUICK, **values)
            assert len((await play.settled()).events) > 0

    asyncio.run(chosen())


@pytest.mark.usefixtures("nothing_left")
def test_closed_it_runs_nothing_and_says_so() -> None:
    async def closed() -> None:
        with album() as (play, figures, _):
            play.set(first_piece_ms=3000)
            play.begin()
            await asyncio.sleep(0.2)
            play.close()
            play.begin()
            with pytest.raises(RuntimeError, match=r"^this playground was closed: make a new one$"):
                await play.settled()
            assert len(figures) == 1
            assert repr(play) == "<Playground closed>"

    asyncio.run(closed())


def test_from_the_top_it_runs_the_first_stream_and_takes_values() -> None:
    async def made() -> None:
        play = await sk.playground(**QUICK, policy="latest")
        assert play.recording is not None
        assert play.values["policy"] == "latest"
        play.close()

    asyncio.run(made())


def test_every_slider_says_what_it_is() -> None:
    with album() as (play, _, _):
        assert play.widgets.keys() == SLIDERS.keys() | CHOICES.keys()
        for widget in play.widgets.values():
            assert len(widget.description) >= 6
            assert widget.tooltip is None or widget.tooltip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"speed": 1}, r"^expected one of first_piece_ms, gap_ms, .*, got 'speed'$"),
        ({"gap_ms": -1}, r"^expected gap_ms as whole milliseconds from 0 to 300, got -1$"),
        ({"policy": "hope"}, r"^expected policy as one of 'pause', .*, got 'hope'$"),
    ],
)
def test_what_there_is_not_is_said(values: dict[str, object], said: str) -> None:
    async def asked() -> None:
        await sk.playground(**values)

    with pytest.raises(ValueError, match=said):
        asyncio.run(asked())


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"^sk.playground\(\) needs ipywidgets: pip install 'streamkit\[live\]'$"):
        asyncio.run(sk.playground())
