"""`streamkit export`: saved recordings in the formats of other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final, get_args

from streamkit.cli.output import check_file
from streamkit.errors import ConfigError

__all__ = ["add_export"]

FORMATS: Final = {"har": "har", "parquet": "parquet", "csv": "csv", "trace": "trace", "json": "summary"}
"""Each by the module of `streamkit.exports` that writes it."""
TABLES: Final = ("parquet", "csv")


def add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write saved recordings for other tools: HAR, Parquet, CSV, a trace, the numbers",
        description="har: waterfall viewers and developer tools; parquet, csv: pandas, duckdb, spreadsheets; trace: "
        "ui.perfetto.dev; json: the numbers of summary(). docs/exchange.md says what each keeps, and what it loses.",
    )
    export.add_argument(
        "recordings", nargs="+", type=Path, metavar="FILE", help="what `record --out` or `load --save` saved, or HARs"
    )
    export.add_argument("--to", required=True, choices=tuple(FORMATS), help="the format")
    export.add_argument("--out", required=True, type=Path, metavar="PATH", help="the file to write")
    export.add_argument(
        "--rows", choices=("events", "reads", "streams"), help="for parquet and csv: what a row is (default: events)"
    )
    export.add_argument(
        "--no-text",
        action="store_true",
        help="leave out all texts, bytes, and headers but harmless ones: lengths, times and outcomes remain",
    )
    export.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> int:
    from streamkit.cli.files import load_all
    from streamkit.lab import exports
    from streamkit.lab.exports.tables import Rows

    if arguments.rows is not None and arguments.to not in TABLES:
        raise ConfigError(f"expected --rows with --to {' or '.join(TABLES)}, got it with --to {arguments.to}")
    check_file(arguments.out)
    recordings = load_all(arguments.recordings)
    if arguments.no_text:
        recordings = [exports.for_others(one) for one in recordings]
    rows = arguments.rows or get_args(Rows)[0]
    options = {"rows": rows} if arguments.to in TABLES else {}
    try:
        getattr(exports, FORMATS[arguments.to]).write(recordings, arguments.out, **options)
    except ImportError as error:  # which says what to install
        raise ConfigError(str(error)) from None
    count = f"{len(recordings)} stream{'' if len(recordings) == 1 else 's'}"
    print(f"{arguments.to}: {arguments.out.resolve()} ({count})")
    return 0
