"""`streamkit record`: one streamed answer, shown as it comes, and kept."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from streamkit.cli.arguments import above_zero, codings, count, folded, header, json_text, media_type, pair, path
from streamkit.cli.output import INTERRUPTED, check_file, check_picture, draw, keep, show, silence, stays
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["add_record"]

DEFAULT_ATTEMPTS = 5


def add_record(commands: Any) -> None:
    record = commands.add_parser(
        "record",
        help="POST to a streaming endpoint, show and keep what came, and when",
        description="POST to a streaming endpoint, show and keep what came, and when. Exit status: 0 for a complete "
        "answer, 1 for any other, 2 for a mistake in what was given, 130 for Ctrl-C.",
    )
    record.add_argument("url", metavar="URL", help="http://, https:// or http+unix://%%2Fpath%%2Fof.sock/…")
    body = record.add_mutually_exclusive_group()
    body.add_argument(
        "--data", metavar="NAME=VALUE", action="append", type=pair, help="a form field; may be repeated, names too"
    )
    body.add_argument("--json", metavar="JSON", type=json_text, help="a JSON body: any value, sent as it is written")
    body.add_argument(
        "--upload",
        metavar="FILE",
        help="a file as the body, '-' for stdin: sent while the answer is read (--kind upload draws it)",
    )
    record.add_argument(
        "--header", metavar="NAME:VALUE", action="append", type=header, help="may be repeated, names too"
    )
    record.add_argument("--accept", metavar="TYPE", type=media_type, help="text, sse, ndjson, or a media type")
    record.add_argument(
        "--cacert",
        metavar="FILE",
        help="certificates (PEM) of those who may vouch for the server, instead of the system's; 'env': those that "
        "SSL_CERT_FILE or SSL_CERT_DIR names, which are not looked at otherwise",
    )
    encoding = record.add_mutually_exclusive_group()
    encoding.add_argument(
        "--accept-encoding",
        metavar="CODINGS",
        type=codings,
        help="the content codings to ask for, as 'gzip, br' (default: identity, that is none)",
    )
    encoding.add_argument(
        "--like-browser",
        dest="accept_encoding",
        action="store_const",
        const="browser",
        help="ask for the codings that browsers ask for (gzip, deflate, br, zstd): a proxy that compresses keeps text "
        "back from them, and not from who asks for none",
    )
    reading = record.add_mutually_exclusive_group()
    reading.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    reading.add_argument(
        "--text",
        metavar="PATH",
        dest="preset",
        type=path,
        help="where the text stands in each event, as 'choices[0].delta.content'",
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
        help="ask again where the stream is cut, as browsers do (Last-Event-ID), up to N times in a row without a new "
        f"event (default: {DEFAULT_ATTEMPTS})",
    )
    record.add_argument(
        "--max-events", type=count, metavar="N", help="hang up behind so many events (default: a million)"
    )
    record.add_argument(
        "--max-event-bytes", type=count, metavar="N", help="hang up at a line or an event that is longer"
    )
    record.add_argument("--out", type=Path, metavar="FILE", help="save the recording (JSON Lines)")
    record.add_argument("--plot", type=Path, metavar="FILE", help="draw the timeline (.png, .svg, .pdf)")
    record.set_defaults(command=_record)


def _record(arguments: argparse.Namespace) -> int:
    from streamkit.transport.url import split_unix_url

    split_unix_url(arguments.url)  # says what is wrong with it
    if arguments.out is not None:
        check_file(arguments.out)
    if arguments.plot is not None:
        check_picture(arguments.plot)
    recording, interrupted = _recorded(arguments)
    print(f"\n\n{recording.summary()}")
    if (found := recording.diagnose()).cause != "none":
        print(f"\n{found}")
    if arguments.out is not None:
        keep(recording, arguments.out)
    if arguments.plot is not None and not stays(recording, arguments.plot):
        draw([recording], "timeline", arguments.plot)
    if interrupted:
        return INTERRUPTED
    return 0 if recording.outcome.ok else 1


def _recorded(arguments: argparse.Namespace) -> tuple[Recording, bool]:
    """The recording, and whether it ended by Ctrl-C: then it is what had come by then."""
    from streamkit.lab.client.kept import last_recording
    from streamkit.lab.client.record import record

    try:
        with _upload(arguments.upload) as content:
            sent: dict[str, Any] = {} if content is None else {"content": content}
            asked = record(arguments.url, on_piece=_shown(arguments), **_request(arguments), **sent)
            return asyncio.run(asked), False
    except KeyboardInterrupt as error:
        if (kept := last_recording(of=error)) is None:
            raise
        return kept, True


def _upload(given: str | None) -> contextlib.AbstractContextManager[BinaryIO | None]:
    """The file to be sent; None: none is. Raises ConfigError where it cannot be read."""
    if given is None or given == "-":
        return contextlib.nullcontext(None if given is None else sys.stdin.buffer)
    try:
        return Path(given).open("rb")
    except OSError as error:
        raise ConfigError(f"expected a file that can be read to --upload, got {given}: {error.strerror}") from None


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `record()` is told; what is not given is left to it."""
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.resume import Resume

    headers = list(arguments.header or ())
    given: dict[str, Any] = {
        "accept": arguments.accept,
        "accept_encoding": arguments.accept_encoding,
        "preset": arguments.preset,
        "verify": arguments.cacert,
        "timeout": arguments.timeout_s,
        "total_s": arguments.total_s,
        "max_events": arguments.max_events,
        "max_event_bytes": arguments.max_event_bytes,
    }
    if arguments.data:
        given["data"] = folded(arguments.data)
    if arguments.json is not None:
        given["content"] = arguments.json
        if all(name.lower() != "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json"))
    if arguments.upload is not None and all(name.lower() != "content-type" for name, _ in headers):
        kind, _ = guess_type(arguments.upload)
        headers.append(("content-type", kind or "application/octet-stream"))
    if arguments.bytes_per_s is not None or arguments.events_per_s is not None:
        given["reader"] = Reader(bytes_per_s=arguments.bytes_per_s, events_per_s=arguments.events_per_s)
    if arguments.resume is not None:
        given["resume"] = Resume(attempts=arguments.resume)
    return {"headers": headers, **{name: value for name, value in given.items() if value is not None}}


def _shown(arguments: argparse.Namespace) -> Any:
    """What is done with each piece of text. Where nobody reads any more, what is to be kept is still recorded."""

    def showing(text: str) -> None:
        try:
            show(text)
        except BrokenPipeError:
            if arguments.out is None and arguments.plot is None:
                raise
            silence()

    return showing
