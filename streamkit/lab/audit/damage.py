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
    begin = _shared(came, said)
    end = _shared(came[begin:][::-1], said[begin:][::-1])
    added, missing = came[begin : len(came) - end], said[begin : len(said) - end]
    if not added:
        return "text_dropped"
    if not missing:
        return "text_doubled" if _repeats(came, begin, begin + len(added)) else _strange(added, said)
    return _compared(added[:COMPARED], missing[:COMPARED], said)


def _compared(came: str, said: str, whole: str) -> Damage:
    """Of two texts that differ from their first character on, and at their last."""
    changes = [
        change for change in SequenceMatcher(None, said, came, autojunk=False).get_opcodes() if change[0] != "equal"
    ]
    if all(kind == "delete" for kind, *_ in changes):
        return "text_dropped"
    inserts = [(begin, end) for kind, _, _, begin, end in changes if kind != "delete"]
    only = all(kind == "insert" or (kind == "delete" and until == len(said)) for kind, _, until, _, _ in changes)
    if only and all(_repeats(came, begin, end) for begin, end in inserts):
        return "text_doubled"
    return _strange(came, whole)


def _strange(added: str, said: str) -> Damage:
    """Words that were never said are an error's; anything else is a changed text."""
    return "error_in_text" if any(word not in said for word in WORD.findall(added)) else "text_changed"


def _repeats(text: str, begin: int, end: int) -> bool:
    """What stands there stands before it, or behind it, too."""
    run, size = text[begin:end], end - begin
    return text[max(0, begin - size) : begin] == run or text[end : end + size] == run


def _shared(one: str, other: str) -> int:
    """How long a beginning they share: halved, as comparing slices is quick."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
