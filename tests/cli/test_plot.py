"""`streamkit plot`: figures of saved recordings, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamkit.cli import main
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    Recording.from_pieces([(1_000_000, "a"), (2_000_000, "b")]).save(path)
    return path


@pytest.mark.parametrize("kind", ["timeline", "gaps", "hops", "policies", "journey", "backlog", "queues"])
def test_each_figure_can_be_drawn_from_a_file(tmp_path: Path, kind: str) -> None:
    file, picture = tmp_path / "x.jsonl", tmp_path / "x.png"
    sent = Tap([900_000, 1_900_000], [1, 2], [1, 2])
    Recording.from_pieces([(1_000_000, "a"), (2_000_000, "b")], taps={"relay.sent": sent}).save(file)
    assert main(["plot", str(file), "--kind", kind, "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["journey", "backlog", "queues"])
def test_a_figure_of_one_recording_takes_no_two(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    Recording.from_pieces([(1_000_000, "a")]).save(file)
    assert main(["plot", str(file), str(file), "--kind", kind]) == 2
    assert f"expected one recording for --kind {kind}, got 2" in capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that is said of it."""
    assert main(["plot", *arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n"), errors[:11]) == ("", 1, "streamkit: ")
    return errors


def test_a_file_that_is_no_recording_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = tmp_path / "x.jsonl", tmp_path / "x.png"
    path.write_bytes(b"\x80 hello\n")
    assert "expected a recording in x.jsonl" in refused(capsys, str(path), "--out", str(picture))


def test_a_file_that_is_not_there_or_is_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = ["--out", str(tmp_path / "x.png")]
    missing = str(tmp_path / "none.jsonl")
    assert f"No such file or directory: {missing}" in refused(capsys, missing, *picture)
    assert f"Is a directory: {tmp_path}" in refused(capsys, str(tmp_path), *picture)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("none/x.png", "cannot be written: No such file or directory"),
        ("x.jsonl/x.png", "cannot be written: Not a directory"),
        (".", "expected a picture as one of"),
        ("x.doc", "expected a picture as one of"),
        ("folder.png", "expected the name of a file to write"),
    ],
)
def test_a_picture_that_cannot_be_written_is_said_at_once(
    out: str, told: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    assert told in refused(capsys, str(file), "--out", str(tmp_path / out))


def test_an_unknown_figure_is_refused_with_those_that_there_are(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["plot", str(file), "--kind", "pie"])
    assert "invalid choice: 'pie' (choose from" in capsys.readouterr().err


def test_what_a_figure_refuses_is_a_line_too(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> None:
        raise ValueError("expected taps of others, got none")

    monkeypatch.setattr("streamkit.lab.plots.hops", refuses)
    told = refused(capsys, str(file), "--kind", "hops", "--out", str(tmp_path / "x.png"))
    assert "hops cannot be drawn of this: expected taps of others, got none" in told


def test_a_damaged_recording_is_drawn_as_far_as_it_is_whole_and_that_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    assert main(["plot", str(file), "--out", str(tmp_path / "x.png")]) == 0
    damaged, drawn = capsys.readouterr().err.splitlines()
    assert damaged.startswith("streamkit: x.jsonl is damaged")
    assert drawn == f"picture: {tmp_path / 'x.png'}"


def test_a_picture_takes_its_place_when_it_is_whole_and_leaves_nothing_beside_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"before")

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fails)
    assert main(["plot", str(file), "--out", str(picture)]) == 2
    assert picture.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl", "x.png"]
