"""Scripts by the thousand: drawn at random from a seed, with or without faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from streamkit.lab.upstream import faults
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.script import Script
from streamkit.presets import PRESETS

__all__ = ["random_script"]

SIGNS: Final = '床明月光，霜。éß a;"\\\n😀\u2028:'
MOST_PIECES: Final = 12
MOST_FAULTS: Final = 3
REASONS: Final = {
    **dict.fromkeys(("openai", "azure", "mistral"), ("length", "content_filter", "tool_calls")),
    "anthropic": ("max_tokens", "refusal", "stop_sequence"),
    "gemini": ("MAX_TOKENS", "SAFETY", "RECITATION"),
    "cohere": ("MAX_TOKENS", "STOP_SEQUENCE"),
    "ollama": ("length",),
    "dashscope": ("length",),
    "watsonx": ("max_tokens", "stop_sequence"),
    "huggingface": ("length", "stop_sequence"),
}
"""Why an answer may end and yet be whole, by provider: the words of their own documentation."""
FAILURES: Final = {
    "openai": ("error", "insufficient_system_resource", "network_error", "abort"),
    "azure": ("error",),
    "mistral": ("error",),
    "gemini": ("MALFORMED_FUNCTION_CALL",),
    "cohere": ("ERROR", "TIMEOUT"),
}
"""And why one ends that broke off."""


def random_script(seed: int, *, stall_ms: float = 5.0, **fields: Any) -> Script:
    """A script drawn at random from `seed`: its format, pieces of multi-byte text, short times, and up to three faults.

        >>> sk.random_script(7, preset="openai").preset
        'openai'

    No silence is longer than `stall_ms` (except with NoAnswer, which never answers), so that thousands of scripts can
    be run. `fields` are fields of `Script` and are used as they are; the rest is drawn. The same seed and fields give
    the same script.

    Raises what `Script` raises for its fields.
    """
    chance = random.Random(seed)  # noqa: S311  # a replayable script, no cryptography
    pieces = chance.randint(0, MOST_PIECES)
    drawn: dict[str, Any] = {
        "pieces": tuple("".join(chance.choices(SIGNS, k=chance.randint(1, 6))) for _ in range(pieces)),
        "first_piece_ms": chance.choice([0.0, 0.5, 1.0]),
        "gap_ms": chance.choice([0.0, 0.0, 0.2]),
        "jitter_ms": chance.choice([0.0, 0.1]),
        "preset": chance.choice(sorted(PRESETS)),
        "seed": seed,
    }
    script = Script(**{**drawn, **fields})
    if "faults" in fields:
        return script
    return _with_faults(script, chance, stall_ms)


def _with_faults(script: Script, chance: random.Random, stall_ms: float) -> Script:
    draw = _Draw(chance, script, stall_ms)
    for _ in range(chance.randint(0, MOST_FAULTS)):
        with suppress(ValueError):  # what cannot stand beside the others, or has no piece to stand at, is left out
            script = replace(script, faults=(*script.faults, chance.choice(DRAWS)(draw)))
    return script


class _Draw:
    """Draws the fields of faults for a script."""

    def __init__(self, chance: random.Random, script: Script, stall_ms: float) -> None:
        self._chance = chance
        self._preset = script.preset if isinstance(script.preset, str) else script.preset.name
        self._pieces = len(script.pieces)
        self._stall_ms = stall_ms

    def at(self, first: int = 1, beyond: int = 1) -> int:
        return self._chance.randint(first, max(first, self._pieces + beyond))

    def ms(self) -> float:
        return round(self._chance.uniform(0, self._stall_ms), 3)

    def bytes(self) -> int:
        """Small, of several blocks, or beyond the relay's own limit of 1 MiB."""
        return self._chance.choice([1, 2000, 2000, 150_000, 1_500_000])

    def one(self, *values: Any) -> Any:
        return self._chance.choice(values)

    def finish(self) -> Fault:
        """A reason that this provider gives; ValueError where it gives none."""
        failed = self.one(False, True)
        reasons = (FAILURES if failed else REASONS).get(self._preset)
        if not reasons:
            raise ValueError(f"expected a provider that says why it ends, got {self._preset!r}")
        return faults.Finish(self.one(*reasons), failed)


DRAWS: Final[tuple[Callable[[_Draw], Fault], ...]] = (
    lambda draw: faults.Stall(draw.at(0, 2), draw.ms()),
    lambda draw: faults.Heartbeats(draw.at(), 0.5, draw.ms(), draw.one("comment", "event")),
    lambda draw: faults.Split(draw.at(1, 0), draw.one(0.0, draw.ms())),
    lambda draw: faults.Merge(draw.at(1, 0), draw.one(2, 3, 5)),
    lambda draw: faults.Garbage(draw.at(), draw.one(1, 64, 2000), draw.one("line", "event")),
    lambda draw: faults.ErrorEvent(draw.at(), draw.one("overloaded_error", "429")),
    lambda draw: faults.HugeEvent(draw.at(), draw.bytes()),
    lambda draw: faults.EndlessLine(draw.at(), draw.bytes()),
    lambda draw: faults.Duplicate(draw.at(1, 0)),
    lambda draw: faults.NoEnd(draw.one(False, True)),
    lambda draw: draw.finish(),
    lambda draw: draw.finish(),
    lambda _: faults.DoneMark(),
    lambda _: faults.NoBlankLine(),
    lambda draw: faults.Empty(draw.one(*faults.Empty.choices["how"])),
    lambda draw: faults.BareError(draw.at(), draw.one(*faults.BareError.choices["shape"])),
    lambda draw: faults.WrongType(draw.at(1, 0), draw.one(*faults.WrongType.choices["value"])),
    lambda draw: faults.Choice(draw.one(*faults.Choice.choices["how"])),
    lambda _: faults.MoreAfterEnd(),
    lambda draw: faults.BadChunk(draw.at(1, 2), draw.one("size", "crlf", "long")),
    lambda draw: faults.WrongLength(draw.one(-400, -40, -4, -2, -1, 1, 30)),
    lambda draw: faults.Cut(draw.at(0, 2), draw.one("fin", "rst"), draw.one(False, True)),
    lambda draw: faults.Cut(draw.at(), draw.one("fin", "rst"), draw.one(False, True)),
    lambda draw: faults.Status(
        draw.one(200, 301, 400, 404, 429, 500, 503), draw.one(None, 1), draw.one("json", "html")
    ),
    lambda _: faults.NoAnswer(),
    lambda _: faults.SlowHead(),
    lambda draw: faults.BigHead(draw.one(1000, 100_000)),
    lambda draw: faults.Interim(draw.one(1, 3, 1000)),
)
