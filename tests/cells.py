"""A stand-in for IPython: what serve() asks of the notebook in which it runs."""

from __future__ import annotations

from typing import Any

from streamkit.serving.server import serve
from tests.server_apps import make_app


class FakeShell:
    """What serve() asks of IPython."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"serve": serve, "make_app": make_app, "kept": []}
        self.execution_count = 0
        self.cell_id: str | None = None

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell_id}} if self.cell_id else {}

    def run(self, source: str, cell_id: str | None = None) -> None:
        self.execution_count += 1
        self.cell_id = cell_id
        exec(compile(source, f"<ipython-input-{self.execution_count}-{hash(source)}>", "exec"), self.user_ns)  # noqa: S102  # a cell
