"""serve(): real servers on real sockets, in threads and processes; what starts, where, and under which name."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sanic import Sanic

from streamkit.errors import ServerError
from streamkit.serving.listener import free_port
from streamkit.serving.server import serve, servers
from tests import server_apps
from tests.rawsockets import LAST_CHUNK, WAIT_S, exchange, read_answer, request
from tests.server_apps import make_app, make_fixed
from tests.servers import (
    EITHER,
    about,
    eventually,
    open_stream,
    python,
    refused,
    rest_of,
    said,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


class TestStart:
    @EITHER
    def test_a_post_is_answered_as_a_stream(self, process: bool) -> None:
        with serve(make_app, process=process) as server:
            answer = httpx2.post(f"{server.url}/echo", content=b"a\nb\n", trust_env=False)
        assert answer.text == "a\nb\n"
        assert answer.headers["transfer-encoding"] == "chunked"

    def test_apps_that_start_in_several_threads_at_a_time_make_their_syntax_trees_one_after_the_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """CPython 3.11 fails at it, once in a while, when several do at a time."""
        inside: list[object] = []
        most: list[int] = []
        startup: Any = Sanic._startup

        async def slow(app: Sanic[Any, Any]) -> None:
            inside.append(app)
            most.append(len(inside))
            time.sleep(0.05)  # noqa: ASYNC251  # as what it stands for, which awaits nothing
            await startup(app)
            inside.pop()

        monkeypatch.setattr(Sanic, "_startup", slow)
        with ThreadPoolExecutor(3) as threads:
            for server in list(threads.map(lambda _: serve(make_app), range(3))):
                server.stop()
        assert most == [1, 1, 1]

    @EITHER
    def test_the_server_runs_where_it_says(self, process: bool) -> None:
        with serve(make_app, process=process) as server:
            pid = about(server)["pid"]
            assert (pid == os.getpid()) is not process
            assert (server.app is None) is process
            assert (server.process.pid if server.process else os.getpid()) == pid

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @EITHER
    def test_small_writes_are_not_delayed_by_nagle(self, loop: str, process: bool) -> None:
        with serve(make_app, loop=loop, process=process) as server:
            told = about(server)
        assert told["nodelay"] is True
        assert told["loop"].partition(".")[0] == loop

    def test_the_loop_is_uvloop_where_it_is_installed(self) -> None:
        with serve(make_app) as server:
            assert about(server)["loop"].startswith("uvloop")

    def test_a_call_that_blocks_the_caller_does_not_stop_the_server(self) -> None:
        with serve(make_app) as server, open_stream(server) as connection:
            begin = time.monotonic_ns()
            time.sleep(0.3)
            end = time.monotonic_ns()
            server.stop(0)
            lines = [line for line in rest_of(connection).split() if len(line) > 8]
        during = [at for at in map(int, lines) if begin < at < end]
        assert len(during) >= 3

    def test_two_servers_live_in_one_process(self) -> None:
        with serve(make_app) as one, serve(make_app) as two:
            assert one.url != two.url
            assert about(one)["known"]
            assert about(two)["known"]
            assert servers() == [one, two]

    def test_no_request_is_answered_before_the_start_listeners_have_run(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with serve(partial(make_app, log)):
            assert log.read_text().split() == ["before_start", "after_start"]

    def test_a_request_that_comes_early_waits_for_the_start_listeners(self) -> None:
        port = free_port()
        answers: list[bytes] = []

        def ask() -> None:
            with socket.socket() as connection:
                connection.settimeout(WAIT_S)
                assert eventually(lambda: connection.connect_ex(("127.0.0.1", port)) == 0)
                connection.sendall(request("/prepared", b""))
                answers.append(read_answer(connection))

        client = threading.Thread(target=ask)
        client.start()
        with serve(server_apps.make_slow_start, port=port):
            client.join(WAIT_S)
        assert answers[0].endswith(b"True")

    def test_ipv6_hosts_are_bracketed_in_the_url(self) -> None:
        with serve(make_app, host="::1") as server:
            assert server.url == f"http://[::1]:{server.port}"
            assert about(server)["nodelay"]

    def test_the_url_of_a_wildcard_is_one_that_can_be_connected_to(self) -> None:
        with serve(make_app, host="0.0.0.0") as server:  # noqa: S104  # what is tested
            assert (server.host, server.url) == ("0.0.0.0", f"http://127.0.0.1:{server.port}")  # noqa: S104  # likewise

    def test_it_works_inside_a_running_loop(self) -> None:
        async def cell() -> str:
            async with serve(make_app) as server, httpx2.AsyncClient(trust_env=False) as client:
                return (await client.post(f"{server.url}/echo", content=b"a\n")).text

        assert asyncio.run(cell()) == "a\n"

    def test_it_works_in_a_thread(self) -> None:
        told: list[Any] = []

        def work() -> None:
            with serve(make_app) as server:
                told.append(about(server)["pid"])

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(WAIT_S)
        assert told == [os.getpid()]

    def test_import_strings_name_a_factory(self) -> None:
        with serve("tests.server_apps:make_app") as server:
            assert about(server)["known"]

    @EITHER
    def test_the_repr_is_one_line(self, process: bool) -> None:
        kind = "process" if process else "thread"
        with serve(make_app, process=process) as server:
            assert repr(server) == f"<Server {kind} running http://127.0.0.1:{server.port}>"
        assert repr(server) == f"<Server {kind} stopped http://127.0.0.1:{server.port}>"

    def test_background_tasks_of_the_app_work_and_end_with_it(self, caplog: pytest.LogCaptureFixture) -> None:
        with serve(make_app) as server:
            assert exchange(server.url, request("/background", b"")).endswith(b"started")
            assert server.app is not None
            task = server.app.get_task("background", raise_exception=True)
        assert task.cancelled()
        assert "destroyed" not in caplog.text

    def test_nothing_is_printed(self, capfd: pytest.CaptureFixture[str]) -> None:
        with serve(make_app) as server, serve(make_app, process=True) as other:
            streams = [open_stream(server), open_stream(other)]
        for stream in streams:
            stream.close()
        assert capfd.readouterr() == ("", "")


class TestFactory:
    @EITHER
    @pytest.mark.parametrize("text", ["tests.server_apps:nope", "tests.nowhere:make_app"])
    def test_import_strings_that_lead_nowhere_are_named(self, text: str, process: bool) -> None:
        with pytest.raises(ServerError, match=f"{text}' cannot be imported"):
            serve(text, process=process)

    @EITHER
    def test_a_factory_that_raises_is_an_error_with_its_cause(self, process: bool) -> None:
        with pytest.raises(ServerError, match="ValueError: no such model") as caught:
            serve(server_apps.make_broken, process=process)
        if process:
            assert "in make_broken" in str(caught.value)
        else:
            assert isinstance(caught.value.__cause__, ValueError)

    @EITHER
    def test_a_factory_that_returns_no_app_is_explained(self, process: bool) -> None:
        with pytest.raises(ServerError, match="expected a Sanic app from the factory, got None"):
            serve(server_apps.make_nothing, process=process)  # type: ignore[arg-type]  # what is tested

    @EITHER
    def test_a_start_listener_that_raises_is_an_error_with_its_cause(self, process: bool) -> None:
        with pytest.raises(ServerError, match="could not start: LookupError: no database"):
            serve(server_apps.make_failing_start, process=process)

    @EITHER
    def test_a_start_listener_that_hangs_is_given_up(self, process: bool) -> None:
        with pytest.raises(ServerError, match=r"did not start within .* before_server_start"):
            serve(server_apps.make_hanging_start, process=process, start_timeout_s=2 if process else 0.3)

    def test_an_unknown_loop_is_explained(self) -> None:
        with pytest.raises(ValueError, match="expected loop='auto', 'asyncio' or 'uvloop', got 'trio'"):
            serve(make_app, loop="trio")

    def test_a_fixed_app_name_can_be_used_again_and_again(self) -> None:
        for _ in range(3):
            with serve(make_fixed) as server:
                assert about(server)["known"]

    def test_two_living_apps_may_have_one_name(self) -> None:
        with serve(make_fixed) as one:
            with serve(make_fixed) as two:
                assert about(two)["known"]
                assert exchange(one.url, request("/echo", b"a\n")).endswith(LAST_CHUNK)
            assert about(one)["known"]

    @EITHER
    def test_after_a_failed_start_the_port_is_free(self, process: bool) -> None:
        port = free_port()
        with pytest.raises(ServerError):
            serve(server_apps.make_failing_start, port=port, process=process)
        with serve(make_app, port=port) as server:
            assert server.port == port


class TestAddress:
    def test_a_port_taken_by_a_server_of_ours_names_that_server(self) -> None:
        with serve(make_app) as one, pytest.raises(ServerError, match=rf"There is <Server thread running {one.url}>"):
            serve(make_app, port=one.port)

    @EITHER
    def test_a_stopped_server_releases_its_port_at_once(self, process: bool) -> None:
        port = free_port()
        for _ in range(3):
            with serve(make_app, port=port, process=process) as server:
                open_stream(server).close()
            assert refused(server)

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_a_unix_socket_serves_and_its_file_goes(self, loop: str, tmp_path: Path) -> None:
        path = tmp_path / "a b.sock"
        with serve(make_app, unix=path, loop=loop) as server:
            assert server.unix == str(path)
            assert server.url == "http+unix://" + str(path).replace("/", "%2F").replace(" ", "%20")
            assert about(server)["known"]
        assert not path.exists()

    @EITHER
    def test_unix_true_is_a_fresh_path_that_goes_with_its_folder(self, process: bool) -> None:
        with serve(make_app, unix=True, process=process) as server:
            assert about(server)["known"]
            assert server.unix is not None
            folder = Path(server.unix).parent
            assert folder.stat().st_mode & 0o077 == 0
        assert not folder.exists()


def test_importing_serve_loads_no_framework() -> None:
    script = python(
        """
        import sys, threading
        import streamkit.serving.server, streamkit.serving.running
        heavy = {"sanic", "uvloop", "httpx2", "numpy", "matplotlib", "IPython"} & set(sys.modules)
        print(sorted(heavy), threading.active_count())
        """
    )
    assert said(script) == ("[] 1\n", "")
