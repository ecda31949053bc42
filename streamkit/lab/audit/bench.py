"""Asking: one upstream that says what each question asks for, a gateway before it, and our recorder before that."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Self
from urllib.parse import urlsplit

from streamkit.errors import ServerError
from streamkit.lab.audit.gateway import Gateway, RunningGateway
from streamkit.lab.audit.scenarios import Scenario, clean
from streamkit.lab.audit.witness import UpstreamSide, Witness, side_of
from streamkit.lab.client.kept import last_recording
from streamkit.lab.client.pace import Reader
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.app import SentLog
from streamkit.serving.server import Server, serve

__all__ = ["Bench"]

TOKEN: Final = re.compile(rb"audit-\d+-[0-9a-f]{8}")
POLL_S: Final = 0.05
HELD_S: Final = 1.2
"""An upstream that could not send for so long is held."""
ASKED_S: Final = 10.0
"""By then a gateway should have asked its upstream."""
FLOOD_S: Final = 30.0
LEAVE_S: Final = 1.3
"""Who wanted to leave behind some pieces, and got none by then, leaves."""
_numbers = itertools.count(1)


class Bench:
    """A gateway between an upstream and a client of ours: `async with Bench.of(gateway) as bench: await bench.ask(…)`.

    A gateway need not pass anything on but the question: a token in it says which script is asked for.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.running: RunningGateway
        self._upstream: Server
        self._scripts: dict[bytes, Script] = {}
        self._default = clean(gateway.preset).script

    @classmethod
    @asynccontextmanager
    async def of(cls, gateway: Gateway) -> AsyncIterator[Self]:
        """Both servers run while the block does. Raises ServerError if one does not start."""
        bench = cls(gateway)
        async with AsyncExitStack() as stack:
            host, port = gateway.upstream_host, gateway.upstream_port or 0
            made = partial(create_upstream, bench._script_of)
            bench._upstream = await asyncio.to_thread(serve, made, host=host, port=port, grace_s=0)
            stack.push_async_callback(asyncio.to_thread, bench._upstream.stop, 0)
            bench.running = await stack.enter_async_context(gateway.running(bench._upstream.url))
            yield bench

    @property
    def address(self) -> str:
        """Where the upstream is, `host:port`."""
        return urlsplit(self._upstream.url).netloc

    async def ask(self, scenario: Scenario, *, bare: bool = False) -> Witness:
        """One stream; `bare`: of the upstream itself, without the gateway."""
        token, request = self._question(scenario.script)
        url, asked = (self._upstream.url, {"preset": self.gateway.preset}) if bare else (self.running.url, {})
        recording = await record(url, **_merged(request | asked, _options(scenario)))
        if scenario.client.leaves_behind or scenario.client.leaves_after_s:
            await self._until_over(token, _last_s(scenario.script) + 1.0)
        elif not bare:
            await self._until_over(token, 0.3)
        return Witness(recording, self.sides(token))

    async def flood(self, scenario: Scenario) -> Witness:
        """One stream whose client does not read: until its upstream is held, or has sent it all."""
        token, request = self._question(scenario.script)
        room = self.running.room
        before = None if room is None else room.bytes()
        most = before or 0
        options = {**_options(scenario), "total_s": FLOOD_S, "keep_bytes": False}
        asking = asyncio.create_task(record(self.running.url, **_merged(request, options)))
        try:
            last, since_s, until_s = -1, time.monotonic(), time.monotonic() + FLOOD_S
            asked_s = time.monotonic() + ASKED_S
            while not asking.done() and time.monotonic() < until_s:
                await asyncio.sleep(POLL_S)
                sides = self.sides(token)
                wrote = sides[0].wrote_bytes if sides else 0
                most = max(most, (room.bytes() if room is not None else None) or 0)
                if wrote != last or (not sides and time.monotonic() < asked_s):
                    last, since_s = wrote, time.monotonic()
                over = bool(sides) and sides[0].how != "running"
                if time.monotonic() - since_s > (HELD_S / 2 if over else HELD_S):
                    break
            sides = self.sides(token)
        finally:
            recording = await _ended(asking)
            self._hang_up(token)
        return Witness(recording, sides, None if before is None else most - before)

    def question(self, script: Script) -> dict[str, Any]:
        """What `record()` is told, so that the upstream says this."""
        return self._question(script)[1]

    def sides(self, token: bytes) -> list[UpstreamSide]:
        """What the upstream saw of it, as it stands now."""
        return [side_of(log) for log in self._logs(token)]

    def asked(self) -> int:
        """How often the upstream was asked so far; it remembers the last thousand."""
        return len(self._sent())

    def _question(self, script: Script) -> tuple[bytes, dict[str, Any]]:
        token = f"audit-{next(_numbers)}-{secrets.token_hex(4)}"
        self._scripts[token.encode()] = script
        return token.encode(), self.gateway.request(f"Say what the script says: {token}")

    def _script_of(self, body: bytes) -> Script:
        """In the upstream's thread."""
        found = TOKEN.search(body)
        return self._scripts.get(found[0], self._default) if found is not None else self._default

    def _sent(self) -> tuple[SentLog, ...]:
        app = self._upstream.app
        assert app is not None  # noqa: S101  # for the type checker: it has a thread, no process
        return tuple(app.ctx.sent)

    def _logs(self, token: bytes) -> list[SentLog]:
        return [log for log in self._sent() if token in log.asked]

    def _hang_up(self, token: bytes) -> None:
        """No model says so much: what the gateway makes of the rest of it is not to be judged."""
        loop = self._upstream.loop
        for log in self._logs(token):
            if loop is not None and not log.ended:
                loop.call_soon_threadsafe(log.hang_up)

    async def _until_over(self, token: bytes, within_s: float) -> None:
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s and any(not log.ended for log in self._logs(token)):  # noqa: ASYNC110  # of another thread
            await asyncio.sleep(POLL_S / 5)


def _options(scenario: Scenario) -> dict[str, Any]:
    client = scenario.client
    options: dict[str, Any] = {"total_s": client.leaves_after_s or scenario.limit_s}
    if client.leaves_behind is not None:
        options |= {"max_events": client.leaves_behind, "total_s": LEAVE_S}
    if client.stops:
        options["reader"] = Reader.never()
    elif client.bytes_per_s is not None:
        options["reader"] = Reader(bytes_per_s=client.bytes_per_s)
    if client.like_browser:
        options["accept_encoding"] = "browser"
    return options


def _merged(request: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**request, **options}


def _last_s(script: Script) -> float:
    return max((step.due_ns for step in script.steps()), default=0) / 1e9


async def _ended(asking: asyncio.Task[Recording]) -> Recording:
    """What a recording has come to, whether it has ended or is ended now."""
    asking.cancel()
    try:
        return await asking
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # that was for us
        found = last_recording(of=error)
        return found if isinstance(found, Recording) else Recording()
    except OSError as error:
        raise ServerError(f"the gateway cannot be asked: {error.strerror}") from error
