"""What `record` and `load` ask, and as whom: options that both have, and what of them is never shown."""

from __future__ import annotations

import base64
import io
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from streamkit.cli import main
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, read_request

RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")
WHOLE = RELAY_HEAD + chunk(b'data: {"text": "hi"}\n\nevent: done\ndata: {}\n\n') + LAST_CHUNK
THINKING = b"".join(
    b'data: {"choices": [{"index": 0, "delta": {"%b": "%b"}}]}\n\n' % each
    for each in ((b"reasoning_content", b"well"), (b"content", b"hi"))
)
COMMANDS: dict[str, list[str]] = {"record": ["record"], "load": ["load", "--streams", "1"]}
EITHER = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


class Typed(io.StringIO):
    """A stdin that is a terminal, or none."""

    def __init__(self, text: str = "", *, terminal: bool = False) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def asked(command: list[str], *arguments: str, user: str = "") -> bytes:
    """The request, as it went out."""
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        url = server.url.replace("http://", f"http://{user}")
        assert main([command[0], f"{url}/ans", *command[1:], *arguments]) == 0
        return server.requests[0]


@EITHER
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_method_may_be_another_and_then_nothing_is_sent(command: list[str], method: str) -> None:
    sent = asked(command, "--method", method)
    assert sent.startswith(f"{method} /ans HTTP/1.1\r\n".encode())
    assert sent.endswith(b"\r\n\r\n")


@EITHER
def test_json_to_send_is_body_in_every_command(command: list[str]) -> None:
    assert asked(command, "--body", '{"a": 1}').endswith(b'\r\n\r\n{"a": 1}')


@EITHER
def test_a_prompt_is_a_form_field_or_what_the_provider_wants(command: list[str]) -> None:
    assert asked(command, "--prompt", "hi").endswith(b"\r\n\r\nchat_history=hi")
    as_provider = ["--prompt", "hi", "--preset", "openai", "--model", "m", "-H", "accept: text/plain"]
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        main([command[0], f"{server.url}/ans", *command[1:], *as_provider])  # which is not answered as it should be
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert json.loads(body)["messages"][-1]["content"] == "hi"
    assert json.loads(body)["model"] == "m"
    assert [line for line in head.lower().split(b"\r\n") if line.startswith(b"accept:")] == [b"accept: text/plain"]


def test_what_is_asked_for_by_an_option_takes_the_place_of_the_providers_header() -> None:
    options = ["--prompt", "hi", "--preset", "openai", "--model", "m", "--accept", "text", "--like-browser"]
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        main(["record", f"{server.url}/ans", *options])
        lines = server.requests[0].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"accept:")] == [b"accept: text/plain"]
    assert [line for line in lines if line.startswith(b"accept-encoding:")] == [
        b"accept-encoding: gzip, deflate, br, zstd"
    ]


