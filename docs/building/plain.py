"""Docstrings as reStructuredText. They are written to be read in a terminal: paragraphs, `names` between single
backticks, indented lines of use, doctests, lists, and tables of arguments (a name, spaces, what it is).

    >>> print("\\n".join(rest_of("Waits for `sk.run`.", {"sk.run": "streamkit.run"})))
    Waits for :py:obj:`sk.run <streamkit.run>`.
"""

from __future__ import annotations

import ast
import re
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST
from collections.abc import Iterator, Mapping
from textwrap import dedent, indent

WITHIN = re.compile(r"(The )?[Dd]oors?\b|The way of the data:")
"""How a paragraph of a room begins that is for those who change it."""
ENTRY = re.compile(r"^(?P<names>\S+(?:[, ]\s?\S+){0,5}?) {2,}(?P<text>\S.*)$")
"""The first line of a row of a table: `accept      the media type`."""
LITERAL = re.compile(r"(`{1,2})(.+?)\1(?!`)", re.S)
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", re.S)


def rest_of(docstring: str, known: Mapping[str, str] | None = None) -> list[str]:
    """The lines of a docstring (already cleaned of its indentation) as reStructuredText. `known` names become links:
    what stands between backticks, to the full name."""
    lines: list[str] = []
    for block in _blocks(docstring):
        lines += [*_rest(block, known or {}), ""]
    return lines[:-1]


def for_users(docstring: str) -> str:
    """What a room says of itself, without its insides: these are for docs/house.md.

    >>> for_users("Figures.\\n\\nThe way of the data: a → b.\\n\\nEach takes `ax`.\\n\\nDoors: `c`.")
    'Figures.\\n\\nEach takes `ax`.'
    """
    return "\n\n".join(block for block in re.split(r"\n\s*\n", docstring) if not WITHIN.match(block))


def _blocks(text: str) -> Iterator[str]:
    """Its paragraphs; code that goes on behind an empty line is one."""
    held = ""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if held and _is_indented(block) and not block.lstrip().startswith(">>>"):
            held = f"{held}\n\n{block}"
            continue
        if held:
            yield held
            held = ""
        if _is_indented(block):
            held = block
        else:
            yield block
    if held:
        yield held


def _rest(block: str, known: Mapping[str, str]) -> list[str]:
    if block.lstrip().startswith(">>>"):
        return _code("pycon", block)
    if _is_indented(block):
        return _code("python" if _is_python(block) else "text", block)
    if _does_something(block):
        return _code("python", block)
    lines: list[str] = []
    for part in _parts(block.splitlines()):
        lines += [*([""] if lines else []), *_prose_and_table(part, known)]
    return lines


def _parts(lines: list[str]) -> Iterator[list[str]]:
    """A paragraph, and a table that stands in it, indented below the sentence that announces it."""
    part: list[str] = []
    within = False
    for line in lines:
        starts = not within and bool(part) and line.startswith("    ") and bool(ENTRY.match(line.strip()))
        if (starts and not ENTRY.match(part[0])) or (within and not line.startswith(" ")):
            yield part
            part, within = [], starts
        part.append(line)
    yield part


def _prose_and_table(lines: list[str], known: Mapping[str, str]) -> list[str]:
    head, rows = _split_table(dedent("\n".join(lines)).splitlines())
    found = inline("\n".join(_apart(head)), known).splitlines() if head else []
    if rows:
        found += ["", *_definitions(rows, known)] if found else _definitions(rows, known)
    return found


def _apart(lines: list[str]) -> list[str]:
    """A list below a sentence needs an empty line between them."""
    apart: list[str] = []
    for line in lines:
        first_of_a_list = line.startswith("- ") and apart and apart[-1] and not apart[-1].startswith(("- ", "  "))
        apart += ["", line] if first_of_a_list else [line]
    return apart


def _split_table(lines: list[str]) -> tuple[list[str], list[str]]:
    """What stands before a table, and the table: from the first row on, all lines are rows or go on with one."""
    for start, line in enumerate(lines):
        bare_name = re.fullmatch(r"[\w`.*, ]+", line) and start + 1 < len(lines) and lines[start + 1].startswith("    ")
        if ENTRY.match(line) or bare_name:
            return lines[:start], lines[start:]
    return lines, []


def _definitions(rows: list[str], known: Mapping[str, str]) -> list[str]:
    """A table of arguments as a definition list."""
    found: list[tuple[str, list[str]]] = []
    for row in rows:
        entry = ENTRY.match(row)
        if entry:
            found.append((entry["names"], [entry["text"]]))
        elif row.startswith(" ") and found:
            found[-1][1].append(row.strip())
        else:
            found.append((row.strip(), []))
    lines: list[str] = []
    for names, text in found:
        term = names if "`" in names else ", ".join(f"`{name.strip()}`" for name in names.split(","))
        lines += [inline(term, {}), *indent(inline("\n".join(text) or "\\", known), "    ").splitlines(), ""]
    return lines[:-1]


def _code(language: str, block: str) -> list[str]:
    return [f".. code-block:: {language}", "", *indent(dedent(block), "    ").splitlines()]


def _is_indented(block: str) -> bool:
    return all(line.startswith("    ") for line in block.splitlines() if line)


def _tree(block: str) -> ast.Module | None:
    try:
        tree = compile(dedent(block), "docstring", "exec", PyCF_ONLY_AST | PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return None
    return tree if isinstance(tree, ast.Module) else None


def _is_python(block: str) -> bool:
    return _tree(block) is not None


def _does_something(block: str) -> bool:
    """Of a paragraph that is not indented: Python that defines or calls; a word or two of prose are Python as well."""
    tree = _tree(block)
    return tree is not None and any(
        isinstance(node, ast.Call | ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree)
    )


def inline(text: str, known: Mapping[str, str]) -> str:
    """Literals, bold words and links; every other sign means itself."""
    parts, at = [], 0
    for literal in LITERAL.finditer(text):
        parts += [_prose(text[at : literal.start()]), _literal(literal[2], known)]
        at = literal.end()
        if text[at : at + 1].isalnum():  # ``name``s
            parts.append("\\ ")
    return "".join([*parts, _prose(text[at:])])


def _literal(text: str, known: Mapping[str, str]) -> str:
    name = " ".join(text.split())
    target = known.get(name.removesuffix("()"))
    return f":py:obj:`{name} <{target}>`" if target else f"``{name}``"


def _prose(text: str) -> str:
    parts, at = [], 0
    for bold in BOLD.finditer(text):
        parts += [_escaped(text[at : bold.start()]), f"**{_escaped(bold[1])}**"]
        at = bold.end()
    return "".join([*parts, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|`]|(?<=\w)_(?=\W|$))", r"\\\1", text)
