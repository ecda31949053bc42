"""The API, a page for each room of docs/house.md that has public names; Sphinx's autodoc fills in the rest."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import streamkit as sk
from building.plain import for_users, inline, rest_of
from streamkit.relay.settings import options

BY_DOTTED_NAME = {
    "extractor": ["streamkit.extractor.Piece", "streamkit.extractor.End", "streamkit.extractor.ProviderError"],
    "presets": ["streamkit.presets.writer.Writer", "streamkit.presets.answer.Answer"],
    "transport": ["streamkit.transport.StreamTransport"],
    "taps": ["streamkit.taps.Tap", "streamkit.taps.gauges.Gauge"],
    "processors": ["streamkit.processors.processor.Processor"],
    "jobs": ["streamkit.jobs.report.Report", "streamkit.jobs.processes.Processes"],
    "serving": ["streamkit.serving.server.Server"],
    "lab/recording": [
        "streamkit.lab.recording.recorded.Recorded",
        "streamkit.lab.recording.summary.Summary",
        "streamkit.lab.recording.trust.Trust",
        "streamkit.lab.recording.calibration.Calibration",
    ],
    "lab/diagnosis": ["streamkit.lab.diagnosis.result.Diagnosis"],
    "lab/sets": ["streamkit.lab.sets.SetSummary", "streamkit.lab.sets.Verdict"],
    "testing": [
        "streamkit.testing.assert_stream",
        "streamkit.testing.StreamAssert",
        "streamkit.testing.record_stream",
        "streamkit.testing.stream_lab",
    ],
}
"""Beside what stands at the top and in its modules: what those return and take, and what has a dotted name only."""
SEE_THE_MODULE = {"Lab", "Policy", "Closed", "Processor"}
"""Whose docstrings lean on that of their module: it is shown before them."""
ELSEWHERE = {"app": "relay", "shipped": "relay", "errors": "errors", "outcome": "outcome"}
"""Files beside the rooms: the page on which their names are."""


MOST_USED = (
    ":py:obj:`sk.record <streamkit.record>`: send one request, and record its answer",
    ":py:obj:`sk.Lab <streamkit.Lab>`: a scripted LLM, a relay and a client, to try things on",
    ":doc:`sk.plots <lab-plots>`: the figures, such as :py:obj:`sk.plots.journey <streamkit.plots.journey>`",
    ":py:obj:`sk.compare <streamkit.compare>`: which of several servers is slower, and is that sure?",
    ":py:obj:`sk.load <streamkit.load>`: many requests, each sent when it is due",
)


class Named(NamedTuple):
    """A public class or function: its full name, and how users write it."""

    full: str
    short: str
    found: Any


def surface() -> Iterator[Named]:
    """Every public class and function, each once, under the first of its names."""
    seen: set[int] = set()
    modules = [name for name in sk.__all__ if inspect.ismodule(getattr(sk, name))]
    names = [name for name in sk.__all__ if name not in modules]
    names += [f"{module}.{name}" for module in modules for name in getattr(sk, module).__all__]
    for name in names:
        found: Any = sk
        for part in name.split("."):
            found = getattr(found, part)
        if (inspect.isclass(found) or inspect.isroutine(found)) and id(found) not in seen:
            seen.add(id(found))
            yield Named(f"streamkit.{name}", f"sk.{name}", found)


def by_dotted_name() -> Iterator[tuple[str, Named]]:
    """The further ones, each with its room."""
    for room, names in BY_DOTTED_NAME.items():
        for full in names:
            module, _, name = full.rpartition(".")
            yield room, Named(full, full, getattr(import_module(module), name))


@cache
def links() -> dict[str, str]:
    """What may stand between backticks in a docstring, and the full name that is meant."""
    found: dict[str, str] = {}
    for named in [*surface(), *(named for _, named in by_dotted_name())]:
        found.setdefault(named.short, named.full)
        found.setdefault(named.full, named.full)
        last = named.full.rpartition(".")[2]
        if last[0].isupper() or len(last) > len("compare"):  # short words mean many things
            found.setdefault(last, named.full)
    return found


def house(page: str) -> dict[str, str]:
    """The rooms in the order of the way of the data, and what each is for, from docs/house.md."""
    table = page.split("| room |", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `([\w/]+)` \| (.*) \|$", table, re.M))


def room_of(named: Named) -> str:
    """The room of its module; for what stands in a module of the top, such as `sk.findings`, that module's."""
    path = named.full.split(".")
    module = named.found.__module__ if len(path) == len(["streamkit", "name"]) else getattr(sk, path[1]).__name__
    parts = module.split(".")[1:]
    if parts[0] in ELSEWHERE:
        return ELSEWHERE[parts[0]]
    if parts[0] != "lab":
        return str(parts[0])
    return "/".join(parts[:2]) if len(parts) > len(["lab", "file"]) or _is_room(module) else "lab"


