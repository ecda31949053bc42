"""docs/figures.md: each figure is there, each block draws it as it stands there, each picture is there and has words.

And the notebooks' thumbnails: one to each notebook that shows a figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

import streamkit as sk
from campaigns.pictures import (
    NOTEBOOKS,
    PAGE,
    THUMBNAIL_BYTES,
    THUMBNAIL_PX,
    THUMBNAILS,
    Shown,
    draw,
    picture_of,
    shown_on,
)
from streamkit.taps import TAPS

TEXT = PAGE.read_text("utf-8")
SHOWN = shown_on(PAGE)
LARGEST = 80_000
TITLES = re.findall(r"^### (\w+)$", TEXT, re.M)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def of(figure: str) -> str:
    """What the page says of a figure."""
    return TEXT.split(f"\n### {figure}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]


def test_every_figure_is_there_once_and_is_found_by_its_question() -> None:
    assert sorted(TITLES) == sorted(sk.plots.__all__)
    asked = re.findall(r"\[`(\w+)`\]\(#(\w+)\)", TEXT.split("Three things", 1)[0])
    assert [name for name, _ in asked] == [anchor for _, anchor in asked]
    assert sorted(name for name, _ in asked) == sorted(TITLES)


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.path.stem)
def test_its_few_lines_draw_it(shown: Shown) -> None:
    lines = shown.code.strip().splitlines()
    assert len(lines) <= 3
    assert max(map(len, lines)) <= 74, "the page is no wider"
    assert re.match(r"sk\.plots\.\w+\(", lines[-1])
    assert "sk.examples.load" in shown.code or "sk.plots.way(" in shown.code, "no server is needed"
    figure = draw(shown.code)
    assert figure.axes[0].get_title("left"), "the title is the finding"


@pytest.mark.parametrize("figure", TITLES)
def test_each_has_its_picture_and_how_to_read_it(figure: str) -> None:
    told = of(figure)
    pictures = [each for each in SHOWN if f"](figures/{each.path.name})" in told]
    assert pictures
    assert all(f"sk.plots.{figure}(" in each.code for each in pictures)
    words = re.sub(r"```.*?```|!\[.*?\]\(.*?\)", "", told, flags=re.S)
    assert 2 <= len(re.findall(r"[.:?](?:\*?)\s", words)) <= 9


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.path.stem)
def test_each_picture_is_there_is_small_and_has_words_for_who_cannot_see_it(shown: Shown) -> None:
    assert 30 <= len(shown.alt) <= 400
    assert not re.search(r"\d+(\.\d+)? (ms|kB|s)\b", shown.alt), "a measured number is another one the next time"
    assert shown.path.stat().st_size < LARGEST
    assert size_of(shown.path)[0] > 700


def test_in_the_picture_of_the_way_each_tap_has_its_own_colour() -> None:
    """A dot is a few pixels among many greys: of few colours, chosen by how common they are, none is left for it."""
    (way,) = [each for each in SHOWN if each.path.stem == "way"]
    drawn = {str(line.get_label()): to_rgb(str(line.get_color())) for line in draw(way.code).axes[0].lines}
    with Image.open(way.path) as image:
        saved = np.unique(np.asarray(image.convert("RGB"), dtype=int).reshape(-1, 3), axis=0)
    for tap in TAPS:
        apart = np.abs(saved - 255 * np.array(drawn[f"_tap {tap}"])).max(axis=1)
        assert apart.min() <= 8, f"{tap}: python -m campaigns.pictures --figures"


def test_no_picture_lies_there_that_the_page_does_not_show() -> None:
    shown = [each.path for each in SHOWN]
    assert len(set(shown)) == len(shown)
    assert sorted(PAGE.with_suffix("").iterdir()) == sorted(shown)


def test_the_examples_that_the_page_names_are_there() -> None:
    named = set(re.findall(r'examples\.load\("([a-z-]+)"\)|example:([a-z-]+)', TEXT))
    assert {first or second for first, second in named} <= set(sk.examples.names())


def test_each_notebook_with_a_figure_has_a_thumbnail_and_there_is_no_other() -> None:
    with_one = {each.stem for each in NOTEBOOKS.glob("*.ipynb") if picture_of(each) is not None}
    assert {each.stem for each in THUMBNAILS.glob("*.png")} == with_one, "python -m campaigns.pictures --thumbnails"


@pytest.mark.parametrize("path", sorted(THUMBNAILS.glob("*.png")), ids=lambda path: path.stem)
def test_a_thumbnail_is_small_of_one_size_and_says_what_it_shows(path: Path) -> None:
    assert path.stat().st_size <= THUMBNAIL_BYTES
    assert size_of(path) == THUMBNAIL_PX
    picture = picture_of(NOTEBOOKS / f"{path.stem}.ipynb")
    assert picture is not None
    with Image.open(path) as image:
        assert image.info["Description"] == picture.alt, "python -m campaigns.pictures --thumbnails"
