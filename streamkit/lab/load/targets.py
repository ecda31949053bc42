"""What a load asks: a Lab, a URL, or a function; how each is asked, and which processes can be watched along it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

import httpx2

from streamkit.lab.arguments import check_whole
from streamkit.lab.client.connections import public_url
from streamkit.lab.client.record import record
from streamkit.lab.lab import Lab
from streamkit.lab.load.watching import LoopHere, Process, ServerLoop, Watched
from streamkit.lab.recording.recording import Recording
from streamkit.presets import preset as preset_of
from streamkit.taps import STREAM_ID_HEADER, new_stream_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from streamkit.lab.load.mix import Prompt, Visit
    from streamkit.presets import Preset

__all__ = ["BODIES", "Pids", "Target", "TargetLike", "target_of"]

Pids: TypeAlias = int | Mapping[str, int]
"""Of processes to be watched: the server's, or several by name."""

BODIES: Final = frozenset(("content", "data", "files", "json"))
MAX_JOINED: Final = 1000
"""So many streams' taps are joined: a scripted upstream remembers no more."""
JOIN_WAIT_S: Final = 0.5


class Target(Protocol):
    """Who is asked, and how."""

    name: str
    descriptors: int
    """How many of this process's a stream takes."""

    def opened(self) -> AbstractAsyncContextManager[object]:
        """As long as it is asked."""

    async def ask(self, visit: Visit) -> Recording:
        """Send one request and record its answer."""

    async def joined(self, recordings: list[Recording]) -> list[Recording]:
        """What the servers saw of them joined to them, when all have ended."""

    def watched(self) -> list[Watched]:
        """What can be watched of it, this process and the load's own loop included."""


TargetLike: TypeAlias = Lab | str | Callable[[int, "Visit"], Awaitable[Recording]]


def target_of(given: Any, options: dict[str, Any], *, taps: bool, pids: Pids | None) -> Target:
    """The target that `sk.load` was given. Raises TypeError for what is none, ValueError for a URL that is not whole,
    UnknownPreset.
    """
    others = _others(pids)
    if isinstance(given, Lab):
        return LabTarget(given, options, taps, others)
    if isinstance(given, str):
        return UrlTarget(given, options, others)
    if callable(given):
        if options:
            names = ", ".join(options)
            raise TypeError(f"expected no options of record() beside a function, which records itself, got {names}")
        return FunctionTarget(given, others)
    raise TypeError(
        "expected a Lab, a URL or an async function (n, visit) -> Recording as the target of a load, got "
        f"{given!r} ({type(given).__name__})"
    )


class UrlTarget:
    """A server that runs somewhere: asked by a form, or as a provider is, where its preset is given."""

    descriptors = 1

    def __init__(self, url: str, options: dict[str, Any], others: list[Watched]) -> None:
        parts = urlsplit(url)
        if not parts.scheme or not parts.netloc:
            raise ValueError(f"expected a full URL such as 'http://127.0.0.1:8000/ans', got {url!r}")
        self.name = public_url(url)
        self.url = url
        self._others = others
        self.options = dict(options)
        self._options = dict(options)
        model = self._options.pop("model", None)
        self._asked: Callable[[Prompt], dict[str, Any]]
        if BODIES & self._options.keys():
            self._asked = _as_given
        elif (spoken := self._options.get("preset")) is not None:
            self._asked = partial(_as_provider, preset_of(spoken), model)
        else:
            self._asked = _as_form

    def opened(self) -> AbstractAsyncContextManager[object]:
        return contextlib.nullcontext()

    async def ask(self, visit: Visit) -> Recording:
        return await record(self.url, **_merged(self._options, self._asked(visit.prompt)), **visit.options)

    async def joined(self, recordings: list[Recording]) -> list[Recording]:
        return recordings

    def watched(self) -> list[Watched]:
        return [LoopHere("client", whole_process=True), *self._others]


