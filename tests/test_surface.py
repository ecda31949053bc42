"""The surface: few names at the top, the rest in modules by concept; each shows its names, and says how it is used."""

from __future__ import annotations

import ast
import doctest
import inspect
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST
from collections.abc import Iterator
from importlib import import_module
from textwrap import dedent
from typing import Any

import matplotlib.pyplot as plt
import pytest

import streamkit as sk

TOP = {
    *{
        "SSEParser",
        "NDJSONParser",
        "ServerSentEvent",
        "encode_event",
        "Extractor",
        "JSON",
        "preset",
        "Preset",
        "EndMark",
        "ErrorMark",
        "detect",
    },
    *{"create_app", "create_blueprint", "Policy", "create_feed", "serve", "servers"},
    *{"source", "Failed", "Value", "Snapshot", "Progress"},
    *{"Lab", "Script", "random_script", "create_upstream", "record", "Reader", "Resume", "Recording", "Outcome"},
    *{"calibrate", "run", "last_recording", "RecordingSet", "load", "last_load", "Sweep", "sweep", "last_sweep"},
    *{"join"},
    *{"watch", "playground"},
    *{"Wiretap"},
    *{"compare", "Comparison", "last_comparison"},
}
MODULES = {
    *{"arrivals", "errors", "examples", "experiments", "exports", "faults", "findings", "metrics", "net", "plots"},
    *{"shipped"},
}
RULES = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public() -> Iterator[tuple[str, Any]]:
    """Every class and function of the surface, by the name under which a user finds it."""
    for name in sorted(TOP):
        yield f"sk.{name}", getattr(sk, name)
    for module in sorted(MODULES):
        for name in getattr(sk, module).__all__:
            yield f"sk.{module}.{name}", getattr(getattr(sk, module), name)


PUBLIC = {where: found for where, found in public() if inspect.isclass(found) or inspect.isroutine(found)}


def test_the_top_holds_these_names_and_modules() -> None:
    assert set(sk.__all__) == TOP | MODULES


def test_tab_completion_at_the_top_shows_them_and_the_version() -> None:
    assert dir(sk) == sorted([*TOP, *MODULES, "__version__"])


@pytest.mark.parametrize(("name", "home"), sk._NEW_HOME.items())
def test_a_name_that_stood_at_the_top_is_still_found_and_says_where_it_lives(name: str, home: str) -> None:
    assert name not in dir(sk)
    with pytest.warns(DeprecationWarning, match=rf"^streamkit.{name} has moved: from streamkit.{home} import {name}$"):
        assert getattr(sk, name) is getattr(import_module(f"streamkit.{home}"), name)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_tab_completion_in_a_module_shows_its_names_and_nothing_else(module: str) -> None:
    assert dir(getattr(sk, module)) == sorted(getattr(sk, module).__all__)


@pytest.mark.parametrize("where", PUBLIC)
def test_its_own_docstring_shows_how_it_is_used(where: str) -> None:
    doc = inspect.cleandoc(PUBLIC[where].__doc__ or "")
    assert any(map(is_code, doc.split("\n\n"))), f"the docstring of {where} has no line of use:\n{doc}"


def is_code(paragraph: str) -> bool:
    """A doctest, or Python that does something: prose is no Python, and a table of fields neither."""
    if paragraph.lstrip().startswith(">>> "):
        return True
    try:
        parsed = compile(dedent(paragraph), "docstring", "exec", PyCF_ONLY_AST | PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Call | ast.Attribute) for node in ast.walk(parsed))


@pytest.mark.parametrize(
    ("paragraph", "code"),
    [
        ("How a stream ended.", False),
        ("ttft_ms   the first piece", False),
        ("    recording = await lab.ask('hi')", True),
        (">>> 1", True),
    ],
)
def test_prose_is_no_line_of_use(paragraph: str, code: bool) -> None:
    assert is_code(paragraph) == code


def examples(where: str) -> list[doctest.DocTest]:
    return [found for found in doctest.DocTestFinder().find(PUBLIC[where], where, globs={"sk": sk}) if found.examples]


WITH_EXAMPLES = [where for where in PUBLIC if examples(where)]


@pytest.mark.parametrize("where", WITH_EXAMPLES)
def test_what_its_docstring_shows_is_true(where: str) -> None:
    said: list[str] = []
    try:
        for example in examples(where):
            doctest.DocTestRunner(optionflags=RULES).run(example, out=said.append)
    finally:
        plt.close("all")
    assert said == [], "".join(said)


def test_many_docstrings_can_be_run() -> None:
    """Otherwise the test above could claim nothing."""
    assert len(WITH_EXAMPLES) >= 40


def test_a_wrong_example_would_be_seen() -> None:
    said: list[str] = []
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    doctest.DocTestRunner(optionflags=RULES).run(wrong, out=said.append)
    assert "Expected:\n    3\nGot:\n    2" in "".join(said)
