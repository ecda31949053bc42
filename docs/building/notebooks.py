"""The notebooks as pages: copies, for Sphinx reads nothing outside its folder, with their links as they are there.

And the page "Learn": it is notebooks/README.md, whose table becomes cards; the thumbnails are those of docs/thumbnails,
and each says itself what it shows.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from building.links import moved

ROW: Final = re.compile(
    r"^\|[^|]*\| \*\*(?P<number>\d+)\*\* \[(?P<question>[^\]]+)\]\((?P<file>[\w.-]+\.ipynb)\)(?P<more>[^|]*) "
    r"\| (?P<minutes>\d+) \|$",
    re.M,
)
TABLE: Final = re.compile(r"^\| \| question \| minutes \|\n(\|.*\n)+", re.M)


class Row(NamedTuple):
    """A notebook in the table of notebooks/README.md."""

    number: str
    question: str
    file: str
    more: str
    minutes: str


def table(page: str) -> list[Row]:
    """The notebooks that it lists.

    >>> table("| <img> | **01** [What is it?](01_x.ipynb) (and 中文) | 20 |")
    [Row(number='01', question='What is it?', file='01_x.ipynb', more=' (and 中文)', minutes='20')]
    """
    return [Row(**found.groupdict()) for found in ROW.finditer(page)]


def copy(source: Path, target: Path, root: Path) -> None:
    """All notebooks of a folder into the site's; their links to docs/ and to README lead to pages."""
    target.mkdir(exist_ok=True)
    wanted = {path.name: path for path in source.glob("*.ipynb")}
    for old in target.glob("*.ipynb"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        notebook = json.loads(path.read_text("utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = moved("".join(cell["source"]), f"notebooks/{name}", f"notebooks/{name}", root)
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        if not (target / name).exists() or (target / name).read_text("utf-8") != text:
            (target / name).write_text(text, "utf-8")


def thumbnails(rows: list[Row], source: Path, target: Path) -> dict[str, str]:
    """Copies those that there are (`python -m campaigns.pictures` makes them); and what each shows, by notebook."""
    target.mkdir(parents=True, exist_ok=True)
    found = {}
    for row in rows:
        picture = source / f"{Path(row.file).stem}.png"
        if picture.exists():
            shutil.copyfile(picture, target / picture.name)
            with Image.open(picture) as image:
                found[row.file] = image.info["Description"]
    return found


def with_cards(page: str, rows: list[Row], figures: dict[str, str]) -> str:
    """notebooks/README.md with cards for its table."""
    lines = ['<div class="sk-notebooks" role="list">']
    for row in rows:
        stem = Path(row.file).stem
        words = html.escape(figures.get(row.file, ""))
        image = f'<img src="_static/thumbnails/{stem}.png" alt="{words}" loading="lazy">' if words else ""
        lines += [
            '<div role="listitem">',
            f'<a href="notebooks/{stem}.html">{image}<span><b>{int(row.number)}. {html.escape(row.question)}</b>',
            f"<small>{html.escape(row.more.strip())} about {row.minutes} minutes</small></span></a>",
            "</div>",
        ]
    cards = "\n".join([*lines, "</div>", ""])
    return TABLE.sub(lambda _: cards, page)


def with_places_to_run(notebook: str, page: str, repository: str) -> str:
    """A notebook with a line below its title: where it can be run in a browser, without installing anything."""
    content = json.loads(notebook)
    name = repository.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/{page}.ipynb"
    colab = f"https://colab.research.google.com/github/{name}/blob/HEAD/{page}.ipynb"
    title, _, rest = content["cells"][0]["source"].partition("\n")
    line = f"Run it: [on Binder]({binder}), [on Colab]({colab}) ([how](../run_elsewhere.md))"
    content["cells"][0]["source"] = f"{title}\n\n{line}\n{rest}"
    return json.dumps(content, ensure_ascii=False)
