"""`streamkit serve`: its options, and what it says when it is ready."""

from __future__ import annotations

import logging
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest

from streamkit.cli import main


def test_every_deadline_is_an_option_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    for flag in ("--head-s", "--body-s", "--connect-s", "--first-piece-s", "--idle-s", "--write-stall-s", "--total-s"):
        assert flag in shown
    assert "--max-streams" in shown


@pytest.fixture
def told_when_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """What is printed when the server is ready, and what its relay was given."""

    def told(*arguments: str, url: str = "http://127.0.0.1:8000") -> tuple[str, dict[str, Any]]:
        given: dict[str, Any] = {}

        def ready(factory: Any, *, workers: int = 1, on_ready: Callable[[str], None], **_: object) -> None:
            given.update(pickle.loads(pickle.dumps(factory)).keywords)  # noqa: S301  # as it goes to a worker
            given["workers"] = workers
            on_ready(url)

        monkeypatch.setattr("streamkit.serving.foreground.run_forever", ready)
        monkeypatch.setattr("streamkit.serving.workers.run_workers", ready)
        assert main(["serve", "--upstream", "http://127.0.0.1:9/", *arguments]) == 0
        return capsys.readouterr().out, given

    return told


def test_it_says_where_it_answers(told_when_ready: Any) -> None:
    assert told_when_ready()[0] == "streamkit relay ready: POST http://127.0.0.1:8000/ans   (Ctrl-C stops it)\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104  # nothing is bound
def test_an_address_for_all_is_said_to_be_one(host: str, told_when_ready: Any) -> None:
    told, _ = told_when_ready("--host", host)
    assert f"on every address of this machine ({host}), from here: POST http://127.0.0.1:8000/ans" in told


def test_a_certificates_file_goes_to_the_relay(told_when_ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", "/")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert told_when_ready("--cacert", "env")[1]["verify"] == "env"
    assert told_when_ready()[1]["verify"] is None


@pytest.mark.parametrize("port", ["-1", "65536", "99999", "http", "1.5"])
def test_a_port_that_is_none_is_refused_at_once(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--port", port])
    assert f"expected a port from 0 to 65535, got '{port}'" in capsys.readouterr().err


def test_a_taken_port_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--upstream", "http://127.0.0.1:9/", "--port", str(port)]) == 2
    assert f"streamkit: cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


def test_pages_and_names_that_are_let_in_go_to_the_relay(told_when_ready: Any) -> None:
    options = ["--cors-origin", "https://a.test", "--cors-origin", "https://b.test", "--allow-host", "relay.test"]
    _, given = told_when_ready(*options)
    assert (given["cors_origins"], given["allowed_hosts"]) == (["https://a.test", "https://b.test"], ["relay.test"])
    _, given = told_when_ready()
    assert {"cors_origins", "allowed_hosts"} & set(given) == set()


def test_several_workers_get_what_one_gets(told_when_ready: Any) -> None:
    options = ["--idle-s", "2", "--extra", '{"top_k": 1}', "--policy", "latest", "--cors-origin", "https://a.test"]
    told, many = told_when_ready("--workers", "4", *options)
    assert told == "streamkit relay ready: POST http://127.0.0.1:8000/ans   (4 workers; Ctrl-C stops it)\n"
    _, one = told_when_ready("--workers", "1", *options)
    assert many == {**one, "workers": 4}
    assert (many["idle_s"], many["extra"], many["policy"]) == (2.0, {"top_k": 1}, "latest")
    assert "key" not in many  # each takes it from the environment


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused_at_once(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--workers", number])
    assert f"expected an integer >= 1, got '{number}'" in capsys.readouterr().err


@pytest.mark.parametrize(("workers", "warned"), [("1", []), ("2", ["each of the 2 workers remembers"])])
def test_traces_that_several_workers_would_keep_apart_are_warned_of(
    workers: str, warned: list[str], told_when_ready: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told_when_ready("--workers", workers, "--trace")
    assert [message[:31] for message in caplog.messages] == warned


def test_settings_that_make_no_sense_are_a_line_before_any_worker_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--workers", "2", "--upstream", "http://127.0.0.1:9/", "--idle-s", "-1"]) == 2
    assert "expected --idle-s as seconds" in capsys.readouterr().err


def test_one_of_the_environment_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMKIT_IDLE_S", "-1")
    assert main(["serve", "--upstream", "http://127.0.0.1:9/"]) == 2
    assert "expected STREAMKIT_IDLE_S as seconds" in capsys.readouterr().err
