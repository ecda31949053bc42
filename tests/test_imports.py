"""What importing streamkit costs and changes: next to nothing, and nothing."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import streamkit

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(streamkit.__path__, "streamkit.")
    if not module.name.endswith("__main__")  # runs the command line when it is imported
)
HEAVY = {"sanic", "httpx2", "httpx", "numpy", "matplotlib", "pandas", "nest_asyncio2", "uvloop", "IPython"}

# Prints what has changed in the interpreter by importing the modules named as arguments.
CHANGES = """
import asyncio, json, locale, logging, os, signal, sys, threading, time, warnings
import asyncio.base_events, asyncio.events, asyncio.runners, asyncio.tasks

def state():
    found = {
        f"{module.__name__}.{name}": id(value)
        for module in (asyncio, asyncio.events, asyncio.runners, asyncio.tasks, asyncio.BaseEventLoop, time, sys)
        for name, value in vars(module).items()
        if not name.startswith("__") and name not in ("last_traceback", "path_importer_cache", "flags")
    }
    found["event loop policy"] = repr(asyncio.events._event_loop_policy)
    found["event loop"] = repr(asyncio.events._get_running_loop())
    found["root log handlers"] = repr(logging.root.handlers)
    found["root log level"] = logging.root.level
    found["warnings.showwarning"] = repr(warnings.showwarning)
    found["environment"] = repr(sorted(os.environ.items()))
    found["folder"] = os.getcwd()
    found["locale"] = repr(locale.setlocale(locale.LC_ALL))
    found["threads"] = repr(threading.enumerate())
    found["signals"] = repr([signal.getsignal(number) for number in signal.valid_signals()])
    return found

before = state()
for name in sys.argv[1:]:
    __import__(name)
after = state()
print(json.dumps([name for name in before if after.get(name) != before[name]]))
"""


def python(code: str, *arguments: str) -> Any:
    """What the code, in a fresh interpreter, prints as JSON."""
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return json.loads(answer.stdout)


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after the statement."""
    names = python(f"{statement}\nimport json, sys; print(json.dumps(list(sys.modules)))")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "statement",
    [
        "import streamkit",
        "import streamkit.errors",
        "import streamkit.outcome",
        "import streamkit.parser",
        "import streamkit.extractor",
        "import streamkit.presets",
        "import streamkit; streamkit.SSEParser, streamkit.Extractor, streamkit.preset",
    ],
)
def test_the_pure_modules_load_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) & HEAVY == set()


def test_the_names_of_heavy_packages_are_right() -> None:
    """Otherwise the test above could not fail."""
    assert {"httpx2", "matplotlib", "numpy", "sanic"} <= loaded_by("import httpx2, matplotlib.pyplot, sanic") & HEAVY


def test_importing_streamkit_has_no_side_effects() -> None:
    assert python(CHANGES, "streamkit") == []


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_has_no_side_effects(name: str) -> None:
    assert python(CHANGES, name) == []


def test_importing_everything_changes_no_matplotlib_style_and_patches_no_loop() -> None:
    code = """
import json, sys
import matplotlib, matplotlib.style
before = dict(matplotlib.rcParams)
for name in sys.argv[1:]:
    __import__(name)
import asyncio
changed = [key for key, value in matplotlib.rcParams.items() if before[key] != value and key != "backend"]
print(json.dumps([changed, hasattr(asyncio, "_nest_patched"), "matplotlib.pyplot" in sys.modules]))
"""
    assert python(code, *MODULES) == [[], False, False]


@pytest.mark.parametrize("name", ["streamkit", *MODULES])
def test_all_is_sorted_without_repetition_and_true(name: str) -> None:
    module = import_module(name)
    assert list(module.__all__) == sorted(set(module.__all__), key=ruff_order)
    assert [listed for listed in module.__all__ if not hasattr(module, listed)] == []


def ruff_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that ruff's RUF022 keeps."""
    if name.isupper():
        return 0, name
    return (1 if name[:1].isupper() else 2), name


@pytest.mark.parametrize("name", MODULES)
def test_all_names_every_public_function_and_class_of_its_module(name: str) -> None:
    module = import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    defined = {
        node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {public for public in defined if not public.startswith("_")} - set(module.__all__) == set()


def test_dir_shows_the_public_names_before_they_are_used() -> None:
    assert set(streamkit.__all__) <= set(python("import json, streamkit; print(json.dumps(dir(streamkit)))"))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        _ = streamkit.recrod  # type: ignore[attr-defined]
