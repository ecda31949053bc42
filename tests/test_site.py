"""What the site and the two READMEs hold to, without building the site: that is `python3 dev.py docs`.

`docs/building` is found by pytest's setting `pythonpath`.
"""

from __future__ import annotations

import doctest
import re
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import streamkit
from building import checks, links, notebooks, plain

ROOT: Final = Path(__file__).resolve().parents[1]
ENGLISH: Final = (ROOT / "README.md").read_text("utf-8")
CHINESE: Final = (ROOT / "README.zh-CN.md").read_text("utf-8")
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
yaml: Final[Any] = import_module("yaml")  # see test_environment


def rest(docstring: str) -> str:
    return "\n".join(plain.rest_of(docstring, {"sk.run": "streamkit.run"}))


# ---- The two READMEs


def targets(page: str) -> list[str]:
    """Each with its place; to headings of the same page, which are in another language, without."""
    found = re.findall(r"\]\(([^)]+)\)", page)
    return ["#" if link.startswith("#") else link.replace("README.zh-CN.md", "README.md") for link in found]


def test_both_show_the_same_commands_and_code() -> None:
    blocks = re.compile(r"```.*?```", re.S)
    assert blocks.findall(CHINESE) == blocks.findall(ENGLISH) != []


def test_both_have_the_same_links_in_the_same_order_but_for_the_chinese_one_s_first_notebook() -> None:
    chinese = targets(CHINESE)
    chinese.remove("notebooks/00_an_articles_relay.ipynb")  # "start here" there: it is in both languages
    assert chinese == targets(ENGLISH)


def test_both_have_the_same_numbers_and_names_in_their_tables() -> None:
    def measured(page: str) -> list[str]:
        return re.findall(r"\d[\d,.]*\d|`[^`]+`", page.split("\n## ")[3])

    assert measured(CHINESE) == measured(ENGLISH)


def numbered(page: str) -> list[tuple[int, str, str]]:
    """Of a README's table: number, question, file."""
    rows = re.findall(r"^\| (\d+) \| \[([^\]]+)\]\(notebooks/(\S+?)\)", page, re.M)
    return [(int(number), question, file) for number, question, file in rows]


def test_readme_lists_the_notebooks_as_their_own_page_does() -> None:
    rows = notebooks.table((ROOT / "notebooks/README.md").read_text("utf-8"))
    assert numbered(ENGLISH) == [(int(row.number), row.question, row.file) for row in rows] != []


def test_the_chinese_one_lists_the_same() -> None:
    assert [(number, file) for number, _, file in numbered(CHINESE)] == [
        (number, file) for number, _, file in numbered(ENGLISH)
    ]


def test_the_page_learn_has_a_card_for_each_notebook_and_no_table() -> None:
    path = (ROOT / "notebooks/README.md").read_text("utf-8")
    rows = notebooks.table(path)
    page = notebooks.with_cards(path, rows, {rows[0].file: "a staircase"})
    assert page.count('role="listitem"') == len(rows)
    assert page.count("<img") == page.count('alt="a staircase"') == 1
    assert "| question |" not in page


def test_the_badges_say_what_pyproject_says() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    python, licence = ((ROOT / "docs/badges" / f"{name}.svg").read_text("utf-8") for name in ("python", "license"))
    assert f"<title>Python: {named[0]} to {named[-1]}</title>" in python
    assert f"![Python {named[0]} to {named[-1]}](docs/badges/python.svg)" in ENGLISH
    assert f"<title>License: {PROJECT['project']['license']}</title>" in licence


def test_the_citation_is_of_this_version_and_names_nobody_else() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == streamkit.__version__
    assert cited["authors"] == [{"name": author["name"]} for author in PROJECT["project"]["authors"]]
    assert cited["license"] == PROJECT["project"]["license"]


def test_binder_installs_the_checkout_with_what_the_notebooks_want() -> None:
    (wanted,) = re.findall(r"^[^#\s].*$", (ROOT / ".binder/requirements.txt").read_text("utf-8"), re.M)
    assert wanted == "-e .[notebooks,pandas]"
    python = (ROOT / ".binder/runtime.txt").read_text("utf-8").strip().removeprefix("python-")
    assert f"Programming Language :: Python :: {python}" in PROJECT["project"]["classifiers"]


# ---- Links


