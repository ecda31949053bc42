"""What docs/overview.md and docs/your_own_source.md say of a source of your own: their code runs as it stands there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
from sanic import Sanic

import streamkit as sk
from streamkit.serving.server import Server

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


WHOLE, ROOTS, FLOOD, WATCH = blocks("docs/your_own_source.md")


def run(code: str, **given: Any) -> dict[str, Any]:
    names = {"sk": sk, **given}
    exec(compile(code, "the page", "exec"), names)  # noqa: S102  # our own pages
    return names


def with_route(code: str, **given: Any) -> Server:
    def make_app() -> Sanic[Any, Any]:
        app = sk.create_app(routes={})
        run(code, app=app, **given)
        return app

    return sk.serve(make_app, grace_s=0.1)


def test_five_lines_stream_progress_and_values() -> None:
    (five,) = [block for block in blocks("docs/overview.md") if "@sk.source" in block]
    with with_route(five) as server:
        recording = sk.run(
            sk.record(f"{server.url}/count", data={"upto": "2"}, headers={"Accept": "text/event-stream"})
        )
    assert recording.values == [{"n": 0}, {"n": 1}]
    assert [told["progress"] for told in recording.progress] == [0, 1]
    assert recording.outcome == "complete"


def test_the_page_begins_with_an_app_that_runs() -> None:
    run(WHOLE)["server"].stop()


def test_the_page_s_own_refusal_is_told_with_its_code() -> None:
    with with_route(ROOTS) as server:
        refused = httpx2.post(f"{server.url}/roots", json="no list")
        broken = httpx2.post(f"{server.url}/roots", json=["no number"])
        whole = httpx2.post(f"{server.url}/roots", json=[4, 9])
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_numbers")
    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
    assert "number" not in broken.json()["detail"], "what went wrong in it is nobody's business"
    assert whole.text == '{"root":2.0}\n{"root":3.0}\n'


def test_the_page_s_flood_waits_for_a_client_that_does_not_read() -> None:
    run(FLOOD)["server"].stop()


def test_the_page_s_watcher_lets_go_when_its_client_leaves() -> None:
    let_go: list[str] = []

    @contextlib.asynccontextmanager
    async def subscription() -> AsyncIterator[AsyncIterator[str]]:
        async def changes() -> AsyncIterator[str]:
            while True:
                yield "changed "

        try:
            yield changes()
        finally:
            let_go.append("all of it")

    with (
        with_route(WATCH, subscription=subscription) as server,
        httpx2.stream("POST", f"{server.url}/watch") as response,
    ):
        assert next(response.iter_bytes()).startswith(b"changed ")
    assert let_go == ["all of it"]
