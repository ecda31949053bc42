"""Chromium, with a page at an origin of its own, that runs what a test gives it and tells what came of it.

    with Browser() as browser:
        told = browser.run("const answer = await fetch(url); return answer.status", url=server.url)

Without a driver: the page asks its own server for the next script, and posts to it whatever the script tells.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S: Final = 60.0
"""A browser's first start on a busy machine."""
TELL_S: Final = 20.0

FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # it visits nothing but the pages of tests, and containers give it none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGE: Final = """<!doctype html><meta charset="utf-8"><script type="module">
const Script = (async () => {}).constructor
const tell = (what) => fetch("/told", { method: "POST", body: JSON.stringify(what) })
for (;;) {
    const { names, values, code } = await (await fetch("/next")).json()
    try {
        await tell(["done", await new Script("tell", ...names, code)((what) => tell(["told", what]), ...values)])
    } catch (error) {
        await tell(["failed", `${error.name}: ${error.message}`])
    }
}
</script>"""


class Browser:
    """`origin` is that of its page: no server of a test has the same."""

    def __init__(self) -> None:
        self._scripts: queue.Queue[bytes] = queue.Queue()
        self._told: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._ready = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._serving = threading.Thread(target=self._server.serve_forever)
        self.origin = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        assert CHROMIUM is not None
        with contextlib.ExitStack() as closing:
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True))
            said = closing.enter_context(Path(folder, "said").open("w+b"))
            self._serving.start()
            closing.callback(self._stop_serving)
            self._process = subprocess.Popen(
                [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", self.origin],
                env={**os.environ, "HOME": folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
            closing.callback(self._end)
            if not self._ready.wait(START_S):
                said.seek(0)
                raise AssertionError(f"the browser did not open the page: {said.read()[-2_000:].decode()}")
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def start(self, code: str, **values: Any) -> None:
        """Begin to run `code`, the body of an asynchronous function with these values and with `tell(what)`."""
        script = {"names": list(values), "values": list(values.values()), "code": code}
        self._scripts.put(json.dumps(script).encode())

    def told(self) -> Any:
        """What the running script tells next, or what it returns at its end.

        Raises AssertionError with the error's name and message if it throws, and where it tells nothing for long.
        """
        try:
            how, what = self._told.get(timeout=TELL_S)
        except queue.Empty:
            raise AssertionError(f"the page told nothing for {TELL_S:.0f} s") from None
        assert how != "failed", what
        return what

    def run(self, code: str, **values: Any) -> Any:
        """What `code` returns; it tells nothing in between."""
        self.start(code, **values)
        return self.told()

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _stop_serving(self) -> None:
        self._scripts.put(b"")  # whoever waits for a script
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripts, told, ready = self._scripts, self._told, self._ready

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/next":
                    ready.set()
                    self._answer(scripts.get(), "application/json")
                else:
                    self._answer(PAGE.encode(), "text/html")

            def do_POST(self) -> None:
                told.put(tuple(json.loads(self.rfile.read(int(self.headers["content-length"])))))
                self._answer(b"", "text/plain")

            def _answer(self, body: bytes, content_type: str) -> None:
                self.send_response(200)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the browser has been ended
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
