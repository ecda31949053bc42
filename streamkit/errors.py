"""All exceptions that streamkit defines.

A programmer's mistake raises. What goes wrong on the wire becomes an `Outcome` or a result value, and is never raised
out of a stream. The one wire error that does raise, `LimitExceeded`, says how to go on.

    StreamkitError
     ├── PathSyntaxError       (ValueError)  a path or a condition that does not compile
     ├── UnknownPreset         (LookupError) no preset of that name
     ├── UnknownJob            (LookupError) no job of that name
     ├── NoTaps                (LookupError) no taps of a stream are to be had from a server
     ├── BadArguments          (ValueError)  a job does not take these arguments
     ├── EncodeError           (ValueError)  an event that the SSE grammar cannot carry
     ├── LimitExceeded                       a line or an event beyond its bound; the parser can go on
     │    ├── LineTooLong
     │    └── EventTooLarge
     ├── ConfigError           (ValueError)  an option or environment variable that makes no sense
     ├── ServerError           (RuntimeError) a server that could not be started or stopped
     └── RecordingFormatError  (ValueError)  a file that is not a recording
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "BadArguments",
    "ConfigError",
    "EncodeError",
    "EventTooLarge",
    "LimitExceeded",
    "LineTooLong",
    "NoTaps",
    "PathSyntaxError",
    "RecordingFormatError",
    "ServerError",
    "StreamkitError",
    "UnknownJob",
    "UnknownPreset",
]


class StreamkitError(Exception):
    """The base class of all errors that streamkit defines.

    try:
        sk.serve(make_app, port=8000)
    except sk.errors.StreamkitError as error:
        print(error)
    """


class PathSyntaxError(StreamkitError, ValueError):
    """A path or a condition that does not compile.

    `source` is the whole expression, `position` the index (in characters) at which it went wrong. The message draws a
    caret under that place.

        >>> sk.Extractor("choices[0].delta | jsn")
        Traceback (most recent call last):
        streamkit.errors.PathSyntaxError: ...
    """

    def __init__(self, message: str, source: str, position: int) -> None:
        super().__init__(f"{message}\n  {source}\n  {' ' * position}^")
        self.source = source
        self.position = position


class UnknownPreset(StreamkitError, LookupError):
    """No preset of that name; the message lists those that exist.

    >>> sk.preset("opnai")
    Traceback (most recent call last):
    streamkit.errors.UnknownPreset: expected a preset's name, got 'opnai'; there are openai, ...
    """


class UnknownJob(StreamkitError, LookupError):
    """No job of that name. The message lists those that exist; it does not repeat the name, which a client sent.

    >>> from streamkit.jobs.registry import Registry
    >>> from streamkit.jobs.shipped import SHIPPED
    >>> Registry(SHIPPED)["pie"]
    Traceback (most recent call last):
    streamkit.errors.UnknownJob: expected a job's name; there are ...
    """


class NoTaps(StreamkitError, LookupError):
    """A server has no taps of that stream, or does not give them; the message says why.

    try:
        recording = await sk.join(recording, "http://relay:8000")
    except sk.errors.NoTaps as error:
        print(error)  # it does not trace, for example, or does not know the stream
    """


class BadArguments(StreamkitError, ValueError):
    """A job does not take these arguments. The message says what it takes, and repeats no value.

    >>> from streamkit.jobs.registry import Job
    >>> from streamkit.jobs.shipped import pi
    >>> Job.of("pi", pi).check({})
    Traceback (most recent call last):
    streamkit.errors.BadArguments: expected samples; pi takes samples (an integer from 1 to ...
    """


class EncodeError(StreamkitError, ValueError):
    """An event that the event-stream grammar cannot carry, such as an `id` that holds a newline.

    >>> sk.encode_event(sk.ServerSentEvent(data="hi", id="1\\n2"))
    Traceback (most recent call last):
    streamkit.errors.EncodeError: ...
    """


class LimitExceeded(StreamkitError):
    """A line or an event is larger than its bound; the parser can go on.

    `limit` is the bound in bytes. `events` are the events that were complete before it in the same `feed`, so they are
    not lost. The oversized event is dropped up to its end; `feed(b"")` or the next `feed` goes on after it.

        try:
            events = parser.feed(read)
        except sk.errors.LimitExceeded as error:
            events = error.events
    """

    def __init__(self, limit: int, events: Sequence[Any] = ()) -> None:
        super().__init__(
            f"{self._what} is longer than {limit} bytes; it is dropped up to its end. "
            f"The events before it are in .events; call feed() again to go on after it, or close() to stop"
        )
        self.limit = limit
        self.events = list(events)

    _what = "an item"


class LineTooLong(LimitExceeded):
    """One line is longer than `max_line_bytes`.

    >>> sk.SSEParser(max_line_bytes=10).feed(b"data: more than ten bytes")
    Traceback (most recent call last):
    streamkit.errors.LineTooLong: a line is longer than 10 bytes; ...
    """

    _what = "a line"


class EventTooLarge(LimitExceeded):
    """The lines of one event are together longer than `max_event_bytes`.

    >>> sk.SSEParser(max_event_bytes=10).feed(b"data: 1\\ndata: 2\\n\\n")
    Traceback (most recent call last):
    streamkit.errors.EventTooLarge: an event is longer than 10 bytes; ...
    """

    _what = "an event"


class ConfigError(StreamkitError, ValueError):
    """An option or environment variable that makes no sense; the message names it.

    >>> sk.create_app(upstream="localhost:8000")
    Traceback (most recent call last):
    streamkit.errors.ConfigError: expected a full URL such as ...
    """


class ServerError(StreamkitError, RuntimeError):
    """A server that could not be started or stopped.

    try:
        server = sk.serve(make_app, port=8000)
    except sk.errors.ServerError as error:
        print(error)  # for example: the address is taken, and by whom
    """


class RecordingFormatError(StreamkitError, ValueError):
    """A file that is not a recording (or not what it was opened as), or is of a newer format.

    try:
        recording = sk.Recording.load("a.jsonl")
    except sk.errors.RecordingFormatError as error:
        print(error)
    """


def __dir__() -> list[str]:
    return sorted(__all__)
