"""What can go wrong in a scripted answer: `Script(faults=(Stall(5, ms=2000), Cut(9, how="rst")))`.

A fault is addressed by event: `at=3` is the third piece of the script's text; with n pieces, n + 1 is the end (the
provider's finish events and end marker) and n + 2 the end of the HTTP framing, behind the end marker; 0 is the head of
the answer. Where several stand in one script, those that say what is sent come first, then those that say when, then
those of the framing; within each of these, the order in which they are given counts. A fault whose event never comes,
since another one has cut it off, does nothing.

Those of HTTP itself, of its framing, its connections and heads, are in `http_faults`, those of what a provider says, of
its last word, its failures and the shape of its text, in `answer_faults`; all stand here under their names.

A script with faults is written past the HTTP server, byte by byte as planned: the head at once, as a write of its own,
and the connection is closed at the end. The same script does the same to the byte.
"""

from __future__ import annotations

import math
import operator
import random
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from streamkit.lab.upstream.answer_faults import (
    BareError,
    Choice,
    DoneMark,
    Empty,
    Finish,
    NoBlankLine,
    WrongType,
)
from streamkit.lab.upstream.fault_base import CONTENT, MARK, TIME, WRITES, Choices, EventFault, Fault
from streamkit.lab.upstream.http_faults import (
    BadChunk,
    BigHead,
    Cut,
    Interim,
    NoAnswer,
    SlowHead,
    Status,
    WrongLength,
)
from streamkit.lab.upstream.steps import ScriptedAnswer, Step, filled, noise
from streamkit.presets.writer import Writer

__all__ = [
    "BadChunk",
    "BareError",
    "BigHead",
    "Choice",
    "Cut",
    "DoneMark",
    "Duplicate",
    "Empty",
    "EndlessLine",
    "ErrorEvent",
    "Finish",
    "Garbage",
    "Heartbeats",
    "HugeEvent",
    "Interim",
    "Merge",
    "MoreAfterEnd",
    "NoAnswer",
    "NoBlankLine",
    "NoEnd",
    "SlowHead",
    "Split",
    "Stall",
    "Status",
    "WrongLength",
    "WrongType",
]


def __dir__() -> list[str]:
    """The faults and nothing else: what is offered behind `sk.faults.`."""
    return sorted(__all__)


# --- When -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stall(EventFault):
    """Nothing is sent for `ms` before event `at`, and all that follows is so much later. `at=0`: before the head.

    >>> [step.due_ns // 10**6 for step in sk.Script(["a", "b"], 0, 20, faults=[sk.faults.Stall(2, ms=500)]).steps()]
    [0, 0, 520, 520]
    """

    at: int
    ms: float
    stage: ClassVar[int] = TIME
    first: ClassVar[int] = 0
    beyond: ClassVar[int] = 2

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        return answer.later(index, self.ms)


@dataclass(frozen=True)
class Heartbeats(EventFault):
    """A silence of `ms` before event `at` in which the provider shows every `every_ms` that it lives.

    By comments, or by `event: ping` events; NDJSON has neither, so there it is blank lines.

        >>> drips = sk.Script(["a", "b"], faults=[sk.faults.Heartbeats(2, every_ms=100, ms=300)])
        >>> [step.kind for step in drips.steps()]
        ['head', 'piece', 'noise', 'noise', 'piece', 'end']
    """

    at: int
    every_ms: float
    ms: float
    how: Literal["comment", "event"] = "comment"
    stage: ClassVar[int] = CONTENT
    choices: ClassVar[Choices] = {"how": ("comment", "event")}

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not self.every_ms or self.ms / self.every_ms > 1e6:
            raise ValueError(f"expected every_ms > 0 and at most a million heartbeats, got {self!r}")

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        since_ns = answer.steps[index].due_ns
        one = noise(since_ns, answer.preset, answer.form.heartbeat(as_event=self.how == "event"))
        numbers = range(1, math.ceil(self.ms / self.every_ms))
        beats = [replace(one, due_ns=since_ns + int(number * self.every_ms * 1e6)) for number in numbers]
        steps = answer.later(index, self.ms)
        return [*steps[:index], *beats, *steps[index:]]


