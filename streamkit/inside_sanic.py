"""Sanic's insides: all that streamkit uses of Sanic beyond its documented interface, each with a name of ours.

What is here may change with any release of Sanic. tests/test_inside_sanic.py holds each against the installed one and
says which changed; pyproject.toml keeps to the versions that it was held against. One more relies on such things:
`streamkit.relay.request.connection`, which extends Sanic's own classes, and lists what it needs of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Final, cast

from sanic import Request, Sanic
from sanic.application.constants import ServerStage
from sanic.application.state import ApplicationServerInfo
from sanic.compat import Header
from sanic.http import Http
from sanic.http.constants import HTTP, Stage
from sanic.response import BaseHTTPResponse
from sanic.server.protocols.http_protocol import HttpProtocol
from sanic.worker.constants import ProcessState
from sanic.worker.manager import WorkerManager
from sanic.worker.multiplexer import WorkerMultiplexer
from sanic.worker.process import WorkerProcess

from streamkit.errors import ServerError

__all__ = [
    "NEVER_S",
    "READ_SIGNALS",
    "Workers",
    "abandon_body",
    "abort_all",
    "announced_bytes",
    "announced_length",
    "app_registry",
    "bound_body",
    "can_write",
    "close_behind",
    "close_idle",
    "connection_tasks",
    "is_chunked",
    "is_listened_to",
    "is_touched_up",
    "join_workers",
    "keep_plain",
    "left_at_ns",
    "local_address",
    "mark_serving",
    "mark_stopped",
    "runner_location",
    "take_over",
    "transport_of",
    "without_alt_svc",
    "without_response_timeout",
    "worker_name",
    "workers_of",
]

NEVER_S: Final = 10 * 365 * 24 * 3600.0
"""For Sanic's timers where ours decide. Not infinity: it sleeps for half of the shortest."""

SEND_SIGNALS: Final = frozenset({"http.lifecycle.send", "http.lifecycle.*"})
READ_SIGNALS: Final = frozenset({"http.lifecycle.read_body", "http.lifecycle.*"})


# --- One request ----------------------------------------------------------------------------------------------------


def transport_of(request: Request) -> asyncio.WriteTransport:
    """The connection's transport. Relies on: `Request.transport` is asyncio's (or uvloop's), though typed as less."""
    return cast("Any", request.transport)  # type: ignore[no-any-return]


def local_address(request: Request) -> object:
    """The name of the socket that the request came by: (address, port, …), or a path; None where there is none."""
    return transport_of(request).get_extra_info("sockname")


def left_at_ns(request: Request) -> int:
    """When its client left; 0 where it is there, or where the connection is none of ours and does not know."""
    return getattr(request.protocol, "lost_ns", 0)


def can_write(request: Request) -> asyncio.Event:
    """Set while the connection's buffer has room; set too, for good, once the connection is lost.

    Relies on: `SanicProtocol._can_write`, for which Sanic's own `send` waits.
    """
    protocol: Any = request.protocol
    return cast("asyncio.Event", protocol._can_write)


def bound_body(request: Request, max_bytes: int) -> None:
    """Refuse the request's body when it announces more than this, in its head or chunk by chunk, and not only when that
    much has come: a chunk that never comes would be waited for. To be said before the body is read.

    Relies on: `Http.request_max_size`, which `Http.read` compares with what chunks have announced, and which Sanic
    lifts for handlers that read by themselves.
    """
    stream: Any = request.stream
    if isinstance(stream, Http):
        stream.request_max_size = max_bytes


def announced_bytes(request: Request) -> int:
    """What the request's Content-Length says; 0 without one. Of a chunked body: what its chunks have announced so far.

    Relies on: `Http.request_bytes`, set with the head, and raised by `Http.read` with each chunk's line.
    """
    return getattr(request.stream, "request_bytes", 0) or 0


