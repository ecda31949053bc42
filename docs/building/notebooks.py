"""The notebooks as pages: copies, for Sphinx reads nothing outside its folder, with their links as they are there.

And the table of them on the page "Learn": number, question and minutes are README's, which is the one place where they
are written down; the thumbnail is the notebook's own first figure.
"""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

ROW: Final = re.compile(
    r"^\| (?P<number>\d+) \| \[(?P<question>[^\]]+)\]\(notebooks/(?P<file>[\w.-]+\.ipynb)\)(?P<more>[^|]*) \| (?P<minutes>\d+) \|$",
    re.M,
)
PLACE: Final = "<!-- the table of the notebooks -->"


class Row(NamedTuple):
    """A notebook in README's table."""

    number: str
    question: str
    file: str
    more: str
    minutes: str


def table(readme: str) -> list[Row]:
    """The notebooks that README lists.

    >>> table("| 1 | [What is it?](notebooks/01_x.ipynb) (and 中文) | 20 |")
    [Row(number='1', question='What is it?', file='01_x.ipynb', more=' (and 中文)', minutes='20')]
    """
    return [Row(**found.groupdict()) for found in ROW.finditer(readme)]


def copy(source: Path, target: Path) -> None:
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
                cell["source"] = linked("".join(cell["source"]))
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        if not (target / name).exists() or (target / name).read_text("utf-8") != text:
            (target / name).write_text(text, "utf-8")


def linked(markdown: str) -> str:
    """The links of a notebook as they are on the site.

    >>> linked("[a word](../docs/words.md#percentile), [start](../README.md)")
    '[a word](../words.md#percentile), [start](../index.md)'
    """
    markdown = markdown.replace("](../docs/", "](../")
    return re.sub(r"\]\(\.\./README(\.zh-CN)?\.md", lambda found: "](../zh.md" if found[1] else "](../index.md", markdown)


def thumbnails(rows: list[Row], source: Path, target: Path) -> dict[str, str]:
    """The figure of each notebook that has one, as a file in `target`; what stands there instead of alt text, by file."""
    target.mkdir(parents=True, exist_ok=True)
    found = {}
    for row in rows:
        figure = _figure(json.loads((source / row.file).read_text("utf-8")))
        if figure:
            (target / f"{Path(row.file).stem}.png").write_bytes(base64.b64decode(figure[0]))
            found[row.file] = figure[1] or f"a figure of notebook {row.number}"
    return found


def _figure(notebook: dict[str, Any]) -> tuple[str, str] | None:
    """Of the figures of a notebook the first behind the map of the way, which all begin with: PNG as base64, and its text."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png and "plots.way(" not in "".join(cell["source"]):
                alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
                found.append(("".join(png), alt))
    return found[0] if found else None


def learn(page: str, rows: list[Row], figures: dict[str, str]) -> str:
    """The page with the table in its place."""
    lines = ['<div class="sk-notebooks" role="list">']
    for row in rows:
        picture = Path(row.file).stem
        image = (
            f'<img src="_static/thumbnails/{picture}.png" alt="{html.escape(figures[row.file])}" loading="lazy">'
            if row.file in figures
            else ""
        )
        lines += [
            '<div role="listitem">',
            f'<a href="notebooks/{picture}.html">{image}<span><b>{row.number}. {html.escape(row.question)}</b>'
            f"<small>{html.escape(row.more.strip())} about {row.minutes} minutes</small></span></a>",
            "</div>",
        ]
    return page.replace(PLACE, "\n".join([*lines, "</div>"]))


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
