"""What Sphinx does not look at. Each check yields what is wrong, a sentence each; the build warns of it, and fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Images(HTMLParser):
    """The images of a page that have no alternative text, by their file."""

    def __init__(self) -> None:
        super().__init__()
        self.without: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        alt = (given.get("alt") or "").strip()
        source = (given.get("src") or "?").rpartition("/")[2]
        if tag == "img" and (
            not alt or alt.rpartition("/")[2] == source
        ):  # Sphinx puts the file's name where there is none
            self.without.append(source)


def images_without_text(page: str) -> list[str]:
    """Of a page of HTML.

    >>> images_without_text('<img src="a/b.png" alt="a staircase"><img src="c.png"><img src="d.png" alt="a/d.png">')
    ['c.png', 'd.png']
    """
    found = _Images()
    found.feed(page)
    return found.without


def silent_images(folder: Path) -> Iterator[str]:
    """Of all pages in a folder."""
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.parts:
            continue
        if images := images_without_text(path.read_text("utf-8")):
            yield f"{path.relative_to(folder)}: no alt text for {', '.join(images)}"


def names_not_documented(public: Iterable[str], documented: Mapping[str, object]) -> Iterator[str]:
    """Of the public names those that are on no page."""
    for name in public:
        if name not in documented:
            yield f"{name} is public, and on no page of the API"


class _Links(HTMLParser):
    """Where a page's links and images lead, and the places in it that a link may name."""

    def __init__(self) -> None:
        super().__init__()
        self.to: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif value and (name == "src" or (name == "href" and tag == "a")):
                self.to.append(value)


def links_of(page: str) -> tuple[list[str], set[str]]:
    """Of a page of HTML: where it leads within the site, and its own places.

    >>> links_of('<p id="here"><a href="b.html#there">x</a><a href="https://a.example">y</a>')
    (['b.html#there'], {'here'})
    """
    found = _Links()
    found.feed(page)
    return [link for link in found.to if not urlsplit(link).scheme], found.ids


def broken_links(folder: Path) -> Iterator[str]:
    """Of all pages in a folder: links to files and places that are not there."""
    paths = [path for path in folder.rglob("*.html") if path.relative_to(folder).parts[0] != "_static"]  # a theme's own
    pages = {path: links_of(path.read_text("utf-8")) for path in paths}
    for path, (links, _) in sorted(pages.items()):
        for link in sorted(set(links)):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(folder)}: {link} leads to no file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target][1]:
                yield f"{path.relative_to(folder)}: {link}: there is no such place on that page"
