"""What a processor is: bytes in, JSON objects out; without I/O, and without a clock but the one it is given.

    class Zeros:
        def __init__(self) -> None:
            self.zeros = 0

        def feed(self, data: bytes) -> None:
            self.zeros += data.count(0)

        def snapshot(self) -> dict[str, int]:
            return {"zeros": self.zeros}

        def final(self) -> dict[str, int | bool]:
            return {**self.snapshot(), "final": True}

The bytes may be cut anywhere: every split gives the same results. A processor uses a bounded amount of memory, whatever
is sent, and takes a few milliseconds at most for a few kilobytes, as everybody else waits meanwhile.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Processor", "TakesParts", "Unprocessable"]


class Processor(Protocol):
    """What makes something of an upload while it arrives: any class with these three methods.

    A processor that only reads text in UTF-8 also sets `reads_text = True`; a body declared to be in another charset is
    then refused. Any of the methods may raise `Unprocessable`.
    """

    def feed(self, data: bytes) -> None:
        """Take some more bytes: any number, cut anywhere."""

    def snapshot(self) -> dict[str, Any]:
        """The result so far, as a JSON object: names are `str`, what is not known is None; NaN is not allowed."""

    def final(self) -> dict[str, Any]:
        """The final result, with `"final": True`; what is unfinished, such as a last line, now counts.

        It is called once, after everything came whole, and nothing is called after it.
        """


@runtime_checkable
class TakesParts(Protocol):
    """A processor that wants every part of a form; others are given only the one file in it."""

    def begin_part(self, name: str, filename: str | None) -> None:
        """What is fed from now on belongs to this part (RFC 7578); a field that is not a file has no filename."""


class Unprocessable(Exception):
    """Raised by a processor that cannot process what was sent; the client is told so.

    `code` is a stable name in snake_case, `detail` says what to send instead, and quotes nothing that was sent.

        >>> from streamkit.processors.processor import Unprocessable
        >>> str(Unprocessable("no_zeros", "send some zeros"))
        'no_zeros: send some zeros'
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
