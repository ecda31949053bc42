"""`streamkit buffering`: which layer on the way to an endpoint holds bytes back."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from streamkit.cli.arguments import above_zero, pair
from streamkit.cli.request import add_request, check_url, json_or_file, request_of

__all__ = ["add_buffering"]


def add_buffering(commands: Any) -> None:
    buffering = commands.add_parser(
        "buffering",
        help="ask a streaming endpoint in several ways: which layer on the way holds bytes back?",
        description="Ask a streaming endpoint four times or more, and say which layer on the way holds bytes back, and "
        "which configuration line mends it. Ask it something that takes a second and some tens of kilobytes to answer. "
        "Exit status: 0 if nothing does, 1 if something does or that is not known, 2 for a wrong argument.",
    )
    buffering.add_argument("url", metavar="URL", help="the endpoint, as its clients reach it")
    body = buffering.add_mutually_exclusive_group()
    body.add_argument("--data", metavar="NAME=VALUE", action="append", type=pair, help="a form field; may be repeated")
    body.add_argument("--json", "--body", metavar="JSON", type=json_or_file, help="a JSON body, or '@FILE' with one")
    add_request(buffering)
    buffering.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    buffering.add_argument(
        "--direct", metavar="URL", help="the same endpoint without the layers before it, to compare with"
    )
    buffering.add_argument(
        "--total-s", type=above_zero, metavar="S", help="the longest that one answer may take (default: 60)"
    )
    buffering.add_argument(
        "--no-refusals", action="store_true", help="do not send the heads by whose refusal nginx and HAProxy are known"
    )
    buffering.set_defaults(command=_buffering)


def _buffering(arguments: argparse.Namespace) -> int:
    from streamkit.lab.experiments import find_buffering

    for url in (arguments.url, arguments.direct):
        if url is not None:
            check_url(url)
    request = request_of(arguments, arguments.json, [arguments.url])
    asked = find_buffering(
        arguments.url, direct=arguments.direct, refusals=not arguments.no_refusals, progress=False, **request
    )
    found = asyncio.run(asked)
    print(found)
    return 0 if found.layer == "none" else 1
