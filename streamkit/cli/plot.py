"""`streamkit plot`: figures of saved recordings."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit.cli.files import EXAMPLE, load_sets
from streamkit.cli.output import KINDS, OF_ONE, check_picture, draw
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.sets import RecordingSet

__all__ = ["add_plot"]

LABEL = "label"
GROUPED = ("gaps", "ecdf")
"""The figures in which a group is a curve."""


def add_plot(commands: Any) -> None:
    plot = commands.add_parser(
        "plot",
        help="draw saved recordings side by side",
        description="Draw saved recordings side by side. Those with the same label (record --label) are a group: in "
        "the timeline their lanes stand together, in gaps and ecdf they are one curve, and of more than eight "
        "recordings hops draws one bar for them and policies one lane. One without a label is called as its file is.",
    )
    plot.add_argument(
        "recordings",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="what `streamkit record`, `load` or `tap` saved, one recording or a set of them; or HARs; or an example "
        "that ships with streamkit (example:healthy, example:gzip-proxy, …)",
    )
    plot.add_argument("--kind", choices=KINDS, default="timeline", help="the figure (default: %(default)s)")
    plot.add_argument(
        "--by",
        metavar="NAME",
        action="append",
        help="in gaps and ecdf, a curve for each value of this label (label, outcome, status, preset, url, or one that "
        "a load drew); may be repeated (default: label, where several recordings have the same one)",
    )
    plot.add_argument(
        "--metric",
        choices=("ttft", "gap", "duration"),
        help="in ecdf, which number (default: ttft; in gaps it is the gap)",
    )
    plot.add_argument(
        "--out", type=Path, default=Path("streamkit.png"), metavar="FILE", help="the picture (default: %(default)s)"
    )
    plot.set_defaults(command=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    kind, by, metric = arguments.kind, arguments.by, arguments.metric
    if by and kind not in GROUPED:
        raise ConfigError(f"expected --kind gaps or ecdf with --by, got {kind}")
    if metric and kind != "ecdf":
        raise ConfigError(f"expected --kind ecdf with --metric, got {kind}")
    check_picture(arguments.out)
    sets = load_sets(arguments.recordings)
    recordings = _named(arguments.recordings, sets)
    if kind in OF_ONE and len(recordings) != 1:
        raise ConfigError(f"expected one recording for --kind {kind}, got {len(recordings)}")
    if kind in GROUPED and (by or _share_a_label(recordings)):
        draw(recordings, "ecdf", arguments.out, by=by or [LABEL], metric="gap" if kind == "gaps" else metric or "ttft")
    elif kind == "ecdf":
        draw(recordings, kind, arguments.out, metric=metric or "ttft")
    elif kind == "load":
        draw(sum(sets[1:], sets[0]), kind, arguments.out)
    else:
        draw(_together(recordings), kind, arguments.out)
    return 0


def _named(paths: Sequence[Path], sets: Sequence[RecordingSet]) -> list[Recording]:
    """Of several files, a recording that was given no label is called as its file is: whoever typed the names looks for
    them in the picture."""
    if len(paths) == 1:
        return list(sets[0])
    stems = [path.stem.removeprefix(EXAMPLE) for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    pairs = [(name, recording) for name, each in zip(names, sets, strict=True) for recording in each]
    return [recording if recording.label else replace(recording, label=name) for name, recording in pairs]


def _share_a_label(recordings: Sequence[Recording]) -> bool:
    """Some are a group, and not all of them without a name."""
    labels = [recording.label for recording in recordings if recording.label]
    return len(set(labels)) < len(labels)


def _together(recordings: Sequence[Recording]) -> list[Recording]:
    """Those of one label beside each other, the groups in the order of their first ones."""
    order = list(dict.fromkeys(recording.label for recording in recordings))
    return sorted(recordings, key=lambda recording: order.index(recording.label))
