"""What importing streamkit costs and changes: next to nothing, and nothing."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import pkgutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import streamkit

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(streamkit.__path__, "streamkit.")
    if not module.name.endswith("__main__")  # runs the command line when it is imported
)
HEAVY = {"sanic", "httpx2", "httpx", "numpy", "matplotlib", "pandas", "nest_asyncio2", "uvloop", "IPython"}

# Imports the modules named as arguments, one after the other, and prints what each of them has changed in the
# interpreter. The state is compared whenever a module begins or ends, so that the one is named whose code ran, and not
# those that import it.
CHANGES = """
import asyncio, json, locale, logging, os, signal, sys, threading, time, warnings
import asyncio.base_events, asyncio.events, asyncio.runners, asyncio.tasks
from importlib.machinery import SourceFileLoader

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

asked = sys.argv[1:]
of, before, running = {name: [] for name in asked}, state(), [asked[0]]

def compare():
    global before
    after = state()
    of[running[-1]] += [name for name in before if after.get(name) != before[name]]
    before = after

def run(loader, module):
    if module.__name__ not in of:
        return exec_module(loader, module)
    compare()
    running.append(module.__name__)
    exec_module(loader, module)
    compare()
    running.pop()

exec_module, SourceFileLoader.exec_module = SourceFileLoader.exec_module, run
for name in asked:
    __import__(name)
print(json.dumps(of))
"""


def python(code: str, *arguments: str, folder: Path | None = None) -> Any:
    """What the code, in a fresh interpreter that can import from the folder, prints as JSON."""
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
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
        "import streamkit.taps",
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


@cache
def changed() -> dict[str, list[str]]:
    """What each module has changed: one interpreter for all of them."""
    return cast("dict[str, list[str]]", python(CHANGES, *MODULES))


def test_importing_streamkit_has_no_side_effects() -> None:
    assert python(CHANGES, "streamkit") == {"streamkit": []}


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_has_no_side_effects(name: str) -> None:
    assert changed()[name] == []


def test_side_effects_would_be_seen_and_blamed_on_the_module_that_has_them(tmp_path: Path) -> None:
    """Otherwise the tests around this one could not fail."""
    (tmp_path / "polite.py").write_text("import rude\n")
    (tmp_path / "rude.py").write_text(
        "import asyncio, logging, nest_asyncio2, os\n"
        "nest_asyncio2.apply(asyncio.new_event_loop())\n"
        "logging.basicConfig()\n"
        "import quiet\n"
        "os.environ['RUDE'] = '1'\n"
    )
    (tmp_path / "quiet.py").write_text("")
    seen = python(CHANGES, "polite", "quiet", "rude", folder=tmp_path)
    assert {"asyncio.run", "root log handlers", "environment"} <= set(seen["rude"])
    assert (seen["polite"], seen["quiet"]) == ([], [])


def test_each_room_can_be_the_first_of_ours_that_is_entered() -> None:
    """What others have imported before it is taken away again: the packages that we need may stay. That no two files
    import each other, by whatever way, says `tests/test_house.py`: so what holds for a room holds for its files.
    """
    code = """
import json, sys
failed = {}
for name in sys.argv[1:]:
    for loaded in [one for one in sys.modules if one.partition(".")[0] == "streamkit"]:
        del sys.modules[loaded]
    try:
        __import__(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps(failed))
"""
    rooms = [name for name in MODULES if name.count(".") == 1 or name in {one.rpartition(".")[0] for one in MODULES}]
    assert len(rooms) > 30
    assert python(code, *rooms) == {}


def test_importing_everything_changes_no_matplotlib_style_and_patches_no_loop() -> None:
    code = """
import asyncio, json, sys
import matplotlib
def style():  # not through rcParams[...], which loads pyplot to look for a backend
    return {key: repr(dict.__getitem__(matplotlib.rcParams, key)) for key in matplotlib.rcParams}
before = style()
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps([style() == before, hasattr(asyncio, "_nest_patched"), "matplotlib.pyplot" in sys.modules]))
"""
    assert python(code, *MODULES) == [True, False, False]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.rpartition(".")[2].startswith("_")])
def test_all_is_sorted_without_repetition_and_true(name: str) -> None:
    module = import_module(name)
    if defines_something(module):
        assert is_sorted(module.__all__)
        assert [listed for listed in module.__all__ if not hasattr(module, listed)] == []


def defines_something(module: ModuleType) -> bool:
    return any(isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) for node in syntax(module).body)


def syntax(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def is_sorted(names: list[str]) -> bool:
    """Without repetition, and constants, classes, functions in this order, each sorted: as ruff's RUF022 does."""
    return names == sorted(set(names), key=lambda name: (not name.isupper(), not name[:1].isupper(), name))


def test_every_public_name_of_the_package_resolves_to_what_a_type_checker_sees() -> None:
    promised = {
        listed.asname or listed.name: f"{node.module}"
        for block in syntax(streamkit).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for listed in node.names
    }
    assert is_sorted(streamkit.__all__)
    assert set(promised) | {"errors"} == set(streamkit.__all__)
    for name, home in promised.items():
        found = getattr(streamkit, name)
        assert found is (getattr(import_module(home), name, None) or import_module(f"{home}.{name}")), name


def test_the_installed_version_is_the_packages_own() -> None:
    assert importlib.metadata.version("streamkit") == streamkit.__version__


def test_dir_shows_the_public_names_before_they_are_used() -> None:
    assert set(streamkit.__all__) <= set(python("import json, streamkit; print(json.dumps(dir(streamkit)))"))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        _ = streamkit.recrod  # type: ignore[attr-defined]  # the claim
