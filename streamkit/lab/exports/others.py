"""for_others(): a recording without what others need not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, Final

from streamkit.lab.arguments import check_listener
from streamkit.lab.diagnosis.seen import TcpRows
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.rows import Events, Reads, SlimEvents

__all__ = ["for_others"]

HARMLESS_HEADERS: Final = frozenset(
    (
        *("content-type", "content-encoding", "content-length", "transfer-encoding", "connection", "date", "server"),
        *("cache-control", "retry-after", "vary", "x-accel-buffering", "server-timing", "incremental"),
    )
)
"""What is kept of an answer's head: fields whose values a server does not make up for one asker."""
TOLD_OF_US: Final = frozenset(
    (
        *("clock", "origin", "started_at", "method", "framing", "wire_end", "streamkit"),
        *("sent_error_ns", "window_full_ns", "loop_lag_ns", "loop_calm_ns", "loop_busy_ns"),
        *("reader", "reader_busy_ns", "tcp", "untimed"),
    )
)
"""What is kept of `meta`: times, and how it was taken; neither the machine, nor words of a server."""

Redact = Callable[[str], str]


def for_others(recording: Recording, *, keep_text: bool = False, redact: Redact | None = None) -> Recording:
    """A copy of a recording that can be shown to others: without texts, bytes, and anything that may be secret.

        >>> said = sk.Recording.from_pieces([(0, "call 555"), (9, "-123")])
        >>> sk.exports.for_others(said, redact=lambda text: "".join("#" if c.isdigit() else c for c in text)).text
        'call ###-###'
        >>> len(sk.exports.for_others(said).events), sk.exports.for_others(said).summary().characters
        (2, 12)

    It leaves out the body's bytes, the data and ids of events, all headers but harmless ones, the query and user info
    of the URL, the server's words in `error`, `meta` and the relay's word, and the text. Times, sizes, outcomes,
    numbers of all kinds and the label stay: figures, gaps and summary are those of the original, except for the
    server's own times if it told them in its events.

    keep_text   True: the text and the reasoning stay. False: only the length of each piece
    redact      a function that masks text. It gets **all** of the text at once (then all of the reasoning), since what
                has to be masked may lie across pieces, and returns as many characters, which are divided into the
                pieces again. It implies `keep_text`

    Raises ValueError if `redact` returns another number of characters, or there is no text to mask; TypeError if it is
    not a function, or does not return text.
    """
    check_listener("redact", redact)
    return replace(
        recording,
        reads=_without_bytes(recording.reads),
        events=_events(recording, keep_text=keep_text, redact=redact),
        headers={name: value for name, value in recording.headers.items() if name.lower() in HARMLESS_HEADERS},
        url=_public(recording.url),
        error=None,
        relay=None if recording.relay is None else replace(recording.relay, code=""),
        meta=_meta(recording.meta),
        damage=(),
    )


def _without_bytes(reads: Reads) -> Reads:
    return Reads(reads.at_ns, reads.size, None, reads.error_ns, reads.late_ns)


def _public(url: str) -> str:
    """Without user info, query and fragment, which recordings made by hand, or by others, may have."""
    bare = url.partition("#")[0].partition("?")[0]
    scheme, mark, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else bare


def _meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Of what TCP told the numbers alone: in a file that somebody changed there may stand more."""
    kept = {name: value for name, value in meta.items() if name in TOLD_OF_US}
    if "tcp" in kept:
        kept["tcp"] = {name: list(column) for name, column in TcpRows.of(kept["tcp"])._asdict().items()}
    return kept


def _events(recording: Recording, *, keep_text: bool, redact: Redact | None) -> Events:
    events = recording.events
    if redact is None and (not keep_text or not events.kept):
        return _slim(events)
    if not events.kept:
        raise ValueError("expected a recording with its texts to redact=, got one that knows only how long they were")
    texts = {"text": events.text, "reasoning": events.reasoning}
    masked: dict[str, Any] = {
        name: [*column] if redact is None else _masked(redact, [*column]) for name, column in texts.items()
    }
    columns: dict[str, Any] = {name: getattr(events, name) for name in ("at_ns", "read", "handed_ns", "event", "size")}
    return Events(**columns, **masked)


def _masked(redact: Redact, pieces: list[str]) -> list[str]:
    whole = "".join(pieces)
    masked = redact(whole) if whole else ""
    if not isinstance(masked, str):
        raise TypeError(f"expected redact to return text, got {type(masked).__name__}")
    if len(masked) != len(whole):
        raise ValueError(
            f"expected redact to return as many characters as it was given, {len(whole):,}, got {len(masked):,}: each "
            "piece keeps its length, so put one character in place of another"
        )
    ends = accumulate(map(len, pieces), initial=0)
    return [masked[begin:end] for begin, end in pairwise(ends)]


def _slim(events: Events) -> Events:
    if not events.kept:
        return events
    slim = SlimEvents(handed_apart=True)
    for event in events:
        given = {name: getattr(event, name) for name in ("at_ns", "handed_ns", "read", "text", "reasoning", "size")}
        slim.append(event, **given)
    return slim
