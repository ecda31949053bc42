"""The pictures of the docs, drawn anew: `python -m campaigns.pictures [--figures] [--thumbnails]` (neither: both).

- **figures**: each block of Python in docs/figures.md is run as it stands there, and what it draws is saved as the
  picture that the page shows behind it, in docs/figures. No server is needed: the blocks draw the examples that ship
- **thumbnails**: a small picture of each notebook, out of the outputs that it was committed with, in docs/thumbnails:
  of the cell that is tagged `thumbnail`; else the first figure behind that of the way. The picture says itself what
  it shows, in its `Description`: that cell's alternative text

A picture has 256 colours, which takes a fraction of the bytes. They are chosen so that every colour that was drawn has
one close to it: the commonest ones would be shades of grey, and a tap, which is a dot, would get the colour of another.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import streamkit as sk
from benchmarks.harness import ROOT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "NOTEBOOKS",
    "PAGE",
    "THUMBNAILS",
    "Picture",
    "Shown",
    "draw",
    "main",
    "picture_of",
    "save",
    "shown_on",
    "thumbnail",
]

PAGE: Final = ROOT / "docs" / "figures.md"
NOTEBOOKS: Final = ROOT / "notebooks"
THUMBNAILS: Final = ROOT / "docs" / "thumbnails"
DPI: Final = 130
COLOURS: Final = 256
THUMBNAIL_PX: Final = (320, 200)
THUMBNAIL_BYTES: Final = 15_000
_SHOWN: Final = re.compile(r"```python\n((?:(?!```).)*?)```\n\n!\[([^\]]*)\]\(([^)]+)\)", re.S)


@dataclass(frozen=True)
class Shown:
    """A block of Python, and the picture behind it: where it is, and the same in words for those who cannot see it."""

    code: str
    alt: str
    path: Path


class Picture(NamedTuple):
    """What a cell of a notebook draws, and the same in words for those who cannot see it."""

    png: bytes
    alt: str


def shown_on(page: Path) -> list[Shown]:
    """All of them, in the page's order."""
    return [Shown(code, alt, page.parent / path) for code, alt, path in _SHOWN.findall(page.read_text("utf-8"))]


def draw(code: str) -> Figure:
    """What a block draws, with nothing but `sk` given; the caller closes it. Raises what the block raises."""
    plt.close("all")
    exec(compile(code, PAGE.name, "exec"), {"sk": sk})  # noqa: S102  # our own page
    assert len(plt.get_fignums()) == 1, "a block draws one figure"
    return plt.gcf()


def save(figure: Figure, path: Path) -> None:
    """As a PNG of few colours."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    _save(Image.open(drawn), path)


def thumbnail(notebook: Path, path: Path) -> bool:
    """Save a small picture of a notebook, if it shows one at all."""
    found = picture_of(notebook)
    if found is None:
        return False
    image = Image.open(io.BytesIO(found.png)).convert("RGB")
    width, height = THUMBNAIL_PX
    scaled = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    small = Image.new("RGB", THUMBNAIL_PX, "white")  # a low one in the middle of it, of a tall one the upper part
    small.paste(scaled, (0, max(0, (height - scaled.height) // 2)))
    for colours in (COLOURS, COLOURS // 2, COLOURS // 4, COLOURS // 8):
        _save(small, path, colours, found.alt)
        if path.stat().st_size <= THUMBNAIL_BYTES:
            break
    return True


def picture_of(notebook: Path) -> Picture | None:
    """The picture that stands for a notebook; None where it has no figure but the way."""
    pictures = list(_pictures(nbformat.read(notebook, as_version=4).cells))  # type: ignore[no-untyped-call]  # it has no types
    chosen = [picture for cell, picture in pictures if "thumbnail" in cell.metadata.get("tags", [])]
    own = [picture for cell, picture in pictures if "plots.way(" not in cell.source]
    return next(iter(chosen or own), None)


def _pictures(cells: Sequence[Any]) -> Iterator[tuple[Any, Picture]]:
    for cell in cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = base64.b64decode(output["data"]["image/png"])
                yield cell, Picture(png, cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))


def _save(image: Image.Image, path: Path, colours: int = COLOURS, description: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    words = PngInfo()
    if description:
        words.add_itxt("Description", description)
    few = image.convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True, pnginfo=words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what is asked for."""
    options = argparse.ArgumentParser(prog="python -m campaigns.pictures", description="Draw the docs' pictures anew")
    options.add_argument("--figures", action="store_true", help="those of docs/figures.md")
    options.add_argument("--thumbnails", action="store_true", help="those of the notebooks")
    given = options.parse_args(arguments)
    mpl.use("agg")
    if given.figures or not given.thumbnails:
        for each in shown_on(PAGE):
            save(draw(each.code), each.path)
            print(f"{each.path.relative_to(ROOT)}: {each.path.stat().st_size:,} bytes")
        plt.close("all")
    if given.thumbnails or not given.figures:
        for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
            path = THUMBNAILS / f"{notebook.stem}.png"
            told = f"{path.stat().st_size:,} bytes" if thumbnail(notebook, path) else "no figure in it"
            print(f"{path.relative_to(ROOT)}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
