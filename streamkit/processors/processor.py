"""What a processor is: bytes in, JSON objects out. No I/O, and no clock but the one it is given.

    class Zeros:
        def __init__(self) -> None:
            self.zeros = 0

        def feed(self, data: bytes) -> None:
            self.zeros += data.count(0)

        def snapshot(self) -> dict[str, int]:
            return {"zeros": self.zeros}

        def final(self) -> dict[str, int | bool]:
            return {**self.snapshot(), "final": True}

Whoever feeds it cuts the bytes as he likes: any partition of them gives the same results. It holds a bounded amount of
memory, whatever is sent, and a few kilobytes take it a few milliseconds at most, as everybody else waits meanwhile.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Processor", "TakesParts", "Unprocessable"]


class Processor(Protocol):
    """Three methods; see above for one. For text in UTF-8 alone, it has `reads_text = True` beside them: what is
    declared to be in another charset is refused then. Any of the methods may raise `Unprocessable`.
    """

    def feed(self, data: bytes) -> None:
        """Some more of the bytes: of any number, cut anywhere."""

    def snapshot(self) -> dict[str, Any]:
        """The result so far, as a JSON object (a `str` for each name; None for what is not known, no NaN)."""

    def final(self) -> dict[str, Any]:
        """The result of all, with `"final": True`: what is unfinished, such as a last line, counts now. Called once,
        at the end of what came whole; nothing is called behind it.
        """


@runtime_checkable
class TakesParts(Protocol):
    """A processor that wants every part of a form. Others are given the one file in it."""

    def begin_part(self, name: str, filename: str | None) -> None:
        """What is fed from now on is of this part (RFC 7578); a field that is no file has no filename."""


class Unprocessable(Exception):
    """What was sent is nothing that can be processed: raised by a processor, told to the one who sent it.

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
