"""Recordings as CSV (RFC 4180, UTF-8): a row per event, read or stream; the columns are those of `tables`.

A number that is not known is an empty cell, as is None; true and false are `True` and `False`, as pandas and duckdb
read them. Half a character (a lone surrogate), which UTF-8 cannot carry, is written as `?`. A text may begin like a
formula: a spreadsheet that evaluates such cells is to be told that they are text.
"""

from __future__ import annotations

import csv
import io
import math
import os
from typing import Any

from streamkit.lab.exports.some import Recordings, several
from streamkit.lab.exports.tables import Rows, columns_of
from streamkit.lab.recording.lines import replace_file

__all__ = ["of", "write"]


def of(recordings: Recordings, rows: Rows = "events") -> str:
    """One recording or several as CSV text; `rows` is "events", "reads" or "streams".

        >>> print(sk.exports.csv.of(sk.Recording.from_pieces([(7_000_000, "Hi")]), rows="reads").split()[1])
        0,,0,7.0,7000000,2,-1,0

    Raises ValueError for other rows.
    """
    columns = columns_of(several(recordings), rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*([*map(_cell, column.tolist())] for column in columns.values()), strict=True))
    return text.getvalue()


def write(recordings: Recordings, path: str | os.PathLike[str], rows: Rows = "events") -> None:
    """Write one recording or several to a CSV file; `rows` is "events", "reads" or "streams".

        sk.exports.csv.write(streams, "reads.csv", rows="reads")

    Raises ValueError for other rows.
    """
    replace_file(path, [of(recordings, rows).encode("utf-8", "replace")])


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
