"""What streamkit relies on inside of Sanic, held against the Sanic that is installed.

Each failure says what Sanic changed, what streamkit needs it for, and where: the one place to mend. First the names
that have to be there; then what they have to do, seen by a handler of a running server.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sanic import HTTPResponse, Request, Sanic
from sanic.application.constants import ServerStage
from sanic.application.ext import setup_ext
from sanic.application.state import ApplicationServerInfo, ApplicationState
from sanic.exceptions import PayloadTooLarge
from sanic.http import Http
from sanic.http.constants import Stage
from sanic.server.async_server import AsyncioServer
from sanic.server.protocols.http_protocol import HttpProtocol
from sanic.signals import Event
from sanic.touchup.service import TouchUp
from sanic.worker.constants import ProcessState
from sanic.worker.manager import WorkerManager
from sanic.worker.multiplexer import WorkerMultiplexer
from sanic.worker.process import WorkerProcess

from streamkit import inside_sanic
from streamkit.errors import ServerError
from streamkit.inside_sanic import (
    READ_SIGNALS,
    SEND_SIGNALS,
    Workers,
    abandon_body,
    abort_all,
    announced_bytes,
    announced_length,
    app_registry,
    bound_body,
    can_write,
    close_behind,
    close_idle,
    connection_tasks,
    is_chunked,
    is_listened_to,
    join_workers,
    keep_plain,
    left_at_ns,
    local_address,
    runner_location,
    take_over,
    transport_of,
    without_alt_svc,
    without_response_timeout,
    worker_name,
    workers_of,
)
from streamkit.serving.server import serve
from streamkit.transport.framing import chunk
from tests.rawsockets import exchange, request
from tests.server_apps import make_app
from tests.servers import connect, rest_of

CONNECTION = "streamkit/relay/request/connection.py"
INSIDE = "streamkit/inside_sanic.py"


def needs(held: object, what: str, why: str, where: str = INSIDE) -> None:
    assert held, f"Sanic changed {what}: streamkit needs it for {why} (see {where})"


# --- Names ----------------------------------------------------------------------------------------------------------


def attributes(kind: type) -> set[str]:
    """All that its instances have, as far as the classes tell."""
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    noted = [name for base in kind.__mro__ for name in vars(base).get("__annotations__", {})]
    return {*dir(kind), *slots, *noted}


@pytest.mark.parametrize(
    ("kind", "names", "why", "where"),
    [
        (HttpProtocol, ["_can_write"], "waiting for a slow client, as Sanic's own send does", INSIDE),
        (
            HttpProtocol,
            ["response_timeout", "keep_alive_timeout", "check_timeouts"],
            "deadlines of its own on streams",
            INSIDE,
        ),
        (HttpProtocol, ["_task", "close_if_idle", "transport"], "stopping a server with a grace", INSIDE),
        (HttpProtocol, ["HTTP_CLASS", "http", "app", "loop", "recv_buffer"], "strict connections", CONNECTION),
        (HttpProtocol, ["receive_more", "send", "access_log"], "strict connections", CONNECTION),
        (HttpProtocol, ["_data_received", "_time", "conn_info"], "giving on a body as it was read", CONNECTION),
        (Http, ["response_func", "http1_response_chunked"], "writing chunks past Sanic", INSIDE),
        (Http, ["stage"], "an upstream that writes what is no HTTP, and whose timer runs", INSIDE),
        (Http, ["request_bytes"], "refusing a body by its Content-Length", INSIDE),
        (Http, ["_receive_more", "_send", "http1", "init_for_request"], "deadlines on heads and bodies", CONNECTION),
        (Http, ["http1_request_header", "HEADER_MAX_SIZE", "create_empty_request"], "strict heads", CONNECTION),
        (Http, ["read", "request_body", "request_bytes_left", "request_max_size"], "strict bodies", CONNECTION),
        (Http, ["keep_alive", "recv_buffer", "expecting_continue", "dispatch"], "strict framing", CONNECTION),
        (Http, ["upgrade_websocket", "url", "request", "head_only"], "strict heads", CONNECTION),
        (Http, ["http1_response_header", "response", "log_response"], "streams to clients of HTTP/1.0", CONNECTION),
        (Stage, ["IDLE", "REQUEST", "HANDLER", "RESPONSE", "FAILED"], "knowing whose turn it is", CONNECTION),
        (ServerStage, ["SERVING"], "app.loop, app.add_task() and app.stop() in served apps", INSIDE),
        (ApplicationState, ["server_info"], "app.loop, app.add_task() and app.stop() in served apps", INSIDE),
        (AsyncioServer, ["connections", "server"], "stopping a server with a grace", INSIDE),
        (AsyncioServer, ["startup", "before_start", "start_serving", "after_start"], "serve()", INSIDE),
        (AsyncioServer, ["before_stop", "after_stop"], "serve()", INSIDE),
        (Sanic, ["_app_registry", "unregister_app", "set_serving", "create_server", "prepare"], "serve()", INSIDE),
        (Sanic, ["signal_router", "shutdown_tasks", "tasks", "dispatch"], "serve(), and signals of sends", INSIDE),
        (WorkerManager, ["start", "monitor", "wait_for_ack", "_all_workers_ack", "_sync_states"], "--workers", INSIDE),
        (WorkerManager, ["shutdown", "shutdown_signal", "processes"], "--workers", INSIDE),
        (WorkerProcess, ["restart", "is_alive", "exitcode", "set_state"], "--workers", INSIDE),
        (ProcessState, ["ACKED", "FAILED", "COMPLETED"], "--workers", INSIDE),
        (Sanic, ["serve_location"], "apps beside Sanic Extensions, which ask at the start where they are", INSIDE),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_the_names_are_there(kind: type, names: list[str], why: str, where: str) -> None:
    missing = [name for name in names if name not in attributes(kind)]
    needs(not missing, f"{kind.__module__}.{kind.__name__}, which has no {', '.join(missing)} any more", why, where)


def test_a_server_can_be_named_as_serving() -> None:
    taken = list(inspect.signature(ApplicationServerInfo).parameters)
    needs({"settings", "stage", "server"} <= {*taken}, "ApplicationServerInfo", "app.loop in served apps")


@pytest.mark.parametrize("unix", [False, True])
def test_an_app_that_is_served_knows_where(unix: bool) -> None:
    with serve(make_app, unix=unix) as server:
        assert server.app is not None
        where = server.app.serve_location
    needs(where == server.url if server.unix is None else server.unix in where, f"serve_location ({where})", "serve()")


def test_extensions_are_left_out_by_a_setting() -> None:
    with app_of_its_own() as app:
        keep_plain(app)
        needs(app.config.TOUCHUP is False, "config.TOUCHUP", "several apps in one process")
        needs("app.config.AUTO_EXTEND" in inspect.getsource(setup_ext), "config.AUTO_EXTEND", "plain apps of our own")
        needs(app.config.AUTO_EXTEND is False, "config.AUTO_EXTEND", "plain apps of our own")


def test_touch_up_says_what_it_has_touched() -> None:
    """Once an app has started, and for good: tests/serving/test_foreground.py sees it in a process of its own."""
    touched = {kind for kind, _ in TouchUp._registry}
    needs(HttpProtocol in touched, "TouchUp, which leaves HttpProtocol alone", "several apps in one process")
    needs("__touched__" in inspect.getsource(TouchUp.run), "TouchUp's __touched__", "several apps in one process")


def test_the_signal_of_a_send_is_called_so() -> None:
    needs(Event.HTTP_LIFECYCLE_SEND.value in SEND_SIGNALS, "the signal of a send", "telling who listens to sends")
    needs(Event.HTTP_LIFECYCLE_READ_BODY.value in READ_SIGNALS, "the signal of a read", "telling who listens to reads")


@pytest.mark.parametrize("name", ["http.lifecycle.send", "http.lifecycle.<anything>", "http.lifecycle.begin"])
def test_who_listens_to_sends_is_known(name: str) -> None:
    with app_of_its_own() as app:

        @app.signal(name)
        async def listen(**_: object) -> None:
            """Somebody who wants to know."""

        async def start() -> None:
            app.signal_router.finalize()

        asyncio.run(start())
        listened = name != "http.lifecycle.begin"
        found = {signal.name for signal in app.signal_router.routes}
        needs(is_listened_to(app) is listened, f"its signal router, which has {found}", "telling who listens to sends")


@contextmanager
def app_of_its_own() -> Iterator[Sanic[Any, Any]]:
    app: Sanic[Any, Any] = Sanic("inside", configure_logging=False)
    try:
        needs(app_registry().get("inside") is app, "Sanic._app_registry", "several apps of one name in one process")
        yield app
    finally:
        Sanic.unregister_app(app)


# --- What they do ---------------------------------------------------------------------------------------------------


Look = Callable[[Request, dict[str, Any]], Awaitable[object]]


def seen(look: Look, body: bytes = b"x", asked: bytes = b"", **headers: str) -> tuple[dict[str, Any], bytes]:
    """What a handler noted when it looked inside, and all that its client got until the connection closed."""
    noted: dict[str, Any] = {}

    def make() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("inside", configure_logging=False)
        app.config.TOUCHUP = False

        @app.post("/", stream=True)
        async def handle(request: Request) -> object:
            return await look(request, noted)

        return app

    with serve(make) as server, connect(server) as client:
        client.sendall(asked or request("/", body, connection="close", **headers))
        return noted, rest_of(client)


def stage(request: Request) -> str:
    stream: Any = request.stream
    return cast("str", stream.stage.name)


def test_a_connection_that_is_full_clears_the_event_that_sends_wait_for() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        protocol: Any = request.protocol
        noted["at first"] = can_write(request).is_set()
        protocol.pause_writing()
        noted["full"] = can_write(request).is_set()
        protocol.resume_writing()
        noted["again"] = can_write(request).is_set()
        noted["transport"] = hasattr(transport_of(request), "get_write_buffer_size")
        return HTTPResponse()

    noted, _ = seen(look)
    want = {"at first": True, "full": False, "again": True, "transport": True}
    needs(noted == want, f"SanicProtocol._can_write ({noted})", "waiting for a slow client")


def test_a_lost_connection_cancels_its_task_and_lets_senders_go() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> None:
        protocol: Any = request.protocol
        task = asyncio.current_task()
        noted["its task"] = protocol._task is task
        protocol.pause_writing()
        request.app.loop.call_soon(transport_of(request).abort)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            noted["cancelled"] = True
            noted["let go"] = can_write(request).is_set()
            raise

    noted, _ = seen(look)
    want = {"its task": True, "cancelled": True, "let go": True}
    needs(noted == want, f"SanicProtocol.connection_lost ({noted})", "ending the stream of a client that left")


def test_a_length_is_known_before_the_body_is_read() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        noted["announced"] = announced_bytes(request)
        noted["body"] = b"".join([part async for part in cast("Any", request.stream)]).decode()
        return HTTPResponse()

    noted, _ = seen(look, b"twelve bytes")
    want = {"announced": 12, "body": "twelve bytes"}
    needs(noted == want, f"Http.request_bytes ({noted})", "refusing a body by its Content-Length")


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_is_not_read_to_its_end_can_be_abandoned(framing: str) -> None:
    """Else Sanic waits for it behind the answer: here for ever, as its client waits for the end of that."""

    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        noted["length"] = announced_length(request)
        noted["announced"] = announced_bytes(request)
        stream: Any = request.stream
        noted["part"] = (await stream.read()).decode()
        noted["announced then"] = announced_bytes(request)
        noted["all"] = abandon_body(request), abandon_body(request)
        return HTTPResponse("answer")

    asked = f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
    noted, got = seen(look, asked=asked + (b"some" if "Length" in framing else chunk(b"some")))
    length = 1000 if "Length" in framing else None
    want = {
        "length": length,
        "announced": length or 0,
        "part": "some",
        "announced then": length or 4,
        "all": (False, True),
    }
    needs(noted == want, f"Http.request_body or request_bytes ({noted})", "uploads that are cut")
    needs(got.endswith(b"answer"), "what it does with a body that nobody read", "uploads that are cut")


def test_a_connection_is_closed_behind_an_answer_and_that_is_said() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        close_behind(request)
        noted["closed"] = True
        return HTTPResponse("answer")

    _, got = seen(look, asked=request("/", b""))
    needs(b"connection: close" in got.lower(), "Http.keep_alive", "a server that drains")


def test_when_a_client_left_a_connection_of_ours_knows_and_one_of_sanics_does_not() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        noted["of Sanic's"] = left_at_ns(request)
        noted["of ours"] = left_at_ns(SimpleNamespace(protocol=SimpleNamespace(lost_ns=7)))  # type: ignore[arg-type]
        return HTTPResponse()

    noted, _ = seen(look)
    needs(noted == {"of Sanic's": 0, "of ours": 7}, "Request.protocol", "how soon an upstream is closed")


def test_a_chunk_that_is_too_large_is_refused_before_it_has_come() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        bound_body(request, 100)
        try:
            await anext(aiter(cast("Any", request.stream)))
        except PayloadTooLarge:
            noted["refused"] = True
        return HTTPResponse()

    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    noted, _ = seen(look, asked=head + b"fffffff\r\n")
    needs(noted == {"refused": True}, "Http.request_max_size or Http.read", "refusing chunks by their size")


def test_an_answer_of_unknown_length_goes_on_in_chunks_like_ours() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> None:
        noted["before"] = stage(request), is_chunked(request)
        response = await request.respond()
        await response.send(b"by Sanic")
        noted["after"] = stage(request), is_chunked(request)
        transport_of(request).write(chunk(b"by us"))
        await response.send(b"by Sanic")
        await response.send(end_stream=True)
        noted["at the end"] = stage(request)

    noted, got = seen(look)
    want = {"before": ("HANDLER", False), "after": ("RESPONSE", True), "at the end": "IDLE"}
    needs(noted == want, f"Http.response_func or stage ({noted})", "writing chunks past Sanic")
    body = got.partition(b"\r\n\r\n")[2]
    whole = chunk(b"by Sanic") + chunk(b"by us") + chunk(b"by Sanic") + b"0\r\n\r\n"
    needs(body == whole, f"how it writes chunks ({body!r})", "writing chunks past Sanic")


def test_an_answer_of_known_length_has_no_chunks() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> None:
        response = await request.respond(headers={"content-length": "4"})
        await response.send(b"ab")
        noted["chunked"] = is_chunked(request)
        await response.send(b"cd")

    noted, got = seen(look)
    needs(noted == {"chunked": False} and got.endswith(b"\r\n\r\nabcd"), "Http.response_func", "chunks past Sanic")


def test_an_empty_alt_svc_can_be_left_out() -> None:
    async def look(request: Request, _: dict[str, Any]) -> HTTPResponse:
        response = HTTPResponse(headers={"alt-used": "x"})
        if "stays" not in request.headers:
            without_alt_svc(response)
            without_alt_svc(response)
        response.headers["later"] = "y"
        return response

    left_out, added = seen(look)[1].lower(), seen(look, stays="1")[1].lower()
    needs(b"alt-svc" not in left_out, "how it sets Alt-Svc", "heads that a linter takes")
    needs(b"alt-svc: \r\n" in added, "that it sets an empty Alt-Svc, which need not be left out any more", "nothing")
    assert b"alt-used: x\r\n" in left_out
    assert b"later: y\r\n" in left_out


def test_the_address_that_a_request_came_by_is_known() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        noted["address"] = cast("tuple[str, int]", local_address(request))[0]
        return HTTPResponse()

    needs(seen(look)[0] == {"address": "127.0.0.1"}, "Request.transport", "telling who came over loopback")


def test_nothing_is_added_to_an_answer_that_was_taken_over() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> None:
        take_over(request)
        transport_of(request).write(b"no HTTP at all")
        noted["stage"] = stage(request)
        raise RuntimeError("that nobody is told")

    noted, got = seen(look)
    needs(noted == {"stage": "FAILED"}, "Http.stage", "an upstream that writes what is no HTTP")
    needs(got == b"no HTTP at all", f"Stage.FAILED: it added {got[14:]!r}", "an upstream that writes what is no HTTP")


async def note_that_it_fires(protocol: Any, noted: dict[str, Any]) -> None:
    """The timer of this connection that is over since ever cancels its handler."""
    protocol.check_timeouts()
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        noted["fired"] = True
        raise


def test_a_response_timer_that_is_ours_does_not_fire_and_then_does_again() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> HTTPResponse:
        protocol: Any = request.protocol
        protocol.response_timeout = -1.0  # over since ever
        with without_response_timeout(request):
            protocol.check_timeouts()
            await asyncio.sleep(0)
            noted["silenced"] = True
        await note_that_it_fires(protocol, noted)
        return HTTPResponse()

    noted, got = seen(look)
    want = {"silenced": True, "fired": True}
    needs(noted == want, f"HttpProtocol.response_timeout ({noted})", "deadlines of its own on streams")
    needs(got.startswith(b"HTTP/1.1 503"), "what its response timer does", "the word for it in experiments")


def test_a_keep_alive_timer_that_is_ours_does_not_fire_while_the_end_of_an_answer_still_leaves() -> None:
    async def look(request: Request, noted: dict[str, Any]) -> None:
        protocol: Any = request.protocol
        protocol.keep_alive_timeout = -1.0  # over since ever
        with without_response_timeout(request):
            response = await request.respond()
            await response.send(b"all", end_stream=True)
            noted["stage"] = stage(request)
            protocol.check_timeouts()
            await asyncio.sleep(0)
            noted["silenced"] = True
        await note_that_it_fires(protocol, noted)

    noted, _ = seen(look)
    needs(
        noted == {"stage": "IDLE", "silenced": True, "fired": True},
        f"its keep-alive timer ({noted})",
        "the end of a slow answer",
    )


def test_connections_are_known_by_their_server_and_leave_by_themselves() -> None:
    found: dict[str, Any] = {}

    def make() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("inside", configure_logging=False)

        @app.post("/")
        async def handle(request: Request) -> HTTPResponse:
            server: Any = request.app.state.server_info[0].server
            found["server"], found["loop"] = server, request.app.loop
            found["tasks"] = asyncio.current_task() in connection_tasks(server)
            found["open while busy"] = close_idle(server) and not transport_of(request).is_closing()
            return HTTPResponse()

        return app

    async def aborted() -> list[bool]:
        abort_all(found["server"])
        await asyncio.sleep(0.05)
        return [close_idle(found["server"]), bool(connection_tasks(found["server"]))]

    with serve(make) as server, connect(server) as idle:
        exchange(server.url, request("/", b"x"))
        idle.sendall(b"POST / HT")  # a head that has begun: not idle
        got = asyncio.run_coroutine_threadsafe(aborted(), found["loop"]).result(5)
    needs(found["tasks"], "SanicProtocol._task", "waiting for handlers at a stop")
    needs(found["open while busy"], "close_if_idle, which closes busy connections", "stopping with a grace")
    needs(got == [False, False], f"AsyncioServer.connections ({got})", "stopping with a grace")


def test_sanics_own_runner_is_known_by_its_settings_and_ours_has_none() -> None:
    found: list[str | None] = []

    def make() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("inside", configure_logging=False)

        @app.get("/")
        async def handle(_: Request) -> HTTPResponse:
            return HTTPResponse()

        app.after_server_start(lambda app: found.append(runner_location(app)))
        return app

    with serve(make):
        pass
    with app_of_its_own() as theirs:
        theirs.prepare("127.0.0.1", 8123, single_process=True, motd=False)
        found.append(runner_location(theirs))
    want = [None, "http://127.0.0.1:8123"]
    needs(found == want, f"server_info ({found})", "saying where it serves under Sanic's own command")


def test_workers_know_each_other_by_name() -> None:
    state = {"Sanic-Server-0-0": {"server": True}, "Sanic-Server-1-0": {"server": True}, "Inspector": {"server": False}}
    with app_of_its_own() as app:
        alone = workers_of(app)
        app.multiplexer = WorkerMultiplexer(cast("Any", None), state)
        needs(alone == ("", 1), "Sanic.multiplexer of an app without workers", "GET /streams/<id>/taps")
        needs(workers_of(app)[1] == 2, "WorkerMultiplexer.workers", "GET /streams/<id>/taps of several workers")


class FakeProcess:
    """What Sanic's manager takes for a process: `began` is done when it starts, and it ends when it is told to."""

    started: list[FakeProcess]
    began: Callable[[FakeProcess], object]

    def __init__(self, *, name: str, target: object, kwargs: dict[str, Any], daemon: bool) -> None:
        del target, daemon
        self.name, self.given = name, kwargs
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.told: list[str] = []

    def start(self) -> None:
        self.own_name = worker_name()
        self.started.append(self)
        self.pid = len(self.started)
        type(self).began(self)

    def answer(self) -> None:
        self.given["report"].send((self.name, ""))

    def end(self, exitcode: int) -> None:
        self.exitcode = exitcode

    def is_alive(self) -> bool:
        return self.pid is not None and self.exitcode is None

    def terminate(self) -> None:
        self.told.append("terminate")
        self.end(0)

    def kill(self) -> None:
        self.told.append("kill")
        self.end(-9)


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def managed(began: Callable[[FakeProcess], object]) -> Iterator[tuple[Workers, list[FakeProcess], list[str]]]:
    """Two workers that are none, all that were started, and what the manager has said. It is told to end when they are
    ready.
    """
    said: list[str] = []

    def ready() -> None:
        said.append("ready")
        signal.raise_signal(signal.SIGTERM)

    kind = type("Fake", (FakeProcess,), {"started": [], "began": staticmethod(began)})
    yield (
        Workers(
            2,
            print,
            {"of ours": 1},
            SimpleNamespace(Process=kind),
            on_ready=ready,
            on_lost=said.append,
            on_stop=lambda: said.append("stopping"),
        ),
        kind.started,  # type: ignore[attr-defined]  # as made above
        said,
    )


