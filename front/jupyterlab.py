"""JupyterLab as `dev.py lab` starts it, with a folder and settings of its own, and one of its pages in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Self

import psutil
from playwright.sync_api import Page, expect

from front.notebooks import copy_without_outputs
from tests.notebooks import NOTEBOOKS

START_S: Final = 120.0
CELLS_S: Final = 240.0
"""All cells of the longest notebook, on a busy machine."""
ITS_OWN: Final = "resource_tracker", "forkserver"
"""Processes that Python's multiprocessing keeps for later."""


class JupyterLab:
    """A server, from `with` to its end. `folder` is what it serves: a copy of the notebooks, without outputs."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._token = secrets.token_hex()

    def __enter__(self) -> Self:
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self.folder = home / "notebooks"
        self.folder.mkdir()
        for path in NOTEBOOKS:
            copy_without_outputs(path, self.folder)
        own = {f"JUPYTER{name}_DIR": str(home / name) for name in ("_CONFIG", "_DATA", "_RUNTIME")}
        own |= {f"JUPYTERLAB_{name}_DIR": str(home / name) for name in ("SETTINGS", "WORKSPACES")}
        said = self._stack.enter_context((home / "said").open("w+b"))
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"),
                f"--ServerApp.root_dir={self.folder}",
                f"--IdentityProvider.token={self._token}",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            env={**os.environ, **own},
            stderr=said,
        )
        self._stack.callback(self._end)
        self._port = self._announced_port(home)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, page: Page, name: str) -> Notebook:
        """The notebook of this file name, in a window of its own, with its kernel ready."""
        page.goto(
            f"http://127.0.0.1:{self._port}/lab/workspaces/{secrets.token_hex(4)}/tree/{name}?token={self._token}"
        )
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=START_S * 1000)
        return Notebook(page, self._process.pid)

    def _announced_port(self, home: Path) -> int:
        """It writes a file about itself when it listens."""
        about = home / "_RUNTIME" / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(json.loads(about.read_text())["port"])
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab does not listen: {(home / 'said').read_text()}")

    def _end(self) -> None:
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        self._process.wait(30)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


class Notebook:
    """One that is open."""

    def __init__(self, page: Page, server: int) -> None:
        self.page = page
        self._server = server

    def choose(self, menu: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def run_all(self) -> None:
        self.choose("Run", "Run All Cells")
        self.wait()

    def restart_and_run_all(self) -> None:
        self.choose("Run", "Restart Kernel and Run All Cells…")
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self.wait()

    def wait(self) -> None:
        """Until its last cell has ended: each has a number then."""
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt")
        expect(prompts.filter(has_text="[*]")).not_to_have_count(0)
        expect(prompts.filter(has_text=re.compile(r"\[[ *]\]"))).to_have_count(0, timeout=CELLS_S * 1000)

    def errors(self) -> list[str]:
        return self.page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()

    def pictures(self) -> list[tuple[int, int]]:
        """Of each that has been loaded: its width on the page, and that of its cell's output."""
        widths = "images => images.map(i => [i.naturalWidth && i.width, i.closest('.jp-OutputArea').clientWidth])"
        return [(shown, room) for shown, room in self.page.locator(".jp-OutputArea img").evaluate_all(widths)]

    def left_running(self) -> list[str]:
        """The processes that its kernel has started and not ended."""
        started = psutil.Process(self._server).children(recursive=True)
        lines = [" ".join(process.cmdline()) for process in started]
        return [line for line in lines if "ipykernel_launcher" not in line and not any(own in line for own in ITS_OWN)]

    def close(self) -> None:
        """The kernel, too."""
        self.choose("Kernel", "Shut Down Kernel")
