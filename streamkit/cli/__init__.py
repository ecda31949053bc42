"""The command line: `streamkit COMMAND …`.

Each command is a file, which says what arguments it takes (`add_…`) and what it does with them. The door is `main`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from streamkit._version import __version__
from streamkit.cli.audit import add_audit
from streamkit.cli.buffering import add_buffering
from streamkit.cli.compare import add_compare
from streamkit.cli.demo import add_demo
from streamkit.cli.export import add_export
from streamkit.cli.load import add_load
from streamkit.cli.output import show_any_text, silence
from streamkit.cli.plot import add_plot
from streamkit.cli.record import add_record
from streamkit.cli.replay import add_replay
from streamkit.cli.request import check_no_body
from streamkit.cli.serve import add_serve
from streamkit.cli.stopping import INTERRUPTED, TERMINATED, Terminated
from streamkit.cli.tap import add_tap
from streamkit.errors import StreamkitError

__all__ = ["main"]

MISTAKEN = 2
"""What argparse gives too."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    A mistake of the user, or an error of the system, is one line on stderr and status 2: arguments are checked where
    they are given, and raise a StreamkitError or OSError. Anything else is a bug of ours, and keeps its traceback.
    """
    show_any_text()
    arguments, unknown = _parser().parse_known_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        check_no_body(arguments, unknown)
        if unknown:
            arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        status = command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        print("\nstopped", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except BrokenPipeError:  # `streamkit record … | head`: the reader has seen enough
        silence()
        return 0
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"streamkit: {error.strerror or error}{where}", file=sys.stderr)
        return MISTAKEN
    except StreamkitError as error:
        print(f"streamkit: {error}", file=sys.stderr)
        return MISTAKEN
    return status


class _Parser(argparse.ArgumentParser):
    """Of which a mistake is told in a line, and not below a dozen of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKEN, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="streamkit", description="The oscilloscope for streaming HTTP.")
    parser.add_argument("--version", action="version", version=f"streamkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_demo(commands)
    add_serve(commands)
    add_record(commands)
    add_load(commands)
    add_tap(commands)
    add_compare(commands)
    add_plot(commands)
    add_buffering(commands)
    add_audit(commands)
    add_replay(commands)
    add_export(commands)
    for each in commands.choices.values():
        each.set_defaults(parser=each)  # which tells of what none of its own arguments took
    return parser
