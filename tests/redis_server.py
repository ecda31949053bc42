"""A real redis-server on a free port, with nothing of it on disk."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

import redis

from streamkit.serving.listener import free_port
from tests.rawsockets import WAIT_S

REDIS: Final = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin:/opt/homebrew/bin")
NONE: Final = "no redis-server is installed (Debian: apt-get install redis-server): the store in Redis is not tested"


class RedisServer:
    """`url` at which it listens; to be killed, stopped and continued."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert REDIS is not None
        with tempfile.TemporaryDirectory(prefix="rd") as folder:
            nothing_kept = ["--save", "", "--appendonly", "no", "--dir", folder]
            listening = ["--port", str(self.port), "--bind", "127.0.0.1", "--loglevel", "warning"]
            self._process = subprocess.Popen(
                [REDIS, *listening, *nothing_kept, *self._options], stdout=subprocess.DEVNULL
            )
            until = time.monotonic() + WAIT_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                    return
                assert self._process.poll() is None, "redis-server did not start; what it said is above"
                assert time.monotonic() < until, "redis-server does not listen"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(WAIT_S)
            self._process = None

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """redis-py's own, to look at what is there."""
        with redis.Redis(port=self.port, socket_timeout=WAIT_S) as client:
            yield client


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    server = RedisServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
