"""`streamkit load`: what it sends, what it shows and leaves behind, and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from streamkit.cli import main
from streamkit.lab.sets import RecordingSet
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")
WHOLE = RELAY_HEAD + chunk(b'data: {"text": "hi"}\n\nevent: done\ndata: {}\n\n') + LAST_CHUNK


def answering(connection: Any) -> None:
    connection.sendall(WHOLE)


def loaded(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status of a load of a server that answers, and the JSON that it shows."""
    with RawServer(answering) as server:
        status = main(["load", f"{server.url}/ans", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_as_json_it_shows_one_object_with_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    status, told = loaded(capsys, "--rate", "200", "--streams", "4", "--seed", "3", "--slo", "ttft=60000,gap=60000")
    assert status == 0
    assert (told["streams"], told["outcomes"]) == (4, {"complete": 4})
    assert told["ttft_due_p99_ms"] >= told["ttft_sent_p99_ms"] > 0
    assert (told["load"]["arrivals"], told["load"]["seed"]) == ("poisson", 3)
    assert told["goodput"]["good"] == 4
    assert told["resources"]["client"]["descriptors"] > 0


def test_a_server_on_this_machine_can_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    _, told = loaded(capsys, "--streams", "2", "--pid", str(os.getpid()))
    assert told["resources"]["server"]["rss_mb"] > 1


def test_the_objective_and_what_was_used_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(answering) as server:
        assert main(["load", server.url, "--streams", "3", "--slo", "ttft=60000,gap=200"]) == 0
    shown = capsys.readouterr().out
    assert "kept the objective (first piece within 60,000 ms, no gap above 200 ms): 3 of 3 streams" in shown
    assert " MB of memory at most, " in shown
    assert shown.split()[0] == "trust"
    assert not re.search(r"SLO\(|_ms|_mb|requests/s", shown)


def test_the_table_has_the_verdict_above_it_and_all_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "load.jsonl"
    with RawServer(answering) as server:
        assert main(["load", server.url, "--streams", "3", "--arrivals", "closed(2)", "--save", str(kept)]) == 0
    shown = " ".join(capsys.readouterr().out.split())  # lines are wrapped
    assert shown.index("had a due time") < shown.index("3 complete")
    assert [recording.text for recording in RecordingSet.load(kept)] == ["hi"] * 3


def test_a_file_for_the_recordings_may_be_called_out_as_in_record(tmp_path: Path) -> None:
    with RawServer(answering) as server:
        assert main(["load", server.url, "--streams", "1", "--out", str(tmp_path / "x.jsonl")]) == 0
    assert len(RecordingSet.load(tmp_path / "x.jsonl")) == 1


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["--prompt", "who?"], b"chat_history=who%3F"),
        (["--data", "a=1", "--data", "a=2"], b"a=1&a=2"),
        (["--body", '{"a": 1}'], b'{"a": 1}'),
        (
            ["--preset", "ollama", "--model", "qwen3"],
            b'{"model":"qwen3","messages":[{"role":"user","content":"hi"}],"stream":true}',
        ),
    ],
)
def test_what_is_asked(arguments: list[str], sent: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(answering) as server:
        main(["load", server.url, "--streams", "1", *arguments])
        assert server.requests[0].endswith(sent)
    capsys.readouterr()


def test_an_answer_that_was_not_complete_is_told_by_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(lambda connection: connection.sendall(RELAY_HEAD)) as server:
        assert main(["load", server.url, "--streams", "1"]) == 1
    assert "1 truncated" in capsys.readouterr().out


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_show_what_is_there(
    number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    over = threading.Event()

    def silent_after_a_piece(connection: Any) -> None:
        connection.sendall(RELAY_HEAD + chunk(b'data: {"text": "hi"}\n\n'))
        threading.Timer(0.1, signal.raise_signal, [number]).start()
        over.wait(10)

    with RawServer(silent_after_a_piece) as server:
        assert main(["load", server.url, "--streams", "1"]) == status
        over.set()
    assert "1 cancelled(by us)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "expected --rate (requests a second), --arrivals or --streams"),
        (["--rate", "3"], "expected --streams (how many) or --duration-s"),
        (["--arrivals", "poison", "--streams", "1"], "expected arrivals as one of constant, poisson"),
        (["--streams", "5", "--max-open", "2"], "expected at most 2 streams open at a time, got 5"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", "http://127.0.0.1:9/", *arguments]) == 2
    errors = capsys.readouterr().err
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--slo", "speed=3"], ["--slo", "ttft=-1"], ["--leave", "2"], ["--seed", "-1"]])
def test_what_is_no_objective_no_share_and_no_seed_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["load", "http://127.0.0.1:9/", "--streams", "1", *arguments])
    assert "expected" in capsys.readouterr().err
