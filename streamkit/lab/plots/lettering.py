"""How texts are drawn: with which fonts, how wide they are, and where they are broken into lines.

Nobody's text can spoil a figure: signs that no font has are written as their escapes, and what is long is cut.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.textpath import text_to_path

__all__ = ["NOTE_PT", "legible", "width_pt", "wrapped"]

NOTE_PT: Final = 8.0  # nothing is smaller

# Common on Windows, macOS, Linux and in notebook images; the first that is installed and has the signs is used.
_CJK_FAMILIES: Final = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


def legible(text: str, limit: int = 24) -> tuple[str, list[str]]:
    """A user's text as it can be drawn here: what to write, and the font families to write it with.

    Longer than `limit` signs it is cut with "…". Signs that no installed font has are written as `\\u4f60`, because
    matplotlib would draw a box and warn at every rendering, which is long after this call; so are control characters.
    """
    families = list(rcParams["font.family"])
    missing = {c for c in text if not _plain(c)} - _signs(families)
    if missing:
        helper = next((f for f in _installed(_CJK_FAMILIES) if missing <= _signs([f])), None)
        if helper is not None:
            families, missing = [*families, helper], set()
    signs = [c.encode("unicode_escape").decode() if c in missing or _control(c) else c for c in text]
    return _cut(signs, limit), families


def width_pt(text: str, size: float = NOTE_PT) -> float:
    """How wide `text` is when drawn in points, with a little to spare (it is used to keep texts apart)."""
    return _width_pt(text, size, tuple(legible(text, limit=len(text) + 1)[1]))


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Lines of at most `width` points, or of 24 signs where the width is too small for that."""
    signs = max(24, int(width / (0.4 * size)))
    while signs > 24 and any(width_pt(line, size) > width for line in textwrap.wrap(text, signs)):
        signs -= 1
    return textwrap.wrap(text, signs)


def _cut(signs: list[str], limit: int) -> str:
    if sum(map(len, signs)) <= limit:
        return "".join(signs)
    room = limit - 1
    kept: list[str] = []
    for sign in signs:  # an escaped sign stays whole or goes
        room -= len(sign)
        if room < 0:
            break
        kept.append(sign)
    return "".join(kept).rstrip() + "…"


def _plain(sign: str) -> bool:
    return " " <= sign <= "~"


def _control(sign: str) -> bool:
    return unicodedata.category(sign)[0] == "C" or sign in "\u2028\u2029"


@lru_cache(maxsize=1024)
def _width_pt(text: str, size: float, families: tuple[str, ...]) -> float:
    font = FontProperties(family=list(families), size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.03 * float(width)


def _installed(families: Iterable[str]) -> list[str]:
    known = {entry.name for entry in fontManager.ttflist}
    return [family for family in families if family in known]


def _signs(families: Iterable[str]) -> set[str]:
    return set().union(*(_signs_of(family) for family in families))


@lru_cache(maxsize=32)
def _signs_of(family: str) -> frozenset[str]:
    path = fontManager.findfont(FontProperties(family=[family]))
    return frozenset(map(chr, get_font(path).get_charmap()))
