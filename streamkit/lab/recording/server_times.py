"""What a server itself tells of its times: beside its answer, in its last event, or in its head.

    recording.summary().server_ms            # {'queue': 12.3, 'prefill': 85.2, 'decode': 1240.5}

    vLLM        the last chunk's `metrics` (with --enable-per-request-metrics): queue_time_ms, generation_time_ms, and
                time_to_first_token_ms, which counts from when the request was scheduled
    llama.cpp   the last chunk's `timings`: prompt_ms, predicted_ms
    Groq        the last chunk's `x_groq.usage`, or `usage`, in seconds: queue_time, prompt_time, completion_time
    Ollama      the last line, in nanoseconds: load_duration, prompt_eval_duration, eval_duration, total_duration
    any         the head's `Server-Timing` (https://www.w3.org/TR/server-timing/), in milliseconds

Their words become ours: `queue` (waiting), `load` (of the model), `prefill` (up to the first token), `decode` (from
then on), `total`. All of it is the server's word: nothing of it was measured here. Pure, and bounded: a server can say
a lot.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Recorded

__all__ = ["ServerTime", "before_first", "server_times", "server_timing"]

HEADER: Final = "Server-Timing"
LAST_EVENTS: Final = 4  # behind the one with the times there may be an end mark, and little else
MOST_CHARACTERS: Final = 1 << 20  # Ollama's last line holds the whole context
MOST_HEADER: Final = 8192
MOST_METRICS: Final = 32
MOST_NAME: Final = 60
LONGEST_S: Final = 86_400.0
BEFORE_FIRST: Final = ("queue", "load", "prefill")
"""What is over when the first token is there, one after the other."""

_BARE: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METRIC: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER: Final = re.compile(rf';\s*({_BARE})\s*=\s*({_BARE}|"(?:[^"\\]|\\.)*")')
_NAME: Final = re.compile(rf"\s*({_BARE})\s*(?=;|$)")


class ServerTime(NamedTuple):
    """One of them: what it is the time of, how long, and where that stood.

    >>> ServerTime("queue", 12_300_000, "vLLM").ns
    12300000
    """

    name: str
    ns: int
    source: str


def server_times(recording: Recorded) -> tuple[ServerTime, ...]:
    """What the server told; of its last event if there is anything in it, and what its head says."""
    events = recording.events
    for index in range(len(events) - 1, max(-1, len(events) - 1 - LAST_EVENTS), -1):
        if found := _of_event(events.data[index]):
            break
    else:
        found = ()
    return (*found, *server_timing(recording.headers.get("server-timing", "")))


def before_first(times: tuple[ServerTime, ...]) -> tuple[ServerTime, ...]:
    """Those that lie one after the other before the first token.

    Of a `Server-Timing` it is not known which lie in one another, as `total` does around `db`: the longest stands for
    all of them, and only where the answer itself tells nothing.
    """
    told = tuple(time for time in times if time.source != HEADER and time.name in BEFORE_FIRST)
    longest = max((time for time in times if time.source == HEADER), key=lambda time: time.ns, default=None)
    return told or (() if longest is None else (longest,))


def server_timing(header: str) -> tuple[ServerTime, ...]:
    """The metrics of a `Server-Timing` header that have a duration, in their order.

    >>> server_timing('cache;desc="Cache, read";dur=23.2, miss, db;dur=53')[1].name
    'db'
    """
    return tuple(_metrics(header[:MOST_HEADER]))[:MOST_METRICS]


def _metrics(header: str) -> Iterator[ServerTime]:
    for metric in _METRIC.findall(header):
        named = _NAME.match(metric)
        if named is None:
            continue
        told: dict[str, str] = {}
        for name, value in _PARAMETER.findall(metric):
            told.setdefault(name.lower(), value.strip('"'))  # of one that is given twice the first counts
        ns = _ns(_number(told.get("dur", "")), 1e6)
        if ns is not None:
            yield ServerTime(named[1][:MOST_NAME], ns, HEADER)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _ns(value: Any, unit_ns: float) -> int | None:
    """None for what is no time."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(value * unit_ns) if 0 <= value * unit_ns <= LONGEST_S * 1e9 else None


def _of_event(data: str) -> tuple[ServerTime, ...]:
    if len(data) > MOST_CHARACTERS or not any(word in data for word in _WORDS):
        return ()
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(told, dict):
        return ()
    for source, path, unit_ns, words in _SHAPES:
        at: Any = told
        for key in path:
            at = at.get(key) if isinstance(at, Mapping) else None
        if isinstance(at, Mapping):
            pairs = ((name, _ns(at.get(word), unit_ns)) for name, word in words.items())
            if found := tuple(ServerTime(name, ns, source) for name, ns in pairs if ns is not None):
                return found
    return ()


_IN_S: Final = {"queue": "queue_time", "prefill": "prompt_time", "decode": "completion_time", "total": "total_time"}
_SHAPES: Final[tuple[tuple[str, tuple[str, ...], float, dict[str, str]], ...]] = (
    (
        "vLLM",
        ("metrics",),
        1e6,
        {"queue": "queue_time_ms", "prefill": "time_to_first_token_ms", "decode": "generation_time_ms"},
    ),
    ("llama.cpp", ("timings",), 1e6, {"prefill": "prompt_ms", "decode": "predicted_ms"}),
    ("Groq", ("x_groq", "usage"), 1e9, _IN_S),
    ("Groq", ("usage",), 1e9, _IN_S),
    (
        "Ollama",
        (),
        1,
        {
            "load": "load_duration",
            "prefill": "prompt_eval_duration",
            "decode": "eval_duration",
            "total": "total_duration",
        },
    ),
)
_WORDS: Final = tuple(f'"{word}"' for _, _, _, words in _SHAPES for word in words.values())
