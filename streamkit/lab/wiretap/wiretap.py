"""Wiretap: stands between any client and any server, and records what passes.

    with sk.Wiretap("http://127.0.0.1:8000", port=9000) as tap:
        ...                                  # whatever client, pointed at tap.url instead of the server
        tap.recordings.summary()

What is carried is carried as by a `sk.net.Link`, byte by byte and with its back-pressure; what a connection carries is
looked at by its `Conversation`, on the loop that carries it. All that is kept is bounded (`Shelf`), and all that takes
time (files, listeners) is done by the `Teller`'s thread.
"""

from __future__ import annotations

import itertools
from collections import deque
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streamkit.lab.arguments import check_listener, check_whole
from streamkit.lab.client.connections import public_url
from streamkit.lab.client.looplag import LoopLag, watch_loop
from streamkit.lab.client.record import secrets_of
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.net.link import Destination, Passage
from streamkit.lab.sets import RecordingSet
from streamkit.lab.wiretap.conversation import Conversation
from streamkit.lab.wiretap.folder import Folder
from streamkit.lab.wiretap.requests import PassingRequest
from streamkit.lab.wiretap.shelf import Shelf
from streamkit.lab.wiretap.teller import Teller
from streamkit.presets import preset as preset_of
from streamkit.transport.tls import ssl_context

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import PresetLike
    from streamkit.transport.tls import Verify

__all__ = ["MAX_BYTES", "MAX_STREAMS", "Wiretap"]

MAX_STREAMS: Final = 1_000
MAX_BYTES: Final = 256 << 20
MAX_STREAM_BYTES: Final = 16 << 20
MAX_NOTICES: Final = 1_000
LONGEST_PATH: Final = 80
"""Characters of a path that stand in a label."""
LONGEST_TARGET: Final = 2_000
TELL_S: Final = 10.0
PLAIN_HEADERS: Final = frozenset(
    (
        *("accept-charset", "cache-control", "connection", "content-length", "host", "incremental", "keep-alive"),
        *("pragma", "priority", "te", "transfer-encoding", "upgrade"),
    )
)
"""Of a request: no secret stands in them, and words of theirs may stand in any message."""


class Wiretap(Passage):
    """Stands between whoever connects to `.url` and `target_url`, and records each answer that passes.

        with sk.Wiretap("https://api.openai.com", port=9000) as tap:
            ...                                   # OPENAI_BASE_URL=http://127.0.0.1:9000/v1
            sk.plots.timeline(tap.recordings[:20])

    It runs in a thread of its own, until `stop()` or until it is collected; a context manager, also with `async with`.
    The bytes pass untouched, in both directions, at the pace of both sides: a client that does not read holds the
    server back as it would without a tap. What is seen are requests and answers of HTTP/1.1, any number on one
    connection. What is none (another protocol behind an Upgrade, CONNECT, HTTP/2, broken framing) passes too, unseen,
    and `notices` say so.

    Each answer is a `Recording`, of which times count from the first byte of its request, those that are shown from
    when its last byte had gone on. Reads are those from the server. Its `label` is the method and the path; a query,
    credentials and cookies are in none of it, nor is the request's body; of an upload, `sends` say when each part had
    gone on, and for how long the server took none. An answer that the client did not wait for is
    `cancelled`, one that a server did not end `truncated`, as everywhere. A client that took nothing for a while held
    the server back by that: `meta["client_held_ms"]`, and a note.

    host, port   where it listens; 0: a free port. It asks nobody who they are, so it listens on loopback by default
    rewrite_host what the client wrote as Host is the tap's own address. True: the server sees its own name there, the
                 one change that is made to any byte; None: for https, where servers are told apart by it
    verify       for https: whose certificates the server may have, as for `sk.record`
    preset, reasoning, keep_text, keep_bytes   as for `sk.record`; no bytes are kept by default
    max_streams  the most recordings that are kept; the oldest make room. So many are recorded at a time
    max_bytes    about how much memory all of them may take; the same bound holds for the files in `folder`
    max_stream_bytes   of one answer's body; beyond it, its recording ends as `cancelled(max_bytes)`, and it goes on
    folder       where each recording is saved as a file of its own
    on_recording, on_notice   called with each recording as it ends, and each notice, in a thread of the tap's

    Raises ValueError for a URL or a number that makes no sense, UnknownPreset, ConfigError for certificates that cannot
    be read, OSError for a folder that cannot be made, ServerError where it cannot listen.
    """

    _kind = "wiretap"

    def __init__(
        self,
        target_url: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rewrite_host: bool | None = None,
        verify: Verify = True,
        preset: PresetLike | None = None,
        reasoning: bool = False,
        keep_text: bool = True,
        keep_bytes: bool = False,
        max_streams: int = MAX_STREAMS,
        max_bytes: int = MAX_BYTES,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        folder: str | os.PathLike[str] | None = None,
        on_recording: Callable[[Recording], object] | None = None,
        on_notice: Callable[[str], object] | None = None,
    ) -> None:
        bounds = {"max_streams": max_streams, "max_bytes": max_bytes, "max_stream_bytes": max_stream_bytes}
        for name, number in bounds.items():
            check_whole(name, number, least=1)
        check_listener("on_recording", on_recording)
        check_listener("on_notice", on_notice)
        if preset is not None:
            preset_of(preset)
        target = Destination.of(target_url)
        if target.secure:
            target.tls = ssl_context(verify)
        files = None if folder is None else Folder(folder, max_files=max_streams, max_bytes=max_bytes)
        options = {
            "preset": preset,
            "reasoning": reasoning,
            "keep_text": keep_text,
            "keep_bytes": max_stream_bytes if keep_bytes else 0,
            "max_bytes": max_stream_bytes,
        }
        shelf = Shelf(max_streams=max_streams, max_bytes=max_bytes, keep_text=keep_text)
        teller = Teller(_telling(files, on_recording), on_notice, max_bytes)
        self._party = party = _Party(_base_of(target), options, shelf, teller)
        sees_own_name = target.secure if rewrite_host is None else rewrite_host
        own_name = target.authority if sees_own_name else None
        numbers = itertools.count(1)
        teller.begin()
        try:
            super().__init__(
                target,
                {"up": (), "down": ()},
                look=lambda: Conversation(party, f"connection {next(numbers)}", own_name),
                host=host,
                port=port,
                on_end=teller.end,
            )
        except BaseException:
            teller.end()
            teller.join(TELL_S)
            raise

    @property
    def recordings(self) -> RecordingSet:
        """Those of all answers that have ended and are still kept, in the order in which they were begun.

        tap.recordings.by("label")
        """
        if self.running:
            self._runner.call(_nothing)  # behind what the loop does now: the client may be told faster than we are
        return RecordingSet(self._party.shelf.recordings)

    @property
    def finished(self) -> int:
        """How many answers have been recorded, those included that are not kept any more."""
        return self._party.shelf.finished

    @property
    def unrecorded(self) -> int:
        """How many answers passed unrecorded, for want of room."""
        return self._party.unrecorded

    @property
    def untold(self) -> int:
        """How many recordings were neither saved nor told, since whoever does so was too slow; and notices."""
        return self._party.teller.untold

    @property
    def notices(self) -> tuple[str, ...]:
        """What is in no recording: connections that were not looked at any further, and why; the newest thousand."""
        return tuple(self._party.notices)

    def stop(self, grace_s: float = 0.0) -> None:
        """Listen no more, let live connections end by themselves for `grace_s` seconds, cut the rest; what runs then
        is recorded as `cancelled(by us)`, and all has been told and saved when this returns.
        """
        super().stop(grace_s)
        self._party.teller.join(TELL_S)

    def __repr__(self) -> str:
        kept = len(self._party.shelf.recordings)
        return f"<Wiretap {self._runner.state} {self._runner.address} → {self._target}: {kept:,} recordings>"


