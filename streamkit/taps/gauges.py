"""Gauges: how much lies in each queue on a stream's way, sampled while it runs.

    gauges = Gauges(every_ns=20_000_000)
    with sampler.watch(gauges, lambda: {"relay.unsent": 4096, "relay.inbox": None}):     # None: not known just now
        ...
    gauges.at_ns, gauges.columns["relay.unsent"]

Curves (`streamkit.taps`) say how much is on its way between two taps; gauges say in which buffer it lies. All sizes
are bytes as they are on the wire, the framing of HTTP chunks included; those of `relay.pending` and `client.backlog`,
which lie on no wire, are bytes of body.

Theory of operation. Bytes lie between two parties or within one: the way has four *stretches*, each with its queues
(a *hop* is between two taps). Each party looks at its own queues, on its own event loop: the upstream and the relay
with one `Sampler` for all their streams, the client with one for each recording. A sampler is one timer; it has none
while it watches nothing. A stream is sampled when its block begins, every `every_ns` while it runs (or later, when the
loop is busy), when the block ends, and at servers as long as anything is left in its queues, for a minute at most. The
parties do not look at the same moments: what one saw holds until its next look (`streamkit.lab.findings.stretches`).

Both dimensions are bounded: at most `MAX_WATCHED` streams at a time, who comes beyond that is not sampled; at most
`MAX_SAMPLES` rows for a stream: when they are full, every second one goes and from then on half as many are taken, so
that a long stream keeps an even picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import operator
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self, TypeAlias

__all__ = [
    "COUNTERS",
    "GAUGES",
    "MAX_WATCHED",
    "NOT_KNOWN",
    "PROCESS",
    "STRETCHES",
    "Gauge",
    "Gauges",
    "Sampler",
    "Values",
]

STRETCHES: Final[Mapping[str, tuple[str, ...]]] = {
    "upstream → relay": (
        "upstream.buffer",  # written, not yet with the upstream's kernel
        "upstream.unsent",  # the kernel's send queue there
        "relay.unread",  # the kernel's receive queue of the relay's connection to it
    ),
    "in the relay": (
        "relay.inbox",  # read, not yet decoded
        "relay.pending",  # held back by the policy of delivery
    ),
    "relay → client": (
        "relay.buffer",  # written, not yet with the relay's kernel
        "relay.unsent",  # the kernel's send queue there
        "client.unread",  # the kernel's receive queue of the client's connection
    ),
    "in the client": ("client.backlog",),  # read, not yet handed to its reader
}
"""The stretches of the way, and the queues of each, in its order."""
GAUGES: Final = tuple(name for names in STRETCHES.values() for name in names)
COUNTERS: Final = ("upstream.wrote", "relay.wrote")
"""Beside the queues: the bytes of body that were written to the connection so far. They never fall."""
PROCESS: Final = ("relay.rss",)
"""And the memory that the process of the relay has resident, all its streams together."""

NOT_KNOWN: Final = -1
MAX_SAMPLES: Final = 2000
MAX_WATCHED: Final = 256
LINGER_NS: Final = 60_000_000_000

Values: TypeAlias = Mapping[str, int | None]


class Gauge:
    """One queue over time, sampled: columns `at_ns` and `value` (bytes) of equal length; a value may be `NOT_KNOWN`.

        >>> from streamkit.taps.gauges import Gauge
        >>> Gauge(at_ns=[0, 20_000_000], value=[4096, 512])
        <Gauge: 2 samples, at most 4096>

    Raises ValueError for columns of different lengths, or times out of order.
    """

    __slots__ = ("at_ns", "value")

    def __init__(self, at_ns: Iterable[int] = (), value: Iterable[int] = ()) -> None:
        self.at_ns = array("q", at_ns)
        self.value = array("q", value)
        if len(self.at_ns) != len(self.value):
            raise ValueError(
                f"expected columns at_ns and value of equal length, got {len(self.at_ns)} and {len(self.value)}"
            )
        if not all(map(operator.le, self.at_ns, itertools.islice(self.at_ns, 1, None))):
            raise ValueError("expected at_ns in ascending order")

    @property
    def known(self) -> bool:
        """Whether any of its samples is known."""
        return any(value != NOT_KNOWN for value in self.value)

    def __len__(self) -> int:
        return len(self.at_ns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gauge):
            return NotImplemented
        return self.at_ns == other.at_ns and self.value == other.value

    __hash__ = None  # type: ignore[assignment]  # its columns can be changed

    def __repr__(self) -> str:
        known = f"at most {max(self.value)}" if self.known else "not known here"
        return f"<Gauge: {len(self)} samples, {known}>"


class Gauges:
    """Samples of several queues, as a table: the column `at_ns`, and in `columns` one for each queue.

    It holds at most `max_samples` rows: when it is full, every second one is dropped, and from then on half as many are
    taken. So a long stream keeps an even picture in bounded memory. `every_ns` is the present distance of rows.

        >>> from streamkit.taps.gauges import Gauges
        >>> gauges = Gauges(every_ns=20_000_000)
        >>> gauges.sample(0, {"relay.unsent": 4096})
        >>> gauges
        <Gauges: 1 samples of relay.unsent>
    """

    def __init__(self, every_ns: int, max_samples: int = MAX_SAMPLES) -> None:
        if every_ns < 1 or max_samples < 2:
            raise ValueError(f"expected every_ns >= 1 and max_samples >= 2, got {every_ns!r} and {max_samples!r}")
        self._table: tuple[array[int], dict[str, array[int]]] = (array("q"), {})  # one, so that a reader has both
        self.every_ns = every_ns
        self._tolerance_ns = every_ns // 2
        self._max_samples = max_samples

    @property
    def at_ns(self) -> array[int]:
        """When each row was taken."""
        return self._table[0]

    @property
    def columns(self) -> dict[str, array[int]]:
        """The queues by name; `NOT_KNOWN` where a value could not be told."""
        return self._table[1]

    def sample(self, at_ns: int, values: Values) -> None:
        """Add a row for `at_ns`; left out if that is too soon after the last one, as timers are late irregularly."""
        taken, columns = self._table
        if taken and at_ns - taken[-1] < self.every_ns - self._tolerance_ns:
            return
        if len(taken) == self._max_samples:
            taken, columns = self._thin()
        if values.keys() != columns.keys():
            for name in [name for name in values if name not in columns]:
                columns[name] = array("q", [NOT_KNOWN]) * len(taken)
            values = {**dict.fromkeys(columns), **values}
        for name, value in values.items():
            columns[name].append(NOT_KNOWN if value is None else value)
        taken.append(at_ns)  # last: who reads from another thread counts these

    def _thin(self) -> tuple[array[int], dict[str, array[int]]]:
        self.every_ns *= 2
        at_ns, columns = self._table
        self._table = (at_ns[::2], {name: column[::2] for name, column in columns.items()})
        return self._table

    def since(self, started_ns: int) -> dict[str, Gauge]:
        """Each column as a `Gauge`, its times counted from `started_ns`; safe while another thread samples."""
        table = self.as_dict()
        at_ns = [at - started_ns for at in table["at_ns"]]
        return {name: Gauge(at_ns, column) for name, column in table["columns"].items()}

    def as_dict(self) -> dict[str, Any]:
        """JSON values only; `from_dict` is the inverse. Safe while another thread samples."""
        at_ns, columns = self._table
        told = {name: column.tolist() for name, column in tuple(columns.items())}
        rows = min(map(len, (at_ns, *told.values())))
        cut = {name: column[:rows] for name, column in told.items()}
        return {"every_ns": self.every_ns, "at_ns": at_ns[:rows].tolist(), "columns": cut}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` gave, perhaps elsewhere. Raises ValueError, TypeError or KeyError for anything else."""
        gauges = cls(told["every_ns"])
        columns = {str(name): array("q", column) for name, column in dict(told["columns"]).items()}
        gauges._table = (array("q", told["at_ns"]), columns)
        if any(len(column) != len(gauges.at_ns) for column in gauges.columns.values()):
            raise ValueError("expected columns as long as at_ns")
        return gauges

    def __len__(self) -> int:
        return len(self.at_ns)

    def __repr__(self) -> str:
        return f"<Gauges: {len(self)} samples of {', '.join(self.columns) or 'nothing yet'}>"


