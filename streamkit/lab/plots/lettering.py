"""How texts are drawn: with which fonts, how wide they are, and where they are broken into lines.

Nobody's text can spoil a figure: signs that no font has are written as their escapes, and what is long is cut.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.textpath import text_to_path

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["NOTE_PT", "legible", "width_pt", "wrapped"]

NOTE_PT: Final = 8.0  # nothing is smaller

# Common on Windows, macOS, Linux and in notebook images, in order; what these lack is looked for in all that are there.
_PREFERRED: Final[tuple[str, ...]] = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # matplotlib before 3.11 sees the first only of the fonts in one file
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
    "Noto Emoji",
    "Segoe UI Emoji",
    "Segoe UI Symbol",
    "Symbola",
)
_NO_LETTERS: Final = ("last resort", "lastresort")  # a box for every sign


def legible(text: str, limit: int = 24) -> tuple[str, list[str]]:
    """A user's text as it can be drawn here: what to write, and the font families to write it with.

    Longer than `limit` signs it is cut with "…". Signs that no installed font has are written as `\\u4f60`, because
    matplotlib would draw a box and warn at every rendering, which is long after this call; so are control characters.
    """
    families = list(rcParams["font.family"])
    missing = {c for c in text if not _plain(c) and not _control(c)}
    for path in map(_path_of, families if missing else []):
        missing -= {c for c in missing if _has(path, c)}
    helpers, in_no_font = _helpers(frozenset(missing), len(fontManager.ttflist))
    signs = [c.encode("unicode_escape").decode() if c in in_no_font or _control(c) else c for c in text]
    return _cut(signs, limit), [*families, *helpers]


def width_pt(text: str, size: float = NOTE_PT) -> float:
    """How wide `text` is when drawn in points, with a little to spare (it is used to keep texts apart)."""
    shown, families = legible(text, limit=12 * len(text) + 1)
    return _width_pt(shown, size, tuple(families))


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


@lru_cache(maxsize=1024)
def _helpers(missing: frozenset[str], installed: int) -> tuple[tuple[str, ...], frozenset[str]]:  # noqa: ARG001  # with more fonts it is to be asked anew
    """Families that have these signs, as few as can be, and the signs that none has."""
    known = {entry.name for entry in fontManager.ttflist}
    preferred = [family for family in _PREFERRED if family in known]
    for family in preferred if missing else []:
        if _drawn_by(family, missing) == missing:
            return (family,), frozenset()
    helpers = []
    plain = {one.name for one in fontManager.ttflist if one.style == "normal" and str(one.weight) in ("400", "normal")}
    for family in [*preferred, *sorted(plain, key=lambda name: ("Sans" not in name, name))]:
        if missing and (found := _drawn_by(family, missing)):
            helpers.append(family)
            missing -= found
    return tuple(helpers), missing


def _drawn_by(family: str, signs: Iterable[str]) -> set[str]:
    """Of these signs those that a font really draws: one of coloured pictures has some that are blank, or fail."""
    if family.lower().strip(".").startswith(_NO_LETTERS):
        return set()
    path = _path_of(family)
    return {sign for sign in signs if _has(path, sign) and _draws(path, sign)}


def _draws(path: str, sign: str) -> bool:
    font = get_font(path)
    try:
        font.set_size(12, 72)
        font.load_char(ord(sign))
    except RuntimeError:
        return False
    return sign.isspace() or len(font.get_path()[0]) > 0


@lru_cache(maxsize=65536)
def _has(path: str, sign: str) -> bool:
    codes = _codes_of(path)
    place = int(np.searchsorted(codes, ord(sign)))
    return place < codes.size and int(codes[place]) == ord(sign)


@cache
def _codes_of(path: str) -> npt.NDArray[np.int32]:
    """In ascending order: a set of signs would take twenty times the memory, and there may be hundreds of fonts."""
    try:
        charmap = get_font(path).get_charmap()
    except (OSError, RuntimeError):
        charmap = {}
    return np.array(sorted(charmap), dtype=np.int32)


def _path_of(family: str) -> str:
    """Of a family such as "sans-serif" it may be another one tomorrow."""
    return fontManager.findfont(FontProperties(family=[family]))
