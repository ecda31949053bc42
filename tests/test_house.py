"""The house of docs/house.md, held against the code: which room may import which, by which doors, and no circle.

Type-only and lazy imports count too: what a module has to know to be read is what it depends on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import streamkit

ROOT = Path(streamkit.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.read_text("utf-8").strip())
PAGE = (ROOT.parent / "docs" / "house.md").read_text("utf-8")
TOP = {"cli", "__init__", "__main__"}
"""They know everybody."""


def section(heading: str) -> str:
    """The block of plain text below a heading of the page."""
    return PAGE.split(f"## {heading}\n", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]


def rules(heading: str) -> dict[str, set[str]]:
    """The lines of a block: a name, a colon, names."""
    lines = (line.partition(":") for line in section(heading).splitlines())
    return {name: set(rest.split()) for name, _, rest in lines}


MAY = rules("Who may import whom")
DOORS = rules("Doors")


def room(module: str) -> str:
    """`streamkit.relay.delivery.outlet` → `relay/delivery`; a file beside the rooms is a room of its own."""
    parts = module.split(".")[1:] or ["__init__"]
    if "/".join(parts) in MAY:  # a file of a room that others may know, though not the room
        return "/".join(parts)
    return "/".join(parts[:2]) if parts[0] in {"lab", "relay"} else parts[0]


def module_of(path: Path) -> str:
    return ".".join(("streamkit", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@cache
def imports(path: Path) -> list[str]:
    """The modules of streamkit that a file imports, wherever in it: `from room import file` counts as that file."""
    return list(_imports(ast.parse(path.read_text("utf-8"))))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamkit"):
            for name in node.names:
                below = ROOT.joinpath(*str(node.module).split(".")[1:], name.name)
                is_module = below.is_dir() or below.with_suffix(".py").exists()
                yield f"{node.module}.{name.name}" if is_module else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("streamkit"))


def circle(arrows: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def tree() -> set[str]:
    """The files of the page's tree, and the folders, which end with a slash."""
    found, folders = set(), [""]
    for line in section("The rooms").splitlines()[1:]:
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 4
        folders[depth:] = [f"{folders[depth - 1]}{name}"]
        found.add(folders[depth])
    return found


def test_the_map_shows_every_room_and_every_file_that_there_is() -> None:
    files = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if path.name != "__init__.py"}
    assert tree() == files | {f"{path.parent.relative_to(ROOT)}/" for path in FILES if path.parent != ROOT}


def test_every_room_says_what_it_is_for() -> None:
    told = set(re.findall(r"^\| `([\w/]+)` \|", PAGE, re.M))
    assert told == {folder.rstrip("/") for folder in tree() if folder.endswith("/")}
    for folder in sorted(told):
        assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8"))), folder


EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@EVERY_FILE
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    own = room(module_of(path))
    if own in TOP:
        return
    taken = {room(module) for module in imports(path)} - {own, "lab", "relay"}
    assert taken <= MAY[own], f"{own} may not import {', '.join(sorted(taken - MAY[own]))}"


@EVERY_FILE
def test_a_room_is_entered_by_its_doors_only(path: Path) -> None:
    own = room(module_of(path))
    entered = {module for module in imports(path) if room(module) != own and room(module) in DOORS}
    doors = {f"streamkit.{door}" for house in DOORS.values() for door in house}
    open_rooms = {name for name, of in DOORS.items() if "*" in of}
    assert {module for module in entered if module not in doors and room(module) not in open_rooms} == set()


def test_no_rule_and_no_door_is_there_for_nobody() -> None:
    taken = {room(module_of(path)): set[str]() for path in FILES}
    entered = set()
    for path in FILES:
        own = room(module_of(path))
        taken[own] |= {room(module) for module in imports(path)}
        entered |= {module.removeprefix("streamkit.") for module in imports(path) if room(module) != own}
    assert {name: may - taken[name] for name, may in MAY.items() if may - taken[name]} == {}
    assert {door for doors in DOORS.values() for door in doors} - entered <= {"*"}


def test_the_rules_have_no_circle() -> None:
    assert circle(MAY) == []


def test_no_two_files_import_each_other_by_whatever_way() -> None:
    """A room's face counts as all it shows only for outsiders: inside, files name files."""
    arrows = {module_of(path): set(imports(path)) - {module_of(path)} for path in FILES}
    assert circle(arrows) == []


def test_a_circle_would_be_seen() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
