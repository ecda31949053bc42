"""The numbers of recordings as JSON: those of `summary()`, under the same names, which say their units.

    {"streamkit": "summary", "version": 1, "streams": [{"label": "", "outcome": "complete", "ttft_ms": 307.1, …}], …}

Each stream has the fields of `Summary`, its label and labels; `all` are those of `SetSummary`, of all of them. Numbers
are JSON's (RFC 8259): what is not defined is null, never NaN. A name that is there keeps its meaning within a version.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Final

from streamkit.lab.exports.some import Recordings, dumped, several
from streamkit.lab.recording.lines import replace_file
from streamkit.lab.sets import RecordingSet
from streamkit.outcome import Outcome

__all__ = ["of", "write"]

VERSION: Final = 1


def of(recordings: Recordings) -> dict[str, Any]:
    """The numbers of one recording or several, as JSON values.

    >>> told = sk.exports.summary.of(sk.Recording.from_pieces([(7_000_000, "Hi")], sent_ns=0))
    >>> told["streams"][0]["ttft_ms"], told["streams"][0]["gap_p50_ms"], told["all"]["ttft_sent_p50_ms"]
    (7.0, None, 7.0)
    """
    found = several(recordings)
    streams = [{"label": one.label, "labels": dict(one.labels), **one.summary().as_dict()} for one in found]
    whole = recordings if isinstance(recordings, RecordingSet) else RecordingSet(found)
    told: dict[str, Any] = _plain(
        {"streamkit": "summary", "version": VERSION, "streams": streams, "all": whole.summary().as_dict()}
    )
    return told


def write(recordings: Recordings, path: str | os.PathLike[str]) -> None:
    """Write the numbers of one recording or several to a JSON file.

    sk.exports.summary.write(recording, "summary.json")
    """
    replace_file(path, [dumped(of(recordings))])


def _plain(value: Any) -> Any:
    """As values of JSON."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Outcome) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None
