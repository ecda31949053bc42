"""What jobs say, as lines: whole however the bytes are cut, and bounded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.jobs.messages import MAX_LINE_BYTES, Message, MessageParser, encode_message

MESSAGES = [
    Message("progress", {"progress": 3, "total": None, "message": "zwei\nZeilen"}),
    Message("result", {"text": "你好"}),
    Message("returned", {}),
]
BYTES = b"".join(encode_message(*message) for message in MESSAGES)


@given(st.lists(st.integers(0, len(BYTES)), max_size=6))
def test_however_they_are_cut_the_messages_are_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(BYTES)]
    parser = MessageParser()
    got = [each for start, end in pairwise(edges) for each in parser.feed(BYTES[start:end])]
    assert got == MESSAGES


def test_numpys_numbers_are_numbers_and_nan_is_null() -> None:
    line = encode_message("result", {"a": np.float64(2.5), "b": np.arange(2), "c": float("nan")})
    assert orjson.loads(line) == ["result", {"a": 2.5, "b": [0, 1], "c": None}]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ({"a": object()}, TypeError, "expected what JSON can say"),
        ({1: 2}, TypeError, "expected what JSON can say"),
        ({"a": "x" * MAX_LINE_BYTES}, ValueError, "tell it in several results"),
    ],
)
def test_what_cannot_be_said_is_an_error_where_it_is_said(data: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        encode_message("result", data)


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b"{}\n", b'["shout",{}]\n', b'["result",3]\n', b'["result"]\n'])
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # orjson's own among them
        MessageParser().feed(line)


def test_a_line_without_an_end_takes_bounded_memory() -> None:
    parser = MessageParser()
    for _ in range(MAX_LINE_BYTES // 65_536):
        assert parser.feed(b"x" * 65_536) == []
    with pytest.raises(ValueError, match="at most"):
        parser.feed(b"x")
