"""`streamkit replay`: a saved recording, served again as it came."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from streamkit.cli.arguments import above_zero, port
from streamkit.errors import ConfigError

__all__ = ["add_replay"]


def add_replay(commands: Any) -> None:
    replay = commands.add_parser(
        "replay",
        help="serve a saved recording again as it came, until Ctrl-C or SIGTERM",
        description="Answer every POST (and GET, if the recording is of one) with what was recorded: the same bytes in "
        "the same writes, at the same times, with the same end. On this machine alone (127.0.0.1).",
    )
    replay.add_argument(
        "recording", type=Path, metavar="FILE", help="what `streamkit record --out` saved, or a HAR of one stream"
    )
    replay.add_argument("--port", type=port, default=8001, help="port to bind, 0 for a free one (default: %(default)s)")
    replay.add_argument(
        "--speed",
        type=above_zero,
        default=1.0,
        metavar="X",
        help="play it this many times as fast (default: %(default)g)",
    )
    replay.set_defaults(command=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    from streamkit.cli.files import load_one
    from streamkit.lab.upstream import Script, create_upstream
    from streamkit.serving.foreground import run_forever

    recording = load_one(arguments.recording)
    try:
        script = Script.from_recording(recording, arguments.speed)
    except ValueError as error:  # which says why this one cannot be played
        raise ConfigError(str(error)) from None

    def ready(url: str) -> None:
        print(f"streamkit replay ready: {url}   {script.playback}   (Ctrl-C stops it)", flush=True)

    run_forever(partial(create_upstream, script), port=arguments.port, grace_s=0, on_ready=ready)
    return 0