def announced_length(request: Request) -> int | None:
    """How long the body is that has not been read yet; None where that shows at its end.

    Relies on: `Http.request_body`, which is "chunked" where no length is known.
    """
    return None if getattr(request.stream, "request_body", None) == "chunked" else announced_bytes(request)


def abandon_body(request: Request) -> bool:
    """Read no more of the request's body; True where it had been read to its end. Without this, Sanic waits for the
    rest of it when the handler has ended: for ever, if the client has left while it was being answered.

    Relies on: `Http.request_body`, None at its end, and `Http.keep_alive`.
    """
    stream: Any = request.stream
    if not stream.request_body:
        return True
    stream.request_body = None
    stream.keep_alive = False
    return False


def close_behind(request: Request) -> None:
    """Close the connection behind the answer to this request, and say so in its head. To be said before that is sent.

    Relies on: `Http.keep_alive`, from which the head's `Connection` is made.
    """
    stream: Any = request.stream
    if isinstance(stream, Http):
        stream.keep_alive = False


class without_response_timeout:  # noqa: N801  # a context manager; written as a function it would hold a generator
    """Keep Sanic's response timer from firing: it is an idle timer that any stray byte resets, and it cuts at 1.0 to
    1.5 times its value; and its keep-alive timer, which begins with the end of an answer that may still have to leave.
    Other requests of the connection, and the time between two, keep theirs.

    Relies on: `HttpProtocol.response_timeout` and `keep_alive_timeout`, read anew by each `check_timeouts`; and on
    `_callback_check_timeouts`, its timer, set anew by each: for ten thousand streams that would be ten thousand timers,
    of 0.6 kB each, that ring for nothing.
    """

    __slots__ = ("_protocol", "_theirs", "_watched")

    def __init__(self, request: Request) -> None:
        self._protocol: Any = request.protocol

    def __enter__(self) -> None:
        protocol = self._protocol
        self._theirs = protocol.response_timeout, protocol.keep_alive_timeout
        protocol.response_timeout = protocol.keep_alive_timeout = NEVER_S
        timer = getattr(protocol, "_callback_check_timeouts", None)
        self._watched = timer is not None
        if timer is not None:
            timer.cancel()
            protocol._callback_check_timeouts = None

    def __exit__(self, *_: object) -> None:
        protocol = self._protocol
        protocol.response_timeout, protocol.keep_alive_timeout = self._theirs
        if self._watched and not protocol.conn_info.lost:
            shortest_s = min(protocol.keep_alive_timeout, protocol.request_timeout, protocol.response_timeout)
            later_s = max(0.1, shortest_s / 2)  # as Sanic does
            protocol._callback_check_timeouts = protocol.loop.call_later(later_s, protocol.check_timeouts)


# --- One answer -----------------------------------------------------------------------------------------------------


def is_chunked(request: Request) -> bool:
    """Its answer, whose head has been sent, goes on in HTTP/1.1's chunks: not under ASGI or HTTP/3, nor if a middleware
    gave it a length. Whoever writes such chunks to the transport then does what Sanic would do.

    Relies on: `Http.response_func` is, from the head on, the method by which the rest is sent.
    """
    stream = request.stream
    return isinstance(stream, Http) and stream.response_func == stream.http1_response_chunked


class _WithoutAltSvc(Header):
    """Header fields that take no empty `alt-svc`."""

    def __setitem__(self, name: str, value: str) -> None:
        if value or name != "alt-svc":
            super().__setitem__(name, value)


def without_alt_svc(response: BaseHTTPResponse) -> None:
    """Keep Sanic from adding an empty `Alt-Svc` to the head of `response`: the field's value has a grammar (RFC 7838
    section 3), of which nothing is no part. Apps whose TouchUp has run have it left out by that.

    Relies on: `Http.http1_response_header` sets it in `response.headers`, by item, and reads no other.
    """
    if not isinstance(response.headers, _WithoutAltSvc):
        response.headers = _WithoutAltSvc(response.headers)