class LabTarget:
    """A Lab: each stream has an id, by which what upstream and relay saw of it is found in the end."""

    def __init__(self, lab: Lab, options: dict[str, Any], taps: bool, others: list[Watched]) -> None:
        self.name = repr(lab)
        self.descriptors = 1 if lab.roles == "processes" else 4  # with both ends of both hops
        self._lab = lab
        self._options = {"gauge_ms": 0, **options}  # a crowd's gauges cost more than their picture is worth
        self._given_headers = self._options.pop("headers", None)
        self._others = others
        self._taps = taps
        self._ids: dict[int, str] = {}  # by the recording's number

    def opened(self) -> AbstractAsyncContextManager[object]:
        return self._lab.open()

    async def ask(self, visit: Visit) -> Recording:
        asked = _merged({**self._options, "headers": self._given_headers}, _as_fields(visit.prompt))
        headers = [*(asked.pop("headers") or []), (STREAM_ID_HEADER.encode(), new_stream_id().encode())]
        return await self._lab.post(headers=headers, taps_wait_s=None, **asked, **visit.options)

    async def joined(self, recordings: list[Recording]) -> list[Recording]:
        if not self._taps or len(recordings) > MAX_JOINED:
            return recordings
        joined = []
        for recording in recordings:
            stream_id = recording.headers.get(STREAM_ID_HEADER)
            joined.append(recording if stream_id is None else await self._lab.join(recording, stream_id, JOIN_WAIT_S))
        return joined

    def watched(self) -> list[Watched]:
        servers = {"relay": self._lab.relay, "upstream": self._lab.upstream}
        running = {name: server for name, server in servers.items() if server is not None}
        elsewhere = [Process(name, server.process.pid) for name, server in running.items() if server.process]
        threads = [ServerLoop(name, server.loop) for name, server in running.items() if server.loop is not None]
        if self._lab.roles == "processes":
            return [LoopHere("client", whole_process=True), *elsewhere, *self._others]
        return [
            Process("all in one process", os.getpid()),
            LoopHere("client", whole_process=False),
            *threads,
            *self._others,
        ]


class FunctionTarget:
    """A function of the caller's, that records in a way of its own."""

    descriptors = 1

    def __init__(self, function: Callable[[int, Visit], Awaitable[Recording]], others: list[Watched]) -> None:
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self._function = function
        self._others = others

    def opened(self) -> AbstractAsyncContextManager[object]:
        return contextlib.nullcontext()

    async def ask(self, visit: Visit) -> Recording:
        called = self._function(visit.n, visit)
        if not hasattr(called, "__await__"):
            raise TypeError(f"expected an async function (n, visit) -> Recording as the target, got {self._function!r}")
        recording = await called
        if not isinstance(recording, Recording):
            raise TypeError(
                f"expected the target to return a Recording, got {recording!r} ({type(recording).__name__})"
            )
        return _told_apart(recording, visit)

    async def joined(self, recordings: list[Recording]) -> list[Recording]:
        return recordings

    def watched(self) -> list[Watched]:
        return [LoopHere("client", whole_process=True), *self._others]


def _told_apart(recording: Recording, visit: Visit) -> Recording:
    """With its labels and its due time, where the function has not passed them on."""
    labels = {**visit.labels, **recording.labels}
    due_ns = recording.due_ns
    if due_ns is None and visit.due_ns is not None:
        due_ns = visit.due_ns - recording.started_ns
    if labels == recording.labels and due_ns == recording.due_ns:
        return recording
    return replace(recording, labels=labels, due_ns=due_ns)


# --- How a prompt becomes a request ---------------------------------------------------------------------------------


def _as_given(prompt: Prompt) -> dict[str, Any]:
    """The body is among the options: a text beside it would be lost."""
    return {} if isinstance(prompt, str) else dict(prompt)


def _as_form(prompt: Prompt) -> dict[str, Any]:
    return {"data": {"chat_history": prompt}} if isinstance(prompt, str) else dict(prompt)


def _as_fields(prompt: Prompt) -> dict[str, Any]:
    return {"chat_history": prompt} if isinstance(prompt, str) else dict(prompt)


def _as_provider(preset: Preset, model: str | None, prompt: Prompt) -> dict[str, Any]:
    if not isinstance(prompt, str):
        return dict(prompt)
    asked = preset.request(prompt, model=model)
    return {"content": asked.content, "headers": asked.headers, "params": asked.params or None}


def _merged(options: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Both; of headers those of either, but of one name the caller's alone, however often."""
    own = httpx2.Headers(options.get("headers"))
    others = [field for field in httpx2.Headers(asked.get("headers")).raw if field[0].decode("ascii") not in own]
    return {**options, **asked, "headers": [*others, *own.raw] or None}  # raw: as they are spelt


def _others(pids: Pids | None) -> list[Watched]:
    named = {} if pids is None else {"server": pids} if isinstance(pids, int) else dict(pids)
    for name, pid in named.items():
        check_whole(f"the process id of {name}", pid, least=1)
    return [cast("Watched", Process(name, pid)) for name, pid in named.items()]