@EITHER
def test_headers_may_stand_in_a_file(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("# the key\nAuthorization: Bearer sk-abcdef\n\nX-A: 1\r\n")
    for given in (["--header-file", str(file)], ["-H", f"@{file}"], ["--header", f"@{file}"]):
        sent = asked(command, *given, "-H", "X-B: 2")
        assert b"Authorization: Bearer sk-abcdef\r\n" in sent
        assert b"X-A: 1\r\n" in sent
        assert b"X-B: 2\r\n" in sent


@EITHER
def test_they_may_come_from_stdin(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Typed("X-A: 1\n"))
    assert b"X-A: 1\r\n" in asked(command, "--header-file", "-")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("X-A: 1\nsk-abcdef\n", "line 2 of {file}: expected NAME:VALUE"),
        ("sk-abcdef key: x\n", "line 1 of {file}: expected NAME:VALUE"),
        ("X-Key: sk-abcdef é\n", "line 1 of {file}: expected printable ASCII as the value of X-Key"),
        (None, "expected a file that can be read, got {file}: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_what_stands_in_it(
    lines: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "headers"
    if lines is not None:
        file.write_text(lines, "utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(["record", "http://127.0.0.1:1", "--header-file", str(file)])
    errors = capsys.readouterr().err
    assert told.format(file=file) in errors
    assert "abcdef" not in errors


def basic(user: str, password: str) -> bytes:
    return b"authorization: basic " + base64.b64encode(f"{user}:{password}".encode()).lower() + b"\r\n"


@EITHER
def test_a_user_is_asked_for_the_password_on_a_terminal(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def typed(prompt: str, stream: Any) -> str:
        assert stream is sys.stderr
        prompts.append(prompt)
        return "pässword"

    monkeypatch.setattr(sys, "stdin", Typed(terminal=True))
    monkeypatch.setattr("getpass.getpass", typed)
    assert basic("me", "pässword") in asked(command, "--user", "me").lower()
    assert prompts == ["password of me: "]


@EITHER
def test_elsewhere_the_first_line_of_stdin_is_the_password(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Typed("hush\nmore\n"))
    assert basic("me", "hush") in asked(command, "--user", "me").lower()


@EITHER
def test_a_user_in_the_url_is_sent_and_shown_nowhere(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "x.jsonl"
    sent = asked(command, "--out" if command[0] == "record" else "--save", str(kept), user="me:hushhush@")
    assert basic("me", "hushhush") in sent.lower()
    shown = "".join(capsys.readouterr()) + kept.read_text()
    assert "hushhush" not in shown
    assert base64.b64encode(b"me:hushhush").decode() not in shown


@pytest.mark.parametrize(
    ("options", "url", "told"),
    [
        (["-H", "Authorization: Bearer x"], "http://127.0.0.1:1", "expected --user or an Authorization header"),
        ([], "http://you@127.0.0.1:1", "expected --user or a user in the URL"),
        ([], "http://127.0.0.1:1", "expected the password of --user in the first line of stdin"),
        (["--upload", "-"], "http://127.0.0.1:1", "expected a file to --upload with --repeat or --user"),
    ],
)
def test_a_user_goes_with_no_other_and_with_a_password(
    options: list[str], url: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed())
    assert main(["record", url, "--user", "me", *options]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--user", "me:pw"], "expected the name alone: others can see a password on the command line"),
        (["--method", "GET /"], "expected a method, such as GET"),
        (["--json", "@/nowhere.json"], "expected a file that can be read, got /nowhere.json"),
        (["--repeat", "0"], "expected an integer >= 1"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["record", "http://127.0.0.1:1", *options])
    errors = capsys.readouterr().err
    assert told in errors
    assert "pw" not in errors


@pytest.mark.parametrize(("command", "option"), [(COMMANDS["record"], "--json"), (COMMANDS["load"], "--body")])
def test_json_may_come_from_a_file(
    command: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "body.json"
    file.write_text('{"a":  "你"}\n', "utf-8")
    assert asked(command, option, f"@{file}").endswith('\r\n\r\n{"a":  "你"}\n'.encode())
    monkeypatch.setattr(sys, "stdin", Typed("[1]"))
    assert asked(command, option, "@-").endswith(b"\r\n\r\n[1]")


@EITHER
def test_the_reasoning_is_recorded_where_that_is_asked_for_and_a_label_is_kept(
    command: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "x.jsonl"
    answer = SSE_HEAD + chunk(THINKING + b"data: [DONE]\n\n") + LAST_CHUNK
    save = "--out" if command[0] == "record" else "--save"
    with RawServer(lambda connection: connection.sendall(answer)) as server:
        for options, reasoning in ((["--reasoning", "--label", "mine"], "well"), ([], "")):
            assert main([command[0], server.url, *command[1:], save, str(kept), *options]) == 0
            (recording,) = RecordingSet.load(kept)
            assert (recording.text, recording.reasoning) == ("hi", reasoning)
            assert recording.label == ("mine" if options else "")


def test_an_address_of_ipv6_is_asked() -> None:
    sent = []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(WAIT_S)
                sent.append(read_request(connection))
                connection.sendall(WHOLE)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        assert main(["record", f"http://[::1]:{port}/ans"]) == 0
        thread.join(WAIT_S)
    assert f"host: [::1]:{port}\r\n".encode() in sent[0].lower()


# --- Several times --------------------------------------------------------------------------------------------------


def test_repeated_each_is_a_line_and_all_are_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "set.jsonl", tmp_path / "x.png"
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        options = ["--repeat", "3", "--label", "mine", "--out", str(kept), "--plot", str(picture)]
        assert main(["record", f"{server.url}/ans", *options]) == 0
    out, errors = capsys.readouterr()
    head, *lines = out.splitlines()
    assert head.split() == ["when", "status", "outcome", "TTFT", "events", "longest", "gap", "stream"]
    assert [line.split()[1:3] + line.split()[-1:] for line in lines] == [["200", "complete", "mine"]] * 3
    assert "3 complete" in errors
    assert errors.endswith(f"recordings: {kept}\npicture: {picture}\n")
    assert [recording.text for recording in RecordingSet.load(kept)] == ["hi"] * 3
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_repeated_it_fails_where_one_did(capsys: pytest.CaptureFixture[str]) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(WHOLE if len(server.requests) != 2 else RELAY_HEAD)

    with RawServer(behave) as server:
        assert main(["record", server.url, "--repeat", "3"]) == 1
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "complete",
        "truncated",
        "complete",
    ]


def test_a_file_is_uploaded_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a,b\n")
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", server.url, "--repeat", "2", "--upload", str(file)]) == 0
        assert [sent.endswith(b"a,b\n") for sent in server.requests] == [True, True]
    capsys.readouterr()


def test_ctrl_c_keeps_those_that_had_ended_and_the_one_that_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamkit.cli.record as command

    done = Recording.from_pieces([(1, "a")], meta={"started_at": "2026-11-29T12:30:00.123+00:00"})
    ran = [(done, False), (done, True)]
    monkeypatch.setattr(command, "_recorded", lambda *_: ran.pop(0))
    kept = tmp_path / "set.jsonl"
    assert main(["record", "http://127.0.0.1:1", "--repeat", "9", "--out", str(kept)]) == 130
    assert len(RecordingSet.load(kept)) == 2
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_repeated_refusals_leave_the_file_that_is_there_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "set.jsonl"
    kept.write_bytes(b"before")
    assert main(["record", "http://127.0.0.1:1", "--repeat", "2", "--out", str(kept)]) == 1
    assert kept.read_bytes() == b"before"
    assert "is left as it was" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_does_not_keep_them_from_being_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone: list[bool] = []

    def broken(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("streamkit.cli.record.show", broken)
    monkeypatch.setattr("streamkit.cli.record.silence", lambda: gone.append(True))
    kept = tmp_path / "set.jsonl"
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", server.url, "--repeat", "2", "--out", str(kept)]) == 0
    assert len(RecordingSet.load(kept)) == 2
    assert gone
    capsys.readouterr()


# --- What stands where ----------------------------------------------------------------------------------------------


def test_stdout_has_the_text_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "x.jsonl", tmp_path / "x.png"
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["record", server.url, "--out", str(kept), "--plot", str(picture)]) == 0
    out, errors = capsys.readouterr()
    assert out == "hi\n"
    assert errors.startswith("\noutcome ")
    assert errors.endswith(f"recording: {kept}\npicture: {picture}\n")


def test_the_json_of_a_load_is_not_mixed_with_where_files_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        assert main(["load", server.url, "--streams", "2", "--json", "--plot", str(tmp_path / "x.png")]) == 0
    assert json.loads(capsys.readouterr().out)["streams"] == 2
