"""serve(): how servers stop, what they cut, and that nothing is left of them."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from streamkit.serving.server import serve, servers
from tests import server_apps
from tests.rawsockets import LAST_CHUNK, WAIT_S, read_answer, request
from tests.server_apps import make_app
from tests.servers import (
    EITHER,
    QUICK_S,
    about,
    alive,
    connect,
    eventually,
    open_stream,
    python,
    read_line,
    refused,
    rest_of,
    said,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


class TestStop:
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @EITHER
    def test_open_streams_are_cut_soon_and_visibly(self, loop: str, process: bool) -> None:
        server = serve(make_app, loop=loop, process=process)
        streams = [open_stream(server) for _ in range(20)]
        begin = time.monotonic()
        server.stop()
        took_s = time.monotonic() - begin
        rests = [rest_of(stream) for stream in streams]
        assert took_s < QUICK_S
        assert [rest for rest in rests if rest.endswith(LAST_CHUNK)] == []
        assert not server.running

    def test_every_kind_of_connection_is_closed(self, caplog: pytest.LogCaptureFixture) -> None:
        server = serve(make_app)
        sent = [b"", b"POST /si", request("/silence", b""), request("/flood", b""), request("/echo", b"a\n")]
        connections = [connect(server) for _ in sent]
        for connection, data in zip(connections, sent, strict=True):
            connection.sendall(data)
        read_answer(connections[-1])  # kept alive, idle now
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < QUICK_S
        for connection in connections:
            assert not rest_of(connection).endswith(LAST_CHUNK)
        assert caplog.text == ""

    def test_idle_connections_do_not_use_up_the_grace(self) -> None:
        server = serve(make_app)
        with connect(server) as connection:
            connection.sendall(request("/echo", b"a\n"))
            read_answer(connection)
            begin = time.monotonic()
            server.stop(WAIT_S)
            assert time.monotonic() - begin < QUICK_S

    def test_streams_that_end_within_the_grace_end_whole(self) -> None:
        server = serve(make_app)
        with connect(server) as connection:
            connection.sendall(request("/ticks", b"20"))
            begun = connection.recv(4096)
            server.stop(WAIT_S)
            assert (begun + rest_of(connection)).endswith(LAST_CHUNK)

    def test_stopping_again_is_allowed_and_shortens_the_grace(self) -> None:
        server = serve(make_app)
        stream = open_stream(server)
        patient = threading.Thread(target=server.stop, args=(60,))
        begin = time.monotonic()
        patient.start()
        server.stop(0)
        patient.join(WAIT_S)
        server.stop()
        stream.close()
        assert time.monotonic() - begin < QUICK_S
        assert not patient.is_alive()

    def test_handlers_end_before_the_last_stop_listener(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        server = serve(partial(make_app, log))
        stream = open_stream(server, "/logged")
        server.stop()
        stream.close()
        assert log.read_text().split("\n")[2:-1] == ["before_stop", "handler ended", "after_stop"]

    def test_stop_listeners_that_raise_are_logged_and_do_not_keep_the_server(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serve(server_apps.make_failing_stop) as server:
            pass
        assert refused(server)
        ours = [record.getMessage() for record in caplog.records if record.name == "streamkit.server"]
        assert ours == ["a before_server_stop listener failed", "a after_server_stop listener failed"]

    def test_an_app_may_stop_itself(self) -> None:
        server = serve(make_app)
        with connect(server) as connection:
            connection.sendall(request("/quit", b""))
            rest_of(connection)
        assert eventually(lambda: not server.running)
        assert refused(server)

    def test_what_breaks_the_server_after_the_start_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        server = serve(make_app)
        with connect(server) as connection:
            connection.sendall(request("/exit", b""))
            rest_of(connection)
        assert eventually(lambda: not server.running)
        server.stop()
        assert repr(server) == f"<Server thread failed {server.url}>"
        assert any("failed" in record.getMessage() and record.exc_info for record in caplog.records)

    def test_a_handler_that_blocks_the_loop_delays_the_stop_and_no_more(self) -> None:
        server = serve(make_app)
        with connect(server) as connection:
            connection.sendall(request("/block", b""))
            server.stop()
        assert refused(server)

    @EITHER
    def test_a_handle_nobody_keeps_stops_its_server(self, process: bool) -> None:
        server = serve(make_app, process=process)
        address = (server.host, server.port)
        del server
        gc.collect()

        def gone() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(address) != 0

        assert eventually(gone)

    def test_a_stopped_server_has_left_no_trace(self) -> None:
        def round_trip() -> None:
            with serve(make_app) as server:
                open_stream(server).close()

        def traces() -> tuple[int, int, int]:
            gc.collect()
            return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), len(Sanic._app_registry)

        round_trip()
        before = traces()
        for _ in range(20):
            round_trip()
        assert traces() == before

    def test_a_stopped_process_has_left_no_trace(self) -> None:
        def round_trip() -> int:
            with serve(make_app, process=True) as server:
                assert server.process is not None
                return server.process.pid

        def traces() -> tuple[int, int]:
            return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

        round_trip()
        before = traces()
        pids = [round_trip() for _ in range(3)]
        assert traces() == before
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)

    def test_a_process_that_dies_is_noticed(self, caplog: pytest.LogCaptureFixture) -> None:
        server = serve(make_app, process=True)
        assert server.process is not None
        server.process.kill()
        assert eventually(lambda: not server.running)
        server.stop()
        assert "ended by itself with exit code -9" in caplog.text

    def test_a_process_whose_loop_is_blocked_is_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("streamkit.serving.runner.STOP_MARGIN_S", 0.2)
        server = serve(make_app, process=True)
        assert server.process is not None
        with connect(server) as connection:
            connection.sendall(request("/block", b""))
            os.kill(server.process.pid, signal.SIGSTOP)
            server.stop()
        assert not alive(server.process.pid)

    def test_an_interrupt_does_not_end_a_process(self) -> None:
        with serve(make_app, process=True) as server:
            assert server.process is not None
            server.process.send_signal(signal.SIGINT)
            assert about(server)["pid"] == server.process.pid

    def test_an_interrupt_does_not_end_a_process_that_is_just_starting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.send_signal(signal.SIGINT)

        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        with serve(make_app, process=True) as server:
            assert about(server)["known"]

    def test_a_process_is_in_our_process_group(self) -> None:
        with serve(make_app, process=True) as server:
            assert server.process is not None
            assert os.getpgid(server.process.pid) == os.getpgrp()

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # 3.12 warns of what is tested here
    def test_a_forked_child_neither_keeps_nor_stops_the_servers(self) -> None:
        with serve(make_app) as server, serve(make_app, process=True) as other:
            pid = os.fork()
            if pid == 0:
                code = 1
                with contextlib.suppress(BaseException):
                    server.stop()
                    other.stop()
                    gone = servers() == [] and not server.running
                    with serve(make_app) as own:
                        code = 0 if gone and own.running else 2
                signal.pause() if code == 0 else os._exit(code)
            try:
                assert about(server)["known"]
                assert about(other)["known"]
                server.stop()
                other.stop()
                assert refused(server)
                assert refused(other)
                assert alive(pid)
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    @EITHER
    def test_a_script_that_ends_without_stopping_ends_quickly_and_silently(self, process: bool) -> None:
        script = python(
            """
            import socket, sys
            from streamkit.serving.server import serve
            from tests.server_apps import make_app
            from tests.servers import open_stream
            server = serve(make_app, process=sys.argv[1] == "True")
            stream = open_stream(server)
            stream.close()
            print(server.process.pid if server.process else 0, flush=True)
            input()
            """,
            str(process),
        )
        pid = int(read_line(script))
        begin = time.monotonic()
        assert said(script, "\n") == ("", "")
        assert time.monotonic() - begin < QUICK_S
        assert script.returncode == 0
        assert not pid or not alive(pid)

    def test_a_process_dies_with_its_killed_parent(self, tmp_path: Path) -> None:
        path = tmp_path / "a.sock"
        script = python(
            """
            import sys
            from streamkit.serving.server import serve
            from tests.server_apps import make_app
            server = serve(make_app, process=True, unix=sys.argv[1])
            print(server.process.pid, flush=True)
            input()
            """,
            str(path),
        )
        pid = int(read_line(script))
        assert alive(pid)
        script.kill()
        try:
            assert eventually(lambda: not alive(pid))
            assert not path.exists()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            script.communicate(timeout=WAIT_S)
