"""`streamkit tap`: between any client and any server; a line for each stream that passes, and a file."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streamkit.cli.arguments import address, count
from streamkit.cli.output import STREAMS_HEAD, check_picture, draw, note, silence, stream_line
from streamkit.cli.request import check_url
from streamkit.cli.stopping import INTERRUPTED, stoppable
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.sets import RecordingSet
    from streamkit.lab.wiretap.wiretap import Wiretap

__all__ = ["add_tap"]

DRAWN: Final = 20


def add_tap(commands: Any) -> None:
    tap = commands.add_parser(
        "tap",
        help="stand between any client and any server, and record each stream that passes",
        description="Stand between any client and any server: point the client at the address that is printed instead "
        "of the server. The bytes pass untouched; as each answer ends, a line is printed and a recording kept. "
        "Lines go to stdout, everything else to stderr. Exit status: 130 for Ctrl-C, 143 for SIGTERM; with --count, "
        "0 if all answers were complete and 1 if one was not; 2 for a wrong argument.",
    )
    tap.add_argument("--to", metavar="URL", required=True, help="the server: http://, https:// or http+unix://%%2F…")
    tap.add_argument(
        "--listen",
        metavar="[HOST:]PORT",
        type=address,
        default=("127.0.0.1", 0),
        help="where clients connect (default: a free port of 127.0.0.1). There is no access control: whoever can "
        "connect can use the server, and on this side all is plain HTTP",
    )
    tap.add_argument(
        "--rewrite-host",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let the server see its own name as Host instead of the tap's address: the only change made to any byte "
        "(default: for https:// only)",
    )
    tap.add_argument("--cacert", metavar="FILE", help="the certificates (PEM) to trust, or 'env'")
    tap.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    tap.add_argument("--reasoning", action="store_true", help="keep the reasoning too")
    tap.add_argument(
        "--no-text", dest="keep_text", action="store_false", help="keep only how long texts are, not the texts"
    )
    tap.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="save each recording in a file of its own in this folder (JSON Lines)",
    )
    tap.add_argument("--plot", type=Path, metavar="FILE", help=f"at the end, draw the timeline of the last {DRAWN}")
    tap.add_argument(
        "--max-streams",
        type=count,
        metavar="N",
        help="how many recordings are kept, here and in FOLDER: the oldest make room (default: 1000)",
    )
    tap.add_argument(
        "--max-bytes", type=count, metavar="N", help="about how much room they may take, likewise (default: 256 MiB)"
    )
    tap.add_argument("--count", type=count, metavar="N", help="end when this many streams have been recorded")
    tap.set_defaults(command=_tap)


@stoppable
def _tap(arguments: argparse.Namespace) -> int:
    if arguments.plot is not None:
        check_picture(arguments.plot)
    from streamkit.serving.listener import WILDCARDS

    lines = _Lines(arguments.count, needed=arguments.out is not None or arguments.plot is not None)
    status = 0
    tap = _wiretap(arguments, lines)
    everywhere = " (on every address of this machine)" if arguments.listen[0] in WILDCARDS else ""
    note(f"streamkit tap ready: {tap.url}{everywhere} leads to {arguments.to_shown} (Ctrl-C stops it)")
    try:
        lines.over.wait()
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        tap.stop()
    recordings = tap.recordings
    _show_end(tap, recordings)
    if arguments.plot is not None and len(recordings):
        draw(recordings[-DRAWN:], "timeline", arguments.plot)
    return status or (0 if lines.all_complete else 1)


def _wiretap(arguments: argparse.Namespace, lines: _Lines) -> Wiretap:
    from streamkit.lab.client.connections import public_url
    from streamkit.lab.wiretap.wiretap import Wiretap

    check_url(arguments.to)
    arguments.to_shown = public_url(arguments.to)
    host, port = arguments.listen
    bounds = {"max_streams": arguments.max_streams, "max_bytes": arguments.max_bytes}
    try:
        return Wiretap(
            arguments.to,
            host=host,
            port=port,
            rewrite_host=arguments.rewrite_host,
            verify=True if arguments.cacert is None else arguments.cacert,
            preset=arguments.preset,
            reasoning=arguments.reasoning,
            keep_text=arguments.keep_text,
            folder=arguments.out,
            on_recording=lines.recording,
            on_notice=note,
            **{name: bound for name, bound in bounds.items() if bound is not None},
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


class _Lines:
    """The table: a line a stream, as it ends; and when it is over. Called in the thread that tells."""

    def __init__(self, wanted: int | None, *, needed: bool) -> None:
        self.over = threading.Event()
        self.all_complete = True
        self._left = wanted
        self._needed = needed  # also where nobody reads the table any more
        self._shown = False

    def recording(self, recording: Recording) -> None:
        self.all_complete = self.all_complete and recording.outcome.ok
        try:
            if not self._shown:
                self._shown = True
                print(STREAMS_HEAD)
            print(stream_line(recording), flush=True)
        except BrokenPipeError:
            silence()
            if not self._needed:
                self.over.set()
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.over.set()


def _show_end(tap: Wiretap, recordings: RecordingSet) -> None:
    from streamkit.lab.metrics.words import many

    if len(recordings):
        note(f"\n{recordings.summary()}")
    gone = tap.finished - len(recordings)
    told = [
        f"{many(tap.finished, 'answer')} recorded",
        *([f"{many(gone, 'older one')} made room"] if gone else []),
        *([f"{tap.unrecorded:,} passed unrecorded, for want of room"] if tap.unrecorded else []),
        *([f"{tap.untold:,} neither saved nor shown, which was too slow"] if tap.untold else []),
    ]
    note("; ".join(told))
