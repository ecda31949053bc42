"""Processors by name: those there are, and one's own beside them."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.processors.processor import Processor, TakesParts, Unprocessable
from streamkit.processors.registry import PROCESSORS, processor_named
from tests.processors.cuts import processed


class Zeros:
    """The example of `processor.py`."""

    def __init__(self) -> None:
        self.zeros = 0

    def feed(self, data: bytes) -> None:
        self.zeros += data.count(0)

    def snapshot(self) -> dict[str, Any]:
        return {"zeros": self.zeros}

    def final(self) -> dict[str, Any]:
        return {**self.snapshot(), "final": True}


@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_each_is_a_new_one_and_ends_with_a_final_result(name: str) -> None:
    one, other = processor_named(name), processor_named(name)
    one.feed(b"a\n")
    assert (processed(one, b"1\n")["bytes"], processed(other, b"")["bytes"]) == (4, 0)
    assert processed(processor_named(name), b"a")["final"] is True


def test_one_of_your_own_is_made_by_its_name() -> None:
    own = processor_named("zeros", {**PROCESSORS, "zeros": Zeros})
    assert processed(own, b"a\0\0") == {"zeros": 2, "final": True}


@pytest.mark.parametrize("name", ["", "CSV", "csv ", "__class__"])
def test_an_unknown_one_is_refused_and_what_there_is_is_said(name: str) -> None:
    with pytest.raises(Unprocessable, match="unknown_process: send process= and one of csv, digest, lines"):
        processor_named(name)


def test_only_digests_want_every_part_of_a_form() -> None:
    made: list[Processor] = [processor_named(name) for name in sorted(PROCESSORS)]
    assert [isinstance(each, TakesParts) for each in made] == [False, True, False]
