"""The glossary of docs/words.md, held against the code: one name for one concept, one place that defines it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

import streamkit
from streamkit.lab.recording.recorded import Stamps
from streamkit.outcome import OutcomeName
from streamkit.taps import TAPS, UPLOAD_TAPS
from streamkit.taps.gauges import GAUGES

PACKAGE = Path(streamkit.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "words.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`(streamkit(?:\.\w+)+)`", PAGE)))
TWO_OF_A_NAME = {"Cut", "Answer"}
"""A fault of a script and a toxic of a network: `sk.faults.Cut`, `sk.net.Cut`; and a relay has two answers,
the provider's, which is read, and the client's, which is written.
"""


def table(first: str) -> list[str]:
    """The first column of the table that is headed so, without quotes."""
    rows = PAGE.split(f"| {first} |", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_the_taps_are_those_of_the_code_in_the_order_of_the_way() -> None:
    assert table("tap") == list(TAPS)


def test_the_taps_of_an_upload_are_those_of_the_code_in_the_order_of_their_way() -> None:
    assert table("tap of an upload") == list(UPLOAD_TAPS)


def test_the_queues_are_those_of_the_code_in_the_order_of_the_way() -> None:
    assert table("queue") == list(GAUGES)


def test_the_outcomes_are_those_of_the_code() -> None:
    assert table("outcome") == list(get_args(OutcomeName))


def test_the_kinds_of_stamps_are_those_of_the_code() -> None:
    assert table("stamps") == list(get_args(Stamps))


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_defines_a_word_is_there(place: str) -> None:
    module, _, name = place.rpartition(".")
    found = import_module(module)
    assert hasattr(found, name) or import_module(place), f"docs/words.md names {place}, which is not there"


def test_a_word_stands_in_one_row_only() -> None:
    words = [word for row in re.findall(r"^\| (.*?) \|", PAGE, re.M) for word in [row.strip("`")]]
    heads = {"word", "tap", "tap of an upload", "queue", "outcome", "stamps"}
    counted = [word for word in words if word not in heads]
    assert sorted(counted) == sorted(set(counted))


def test_no_two_public_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1 and name not in TWO_OF_A_NAME} == {}
