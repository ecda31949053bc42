"""`streamkit record`: one streamed answer, shown as it comes, and kept."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from streamkit.cli.arguments import above_zero, count, folded, header, json_text, media_type, pair
from streamkit.cli.output import check_file, check_picture, draw, keep, show, silence, stays

__all__ = ["add_record"]


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
    record.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
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
        "--max-events", type=count, metavar="N", help="hang up behind so many events (default: a million)"
    )
    record.add_argument("--out", type=Path, metavar="FILE", help="save the recording (JSON Lines)")
    record.add_argument("--plot", type=Path, metavar="FILE", help="draw the timeline (.png, .svg, .pdf)")
    record.set_defaults(command=_record)


def _record(arguments: argparse.Namespace) -> int:
    from streamkit.lab.client.record import record
    from streamkit.transport.url import split_unix_url

    split_unix_url(arguments.url)  # says what is wrong with it
    if arguments.out is not None:
        check_file(arguments.out)
    if arguments.plot is not None:
        check_picture(arguments.plot)
    recording = asyncio.run(record(arguments.url, on_piece=_shown(arguments), **_request(arguments)))
    print(f"\n\n{recording.summary()}")
    if not recording.outcome.ok:
        print(f"streamkit: {recording.outcome}: {recording.error}", file=sys.stderr)
    if arguments.out is not None:
        keep(recording, arguments.out)
    if arguments.plot is not None and not stays(recording, arguments.plot):
        draw([recording], "timeline", arguments.plot)
    return 0 if recording.outcome.ok else 1


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `record()` is told; what is not given is left to it."""
    from streamkit.lab.client.pace import Reader

    headers = list(arguments.header or ())
    given: dict[str, Any] = {
        "accept": arguments.accept,
        "preset": arguments.preset,
        "verify": arguments.cacert,
        "timeout": arguments.timeout_s,
        "total_s": arguments.total_s,
        "max_events": arguments.max_events,
    }
    if arguments.data:
        given["data"] = folded(arguments.data)
    if arguments.json is not None:
        given["content"] = arguments.json
        if all(name.lower() != "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json"))
    if arguments.bytes_per_s is not None or arguments.events_per_s is not None:
        given["reader"] = Reader(bytes_per_s=arguments.bytes_per_s, events_per_s=arguments.events_per_s)
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
