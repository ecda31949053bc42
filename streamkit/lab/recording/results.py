"""What a route of our relay answers beside text: results, which are JSON values, and progress (`relay/pieces.py`).

On the wire a result is an unnamed event (SSE) or a line (NDJSON) of JSON that is no piece of text, `{"text": …}`; in
text/plain it is a line. Progress is `event: progress`, or the line `{"progress": {…}}`; text/plain has none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from streamkit.taps import STREAM_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamkit.lab.recording.recorded import Recorded

__all__ = ["Told", "is_of_our_relay", "progress_of", "told_by", "values_of"]

Told: TypeAlias = Literal["result", "progress", "other"]
"""What an event of ours is: `other` are text, ends and errors."""

_TEXT: Final = frozenset({"text", "reasoning", "dropped"})
_TEXT_BEGINS: Final = '{"text":"'  # nearly all events of an LLM's answer begin so …
_TEXT_QUOTES: Final = 4  # … and have no other key
_LAST: Final = {"done": {"outcome"}, "error": {"outcome", "code"}}  # the NDJSON line, and what it tells at least
_OTHER: Final[tuple[Told, Any]] = ("other", None)


def is_of_our_relay(headers: Any) -> bool:
    """By an answer's headers, with names in lower case: our relay says both in each."""
    return STREAM_ID_HEADER in headers and "incremental" in headers


def told_by(event: str, data: str) -> tuple[Told, Any]:
    """What this event of our relay tells, and its JSON value; None for what is neither result nor progress.

    >>> from streamkit.lab.recording.results import told_by
    >>> told_by("message", '{"sum":3}'), told_by("message", '{"text":"hi"}')
    (('result', {'sum': 3}), ('other', None))
    """
    if event not in ("message", "progress") or (data.startswith(_TEXT_BEGINS) and data.count('"') == _TEXT_QUOTES):
        return _OTHER
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _OTHER
    if event == "progress":
        return "progress", value
    if not isinstance(value, dict):
        return "result", value
    names = value.keys() - {"id"}  # the cursor of a stream that can be resumed
    if names == {"progress"} and isinstance(value["progress"], dict):
        return "progress", value["progress"]
    if "text" in names and names <= _TEXT and isinstance(value["text"], str):
        return _OTHER
    last = next(iter(names), "") if len(names) == 1 else ""
    if last in _LAST and isinstance(value[last], dict) and value[last].keys() >= _LAST[last]:
        return _OTHER
    return "result", value


def values_of(recording: Recorded) -> list[Any]:
    """See `Recorded.values`."""
    if not is_of_our_relay(recording.headers):
        return []
    if recording.content_type is not None and recording.content_type.lower().startswith("text/plain"):
        return list(_lines(recording.text))
    return [value for told, value in _told(recording) if told == "result"]


def progress_of(recording: Recorded) -> list[dict[str, Any]]:
    """See `Recorded.progress`."""
    if not is_of_our_relay(recording.headers):
        return []
    return [value for told, value in _told(recording) if told == "progress" and isinstance(value, dict)]


def _told(recording: Recorded) -> Iterator[tuple[Told, Any]]:
    return map(told_by, recording.events.event, recording.events.data)


def _lines(text: str) -> Iterator[Any]:
    """The lines that are JSON objects or lists: what else is JSON may as well be text."""
    for line in text.split("\n"):
        if line.startswith(("{", "[")):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue
