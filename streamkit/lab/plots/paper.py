"""Something white behind a figure, where a style is dark: its words and pale areas are made for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase

__all__ = ["FACE", "Paper", "is_dark"]

FACE: Final = "#FFFFFF"
PAD_PT: Final = 4.0


def is_dark(colour: Any) -> bool:
    """Whether black words could not be read on it; "auto" and what is transparent are not."""
    if colour == "auto":
        return False
    red, green, blue, alpha = to_rgba(colour)
    return alpha > 0 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4


class Paper(Rectangle):
    """It is as large as all that its Axes draw, words outside the frame included; `whole`: as the figure, and beyond.

    How large that is, is known only when it is drawn.
    """

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__((0, 0), 0, 0, facecolor=FACE, linewidth=0, zorder=-100, label="_paper")
        self._whole = whole
        self.set_in_layout(False)
        self.set_transform(None)
        self.set_clip_on(False)

    def draw(self, renderer: RendererBase) -> None:
        axes, figure = self.axes, self.get_figure(root=True)
        if axes is None or figure is None:
            return
        box = figure.bbox if self._whole else axes.get_tightbbox(renderer) or axes.bbox
        pad = (PAD_PT if not self._whole else 72 / 4) * figure.dpi / 72
        self.set_bounds(*Bbox(box.get_points()).padded(pad).bounds)
        super().draw(renderer)
