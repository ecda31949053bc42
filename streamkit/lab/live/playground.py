"""playground(): sliders for a stream's script, network, client and policy; each change runs it again, drawn in place.

The sliders are ipywidgets, which are optional; without a browser they are plain objects: `play.set(gap_ms=200)` moves
one, and `await play.settled()` returns what came of it.

    sliders ── a change ──▶ a moment's rest ──▶ the stream that ran is stopped ──▶ a Lab of its own ──▶ one display
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamkit.lab.client.pace import Reader
from streamkit.lab.lab import Lab
from streamkit.lab.live.camera import Camera
from streamkit.lab.live.screens import Display, Notebook, in_notebook
from streamkit.lab.live.watch import seen
from streamkit.lab.net import Bandwidth, Latency
from streamkit.lab.upstream import Script, faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamkit.lab.live.screens import Screen
    from streamkit.lab.recording.recording import Recording

__all__ = ["Playground", "playground"]

REST_S: Final = 0.3
"""How long nothing has to move before a stream begins: a slider that is dragged changes many times."""
TOTAL_S: Final = 30.0
WORDS: Final = 40
STALLS_AT: Final = 20  # the piece before which the upstream falls silent
FIGURES: Final = ("journey", "timeline", "queues")
NETWORKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "loopback": {},
    "small buffers": {"network": "small-buffers"},
    "latency 200 ms": {"client_link": [Latency(200)]},
    "2 kB/s": {"client_link": [Bandwidth(2_000)]},
}
READERS: Final[Mapping[str, Reader | None]] = {
    "as fast as it comes": None,
    "20 events/s": Reader(events_per_s=20),
    "10 events/s": Reader(events_per_s=10),
    "5 events/s": Reader(events_per_s=5),
}
POLICIES: Final = ("pause", "buffer", "coalesce", "latest", "disconnect(1)")


@dataclass(frozen=True)
class _Slider:
    """One of the numbers: what it is called, and how far it goes, in ms."""

    words: str
    first: int
    most: int
    step: int


SLIDERS: Final = {
    "first_piece_ms": _Slider("upstream: first piece after (ms)", 300, 3000, 50),
    "gap_ms": _Slider("upstream: a piece every (ms)", 40, 300, 5),
    "jitter_ms": _Slider("upstream: give or take (ms)", 0, 300, 5),
    "stall_ms": _Slider("upstream: silent midway (ms)", 0, 3000, 100),
}
CHOICES: Final = {
    "network": ("network, relay to client", tuple(NETWORKS)),
    "reader": ("client takes", tuple(READERS)),
    "policy": ("relay's policy", POLICIES),
    "figure": ("figure", FIGURES),
}


class Playground:
    """The sliders of `playground()`, and the last stream.

        play.set(gap_ms=200, reader="5 events/s")       # as if somebody moved them
        recording = await play.settled()

    widgets     the widgets by their names
    values      what they are set to
    recording   the recording of the last stream; None before the first one is over
    """

    def __init__(self, screens: Any = None) -> None:
        self.recording: Recording | None = None
        self.widgets: dict[str, Any] = _widgets()
        self._display = Display()
        self._camera: Camera | None = None
        self._screens = screens or self._in_place
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # in which its streams run: all in one
        self._closed = False
        for widget in self.widgets.values():
            widget.observe(self._moved, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """What the sliders are set to, by name."""
        return {name: widget.value for name, widget in self.widgets.items()}

    def set(self, **values: Any) -> None:
        """Move some sliders: `play.set(policy="latest")`. Raises ValueError for an unknown name or value."""
        for name, value in values.items():
            if name not in self.widgets:
                raise ValueError(f"expected one of {', '.join(self.widgets)}, got {name!r}")
            _check(name, value)
        for name, value in values.items():
            self.widgets[name].value = value

    async def settled(self) -> Recording:
        """Wait until the stream of the last change is over, and return its recording. Raises RuntimeError after
        `close()`.
        """
        while self._task is not None:
            task = self._task
            await asyncio.wait([task])
            if task is self._task:
                task.result()
                break
        if self.recording is None or self._closed:
            raise RuntimeError("this playground was closed: make a new one")
        return self.recording

    def close(self) -> None:
        """Stop what runs, and remove the sliders. A second call does nothing."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for widget in self.widgets.values():
            widget.close()
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def begin(self) -> None:
        """Run a stream with the present settings, at once."""
        self._begin(0.0)

    def show(self) -> None:
        """Show the sliders below the cell, if there is one."""
        if in_notebook():
            from IPython.display import display
            from ipywidgets import VBox

            shown = VBox(list(self.widgets.values()))._repr_mimebundle_()
            # Where no front end is there to show them, as on a page: what they say.
            words = "\n".join(f"{widget.description}: {widget.value}" for widget in self.widgets.values())
            display({**shown, "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]

    def _moved(self, _: object) -> None:
        """A kernel may be told of it in a thread with a loop of its own (JupyterLab's comms over subshells), now in
        that one and now in the main one: a task of one loop can be neither stopped nor awaited from another.
        """
        here = None
        with contextlib.suppress(RuntimeError):
            here = asyncio.get_running_loop()
        if self._loop is None or self._loop is here or not self._loop.is_running():
            self._begin(REST_S)
        else:
            self._loop.call_soon_threadsafe(self._begin, REST_S)

    def _begin(self, rest_s: float) -> None:
        if self._closed:
            return
        before, self._task = self._task, None
        if before is not None:
            before.cancel()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(before, rest_s))

    async def _run(self, before: asyncio.Task[None] | None, rest_s: float) -> None:
        if before is not None:
            await asyncio.wait([before])  # its servers are stopped
        await asyncio.sleep(rest_s)
        values = self.values
        script = _script(values)
        with Lab(script, policy=values["policy"], **NETWORKS[values["network"]]) as lab:
            asked = lab.ask("hi", accept="sse", reader=READERS[values["reader"]], total_s=TOTAL_S)
            self.recording = await seen(asked, self._screens(values["figure"]))

    def _in_place(self, figure: str) -> Screen | None:
        if not in_notebook():
            return None
        self._camera = self._camera or Camera()
        return Notebook(figure, self._display, self._camera)

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.values.items()) if not self._closed else "closed"
        return f"<Playground {said}>"


