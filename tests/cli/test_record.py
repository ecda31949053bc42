"""`streamkit record`: what it asks, what it prints and leaves behind, and its exit status."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from streamkit._version import __version__
from streamkit.cli import main
from streamkit.lab.client.resume import Resume
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.faults import Stall
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

WAIT_S = 60.0
RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")
WHOLE = RELAY_HEAD + chunk('data: {"text": "你好"}\n\nevent: done\ndata: {}\n\n'.encode()) + LAST_CHUNK
REFUSAL = b'{"error": {"message": "Incorrect API key provided: sk-abcdef", "code": "invalid_api_key"}}'
REFUSING = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%b" % (len(REFUSAL), REFUSAL)


@pytest.fixture
def llm() -> Iterator[Server]:
    with serve(partial(create_upstream, Script(["你", "好"], first_piece_ms=1, gap_ms=1, preset="openai"))) as server:
        yield server


def asked(*arguments: str) -> bytes:
    """The request, as it went out."""
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", f"{server.url}/ans", *arguments]) == 0
        return server.requests[0]


def test_record_shows_saves_and_draws(llm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "a.jsonl", tmp_path / "a.svg"
    assert main(["record", llm.url, "--data", "q=a=b", "--out", str(kept), "--plot", str(picture)]) == 0
    assert capsys.readouterr().out.startswith("你好")
    assert Recording.load(kept).text == "你好"
    assert picture.read_text().lstrip().startswith("<?xml")
    both = tmp_path / "both.png"
    assert main(["plot", str(kept), str(kept), "--kind", "gaps", "--out", str(both)]) == 0
    assert both.exists()


def test_where_a_stream_stuttered_it_ends_with_why_and_what_speaks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    paused = Script(["word "] * 50, first_piece_ms=1, gap_ms=20, preset="openai", faults=[Stall(21, ms=900)])
    with serve(partial(create_upstream, paused)) as server:
        assert main(["record", server.url]) == 0
    summary, _, diagnosis = capsys.readouterr().err.rpartition("\n\n")
    sentence = diagnosis.splitlines()[0]
    assert sentence in summary, "it stands in a row of the table, too"
    assert "A stall of" in sentence
    assert "\n  - " in diagnosis


def test_record_fails_when_the_stream_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", f"http+unix://{str(tmp_path).replace('/', '%2F')}%2Fnobody.sock/"]) == 1
    assert "refused(connect)" in capsys.readouterr().err


@pytest.mark.parametrize("pace", ["0", "-1", "fast", "inf"])
def test_a_pace_that_makes_no_sense_is_refused_in_a_line(pace: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["record", "http://127.0.0.1:9", "--bytes-per-s", pace])
    assert f"expected a number > 0, got '{pace}'" in capsys.readouterr().err


# --- What it asks ---------------------------------------------------------------------------------------------------


def test_names_of_fields_and_headers_may_be_repeated_and_all_of_them_are_sent() -> None:
    sent = asked("--data", "a=1", "--data", "b=你", "--data", "a=2", "--header", "X-A: 1", "--header", "x-a: 2")
    assert sent.endswith(b"\r\n\r\na=1&a=2&b=%E4%BD%A0")
    assert b"X-A: 1\r\n" in sent
    assert b"x-a: 2\r\n" in sent


@pytest.mark.parametrize("value", ['{"a": 1}', "[1, 2]", '"你"', "7", "null", "false"])
def test_any_json_value_is_sent_as_it_is_written(value: str) -> None:
    sent = asked("--json", value)
    assert sent.endswith(b"\r\n\r\n" + value.encode())
    assert b"content-type: application/json\r\n" in sent.lower()


def test_a_file_is_sent_with_the_type_that_its_name_says(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_bytes(b"a,b\n1,2\n")
    sent = asked("--upload", str(table))
    assert sent.endswith(b"\r\n\r\na,b\n1,2\n")
    assert b"content-type: text/csv\r\n" in sent.lower()
    assert (
        b"content-type: text/plain\r\n" in asked("--upload", str(table), "--header", "Content-Type: text/plain").lower()
    )


def test_a_file_that_cannot_be_read_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "http://127.0.0.1:1/upload", "--upload", "/nowhere/a.csv"]) == 2
    assert "got /nowhere/a.csv: No such file or directory" in capsys.readouterr().err


def test_a_content_type_of_the_users_own_is_left() -> None:
    sent = asked("--json", "[]", "--header", "Content-Type: application/vnd.mine+json").lower()
    assert sent.count(b"content-type:") == 1
    assert b"application/vnd.mine+json" in sent


@pytest.mark.parametrize(("given", "attempts"), [([], None), (["--resume"], 5), (["--resume", "2"], 2)])
def test_a_stream_that_is_cut_is_asked_for_again_where_that_is_wanted(
    given: list[str], attempts: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = RELAY_HEAD + chunk(b'retry: 0\nid: s1.1\ndata: {"text": "a"}\n\n')
    rest = RELAY_HEAD + chunk(b'id: s1.2\ndata: {"text": "b"}\n\nevent: done\ndata: {}\n\n') + LAST_CHUNK
    with RawServer(lambda c: c.sendall(begun if len(server.requests) == 1 else rest)) as server:
        assert main(["record", f"{server.url}/ans", *given]) == (1 if attempts is None else 0)
        assert len(server.requests) == (1 if attempts is None else 2)
    assert capsys.readouterr().out.startswith("a\n" if attempts is None else "ab\n")
    assert attempts in (None, 2, Resume().attempts)


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5"])
def test_how_often_is_a_whole_number(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["record", "http://127.0.0.1:1/ans", f"--resume={given}"])
    assert "expected an integer >= 1" in capsys.readouterr().err


def test_it_says_who_asks() -> None:
    sent = asked().lower()
    assert f"user-agent: streamkit/{__version__}\r\n".encode() in sent
    assert b"accept: */*\r\n" in sent
    assert b"accept: text/event-stream\r\n" in asked("--accept", "sse").lower()


# --- How long, and how much -----------------------------------------------------------------------------------------


def ticking(connection: socket.socket) -> None:
    """A stream that never ends, and never falls silent."""
    connection.sendall(RELAY_HEAD)
    while True:
        connection.sendall(chunk(b'data: {"text": "."}\n\n'))
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (["--total-s", "0.3"], "timeout(total)"),
        (["--max-events", "3"], "cancelled(max_events)"),
        (["--timeout-s", "5", "--max-events", "3"], "cancelled(max_events)"),
    ],
)
def test_an_endless_stream_is_ended(options: list[str], outcome: str, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(ticking) as server:
        assert main(["record", server.url, *options]) == 1
    assert outcome in capsys.readouterr().err


def test_help_says_what_each_limit_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["record", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "the longest silence: to connect, to send, and between two reads" in told
    assert "all of it, from the call to the end" in told
    assert "SSL_CERT_FILE" in told


# --- What goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nowhere", "expected a full URL such as http://"),
        ("ws://127.0.0.1/x", "got a WebSocket URL (ws://): streamkit speaks HTTP"),
        ("http://127.0.0.1:99999/", "expected a port up to 65535 in the URL, got 99999"),
        ("http://[/", "expected a full URL"),
        ("ftp://127.0.0.1/", "expected a full URL"),
    ],
)
def test_a_url_that_cannot_be_asked_is_a_line(url: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", url]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert told in errors


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_a_file_that_cannot_be_written_is_said_before_anybody_is_asked(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        for path in (tmp_path / "none" / "x.png", tmp_path):
            assert main(["record", server.url, option, str(path)]) == 2
            assert capsys.readouterr().err.count("\n") == 1
        assert server.requests == []


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_a_refusal_leaves_the_file_that_is_there_as_it_was(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"before")
    with RawServer(lambda connection: connection.sendall(REFUSING)) as server:
        assert main(["record", server.url, option, str(path)]) == 1
    assert "is left as it was: the stream was refused" in capsys.readouterr().err
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_is_kept_where_no_file_is(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with RawServer(lambda connection: connection.sendall(REFUSING)) as server:
        assert main(["record", server.url, "--out", str(path)]) == 1
    assert str(Recording.load(path).outcome) == "refused(401)"


def test_a_stream_takes_the_place_of_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"before")
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", server.url, "--out", str(path)]) == 0
    assert Recording.load(path).text == "你好"


def test_why_it_was_refused_is_said_without_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(lambda connection: connection.sendall(REFUSING)) as server:
        assert main(["record", server.url, "--header", "Authorization: Bearer sk-abcdef"]) == 1
    told = "".join(capsys.readouterr())
    assert "the server answered with status 401" in told
    assert "Incorrect API key provided: …" in told
    assert "sk-abcdef" not in told


def test_why_nobody_could_be_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "http://127.0.0.1:1/"]) == 1
    assert "connection refused: nobody listens there" in "".join(capsys.readouterr())


def test_a_preset_that_does_not_fit_is_noted_with_the_one_that_does(
    llm: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", llm.url, "--preset", "seed"]) == 1
    assert "these events look like openai's, not seed's: give preset='openai' (--preset openai)" in (
        capsys.readouterr().err
    )


def test_certificates_that_cannot_be_read_are_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "https://127.0.0.1:1/", "--cacert", str(tmp_path / "none.pem")]) == 2
    assert "expected a file or folder of certificates (PEM)" in capsys.readouterr().err


# --- Where it is printed --------------------------------------------------------------------------------------------


def run(url: str, *arguments: str, env: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:  # not changed
    command = [sys.executable, "-m", "streamkit", "record", url, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env})


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_where_stdout_cannot_show_a_character_its_escape_is_shown(env: dict[str, str]) -> None:
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        process = run(server.url, "--data", "q=你", env=env)
        out, errors = process.communicate(timeout=WAIT_S)
        assert server.requests[0].endswith(b"q=%E4%BD%A0")
    assert (process.returncode, out) == (0, b"\\u4f60\\u597d\n")
    assert errors.lstrip().startswith(b"outcome")


def test_a_reader_that_has_seen_enough_ends_it_in_silence() -> None:
    with RawServer(ticking) as server:
        process = run(server.url)
        assert process.stdout is not None
        assert process.stdout.read(2) == b".."
        process.stdout.close()
        assert process.wait(WAIT_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_reader_that_has_seen_enough_does_not_keep_the_recording_from_being_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with RawServer(ticking) as server:
        process = run(server.url, "--max-events", "20", "--out", str(path))
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(WAIT_S) == 1
    assert Recording.load(path).text == "." * 20
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_a_full_disk_behind_stdout_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", server.url]) == 2
    assert capsys.readouterr().err == "streamkit: No space left on device\n"


# --- Ctrl-C and SIGTERM ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_was_shown_saves_and_prints_the_recording_so_far(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    with RawServer(ticking) as server:
        process = run(server.url, "--out", str(path))
        assert process.stdout is not None
        assert process.stdout.read(3) == b"..."
        process.send_signal(number)
        out, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out.strip(b".")) == (status, b"\n")
    assert b"cancelled(by us)" in errors
    assert f"recording: {path}".encode() in errors
    assert b"Traceback" not in errors
    recording = Recording.load(path)
    assert str(recording.outcome) == "cancelled(by us)"
    assert set(recording.text) == {"."}
    assert len(recording.text) >= 3


# --- What is asked for, and found -----------------------------------------------------------------------------------


def test_it_may_ask_for_what_a_browser_asks_for() -> None:
    assert b"accept-encoding: identity\r\n" in asked().lower()
    assert b"accept-encoding: gzip, deflate, br, zstd\r\n" in asked("--like-browser").lower()
    assert b"accept-encoding: gzip\r\n" in asked("--accept-encoding", "gzip").lower()


def test_where_the_text_stands_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    event = chunk(b'data: {"my": {"words": "hello"}}\n\n')
    with RawServer(lambda connection: connection.sendall(SSE_HEAD + event + LAST_CHUNK)) as server:
        assert main(["record", server.url, "--text", "my.words"]) == 0
    assert capsys.readouterr().out.startswith("hello\n")


def test_an_event_beyond_its_bound_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    long = chunk(b"data: " + b"x" * 1000 + b"\n\n")
    with RawServer(lambda connection: connection.sendall(SSE_HEAD + long + LAST_CHUNK)) as server:
        assert main(["record", server.url, "--max-event-bytes", "100"]) == 1
    assert "cancelled(max_" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--accept-encoding", "rot13"], "expected accept_encoding as"),
        (["--accept-encoding", "gzip", "--like-browser"], "not allowed with argument"),
        (["--text", "a", "--preset", "openai"], "not allowed with argument"),
        (["--text", "a..b"], "argument --text: "),
        (["--max-event-bytes", "0"], "expected an integer >= 1"),
    ],
)
def test_what_makes_no_sense_of_these_is_refused(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["record", "http://127.0.0.1:1/", *options])
    assert told in capsys.readouterr().err
