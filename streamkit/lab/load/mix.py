"""Mix: what each stream of a load visits, how it reads and whether it leaves early. Pure: drawn by seed and number.

    mix = Mix(prompts={"short": "hi", "long": "tell me all"}, readers=[None, Reader(events_per_s=5)], leave=0.1)
    mix.visit(7, due_ns=None).labels                       # {'prompt': 'long', 'reader': 'full speed'}

Stream 7 of a seed is the same in every load of that mix, however many there are, and in whichever process it runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamkit.lab.arguments import check_number, check_whole
from streamkit.lab.client.pace import Reader

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Label

__all__ = ["Mix", "Prompt", "Prompts", "Readers", "Visit"]

Prompt: TypeAlias = str | Mapping[str, Any]
"""A text, or options of `record()` that ask in another way: `{"json": {"messages": […]}}`."""
Prompts: TypeAlias = Prompt | Sequence[Prompt] | Mapping[str, Prompt]
Readers: TypeAlias = Reader | Sequence[Reader | None] | Mapping[str, Reader | None] | None

DEFAULT_PROMPT: Final = "hi"
LABEL_CHARACTERS: Final = 40
"""Of a prompt without a name of its own."""
OPTIONS: Final = frozenset(("content", "data", "files", "headers", "json", "params", "path"))
"""By which a mapping is known as one prompt, and no table of several by name."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One stream of a load, as its target should ask for it: what, at which pace, and how long it stays.

        async def target(n: int, visit: Visit) -> sk.Recording:
            return await sk.record(url, data={"question": visit.prompt}, **visit.options)

    n           its number, from 0, in the order in which requests are due
    prompt      the text to ask, or what the load was given instead of one
    reader      at which pace to read; None: full speed
    leave_s     after how many seconds it leaves, unless it has ended; None: it stays. The load itself sees to this
    due_ns      when it was due, by `time.monotonic_ns()`; None in a closed loop
    labels      what was drawn for it, for its recording's `labels`
    """

    n: int
    prompt: Prompt
    reader: Reader | None = None
    leave_s: float | None = None
    due_ns: int | None = None
    labels: dict[str, Label] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Options for `record()`: `due_ns`, `labels`, and `reader` if there is one."""
        reader = {} if self.reader is None else {"reader": self.reader}
        return {"due_ns": self.due_ns, "labels": self.labels, **reader}


class Mix:
    """Draws for each stream: `Mix(seed=1).visit(0, due_ns=None)`.

    prompts     one, a list of which each is as likely as any other, or a table of them by name
    readers     likewise; None among them reads at full speed
    leave       which share of them leaves early, from 0 to 1
    leave_after_s   when: between these two, in seconds from the beginning of each

    Raises ValueError and TypeError for what is none of these.
    """

    def __init__(
        self,
        prompts: Prompts | None = None,
        readers: Readers = None,
        leave: float = 0.0,
        leave_after_s: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> None:
        check_whole("seed", seed)
        check_number("leave", leave, "a share")
        if leave > 1:
            raise ValueError(f"expected leave as a share from 0 to 1, got {leave!r}: 0.1 is every tenth")
        self._prompts = _named_prompts(DEFAULT_PROMPT if prompts is None else prompts)
        self._readers = _named_readers(readers)
        self._leave = leave
        self._leave_after_s = _span(leave_after_s)
        self._seed = seed

    @property
    def texts(self) -> list[Prompt]:
        """The prompts, without their names."""
        return [prompt for _, prompt in self._prompts]

    @property
    def readers(self) -> list[Reader]:
        """Those at which not everything is read at full speed."""
        return [reader for _, reader in self._readers if reader is not None]

    def visit(self, n: int, due_ns: int | None) -> Visit:
        """Stream `n`: what it asks, how it reads, whether it leaves."""
        draws = self._draws(n)
        labels: dict[str, Label] = {}
        name, prompt = _one_of(self._prompts, draws)
        if len(self._prompts) > 1:
            labels["prompt"] = name
        name, reader = _one_of(self._readers, draws)
        if len(self._readers) > 1:
            labels["reader"] = name
        leave_s = None
        if self._leave:
            goes, leave_s = draws.random() < self._leave, round(draws.uniform(*self._leave_after_s), 6)
            labels["leaves"] = goes
            leave_s = leave_s if goes else None
        return Visit(n=n, prompt=prompt, reader=reader, leave_s=leave_s, due_ns=due_ns, labels=labels)

    def think_s(self, n: int, span_s: tuple[float, float]) -> float:
        """How long a user of a closed loop thinks behind stream `n`, between these two."""
        low_s, high_s = span_s
        return low_s if low_s == high_s else self._draws(-n - 1).uniform(low_s, high_s)

    def _draws(self, n: int) -> random.Random:
        """The random numbers of stream `n`; others below 0."""
        return random.Random(f"{self._seed} {n}")  # noqa: S311  # no secret: the same again is what is wanted


def _one_of(several: list[tuple[str, Any]], draws: random.Random) -> tuple[str, Any]:
    return several[int(draws.random() * len(several))]


def _named_prompts(given: Any) -> list[tuple[str, Prompt]]:
    if isinstance(given, str) or _is_options(given):
        return [("prompt", _prompt(given))]
    if isinstance(given, Mapping):
        found = [(str(name), _prompt(prompt)) for name, prompt in given.items()]
    elif isinstance(given, Iterable):
        found = [(_short(prompt, n), _prompt(prompt)) for n, prompt in enumerate(given)]
    else:
        raise TypeError(f"expected prompts as a text, several, or a table of them by name, got {given!r}")
    if not found:
        raise ValueError("expected at least one prompt, got none")
    return found


def _prompt(given: Any) -> Prompt:
    if isinstance(given, str) or _is_options(given):
        return given  # type: ignore[no-any-return]  # one of the two
    raise TypeError(
        f"expected a prompt as a text, or as options of record() such as {{'json': …}} ({', '.join(sorted(OPTIONS))}), "
        f"got {given!r}"
    )


def _is_options(given: object) -> bool:
    return isinstance(given, Mapping) and bool(given) and given.keys() <= OPTIONS


def _short(prompt: object, n: int) -> str:
    """A name for a prompt that has none."""
    if not isinstance(prompt, str):
        return f"prompt {n}"
    return prompt if len(prompt) <= LABEL_CHARACTERS else f"{prompt[: LABEL_CHARACTERS - 1]}…"


def _named_readers(given: Any) -> list[tuple[str, Reader | None]]:
    if given is None or isinstance(given, Reader):
        return [("reader", given)]
    if isinstance(given, Mapping):
        found = [(str(name), reader) for name, reader in given.items()]
    elif isinstance(given, Iterable) and not isinstance(given, str):
        found = [("full speed" if reader is None else repr(reader)[9:-1], reader) for reader in given]
    else:
        raise TypeError(f"expected readers as a Reader, several, or a table of them by name, got {given!r}")
    for _, reader in found:
        if reader is not None and not isinstance(reader, Reader):
            raise TypeError(f"expected a reader as a Reader, such as Reader(events_per_s=5), or None, got {reader!r}")
    if not found:
        raise ValueError("expected at least one reader, got none; None reads at full speed")
    return found


def _span(given: Any) -> tuple[float, float]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(f"expected leave_after_s as two numbers of seconds (from, to), got {given!r}")
    for seconds in given:
        check_number("leave_after_s", seconds, "seconds")
    if given[0] > given[1]:
        raise ValueError(f"expected leave_after_s as (from, to) with from <= to, got {given!r}")
    return given[0], given[1]
