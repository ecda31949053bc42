"""The house of docs/house.md, held against the code: which room may import which, by which doors, and no circle.

Type-only and lazy imports count too: what a module has to know to be read is what it depends on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import streamkit

ROOT = Path(streamkit.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.read_text("utf-8").strip())
TOP = {"cli", "__init__", "__main__"}
"""They know everybody."""
RELAY = {
    "relay/settings",
    "relay/failure",
    "relay/bounds",
    "relay/request",
    "relay/sources",
    "relay/sources/source",
    "relay/delivery",
    "relay/log",
    "relay/stream",
    "relay/relay",
}
MAY: dict[str, set[str]] = {
    "errors": set(),
    "outcome": set(),
    "sockets": set(),
    "inside_sanic": set(),
    "_version": set(),
    "taps": set(),
    # The product, from the ground up
    "parser": {"errors"},
    "extractor": {"errors", "parser"},
    "presets": {"errors", "parser", "extractor"},
    "transport": {"errors", "sockets"},
    "serving": {"errors", "inside_sanic"},
    "relay": set(),  # its face, which shows nothing but a map
    "relay/bounds": set(),
    "relay/settings": {"errors"},
    "relay/failure": {"outcome"},
    "relay/request": {"inside_sanic", "relay/failure", "relay/bounds"},
    "relay/sources/source": {"extractor", "taps"},
    "relay/sources": {
        *{"errors", "outcome", "_version", "parser", "extractor", "presets", "taps", "transport"},
        *{"relay/settings", "relay/failure", "relay/bounds", "relay/sources/source"},
    },
    "relay/log": {"outcome"},
    "relay/stream": {"taps", "relay/log", "relay/settings"},
    "relay/delivery": {
        *{"errors", "outcome", "sockets", "inside_sanic", "extractor", "taps", "transport"},
        *{"relay/settings", "relay/failure", "relay/stream", "relay/sources/source"},
    },
    "relay/relay": {"errors", "outcome", "inside_sanic", "presets", "taps", *RELAY - {"relay/relay"}},
    "app": {"errors", "outcome", "inside_sanic", "presets", "taps", "serving", *RELAY},
    # The lab: it knows the product, never the reverse
    "lab": set(),
    "lab/run": set(),
    "lab/metrics": {"taps"},
    "lab/recording": {"errors", "outcome", "taps", "lab/metrics"},
    "lab/upstream": {"sockets", "inside_sanic", "parser", "extractor", "presets", "taps", "transport"},
    "lab/net": {"errors", "sockets", "serving", "relay/settings"},
    "lab/client": {
        *{"errors", "outcome", "parser", "extractor", "presets", "taps", "transport"},
        *{"lab/metrics", "lab/recording"},
    },
    "lab/findings": {"outcome", "taps", "lab/metrics", "lab/recording"},
    "lab/plots": {"taps", "lab/metrics", "lab/recording", "lab/findings"},
    "lab/server_taps": {"taps", "serving", "lab/client", "lab/recording", "lab/upstream"},
    "lab/places": {"app", "serving", "lab/net", "lab/server_taps"},
    "lab/lab": {
        *{"errors", "presets", "taps", "serving", "relay/delivery"},
        *{"lab/upstream", "lab/net", "lab/client", "lab/recording", "lab/places", "lab/server_taps"},
    },
    "lab/experiments": {
        *{"app", "outcome", "sockets", "presets", "taps", "serving"},
        *{"lab/client", "lab/net", "lab/recording", "lab/findings", "lab/server_taps"},
    },
}


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    own = room(module_of(path))
    if own in TOP:
        return
    taken = {room(module) for module in imports(path)} - {own, "lab", "relay"}
    assert taken <= MAY[own], f"{own} may not import {', '.join(sorted(taken - MAY[own]))}"


def test_the_rules_have_no_circle() -> None:
    assert circle(MAY) == []


def test_no_two_files_import_each_other_by_whatever_way() -> None:
    """A room's face counts as all it shows only for outsiders: inside, files name files."""
    arrows = {module_of(path): set(imports(path)) - {module_of(path)} for path in FILES}
    assert circle(arrows) == []


def test_a_circle_would_be_seen() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
