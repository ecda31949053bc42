"""`streamkit plot`: figures of saved recordings, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamkit.cli import main
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.taps import Tap


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    Recording.from_pieces([(1_000_000, "a"), (2_000_000, "b")]).save(path)
    return path


KINDS = ["timeline", "gaps", "hops", "policies", "leaving", "journey", "backlog", "queues", "where"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_figure_can_be_drawn_from_a_file(tmp_path: Path, kind: str) -> None:
    file, picture = tmp_path / "x.jsonl", tmp_path / "x.png"
    sent = Tap([900_000, 1_900_000], [1, 2], [1, 2])
    known = {"taps": {"relay.sent": sent}, "marks": {"upstream.asked": 0}, "ended_ns": 2_000_000}
    Recording.from_pieces([(1_000_000, "a"), (2_000_000, "b")], **known).save(file)
    assert main(["plot", str(file), "--kind", kind, "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["journey", "backlog", "queues", "where"])
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
    assert "x.jsonl is no recording: no line of it is JSON" in refused(capsys, str(path), "--out", str(picture))


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


# --- Sets, and groups -----------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tmp_path: Path) -> list[str]:
    """Three files, of which two have one label; one of them is a set."""
    paths = [tmp_path / f"{name}.jsonl" for name in "abc"]
    fast, slow, late = (
        Recording.from_pieces([(n * ms * 1_000_000, "x") for n in range(1, 5)], sent_ns=0, label=label)
        for ms, label in ((10, "fast"), (40, "slow"), (12, "fast"))
    )
    fast.save(paths[0])
    slow.save(paths[1])
    RecordingSet([late]).save(paths[2])
    return [str(path) for path in paths]


def drawn(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, list[str], dict[str, Any]]:
    """Which figure was drawn, of which recordings by their labels, and how."""
    calls: list[tuple[str, list[str], dict[str, Any]]] = []

    def draw(recordings: Any, kind: str, path: Path, **options: Any) -> None:
        del path
        calls.append((kind, [each.label for each in recordings], options))

    monkeypatch.setattr("streamkit.cli.plot.draw", draw)
    assert main(["plot", *arguments]) == 0
    (call,) = calls
    return call


def test_recordings_of_one_label_stand_together(labelled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, *labelled) == ("timeline", ["fast", "fast", "slow"], {})


def test_of_several_files_one_without_a_label_is_called_as_its_file(
    file: Path, labelled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(monkeypatch, str(file), "example:gzip-proxy", labelled[1])[1] == ["x", "gzip-proxy", "slow"]
    assert drawn(monkeypatch, str(file))[1] == [""]
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "x.jsonl"
    twin.write_bytes(file.read_bytes())
    assert drawn(monkeypatch, str(file), str(twin))[1] == [str(file), str(twin)]


def test_in_gaps_they_are_one_curve(labelled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, _, options = drawn(monkeypatch, *labelled, "--kind", "gaps")
    assert (kind, options) == ("ecdf", {"by": ["label"], "metric": "gap"})
    assert drawn(monkeypatch, *labelled[:2], "--kind", "gaps")[0] == "gaps"  # no two have the same


def test_other_groups_and_numbers_can_be_named(labelled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, options = drawn(monkeypatch, *labelled, "--kind", "ecdf", "--by", "outcome", "--metric", "duration")
    assert options == {"by": ["outcome"], "metric": "duration"}


def test_the_curves_say_which_group_they_are(labelled: list[str], tmp_path: Path) -> None:
    picture = tmp_path / "x.svg"
    assert main(["plot", *labelled, "--kind", "gaps", "--out", str(picture)]) == 0
    told = picture.read_text()
    assert "fast" in told
    assert "slow" in told
    assert main(["plot", *labelled, "--kind", "ecdf", "--out", str(picture)]) == 0


def test_a_set_of_a_load_is_drawn_as_one(tmp_path: Path) -> None:
    path, picture = tmp_path / "set.jsonl", tmp_path / "x.png"
    RecordingSet([Recording.from_pieces([(n * 1_000_000, "x")], sent_ns=0, ended_ns=10_000_000) for n in (1, 2)]).save(
        path
    )
    assert main(["plot", str(path), "--kind", "load", "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--by", "label"], "expected --kind gaps or ecdf with --by, got timeline"),
        (["--metric", "gap"], "expected --kind ecdf with --metric, got timeline"),
        (["--kind", "ecdf", "--by", "nothing"], "nothing"),
    ],
)
def test_a_group_that_a_figure_does_not_have_is_a_line(
    options: list[str], told: str, labelled: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capsys, *labelled, *options, "--out", str(tmp_path / "x.png"))


class TestExamples:
    def test_one_that_ships_is_drawn_like_a_file(self, file: Path, tmp_path: Path) -> None:
        picture = tmp_path / "x.png"
        assert main(["plot", "example:gzip-proxy", str(file), "--out", str(picture)]) == 0
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_several_are_a_set(self, tmp_path: Path) -> None:
        picture = tmp_path / "x.png"
        assert main(["plot", "example:load", "--kind", "load", "--out", str(picture)]) == 0
        assert picture.exists()

    def test_one_that_there_is_not_is_told_with_those_there_are(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        picture = ["--out", str(tmp_path / "x.png")]
        assert "got 'gzip': there are gzip-proxy, " in refused(capsys, "example:gzip", *picture)
        assert "it is a Sweep, which has none" in refused(capsys, "example:sweep", *picture)
