"""What the extractor's tests share: text at a path, and paths and values of every kind."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from streamkit.extractor import JSON, Extractor


def text_at(path: Any, value: object, **where: Any) -> str | None:
    return Extractor(path, **where)(json.dumps(value))


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(lambda key: key != "*")
STEPS = st.lists(KEYS | st.integers(-(10**9) + 1, 10**9 - 1) | st.sampled_from(["*", JSON]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=4),
    max_leaves=20,
)
