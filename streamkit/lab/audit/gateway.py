"""The gateway that is audited: how it is started, and how it is asked; running(), while it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from streamkit.errors import ConfigError, ServerError
from streamkit.lab.arguments import check_number
from streamkit.lab.audit.process import Command
from streamkit.lab.audit.room import Room, group_of, process_of
from streamkit.lab.client.connections import public_url
from streamkit.presets import preset as preset_of
from streamkit.reasons import masked
from streamkit.serving.listener import free_port
from streamkit.serving.server import Server, serve

if TYPE_CHECKING:
    from sanic import Sanic

__all__ = ["Gateway", "RunningGateway"]

TEXT: Final = "text"
"""The client's format that is no provider's: text/plain."""
RELAY_FORMATS: Final = (TEXT, "streamkit", "streamkit-ndjson")
ACCEPTS: Final = {TEXT: "text/plain", "streamkit": "text/event-stream", "streamkit-ndjson": "application/x-ndjson"}
CONNECT_S: Final = 0.5
POLL_S: Final = 0.05


@dataclass(frozen=True, kw_only=True, repr=False)
class Gateway:
    """A gateway to audit: one that is started here (`start`, `app`), or one that runs somewhere (`url`).

        gateway = sk.experiments.Gateway(start="my-proxy --port {port} --to {upstream}", model="gpt-4o")
        print(await sk.experiments.audit(gateway))

    start           a command, which is run without a shell. `{port}` is where it has to listen on 127.0.0.1,
                    `{upstream}` the URL of our upstream without a path, `{upstream_port}` its port alone
    app             or a factory that gets the upstream's URL and returns a Sanic app; run in a process of its own
    url             or where the gateway already listens. Then `upstream_port` is where our upstream is to listen, as
                    the gateway was told, and `upstream_host` the address it binds
    preset          the wire format that the upstream speaks
    client_preset   the format in which the gateway answers; None: the same. "text": text/plain
    path            where it is asked; None: "/v1/chat/completions", or "/ans" for "text" and our relay's formats
    json, data      the request's body: JSON as text, or the fields of a form. `{prompt}` in them stands for the
                    question, `{model}` for the model; None: as the client's preset asks, or the form field chat_history
    headers         further headers, such as the gateway's own key; they are shown nowhere
    model           the model to ask for
    name            what it is called in the certificate
    start_s         how long it may take to accept connections

    Raises ConfigError for arguments that make no sense together, UnknownPreset for an unknown format.
    """

    start: str | None = None
    app: Callable[[str], Sanic[Any, Any]] | None = None
    url: str | None = None
    upstream_port: int | None = None
    upstream_host: str = "127.0.0.1"
    preset: str = "openai"
    client_preset: str | None = None
    path: str | None = None
    json: str | None = None
    data: Mapping[str, str] | None = None
    headers: Sequence[tuple[str, str]] = ()
    model: str = "scripted"
    name: str = ""
    start_s: float = 60.0

    def __post_init__(self) -> None:
        given = [name for name in ("start", "app", "url") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"expected one of start, app and url, got {' and '.join(given) or 'none'}")
        if self.url is not None and (not self.upstream_port or "://" not in self.url):
            raise ConfigError(
                "expected a full URL as url, and as upstream_port the port where the gateway looks for its upstream"
            )
        if self.start is not None and "{port}" not in self.start:
            raise ConfigError("expected {port} in the command, in place of the port where the gateway has to listen")
        if self.json is not None and self.data is not None:
            raise ConfigError("expected json or data, got both")
        check_number("start_s", self.start_s, "seconds", zero=False)
        preset_of(self.preset)
        if self.speaks != TEXT:
            preset_of(self.speaks)

    def __repr__(self) -> str:
        return f"<Gateway {self.label}: {self.speaks} before {self.preset}>"  # keys stand in commands, URLs and bodies

    @property
    def speaks(self) -> str:
        """The format of its answers: a preset's name, or "text"."""
        return self.client_preset or self.preset

    @property
    def label(self) -> str:
        """What it is called; for a command only its first word, as the others may hold keys."""
        if self.name:
            return self.name
        if self.start is not None:
            return shlex.split(self.start)[0].rpartition("/")[2]
        if self.url is not None:
            return public_url(self.url)
        return str(getattr(getattr(self.app, "func", self.app), "__name__", "app"))

    @property
    def secrets(self) -> list[str]:
        """The values of its headers, whole and without the scheme before a key, to be masked."""
        return [word for _, value in self.headers for word in (value, value.rpartition(" ")[2])]

    def request(self, question: str) -> dict[str, Any]:
        """The options of `record()` that ask this question."""
        headers = {name.lower(): value for name, value in self.headers}
        accept = ACCEPTS.get(self.speaks)
        if accept:
            headers.setdefault("accept", accept)
        reads = {} if self.speaks == TEXT else {"preset": self.speaks}
        if self.json is not None:
            headers.setdefault("content-type", "application/json")
            quoted = {"prompt": json.dumps(question)[1:-1], "model": json.dumps(self.model)[1:-1]}
            return {"content": _filled(self.json, quoted).encode(), "headers": headers, **reads}
        if self.data is not None or self.speaks in RELAY_FORMATS:
            fields = self.data or {"chat_history": "{prompt}"}
            words = {"prompt": question, "model": self.model}
            return {"data": {name: _filled(value, words) for name, value in fields.items()}, "headers": headers} | reads
        asked = preset_of(self.speaks).request(question, model=self.model)
        return {"content": asked.content, "headers": {**asked.headers, **headers}, "params": asked.params, **reads}

    @property
    def where(self) -> str:
        """The path that is asked."""
        return self.path or ("/ans" if self.speaks in RELAY_FORMATS else "/v1/chat/completions")

    @contextlib.asynccontextmanager
    async def running(self, upstream: str) -> AsyncIterator[RunningGateway]:
        """Run it, if it is to be started here, and keep it accepting connections while the block runs.

        What was started is gone after the block. Raises ServerError if it does not start, with the end of what it said.
        """
        if self.url is not None:
            yield RunningGateway(self.url.rstrip("/") + (self.path or ""), None)
        elif self.app is not None:
            async with contextlib.AsyncExitStack() as stack:
                server = await asyncio.to_thread(serve, partial(self.app, upstream), process=True, grace_s=0)
                stack.push_async_callback(asyncio.to_thread, server.stop, 0)
                yield RunningGateway(server.url + self.where, _room_of(server))
        else:
            port = free_port()
            words = {"port": str(port), "upstream": upstream, "upstream_port": upstream.rpartition(":")[2]}
            words_of = [_filled(word, words) for word in shlex.split(self.start or "")]
            async with Command(words_of).running() as command:
                await _accepts(port, command, self.start_s)
                url = f"http://127.0.0.1:{port}{self.where}"
                yield RunningGateway(url, Room(partial(group_of, command.pid)), command)


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that runs: where it is asked, the memory of what we started, and what it said lately."""

    url: str
    room: Room | None
    command: Command | None = None

    def said(self, secrets: Sequence[str] = ()) -> str:
        """The end of its log, masked; "" where it is not ours to read."""
        if self.command is None:
            return ""
        lines = self.command.said.splitlines()[-12:]
        return "\n".join(filter(None, (masked(line, secrets) for line in lines)))


def _room_of(server: Server) -> Room | None:
    return None if server.process is None else Room(partial(process_of, server.process.pid))


def _filled(template: str, words: Mapping[str, str]) -> str:
    """By plain replacement: commands and JSON are full of braces that are none of ours."""
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template


async def _accepts(port: int, command: Command, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not await _connects(port):
                if command.ended is not None:
                    raise ServerError(
                        f"the gateway ended with status {command.ended} before it listened{_tail(command)}"
                    )
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise ServerError(
            f"the gateway accepted no connection on port {port} within {within_s:g} s (start_s){_tail(command)}"
        ) from None


async def _connects(port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _tail(command: Command) -> str:
    said = RunningGateway("", None, command).said()
    return f"; it said:\n{said}" if said else ", and said nothing"
