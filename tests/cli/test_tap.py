"""`streamkit tap`: what it prints, keeps and leaves behind, and its exit status."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from streamkit.cli import main
from streamkit.cli.arguments import address
from streamkit.lab.recording.recording import Recording
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, exchange, request
from tests.servers import eventually

RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")
WHOLE = RELAY_HEAD + chunk('data: {"text": "你好"}\n\nevent: done\ndata: {}\n\n'.encode()) + LAST_CHUNK


def answering(connection: socket.socket) -> None:
    connection.sendall(WHOLE)


class Tap:
    """The command, as a process: the URL that it says, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stderr is not None
        ready = process.stderr.readline()
        found = re.fullmatch(r"streamkit tap ready: (http://\S+) leads to \S+ \(Ctrl-C stops it\)\n", ready)
        assert found, ready
        self.url = found[1]

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def end(self, how: signal.Signals | None = signal.SIGINT) -> tuple[int, str, str]:
        """Its status, and what it has still said on stdout and stderr."""
        if how is not None:
            self._process.send_signal(how)
        out, errors = self._process.communicate(timeout=WAIT_S * 3)
        return self._process.returncode, out, errors


@contextlib.contextmanager
def tapped(url: str, *arguments: str) -> Iterator[Tap]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "streamkit", "tap", "--to", url, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        yield Tap(process)
    finally:
        process.kill()
        process.communicate()


def test_each_stream_is_a_line_and_a_file_and_ctrl_c_ends_it_with_a_summary(tmp_path: Path) -> None:
    folder, picture = tmp_path / "streams", tmp_path / "x.png"
    with RawServer(answering) as server, tapped(server.url, "--out", str(folder), "--plot", str(picture)) as tap:
        assert exchange(f"{tap.url}", request("/ans?key=secret", b"")) == WHOLE
        assert tap.line().split() == ["when", "status", "outcome", "TTFT", "events", "longest", "gap", "stream"]
        line = tap.line()
        assert re.fullmatch(r"\d\d:\d\d:\d\d +200 +complete +[\d.]+ ms +2 +– +POST /ans", line), line
        status, out, errors = tap.end()
    assert (status, out) == (130, "")
    assert "1 complete" in errors
    assert errors.endswith(f"1 answer recorded\npicture: {picture}\n")
    (file,) = folder.iterdir()
    assert Recording.load(file).text == "你好"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "secret" not in line + errors + file.read_text()


def test_sigterm_ends_it_too_and_what_runs_is_kept(tmp_path: Path) -> None:
    def half(connection: socket.socket) -> None:
        connection.sendall(RELAY_HEAD + chunk('data: {"text": "你"}\n\n'.encode()))
        server.until_left(connection)

    with RawServer(half) as server, tapped(server.url, "--out", str(tmp_path)) as tap:
        with socket.create_connection(("127.0.0.1", int(tap.url.rpartition(":")[2])), WAIT_S) as client:
            client.sendall(request("/", b""))
            assert client.recv(4096)
            status, out, _ = tap.end(signal.SIGTERM)
        assert status == 143
        assert "cancelled(by us)" in out
        assert server.left_at_ns
    (file,) = tmp_path.iterdir()
    assert Recording.load(file).text == "你"


@pytest.mark.parametrize(("answer", "status"), [(WHOLE, 0), (WHOLE.replace(b"event: done", b"event: x"), 1)])
def test_with_a_count_it_ends_by_itself_and_the_status_tells_whether_all_were_complete(
    answer: bytes, status: int
) -> None:
    with RawServer(lambda connection: connection.sendall(answer)) as server, tapped(server.url, "--count", "2") as tap:
        for _ in range(2):
            exchange(tap.url, request("/", b""))
        ended, out, errors = tap.end(None)
    assert ended == status
    assert out.count("POST /") == 2
    assert "2 answers recorded" in errors


