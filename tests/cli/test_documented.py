"""What README and docs show: each command is one that there is, each link leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from streamkit.cli import _parser

ROOT: Final = Path(__file__).parents[2]
MADE: Final = {"_build", "api", "notebooks"}
"""Folders of docs/ that the building of the site makes."""
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted(ROOT.glob("docs/**/*.md")) if page.relative_to(ROOT).parts[1] not in MADE),
]
BLOCKS: Final = re.compile(r"```sh\n(.*?)```", re.S)
WIDEST: Final = 92
"""Characters of code beside which no other column stands, on a screen of 1,300 pixels."""
LINKS: Final = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]*))?\)")


def commands(page: Path) -> list[str]:
    blocks = BLOCKS.findall(page.read_text("utf-8").replace("\\\n", " "))  # a line may go on in the next
    lines = (line for block in blocks for line in block.splitlines())
    return [line for line in lines if line.startswith("streamkit ")]


def anchors(page: Path) -> set[str]:
    """Of its headings, as they are made for Markdown on the web: lower case, spaces as hyphens, no other signs."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def local(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in commands(page)}))
def test_each_command_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line.replace("…", "http://127.0.0.1:8000"), comments=True)[1:]
    assert callable(_parser().parse_args(words).command)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "certificates"], ids=local)
def test_no_command_is_wider_than_a_page_of_the_site(page: Path) -> None:
    """A certificate's are written by a program."""
    lines = [line for block in BLOCKS.findall(page.read_text("utf-8")) for line in block.splitlines()]
    assert [line for line in lines if len(line) > WIDEST] == []


def test_there_are_such_commands_on_the_pages_that_show_them() -> None:
    shown = {local(page) for page in PAGES if commands(page)}
    assert {"README.md", "docs/operating.md", "docs/exchange.md", "docs/your_own_stream.md"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=local)
def test_each_link_within_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for path, anchor in LINKS.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)):
        target = page.parent / path if path else page
        assert target.exists(), f"{path} is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}: no such heading"
