"""What examples there are: of each what was done, what to look at, and which figures are drawn of it."""

from __future__ import annotations

import difflib
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias, overload

from streamkit.lab.recording.tables import Rows, html_table

__all__ = ["DATA", "MADE", "Example", "Examples", "Kind", "describe", "example", "names"]

Kind: TypeAlias = Literal["Recording", "RecordingSet", "Comparison", "Sweep", "TimeoutMap"]
DATA: Final = files("streamkit.lab.examples") / "data"
MADE: Final = "made.json"
"""Beside the files: of each by which command, when and with which versions it was made."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Example:
    """The description of one example.

        example = sk.examples.describe("gzip-proxy")
        example.look, example.figures

    name      the name by which `sk.examples.load` finds it
    kind      what that returns: a recording, a set, …
    title     what it is, in a few words
    done      what was done to record it
    look      what to look at
    figures   the names of the figures to draw of it (`sk.plots`), the most telling one first
    """

    name: str
    kind: Kind
    title: str
    done: str
    look: str
    figures: tuple[str, ...]

    @property
    def made(self) -> dict[str, Any]:
        """How it was made: the `command`, the time (`at`), the versions, and the `trust` of the result."""
        told: dict[str, dict[str, Any]] = json.loads((DATA / MADE).read_text("utf-8"))
        return told.get(self.name, {})

    def rows(self) -> list[tuple[str, str]]:
        """The description as pairs of a name and a value."""
        figures = ", ".join(f"sk.plots.{figure}" for figure in self.figures)
        made = ", ".join(str(value) for value in self.made.values())
        return [
            ("what", f"{self.title} ({self.kind})"),
            ("done", self.done),
            ("look at", self.look),
            ("figures", figures),
            ("made", made),
        ]

    def __repr__(self) -> str:
        return f'sk.examples.load("{self.name}")\n{_lines(self.rows())}'

    def _repr_html_(self) -> str:
        return html_table(self.rows(), caption=f'sk.examples.load("{self.name}")')


class Examples:
    """The descriptions of all examples; in a notebook, a table.

    sk.examples.describe()
    [example.title for example in sk.examples.describe()]
    """

    def __init__(self, all_of_them: Sequence[Example]) -> None:
        self._all = tuple(all_of_them)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return _lines([(each.name, f"{each.title}: {', '.join(each.figures)}") for each in self._all])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word}</th>" for word in ("name", "what", "look at", "figures"))
        rows = ((each.name, each.title, each.look, ", ".join(each.figures)) for each in self._all)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _lines(rows: Rows) -> str:
    """Names, and behind them sentences."""
    names = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{names}}  {said}" for name, said in rows)


_ALL: Final = (
    Example(
        name="healthy",
        kind="Recording",
        title="a stream in good health",
        done="60 words, one every 25 ms, through our relay, all in one process; every tap and gauge is on",
        look="each word reaches the client within a millisecond or two: the staircases lie on top of each other",
        figures=("timeline", "journey", "hops", "gaps", "backlog"),
    ),
    Example(
        name="stall",
        kind="Recording",
        title="the upstream pauses",
        done="the same, but for a pause of 700 ms before word 21",
        look="the stall is already there in the upstream's own taps: nobody on the way is to blame",
        figures=("timeline", "journey", "gaps"),
    ),
    Example(
        name="slow-client",
        kind="Recording",
        title="a client that reads slowly, on a network that holds next to nothing",
        done='150 lines of 40 characters, one every 10 ms; the client reads 4,000 bytes/s; network="small-buffers"',
        look="the queues fill from the client backwards, until the upstream itself has to wait",
        figures=("queues", "where", "journey", "backlog"),
    ),
    Example(
        name="tcp-hides",
        kind="Recording",
        title="the same slow client, on TCP as it is",
        done="as slow-client, over loopback TCP with the system's own buffer sizes",
        look="the kernel takes all of it at once: the upstream never notices, and is done long before its client",
        figures=("queues", "where", "journey", "hops"),
    ),
    Example(
        name="gzip-proxy",
        kind="Recording",
        title="a proxy that compresses",
        done="nginx with gzip on, asked as browsers ask (Accept-Encoding: gzip, …); one word every 20 ms",
        look="the whole text comes in one read at the end: the compressor kept it until it had all of it",
        figures=("timeline",),
    ),
    Example(
        name="gzip-direct",
        kind="Recording",
        title="the same without the proxy",
        done="as gzip-proxy, asked directly",
        look="a word every 20 ms; draw it beside gzip-proxy",
        figures=("timeline", "gaps"),
    ),
    Example(
        name="cut",
        kind="RecordingSet",
        title="an upstream that breaks off, through two relays",
        done="first without a cut through our relay; then cut after 6 of 12 words, through ours and through one that "
        "passes on what it gets (sk.experiments.naive.stock)",
        look="half of the text is missing, and to the naive relay's client it looks complete",
        figures=("outcomes", "timeline"),
    ),
    Example(
        name="resumed",
        kind="Recording",
        title="a connection that is cut again and again, and a client that comes back",
        done="100 words, one every 20 ms; the link breaks after each 2,500 bytes; record(…, resume=sk.Resume())",
        look="the cuts are marked; after each, the words said meanwhile come all at once; none is lost",
        figures=("timeline", "journey"),
    ),
    Example(
        name="left",
        kind="RecordingSet",
        title="a client that leaves, through two relays",
        done="150 words, one every 20 ms; the client leaves after 100 bytes; through our relay, and through one that "
        "reads its upstream in a task of its own (sk.experiments.naive.pumped)",
        look="the first stops its upstream at once, the second lets it go on to the end, for nobody",
        figures=("leaving", "outcomes"),
    ),
    Example(
        name="upload",
        kind="Recording",
        title="an upload that is answered while it is sent",
        done="ten parts of 4 kB, one every 100 ms; the server counts lines, and reports every 50 ms how far it is",
        look="the two staircases lie on top of each other; the ticks above, the results, begin with the first part",
        figures=("upload",),
    ),
    Example(
        name="results",
        kind="RecordingSet",
        title="numbers that come as they are computed, by two windows",
        done="numbers that step from 0 to 1 after 0.6 s, a hundred a second; their mean over the last half second, and "
        "over a window that fades",
        look="after half a second the plain window has forgotten every 0, the fading one has not",
        figures=("results",),
    ),
    Example(
        name="policies",
        kind="RecordingSet",
        title="one slow client, under every policy",
        done="150 states of 400 characters, one every 10 ms; the client reads 45 a second, and pauses once; "
        "one stream under each policy, one after the other",
        look="what each policy costs: the upstream's time, memory, age, what is left out, or the connection",
        figures=("policies", "timeline"),
    ),
    Example(
        name="load",
        kind="RecordingSet",
        title="a hundred streams, each when it is due",
        done='100 streams, 25 a second (poisson), half of them asked "short", half "a long story"; without texts',
        look="how many live at once, when the first pieces came, by which prompt they differ",
        figures=("load", "ecdf"),
    ),
    Example(
        name="sweep",
        kind="Sweep",
        title="every setting of a grid, in shuffled rounds",
        done="sk.experiments.slow_reader with 2 policies × 3 sizes of its buffer, 6 rounds: for how long the upstream "
        "was held, and what that cost",
        look="which size is surely worse than the best one, and which may be as good",
        figures=("sweep", "heatmap"),
    ),
    Example(
        name="comparison",
        kind="Comparison",
        title="two servers, asked in turns",
        done="20 shuffled rounds; the new one's first piece is due 8 ms later; both are behind a link with a jitter "
        "of up to 16 ms",
        look="whether the difference is real, within which bounds it lies, and how small a one would not be seen",
        figures=("compare",),
    ),
    Example(
        name="timeout-map",
        kind="TimeoutMap",
        title="silences, everywhere a stream can fall silent",
        done="silences of 0.5 to 2 T before the head, before the first piece, between events and in a blocked write, "
        "through three relays whose timers are all set to T",
        look="which timer fires when, and what the client is told: an error with a name, a cut, or what looks complete",
        figures=("outcomes",),
    ),
)
_BY_NAME: Final = {each.name: each for each in _ALL}


def names() -> list[str]:
    """The names of all examples, the simplest first.

    >>> sk.examples.names()[:2]
    ['healthy', 'stall']
    """
    return list(_BY_NAME)


@overload
def describe(name: str) -> Example: ...
@overload
def describe(name: None = None) -> Examples: ...
def describe(name: str | None = None) -> Example | Examples:
    """What an example shows, how it was recorded, and which figures to draw of it; without a name, a table of all.

    >>> sk.examples.describe("gzip-proxy").figures
    ('timeline',)

    Raises ValueError for an unknown name.
    """
    return Examples(_ALL) if name is None else example(name)


def example(name: str) -> Example:
    """The example of that name. Raises ValueError for an unknown one (the message has the known names, similar ones
    first), TypeError for what is not a name.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected the name of an example, such as 'healthy', got {name!r}")
    found = _BY_NAME.get(name)
    if found is None:
        close = difflib.get_close_matches(name, _BY_NAME, cutoff=0.5)
        others = [each for each in _BY_NAME if each not in close]  # far from it, and so in the order of `names()`
        raise ValueError(f"expected the name of an example, got {name!r}: there are {', '.join([*close, *others])}")
    return found