def is_listened_to(app: Sanic[Any, Any], signals: frozenset[str] = SEND_SIGNALS) -> bool:
    """Somebody wants Sanic's signal of each send (or of each read of a body: READ_SIGNALS): by its name, or with all
    others of its kind.

    Relies on: `Sanic.signal_router.name_index`, a dict of all signals by their names.
    """
    names = app.signal_router.name_index  # some thirty
    for name in signals:  # noqa: SIM110  # asked several times for each stream
        if name in names:
            return True
    return False


def take_over(request: Request) -> None:
    """From here on the transport is ours: Sanic adds nothing to an answer that it takes for failed.

    Relies on: `Http.stage`; at `Stage.FAILED` neither an answer nor an error is sent.
    """
    stream: Any = request.stream
    stream.stage = Stage.FAILED


# --- A server -------------------------------------------------------------------------------------------------------


OURS: Final = "streamkit"
"""Among an app's settings: it is `mark_serving`'s, and no runner of Sanic's has it."""


def mark_serving(app: Sanic[Any, Any], server: Any, sock: socket.socket) -> None:
    """Make app.loop, app.add_task() and app.stop() work for a server that `create_server` made and that listens at
    `sock`: that alone leaves the app "stopped". `app.serve_location` is then where; Sanic Extensions, which Sanic loads
    by itself where they are installed, ask for it at the start.

    Relies on: `app.state.server_info`, a list of `ApplicationServerInfo` with the stages of `ServerStage`, and of its
    settings on those that `Sanic.get_server_location` reads.
    """
    settings = {"version": HTTP.VERSION_1, OURS: True, **_location(sock)}
    app.state.server_info.append(ApplicationServerInfo(settings, stage=ServerStage.SERVING, server=server))