@pytest.mark.usefixtures("signal_handlers")
class TestWorkers:
    def test_they_are_ready_when_all_answer_and_end_when_a_signal_comes(self) -> None:
        with managed(FakeProcess.answer) as (manager, started, said):
            needs(manager.serve(0) == [0, 0], "WorkerProcess.exitcode", "--workers")
        names = ["Sanic-Server-0-0", "Sanic-Server-1-0"]
        needs([each.own_name for each in started] == names, "SANIC_WORKER_NAME", "--workers")
        needs(said == ["ready", "stopping"], f"WorkerManager.monitor ({said})", "--workers")
        needs([each.told for each in started] == [["terminate"]] * 2, "WorkerManager.processes", "--workers")
        needs(all(each.given["of ours"] == 1 for each in started), "WorkerManager's settings", "--workers")
        needs(set(started[0].given["state"]) >= {*names}, "WorkerManager.worker_state", "GET /streams/<id>/taps")

    def test_one_that_has_ended_is_started_again(self) -> None:
        def began(process: FakeProcess) -> None:
            process.answer()
            if len(process.started) == 3:
                signal.raise_signal(signal.SIGTERM)

        with managed(began) as (manager, started, said):
            manager._on_ready = lambda: started[1].end(-9)
            manager.serve(0)
        needs([each.name for each in started[1:]] == ["Sanic-Server-1-0"] * 2, "WorkerProcess.restart", "--workers")
        assert said == ["the worker Sanic-Server-1-0 was ended by SIGKILL; another one takes its place", "stopping"]

    def test_one_that_ends_again_and_again_is_started_at_most_once_a_second(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr(inside_sanic, "time", SimpleNamespace(monotonic=lambda: now))
        with managed(FakeProcess.answer) as (manager, started, said):
            cast("Any", manager).start()
            for _ in range(30):  # three seconds
                started[-1].end(1)
                manager._sync_states()
                now += 0.1
        assert len(started) == 2 + 3
        assert (
            said == ["the worker Sanic-Server-1-0 ended by itself, with exit code 1; another one takes its place"] * 3
        )

    @pytest.mark.parametrize(
        ("exit_code", "how"),
        [(0, "ended by itself, with exit code 0"), (-15, "was ended by SIGTERM"), (-40, "was ended by signal 40")],
    )
    def test_it_is_said_how_one_has_ended(self, exit_code: int, how: str) -> None:
        with managed(FakeProcess.answer) as (manager, started, said):
            cast("Any", manager).start()
            started[0].end(exit_code)
            manager._sync_states()
        assert said == [f"the worker Sanic-Server-0-0 {how}; another one takes its place"]

    def test_one_that_says_why_it_did_not_start_ends_all(self) -> None:
        def began(process: FakeProcess) -> None:
            if len(process.started) == 1:
                process.given["report"].send((process.name, "no database"))
                process.end(1)

        with managed(began) as (manager, started, said), pytest.raises(ServerError, match="did not start: no database"):
            manager.serve(0)
        assert (started[1].told, said) == (["kill"], [])

    def test_one_that_is_lost_before_all_are_ready_ends_all(self) -> None:
        def began(process: FakeProcess) -> None:
            process.end(-9) if len(process.started) == 2 else process.answer()

        with managed(began) as (manager, started, _), pytest.raises(ServerError, match="a worker was ended by SIGKILL"):
            manager.serve(0)
        assert started[0].told == ["kill"]

    def test_those_that_never_answer_are_not_waited_for_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Workers, "START_S", 0.0)
        with (
            managed(lambda _: None) as (manager, started, _),
            pytest.raises(ServerError, match="did not answer requests within 0 s"),
        ):
            manager.serve(0)
        assert [each.told for each in started] == [["kill"]] * 2

    def test_a_signal_before_all_are_ready_is_heard(self) -> None:
        with managed(lambda _: signal.raise_signal(signal.SIGINT)) as (manager, _, said):
            manager.serve(0)
        needs(said == ["stopping"], f"WorkerManager.monitor ({said})", "--workers")

    def test_one_that_does_not_end_is_killed_and_that_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Workers, "STUCK_S", 0.0)
        monkeypatch.setattr(FakeProcess, "terminate", lambda self: self.told.append("terminate"))
        with managed(FakeProcess.answer) as (manager, started, said):
            manager.serve(0)
        assert [each.told for each in started] == [["terminate", "kill"]] * 2
        assert said[2:] == [f"the worker Sanic-Server-{number}-0 did not end, and is killed" for number in (0, 1)]

    def test_an_app_in_one_of_them_can_end_all(self) -> None:
        with managed(FakeProcess.answer) as (manager, started, said), app_of_its_own() as app:

            def ready() -> None:
                join_workers(app, started[0].given["publisher"], started[0].given["state"])
                cast("Any", app).multiplexer.terminate()

            manager._on_ready = ready
            manager.serve(0)
            needs(workers_of(app)[1] == 2, "WorkerMultiplexer.workers", "GET /streams/<id>/taps of several workers")
        needs(said == ["stopping"], "what app.stop() says to the manager", "--workers")


def test_every_name_that_is_relied_on_is_looked_at_here() -> None:
    """Who adds one to `inside_sanic` adds its test."""
    own = inspect.getsource(inspect.getmodule(needs))  # type: ignore[arg-type]  # this module
    elsewhere = {
        "NEVER_S",  # a number
        "mark_serving", "mark_stopped",  # what `serve` does for each of these tests: app.loop works
        "is_touched_up",  # `__touched__`, above; what it does is in tests/serving
    }  # fmt: skip
    assert [
        name for name in inside_sanic.__all__ if name not in own.replace(f'"{name}"', "") and name not in elsewhere
    ] == []


def test_a_failure_says_what_changed_what_for_and_where() -> None:
    with pytest.raises(AssertionError, match=r"Sanic changed its mind: streamkit needs it for peace \(see here\.py\)"):
        needs(False, "its mind", "peace", "here.py")
