"""What can go wrong with what a provider says: its last word, its failures, the shape of its text.

Whether an answer that has one of these is whole is said by the fault itself, from what public reports of such answers
say, and not by the presets: so these scripts are a check of the presets too.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, Literal

from streamkit.extractor.pieces import End, Piece
from streamkit.lab.upstream.fault_base import CONTENT, MARK, TIME, WRITES, Choices, EventFault, Fault
from streamkit.lab.upstream.steps import ScriptedAnswer, Step, meaning
from streamkit.presets.writer import DONE_EVENT, Writer

__all__ = ["BareError", "Choice", "DoneMark", "Empty", "Finish", "NoBlankLine", "WrongType"]

FIRST_CHOICE: Final = b'"choices":[{"index":0,'


# --- Its last word --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finish(Fault):
    """The provider gives another finish reason than usual; `failed=True` if this reason means that it broke off.

    A format without finish reasons stays as it is.

        >>> sk.Script(["a"], preset="openai", faults=[sk.faults.Finish("length")]).whole
        True
        >>> sk.Script(["a"], preset="openai", faults=[sk.faults.Finish("network_error", failed=True)]).whole
        False
    """

    reason: str
    failed: bool = False
    stage: ClassVar[int] = CONTENT

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        return [self._changed(step, answer) for step in answer.steps]

    def _changed(self, step: Step, answer: ScriptedAnswer) -> Step:
        usual = _reason(step, answer) if step.kind == "close" else None
        if usual is None:
            return step
        data = step.data.replace(json.dumps(usual).encode(), json.dumps(self.reason).encode())
        if self.failed:
            return replace(step, kind="error", encode=partial(bytes, data), proof="")
        return replace(step, encode=partial(bytes, data))


def _reason(step: Step, answer: ScriptedAnswer) -> str | None:
    meant = meaning(answer.preset, step.data)
    end = meant.end if isinstance(meant, Piece) else meant
    return end.reason if isinstance(end, End) else None


@dataclass(frozen=True)
class DoneMark(Fault):
    """A `[DONE]` follows the last event, as many gateways add it whatever the format.

        >>> sk.Script(["a"], preset="seed", faults=[sk.faults.DoneMark()]).steps()[-2].data
        b'data: [DONE]\\n\\n'

    Formats that end like this anyway, or are not Server-Sent Events with JSON, stay as they are; so do answers that say
    nothing (`Empty("done")` is the mark alone).
    """

    stage: ClassVar[int] = TIME  # when it is known what is said before it

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        *before, end = answer.steps
        if end.kind != "end" or not _has_json_events(answer.form) or _ends_in_done(answer.form):
            return answer.steps
        if before[-1].kind == "part":  # an event that is not ended: this is one more line of it
            mark = Step(end.due_ns, "part", partial(bytes, DONE_EVENT))
        elif any(step.kind == "piece" or step.proof for step in before):
            mark = Step(end.due_ns, "noise", partial(bytes, DONE_EVENT), proof="proof")
        else:
            return answer.steps
        return answer.inserted(len(answer.steps) - 1, mark)


@dataclass(frozen=True)
class NoBlankLine(Fault):
    """The last event lacks the blank line that ends it, so SSE parsers have to drop it. A line of NDJSON needs none.

    After a finish reason nothing is lost by that; without one it may have been text.

        >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.NoBlankLine()]).whole
        True
        >>> sk.Script(["a", "b"], preset="seed", faults=[sk.faults.NoBlankLine()]).expected_text
        'a'
    """

    stage: ClassVar[int] = WRITES

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        *before, last, end = answer.steps if len(answer.steps) > 2 else (None, None, None)  # a head, an event, an end
        if last is None or answer.form.is_ndjson or last.kind == "head" or not last.data.endswith(b"\n"):
            return answer.steps
        line = last.data.rstrip(b"\r\n") + b"\n"
        kind: Literal["noise", "part"] = "noise" if line.startswith(b":") else "part"
        unended = Step(last.due_ns, kind, partial(bytes, line), at=last.at)
        return [*before, unended, end]


@dataclass(frozen=True)
class Empty(Fault):
    """No event of the answer is sent: `how` is "nothing", "comments", "done" (only an end mark) or "ping".

    >>> sk.Script(["a"], preset="openai", faults=[sk.faults.Empty("done")]).whole
    False
    """

    how: Literal["nothing", "comments", "done", "ping"] = "nothing"
    stage: ClassVar[int] = CONTENT
    choices: ClassVar[Choices] = {"how": ("nothing", "comments", "done", "ping")}

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        head, *_, end = answer.steps
        form = answer.form
        said = {
            "nothing": b"",
            "comments": form.heartbeat(),
            "done": b"" if form.is_ndjson else DONE_EVENT,
            "ping": form.heartbeat(as_event=True),
        }[self.how]
        noise = Step(end.due_ns, "noise", partial(bytes, said))
        return [head, *([noise] if said else []), end]


# --- Its failures, in words of its own ------------------------------------------------------------------------------

SHAPES: Final = {
    "object": '{"error":{"code":"overloaded_error","message":"scripted error"}}',
    "text": '{"error":"scripted error"}',
    "code": '{"code":500,"msg":"scripted error"}',
    "list": '[{"error":{"code":503,"message":"scripted error"}}]',
    "string": '"scripted error"',
    "number": "500",
}


@dataclass(frozen=True)
class BareError(EventFault):
    """Event `at` and all later pieces are replaced by an error that is not in the provider's format.

        >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.BareError(2, "field")]).expected_text
        'a'

    Gateways in front of a provider send such errors. `shape` is "object" or "text" (under "error"), "code" (with a
    message), "list", a bare "string" or "number", or "field" (a field of the event stream named "error", as llama.cpp
    has it). The end mark follows all the same.
    """

    at: int
    shape: Literal["object", "text", "code", "list", "string", "number", "field"] = "object"
    stage: ClassVar[int] = CONTENT
    choices: ClassVar[Choices] = {"shape": (*SHAPES, "field")}

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        body = SHAPES.get(self.shape, SHAPES["code"])
        name = "error" if self.shape == "field" else "data"
        data = f"{body}\n" if answer.form.is_ndjson else f"{name}: {body}\n\n"
        error = Step(answer.steps[index].due_ns, "error", partial(bytes, data.encode()))
        end = [step for step in answer.steps[index:] if step.kind in ("close", "end")]
        return [*answer.steps[:index], error, *end]


# --- The shape of its text ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WrongType(EventFault):
    """Event `at` has another JSON value where its text belongs. Formats whose text is not a JSON string stay unchanged.

    >>> sk.Script(["a", "b"], preset="openai", faults=[sk.faults.WrongType(2, "7")]).expected_text
    'a'
    """

    at: int
    value: str = "7"
    stage: ClassVar[int] = CONTENT
    beyond: ClassVar[int] = 0
    choices: ClassVar[Choices] = {"value": ("7", '["a"]', "true", '{"a":1}')}

    def change(self, answer: ScriptedAnswer, index: int) -> list[Step]:
        step = answer.steps[index]
        if step.at != self.at or (data := _retyped(answer.form, self.at - 1, self.value)) is None:
            return answer.steps
        return [*answer.steps[:index], Step(step.due_ns, "error", partial(bytes, data)), *answer.steps[index + 1 :]]


def _retyped(form: Writer, number: int, value: str) -> bytes | None:
    """The event of a piece with `value` in place of its text; None where there is no string of JSON to replace."""
    event = form.piece(MARK, number).decode()
    plain, inside = json.dumps(MARK), json.dumps(json.dumps(MARK))[1:-1]  # inside: of JSON within a string of JSON
    if event.count(inside) == 1:
        return event.replace(inside, json.dumps(value)[1:-1]).encode()
    return event.replace(plain, value).encode() if event.count(plain) == 1 else None


@dataclass(frozen=True)
class Choice(Fault):
    """The choice in each chunk (OpenAI's format) is always numbered 1 (`how="one"`), or counts up (`how="counting"`).

    >>> sk.Script(["Wh", "isper"], preset="openai", faults=[sk.faults.Choice("counting")]).expected_text
    'Whisper'
    """

    how: Literal["one", "counting"] = "counting"
    stage: ClassVar[int] = TIME  # when all is there that bears a number
    choices: ClassVar[Choices] = {"how": ("one", "counting")}

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        numbers = itertools.repeat(1) if self.how == "one" else itertools.count()
        return [self._numbered(step, numbers) for step in answer.steps]

    def _numbered(self, step: Step, numbers: Iterator[int]) -> Step:
        if FIRST_CHOICE not in step.data:
            return step
        data = step.data.replace(FIRST_CHOICE, b'"choices":[{"index":%d,' % next(numbers))
        return replace(step, encode=partial(bytes, data))


def _ends_in_done(form: Writer) -> bool:
    return any(b"[DONE]" in data for data in form.close())


def _has_json_events(form: Writer) -> bool:
    """Its events are Server-Sent Events with JSON as data."""
    if form.is_ndjson:
        return False
    lines = form.piece(MARK, 0).decode().splitlines()
    data = "\n".join(line.partition(":")[2] for line in lines if line.startswith("data:"))
    try:
        return isinstance(json.loads(data), dict | list)
    except ValueError:
        return False
