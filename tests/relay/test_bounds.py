"""What is refused before it is parsed, and what is not, however large it is."""

from __future__ import annotations

import json

import pytest

from streamkit.relay.bounds import CROWDED_BYTES, is_crowded

MB = 1_000_000


@pytest.mark.parametrize(
    "unit",
    ["{},", "[],", "0,", '{"delta":{"content":"a"}},', '"a",'],
    ids=["objects", "lists", "numbers", "deltas", "texts"],
)
def test_a_megabyte_of_small_values_is_crowded_as_text_and_as_bytes(unit: str) -> None:
    data = "[" + (MB // len(unit)) * unit + "0]"
    assert is_crowded(data)
    assert is_crowded(data.encode())


@pytest.mark.parametrize(
    "value",
    [
        {"text": "Before my bed, the moon; " * (MB // 25)},
        {"code": "for (i = 0; i < n; i++) { a[i] = f(i, n); }\n" * (MB // 44)},
        {"embedding": [0.123456789 for _ in range(MB // 16)]},
        {f"key {number}": number for number in range(MB // 20)},
    ],
    ids=["prose", "code", "an embedding", "keys"],
)
def test_a_megabyte_of_what_somebody_might_send_is_not(value: object) -> None:
    assert not is_crowded(json.dumps(value))


def test_small_texts_are_never_crowded() -> None:
    assert not is_crowded(CROWDED_BYTES // 4 * "{},")
