"""The site, for Sphinx: `python3 dev.py docs`. Pages are in this folder; what is made beside them, in building/."""

from __future__ import annotations

import inspect
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

from building import api, checks, links, notebooks, plain  # noqa: E402  # found by the line above
from streamkit import __version__  # noqa: E402

MADE = DOCS / "_build" / "made"
"""Files of the site that are made anew for each build and are no pages: thumbnails."""
MADE.mkdir(parents=True, exist_ok=True)
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
suppress_warnings = [
    "misc.highlighting_failure",  # HAProxy's and Caddy's configurations have no lexer
    "ref.python",  # there are two classes Cut (a fault, and a bad network), and a signature says no more than that
]
# Links and references have to lead somewhere. Types in signatures do where they are public; others need not.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

nb_execution_mode = "off"  # the tests ran them, and compared what they printed
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"  # of folded checks
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
html_sidebars: dict[str, list[str]] = {"*": []}  # pages that have none below them
html_theme_options: dict[str, Any] = {
    "logo": {"text": "streamkit"},
    "header_links_before_dropdown": 5,
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
    notebooks.copy(ROOT / "notebooks", DOCS / "notebooks", ROOT)


def read_source(app: Sphinx, page: str, source: list[str]) -> None:
    """Whole files from outside, links as they are on the site, and the tables that are made."""
    if page.startswith("api/"):
        return
    if page.startswith("notebooks/"):
        if REPOSITORY:
            source[0] = notebooks.with_places_to_run(source[0], page, REPOSITORY)
        return
    file = links.SAME_TEXT.get(page, f"docs/{page}.md")
    if page in links.SAME_TEXT:
        app.env.note_dependency(str(ROOT / file))
        source[0] = (ROOT / file).read_text("utf-8")
    if page == "learn":
        rows = notebooks.table(source[0])
        figures = notebooks.thumbnails(rows, DOCS / "thumbnails", MADE / "thumbnails")
        source[0] = notebooks.with_cards(source[0], rows, figures)
        source[0] += _below([f"notebooks/{Path(row.file).stem}" for row in rows])
    if page == "certificates/README":
        source[0] += _below([path.stem for path in sorted(DOCS.glob("certificates/*.md")) if path.stem != "README"])
    source[0] = links.moved(source[0], file, page, ROOT)


def _below(pages: list[str]) -> str:
    """These pages are below this one."""
    return "\n".join(["", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def read_docstring(_: Sphinx, _kind: str, name: str, _found: object, _options: object, lines: list[str]) -> None:
    """A docstring as reStructuredText, which links to others and not to itself."""
    known = {word: full for word, full in api.links().items() if full != name}
    lines[:] = [*plain.rest_of("\n".join(lines), known), ""]


def short_defaults(
    _: Sphinx, _kind: str, _name: str, _found: object, _options: object, signature: str | None, answer: str | None
) -> tuple[str | None, str | None]:
    """A default that is made anew each time has no value that could be shown."""
    return (signature or "").replace("<factory>", "...") or None, answer


def skip_member(_: Sphinx, _kind: str, _name: str, found: object, _skip: bool, _options: object) -> bool | None:
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
        documented = {found[0]: found for found in app.env.get_domain("py").get_objects()}
        public = [named.full for named in api.surface()]
        found = [*checks.names_not_documented(public, documented), *checks.silent_images(Path(app.outdir))]
        for wrong in [*found, *checks.broken_links(Path(app.outdir))]:
            log.warning(wrong)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("builder-inited", make_pages)
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-process-signature", short_defaults)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("doctree-read", short_names)
    app.connect("html-page-context", page_language)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
