"""What the commands show, and the files that they leave."""

from __future__ import annotations

import os
import sys
import tempfile
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.lab.recording.recording import Recording

__all__ = [
    "KINDS",
    "OF_FEW",
    "OF_ONE",
    "STREAMS_HEAD",
    "check_file",
    "check_picture",
    "draw",
    "end_line",
    "keep",
    "note",
    "seen_at_once",
    "show",
    "show_any_text",
    "silence",
    "stays",
    "stream_line",
]

SIDE_BY_SIDE = ("timeline", "gaps", "hops", "policies", "leaving")
OF_ONE = ("journey", "backlog", "queues", "where", "upload")
OF_MANY = ("ecdf", "load")
"""The figures, by whether they take several recordings, one, or any number of them."""
OF_FEW = (*SIDE_BY_SIDE, *OF_ONE)
KINDS = (*OF_FEW, *OF_MANY)


# --- On the screen --------------------------------------------------------------------------------------------------


def show(text: str) -> None:
    """A piece of an answer, as it comes."""
    print(text, end="", flush=True)


def note(text: str) -> None:
    """What is said beside the answer: on stderr, so that stdout has nothing but that."""
    print(text, file=sys.stderr, flush=True)


def seen_at_once() -> bool:
    """Somebody looks at stderr while it is written: there progress can be shown."""
    return sys.stderr is not None and sys.stderr.isatty()


STREAMS_HEAD = f"{'when':<8}  {'status':>6}  {'outcome':<18}  {'TTFT':>10}  {'events':>7}  {'longest gap':>11}  stream"
"""Above lines of streams."""


def stream_line(recording: Recording) -> str:
    """One of several streams, in a line: when it was begun by the clock on the wall, and how it went."""
    from streamkit.lab.recording.origin import started_at

    summary = recording.summary()
    began = started_at(recording)
    when = "–" if began is None else f"{began.astimezone():%H:%M:%S}"
    status = "–" if recording.status is None else str(recording.status)
    ttft, gap = ("–" if value is None else f"{value:,.1f} ms" for value in (summary.ttft_ms, summary.max_gap_ms))
    return (
        f"{when:<8}  {status:>6}  {recording.outcome!s:<18}  {ttft:>10}  {summary.events:>7,}  {gap:>11}  "
        f"{recording.label or recording.url}"
    )


def show_any_text() -> None:
    """Where stdout cannot show a character (LC_ALL=C, PYTHONIOENCODING=ascii), show its escape: `\\u4f60`."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors in {"strict", "surrogateescape"}:
        sys.stdout.reconfigure(errors="backslashreplace")


def silence() -> None:
    """Nobody reads stdout any more: what is still to be written goes nowhere, also what Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


# --- Files ----------------------------------------------------------------------------------------------------------


def check_file(path: Path) -> None:
    """Raise ConfigError, before anything is asked of anybody, if `path` cannot be written.

    What stands there stays as it is: a new file is written beside it, and moved into its place when it is whole.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"expected the name of a file to write, got {str(path)!r}, which is none")
    try:
        with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=".streamkit-"):
            pass
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def check_picture(path: Path) -> None:
    """The same for a picture, whose kind its name says."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise ConfigError(f"expected a picture as one of {', '.join(f'.{kind}' for kind in kinds)}, got {path.name!r}")
    check_file(path)


def stays(recording: Recording, path: Path) -> bool:
    """A refusal does not take the place of what is there."""
    kept = recording.outcome.name == "refused" and path.exists()
    if kept:
        note(f"{path.resolve()} is left as it was: the stream was refused")
    return kept


def end_line(shown: str) -> None:
    """What was shown last did not end its line: what comes next begins another one."""
    if shown and not shown.endswith("\n"):
        print(flush=True)


def keep(recording: Recording, path: Path) -> None:
    """Save the recording, unless the file `stays`."""
    if not stays(recording, path):
        recording.save(path)
        note(f"recording: {path.resolve()}")


def draw(recordings: Sequence[Recording], kind: str, path: Path, **options: Any) -> None:
    """Draw without a display, whatever backend the environment names; `options` are those of the figure."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from streamkit.lab import plots

    try:
        axes = getattr(plots, kind)(recordings[0] if kind in OF_ONE else recordings, **options)
    except ValueError as error:  # a figure says of which recordings it cannot be drawn
        raise ConfigError(f"{kind} cannot be drawn of this: {error}") from error
    target = path.resolve()
    unfinished = target.with_name(f".{target.stem[:100]}.{os.getpid()}.tmp{target.suffix}")
    try:
        axes.figure.savefig(unfinished, dpi=150)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
        plt.close(axes.figure)
    note(f"picture: {target}")
