"""The command line: what it prints, what it leaves behind, and its exit status."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from streamkit.cli import main
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from streamkit.taps import Tap

QUICK = ["--first-piece-ms", "5", "--gap-ms", "1", "--jitter-ms", "0"]
WAIT_S = 60.0


@pytest.fixture
def llm() -> Iterator[Server]:
    with serve(partial(create_upstream, Script(["你", "好"], first_piece_ms=1, gap_ms=1, preset="openai"))) as server:
        yield server


@pytest.mark.parametrize("wire", ["seed", "openai", "ollama"])
def test_the_demo_shows_text_timetable_summary_and_picture(
    wire: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a picture.png"
    assert main(["demo", *QUICK, "--wire", wire, "--out", str(picture)]) == 0
    told = capsys.readouterr().out
    assert "举头望明月" in told
    assert "at ms" in told
    assert "outcome" in told
    assert f"picture: {picture}" in told
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


def test_record_shows_saves_and_draws(llm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "a.jsonl", tmp_path / "a.svg"
    assert main(["record", llm.url, "--data", "q=a=b", "--out", str(kept), "--plot", str(picture)]) == 0
    assert capsys.readouterr().out.startswith("你好")
    assert Recording.load(kept).text == "你好"
    assert picture.read_text().lstrip().startswith("<?xml")
    both = tmp_path / "both.png"
    assert main(["plot", str(kept), str(kept), "--kind", "gaps", "--out", str(both)]) == 0
    assert both.exists()


def test_record_fails_when_the_stream_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", f"http+unix://{str(tmp_path).replace('/', '%2F')}%2Fnobody.sock/"]) == 1
    assert "refused(connect)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--upstream", "localhost:8000"], "expected a full URL such as http://"),
        (["serve"], "no upstream: pass upstream=URL, --upstream URL, or set STREAMKIT_UPSTREAM"),
        (["serve", "--upstream", "http://x", "--preset", "opnai"], "there are openai"),
        (["serve", "--upstream", "http://x", "--idle-s", "-1"], "expected idle_s as seconds >= 0 (0 = off), got -1"),
        (["demo", "--wire", "opnai"], "there are openai"),
        (["record", "nowhere"], "expected a full URL"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STREAMKIT_UPSTREAM", raising=False)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("streamkit: ")
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["serve", "--idle-s", "soon"], ["record", "http://x", "--data", "q"], ["serve", "--extra", "[1]"], ["plot"]],
)
def test_wrong_usage_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: streamkit" in capsys.readouterr().err


def test_every_deadline_is_an_option_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    for flag in ("--head-s", "--body-s", "--connect-s", "--first-piece-s", "--idle-s", "--write-stall-s", "--total-s"):
        assert flag in shown
    assert "--max-streams" in shown


def test_plotting_a_file_that_is_no_recording_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("hello\n")
    assert main(["plot", str(file)]) == 2
    assert "streamkit: " in capsys.readouterr().err


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


def test_the_demo_shows_where_the_bytes_of_a_slow_reader_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["demo", "--accept", "sse", "--gap-ms", "2", "--bytes-per-s", "4000", "--network", "small-buffers"]
    assert main([*asked, "--kind", "queues", "--out", str(tmp_path / "queues.png")]) == 0
    assert "picture" in capsys.readouterr().out


@pytest.mark.parametrize("pace", ["0", "-1", "fast", "inf"])
def test_a_pace_that_makes_no_sense_is_refused_in_a_line(pace: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["record", "http://127.0.0.1:9", "--bytes-per-s", pace])
    assert f"expected a number > 0, got '{pace}'" in capsys.readouterr().err
