"""`GET /metrics` of one relay, and of all its workers: what it counts, what it holds now, and how that is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from streamkit.errors import ConfigError
from streamkit.inside_sanic import worker_name
from streamkit.relay.counting.counts import Counts, State
from streamkit.relay.counting.shared import SharedCounts

__all__ = ["Metrics"]

NUMBER: Final = re.compile(r"\d+")


class Metrics:
    """Of one process. `shared` is a folder of all workers, where there are several; `held` tells what the relay holds.

    Raises ConfigError where Prometheus's client is not installed, or the folder cannot be had.
    """

    def __init__(self, shared: str, held: Callable[[], dict[str, int]]) -> None:
        if find_spec("prometheus_client") is None:
            raise ConfigError("expected prometheus-client for metrics: pip install 'streamkit[metrics]'")
        self.counts = Counts()
        self.folder = shared
        self._held = held
        self._shared = SharedCounts(shared) if shared else None
        found = NUMBER.search(worker_name()) if shared else None
        self._worker = found[0] if found else ""

    async def open(self) -> None:
        """In the loop that serves."""
        if self._shared is not None:
            self._shared.open(self._state)

    async def close(self) -> None:
        """What was counted stays, for the others to tell."""
        if self._shared is not None:
            await self._shared.close(self._state())

    def _state(self) -> State:
        from streamkit.relay.counting.page import process_values

        state = self.counts.state()
        held = {**self._held(), "buffered_bytes": state.pop("buffered_bytes")}
        return {**state, "held": held, "process": process_values(), "worker": self._worker}

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The answer to who accepts this, and its media type. Files and text are made elsewhere than in the loop."""
        mine, shared = self._state(), self._shared

        def made() -> tuple[bytes, str]:
            from streamkit.relay.counting.page import page

            running, gone = ([], []) if shared is None else shared.others()
            return page([mine, *running], gone, accept)

        return await asyncio.to_thread(made)
