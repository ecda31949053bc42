"""What a route of our relay answers beside text: results, which are JSON values, and progress.

As they stand on the wire (`relay/pieces.py`, `relay/delivery/format.py`):

            text/event-stream              application/x-ndjson                       text/plain
text        {"text": …}                    {"text": …}
result      any other unnamed event        any line but these; {"value": …} holds     a line
                                           one that could be taken for one of them
progress    event: progress                {"progress": {…}}                          nothing, unless asked for
the end     event: done, event: error      {"done": …}, {"error": …}                  nothing

A line of a stream that can be resumed has its cursor as `id`; behind what was left out stands `dropped`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from streamkit.taps import STREAM_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamkit.lab.recording.recorded import Recorded

__all__ = ["Results", "Told", "progress_of", "values_of"]

Kind: TypeAlias = Literal["result", "progress", "other"]
"""What an event of ours is: `other` are text, ends and errors."""

_TEXT: Final = frozenset({"text", "reasoning", "dropped"})
_WRAPPED: Final = (frozenset({"value"}), frozenset({"value", "dropped"}))
_TEXT_BEGINS: Final = '{"text":"'  # nearly all events of an LLM's answer begin so …
_TEXT_QUOTES: Final = 4  # … and have no other key


class Told(NamedTuple):
    """What one event tells, and its value; `line` is what text/plain has of a result."""

    kind: Kind
    value: Any = None
    line: str = ""


_OTHER: Final = Told("other")


class Results:
    """Reads the results and the progress of one answer, of which `headers` is the head, with names in lower case.

        >>> from streamkit.lab.recording.results import Results
        >>> Results({"content-type": "text/event-stream"}).told("message", '{"sum":3}').value
        {'sum': 3}

    `ours`: it is an answer of our relay, which says so by two headers; of others nothing is known.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.ours = STREAM_ID_HEADER in headers and "incremental" in headers
        self._cursor = f"{headers.get(STREAM_ID_HEADER, '')}."
        self._in_lines = "ndjson" in headers.get("content-type", "").lower()

    def told(self, event: str, data: str) -> Told:
        """What an event of that name and data tells."""
        if event not in ("message", "progress") or (data.startswith(_TEXT_BEGINS) and data.count('"') == _TEXT_QUOTES):
            return _OTHER
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return _OTHER
        if event == "progress":
            return Told("progress", value)
        if not isinstance(value, dict):
            return Told("result", value, f"{data}\n")
        return self._of_line(value, data) if self._in_lines else self._of_event(value, data)

    def _of_event(self, value: dict[str, Any], data: str) -> Told:
        if value.keys() <= _TEXT and isinstance(value.get("text"), str):
            return _OTHER
        if value.keys() == _WRAPPED[1]:
            return _unwrapped(value["value"])
        return Told("result", value, f"{data}\n")

    def _of_line(self, value: dict[str, Any], data: str) -> Told:
        if str(value.get("id", "")).startswith(self._cursor) and len(self._cursor) > 1:
            del value["id"]
            data = ""
        if not value.keys().isdisjoint(("text", "done", "error")):
            return _OTHER
        if "progress" in value:
            return Told("progress", value["progress"])
        if value.keys() in _WRAPPED:
            return _unwrapped(value["value"])
        return Told("result", value, f"{data}\n") if data else _unwrapped(value)


def values_of(recording: Recorded) -> list[Any]:
    """See `Recorded.values`."""
    content_type = recording.headers.get("content-type", "")
    if not content_type.lower().startswith("text/plain"):
        return [told.value for told in _told(recording) if told.kind == "result"]
    lines = recording.text.split("\n") if Results(recording.headers).ours else []
    values = [_value(line) for line in lines if line.startswith(("{", "["))]  # other JSON may as well be text
    return [value for value in values if value is not None]


def progress_of(recording: Recorded) -> list[dict[str, Any]]:
    """See `Recorded.progress`."""
    return [told.value for told in _told(recording) if told.kind == "progress" and isinstance(told.value, dict)]


def _told(recording: Recorded) -> list[Told]:
    results, events = Results(recording.headers), recording.events
    return list(map(results.told, events.event, events.data)) if results.ours else []


def _unwrapped(value: Any) -> Told:
    return Told("result", value, f"{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n")


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
