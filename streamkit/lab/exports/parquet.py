"""Recordings as Parquet, by pyarrow (extra `parquet`): a row per event, read or stream; the columns of `tables`.

Whole numbers are int64, times in ms and other numbers double, texts string; a number that is not known is null. Labels
have the type of their values, or are strings where these differ. The file's own metadata has `streamkit.rows` and
`streamkit.version`. Half a character (a lone surrogate), which UTF-8 cannot carry, is written as `?`.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streamkit._version import __version__
from streamkit.lab.exports.some import Recordings, several
from streamkit.lab.exports.tables import Rows, columns_of
from streamkit.lab.recording.lines import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["of", "write"]

WHOLE = frozenset(("status",))
"""Columns of numbers that not all rows have."""


def of(recordings: Recordings, rows: Rows = "events") -> pa.Table:
    """One recording or several as a pyarrow table; `rows` is "events", "reads" or "streams".

        table = sk.exports.parquet.of(streams, rows="streams")

    Raises ImportError if pyarrow is missing (`pip install 'streamkit[parquet]'`), ValueError for other rows.
    """
    pa = _pyarrow()
    columns = columns_of(several(recordings), rows)
    fields = {name: _field(pa, name, column) for name, column in columns.items()}
    table = pa.table(fields)
    return table.replace_schema_metadata({"streamkit.rows": rows, "streamkit.version": __version__})


def write(recordings: Recordings, path: str | os.PathLike[str], rows: Rows = "events") -> None:
    """Write one recording or several to a Parquet file, compressed by zstd; `rows` is as for `of`.

        sk.exports.parquet.write(streams, "events.parquet")

    Raises what `of` raises.
    """
    _pyarrow()
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(of(recordings, rows), buffer, compression="zstd")
    replace_file(path, [buffer.getvalue()])


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError("Parquet needs pyarrow: pip install 'streamkit[parquet]'") from None
    return pyarrow


def _field(pa: Any, name: str, column: npt.NDArray[Any]) -> Any:
    if column.dtype.kind == "f":
        return pa.array(column, type=pa.float64(), mask=np.isnan(column))
    if column.dtype.kind == "b":
        return pa.array(column, type=pa.bool_())
    if column.dtype.kind == "i":
        return pa.array(column.astype(np.int64), type=pa.int64())
    values = column.tolist()
    if name in WHOLE:
        return pa.array(values, type=pa.int64())
    return pa.array([None if value is None else _text(value) for value in values], type=pa.string())


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode("utf-8")
