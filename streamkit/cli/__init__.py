"""The command line: `streamkit demo | serve | record | plot`.

Each command is a file: which arguments it takes (`add_…`), and what it does with them. Doors: `main`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from streamkit._version import __version__
from streamkit.cli.demo import add_demo
from streamkit.cli.plot import add_plot
from streamkit.cli.record import add_record
from streamkit.cli.serve import add_serve
from streamkit.errors import StreamkitError

__all__ = ["main"]

INTERRUPTED = 130
"""128 + SIGINT, what a shell expects of a command ended by Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. Errors of streamkit are one line on stderr, never a traceback."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except (StreamkitError, ValueError) as error:
        print(f"streamkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `streamkit record … | head`: the reader has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streamkit", description="The oscilloscope for streaming HTTP.")
    parser.add_argument("--version", action="version", version=f"streamkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_demo(commands)
    add_serve(commands)
    add_record(commands)
    add_plot(commands)
    return parser
