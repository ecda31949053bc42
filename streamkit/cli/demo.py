"""`streamkit demo`: the first notebook's experiment in one command."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from streamkit.cli.arguments import above_zero, from_zero, text
from streamkit.cli.output import OF_FEW, check_picture, draw, show

__all__ = ["add_demo"]


def add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="a scripted LLM, the relay, one POST: text, summary, picture")
    demo.add_argument(
        "--question", type=text, default="你好", metavar="TEXT", help="the chat_history to send (default: %(default)s)"
    )
    demo.add_argument(
        "--wire", default="seed", metavar="PRESET", help="the scripted LLM's format (default: %(default)s)"
    )
    demo.add_argument(
        "--first-piece-ms", type=from_zero, default=300.0, metavar="MS", help="time to the first piece (default: 300)"
    )
    demo.add_argument("--gap-ms", type=from_zero, default=50.0, metavar="MS", help="time between pieces (default: 50)")
    demo.add_argument(
        "--jitter-ms", type=from_zero, default=15.0, metavar="MS", help="move each piece by up to this (default: 15)"
    )
    demo.add_argument("--accept", choices=("text", "sse", "ndjson"), default="text", help="the answer's form")
    demo.add_argument(
        "--reader-ms",
        type=from_zero,
        default=0.0,
        metavar="MS",
        help="how long the client works on each piece (default: 0)",
    )
    demo.add_argument(
        "--bytes-per-s", type=above_zero, metavar="N", help="how fast the client reads (default: as fast as it comes)"
    )
    demo.add_argument(
        "--network",
        choices=("loopback-tcp", "small-buffers"),
        default="loopback-tcp",
        help="what lies between the three; with small buffers a slow client is felt at once (default: %(default)s)",
    )
    demo.add_argument("--kind", choices=OF_FEW, default="timeline", help="what to draw (default: %(default)s)")
    demo.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed gives other pieces and jitter (default: 0)"
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("streamkit-demo.png"),
        metavar="FILE",
        help="the picture (default: %(default)s)",
    )
    demo.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    """The first notebook's experiment; with a slow client, the third one's."""
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.lab import Lab
    from streamkit.lab.recording.summary import timetable
    from streamkit.lab.upstream import Script

    check_picture(arguments.out)
    script = Script(
        first_piece_ms=arguments.first_piece_ms,
        gap_ms=arguments.gap_ms,
        jitter_ms=arguments.jitter_ms,
        preset=arguments.wire,
        seed=arguments.seed,
    )

    def read(piece: str) -> None:
        show(piece)
        time.sleep(arguments.reader_ms / 1e3)

    reader = None if arguments.bytes_per_s is None else Reader(bytes_per_s=arguments.bytes_per_s)
    with Lab(script, model="scripted", network=arguments.network) as lab:
        url = lab.relay.url if lab.relay is not None else ""
        print(f"a scripted LLM speaks the {arguments.wire!r} format; the relay in front of it is {url}/ans\n")
        asked = lab.ask(arguments.question, accept=arguments.accept, on_piece=read, reader=reader)
        recording = asyncio.run(asked)
    print(f"\n\n{timetable(recording)}\n\n{recording.summary()}\n")
    draw([recording], arguments.kind, arguments.out)
    return 0 if recording.outcome.ok else 1
