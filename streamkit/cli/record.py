"""`streamkit record`: one streamed answer, shown as it comes, and kept."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from streamkit.cli.arguments import above_zero, codings, count, pair, path, text
from streamkit.cli.output import (
    STREAMS_HEAD,
    check_file,
    check_picture,
    draw,
    end_line,
    keep,
    note,
    show,
    silence,
    stays,
    stream_line,
)
from streamkit.cli.request import add_label, add_request, check_url, has, json_or_file, request_of
from streamkit.cli.stopping import INTERRUPTED, stoppable
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["add_record"]

DEFAULT_ATTEMPTS = 5
STDIN = "-"
SIDE_BY_SIDE_AT_MOST = 20
"""So many recordings a timeline shows."""


def add_record(commands: Any) -> None:
    record = commands.add_parser(
        "record",
        help="POST to a streaming endpoint, show and keep what came, and when",
        description="POST to a streaming endpoint, show and keep what came, and when. The text of the answer goes to "
        "stdout, everything else to stderr. Exit status: 0 for a complete answer, 1 for any other, 2 for a wrong "
        "argument, 130 for Ctrl-C, 143 for SIGTERM.",
    )
    record.add_argument("url", metavar="URL", help="http://, https:// or http+unix://%%2Fpath%%2Fof.sock/…")
    body = record.add_mutually_exclusive_group()
    body.add_argument(
        "--data",
        metavar="NAME=VALUE",
        action="append",
        type=pair,
        help="a form field; may be repeated, with the same name too",
    )
    body.add_argument(
        *("--json", "--body"),
        metavar="JSON",
        type=json_or_file,
        help="a JSON body: any value, sent as it is written; '@FILE' reads it from a file, '@-' from stdin",
    )
    body.add_argument(
        "--prompt",
        metavar="TEXT",
        type=text,
        help="or what to ask: sent as the form field chat_history, or as the provider of --preset wants it",
    )
    body.add_argument(
        "--upload",
        metavar="FILE",
        help="a file as the body, '-' for stdin: sent while the answer is read (--kind upload draws it)",
    )
    add_request(record)
    add_label(record)
    encoding = record.add_mutually_exclusive_group()
    encoding.add_argument(
        "--accept-encoding",
        metavar="CODINGS",
        type=codings,
        help="the content codings to ask for, such as 'gzip, br' (default: identity, which is none)",
    )
    encoding.add_argument(
        "--like-browser",
        dest="accept_encoding",
        action="store_const",
        const="browser",
        help="ask for the codings that browsers ask for (gzip, deflate, br, zstd): a proxy that compresses keeps text "
        "back from them, but not from clients that ask for none",
    )
    record.add_argument("--model", metavar="NAME", help="with --prompt and --preset: which of its models to ask for")
    reading = record.add_mutually_exclusive_group()
    reading.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    reading.add_argument(
        "--text",
        metavar="PATH",
        dest="preset",
        type=path,
        help="where the text stands in each event, such as 'choices[0].delta.content'",
    )
    record.add_argument("--bytes-per-s", type=above_zero, metavar="N", help="read no faster than this")
    record.add_argument("--events-per-s", type=above_zero, metavar="N", help="take no more events than this")
    record.add_argument(
        "--timeout-s",
        type=above_zero,
        metavar="S",
        help="the longest silence: to connect, to send, and between two reads of the answer (default: 300, to connect "
        "10). An endless stream that never falls silent goes on: --total-s ends that",
    )
    record.add_argument(
        "--total-s", type=above_zero, metavar="S", help="all of it, from the call to the end (default: no limit)"
    )
    record.add_argument(
        "--resume",
        type=count,
        nargs="?",
        const=DEFAULT_ATTEMPTS,
        metavar="N",
        help="if the stream is cut, ask again as browsers do (Last-Event-ID), up to N times in a row without a new "
        f"event (default: {DEFAULT_ATTEMPTS})",
    )
    record.add_argument(
        "--max-events", type=count, metavar="N", help="hang up after this many events (default: a million)"
    )
    record.add_argument(
        "--max-event-bytes", type=count, metavar="N", help="hang up at a line or an event longer than this"
    )
    record.add_argument(
        "--repeat",
        type=count,
        metavar="N",
        help="ask N times, one after the other: a line for each on stdout, and no text; then their numbers as one set, "
        "which --out saves",
    )
    record.add_argument("--out", type=Path, metavar="FILE", help="save the recording (JSON Lines)")
    record.add_argument("--plot", type=Path, metavar="FILE", help="draw the timeline (.png, .svg, .pdf)")
    record.set_defaults(command=_record)


@stoppable
def _record(arguments: argparse.Namespace) -> int:
    check_url(arguments.url)
    if arguments.out is not None:
        check_file(arguments.out)
    if arguments.plot is not None:
        check_picture(arguments.plot)
    if arguments.upload == STDIN and (arguments.repeat or arguments.user):
        raise ConfigError("expected a file to --upload with --repeat or --user, got stdin, which can be read only once")
    request = _request(arguments)
    return _record_once(arguments, request) if arguments.repeat is None else _record_often(arguments, request)


# --- Once -----------------------------------------------------------------------------------------------------------


def _record_once(arguments: argparse.Namespace, request: dict[str, Any]) -> int:
    shown = _Shown(needed=arguments.out is not None or arguments.plot is not None)
    recording, interrupted = _recorded(arguments, request, shown.show)
    shown.end()
    _tell(recording)
    if arguments.out is not None:
        keep(recording, arguments.out)
    if arguments.plot is not None and not stays(recording, arguments.plot):
        draw([recording], "timeline", arguments.plot)
    if interrupted:
        return INTERRUPTED
    return 0 if recording.outcome.ok else 1


def _tell(recording: Recording) -> None:
    """What is said of it at the end, beside its text."""
    note(f"\n{recording.summary()}")
    if (found := recording.diagnose()).cause != "none":
        note(f"\n{found}")


class _Shown:
    """What goes to stdout, piece by piece. Where nobody reads any more, what is `needed` is still recorded."""

    def __init__(self, *, needed: bool) -> None:
        self._needed = needed
        self._last = ""

    def show(self, text: str) -> None:
        self._last = text or self._last
        with self._read_or_needed():
            show(text)

    def end(self) -> None:
        with self._read_or_needed():
            end_line(self._last)

    @contextlib.contextmanager
    def _read_or_needed(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            if not self._needed:
                raise
            silence()


# --- Often ----------------------------------------------------------------------------------------------------------


def _record_often(arguments: argparse.Namespace, request: dict[str, Any]) -> int:
    shown = _Shown(needed=arguments.out is not None or arguments.plot is not None)
    recordings: list[Recording] = []
    interrupted = False
    try:
        shown.show(f"{STREAMS_HEAD}\n")
        while len(recordings) < arguments.repeat and not interrupted:
            recording, interrupted = _recorded(arguments, request, None)
            recordings.append(recording)
            shown.show(f"{stream_line(recording)}\n")
    except KeyboardInterrupt:
        if not recordings:
            raise
        interrupted = True
    _keep_all(arguments, recordings)
    if interrupted:
        return INTERRUPTED
    return 0 if all(recording.outcome.ok for recording in recordings) else 1


def _keep_all(arguments: argparse.Namespace, recordings: list[Recording]) -> None:
    """Their numbers, and the files that are wanted of them."""
    from streamkit.lab.sets import RecordingSet

    streams = RecordingSet(recordings)
    note(f"\n{streams.summary()}")
    answered = any(recording.outcome.name != "refused" for recording in recordings)
    if arguments.out is not None and (answered or not stays(recordings[-1], arguments.out)):
        streams.save(arguments.out)
        note(f"recordings: {arguments.out.resolve()}")
    if arguments.plot is not None and (answered or not stays(recordings[-1], arguments.plot)):
        draw(streams, "timeline" if len(recordings) <= SIDE_BY_SIDE_AT_MOST else "load", arguments.plot)


# --- What is asked --------------------------------------------------------------------------------------------------


def _recorded(
    arguments: argparse.Namespace, request: dict[str, Any], on_piece: Callable[[str], None] | None
) -> tuple[Recording, bool]:
    """The recording, and whether it ended by Ctrl-C: then it is what had come by then."""
    from streamkit.lab.client.kept import last_recording
    from streamkit.lab.client.record import record

    try:
        with _upload(arguments.upload) as content:
            sent: dict[str, Any] = {} if content is None else {"content": content}
            return asyncio.run(record(arguments.url, on_piece=on_piece, **request, **sent)), False
    except KeyboardInterrupt as error:
        if (kept := last_recording(of=error)) is None:
            raise
        return kept, True


def _upload(given: str | None) -> contextlib.AbstractContextManager[BinaryIO | None]:
    """The file to be sent; None: none is. Raises ConfigError where it cannot be read."""
    if given is None or given == STDIN:
        return contextlib.nullcontext(None if given is None else sys.stdin.buffer)
    try:
        return Path(given).open("rb")
    except OSError as error:
        raise ConfigError(f"expected a file that can be read to --upload, got {given}: {error.strerror}") from None


def _ask(request: dict[str, Any], arguments: argparse.Namespace) -> None:
    """The prompt in it, as it is sent. Headers that are given take the place of the provider's."""
    from streamkit.presets import preset

    if not isinstance(arguments.preset, str):
        request["data"] = {"chat_history": arguments.prompt}
        return
    asked = preset(arguments.preset).request(arguments.prompt, model=arguments.model)
    request["content"] = asked.content
    given = {"accept": arguments.accept, "accept-encoding": arguments.accept_encoding}
    request["headers"] += [
        (name, value)
        for name, value in asked.headers.items()
        if given.get(name.lower()) is None and not has(request["headers"], name.lower())
    ]
    if asked.params:
        request["params"] = asked.params


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `record()` is told; what is not given is left to it."""
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.resume import Resume

    request = request_of(arguments, arguments.json, [arguments.url])
    if arguments.model is not None and (arguments.prompt is None or not isinstance(arguments.preset, str)):
        raise ConfigError("expected --prompt and --preset with --model: it is part of how a provider is asked")
    if arguments.prompt is not None:
        _ask(request, arguments)
    given: dict[str, Any] = {
        "accept_encoding": arguments.accept_encoding,
        "timeout": arguments.timeout_s,
        "max_events": arguments.max_events,
        "max_event_bytes": arguments.max_event_bytes,
    }
    if arguments.upload is not None and not has(request["headers"], "content-type"):
        kind, _ = guess_type(arguments.upload)
        request["headers"].append(("content-type", kind or "application/octet-stream"))
    if arguments.bytes_per_s is not None or arguments.events_per_s is not None:
        given["reader"] = Reader(bytes_per_s=arguments.bytes_per_s, events_per_s=arguments.events_per_s)
    if arguments.resume is not None:
        given["resume"] = Resume(attempts=arguments.resume)
    return {**request, **{name: value for name, value in given.items() if value is not None}}
