"""Several panels on one Axes, one below the other, over one axis of time: the Axes that is given is only their place.

Each panel has a caption above it, where its key stands too, so that no word is in the way of what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, KEY, LINE_PT, MUTED, NOTE_PT, width_pt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["CAPTION_PT", "Panel", "caption", "height_pt", "heights", "stack"]

CAPTION_PT: Final = 2.2 * LINE_PT
BETWEEN_PT: Final = 3.0
KEY_PT: Final = 30.0  # a handle, and what is beside it


class Panel(NamedTuple):
    """One of them, and how high it is to be, in points, beside its caption."""

    name: str
    tall_pt: float


def height_pt(panels: Sequence[Panel]) -> float:
    """What they take, captions included."""
    return sum(panel.tall_pt + CAPTION_PT for panel in panels) + BETWEEN_PT * (len(panels) - 1)


def stack(ax: Axes, panels: Sequence[Panel]) -> dict[str, Axes]:
    """The panels by name, within `ax`, as high as there is room for; all have its width and one x."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.patch.set_visible(False)
    _, height = palette.size_pt(ax)
    words = len(panels) * CAPTION_PT + BETWEEN_PT * (len(panels) - 1)
    scale = max(height - words, 0.4 * height) / sum(panel.tall_pt for panel in panels)
    caption_pt = min(CAPTION_PT, (height - scale * sum(panel.tall_pt for panel in panels)) / len(panels))
    found: dict[str, Axes] = {}
    top = height
    for panel in panels:
        tall = panel.tall_pt * scale
        top -= caption_pt + tall
        inner = ax.inset_axes((0, max(top, 0) / height, 1, tall / height))
        inner.set_label(f"_{panel.name}")
        _dress(inner)
        found[panel.name] = inner
        top -= max(0.0, BETWEEN_PT if caption_pt == CAPTION_PT else 0.0)
    for inner in list(found.values())[:-1]:
        inner.set_xticklabels([])
    return found


def _dress(inner: Axes) -> None:
    inner.patch.set_visible(False)
    for side, spine in inner.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
    inner.tick_params(labelsize=NOTE_PT, color=MUTED, labelcolor=INK)
    inner.yaxis.set_major_formatter(palette.plain_numbers())
    inner.xaxis.set_major_formatter(palette.plain_numbers())


def heights(inner: Axes, low: float, high: float, *, whole: bool = False) -> None:
    """From where to where, with the ticks that lie there; `whole`: none of them between two integers."""
    inner.set_ylim(low, high)
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1).tick_values(low, high)
    inner.yaxis.set_major_locator(FixedLocator([at for at in ticks if low <= at <= high]))


def caption(inner: Axes, text: str, key: Iterable[tuple[Artist | Any, str]] = ()) -> None:
    """What a panel shows, above it at the left, and the key to it at the right: in the same line, or below it."""
    entries = [(handle, palette.legible(word, 40)) for handle, word in key]
    width, _ = palette.size_pt(inner)
    taken = sum(width_pt(word) + KEY_PT for _, (word, _) in entries)
    shown, families = palette.legible(text, max(24, int(width / (0.5 * NOTE_PT))))
    beside = width_pt(shown) + taken < width - 8
    two = bool(entries) and not beside
    inner.annotate(
        shown,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, (LINE_PT if two else 0) + 3),
        textcoords="offset points",
        fontsize=NOTE_PT,
        color=INK,
        fontfamily=families,
        parse_math=False,
        annotation_clip=False,
        label="_caption",
    )
    if not entries:
        return
    words = [word for _, (word, _) in entries]
    columns = len(entries) if taken < width else palette.key_columns(words, width, KEY_PT)
    shown_entries = entries[:columns]  # the first are the most frequent; there is one line
    look = {**KEY, "handlelength": 1.6, "columnspacing": 1.2}
    place = (
        {"loc": "lower right", "bbox_to_anchor": (1, 1)} if beside else {"loc": "lower left", "bbox_to_anchor": (0, 1)}
    )
    legend = inner.legend([handle for handle, _ in shown_entries], words[:columns], ncols=columns, **{**look, **place})
    for word, (_, (_, of)) in zip(legend.get_texts(), shown_entries, strict=True):
        word.set(fontfamily=of, parse_math=False)