# --- In which writes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split(EventFault):
    """Event `at` comes in two chunks `gap_ms` apart, torn inside its first UTF-8 character of several bytes, if any.

    >>> [step.kind for step in sk.Script(["床"], faults=[sk.faults.Split(1, gap_ms=20)]).steps()]
    ['head', 'part', 'piece', 'end']
    """

    at: int
    gap_ms: float = 0.0
    stage: ClassVar[int] = WRITES
    beyond: ClassVar[int] = 0

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        step = answer.steps[index]
        data = step.data
        if len(data) < 2:
            return answer.steps
        torn = next((place + 1 for place, byte in enumerate(data) if byte >= 0xC0), len(data) // 2)
        begin = Step(step.due_ns, "part", partial(bytes, data[:torn]), at=step.at)
        steps = answer.later(index, self.gap_ms)
        rest = replace(steps[index], encode=partial(bytes, data[torn:]))
        return [*steps[:index], begin, rest, *steps[index + 1 :]]


@dataclass(frozen=True)
class Merge(EventFault):
    """The events from `at` on, so many, go out in one write, when the last of them is due; each is its own chunk.

    >>> merged = sk.Script(["a", "b", "c"], faults=[sk.faults.Merge(1, events=2)])
    >>> [step.joined for step in merged.steps() if step.kind == "piece"]
    [True, False, False]
    """

    at: int
    events: int
    stage: ClassVar[int] = WRITES

    def check(self, pieces: int) -> None:
        if not 1 <= self.at <= self.at + self.events - 1 <= pieces:
            raise ValueError(f"expected events out of 1 to {pieces}, got {self!r}")

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        steps, numbers = answer.steps, range(self.at, self.at + self.events)
        last = max((place for place, step in enumerate(steps) if step.at in numbers), default=index)
        merged = [replace(step, due_ns=steps[last].due_ns, joined=True) for step in steps[index:last]]
        return [*steps[:index], *merged, *steps[last:]]


# --- What is sent ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Garbage(EventFault):
    """Before event `at` come so many random bytes (from the script's seed) that are no UTF-8.

    `how="line"`: as a line of their own, which the grammar of SSE has a reader ignore. `how="event"`: as the data of an
    event, where the provider would have JSON. In NDJSON every line is data.

        >>> sk.Script(["a", "b"], faults=[sk.faults.Garbage(2, how="event")]).expected_text
        'a'
    """

    at: int
    size_bytes: int = 64
    how: Literal["line", "event"] = "line"
    stage: ClassVar[int] = CONTENT
    choices: ClassVar[Choices] = {"how": ("line", "event")}

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        chance = random.Random(f"{answer.seed} {self!r}")  # noqa: S311  # a replayable script, no cryptography
        rest = chance.randbytes(self.size_bytes - 1).translate(bytes.maketrans(b"\r\n:", b"..."))
        line = b"\xff" + rest  # so it is never a field's name, nor JSON
        if answer.form.is_ndjson:
            data = line + b"\n"
        elif self.how == "line":
            data = line + b"\n\n"
        else:
            data = b"data: " + line + b"\n\n"
        return answer.inserted(index, noise(answer.steps[index].due_ns, answer.preset, data))


@dataclass(frozen=True)
class ErrorEvent(EventFault):
    """Instead of event `at` and the pieces behind it the provider reports an error, in its own format.

    Its end marker follows all the same, as with OpenRouter; NoEnd() leaves that out.

        >>> sk.Script(["a", "b"], faults=[sk.faults.ErrorEvent(2, code="overloaded_error")]).expected_text
        'a'
    """

    at: int
    code: str = "overloaded_error"
    stage: ClassVar[int] = CONTENT

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        error = noise(answer.steps[index].due_ns, answer.preset, answer.form.error(self.code))
        end = [step for step in answer.steps[index:] if step.kind in ("close", "end")]
        return [*answer.steps[:index], error, *end]


@dataclass(frozen=True)
class HugeEvent(EventFault):
    """Before event `at` comes one more, with so many bytes of text; they are made while they are sent.

    >>> len(sk.Script(["a", "b"], faults=[sk.faults.HugeEvent(2, size_bytes=70_000)]).expected_text)
    70002
    """

    at: int
    size_bytes: int
    stage: ClassVar[int] = CONTENT

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        before, behind = _around_text(answer.form, self.at)
        due_ns = answer.steps[index].due_ns
        text = partial(operator.mul, "x", self.size_bytes)
        breaks = _breaks_repetition(answer, index)
        last = Step(due_ns, "piece", partial(bytes, behind), self.size_bytes, text=text, breaks=breaks)
        return answer.inserted(index, *filled(due_ns, before, self.size_bytes), last)


@dataclass(frozen=True)
class EndlessLine(EventFault):
    """Instead of event `at` comes one whose line goes on for so many bytes of text, and the answer ends within it.

    >>> sk.Script(["a", "b"], faults=[sk.faults.EndlessLine(2, size_bytes=70_000)]).expected_text
    'a'
    """

    at: int
    size_bytes: int
    stage: ClassVar[int] = CONTENT

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        before, _ = _around_text(answer.form, self.at)
        line = filled(answer.steps[index].due_ns, before, self.size_bytes)
        end = [replace(step, at=-1) for step in answer.steps if step.kind == "end"]  # there is no event `at` any more
        return [*answer.steps[:index], *line, *end]


def _around_text(form: Writer, at: int) -> tuple[bytes, bytes]:
    """What a piece's event has before its text, and behind it."""
    before, _, behind = form.piece(MARK, at - 1).partition(MARK.encode())
    return before, behind


def _breaks_repetition(answer: ScriptedAnswer, index: int) -> Literal["", "before", "behind"]:
    """Where a text that is put in at `index` breaks an answer whose texts have to repeat all before them."""
    if not answer.form.cumulative:
        return ""
    if any(step.text_bytes for step in answer.steps[:index]):
        return "before"
    return "behind" if any(step.text_bytes for step in answer.steps[index:]) else ""


@dataclass(frozen=True)
class Duplicate(EventFault):
    """Event `at` comes twice, the same to the byte, its id (where the format has ids) included.

    >>> sk.Script(["a", "b", "c"], faults=[sk.faults.Duplicate(2)]).expected_text
    'abbc'
    """

    at: int
    stage: ClassVar[int] = CONTENT
    beyond: ClassVar[int] = 0

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        twin = replace(answer.steps[index], at=-1)
        if answer.form.cumulative:
            twin = replace(twin, text_bytes=0, text=str)  # it says nothing new
        return answer.inserted(index + 1, *[twin] if answer.steps[index].at == self.at else ())


@dataclass(frozen=True)
class NoEnd(Fault):
    """The end marker is missing. With `keep_finish` the finish events before it are sent, such as OpenAI's last chunk
    with its `finish_reason`; many compatible servers end so.

        >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.NoEnd()]).whole
        False
        >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.NoEnd(keep_finish=True)]).whole
        True
    """

    keep_finish: bool = False
    stage: ClassVar[int] = CONTENT

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        return [s for s in answer.steps if s.kind != "close" or (self.keep_finish and s.proof != "proof")]


@dataclass(frozen=True)
class MoreAfterEnd(Fault):
    """Behind the end marker comes one more piece. A format without an end marker has nothing that this could follow:
    there it is a piece like any other.

        >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.MoreAfterEnd("c")]).expected_text
        'ab'
    """

    text: str = "more"
    stage: ClassVar[int] = CONTENT

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        end = answer.steps[-1]
        if end.at < 0:
            return answer.steps
        data = answer.form.piece(self.text, end.at - 1)
        size = len(self.text.encode())
        text, breaks = partial(str, self.text), _breaks_repetition(answer, len(answer.steps))
        more = Step(end.due_ns, "piece", partial(bytes, data), size, text=text, breaks=breaks)
        last = answer.steps[-2]
        swallows = last.kind == "close" and not last.data.endswith(b"\n")  # Coze never terminates its last block
        return answer.inserted(len(answer.steps) - (2 if swallows else 1), more)
