"""CSV and Parquet, as pandas, duckdb and the standard library read them."""

from __future__ import annotations

import csv as standard
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types
import pyarrow.parquet as pq
import pytest

import streamkit as sk
from streamkit.lab.exports import csv, parquet
from streamkit.lab.exports.tables import Rows, columns_of
from streamkit.lab.recording.rows import Reads
from tests.lab.exports.examples import MS, recorded, with_all

ROWS: tuple[Rows, ...] = ("events", "reads", "streams")
EVERY = pytest.mark.parametrize("rows", ROWS)
NASTY = 'a,"b"\r\nc;=1+1 \x00床'


def several() -> list[sk.Recording]:
    nasty = recorded([(20, NASTY), (50, "x")], labels={"prompt": "short"})
    return [with_all(), nasty, sk.Recording(outcome=sk.Outcome("refused", "connect"))]


@EVERY
def test_pandas_reads_from_parquet_what_the_set_has(rows: Rows, tmp_path: Path) -> None:
    parquet.write(several(), tmp_path / "x.parquet", rows)
    frame, wanted = pd.read_parquet(tmp_path / "x.parquet"), columns_of(several(), rows)
    assert list(frame) == list(wanted)
    for name, column in wanted.items():
        same = [None if pd.isna(each) else each for each in frame[name].tolist()]
        told = [None if each is None or each != each else each for each in column.tolist()]
        assert list(map(str, same)) == list(map(str, told)) or same == told, name


@EVERY
def test_the_standard_library_reads_from_csv_what_the_set_has(rows: Rows, tmp_path: Path) -> None:
    csv.write(several(), tmp_path / "x.csv", rows)
    wanted = columns_of(several(), rows)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        head, *lines = standard.reader(file)
    assert head == list(wanted)
    for name, column in zip(head, zip(*lines, strict=True), strict=True):
        for cell, value in zip(column, wanted[name].tolist(), strict=True):
            empty = value is None or (isinstance(value, float) and np.isnan(value))
            assert cell == "" if empty else cell == str(value) or float(cell) == value


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_duckdb_groups_by_a_label_and_takes_a_median(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    getattr(sk.exports, kind).write(several()[:2], path)
    query = f"select prompt, count(*), median(gap_ms) from '{path}' group by prompt order by prompt"  # noqa: S608  ours
    assert duckdb.sql(query).fetchall() == [("long", 7, 30.0), ("short", 4, 30.0)]


def test_the_types_are_those_that_are_documented() -> None:
    events, reads, streams = (parquet.of(several(), rows).schema for rows in ROWS)
    assert {name: str(events.field(name).type) for name in ("t_ms", "at_ns", "text", "coalesced", "characters")} == {
        "t_ms": "double",
        "at_ns": "int64",
        "text": "string",
        "coalesced": "bool",
        "characters": "int64",
    }
    assert {name: str(reads.field(name).type) for name in ("size", "error_ns", "t_ms")} == {
        "size": "int64",
        "error_ns": "int64",
        "t_ms": "double",
    }
    assert (str(streams.field("status").type), str(streams.field("outcome").type)) == ("int64", "string")
    assert events.metadata[b"streamkit.rows"] == b"events"


def test_what_is_not_known_is_null_and_an_empty_cell() -> None:
    table = parquet.of(sk.Recording(), "streams").to_pylist()
    assert (table[0]["ttft_sent_ms"], table[0]["status"]) == (None, None)
    head, row = csv.of(sk.Recording(), "streams").splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["ttft_sent_ms"] == ""


def test_reads_have_all_that_came_also_what_completed_no_event() -> None:
    one = sk.Recording(reads=Reads([1 * MS, 20 * MS], size=[2, 1]), sent_ns=1 * MS)
    reads = columns_of([one], "reads")
    assert (reads["size"].tolist(), reads["t_ms"].tolist(), reads["read"].tolist()) == ([2, 1], [0, 19], [0, 1])


def test_without_texts_their_lengths_are_still_there() -> None:
    events = columns_of([sk.exports.for_others(with_all())], "events")
    assert set(events["text"]) == {""}
    assert events["characters"].tolist() == [4, 3, 1, 1, 5, 0, 0]


def test_a_label_of_a_column_s_own_name_takes_no_other_s_place() -> None:
    one = recorded([(20, "a")], labels={"error_ns": "mine"})
    reads = columns_of([one], "reads")
    assert (reads["label_error_ns"][0], reads["error_ns"][0]) == ("mine", 20_000)


def test_half_a_character_is_no_hindrance(tmp_path: Path) -> None:
    one = sk.Recording.from_pieces([(MS, "\ud83d!")])
    csv.write(one, tmp_path / "x.csv")
    parquet.write(one, tmp_path / "x.parquet")
    assert "?!" in (tmp_path / "x.csv").read_text("utf-8")
    assert pq.read_table(tmp_path / "x.parquet")["text"].to_pylist() == ["?!"]


@pytest.mark.parametrize("write", [csv.write, parquet.write])
def test_other_rows_and_what_is_no_recording_are_refused(write: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected rows 'events', 'reads' or 'streams', got 'bytes'"):
        write(with_all(), tmp_path / "x", "bytes")
    with pytest.raises(TypeError, match="expected a Recording, or several, got str"):
        write(["x.jsonl"], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
