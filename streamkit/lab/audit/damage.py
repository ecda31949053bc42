"""What happened to a text on its way: a pure function of what came and of what was said."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

__all__ = ["Damage", "damage_of"]

Damage: TypeAlias = Literal["text_undecodable", "text_dropped", "text_doubled", "error_in_text", "text_changed"]
REPLACEMENT: Final = "\ufffd"
COMPARED: Final = 4_000
"""Characters of a difference that are compared one by one: that takes time by the square."""
RUN: Final = re.compile(r"(.)\1{50,}", re.DOTALL)
WORD: Final = re.compile(r"[A-Za-z]{3,}")


def damage_of(came: str, said: str) -> Damage | None:
    """None if `came` is the beginning of what was `said`, or all of it.

    >>> from streamkit.lab.audit.damage import damage_of
    >>> damage_of("The mon", "The moon"), damage_of("The The moon", "The moon"), damage_of("The m", "The moon")
    ('text_dropped', 'text_doubled', None)
    """
    if said.startswith(came):
        return None
    if REPLACEMENT in came and REPLACEMENT not in said:
        return "text_undecodable"
    came, said = _folded(came), _folded(said)
    begin = _shared(came, said)
    end = _shared(came[begin:][::-1], said[begin:][::-1])
    added, missing = came[begin : len(came) - end], said[begin : len(said) - end]
    changes = SequenceMatcher(None, missing[:COMPARED], added[:COMPARED], autojunk=False).get_opcodes()
    runs = [(begin + at, begin + until) for kind, _, _, at, until in changes if kind in ("insert", "replace")]
    if not runs:
        return "text_dropped"
    cut_off = len(missing[:COMPARED])  # what is missing in the end may just not have come
    doubled = all(kind in ("equal", "insert") or (kind == "delete" and end == cut_off) for kind, _, end, *_ in changes)
    if doubled and all(_repeats(came, at, until) for at, until in runs):
        return "text_doubled"
    return _strange(added, said)


def _folded(text: str) -> str:
    """A character that comes hundreds of times in a row comes fifty times: what is around it is what is compared."""
    return RUN.sub(lambda run: run[1] * 50, text)


def _strange(added: str, said: str) -> Damage:
    """Words that were never said are an error's; anything else is a changed text."""
    return "error_in_text" if any(word not in said for word in WORD.findall(added)) else "text_changed"


def _repeats(text: str, begin: int, end: int) -> bool:
    """What stands there comes twice in a row, wherever in that the second one is said to begin."""
    size = end - begin
    starts = range(max(0, begin - size), begin + 1)
    return any(text[at : at + size] == text[at + size : at + 2 * size] for at in starts)


def _shared(one: str, other: str) -> int:
    """How long a beginning they share: halved, as comparing slices is quick."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
