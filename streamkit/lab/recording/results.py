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
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from streamkit.taps import STREAM_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Result", "Results", "Told", "is_plain_text", "progress_of", "results_of"]

Kind: TypeAlias = Literal["result", "progress", "other"]
"""What an event of ours is: `other` are text, ends and errors."""

_TEXT: Final = frozenset({"text", "reasoning", "dropped"})
_WRAPPED: Final = (frozenset({"value"}), frozenset({"value", "dropped"}))
_TEXT_BEGINS: Final = '{"text":"'
_TEXT_QUOTES: Final = 4  # in an object of one key whose text has none


class Result(NamedTuple):
    """One result: its value, and when its reader had it, in ns: from the call (`at_ns`) and by `time.monotonic_ns()`
    (`clock_ns`).
    """

    value: Any
    at_ns: int
    clock_ns: int


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
        if event not in ("message", "progress") or is_plain_text(data):
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


def is_plain_text(data: str) -> bool:
    """Nearly all events of an LLM's answer, seen quickly: a text, and nothing beside it."""
    return data.startswith(_TEXT_BEGINS) and data.count('"') == _TEXT_QUOTES


def results_of(
    headers: Mapping[str, str],
    names: Iterable[str],
    data: Iterable[str],
    texts: Sequence[str],
    handed_ns: Sequence[int],
) -> Iterator[tuple[Any, int]]:
    """The results of an answer with that head, each with when it was handed on; of its events, names, data, texts, and
    when each was.
    """
    results = Results(headers)
    if not results.ours:
        return
    if headers.get("content-type", "").lower().startswith("text/plain"):
        yield from _of_text(texts, handed_ns)
        return
    for told, at_ns in zip(map(results.told, names, data), handed_ns, strict=True):
        if told.kind == "result":
            yield told.value, at_ns


def progress_of(headers: Mapping[str, str], names: Iterable[str], data: Iterable[str]) -> list[dict[str, Any]]:
    """The progress that such an answer reports."""
    results = Results(headers)
    told = map(results.told, names, data) if results.ours else ()
    return [each.value for each in told if each.kind == "progress" and isinstance(each.value, dict)]


def _of_text(texts: Sequence[str], handed_ns: Sequence[int]) -> Iterator[tuple[Any, int]]:
    """Its lines that are results; a line has come with its end, or if it has none with the last of the text."""
    lines, came = "".join(texts).split("\n"), list(accumulate(map(len, texts)))
    for line, end in zip(lines, accumulate(len(line) + 1 for line in lines), strict=True):
        value = _value(line) if line.startswith(("{", "[")) else None  # other JSON may as well be text
        if value is not None:
            yield value, handed_ns[min(bisect_left(came, end), len(came) - 1)]


def _unwrapped(value: Any) -> Told:
    return Told("result", value, f"{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n")


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