@pytest.mark.parametrize(
    ("link", "file", "page", "there"),
    [
        ("docs/words.md#queues", "README.zh-CN.md", "zh", "words.md#queues"),
        ("notebooks/README.md", "README.zh-CN.md", "zh", "learn.md"),
        ("LICENSE", "README.zh-CN.md", "zh", "../LICENSE"),
        ("01_first_stream.ipynb", "notebooks/README.md", "learn", "notebooks/01_first_stream.ipynb"),
        ("../README.md", "notebooks/01_first_stream.ipynb", "notebooks/01_first_stream", "../index.md"),
        ("../docs/words.md", "notebooks/01_first_stream.ipynb", "notebooks/01_first_stream", "../words.md"),
        ("../operating.md#nginx", "docs/certificates/nginx.md", "certificates/nginx", "../operating.md#nginx"),
        ("../notebooks/01_first_stream.ipynb", "docs/relay.md", "relay", "notebooks/01_first_stream.ipynb"),
        ("no_such.md", "docs/relay.md", "relay", "no_such.md"),
        ("https://a.example/x.md", "docs/relay.md", "relay", "https://a.example/x.md"),
    ],
)
def test_a_link_of_the_repository_leads_to_the_same_on_the_site(link: str, file: str, page: str, there: str) -> None:
    assert links.moved(f"see [this]({link})", file, page, ROOT) == f"see [this]({there})"


# ---- Docstrings


@pytest.mark.parametrize("module", [plain, checks, links, notebooks], ids=lambda module: module.__name__)
def test_what_the_docstrings_of_the_site_s_own_modules_show_is_true(module: ModuleType) -> None:
    found = doctest.testmod(module, extraglobs=vars(module))
    assert (found.failed, found.attempted > 0) == (0, True)


def test_names_between_backticks_are_literals_and_known_ones_lead_there() -> None:
    assert rest("See `a_b`, `sk.run()`.") == "See ``a_b``, :py:obj:`sk.run() <streamkit.run>`."


def test_signs_of_restructuredtext_mean_themselves() -> None:
    assert rest("2*3, a|b, x_ and **bold**") == r"2\*3, a\|b, x\_ and **bold**"


def test_an_indented_paragraph_is_code_also_over_an_empty_line() -> None:
    assert rest("Use:\n\n    a = f(1)\n\n    b = g(a)\n\nDone.") == (
        "Use:\n\n.. code-block:: python\n\n    a = f(1)\n\n    b = g(a)\n\nDone."
    )


def test_what_is_indented_and_no_python_is_text_and_a_doctest_a_session() -> None:
    assert rest("    a ──▶ b").startswith(".. code-block:: text")
    assert rest(">>> f(1)\n2") == ".. code-block:: pycon\n\n    >>> f(1)\n    2"


def test_code_that_is_not_indented_is_seen_by_what_it_does() -> None:
    assert rest("def f(x):\n    return x").startswith(".. code-block:: python")
    assert rest("Nothing") == "Nothing"


def test_a_table_of_arguments_is_a_list_of_definitions_whose_lines_go_on() -> None:
    assert rest("accept      what to ask\n            for\na, b        both") == (
        "``accept``\n    what to ask\n    for\n\n``a``, ``b``\n    both"
    )


def test_a_name_on_a_line_of_its_own_and_a_table_within_a_paragraph_are_read_too() -> None:
    assert rest("long_name, other\n            what they are") == "``long_name``, ``other``\n    what they are"
    assert rest("The parts are\n    each hop    a way\nRaises ValueError.") == (
        "The parts are\n\n``each hop``\n    a way\n\nRaises ValueError."
    )


# ---- Checks


def test_a_link_that_leads_nowhere_is_found_and_so_is_one_to_a_place_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#x">1</a><a href="b.html#y">2</a><a href="c.html">3</a>', "utf-8")
    (tmp_path / "b.html").write_text('<p id="x"></p><a href="https://elsewhere.example/c.html">4</a>', "utf-8")
    assert list(checks.broken_links(tmp_path)) == [
        "a.html: b.html#y: there is no such place on that page",
        "a.html: c.html leads to no file",
    ]


def test_an_image_without_words_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<img src="x.png" alt=" "><img src="y.png" alt="a staircase">', "utf-8")
    assert list(checks.silent_images(tmp_path)) == ["a.html: no alt text for x.png"]


def test_a_public_name_on_no_page_is_found() -> None:
    assert list(checks.names_not_documented(["streamkit.run", "streamkit.Lab"], {"streamkit.run": 1})) == [
        "streamkit.Lab is public, and on no page of the API"
    ]
