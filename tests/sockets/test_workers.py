"""`streamkit serve --workers N`: real processes, what ends them, and what does not."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import serve
from tests.rawsockets import request
from tests.scripted import parted
from tests.servers import ROOT, alive, eventually, python, read_line, rest_of, said

LONG_S = 60.0  # for starting and ending several interpreters on a machine that is busy
TALK = Script([f"{number:03} " for number in range(150)], first_piece_ms=1, gap_ms=20)
WHOLE = "".join(TALK.pieces)
KEY = "sk-canary-4711"


class Service:
    """`streamkit serve --workers N` of a session of its own, once it has said that it is ready."""

    def __init__(self, folder: Path, upstream: str, *options: str, workers: int = 2) -> None:
        self._out, self._err = folder / "out", folder / "err"
        command = [sys.executable, "-m", "streamkit", "serve", "--workers", str(workers), "--upstream", upstream]
        where = [] if "--unix" in options else ["--port", "0"]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = self._started([*command, *where, *options], out, err)

    def _started(self, command: list[str], out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "UPSTREAM_API_KEY": KEY}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=err, start_new_session=True)

    def wait_until_ready(self) -> Service:
        assert eventually(lambda: "ready" in self.out() or self.process.poll() is not None, LONG_S)
        assert "ready" in self.out(), self.err()
        return self

    def out(self) -> str:
        return self._out.read_text()

    def err(self) -> str:
        return self._err.read_text()

    @property
    def url(self) -> str:
        return self.out().partition("POST ")[2].partition("/ans")[0]

    def workers(self) -> list[int]:
        return [pid for pid in self.processes() if b"spawn_main" in command_line(pid)]

    def processes(self) -> list[int]:
        """All that it has started and that are alive."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return [pid for pid in map(int, children.read_text().split()) if alive(pid)]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def open(self, accept: str = "text/plain") -> socket.socket:
        """A stream, as soon as it is taken."""
        connection = self.connect()
        connection.sendall(request("/ans", b"chat_history=x", accept=accept, connection="close"))
        return connection

    def connect(self) -> socket.socket:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return socket.create_connection((host, int(port)), LONG_S)

    def refuses(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(LONG_S)

    def end(self) -> None:
        left = self.processes()
        for pid in [self.process.pid, *left]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(LONG_S)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def begun(stream: socket.socket) -> bytes:
    """What has come of it with its first piece."""
    data = b""
    while b"000 " not in data:
        data += stream.recv(4096)
    return data


@contextmanager
def alone(service: Service, worker: int) -> Iterator[None]:
    """All others are held meanwhile: whoever comes now is served by this one."""
    others = [pid for pid in service.workers() if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
        assert eventually(partial(is_stopped, pid), LONG_S)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def stream_on(service: Service, worker: int) -> tuple[socket.socket, bytes]:
    """A stream that this worker serves."""
    with alone(service, worker):
        stream = service.open()
        return stream, begun(stream)


def text_of(data: bytes) -> tuple[str, bool]:
    """The body of an answer in text/plain, and whether its framing says that it is whole."""
    _, body, whole = parted(data, closed=True)
    return body.decode(), whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serve(partial(create_upstream, TALK)) as llm:
        yield llm.url


@pytest.fixture
def start(tmp_path: Path, upstream: str) -> Iterator[Callable[..., Service]]:
    begun: list[Service] = []

    def started(*options: str, workers: int = 2) -> Service:
        begun.append(Service(tmp_path, upstream, *options, workers=workers))
        return begun[-1]

    yield started
    for service in begun:
        service.end()


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Service]:
    """One for the tests that only look at it: three interpreters take seconds to start."""
    service = Service(tmp_path_factory.mktemp("unharmed"), upstream, "--model", "their-model", "--trace")
    try:
        yield service.wait_until_ready()
    finally:
        service.end()


Start = Callable[..., Service]


def test_it_says_once_that_all_are_ready_and_then_they_answer(start: Start) -> None:
    service = start(workers=3).wait_until_ready()
    assert service.out() == f"streamkit relay ready: POST {service.url}/ans   (3 workers; Ctrl-C stops it)\n"
    workers = service.workers()
    assert len(workers) == 3
    streams = [stream_on(service, worker) for worker in workers]
    assert [text_of(first + rest_of(stream)) for stream, first in streams] == [(WHOLE, True)] * 3
    assert eventually(lambda: service.err().count('"outcome":"complete"') == 3, LONG_S)
    assert len(service.err().splitlines()) == 3  # one of each stream, and nothing of Sanic's


def test_what_the_relay_is_given_stands_on_no_command_line_of_a_worker_and_the_key_nowhere(unharmed: Service) -> None:
    lines = [command_line(pid) for pid in unharmed.processes()]
    assert [line for line in lines if b"their-model" in line or b"upstream" in line] == []
    assert KEY.encode() not in b"".join([command_line(unharmed.process.pid), *lines])
    assert KEY not in unharmed.out() + unharmed.err()


def test_traces_of_several_workers_are_warned_of_once(unharmed: Service) -> None:
    assert unharmed.err().count("each of the 2 workers remembers the streams that it served") == 1
    with unharmed.connect() as client:
        client.sendall(b"GET /streams/nobodys/taps HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"each of the 2 workers remembers those that it served" in rest_of(client)


def test_the_loss_of_one_worker_harms_no_stream_of_another_and_it_is_replaced(start: Start) -> None:
    service = start().wait_until_ready()
    lost, kept = service.workers()
    broken, whole = stream_on(service, lost), stream_on(service, kept)
    os.kill(lost, signal.SIGKILL)
    told, ended = text_of(broken[1] + rest_of(broken[0]))
    assert (WHOLE.startswith(told), ended) == (True, False)
    assert eventually(lambda: len(service.workers()) == 2 and lost not in service.workers(), LONG_S)
    assert text_of(whole[1] + rest_of(whole[0])) == (WHOLE, True)
    (new,) = set(service.workers()) - {kept}
    stream, first = stream_on(service, new)
    assert text_of(first + rest_of(stream)) == (WHOLE, True)
    assert service.err().count("was ended by SIGKILL; another one takes its place") == 1
    assert service.out().count("ready") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_streams_of_all_workers_end_within_the_grace(number: signal.Signals, start: Start) -> None:
    service = start("--grace-s", "60").wait_until_ready()
    everyone = [service.process.pid, *service.processes()]
    streams = [stream_on(service, worker) for worker in service.workers()]
    service.process.send_signal(number)
    assert eventually(service.refuses, LONG_S)
    assert [text_of(first + rest_of(stream)) for stream, first in streams] == [(WHOLE, True)] * 2
    assert service.ended() == 0
    assert eventually(lambda: not any(alive(pid) for pid in everyone), LONG_S)
    assert service.err().count('"outcome":"complete"') == len(service.err().splitlines()) == 2


def test_a_signal_to_the_whole_service_leaves_the_grace(start: Start) -> None:
    """As systemd stops one (KillMode=control-group); a terminal's Ctrl-C goes to its process group."""
    service = start("--grace-s", "60").wait_until_ready()
    streams = [stream_on(service, worker) for worker in service.workers()]
    os.killpg(service.process.pid, signal.SIGINT)
    for pid in service.processes():
        os.kill(pid, signal.SIGTERM)
    assert [text_of(first + rest_of(stream)) for stream, first in streams] == [(WHOLE, True)] * 2
    assert service.ended() == 0


def test_what_outlasts_the_grace_is_told_so_and_cut(start: Start) -> None:
    service = start("--grace-s", "0.2").wait_until_ready()
    plain, events = service.open(), service.open("text/event-stream")
    first = begun(plain), begun(events)
    service.process.send_signal(signal.SIGTERM)
    told, whole = text_of(first[0] + rest_of(plain))
    assert (WHOLE.startswith(told), whole) == (True, False)
    assert b'"code":"shutting_down"' in rest_of(events)
    assert service.ended() == 0


def test_a_second_interrupt_ends_the_grace(start: Start) -> None:
    service = start("--grace-s", "3600").wait_until_ready()
    stream = service.open()
    first = begun(stream)
    service.process.send_signal(signal.SIGINT)
    assert eventually(service.refuses, LONG_S)
    service.process.send_signal(signal.SIGINT)
    assert text_of(first + rest_of(stream))[1] is False
    assert service.ended() == 0


def test_a_signal_before_they_are_ready_is_the_normal_end_too(start: Start) -> None:
    service = start()
    assert eventually(lambda: bool(service.workers()), LONG_S)
    everyone = service.processes()
    service.process.send_signal(signal.SIGTERM)
    assert service.ended() == 0
    assert eventually(lambda: not any(alive(pid) for pid in everyone), LONG_S)
    assert service.err() == ""


def test_workers_end_with_their_manager_however_it_died(start: Start) -> None:
    service = start().wait_until_ready()
    everyone = service.processes()
    assert len(service.workers()) == 2
    service.process.send_signal(signal.SIGKILL)
    assert eventually(lambda: not any(alive(pid) for pid in everyone), LONG_S)


def test_a_unix_socket_is_shared_as_well_and_removed_at_the_end(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    service = start("--unix", str(path)).wait_until_ready()
    os.kill(service.workers()[0], signal.SIGTERM)  # one that ends takes the socket from nobody
    assert eventually(lambda: "another one takes its place" in service.err(), LONG_S)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LONG_S)
        client.connect(str(path))
        client.sendall(request("/ans", b"chat_history=x", connection="close"))
        assert text_of(rest_of(client)) == (WHOLE, True)
    service.process.send_signal(signal.SIGTERM)
    assert service.ended() == 0
    assert not path.exists()


def test_a_worker_that_cannot_start_ends_all_with_one_line(start: Start, tmp_path: Path) -> None:
    """Its own check is before: what is right there can be wrong in a worker, such as a module that is gone."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import multiprocessing, sys\nif '--multiprocessing-fork' in sys.argv: sys.modules['streamkit.app'] = None\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        service = start()
    assert service.ended() == 2
    (line,) = [line for line in service.err().splitlines() if line.startswith("streamkit:")]
    assert "a worker did not start: the factory raised ModuleNotFoundError" in line
    assert service.out() == ""


FACTORY = """
    import sys
    from functools import partial
    from pathlib import Path
    from streamkit.serving.workers import run_workers
    from tests.server_apps import make_app
    run_workers(partial(make_app, Path(sys.argv[1])), 2, grace_s=float(sys.argv[2]), loop=sys.argv[3],
                on_ready=lambda url: print(url, flush=True))
    print("returned", flush=True)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_any_app_is_served_so_and_nothing_of_it_warns(loop: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = python(FACTORY, str(log), "0.1", loop)
    with ask(read_line(script), "/ticks") as stream:
        assert stream.recv(4096)
        script.send_signal(signal.SIGTERM)
        assert not parted(rest_of(stream), closed=True)[2]
    assert said(script, within_s=LONG_S) == ("returned\n", "")
    assert script.returncode == 0
    assert log.read_text().split().count("after_stop") == 2


def test_a_second_interrupt_ends_also_a_worker_whose_loop_is_blocked(tmp_path: Path) -> None:
    script = python(FACTORY, str(tmp_path / "log"), "3600", "auto")
    url = read_line(script)
    with ask(url, "/block", b"3600") as blocked:
        assert not select.select([blocked], [], [], 0.5)[0]

        def interrupted_again() -> bool:
            script.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                script.wait(3)  # no more while it ends: they would be the script's own
            return script.poll() is not None

        assert eventually(interrupted_again, LONG_S)
    script.communicate(timeout=LONG_S)
    assert script.returncode == 128 + signal.SIGINT


def ask(url: str, path: str, body: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), LONG_S)
    connection.sendall(request(path, body))
    return connection
