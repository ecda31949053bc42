"""The certificate as a page of HTML: self-contained, without scripts; everything from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streamkit.lab.audit.witness import Judgement

__all__ = ["END_COLOURS", "page"]

END_COLOURS: Final = {
    "complete": "#E6F4EE",
    "named": "#9CC9EA",
    "unnamed": "#F2DD9C",
    "cut": "#E8A03C",
    "endless": "#B9B4C0",
    "false_complete": "#C8372D",
}
"""As in the figures (`lab.plots.palette.END_FILLS`)."""
STYLE: Final = """
.sk-audit {font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem; padding: 1rem}
.sk-audit h1 {font-size: 1.25rem} .sk-audit h2 {font-size: 1rem; margin: 1.2rem 0 .3rem}
.sk-audit table {border-collapse: collapse} .sk-audit th {font-weight: 400}
.sk-audit td, .sk-audit th {padding: .12rem .7rem .12rem 0; vertical-align: top; text-align: left}
.sk-audit pre {white-space: pre-wrap; margin: 0}
.sk-audit .grade {font-weight: 600; white-space: nowrap} .sk-audit .found {color: #A3231B}
.sk-audit .holds {color: #1B6B4C} .sk-audit .not-judged {font-weight: 400}
.sk-audit .end {padding: .12rem .6rem; border: 2px solid #fff}
.sk-audit .end + td {padding-left: .6rem}
"""
SIGNS: Final = {"holds": "✓ holds", "found": "✗ found", "not judged": "– not judged"}
WORDS: Final = {"false_complete": "looks complete", "complete": "complete"}


def page(
    title: str,
    sections: Sequence[tuple[str, str, str, Sequence[str]]],
    about: Mapping[str, str],
    judgements: Sequence[Judgement],
    said: str,
    *,
    whole: bool = True,
) -> str:
    """All of a certificate; `whole=False`: the part of it that stands in a notebook."""
    parts = [
        f"<h1>{_text(title)}</h1>",
        _table((_cell("th", name), _cell("td", value)) for name, value in about.items()),
        "<h2>What was found</h2>",
        _table(_section(*section) for section in sections),
        "<h2>How each stream ended for its client</h2>",
        _table(_ended(one) for one in judgements if one.ending is not None),
    ]
    if said:
        parts += ["<h2>The end of the gateway's log</h2>", f"<pre>{_text(said)}</pre>"]
    inner = f'<style>{STYLE}</style><div class="sk-audit">{"".join(parts)}</div>'
    if not whole:
        return inner
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{inner}</body></html>\n'


def _section(aspect: str, grade: str, says: str, lines: Sequence[str]) -> tuple[str, ...]:
    told = "\n".join(lines) if grade != "holds" else "\n".join([says, *lines])
    kind = grade.replace(" ", "-")
    return (
        _cell("th", aspect),
        f'<td class="grade {kind}">{_text(SIGNS[grade])}</td>',
        f"<td><pre>{_text(told)}</pre></td>",
    )


def _ended(judgement: Judgement) -> tuple[str, ...]:
    ending = judgement.ending
    assert ending is not None  # noqa: S101  # for the type checker: those without are left out
    if judgement.unjudged:
        return _cell("th", judgement.scenario), '<td class="end">not judged</td>', _cell("td", judgement.unjudged)
    ink = "#fff" if ending.kind == "false_complete" else "#222"
    style = f"background: {END_COLOURS[ending.kind]}; color: {ink}"
    word = WORDS.get(ending.kind, ending.kind)
    return (
        _cell("th", judgement.scenario),
        f'<td class="end" style="{style}">{_text(word)}</td>',
        _cell("td", "" if ending.says == word else ending.says),
    )


def _table(rows: Iterable[Iterable[str]]) -> str:
    return f"<table>{''.join('<tr>' + ''.join(row) + '</tr>' for row in rows)}</table>"


def _cell(kind: str, value: str) -> str:
    return f"<{kind}>{_text(value)}</{kind}>"


def _text(value: str) -> str:
    return html.escape(value)
