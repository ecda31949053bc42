"""The site, for Sphinx: `python3 dev.py docs`. Pages are in this folder; what is made beside them, in building/."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

from building import api, checks, notebooks, plain  # noqa: E402  # found by the line above
from streamkit import __version__  # noqa: E402

MADE = DOCS / "_build" / "made"
"""Files of the site that are made anew for each build and are no pages: thumbnails."""
MADE.mkdir(parents=True, exist_ok=True)
SAME = {"zh": "README.zh-CN.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
"""Pages whose text is a file of the folder above."""
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REPOSITORY: str = PYPROJECT["tool"]["streamkit"]["repository"]
"""Its address on the web, written down in pyproject.toml alone; while it is empty, no page has a link that needs it."""

project = "streamkit"
author = "The streamkit maintainers"
project_copyright = author
version = release = __version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "building", "**.ipynb_checkpoints"]
# Links and references have to lead somewhere. Types in signatures do where they are public; numpy's and private ones do not.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

nb_execution_mode = "off"  # the tests ran them, and compared what they printed
nb_merge_streams = True
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "streamkit"
html_static_path = ["_static", "_build/made"]
html_css_files = ["streamkit.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "learn": [], "zh": [], "changelog": []}
html_theme_options: dict[str, Any] = {
    "logo": {"text": "streamkit"},
    "header_links_before_dropdown": 7,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "navigation_with_keys": False,  # the arrow keys are a reader's own: they scroll wide tables and code
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
if REPOSITORY:
    html_theme_options["icon_links"] = [{"name": "Source", "url": REPOSITORY, "icon": "fa-brands fa-github"}]

log = logging.getLogger(__name__)


def make_pages(_: Sphinx) -> None:
    """Before any page is read: those of the API and of the notebooks."""
    api.write(DOCS / "api", DOCS / "house.md")
    notebooks.copy(ROOT / "notebooks", DOCS / "notebooks")


def read_source(app: Sphinx, page: str, source: list[str]) -> None:
    """Links as they are on the site, the tables that are made, and whole files of the folder above."""
    if page in SAME:
        app.env.note_dependency(str(ROOT / SAME[page]))
        source[0] = re.sub(r"\]\((docs/|(?=CONTRIBUTING|CHANGELOG|README|LICENSE))", _as_page, (ROOT / SAME[page]).read_text("utf-8"))
        for name, file in SAME.items():
            source[0] = source[0].replace(f"](../{file}", f"]({name}.md")
        source[0] = source[0].replace("](../README.md", "](index.md")
    elif not page.startswith(("api/", "notebooks/")):
        source[0] = re.sub(r"\]\((\.\./)+(notebooks/)", lambda found: f"]({'../' * page.count('/')}{found[2]}", source[0])
        source[0] = source[0].replace("](../README.md", "](index.md").replace("](../CONTRIBUTING.md", "](contributing.md")
    if page == "learn":
        app.env.note_dependency(str(ROOT / "README.md"))
        rows = notebooks.table((ROOT / "README.md").read_text("utf-8"))
        figures = notebooks.thumbnails(rows, ROOT / "notebooks", MADE / "thumbnails")
        source[0] = notebooks.learn(source[0], rows, figures)
    if page.startswith("notebooks/") and REPOSITORY:
        source[0] = notebooks.with_places_to_run(source[0], page, REPOSITORY)


def _as_page(link: re.Match[str]) -> str:
    return "](" if link[1] else "](../"


def read_docstring(_: Sphinx, _kind: str, name: str, found: object, _options: object, lines: list[str]) -> None:
    """A docstring as reStructuredText; what a class inherits from Python's own says nothing here."""
    known = {word: full for word, full in api.links().items() if full != name}
    lines[:] = [*plain.rest_of("\n".join(lines), known), ""]


def skip_member(_: Sphinx, _kind: str, name: str, found: object, skip: bool, _options: object) -> bool | None:  # noqa: FBT001
    """What a named tuple and a dataclass have of their own accord is no member to be told of."""
    of_python = inspect.isbuiltin(found) or getattr(found, "__doc__", None) is None
    return True if of_python or (getattr(found, "__doc__", "") or "").startswith("Alias for field number") else None


def short_names(_: Sphinx, doctree: Any) -> None:
    """`sk.plots.journey`, as users write it, where the API says streamkit.plots.journey."""
    at_the_top = {named.full: named.short for named in api.surface()}
    for signature in doctree.findall(addnodes.desc_signature):
        short = at_the_top.get(next(iter(signature.get("ids", [])), ""))
        for prefix in signature.findall(addnodes.desc_addname):
            if short:
                prefix.children[:] = [type(prefix.children[0])(short.rpartition(".")[0] + ".")]


def page_language(_: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    if page == "zh" or page.endswith("_zh"):
        context["language"] = "zh-CN"


def check(app: Sphinx, error: Exception | None) -> None:
    """When all is written."""
    if error is None and app.builder.name == "html":
        documented = {name for name, *_ in app.env.get_domain("py").get_objects()}
        public = [named.full for named in api.surface()]
        found = [*checks.names_not_documented(public, documented), *checks.silent_images(Path(app.outdir))]
        for wrong in [*found, *checks.broken_links(Path(app.outdir))]:
            log.warning(wrong)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("builder-inited", make_pages)
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("doctree-read", short_names)
    app.connect("html-page-context", page_language)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
