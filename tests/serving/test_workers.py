"""run_workers(): what it refuses before a process is started; the processes themselves are in tests/sockets."""

from __future__ import annotations

import asyncio
import signal
import socket
from functools import partial
from typing import Any

import pytest

from streamkit.errors import ServerError
from streamkit.serving.workers import run_workers
from tests.server_apps import make_app

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_elsewhere_than_in_the_main_thread_it_names_serve() -> None:
    async def cell() -> None:
        run_workers(make_app, 2)

    with pytest.raises(ServerError, match=r"run_workers\(\) needs the main thread .* use serve\(\)"):
        asyncio.run(cell())


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        (None, TypeError, "expected a factory"),
        ("no colon", ValueError, "expected an import string"),
        (lambda: make_app(), TypeError, "needs a factory that a new process can import"),
    ],
)
def test_what_cannot_go_to_a_worker_is_refused(factory: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run_workers(factory, 2)


def test_a_loop_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValueError, match="expected loop="):
        run_workers(make_app, 2, loop="trio")


def test_a_taken_port_is_one_error_and_the_signal_handlers_stay() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerError, match="cannot listen on"):
        run_workers(partial(make_app), 2, port=taken.getsockname()[1])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
