"""A dashboard that does not keep up, over sockets: what lies unread of states is bounded, and the next one is new."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from streamkit.relay.delivery.nearness import NEAR_BYTES
from streamkit.serving.server import Server, serve
from streamkit.sockets import unread_bytes
from tests.rawsockets import request
from tests.servers import connect, eventually, leaves_nothing

HEAD_BYTES = 1_000  # generous
ADDED = 60


@pytest.fixture(scope="module", params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    unix: Path | None = tmp_path_factory.mktemp("s") / "s.sock" if request.param == "unix" else None
    with leaves_nothing(), serve(lambda: sk.create_app(uses="analysis"), unix=unix) as served:
        yield served


def test_what_lies_unread_is_a_kilobyte_and_the_next_state_is_new(server: Server) -> None:
    with sk.create_feed("slow") as feed, connect(server) as connection:
        connection.sendall(request("/analysis?feed=slow&every=0.01", b"", accept="application/x-ndjson"))
        assert eventually(lambda: feed.watchers == 1)
        for number in range(ADDED):  # as many states, nearly, of 250 bytes each
            feed.add(number)
            time.sleep(0.01)
        unread = unread_bytes(connection)
        assert unread is None or 0 < unread <= NEAR_BYTES + HEAD_BYTES
        states: list[dict[str, Any]] = []
        for line in connection.makefile("rb"):
            states += [json.loads(line)] if line.startswith(b'{"count"') else []
            if states and states[-1]["total"] == ADDED:
                break
        assert len(states) <= (NEAR_BYTES + HEAD_BYTES) / 150
        assert states[0]["skipped"] == 0
        assert states[-1]["skipped"] > 0
