"""Files of the repository as pages of the site: where each one is there, and links between them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Final

SAME_TEXT: Final = {
    "learn": "notebooks/README.md",
    "zh": "README.zh-CN.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
}
"""Pages whose text is a file outside of docs/, so that both are one."""
PAGES: Final = {"README.md": "index.md"} | {file: f"{page}.md" for page, file in SAME_TEXT.items()}
TARGET: Final = re.compile(r"(?<=\]\()([\w./-]+)(?=[#)])")


def on_site(file: str) -> str:
    """The place of a file of the repository, as seen from the folder of the site's pages.

    >>> on_site("notebooks/README.md"), on_site("docs/words.md"), on_site("notebooks/01_x.ipynb"), on_site("LICENSE")
    ('learn.md', 'words.md', 'notebooks/01_x.ipynb', '../LICENSE')
    """
    if file in PAGES:
        return PAGES[file]
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return file if file.startswith("notebooks/") else f"../{file}"


def moved(markdown: str, file: str, page: str, root: Path) -> str:
    """The text of a file of the repository as that of a page ("certificates/README"), with its links as they are there.

    What leads to no file below `root` stays as it is: Sphinx will say so.
    """

    def from_page(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), found[0]))
        if target.startswith("..") or not (root / target).is_file():
            return found[0]
        return posixpath.relpath(on_site(target), posixpath.dirname(page) or ".")

    return TARGET.sub(from_page, markdown)
