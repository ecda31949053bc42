"""What can go wrong in a scripted answer: `Script(faults=(Stall(5, ms=2000), Cut(9, how="rst")))`.

Most faults are addressed by event: `at=3` is the third piece of the script's text. With n pieces, n + 1 is the end (the
provider's finish events and end mark), n + 2 the end of the HTTP framing after it, and 0 the head of the answer. If a
script has several faults, those that change what is sent are applied first, then those that change when, then those of
the framing; within each of these groups, in the order given. A fault whose event never comes, because another one cut
it off, does nothing.

Faults of HTTP itself (framing, connections, heads) are in `http_faults`; those of what a provider says (its last word,
its failures, the shape of its text) in `answer_faults`. All have their names here too.

A script with faults is written past the HTTP server, byte by byte as planned: the head at once, in a write of its own,
and the connection is closed at the end. Equal scripts send the same bytes.
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
    """A silence of `ms` before event `at`; all that follows is later by as much. `at=0`: before the head.

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
    """A silence of `ms` before event `at`, in which the provider sends a heartbeat every `every_ms`.

        >>> drips = sk.Script(["a", "b"], faults=[sk.faults.Heartbeats(2, every_ms=100, ms=300)])
        >>> [step.kind for step in drips.steps()]
        ['head', 'piece', 'noise', 'noise', 'piece', 'end']

    `how` is "comment", or "event" for `event: ping` events; NDJSON has neither, so there they are blank lines.
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
    """Event `at` is sent in two chunks `gap_ms` apart, cut inside its first multi-byte UTF-8 character, if it has one.

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
    """From `at` on, `events` events go out in one write, when the last of them is due; each is a chunk of its own.

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
    """Before event `at` come `size_bytes` random bytes (from the script's seed) that are not valid UTF-8.

        >>> sk.Script(["a", "b"], faults=[sk.faults.Garbage(2, how="event")]).expected_text
        'a'

    `how="line"`: as a line of their own, which a client has to ignore by the grammar of SSE. `how="event"`: as the data
    of an event, where the provider would have JSON. In NDJSON every line is data.
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
    """Event `at` and all later pieces are replaced by an error that the provider reports in its own format.

        >>> sk.Script(["a", "b"], faults=[sk.faults.ErrorEvent(2, code="overloaded_error")]).expected_text
        'a'

    The end mark follows all the same, as with OpenRouter; add `NoEnd()` to leave it out.
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
    """Before event `at` comes one more, with `size_bytes` of text, which are made while they are sent.

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
    """Event `at` is replaced by one whose line goes on for `size_bytes` of text, and the answer ends within it.

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
    """Event `at` is sent twice, byte for byte the same, including its id if the format has ids.

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
    """The end mark is missing.

    With `keep_finish` the finish events before it are sent, such as OpenAI's last chunk with its `finish_reason`; many
    compatible servers end like that.

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
    """After the end mark comes one more piece, `text`; in a format without an end mark it is a piece like any other.

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
