"""What both grammars share: where a line in progress waits, the BOM, and the bounds."""

from __future__ import annotations

from typing import Final, TypeAlias

from streamkit.parser.event import ServerSentEvent

__all__ = ["Lines", "Readable", "positive", "to_bytes"]

Readable: TypeAlias = bytes | bytearray | memoryview
_BOM: Final = b"\xef\xbb\xbf"


class Lines:
    """What both grammars share: the BOM in front, the line in progress, what waits behind an oversized item."""

    unfinished: ServerSentEvent | None = None  # until close() finds something cut

    def __init__(self) -> None:
        self._head: bytes | None = b""  # a BOM that may still be coming; None: decided
        self._line = bytearray()  # a line whose end has not come
        self._waiting: tuple[bytes, int] | None = None  # behind an oversized item: bytes, and where to go on
        self._skipping = False  # dropping an oversized item
        self._closed = False

    def _end(self) -> None:
        self._closed = True
        self._line, self._head, self._waiting = bytearray(), None, None

    def _without_bom(self, data: bytes) -> bytes:
        """`data`, or what of it is certain: one BOM at the start of the stream is dropped, also when it is split."""
        if self._closed:
            raise RuntimeError(
                f"feed() after close(): the stream has ended; use a new {type(self).__name__} for the next"
            )
        if self._head is None:
            return data
        data = self._head + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(_BOM)

    def _take_waiting(self, data: bytes) -> tuple[bytes, int]:
        """The bytes to parse and where to begin: first what was waiting, then the new ones."""
        if not self._waiting:
            return data, 0
        waiting, pos = self._waiting
        self._waiting = None
        return (waiting[pos:] + data, 0) if data else (waiting, pos)


def positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"expected {name} of at least 1 byte, got {value!r}")
    return value


def to_bytes(data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    hint = "; encode it as UTF-8 first" if isinstance(data, str) else ""
    raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}{hint}")