def _is_room(module: str) -> bool:
    return hasattr(import_module(module), "__path__")


def write(folder: Path, house_page: Path) -> None:
    """The pages, into a folder; one that is as it was is not touched, so that it is not read again."""
    rooms = {**house(house_page.read_text("utf-8")), "errors": "what is raised", "outcome": "how a stream ended"}
    named: dict[str, list[Named]] = defaultdict(list)
    for each in surface():
        named[room_of(each)].append(each)
    for room, each in by_dotted_name():
        named[room].append(each)
    if lost := set(named) - set(rooms):
        raise ValueError(f"expected a row in docs/house.md for each room, got none for {', '.join(sorted(lost))}")
    folder.mkdir(exist_ok=True)
    shown = [room for room in rooms if named[room]]
    _put(folder / "index.rst", _index(shown, rooms, named))
    _put(folder / "settings.rst", _settings())
    for room in shown:
        _put(folder / f"{_file(room)}.rst", _page(room, named[room]))
    wanted = {"index", "settings", *map(_file, shown)}
    for old in folder.glob("*.rst"):
        if old.stem not in wanted:
            old.unlink()


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _file(room: str) -> str:
    return room.replace("/", "-")


def _heading(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def _index(shown: list[str], rooms: dict[str, str], named: dict[str, list[Named]]) -> str:
    lines = [
        *_heading("API"),
        "Most used, after ``import streamkit as sk``:",
        "",
        *(f"- {each}" for each in MOST_USED),
        "",
        "The relay's options are on a page of their own: :doc:`every deadline and limit <settings>`. Below are all",
        "names, by package (:doc:`the house </house>` says what belongs where).",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 20 30 50",
        "",
        "   * - package",
        "     - what it is for",
        "     - names",
    ]
    for room in shown:
        names = ", ".join(f":py:obj:`{each.short.removeprefix('streamkit.')} <{each.full}>`" for each in named[room])
        lines += [f"   * - :doc:`{room} <{_file(room)}>`", f"     - {inline(rooms[room], {})}", f"     - {names}"]
    lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {_file(room)}" for room in shown), "   settings", ""]
    return "\n".join(lines)


def _page(room: str, named: list[Named]) -> str:
    lines = _heading(room)
    module = "streamkit." + room.replace("/", ".")
    about = inspect.getdoc(import_module(module)) or ""
    lines += [*rest_of(for_users(about), links()), ""]
    if len(named) > 1:
        lines += [".. list-table::", "   :widths: 30 70", ""]
        for each in named:
            lines += [f"   * - :py:obj:`{each.short} <{each.full}>`", f"     - {_first_sentence(each.found)}"]
        lines.append("")
    for each in named:
        kind = "autoclass" if inspect.isclass(each.found) else "autofunction"
        if each.found.__name__ in SEE_THE_MODULE:
            lines += [*rest_of(inspect.getdoc(import_module(each.found.__module__)) or "", links()), ""]
        lines.append(f".. {kind}:: {each.full}")
        if kind == "autoclass":
            lines.append("   :members:")
            lines += ["   :inherited-members: Exception, BaseException, tuple, list, dict, NamedTuple"]
        lines.append("")
    return "\n".join(lines)


def _first_sentence(found: Any) -> str:
    paragraph = " ".join((inspect.getdoc(found) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.:;])\s", paragraph)[0].rstrip(":;") if paragraph else ""
    return inline(sentence, links())


def _settings() -> str:
    lines = [
        *_heading("Settings of the relay"),
        "Each deadline and limit under its three names: an argument of :py:obj:`sk.create_app <streamkit.create_app>`,",
        "``sk.create_blueprint`` and ``sk.Lab``; an option of ``streamkit serve``; an environment variable. The first",
        "that is given counts. What they mean: :doc:`/relay`.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - argument",
        "     - option, variable",
        "     - default",
        "     - what it is",
    ]
    for option in options():
        lines += [
            f"   * - ``{option.name}``",
            f"     - ``{option.flag}``, ``{option.env}``",
            f"     - {option.default:g}",
            f"     - {inline(option.help, {})}",
        ]
    return "\n".join([*lines, ""])
