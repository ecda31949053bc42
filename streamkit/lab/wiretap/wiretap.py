"""Wiretap: a proxy between any client and any server that records what passes.

    with sk.Wiretap("http://127.0.0.1:8000", port=9000) as tap:
        ...                                  # whatever client, pointed at tap.url instead of the server
        tap.recordings.summary()

Bytes are carried as by a `sk.net.Link`, with the back-pressure of both sides. A `Conversation` looks at what each
connection carries, on the loop that carries it. All that is kept is bounded (`Shelf`), and whatever takes time (files,
listeners) is done in the `Teller`'s thread.
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
    """A proxy between any client and a server that records each answer that passes.

        with sk.Wiretap("https://api.openai.com", port=9000) as tap:
            ...                                   # OPENAI_BASE_URL=http://127.0.0.1:9000/v1
            sk.plots.timeline(tap.recordings[:20])

    target_url    the server behind it. Clients connect to the wiretap's `.url`
    host, port    where it listens; port 0 is a free one. It asks nobody who they are, so by default it listens on
                  loopback only
    rewrite_host  the client's Host header names the wiretap. True: it is replaced by the server's own name, which is
                  the only change made to any byte. None: only for https, where servers need it to know which site is
                  meant
    verify        for https: which certificates of the server are accepted, as for `sk.record`
    preset, reasoning, keep_text, keep_bytes   as for `sk.record`, but no bytes are kept by default
    max_streams   how many recordings are kept (the oldest make room), and how many streams are recorded at a time
    max_bytes     about how much memory the recordings may take, and how much the files in `folder`
    max_stream_bytes   the largest body of one answer; beyond it the recording ends as `cancelled(max_bytes)`, while the
                  answer goes on
    folder        a folder in which each recording is saved as a file
    on_recording, on_notice   called with each recording as it ends, and with each notice, in a thread of the wiretap

    It runs in a thread of its own until `stop()`, the end of its `with` (or `async with`) block, or until it is
    garbage-collected. Bytes pass untouched in both directions, at the pace of both sides: a client that does not read
    holds the server back as it would without a wiretap. It sees requests and answers of HTTP/1.1, any number on one
    connection. Anything else (another protocol after an Upgrade, CONNECT, HTTP/2, broken framing) passes too, but
    unseen, and `notices` say so.

    Each answer becomes a `Recording`. Its reads are those from the server; its times count from the first byte of the
    request, and those shown from when the request's last byte had been passed on. Its `label` is the method and the
    path. Queries, credentials, cookies and the request's body are not recorded; for an upload, `sends` says when each
    part had been passed on, and for how long the server took none. An answer that the client did not wait for is
    `cancelled`, one that the server did not end is `truncated`. If the client took nothing for a while, and so held the
    server back, `meta["client_held_ms"]` and a note say so.

    Raises ValueError for an invalid URL or number, UnknownPreset, ConfigError for certificates that cannot be read,
    OSError for a folder that cannot be made, ServerError if it cannot listen.
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
        """The recordings of all answers that have ended and are still kept, in the order in which they began.

        tap.recordings.by("label")
        """
        if self.running:
            self._runner.call(_nothing)  # behind what the loop does now: the client may be told faster than we are
        return RecordingSet(self._party.shelf.recordings)

    @property
    def finished(self) -> int:
        """How many answers have been recorded, including those that are no longer kept."""
        return self._party.shelf.finished

    @property
    def unrecorded(self) -> int:
        """How many answers passed unrecorded because there was no room."""
        return self._party.unrecorded

    @property
    def untold(self) -> int:
        """How many recordings and notices were neither saved nor passed to listeners, which were too slow."""
        return self._party.teller.untold

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks about what is in no recording, such as connections that could not be read, and why; the newest
        thousand.
        """
        return tuple(self._party.notices)

    def stop(self, grace_s: float = 0.0) -> None:
        """Stop listening, give live connections `grace_s` seconds to end by themselves, cut the rest.

        Streams that are cut are recorded as `cancelled(by us)`. When it returns, everything has been saved and passed
        to listeners.
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
