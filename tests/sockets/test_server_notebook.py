"""serve() in a real notebook's kernel: cells run again; the kernel interrupted, shut down and killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from streamkit.serving.listener import free_port
from tests.servers import ROOT, alive, eventually

WAIT_S = 60.0
SHUTDOWN_S = 5.0  # generous; a notebook's kernel without servers takes about half a second


class NotebookKernel:
    """A notebook's kernel that a test can drive as a frontend does, with or without cell ids."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(ROOT))
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=WAIT_S)
        self.run(
            "from streamkit import *; from streamkit.serving.server import *; from tests.server_apps import make_app"
        )

    def run(self, source: str, cell_id: str | None = None) -> str:
        """Run one cell and return what it printed; a cell that fails fails the test."""
        session = self._client.session
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = session.msg("execute_request", content, metadata={"cellId": cell_id} if cell_id else {})
        self._client.shell_channel.send(message)
        printed = ""
        while True:
            heard: dict[str, Any] = self._client.get_iopub_msg(timeout=WAIT_S)
            if heard["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if heard["msg_type"] == "error":
                pytest.fail("\n".join(heard["content"]["traceback"]))
            if heard["msg_type"] == "stream":
                printed += heard["content"]["text"]
            if heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle":
                return printed

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def shut_down(self) -> float:
        """Ask for it as a frontend does; the seconds until the kernel's process has ended."""
        begin = time.monotonic()
        self._manager.shutdown_kernel()
        return time.monotonic() - begin

    def kill(self) -> None:
        self._manager.shutdown_kernel(now=True)

    def close(self) -> None:
        self._client.stop_channels()
        if self._manager.is_alive():
            self.kill()
        self._manager.cleanup_resources()


@pytest.fixture(scope="module")
def kept() -> Iterator[NotebookKernel]:
    """One for the tests that leave it as they found it: a start takes seconds."""
    kernel = NotebookKernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel() -> Iterator[NotebookKernel]:
    kernel = NotebookKernel()
    yield kernel
    kernel.close()


def test_cells_that_are_run_again(kept: NotebookKernel) -> None:
    """Ten runs of a cell on a fixed port, with its handle in Out[], leave one server, and so does an edited cell."""
    port = free_port()
    for _ in range(10):
        assert kept.run(f"serve(make_app, port={port})") == ""
    assert kept.run("print(len(servers()))") == "1\n"
    assert kept.run("stop_all(); print(len(servers()))") == "0\n"

    kept.run(f"server = serve(make_app, port={port})", "a1b2")
    kept.run(f"server = serve(make_app, port={port})  # edited", "a1b2")
    assert kept.run("print(len(servers()), servers() == [server])") == "1 True\n"

    kept.run("server = serve(make_app)")
    kept.run("server = serve(make_app)  # edited, by a frontend without cell ids")
    assert kept.run("print(len(servers()), servers() == [server])") == "1 True\n"
    kept.run("stop_all()")


def test_two_servers_in_one_kernel_and_top_level_await(kept: NotebookKernel) -> None:
    """Two servers of one cell live side by side, answer a synchronous and an asynchronous client, and stop."""
    kept.run("one, two = serve(make_app), serve(make_app, process=True)\nimport httpx2")
    both = "f'{server.url}/echo', content=b'a'"
    assert kept.run(f"for server in servers(): print(httpx2.post({both}, trust_env=False).text)") == "a\na\n"
    cell = f"""
async with httpx2.AsyncClient(trust_env=False) as client:
    async with serve(make_app) as server:
        print((await client.post({both})).text)
one.stop(); two.stop()
print(servers())
"""
    assert kept.run(cell) == "a\n[]\n"


def test_an_interrupt_leaves_the_servers_and_a_shutdown_does_not(kernel: NotebookKernel) -> None:
    """Interrupting the kernel ends no server; shutting it down ends all of them, quickly."""
    kernel.run("one, two = serve(make_app), serve(make_app, process=True)")
    pid = int(kernel.run("print(two.process.pid)"))
    kernel.interrupt()
    assert (
        kernel.run("import httpx2; print(httpx2.post(f'{two.url}/echo', content=b'a', trust_env=False).text)") == "a\n"
    )
    assert kernel.run("print(len(servers()))") == "2\n"
    took_s = kernel.shut_down()
    assert not alive(pid)
    assert took_s < SHUTDOWN_S


def test_a_killed_kernel_leaves_no_process(kernel: NotebookKernel) -> None:
    """SIGKILL gives the kernel no time for anything; its server process ends all the same."""
    pid = int(kernel.run("server = serve(make_app, process=True); print(server.process.pid)"))
    assert alive(pid)
    kernel.kill()
    assert eventually(lambda: not alive(pid))
