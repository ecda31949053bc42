"""`streamkit buffering`: the finding on stdout, and whether anything has to be mended as exit status."""

from __future__ import annotations

import socket
import time

import pytest

from streamkit.cli import main
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

EVENT = b"data: %b\n\n" % (b"x" * 392)


def steady(connection: socket.socket) -> None:
    connection.sendall(SSE_HEAD)
    for _ in range(20):
        connection.sendall(chunk(EVENT))
        time.sleep(0.01)
    connection.sendall(LAST_CHUNK)


def at_once(connection: socket.socket) -> None:
    """Enough to judge, and within one segment of loopback's (64 kB): more may come in two reads."""
    time.sleep(0.1)
    connection.sendall(SSE_HEAD + chunk(EVENT * 110) + LAST_CHUNK)


def test_a_stream_that_nothing_holds_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(steady) as server:
        assert main(["buffering", server.url, "--json", '{"q": 1}', "--header", "authorization: Bearer secret"]) == 0
        posts = [request for request in server.requests if request.startswith(b"POST")]
    assert len(posts) >= 4
    assert all(request.endswith(b'{"q": 1}') and b"application/json" in request for request in posts)
    out = capsys.readouterr().out
    assert out.startswith("Nothing on the way holds bytes back, encoded or not.\nplain")
    assert "secret" not in out


def test_what_is_not_known_is_status_1_and_says_how_to_know_more(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(at_once) as server:
        assert main(["buffering", server.url, "--data", "q=1", "--no-refusals"]) == 1
        assert not any(request.startswith(b"GET") for request in server.requests)
    out = capsys.readouterr().out
    assert out.startswith("It is not known whether anything holds bytes back")
    assert "* to do: ask a relay that traces" in out


def test_an_answer_around_the_layers_tells_that_it_is_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(at_once) as server:
        assert main(["buffering", server.url, "--direct", server.url, "--no-refusals"]) == 0
    assert "the server itself sends them like that" in capsys.readouterr().out


def test_a_url_that_is_none_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buffering", "nowhere"]) == 2
    assert "expected a full URL" in capsys.readouterr().err
    assert main(["buffering", "http://127.0.0.1:1/", "--direct", "nowhere"]) == 2