async def playground(**values: Any) -> Playground:
    """Sliders for the script, network, client and policy of a stream; each change runs one and redraws the figure.

        play = await sk.playground(gap_ms=80, reader="5 events/s")
        play.recording.summary()
        play.close()

    You can set these, as arguments, by the sliders, or by `play.set(…)`:

    first_piece_ms, gap_ms, jitter_ms   as in a `Script`
    stall_ms    a silence in the middle
    network     "loopback", "small buffers", "latency 200 ms", "2 kB/s"
    reader      "as fast as it comes", "20 events/s", "10 events/s", "5 events/s"
    policy      what the relay does for a slow client
    figure      "journey", "timeline", "queues"

    It returns when the first stream is over. A change stops the stream that is running; after `close()` nothing runs.

    Raises ImportError without ipywidgets (`pip install 'streamkit[live]'`), ValueError for a value that does not exist.
    """
    play = Playground()
    with contextlib.ExitStack() as failing:
        failing.callback(play.close)
        play.set(**values)
        play.show()
        play.begin()
        await play.settled()
        failing.pop_all()
    return play


def _widgets() -> dict[str, Any]:
    try:
        from ipywidgets import Dropdown, IntSlider
    except ImportError:
        raise ImportError("sk.playground() needs ipywidgets: pip install 'streamkit[live]'") from None
    look: dict[str, Any] = {"style": {"description_width": "18em"}, "layout": {"width": "44em"}}
    made: dict[str, Any] = {}
    for name, slider in SLIDERS.items():
        limits = {"min": 0, "max": slider.most, "step": slider.step, "continuous_update": False}
        made[name] = IntSlider(value=slider.first, description=slider.words, **limits, **look)
    for name, (words, options) in CHOICES.items():
        made[name] = Dropdown(options=list(options), description=words, **look)
    return made


def _check(name: str, value: object) -> None:
    if name in CHOICES:
        options = CHOICES[name][1]
        if value not in options:
            raise ValueError(f"expected {name} as one of {', '.join(map(repr, options))}, got {value!r}")
    elif not isinstance(value, int) or not 0 <= value <= SLIDERS[name].most:
        raise ValueError(f"expected {name} as whole milliseconds from 0 to {SLIDERS[name].most}, got {value!r}")


def _script(values: Mapping[str, Any]) -> Script:
    times = {name: values[name] for name in ("first_piece_ms", "gap_ms", "jitter_ms")}
    silence = [faults.Stall(STALLS_AT, ms=values["stall_ms"])] if values["stall_ms"] else []
    return Script([f"word {n} " for n in range(WORDS)], faults=silence, **times)
