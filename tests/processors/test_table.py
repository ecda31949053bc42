"""CSV's columns: which cells are numbers, which are missing, and that their statistics are numpy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors import table
from streamkit.processors.processor import Unprocessable
from streamkit.processors.table import Csv
from tests.processors.cuts import CUTS, processed

CELL = st.one_of(
    st.sampled_from(
        ["", " ", "nan", "-NaN", "inf", "+Infinity", "1e999", "1_000", "0x1F", "1 2", "--1", "1e", ".", "e5"]
    ),
    st.sampled_from(["007", "+1", ".5", "1.", " 1 ", "\t2", "-0", "1E5", "true", "null", "[1", "{}", "١", "1\x0b"]),
    st.floats(-1e300, 1e300).map(repr),
    st.integers(-(10**40), 10**40).map(str),
    st.text(st.characters(exclude_characters='\0",\r\n', exclude_categories=["Cs"]), max_size=5),
)


def column(*cells: str) -> dict[str, Any]:
    """Beside another one, so that an empty cell makes no empty line."""
    found = processed(Csv(), "".join(["x,y\n", *(f"{cell},\n" for cell in cells)]).encode())
    shown: dict[str, Any] = found["columns"]["x"]
    return shown


def kind(cell: str) -> str:
    """By Python's own float(), of what is ASCII."""
    stripped = cell.encode().strip()
    try:
        number = math.nan if not stripped else float(stripped)
    except ValueError:
        return "text"
    return "text" if b"_" in stripped else "count" if math.isfinite(number) else "missing"


@given(CELL)
def test_a_cell_is_a_number_or_missing_or_text(cell: str) -> None:
    shown = column(cell)
    assert {name: shown[name] for name in ("count", "missing", "text")} == {
        name: int(name == kind(cell)) for name in ("count", "missing", "text")
    }
    if kind(cell) == "count":
        assert shown["mean"] == shown["min"] == shown["p50"] == float(cell)


@given(st.lists(CELL, max_size=12), CUTS)
def test_what_a_cell_is_depends_on_no_other_one_and_on_no_cut(cells: list[str], cuts: list[int]) -> None:
    data = "".join(["x,y\n", *(f"{cell},7\n" for cell in cells)]).encode()
    found = processed(Csv(), data, cuts)
    kinds = [kind(cell) for cell in cells]
    shown = found["columns"]["x"]
    assert [shown[name] for name in ("count", "missing", "text")] == [
        kinds.count(name) for name in ("count", "missing", "text")
    ]
    assert (found["rows"], found["bytes"], found["columns"]["y"]["count"]) == (len(cells), len(data), len(cells))
    numbers = [float(cell) for cell in cells if kind(cell) == "count"]
    if numbers:
        assert (shown["min"], shown["max"]) == (min(numbers), max(numbers))


def test_its_statistics_are_those_of_numpy() -> None:
    random = np.random.default_rng(7)
    numbers = np.round(random.lognormal(3, 1, 30_000), 4)
    data = b"n,v\n" + b"".join(b"%d,%b\n" % (n, repr(float(v)).encode()) for n, v in enumerate(numbers))
    shown = processed(Csv(), data, range(0, len(data), 9_000))["columns"]["v"]
    assert shown["count"] == len(numbers)
    assert shown["mean"] == pytest.approx(numbers.mean(), rel=1e-12)
    assert (shown["min"], shown["max"]) == (numbers.min(), numbers.max())
    for name, rank in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert (numbers < shown[name]).mean() == pytest.approx(rank, abs=0.002)


@pytest.mark.parametrize("columns", [1, 3, 300])
def test_numbers_wait_for_others_and_none_is_forgotten(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_TOGETHER", 50)
    monkeypatch.setattr(table, "LEAST_TOGETHER", 20)
    monkeypatch.setattr(table, "TOGETHER", 60)
    worker = Csv()
    worker.feed(b",".join(b"c%d" % n for n in range(columns)) + b"\n")
    for row in range(130):
        worker.feed(b",".join(b"%d" % (row + n) for n in range(columns)) + b"\n")
    found = worker.final()["columns"]
    assert [(each["count"], each["min"], each["max"]) for each in found.values()] == [
        (130, n, 129 + n) for n in range(columns)
    ]


def test_what_is_not_known_is_null_and_not_nan() -> None:
    numbers = dict.fromkeys(("mean", "min", "max", "p50", "p95", "p99"))
    assert column("Rome") == {"count": 0, "missing": 0, "text": 1, **numbers}
    assert column("1e308", "1e308")["mean"] is None, "their sum is beyond a double"


def test_bad_rows_are_counted_and_named_and_count_in_no_column() -> None:
    found = processed(Csv(), b"a,b\n1,2\n3\n\n4,5\n")
    assert (found["rows"], found["bad_rows"]) == (2, 1)
    assert found["bad"] == [{"line": 3, "byte": 8, "reason": "cells: 1, not 2"}]
    assert found["columns"]["a"]["count"] == 2


@pytest.mark.parametrize("data", [b"", b"\n", b"a,b", b"a,b\n"])
def test_no_row_is_a_result_too(data: bytes) -> None:
    found = processed(Csv(), data)
    assert (found["rows"], found["final"], len(found["columns"])) == (0, True, 2 * (b"a" in data))


def test_a_snapshot_is_the_result_so_far_and_says_json() -> None:
    worker = Csv()
    worker.feed(b"a,b\n1,2\n3,")
    first = worker.snapshot()
    assert (first["rows"], first["bytes"], first["columns"]["a"]["mean"]) == (1, 10, 1.0)
    assert "final" not in first
    worker.feed(b"4\n5,6\n7\n")
    assert (first["rows"], first["bad"]) == (1, []), "one that was given does not change"
    assert orjson.loads(orjson.dumps(worker.snapshot()))["columns"]["b"]["mean"] == 4.0


def test_what_names_no_columns_is_refused() -> None:
    with pytest.raises(Unprocessable, match="bad_csv_header"):
        processed(Csv(), b"\xff\xfea\0,\0b\0\n\0")
