"""The relay started by others than us: Sanic's own command, alone and with workers; and ASGI servers, which cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sanic import Sanic

from streamkit.app import create_app, create_blueprint
from streamkit.errors import ServerError
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.listener import free_port
from streamkit.serving.server import serve
from tests.rawsockets import WAIT_S
from tests.servers import eventually

QUICK = Script(["你", "好"], first_piece_ms=1, gap_ms=1)


class Runner:
    """`sanic streamkit.app:create_app --factory …`, and what it has said."""

    def __init__(self, log: Path, upstream: str, *options: str) -> None:
        port = free_port()
        self._log = log
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "sanic", "streamkit.app:create_app", "--factory", "--port", str(port)]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, *options],
                env={**os.environ, "STREAMKIT_UPSTREAM": upstream, "STREAMKIT_TRACE": "1"},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def said(self) -> str:
        return self._log.read_text()

    def says(self, line: str, times: int = 1) -> bool:
        return eventually(lambda: self.said().count(line) >= times, within_s=60)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with its workers
        self.process.wait(WAIT_S)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    started: list[Runner] = []
    with serve(partial(create_upstream, QUICK)) as llm:

        def start(*options: str) -> Runner:
            started.append(Runner(tmp_path / "log", llm.url, *options))
            return started[-1]

        yield start
        for runner in started:
            runner.end()


def ask(runner: Runner) -> httpx2.Response:
    return httpx2.post(f"{runner.url}/ans", data={"chat_history": "x"}, trust_env=False, timeout=WAIT_S)


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["worker", "single process"])
def test_sanics_own_command_says_that_it_is_ready_and_logs_each_stream(options: list[str], run: Any) -> None:
    runner = run(*options)
    assert runner.says(f"relay ready: POST {runner.url}/ans"), runner.said()
    answer = ask(runner)
    assert answer.text == "你好"
    assert runner.says('"outcome":"complete"'), runner.said()
    taps = httpx2.get(f"{runner.url}/streams/{answer.headers['x-stream-id']}/taps", trust_env=False)
    assert taps.json()["word"]["outcome"] == "complete"


def test_with_several_workers_a_stream_that_is_not_found_is_said_to_be_anothers(run: Any) -> None:
    runner = run("--workers", "2")
    assert runner.says(f"relay ready: POST {runner.url}/ans", times=2), runner.said()
    assert runner.says("each of the 2 workers remembers the streams that it served"), runner.said()
    answer = httpx2.get(f"{runner.url}/streams/nobodys/taps", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_stream")
    assert "each of the 2 workers remembers those that it served" in answer.json()["detail"]


def test_a_server_of_ours_says_nothing_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(partial(create_app, upstream="http://127.0.0.1:9/")):
        pass
    assert capsys.readouterr() == ("", "")


# --- ASGI -----------------------------------------------------------------------------------------------------------


def started_by_asgi(app: Sanic[Any, Any]) -> list[dict[str, Any]]:
    """What the app says to an ASGI server that starts it (asgi.readthedocs.io, lifespan protocol)."""
    said: list[dict[str, Any]] = []
    asked = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, Any]:
        return asked.pop(0)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    return said


def test_an_asgi_server_is_told_at_its_start_what_to_do_instead() -> None:
    app = create_app(upstream="http://127.0.0.1:9/")
    (said,) = started_by_asgi(app)
    assert said["type"] == "lifespan.startup.failed"
    assert "does not run under an ASGI server such as uvicorn or hypercorn" in said["message"]
    assert "streamkit serve" in said["message"]
    Sanic.unregister_app(app)


def test_one_that_does_not_ask_first_gets_the_same_as_an_error() -> None:
    app = create_app(upstream="http://127.0.0.1:9/")
    with pytest.raises(ServerError, match="does not run under an ASGI server"):
        asyncio.run(app({"type": "http"}, None, None))
    Sanic.unregister_app(app)


def test_an_app_of_somebody_elses_that_has_its_routes_does_not_start_there_either() -> None:
    app: Sanic[Any, Any] = Sanic("theirs_under_asgi", configure_logging=False)
    app.config.MOTD = app.config.TOUCHUP = False  # touched up, Sanic's classes are this app's for good
    app.blueprint(create_blueprint(upstream="http://127.0.0.1:9/"))
    assert "does not run under an ASGI server" in json.dumps(started_by_asgi(app)[0])
    Sanic.unregister_app(app)