def test_what_is_not_looked_at_is_said_on_stderr() -> None:
    def switches(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        connection.recv(1)

    with RawServer(switches) as server, tapped(server.url) as tap:
        with socket.create_connection(("127.0.0.1", int(tap.url.rpartition(":")[2])), WAIT_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n")
            assert client.recv(4096)
        _, out, errors = tap.end()
    assert out == ""
    assert "connection 1: not looked at from here on: the connection speaks another protocol" in errors
    assert errors.endswith("0 answers recorded\n")


def test_no_more_files_are_kept_than_is_asked_for(tmp_path: Path) -> None:
    with RawServer(answering) as server, tapped(server.url, "--out", str(tmp_path), "--max-streams", "2") as tap:
        for _ in range(4):
            exchange(tap.url, request("/", b""))
        assert eventually(lambda: len(list(tmp_path.iterdir())) >= 2)
        _, _, errors = tap.end()
    assert len(list(tmp_path.iterdir())) == 2
    assert "4 answers recorded; 2 older ones made room" in errors


def test_a_reader_that_has_seen_enough_ends_it() -> None:
    with RawServer(answering) as server, tapped(server.url) as tap:
        assert tap._process.stdout is not None
        tap._process.stdout.close()
        exchange(tap.url, request("/", b""))
        assert tap._process.wait(WAIT_S * 3) == 0
        assert tap._process.stderr is not None
        assert "Traceback" not in tap._process.stderr.read()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("9000", ("127.0.0.1", 9000)),
        ("0.0.0.0:9000", ("0.0.0.0", 9000)),  # noqa: S104  # read, not bound to
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9000", ("::1", 9000)),
    ],
)
def test_where_it_listens(given: str, meant: tuple[str, int]) -> None:
    assert address(given) == meant


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    with contextlib.suppress(SystemExit):
        assert main(["tap", *arguments]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    return errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: --to"),
        (["--to", "nowhere"], "expected a full URL"),
        (["--to", "http://me:pw@127.0.0.1"], "without a user and a password"),
        (["--to", "http://127.0.0.1:1", "--listen", "::1:9000"], "expected PORT or HOST:PORT"),
        (["--to", "http://127.0.0.1:1", "--listen", "99999"], "expected a port from 0 to 65535"),
        (["--to", "http://127.0.0.1:1", "--listen", ":9000"], "expected PORT or HOST:PORT"),
        (["--to", "http://127.0.0.1:1", "--max-streams", "0"], "expected an integer >= 1"),
        (["--to", "http://127.0.0.1:1", "--preset", "none-such"], "none-such"),
        (["--to", "http://127.0.0.1:1", "--plot", "x.doc"], "expected a picture as one of"),
        (["--to", "https://127.0.0.1:1", "--cacert", "/nowhere.pem"], "expected a file or folder of certificates"),
    ],
)
def test_a_mistake_is_a_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    errors = refused(capsys, arguments)
    assert told in errors
    assert "pw" not in errors.replace("a password", "")


def test_a_port_that_is_taken_and_a_folder_that_cannot_be_are_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1 port {port}" in refused(capsys, ["--to", "http://x.test", "--listen", port])
    (tmp_path / "file").write_bytes(b"")
    told = refused(capsys, ["--to", "http://x.test", "--out", str(tmp_path / "file" / "streams")])
    assert told.startswith("streamkit: Not a directory")


def test_help_says_who_may_use_it(capsys: pytest.CaptureFixture[Any]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["tap", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "whoever can connect can use the server" in told
    assert "--rewrite-host" in told


@pytest.mark.parametrize("mid_stream", [False, True])
def test_before_a_server_with_tls_it_ends_without_a_word_of_pythons(tmp_path: Path, mid_stream: bool) -> None:
    """Warnings are errors in that process, and a socket that is left open is one."""
    ca, ca_file = trustme.CA(), tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)

    def secure(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(RELAY_HEAD if mid_stream else WHOLE)
            connection.recv(1)

    with RawServer(secure, lambda _: b"") as server:
        url = server.url.replace("http://", "https://")
        with tapped(url, "--cacert", str(ca_file), "--out", str(tmp_path / "streams")) as tap:
            port = int(tap.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as client:
                client.sendall(request("/", b"", host="tap.example"))
                assert client.recv(65536).startswith(RELAY_HEAD)
                status, out, errors = tap.end()
    assert status == 130
    assert ("cancelled(by us)" if mid_stream else "complete") in out
    assert not re.search("Traceback|Warning|Exception|Error", errors), errors
