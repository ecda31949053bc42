"""Bytes, cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from streamkit.processors.processor import Processor

CUTS = st.lists(st.integers(0, 400), max_size=8)
"""Where."""


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The parts, of which some may be empty."""
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(places)]


def processed(processor: Processor, data: bytes, cuts: Sequence[int] = ()) -> dict[str, Any]:
    """The final result; a snapshot behind each part changes nothing about it."""
    for part in cut(data, cuts):
        processor.feed(part)
        processor.snapshot()
    return processor.final()
