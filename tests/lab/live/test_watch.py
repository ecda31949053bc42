"""watch(): what runs is told to the place that shows it, and what comes of it is the same as without."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import matplotlib.pyplot as plt
import pytest

import streamkit as sk
from streamkit.lab.live import screens, watch
from streamkit.lab.live.picture import Picture, draw, empty, still
from streamkit.lab.live.screens import Terminal
from streamkit.lab.recording.join import UNDER_WAY
from streamkit.lab.under_way import Watcher, is_watched

SCRIPT = sk.Script([f"word {n} " for n in range(12)], first_piece_ms=0, gap_ms=20)
GIVEN = sk.Recording.from_pieces([(7_000_000, "Hel"), (40_000_000, "lo")], sent_ns=0)


class Album:
    """A place that keeps what it is told, and draws nothing."""

    def __init__(self) -> None:
        self.begun = 0
        self.taken: list[object] = []
        self.last: list[object] = []
        self.drawing: Future[Picture] | None = None

    def begin(self, watched: Watcher) -> None:
        del watched
        self.begun += 1

    def take(self, shown: object) -> Future[Picture] | None:
        if shown is not None:
            self.taken.append(shown)
        return self.drawing

    def show(self, picture: Picture) -> None:
        raise AssertionError(f"nothing was drawn, and yet there is {picture}")

    def stop(self) -> None:
        if self.drawing is not None:
            self.drawing.cancel()

    def end(self, last: object | None) -> None:
        self.last.append(last)


@pytest.fixture
def album(monkeypatch: pytest.MonkeyPatch) -> Album:
    made = Album()
    monkeypatch.setattr(watch, "screen_of", lambda _: made)
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    return made


@pytest.fixture(scope="module")
def lab() -> Iterator[sk.Lab]:
    with sk.Lab(SCRIPT) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "streamkit watch"]


def test_what_comes_of_it_is_what_comes_without_and_is_shown_in_the_end(album: Album) -> None:
    async def answer() -> sk.Recording:
        return GIVEN

    assert sk.run(sk.watch(answer())) is GIVEN
    assert [each is GIVEN for each in album.last] == [True]


def test_a_stream_tells_what_has_come_with_the_taps_of_a_lab(album: Album, lab: sk.Lab) -> None:
    recording = sk.run(sk.watch(lab.ask("hi", accept="sse")))
    told = [each for each in album.taken if isinstance(each, sk.Recording)]
    assert len(told) == len(album.taken) > 0
    counts = [len(each.events) for each in told]
    assert counts == sorted(counts)
    assert any(0 < count < len(recording.events) for count in counts)
    assert {"upstream.sent", "relay.sent"} <= told[-1].taps.keys()
    assert all(each.meta[UNDER_WAY] for each in told)
    assert UNDER_WAY not in recording.meta
    assert recording.text.startswith("".join(told[-1].events.text))


def test_of_the_upstreams_schedule_there_is_what_was_due(album: Album, lab: sk.Lab) -> None:
    sk.run(sk.watch(lab.ask("hi", accept="sse")))
    for told in album.taken:
        assert isinstance(told, sk.Recording)
        if "upstream.due" in told.taps and len(told.taps["upstream.due"]):
            assert told.ended_ns is not None
            assert told.taps["upstream.due"].at_ns[-1] <= told.ended_ns


def test_slim_recordings_are_told_too(album: Album, lab: sk.Lab) -> None:
    sk.run(sk.watch(lab.ask("hi", accept="sse", keep_text=False)))
    told = [each for each in album.taken if isinstance(each, sk.Recording) and len(each.events)]
    assert told
    assert not told[-1].events.kept


def test_no_stream_waits_for_its_picture(album: Album, lab: sk.Lab) -> None:
    album.drawing = Future()  # it is never drawn
    recording = sk.run(sk.watch(lab.ask("hi", accept="sse")))
    assert recording.outcome.ok
    assert len(album.taken) == 1  # nor is another one begun


def test_a_load_is_told_as_one(album: Album, lab: sk.Lab) -> None:
    streams = sk.run(sk.watch(sk.load(lab, streams=4, rate=20, arrivals="constant", progress=False)))
    assert album.begun == 1
    told = [each for each in album.taken if isinstance(each, sk.RecordingSet)]
    assert len(told) == len(album.taken)
    assert {len(each) for each in told} & {1, 2, 3}
    assert album.last == [streams]


def test_a_sweep_which_blocks_is_given_as_a_function(album: Album) -> None:
    def trial(n: int) -> float:
        threading.Event().wait(0.05)
        return float(n)

    with ThreadPoolExecutor(1) as executor:
        swept = sk.watch(lambda: sk.sweep(trial, {"n": [1, 2]}, executor, repeats=3, progress=False))
    assert [row.error for row in swept.rows] == [None] * 6
    told = [each for each in album.taken if isinstance(each, sk.Sweep)]
    assert {len(each.rows) for each in told} & {1, 2, 3, 4, 5}
    assert album.last == [swept]


def test_a_function_that_makes_a_coroutine_is_watched_when_that_is_awaited(album: Album, lab: sk.Lab) -> None:
    recording = sk.run(sk.watch(lambda: lab.ask("hi", accept="sse")))
    assert isinstance(recording, sk.Recording)
    assert album.last[-1] is recording


def test_what_is_interrupted_is_shown_with_its_taps_and_is_still_interrupted(album: Album, lab: sk.Lab) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.1):
            await sk.watch(lab.ask("hi", accept="sse"))

    with pytest.raises(TimeoutError) as caught:
        sk.run(impatient())
    kept = sk.last_recording(of=caught.value)
    assert kept is not None
    assert str(kept.outcome) == "cancelled(by us)"
    (shown,) = album.last
    assert isinstance(shown, sk.Recording)
    assert shown.events == kept.events
    assert "relay.sent" in shown.taps


def test_what_it_raises_is_raised(album: Album, lab: sk.Lab) -> None:
    class MineError(Exception):
        pass

    def on_piece(text: str) -> None:
        raise MineError(text)

    with pytest.raises(MineError, match=r"^word 0 $"):
        sk.run(sk.watch(lab.ask("hi", accept="sse", on_piece=on_piece)))
    assert isinstance(album.last[0], sk.Recording)


def test_where_nobody_sees_it_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look() -> bool:
        return is_watched()

    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert sk.run(sk.watch(look())) is False
    assert sk.watch(lambda: 7) == 7


def test_a_terminal_has_a_line_that_is_gone_in_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lab: sk.Lab
) -> None:
    monkeypatch.setattr(watch, "screen_of", lambda _: Terminal())
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    sk.run(sk.watch(lab.ask("hi", accept="sse")))
    said = capsys.readouterr()
    assert said.out == ""
    assert " events in " in said.err
    assert said.err.endswith("\r\x1b[K")


def test_stderr_of_a_terminal_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(seen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", seen)
    assert isinstance(screens.screen_of(None), Terminal)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            7,
            r"^expected what can be awaited, as in sk.watch\(lab.ask\(…\)\), or a function without arguments, got int$",
        ),
        (
            sk.Sweep(trial="t", settings=(), repeats=1, seed=0, rows=()),
            r"^expected a sweep that has not begun, .* over$",
        ),
    ],
)
def test_what_can_be_neither_awaited_nor_called_is_an_error(given: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        sk.watch(given)  # type: ignore[call-overload]


def test_a_task_has_begun_already() -> None:
    async def asked() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        with pytest.raises(TypeError, match=r"got a task: give it the coroutine$"):
            await sk.watch(task)
        await task

    asyncio.run(asked())


def test_an_unknown_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^expected kind as one of journey, timeline, .*, got 'film'$"):
        sk.watch(lambda: None, kind="film")


@pytest.fixture(scope="module")
def moving() -> Picture:
    return draw(GIVEN, None, {})


@pytest.fixture(scope="module")
def standing() -> Picture:
    return still(GIVEN)


def test_the_place_is_kept_from_the_beginning_and_no_picture_is_of_another_size(
    moving: Picture, standing: Picture
) -> None:
    pictures = (empty(GIVEN, None, with_taps=False), moving, standing)
    assert {picture[1:3] for picture in pictures} == {(800, 267)}
    shapes = [plt.imread(io.BytesIO(base64.b64decode(picture.png))).shape[:2] for picture in pictures]
    assert shapes == [(267, 800), (266, 800), (533, 1600)]  # a browser keeps the shape that a picture has


def test_the_title_on_the_way_has_the_end_of_the_text_and_the_last_one_is_the_figures_own(
    moving: Picture, standing: Picture
) -> None:
    assert moving.words == "So far 2 events in 0.0 s: “Hello”"
    assert standing.words == "First piece after 7.0 ms, then one every 33 ms"
