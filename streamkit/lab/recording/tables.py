"""Rows of names and values as a table: of text, and of HTML for a notebook; notes stand below it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = ["Rows", "html_table", "text_table"]

Rows: TypeAlias = Sequence[tuple[str, str]]


def text_table(rows: Rows, notes: Iterable[str] = (), widest: int | None = None) -> str:
    """Names to the left, values to the right; those longer than `widest` are sentences, and push no number away."""
    names = max(len(name) for name, _ in rows)
    values = max(len(value) for _, value in rows if widest is None or len(value) <= widest)
    return "\n".join(
        [*(f"{name:<{names}}  {value:>{values}}" for name, value in rows), *(f"* {note}" for note in notes)]
    )


def html_table(rows: Rows, notes: Iterable[str] = (), caption: str = "") -> str:
    """The same with everything escaped: values hold what came from outside."""
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    below = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"<table>{title}<tbody>{body}</tbody></table>{f'<ul>{below}</ul>' if below else ''}"
