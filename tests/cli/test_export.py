"""`streamkit export`: each format of saved recordings; and HARs where recordings are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types
import pytest

import streamkit as sk
from streamkit.cli import main
from streamkit.lab.exports import har
from tests.lab.exports.examples import with_all


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with_all().save(tmp_path / "one.jsonl")
    return tmp_path / "one.jsonl"


def exported(capsys: pytest.CaptureFixture[str], form: str, *arguments: str) -> bytes:
    out = Path(arguments[0]).parent / f"out.{form}"
    assert main(["export", *arguments, "--to", form, "--out", str(out)]) == 0
    told, errors = capsys.readouterr()
    assert (told.startswith(f"{form}: {out.resolve()} ("), errors) == (True, "")
    return out.read_bytes()


def test_each_format_is_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(exported(capsys, "har", str(file)))["log"]["version"] == "1.2"
    assert json.loads(exported(capsys, "trace", str(file)))["displayTimeUnit"] == "ms"
    assert json.loads(exported(capsys, "json", str(file)))["streamkit"] == "summary"
    assert exported(capsys, "csv", str(file)).startswith(b"stream,label,")
    assert exported(capsys, "parquet", str(file), "--rows", "reads")[:4] == b"PAR1"
    assert list(pd.read_parquet(file.with_name("out.parquet")).read) == [0, 1, 2, 3, 4, 5, 6]


def test_without_text_nothing_that_was_said_leaves(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "床".encode() in exported(capsys, "csv", str(file))
    for form in ("har", "csv", "trace", "json"):
        told = exported(capsys, form, str(file), "--no-text").decode()
        assert "Tea" not in told


def test_files_of_sets_and_hars_are_taken_beside_those_of_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many, other = file.with_name("many.jsonl"), file.with_name("other.HAR")
    sk.RecordingSet([with_all(), with_all()]).save(many)
    har.write(with_all(), other)
    told = json.loads(exported(capsys, "json", str(file), str(many), str(other)))
    assert told["all"]["streams"] == 4


def test_a_har_can_be_drawn(tmp_path: Path) -> None:
    har.write(with_all(), tmp_path / "x.har")
    assert main(["plot", str(tmp_path / "x.har"), "--out", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that is said of it."""
    assert main([*arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n"), errors[:11]) == ("", 1, "streamkit: ")
    return errors


def test_rows_are_of_tables(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(file), "--to", "har", "--rows", "reads", "--out", str(file.with_name("x.har"))]
    assert "expected --rows with --to parquet or csv, got it with --to har" in refused(capsys, *command)
    assert not file.with_name("x.har").exists()


def test_a_file_that_is_no_har_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.har").write_text("{}")
    command = ["export", str(tmp_path / "x.har"), "--to", "csv", "--out", str(tmp_path / "x.csv")]
    assert "expected a HAR in x.har" in refused(capsys, *command)


def test_replay_takes_one_recording_that_can_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many, slim = tmp_path / "many.har", tmp_path / "slim.jsonl"
    har.write([with_all(), with_all()], many)
    sk.exports.for_others(with_all()).save(slim)
    assert "expected one recording in many.har, got 2" in refused(capsys, "replay", str(many), "--port", "0")
    assert "record it with keep_text=True" in refused(capsys, "replay", str(slim), "--port", "0")
