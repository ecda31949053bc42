"""One function for the common event of a shape: from the bytes of its JSON to its text.

    texts, reader = compiled(keys, CommonRules(…))      # of a preset's rules, for events with these keys
    texts([b'{"text":"Hi"}'])                           # ['Hi']; None: at least one of them is not common
    reader(b"data: ", b"\n\n")(b'data: {"text":"Hi"}\n\n')   # the same of a read that is one event and nothing else

**Theory of operation.** Nearly all events of an answer say a text and nothing else. By a `Plan` (see `plans`) such an
event takes a dozen calls, each of which is prepared for what is odd. Here a function is written that is prepared for
nothing: along the text's path it expects of each value the one kind that goes on, and of each list one element; where
a rule for an end, an error or a reasoning looks, it expects nothing. It gives None at the first value that is
otherwise, and has changed nothing: its caller then reads all of it in the general way, which decides what it means. So
this is no second opinion. It may give None for what is common after all, and never a text that no plan would give.

    a text's path       each step has to lead on, and its end is a text that is not empty
    its conditions      have to hold
    an end's reason     null, absent or "", or one of its conditions fails
    an error's place    null, absent or ""
    an end's or an error's conditions           one of them fails

What is written is Python: that is the quickest there is without another language. All of it comes from the preset; what
stands on the wire is only ever compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from streamkit.extractor.follow import MISSING
from streamkit.extractor.path import EVERY, JSON, Condition, Path, Step
from streamkit.presets.failures import TELLING, tells_failure

__all__ = ["Common", "CommonReaders", "CommonRules", "Guarded", "OneCommon", "Unwritten", "compiled"]

Common: TypeAlias = Callable[[Iterable[bytes]], list[str] | None]
"""The texts of these events, given as the bytes of their data; None, if one of them is not common."""

OneCommon: TypeAlias = Callable[[bytes], list[str] | None]
"""The text of the event that these bytes are, as a list of one; None, if they are anything else than a common event."""

Guarded: TypeAlias = tuple[Path, Sequence[Condition]]
"""A path, and the conditions under which it counts."""

_ALONE: Final = 0  # the only element of a list: [0], [-1] and [*] are the same there


class Unwritten(Exception):
    """A rule asks for what is not written here: such events are read in the general way."""


@dataclass(frozen=True)
class CommonRules:
    """What a preset's rules leave to be looked at in events of one shape.

    text       where the first text stands that there can be
    nothing    where nothing may stand: reasons of ends, errors, reasoning
    unmet      of each of these one condition has to fail
    may_fail   a failure may show in the shape of the values (`failures.tells_failure`)
    """

    text: Guarded
    nothing: Sequence[Guarded]
    unmet: Sequence[Sequence[Condition]]
    may_fail: bool


class CommonReaders(NamedTuple):
    """The functions for events of one shape; `reader` makes one for those that are written with such a prefix to their
    data, and such a blank behind it: the same one each time.
    """

    texts: Common
    reader: Callable[[bytes, bytes], OneCommon]


def compiled(keys: Sequence[str], rules: CommonRules) -> CommonReaders:
    """The functions for events whose top-level keys are these, in this order. Raises Unwritten."""
    source = _Source()
    text = source.text(*rules.text)
    for path, guards in rules.nothing:
        source.nothing(path, guards)
    for conditions in rules.unmet:
        source.unmet(conditions)
    if rules.may_fail:
        source.no_failure(keys)
    names = {"loads": orjson.loads, "MISSING": MISSING, "tells_failure": tells_failure, "KEYS": [*keys]}
    names |= {"unlike": (orjson.JSONDecodeError, KeyError), "HARMLESS": [None], "Nothing": type(None)}
    # As dataclasses do it: no line of it is from the wire.
    exec(_FUNCTIONS.format(text=text, lines="\n".join([" " * 12 + line for line in source.lines])), names)  # noqa: S102
    reader: Any = names["reader"]
    return CommonReaders(names["texts"], lru_cache(MAX_READERS)(reader))  # type: ignore[arg-type]  # it has just been made


MAX_READERS: Final = 8  # ways to write an event, of one shape

_FUNCTIONS: Final = """
def texts(events):
    found = []
    try:
        for data in events:
            value = loads(data)
            if type(value) is not dict or [*value] != KEYS:
                return None
{lines}
            found.append({text})
    except unlike:
        return None
    return found

def reader(prefix, blank):
    begin, end = len(prefix), -len(blank)

    def one(data):
        event = data[begin:end]
        if data[:begin] != prefix or data[end:] != blank or 10 in event or 13 in event:  # LF, CR
            return None
        try:
            value = loads(event)
            if type(value) is not dict or [*value] != KEYS:
                return None
{lines}
            return [{text}]
        except unlike:
            return None

    return one
