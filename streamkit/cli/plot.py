"""`streamkit plot`: figures of saved recordings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from streamkit.cli.files import load_all
from streamkit.cli.output import KINDS, OF_ONE, check_picture, draw
from streamkit.errors import ConfigError

__all__ = ["add_plot"]


def add_plot(commands: Any) -> None:
    plot = commands.add_parser("plot", help="draw saved recordings side by side")
    plot.add_argument(
        "recordings", nargs="+", type=Path, metavar="FILE", help="what `streamkit record --out` saved, or HARs"
    )
    plot.add_argument("--kind", choices=KINDS, default="timeline", help="the figure (default: %(default)s)")
    plot.add_argument("--out", type=Path, default=Path("streamkit.png"), help="the picture (default: %(default)s)")
    plot.set_defaults(command=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    if arguments.kind in OF_ONE and len(arguments.recordings) != 1:
        raise ConfigError(f"expected one recording for --kind {arguments.kind}, got {len(arguments.recordings)}")
    check_picture(arguments.out)
    recordings = load_all(arguments.recordings)
    if arguments.kind in OF_ONE and len(recordings) != 1:
        raise ConfigError(f"expected one recording for --kind {arguments.kind}, got {len(recordings)}")
    draw(recordings, arguments.kind, arguments.out)
    return 0