def _location(sock: socket.socket) -> dict[str, Any]:
    """Where it listens, as Sanic's settings say it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return {"host": None, "port": None, "unix": name}
    return {"host": name[0], "port": name[1]}


def mark_stopped(app: Sanic[Any, Any]) -> None:
    """The opposite of `mark_serving` and `app.set_serving(True)`; may be called without them."""
    app.set_serving(False)
    app.state.server_info.clear()


def runner_location(app: Sanic[Any, Any]) -> str | None:
    """Where Sanic's own runner (its command line, `app.run`) serves the app; None where somebody else does.

    Relies on: that runner keeps its settings in `app.state.server_info`, also in its worker processes.
    """
    infos = app.state.server_info
    settings: dict[str, Any] = infos[0].settings if infos else {}
    return app.get_server_location(settings) if settings and OURS not in settings else None


def workers_of(app: Sanic[Any, Any]) -> tuple[str, int]:
    """The name of this worker process, and how many there are; ("", 1) where there are no others.

    Relies on: `Sanic.multiplexer`, in a worker process, whose `workers` have the state of each by its name.
    """
    multiplexer: Any = getattr(app, "multiplexer", None)
    if multiplexer is None:
        return "", 1
    return multiplexer.name, sum(bool(each.get("server")) for each in multiplexer.workers.values())


def close_idle(server: Any) -> bool:
    """Close connections that wait for a request; True while any connection is open.

    Relies on: `AsyncioServer.connections`, a set that they leave by themselves, and `HttpProtocol.close_if_idle`.
    """
    connections: set[Any] = server.connections
    for connection in tuple(connections):
        connection.close_if_idle()
    return bool(connections)


def connection_tasks(server: Any) -> set[asyncio.Task[Any]]:
    """What runs for the open connections, handlers among it.

    Relies on: `SanicProtocol._task`, None when it has ended.
    """
    return {task for connection in server.connections if (task := connection._task) is not None}


def abort_all(server: Any) -> None:
    """Cut all connections, without a final chunk. Their tasks are cancelled by that.

    By the transport, not by the protocol's own `abort`: after that one Sanic logs each request, or trips over it.
    Relies on: `SanicProtocol.transport`, None when it is gone; `connection_lost` cancels `_task`.
    """
    for connection in tuple(server.connections):
        if connection.transport is not None:
            connection.transport.abort()


# --- Several workers ------------------------------------------------------------------------------------------------


class Workers(WorkerManager):
    """Sanic's worker manager, which runs `work` in `number` processes, one of Sanic's "servers" each.

    `work` gets `given`, and by keyword `publisher` and `state`, for `join_workers`, and `report`: it sends (its name,
    "") there once it answers requests, or (its name, why not). `context` makes the processes, by its `Process`.
    `on_ready` is called once, when all answer; `on_lost` with what became of one that has ended unasked; `on_stop` when
    no more will be started.

    Not as Sanic does: it restarts who has ended (Sanic starts a worker anew only when it is asked to); it ends when it
    is told so before all are ready (Sanic's then waits for ever); it waits for its workers as long as they have grace;
    it kills none but its own (Sanic kills the process group, and whoever else is in it); its state is no process of its
    own, and it prints nothing. It tells its workers by SIGTERM to end, as whoever stops a whole service does (systemd):
    it then comes twice, where a second SIGINT would end their grace.

    Relies on: `WorkerManager` calls `wait_for_ack` when it has started all, then `_sync_states` ten times a second, and
    ends when `monitor_publisher` brought None, or "__TERMINATE__", for which it calls `shutdown`; it makes its
    processes in its constructor, with a copy of the settings, and sets `shutdown_signal` there for SIGINT and SIGTERM.
    `WorkerProcess.restart` replaces one that has ended; `_current_process` is what `context` has made. `worker_state`
    may be any dict: here that of this process alone, of which each worker gets a copy when it begins.
    """

    START_S: Final = 60.0  # until all answer, on a slow machine
    RESTART_S: Final = 1.0  # from one start of a worker to the next, however quickly it ends
    STUCK_S: Final = 10.0  # beyond its grace, until a worker that does not end is killed
    _POLL_S: Final = 0.05

    def __init__(
        self,
        number: int,
        work: Callable[..., None],
        given: Mapping[str, object],
        context: Any,
        *,
        on_ready: Callable[[], None],
        on_lost: Callable[[str], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._on_ready, self._on_lost, self._on_stop = on_ready, on_lost, on_stop
        self._asked = False
        self._restarted: dict[str, float] = {}
        self._why: dict[str, str] = {}
        subscriber, publisher = Pipe()
        self._reports, report = Pipe(duplex=False)
        self._pipes: list[Connection] = [subscriber, publisher, self._reports, report]
        state: dict[str, Any] = {}
        settings = {**given, "publisher": publisher, "state": state, "report": report}
        super().__init__(number, work, settings, context, (publisher, subscriber), state)

    def serve(self, grace_s: float) -> list[int | None]:
        """Run all, in the main thread, until a signal comes or one of them says that all shall end (`app.stop()`);
        they then have `grace_s` for what is open. Nobody is left. Returns the exit codes. Raises ServerError where one
        does not start.
        """
        try:
            self.start()  # type: ignore[no-untyped-call]  # Sanic's
            self.monitor()  # type: ignore[no-untyped-call]  # Sanic's
            self._on_stop()
            self.shutdown()
            self._wait(grace_s + self.STUCK_S)
            for process in self._alive():
                self._on_lost(f"the worker {process.name} did not end, and is killed")
            return [process.exitcode for process in self._all()]
        finally:
            for process in self._alive():
                process._current_process.kill()
            self._wait(self.STUCK_S)
            for pipe in self._pipes:
                pipe.close()

    def wait_for_ack(self) -> None:
        deadline = time.monotonic() + self.START_S
        while not self._all_workers_ack():  # type: ignore[no-untyped-call]  # Sanic's
            if self._asked:
                return
            alive = self._alive()
            self._hear()  # what the others said before they ended is here by now
            for process in self._all():
                if process not in alive:
                    why = self._why.get(process.name) or _ended(process.exitcode)
                    raise ServerError(f"a worker {why}")
            if time.monotonic() > deadline:
                raise ServerError(f"the workers did not answer requests within {self.START_S:g} s")
            time.sleep(self._POLL_S)
        self._on_ready()

    def _sync_states(self) -> None:
        super()._sync_states()  # type: ignore[no-untyped-call]  # Sanic's
        self._hear()
        if not self._asked:
            for process in self._all():
                if process.state in (ProcessState.FAILED, ProcessState.COMPLETED):
                    self._replace(process)

    def _replace(self, process: WorkerProcess) -> None:
        now = time.monotonic()
        if now < self._restarted.get(process.name, 0.0) + self.RESTART_S:
            return
        self._restarted[process.name] = now
        why = self._why.pop(process.name, "") or _ended(process.exitcode)
        self._on_lost(f"the worker {process.name} {why}; another one takes its place")
        process.restart()  # type: ignore[no-untyped-call]  # Sanic's

    def _hear(self) -> None:
        """What workers have said of their start."""
        while self._reports.poll():
            name, why = self._reports.recv()
            if why:
                self._why[name] = f"did not start: {why}"
            else:
                found = next((process for process in self._all() if process.name == name), None)
                if found is not None and found.state < ProcessState.ACKED:
                    found.set_state(ProcessState.ACKED)

    def shutdown(self) -> None:
        for process in self._alive():
            process._current_process.terminate()
        self._shutting_down = True

    def shutdown_signal(self, number: int, frame: FrameType | None) -> None:
        """The first lets `serve` go on to the end; a second SIGINT is passed on, as it ends the grace."""
        del frame
        if not self._asked:
            self._asked = True
            self.monitor_publisher.send(None)
        elif number == signal.SIGINT:
            for process in self._alive():
                os.kill(process.pid, signal.SIGINT)

    def _wait(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self._alive() and time.monotonic() < deadline:
            time.sleep(self._POLL_S)

    def _all(self) -> list[WorkerProcess]:
        return list(self.processes)

    def _alive(self) -> list[WorkerProcess]:
        return [process for process in self._all() if process.is_alive()]  # type: ignore[no-untyped-call]  # Sanic's


def _ended(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is None or exit_code >= 0:
        return f"ended by itself, with exit code {exit_code}"
    names = {each.value: each.name for each in signal.Signals}  # not all that there are have one
    return f"was ended by {names.get(-exit_code, f'signal {-exit_code}')}"


def worker_name() -> str:
    """Of this process, in a worker. Relies on: the manager sets it in the environment that a worker begins with."""
    return os.environ.get("SANIC_WORKER_NAME", "")


def join_workers(app: Sanic[Any, Any], publisher: Connection, state: dict[str, Any]) -> None:
    """Make `workers_of(app)`, and in an app `app.stop()` and `app.m`, work in a process of `Workers`.

    Relies on: `Sanic.multiplexer`, a `WorkerMultiplexer`, which talks to the manager by its publisher.
    """
    app.multiplexer = WorkerMultiplexer(publisher, state)


# --- An app of our own ----------------------------------------------------------------------------------------------


def keep_plain(app: Sanic[Any, Any]) -> None:
    """Let Sanic add nothing to an app of ours: no routes, headers and handlers of Sanic Extensions, which it loads by
    itself where they are installed; no TouchUp, with which the second app of a process fails.

    Relies on: the settings `AUTO_EXTEND` and `TOUCHUP`, read at the start.
    """
    app.config.AUTO_EXTEND = False
    app.config.TOUCHUP = False


# --- The process ----------------------------------------------------------------------------------------------------


def app_registry() -> dict[str, Sanic[Any, Any]]:
    """All apps of the process by their names: the very dict. Relies on: `Sanic._app_registry`."""
    return Sanic._app_registry


def is_touched_up() -> bool:
    """TouchUp has written one app's signals into Sanic's classes, for good: another app would crash in them.

    Relies on: `HttpProtocol.__touched__`, set by TouchUp.
    """
    return bool(getattr(HttpProtocol, "__touched__", False))