"""


class _Source:
    """The lines of the function, and by which name each place on the way is known."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[tuple[Step, ...], str] = {(): "value"}
        self._kinds: dict[tuple[Step, ...], type] = {(): dict}  # those that are certain

    def leave_if(self, test: str) -> None:
        """Where this is true, the event is not common."""
        self.lines.append(f"if {test}: return None")

    def text(self, path: Path, guards: Sequence[Condition]) -> str:
        """The name of the text at a path that has to lead to one."""
        steps = _steps(path)
        for number in range(len(steps)):
            self._go_on(steps[:number], steps[number])
        name = self._names[steps]
        self._kinds[steps] = str
        self.leave_if(f"type({name}) is not str or not {name}")
        for guard in guards:
            self.leave_if(self._not_sure(guard))
        return name

    def nothing(self, path: Path, guards: Sequence[Condition]) -> None:
        """Nothing stands there that counts."""
        name = self._look(_steps(path))
        if name is not None:
            stands = f"{name} is not None and {name} is not MISSING and {name} != ''"
            self.leave_if(" and ".join([stands, *map(self._possible, guards)]))

    def unmet(self, conditions: Sequence[Condition]) -> None:
        """At least one of them fails."""
        self.leave_if(" and ".join(map(self._possible, conditions)) or "True")

    def no_failure(self, keys: Sequence[str]) -> None:
        """It is no error by its shape, for which few of its values are asked: mostly the same as those before."""
        asked = [repr(key) for key in keys if key in TELLING]
        values = ", ".join(f"value[{key}], type(value[{key}])" for key in asked)
        self.lines += [
            f"telling = ({values},)" if asked else "telling = ()",
            "if telling != HARMLESS[0]:",
            "    if tells_failure(value): return None",
            "    HARMLESS[0] = telling",
        ]

    # -- conditions ----------------------------------------------------------------------------------------------------

    def _not_sure(self, condition: Condition) -> str:
        """True unless it certainly holds."""
        name, literal = self._condition(condition)
        match condition.operator:
            case "==":
                other = f"{name} != {literal} or type({name}) is not {_kind_name(condition)}"
                return f"{name} is not MISSING and ({other})" if condition.or_absent else other
            case "!=":
                return f"{name} == {literal}"
            case "exists":
                return f"{name} is MISSING"
        return f"{name} is not MISSING"

    def _possible(self, condition: Condition) -> str:
        """True unless it certainly fails."""
        name, literal = self._condition(condition)
        match condition.operator:
            case "==":
                return f"({name} == {literal} or {name} is MISSING)" if condition.or_absent else f"{name} == {literal}"
            case "!=":
                return f"({name} != {literal} or type({name}) is not {_kind_name(condition)})"
            case "exists":
                return f"{name} is not MISSING"
        return f"{name} is MISSING"

    def _condition(self, condition: Condition) -> tuple[str, str]:
        """The name of what stands at its path, and its literal."""
        if condition.or_absent and condition.operator != "==":
            raise Unwritten
        return self._look(_steps(condition.path)) or "MISSING", repr(condition.literal)

    # -- ways ----------------------------------------------------------------------------------------------------------

    def _look(self, steps: tuple[Step, ...]) -> str | None:
        """The name of what stands there, or MISSING; None where nothing can. What leads no further is not common."""
        for number, step in enumerate(steps):
            here = steps[:number]
            if self._kinds.get(here) is str and step is not JSON:
                return None
            if (*here, step) not in self._names:
                self._try_on(here, step)
        return self._names[steps]

    def _go_on(self, here: tuple[Step, ...], step: Step) -> None:
        """The name of what stands one step further: nothing but that step will do."""
        name = self._names[here]
        kind = _kind_for(step)
        if self._kinds.get(here) is not kind:
            self._kinds[here] = kind
            self.leave_if(f"type({name}) is not {kind.__name__}" + f" or len({name}) != 1" * (kind is list))
        self._named((*here, step), f"{name}[{step!r}]" if kind is dict else _step_from(name, step))

    def _try_on(self, here: tuple[Step, ...], step: Step) -> None:
        """The same where there may be nothing."""
        name, kind = self._names[here], _kind_for(step)
        if self._kinds.get(here) is kind:
            self._named((*here, step), _step_from(name, step))
            return
        if kind is str:
            raise Unwritten
        further = self._names[(*here, step)] = f"place_{len(self._names)}"
        alone = f" and len({name}) == 1" * (kind is list)
        self.lines += [
            f"if type({name}) is {kind.__name__}{alone}: {further} = {_step_from(name, step)}",
            f"elif {name} is None or {name} is MISSING: {further} = MISSING",
            "else: return None",
        ]

    def _named(self, place: tuple[Step, ...], value: str) -> None:
        name = self._names[place] = f"place_{len(self._names)}"
        self.lines.append(f"{name} = {value}")


def _kind_name(condition: Condition) -> str:
    return "Nothing" if condition.literal is None else type(condition.literal).__name__


def _kind_for(step: Step) -> type:
    """What a value has to be for that step to lead on."""
    if step is JSON:
        return str
    return dict if isinstance(step, str) else list


def _step_from(name: str, step: Step) -> str:
    if step is JSON:
        return f"loads({name})"
    return f"{name}.get({step!r}, MISSING)" if isinstance(step, str) else f"{name}[0]"


def _steps(path: Path) -> tuple[Step, ...]:
    """All that leads to the only element of a list is one and the same."""
    if path.root != "json" or any(step not in (EVERY, JSON, 0, -1) for step in path.steps if not isinstance(step, str)):
        raise Unwritten
    return tuple(_ALONE if step in (EVERY, -1) else step for step in path.steps)
