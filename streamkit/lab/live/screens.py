"""Where it can be seen how far something is: a notebook's display, a terminal's last line, or nowhere.

A notebook's display is put there once, and updated by its id: no output is cleared, nothing moves, the cell's other
outputs stay where they are. JupyterLab, Notebook 7 and VS Code do it by the same messages.
"""

from __future__ import annotations

import sys
import warnings
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from streamkit.lab.live.camera import Camera
from streamkit.lab.live.picture import Picture, can_be_shown, empty, how_far, still
from streamkit.lab.recording.recording import Recording

if TYPE_CHECKING:
    from concurrent.futures import Future

    from streamkit.lab.under_way import Watcher

__all__ = ["Display", "Notebook", "Screen", "Terminal", "in_notebook", "screen_of"]


class Screen(Protocol):
    """Where something is shown while it goes on."""

    def begin(self, watched: Watcher) -> None:
        """Something has begun."""

    def take(self, shown: object) -> Future[Picture] | None:
        """A picture of what there is so far, if one is to be had here."""

    def show(self, picture: Picture) -> None:
        """That picture is there."""

    def stop(self) -> None:
        """No picture is wanted any more: one that is being drawn is given up."""

    def end(self, last: object | None) -> None:
        """It is over, and this is what came of it, if anything."""


class Display:
    """One output of a cell, whose picture changes: `Display().show(picture)`."""

    def __init__(self) -> None:
        self._id = f"streamkit-{token_hex(8)}"
        self.is_there = False

    def show(self, picture: Picture) -> None:
        """Put it there, or in the place of the one before."""
        from IPython.display import display

        data = {"image/png": picture.png, "text/plain": picture.words or "nothing yet"}
        size = {"image/png": {"width": picture.width, "height": picture.height}}
        display(data, metadata=size, raw=True, display_id=self._id, update=self.is_there)  # type: ignore[no-untyped-call]
        self.is_there = True


class Notebook:
    """A display under the cell: pictures while it goes on, and a still one in the end.

    With a display and a camera of somebody's, these are used, and left as they are.
    """

    def __init__(self, kind: str | None, display: Display | None = None, camera: Camera | None = None) -> None:
        self._kind = kind
        self._display = Display() if display is None else display
        self._own_camera = camera is None
        self._camera = Camera() if camera is None else camera
        self._last: object | None = None
        self._begun = False

    def begin(self, watched: Watcher) -> None:
        if not self._begun:
            self._begun = True
            if not self._display.is_there:
                self._display.show(empty(watched.so_far(), self._kind, with_taps=watched.last_is_completed))

    def take(self, shown: object) -> Future[Picture] | None:
        self._last = shown
        return self._camera.take(shown, self._kind)

    def show(self, picture: Picture) -> None:
        self._display.show(picture)

    def stop(self) -> None:
        if self._own_camera:
            self._camera.close()

    def end(self, last: object | None) -> None:
        found = next((each for each in (last, self._last) if can_be_shown(each)), None)
        if found is None:
            return
        try:
            self._display.show(still(found, self._kind))  # type: ignore[arg-type]  # it can be shown
        except Exception as error:  # noqa: BLE001  # what came of the stream is worth more than its picture
            warnings.warn(f"no picture of what came: {error}", RuntimeWarning, stacklevel=2)


class Terminal:
    """The last line of a terminal, of a single stream: a load and a sweep have bars of their own."""

    def __init__(self) -> None:
        self._written = False

    def begin(self, watched: Watcher) -> None:
        """Nothing is known of it yet."""

    def take(self, shown: object) -> None:
        if isinstance(shown, Recording):
            self._write(f"\r{how_far(shown)}\x1b[K")
            self._written = True

    def show(self, picture: Picture) -> None:
        """There are none here."""

    def stop(self) -> None:
        """Nothing runs here."""

    def end(self, last: object | None) -> None:
        del last
        if self._written:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def in_notebook() -> bool:
    """A kernel runs this, whose front end shows pictures."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and shell.has_trait("kernel")


def screen_of(kind: str | None) -> Screen | None:
    """Where what runs here can be seen; None: nowhere."""
    if in_notebook():
        return Notebook(kind)
    return Terminal() if sys.stderr is not None and sys.stderr.isatty() else None
