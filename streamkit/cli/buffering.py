"""`streamkit buffering`: which layer on the way to an endpoint holds bytes back."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from streamkit.cli.arguments import above_zero, folded, header, json_text, media_type, pair

__all__ = ["add_buffering"]


def add_buffering(commands: Any) -> None:
    buffering = commands.add_parser(
        "buffering",
        help="ask a streaming endpoint in several ways: which layer on the way holds bytes back?",
        description="Ask a streaming endpoint four times or more, and say which layer on the way holds bytes back, and "
        "which configuration line mends it. Ask for an answer of a second and some tens of kilobytes. Exit status: 0 "
        "where nothing does, 1 where something does or it is not known, 2 for a mistake in what was given.",
    )
    buffering.add_argument("url", metavar="URL", help="the endpoint, as its clients reach it")
    body = buffering.add_mutually_exclusive_group()
    body.add_argument("--data", metavar="NAME=VALUE", action="append", type=pair, help="a form field; may be repeated")
    body.add_argument("--json", metavar="JSON", type=json_text, help="a JSON body: any value, sent as it is written")
    buffering.add_argument("--header", metavar="NAME:VALUE", action="append", type=header, help="may be repeated")
    buffering.add_argument("--accept", metavar="TYPE", type=media_type, help="text, sse, ndjson, or a media type")
    buffering.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    buffering.add_argument("--direct", metavar="URL", help="the same endpoint around the layers, to compare with")
    buffering.add_argument("--total-s", type=above_zero, metavar="S", help="for one answer (default: 60)")
    buffering.add_argument(
        "--no-refusals", action="store_true", help="do not ask with heads that nginx and HAProxy refuse"
    )
    buffering.set_defaults(command=_buffering)


def _buffering(arguments: argparse.Namespace) -> int:
    from streamkit.lab.experiments import find_buffering
    from streamkit.transport.url import split_unix_url

    for url in (arguments.url, arguments.direct):
        if url is not None:
            split_unix_url(url)  # says what is wrong with it
    asked = find_buffering(
        arguments.url, direct=arguments.direct, refusals=not arguments.no_refusals, **_request(arguments)
    )
    found = asyncio.run(asked)
    print(found)
    return 0 if found.layer == "none" else 1


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `record()` is told; what is not given is left to it."""
    headers = list(arguments.header or ())
    given = {"accept": arguments.accept, "preset": arguments.preset, "total_s": arguments.total_s}
    if arguments.data:
        given["data"] = folded(arguments.data)
    if arguments.json is not None:
        given["content"] = arguments.json
        if all(name.lower() != "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json"))
    return {"headers": headers, **{name: value for name, value in given.items() if value is not None}}
