"""Recordings of results, made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from tests.ways import MS

OURS = {"x-stream-id": "s1", "incremental": "?1", "content-type": "text/event-stream"}


def results_of(values: Iterable[Any], every_ms: float = 10, **fields: Any) -> Recording:
    """One result each `every_ms`."""
    data = [json.dumps(value) for value in values]
    at_ns = [round(every_ms * MS * (n + 1)) for n in range(len(data))]
    reads, events = Reads(at_ns, data=[one.encode() for one in data]), Events(at_ns, data=data)
    return Recording(reads=reads, events=events, **{"headers": OURS, "sent_ns": 0, **fields})
