"""What a process that works tells the event loop that waits for it: lines of JSON, each `[kind, data]`. No I/O.

    ["progress", {"progress": 3, "total": 10, "message": ""}]    how far it is; only the latest counts
    ["result", {"sum": 3}]                                        a partial result
    ["returned", {"sum": 6}]                                      the last one: it has ended well
    ["raised", {"type": "ValueError", "why": "…"}]                it has not

JSON and no pickle: who reads it runs nothing of what it reads. Before them stands the token that a job was given, in a
line of its own; the answer to that is GO.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import orjson

__all__ = ["ENDS", "GO", "MAX_LINE_BYTES", "Kind", "Message", "MessageParser", "encode_message"]

MAX_LINE_BYTES: Final = 1 << 20
"""One message as a line; a result that is larger is to be told in parts."""
GO: Final = b"+"
"""Somebody waits for what the job will say."""

Kind: TypeAlias = Literal["progress", "result", "returned", "raised"]
ENDS: Final = frozenset({"returned", "raised"})
"""Nothing is said behind them."""
_KINDS: Final = frozenset(get_args(Kind))


class Message(NamedTuple):
    """One thing that a job said."""

    kind: Kind
    data: dict[str, Any]


def encode_message(kind: Kind, data: dict[str, Any]) -> bytes:
    """The line that says it. Raises TypeError for what JSON cannot say, ValueError for a line that is too long.

    >>> from streamkit.jobs.messages import encode_message
    >>> encode_message("result", {"sum": 3})
    b'["result",{"sum":3}]\\n'
    """
    try:
        line = orjson.dumps([kind, data], option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"expected what JSON can say: {error}") from None
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(
            f"expected at most {MAX_LINE_BYTES} bytes of JSON at once, got {len(line)}; tell it in several results"
        )
    return line


class MessageParser:
    """Messages out of the bytes of one connection, however they are cut."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Those that are complete now. Raises ValueError for what is no message, and for a line that is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError(f"expected lines of at most {MAX_LINE_BYTES} bytes")
        return [_message(line) for line in lines]


def _message(line: bytes) -> Message:
    match orjson.loads(line):
        case [str(kind), dict(data)] if kind in _KINDS:
            return Message(kind, data)  # type: ignore[arg-type]  # one of the literals, as was just looked at
    raise ValueError("expected [kind, data]")