def _never() -> bool:
    return False


class _Watched:
    def __init__(self, gauges: Gauges, read: Callable[[], Values], busy: Callable[[], bool]) -> None:
        self._gauges = gauges
        self._read = read
        self._busy = busy
        self.until_ns: int | None = None

    def sample(self) -> None:
        self._gauges.sample(time.monotonic_ns(), self._read())

    def wanted(self) -> bool:
        return self.until_ns is None or (self._busy() and time.monotonic_ns() < self.until_ns)


class Sampler:
    """One timer of the running loop that samples all gauges that are watched.

        with Sampler(every_ns=20_000_000).watch(gauges, lambda: {"relay.unsent": 4096}):
            ...

    The first `watch` starts the timer, and the end of the last one stops it.
    """

    def __init__(self, every_ns: int) -> None:
        self.every_ns = every_ns
        self._watched: set[_Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def watch(self, gauges: Gauges, read: Callable[[], Values], busy: Callable[[], bool] = _never) -> Iterator[None]:
        """Sample `read()` into `gauges` while the block runs, at its beginning and its end too.

        It then goes on as long as `busy()` is true, for at most a minute: what a server has written may still lie in
        its queues when its work is done. At most 256 gauges are watched at a time, as a crowd would cost more time and
        memory than its picture is worth; further ones are not sampled.
        """
        if len(self._watched) >= MAX_WATCHED:
            yield
            return
        watched = _Watched(gauges, read, busy)
        self._watched.add(watched)
        watched.sample()
        if self._timer is None:
            self._set_timer()
        try:
            yield
        finally:
            watched.sample()
            watched.until_ns = time.monotonic_ns() + LINGER_NS
            self._let_go()

    def _let_go(self) -> None:
        self._watched = {each for each in self._watched if each.wanted()}
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.every_ns / 1e9, self._ring)

    def _ring(self) -> None:
        self._set_timer()
        for each in tuple(self._watched):
            each.sample()
        self._let_go()

    def __repr__(self) -> str:
        return f"<Sampler: {len(self._watched)} watched, every {self.every_ns / 1e6:g} ms>"
