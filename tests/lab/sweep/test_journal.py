"""The file of a sweep: what was done stays done, whatever is cut off, and nothing is taken for what it is not."""

from __future__ import annotations

import gzip
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from streamkit.errors import RecordingFormatError
from streamkit.lab.sweep.journal import Journal, read

HEAD = {"trial": "lab.trial", "settings": [{"a": 1}, {"a": 2}], "repeats": 2, "seed": 0}


def row(order: int) -> dict[str, Any]:
    return {"order": order, "repeat": 0, "parameters": {"a": 1}, "seed": 7, "metrics": {"ms": 0.1}, "error": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal(tmp_path / "sweep.jsonl", HEAD) as journal:
        assert journal.rows == []
        for order in range(3):
            journal.write(row(order))
    return tmp_path / "sweep.jsonl"


def go_on(path: Path, **head: Any) -> list[dict[str, Any]]:
    with Journal(path, {**HEAD, **head}) as journal:
        return journal.rows


def test_it_goes_on_from_what_was_written(path: Path) -> None:
    assert go_on(path) == [row(0), row(1), row(2)]


def test_wherever_it_is_cut_whole_lines_stay_and_the_rest_can_be_written_again(path: Path) -> None:
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in {*range(0, len(whole), 13), *accumulate(map(len, lines)), len(whole) - 1, len(lines[0]) - 1}:
        path.write_bytes(whole[:length])
        kept = max(0, whole[:length].count(b"\n") - 1)
        with Journal(path, HEAD) as journal:
            assert journal.rows == [row(order) for order in range(kept)]
            for order in range(kept, 3):
                journal.write(row(order))
        assert path.read_bytes() == b"".join(lines)


def test_a_line_that_is_damaged_is_left_out_and_named(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"0.1", b"0.2")
    path.write_bytes(b"".join(lines))
    assert go_on(path) == [row(0), row(2)]
    assert read(path)[2] == ["line 3 of sweep.jsonl is not whole"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"settings": [{"a": 1}]}, r"its grid is \[{'a': 1}, {'a': 2}\], not \[{'a': 1}\]"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"trial": "lab.other"}, "its trial is 'lab.trial', not 'lab.other'"),
    ],
)
def test_the_file_of_another_sweep_is_refused_and_stays_as_it_is(path: Path, other: Any, told: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"to be this sweep's file, got another's: {told}. Take another path"):
        go_on(path, **other)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"hello\n", b'{"streamkit":"recording"}\n', b"\n\n", b"[]\n", b"hello"])
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingFormatError, match=r"expected the file of a sweep \(version 1\) in notes.txt"):
        go_on(path)
    assert path.read_bytes() == content


def test_more_rounds_are_noted_and_fewer_change_nothing(path: Path) -> None:
    go_on(path, repeats=5)
    assert read(path)[0]["repeats"] == 5
    go_on(path, repeats=1)
    assert read(path)[0]["repeats"] == 5
    assert len(go_on(path)) == 3


def test_two_sweeps_do_not_write_one_file(path: Path) -> None:
    with Journal(path, HEAD), pytest.raises(BlockingIOError, match=r"sweep.jsonl is being written by another sweep"):
        go_on(path)


def test_it_can_be_read_while_it_is_written(path: Path) -> None:
    with Journal(path, HEAD) as journal:
        journal.write(row(3))
        assert len(read(path)[1]) == 4


def test_a_compressed_one_is_read_and_not_written_on(path: Path) -> None:
    """What is appended to it would be lost, and the rest with it."""
    whole = read(path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    packed = path.read_bytes()
    head, rows, left_out, _ = read(path)
    assert (head, rows, left_out) == (whole[0], whole[1], [])
    with pytest.raises(
        RecordingFormatError, match=r"is compressed, and cannot be added to: unpack it \(gunzip\) first"
    ):
        Journal(path, HEAD)
    assert path.read_bytes() == packed
