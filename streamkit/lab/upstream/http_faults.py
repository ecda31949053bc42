"""What can go wrong with the HTTP of a scripted answer: its chunks and length, its connection, its head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, Literal

from streamkit.lab.upstream.fault_base import CONTENT, CUTS, FRAMING, HEAD, Choices, EventFault, Fault
from streamkit.lab.upstream.steps import BODILESS, INTERIM, Kind, ScriptedAnswer, Step, answer_head, raw
from streamkit.presets.writer import Writer

__all__ = ["BadChunk", "BigHead", "Cut", "Interim", "NoAnswer", "SlowHead", "Status", "WrongLength"]

UNTOLD_BYTES: Final = 1000  # what a chunk whose size is a lie lacks


def _bad_size(data: bytes) -> bytes:
    return b"zz\r\n%b\r\n" % data


def _no_crlf(data: bytes) -> bytes:
    return b"%x\r\n%b" % (len(data), data)


def _too_long(data: bytes) -> bytes:
    return b"%x\r\n%b" % (len(data) + UNTOLD_BYTES, data)


FRAMES: Final[dict[str, Callable[[bytes], bytes]]] = {"size": _bad_size, "crlf": _no_crlf, "long": _too_long}


@dataclass(frozen=True)
class BadChunk(EventFault):
    """The HTTP chunk of event `at` is malformed (RFC 9112, section 7.1).

        >>> sk.Script(["a", "b"], faults=[sk.faults.BadChunk(2, how="size")]).steps()[2].framed[:2]
        b'zz'

    `how="size"`: its size is not a number. `how="crlf"`: there is no CRLF after its data. `how="long"`: it announces
    more than comes before the connection is closed. `at` n + 2 is the last chunk.
    """

    at: int
    how: Literal["size", "crlf", "long"] = "size"
    stage: ClassVar[int] = FRAMING
    beyond: ClassVar[int] = 2
    choices: ClassVar[Choices] = {"how": tuple(FRAMES)}

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        step = answer.steps[index]
        bad = replace(step, frame=FRAMES[self.how], breaks="before" if self.how == "size" else "behind")
        behind = [raw(step.due_ns, "fin", b"")] if self.how == "long" else answer.steps[index + 1 :]
        return [*answer.steps[:index], bad, *behind]


@dataclass(frozen=True)
class WrongLength(Fault):
    """The body has a Content-Length that is wrong by `by` bytes.

        >>> sk.Script(["a", "b"], faults=[sk.faults.WrongLength(5)]).whole
        False

    Above 0 it promises more than comes before the connection is closed; below 0, less than is sent. In a format without
    an end mark, the latter cannot be noticed if it ends after a whole event.
    """

    by: int
    stage: ClassVar[int] = FRAMING

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not self.by:
            raise ValueError("expected by as the number of bytes that Content-Length is wrong by, got 0")

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        head, *events, end = answer.steps
        length = max(0, sum(len(step.data) for step in events) + self.by)
        told = head.data.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % length)
        body = [replace(step, frame=bytes) for step in events]
        if self.by > 0:
            body.append(raw(end.due_ns, "fin", b"", at=end.at))
        else:
            body = _ended_after(body, length, end.due_ns, answer.form)
        return [replace(head, encode=partial(bytes, told)), *body]


def _ended_after(body: list[Step], length: int, end_ns: int, form: Writer) -> list[Step]:
    """The body, whose framing ends after so many bytes; what comes behind that is no part of it."""
    for index, step in enumerate(body):
        data = step.data
        if len(data) > length:
            begun = [_begun(step, data, length, form)] if length else []
            rest = raw(step.due_ns, "noise", data[length:])
            behind = [replace(later, kind="noise") for later in body[index + 1 :]]
            return [*body[:index], *begun, raw(step.due_ns, "end", b""), rest, *behind]
        length -= len(data)
    return [*body, raw(end_ns, "end", b"")]


def _begun(step: Step, data: bytes, length: int, form: Writer) -> Step:
    """The beginning of a step of which the rest is none of the body: mostly a part of an event that never ends."""
    if data[length:] == b"\n" and (form.is_ndjson or data.endswith(b"\r\n")):
        return replace(step, encode=partial(bytes, data[:length]))  # a last line of JSON needs no LF, a blank one a CR
    kind: Kind = "noise" if data.startswith(b":") else "part"  # half a comment is a comment
    return raw(step.due_ns, kind, data[:length], at=step.at)


@dataclass(frozen=True)
class Cut(EventFault):
    """The connection ends before event `at`, or, with `inside=True`, in the middle of it.

        >>> sk.Script(["a", "b"], faults=[sk.faults.Cut(2, how="rst")]).expected_text
        'a'

    `how` is "fin", an orderly close, or "rst", a reset after all that was sent has arrived; a unix socket has no reset,
    so there "rst" is like "fin". `inside` cuts within the event's chunk, within the head (`at=0`), or within the last
    chunk (`at` n + 2).
    """

    at: int
    how: Literal["fin", "rst"] = "fin"
    inside: bool = False
    stage: ClassVar[int] = CUTS
    first: ClassVar[int] = 0
    beyond: ClassVar[int] = 2
    choices: ClassVar[Choices] = {"how": ("fin", "rst")}

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        step = answer.steps[index]
        framed = step.framed if self.inside else b""
        kept = max(1, len(framed) - len(step.data) // 2 - 3)  # 3: more than the CRLF behind a chunk's data
        begun = raw(step.due_ns, "head" if step.kind == "head" else "part", framed[:kept], at=step.at)
        return [*answer.steps[:index], *([begun] if framed else []), raw(step.due_ns, self.how, b"")]


# --- The head, and what comes instead of an answer ------------------------------------------------------------------


@dataclass(frozen=True)
class NoAnswer(Fault):
    """The request is read, and never answered.

    >>> [step.kind for step in sk.Script(faults=[sk.faults.NoAnswer()]).steps()]
    ['silence']
    """

    stage: ClassVar[int] = CONTENT

    def apply(self, answer: ScriptedAnswer) -> list[Step]:  # noqa: ARG002  # whatever it would have been
        return [raw(0, "silence", b"", at=0)]


BODIES: Final = {
    "json": ("application/json", '{"error":{"code":"%d","message":"scripted error"}}'),
    "html": ("text/html; charset=utf-8", "<!doctype html><title>%d</title><h1>scripted error</h1>\n"),
}


@dataclass(frozen=True)
class Status(Fault):
    """The answer is this HTTP status with an error page instead of a stream.

        >>> sk.Script(faults=[sk.faults.Status(429, retry_after=7)]).steps()[0].data.splitlines()[0]
        b'HTTP/1.1 429 Scripted'

    `body` is "json" or "html"; the status may also be 200. `retry_after` is the value of that header: seconds, or any
    text. A redirection (3xx) has a Location.
    """

    status: int
    retry_after: int | str | None = None
    body: Literal["json", "html"] = "json"
    stage: ClassVar[int] = CONTENT
    choices: ClassVar[Choices] = {"body": tuple(BODIES)}

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if isinstance(self.status, bool) or not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ValueError(f"expected status from 200 to 599, got {self.status!r}")
        if not str(self.retry_after).isprintable():
            raise ValueError(f"expected retry_after without control characters, got {self.retry_after!r}")

    def apply(self, answer: ScriptedAnswer) -> list[Step]:  # noqa: ARG002  # whatever it would have been
        content_type, page = BODIES[self.body]
        body = b"" if self.status in BODILESS else (page % self.status).encode()
        head = answer_head(
            self.status,
            content_type if body else "",
            content_length=str(len(body)) if body else "",
            retry_after="" if self.retry_after is None else str(self.retry_after),
            location="/elsewhere" if 300 <= self.status < 400 else "",
        )
        return [raw(0, "head", head, at=0), raw(0, "error", body)]


@dataclass(frozen=True)
class SlowHead(Fault):
    """The head comes byte by byte, `gap_ms` apart; what follows is later by the sum of these gaps.

    >>> sk.Script(["a"], 0, faults=[sk.faults.SlowHead(gap_ms=1)]).steps()[-1].due_ns // 10**6
    120
    """

    gap_ms: float = 0.0
    stage: ClassVar[int] = HEAD

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        index = answer.find(0)
        if index is None or answer.steps[index].kind != "head":
            return answer.steps
        head, since_ns = answer.steps[index].data, answer.steps[index].due_ns
        steps = answer.later(index + 1, len(head) * self.gap_ms)
        drops = [
            raw(since_ns + int(number * self.gap_ms * 1e6), "head", head[number : number + 1], at=0)
            for number in range(len(head))
        ]
        return [*steps[:index], *drops, *steps[index + 1 :]]


@dataclass(frozen=True)
class BigHead(Fault):
    """The head has an extra header field of `size_bytes`.

    >>> len(sk.Script(["a"], faults=[sk.faults.BigHead(size_bytes=1000)]).steps()[0].data) > 1000
    True
    """

    size_bytes: int
    stage: ClassVar[int] = FRAMING

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        head, *rest = answer.steps
        if head.kind != "head":
            return answer.steps
        filler = b"X-Filler: %b\r\n\r\n" % (b"x" * self.size_bytes)
        return [replace(head, encode=partial(bytes, head.data[:-2] + filler)), *rest]


@dataclass(frozen=True)
class Interim(Fault):
    """`count` interim responses (103 Early Hints) come before the answer, or before its absence.

    >>> sk.Script(["a"], faults=[sk.faults.Interim(2)]).steps()[0].data.count(b"103 Early Hints")
    2
    """

    count: int
    stage: ClassVar[int] = HEAD

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        return answer.inserted(0, raw(0, "head", INTERIM * self.count))
