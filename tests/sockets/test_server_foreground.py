"""run_forever(): a server in the foreground, and the signals that end it."""

from __future__ import annotations

import asyncio
import select
import signal
import socket
from pathlib import Path

import pytest

from streamkit.errors import ServerError
from streamkit.serving.foreground import run_forever
from tests.rawsockets import LAST_CHUNK, WAIT_S, request
from tests.server_apps import TICK_S, make_app
from tests.servers import (
    eventually,
    python,
    read_line,
    rest_of,
    said,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


class TestForever:
    SCRIPT = """
        import sys
        from functools import partial
        from pathlib import Path
        from streamkit.serving.foreground import run_forever
        from tests.server_apps import make_app
        run_forever(partial(make_app, Path(sys.argv[1])), loop=sys.argv[2], grace_s=float(sys.argv[3]),
                    on_ready=lambda url: print(url, flush=True))
        print("returned", flush=True)
    """

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_is_the_normal_end_and_cuts_what_outlasts_the_grace(
        self, number: signal.Signals, loop: str, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        script = python(self.SCRIPT, str(log), loop, "0.1")
        with self.stream(read_line(script)) as stream:
            script.send_signal(number)
            assert not rest_of(stream).endswith(LAST_CHUNK)
        assert said(script) == ("returned\n", "")
        assert script.returncode == 0
        assert log.read_text().split()[-1] == "after_stop"

    def test_streams_may_finish_within_the_grace(self, tmp_path: Path) -> None:
        script = python(self.SCRIPT, str(tmp_path / "log"), "auto", "60")
        with self.stream(read_line(script), b"20") as stream:
            script.send_signal(signal.SIGTERM)
            assert rest_of(stream).endswith(LAST_CHUNK)
        assert said(script) == ("returned\n", "")

    def test_a_second_interrupt_ends_the_grace(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        script = python(self.SCRIPT, str(log), "auto", "60")
        url = read_line(script)
        with self.stream(url) as stream:
            script.send_signal(signal.SIGINT)
            assert eventually(lambda: self.is_closed(url))
            script.send_signal(signal.SIGINT)
            assert not rest_of(stream).endswith(LAST_CHUNK)
        assert said(script, within_s=WAIT_S) == ("returned\n", "")
        assert log.read_text().split()[-1] == "after_stop"

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_a_second_interrupt_ends_also_a_server_whose_loop_is_blocked(self, loop: str, tmp_path: Path) -> None:
        script = python(self.SCRIPT, str(tmp_path / "log"), loop, "60")
        url = read_line(script)
        with self.stream(url) as stream, self.post(url, "/block", b"3600"):
            assert eventually(lambda: not select.select([stream], [], [], 20 * TICK_S)[0] or not stream.recv(65536))

            def interrupted_again() -> bool:
                script.send_signal(signal.SIGINT)
                return script.poll() is not None

            assert eventually(interrupted_again)
        script.communicate(timeout=WAIT_S)
        assert script.returncode == 128 + signal.SIGINT

    def test_elsewhere_than_in_the_main_thread_it_names_serve(self) -> None:
        async def cell() -> None:
            run_forever(make_app)

        with pytest.raises(ServerError, match=r"in a notebook or thread use serve\(\)"):
            asyncio.run(cell())

    def test_it_can_be_called_again_and_gives_the_signal_handlers_back(self) -> None:
        script = python(
            """
            from signal import SIGINT, SIGTERM, getsignal, raise_signal
            from streamkit.serving.foreground import run_forever
            from tests.server_apps import make_app
            before = getsignal(SIGINT), getsignal(SIGTERM)
            for _ in range(2):
                run_forever(make_app, on_ready=lambda _: raise_signal(SIGTERM))
            print((getsignal(SIGINT), getsignal(SIGTERM)) == before)
            """
        )
        assert said(script) == ("True\n", "")

    def test_the_process_is_compiled_for_its_app_as_by_sanic_itself(self) -> None:
        script = python(
            """
            from functools import partial
            from signal import SIGTERM, raise_signal
            from sanic.server.protocols.http_protocol import HttpProtocol
            from streamkit.app import create_app
            from streamkit.serving.foreground import run_forever
            relay = partial(create_app, upstream="http://upstream.test", preset="seed")
            run_forever(relay, on_ready=lambda _: raise_signal(SIGTERM))
            print(HttpProtocol.__touched__)
            """
        )
        assert said(script) == ("True\n", "")

    def test_garbage_is_collected_seldom_while_it_serves_and_as_before_afterwards(self) -> None:
        script = python(
            """
            import gc
            from signal import SIGTERM, raise_signal
            from streamkit.serving.foreground import GC_OBJECTS, run_forever
            from tests.server_apps import make_app
            before = gc.get_threshold()
            seen = []
            def ready(_):
                seen.extend([gc.isenabled(), gc.get_threshold()[0] == GC_OBJECTS, gc.get_freeze_count() > 0])
                raise_signal(SIGTERM)
            run_forever(make_app, on_ready=ready)
            print(seen, gc.get_threshold() == before, gc.get_freeze_count())
            """
        )
        assert said(script) == ("[True, True, True] True 0\n", "")

    def stream(self, url: str, ticks: bytes = b"") -> socket.socket:
        connection = self.post(url, "/ticks", ticks)
        assert connection.recv(4096)
        return connection

    def post(self, url: str, path: str, body: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), WAIT_S)
        connection.sendall(request(path, body))
        return connection

    def is_closed(self, url: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0
