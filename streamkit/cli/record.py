"""`streamkit record`: one streamed answer, shown as it comes, and kept."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from streamkit.cli.arguments import header, json_object, pace, pair
from streamkit.cli.output import draw, show

__all__ = ["add_record"]


def add_record(commands: Any) -> None:
    record = commands.add_parser("record", help="POST to a streaming endpoint, show and keep what came, and when")
    record.add_argument("url", metavar="URL")
    record.add_argument(
        "--data", metavar="NAME=VALUE", action="append", type=pair, help="a form field; may be repeated"
    )
    record.add_argument("--json", metavar="JSON", type=json_object, help="a JSON body")
    record.add_argument("--header", metavar="NAME:VALUE", action="append", type=header, help="may be repeated")
    record.add_argument("--accept", metavar="TYPE", help="text, sse, ndjson, or a media type")
    record.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    record.add_argument("--bytes-per-s", type=pace, metavar="N", help="read no faster than this")
    record.add_argument("--events-per-s", type=pace, metavar="N", help="take no more events than this")
    record.add_argument("--timeout-s", type=float, help="give up after this many seconds")
    record.add_argument("--out", type=Path, metavar="FILE", help="save the recording (JSON Lines)")
    record.add_argument("--plot", type=Path, metavar="FILE", help="draw the timeline (.png, .svg, .pdf)")
    record.set_defaults(command=_record)


def _record(arguments: argparse.Namespace) -> int:
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.record import record

    request: dict[str, Any] = {
        "headers": dict(arguments.header or ()),
        "accept": arguments.accept,
        "preset": arguments.preset,
        "on_piece": show,
    }
    if arguments.data:
        request["data"] = dict(arguments.data)
    if arguments.json is not None:
        request["json"] = arguments.json
    if arguments.timeout_s is not None:
        request["timeout"] = arguments.timeout_s
    if arguments.bytes_per_s is not None or arguments.events_per_s is not None:
        request["reader"] = Reader(bytes_per_s=arguments.bytes_per_s, events_per_s=arguments.events_per_s)
    recording = asyncio.run(record(arguments.url, **request))
    print(f"\n\n{recording.summary()}")
    if arguments.out:
        recording.save(arguments.out)
        print(f"recording: {arguments.out.resolve()}")
    if arguments.plot:
        draw([recording], "timeline", arguments.plot)
    return 0 if recording.outcome.ok else 1