class _Party:
    """Makes the recorders of all connections, and takes their recordings. It does not know the Wiretap."""

    def __init__(self, base: str, options: dict[str, Any], shelf: Shelf, teller: Teller) -> None:
        self.shelf = shelf
        self.teller = teller
        self.unrecorded = 0
        self.notices: deque[str] = deque(maxlen=MAX_NOTICES)
        self._base = base
        self._options = options
        self._watches: dict[Recorder, tuple[AbstractContextManager[LoopLag], LoopLag]] = {}

    def recorder(self, request: PassingRequest, clock: Callable[[], int]) -> Recorder | None:
        url = self._url(request.target)
        shown = public_url(url)
        path = shown.removeprefix(self._base)
        told = [(name, value) for name, value in request.headers.items() if name not in PLAIN_HEADERS]
        recorder = Recorder(
            url=shown,
            label=f"{request.method} {path if len(path) <= LONGEST_PATH else path[: LONGEST_PATH - 1] + '…'}",
            method=request.method,
            secrets=secrets_of(url, told),
            clock=clock,
            **self._options,
        )
        if not self.shelf.begins(recorder):
            self.unrecorded += 1
            return None
        recorder.started_ns = request.begun_ns
        recorder.note("recorded_by", "wiretap")
        if (asked := request.headers.get("accept-encoding")) is not None:
            recorder.note("accept_encoding", asked)
        watch = watch_loop()
        self._watches[recorder] = watch, watch.__enter__()
        return recorder

    def grows(self, recorder: Recorder, size: int) -> bool:
        return self.shelf.grows(recorder, size)

    def ends(self, recorder: Recorder) -> None:
        watch, lag = self._watches.pop(recorder)
        watch.__exit__(None, None, None)
        recorder.loop = lag, 0

    def keep(self, recorder: Recorder, recording: Recording) -> None:
        self.teller.recording(recording, self.shelf.put(recorder, recording))

    def drop(self, recorder: Recorder) -> None:
        self.ends(recorder)
        self.shelf.drop(recorder)

    def tell(self, what: str) -> None:
        self.notices.append(what)
        self.teller.notice(what)

    def _url(self, target: str) -> str:
        """What the request asks for: a path, or a whole URL where the client believes in a proxy."""
        target = target[:LONGEST_TARGET]
        if target.startswith(("http://", "https://")):
            with suppress(ValueError):  # what only looks like one
                public_url(target)
                return target
        return f"{self._base}{'' if target.startswith('/') else '/'}{target}"


def _base_of(target: Destination) -> str:
    """Scheme and host of the target, as they stand in a recording."""
    if target.unix is not None:
        return f"http+unix://{quote(target.unix, safe='')}"
    return f"{'https' if target.secure else 'http'}://{target.authority}"


def _telling(
    files: Folder | None, listener: Callable[[Recording], object] | None
) -> Callable[[Recording], object] | None:
    """What is done with each recording: it is saved, and told."""
    if files is None:
        return listener

    def save_and_tell(recording: Recording) -> None:
        try:
            files.save(recording)
        finally:
            if listener is not None:
                listener(recording)

    return save_and_tell


def _nothing() -> None:
    """Wait for the loop, and do nothing on it."""
