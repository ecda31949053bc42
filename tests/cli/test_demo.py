"""`streamkit demo`: what it prints, what it leaves behind, and its exit status."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamkit.cli import main

QUICK = ["--first-piece-ms", "5", "--gap-ms", "1", "--jitter-ms", "0"]
WAIT_S = 60.0


@pytest.mark.parametrize("wire", ["seed", "openai", "ollama"])
def test_the_demo_shows_text_timetable_summary_and_picture(
    wire: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a picture.png"
    assert main(["demo", *QUICK, "--wire", wire, "--out", str(picture)]) == 0
    told, beside = capsys.readouterr()
    assert "举头望明月" in told
    assert "at ms" in told
    assert "outcome" in told
    assert f"picture: {picture}" in beside
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_ends_the_demo_in_mid_stream_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamkit", "demo", "--gap-ms", "1000", "--out", str(tmp_path / "x.png")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    assert process.stdout.read(3) == "床".encode()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, errors) == (130, b"\nstopped\n")


def test_the_demo_shows_where_the_bytes_of_a_slow_reader_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["demo", "--accept", "sse", "--gap-ms", "2", "--bytes-per-s", "4000", "--network", "small-buffers"]
    assert main([*asked, "--kind", "queues", "--out", str(tmp_path / "queues.png")]) == 0
    assert "picture" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "none" / "x.png")]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("option", ["--first-piece-ms", "--gap-ms", "--jitter-ms", "--reader-ms"])
def test_a_time_below_zero_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", option, "-1"])
    assert "expected a number >= 0, got '-1'" in capsys.readouterr().err
