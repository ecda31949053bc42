"""From a name to what was recorded: its file out of the package, read anew each time."""

from __future__ import annotations

from importlib.resources import as_file
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

from streamkit.lab.examples.catalogue import DATA, example
from streamkit.lab.experiments.timeouts import TimeoutMap
from streamkit.lab.findings.comparing import compare
from streamkit.lab.findings.comparison import Comparison
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.lab.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from streamkit.lab.examples.catalogue import Kind

__all__ = ["load", "recordings"]

One: TypeAlias = Literal[
    "healthy", "stall", "slow-client", "tcp-hides", "gzip-proxy", "gzip-direct", "resumed", "upload"
]
Several: TypeAlias = Literal["cut", "left", "results", "policies", "load"]


@overload
def load(name: One) -> Recording: ...
@overload
def load(name: Several) -> RecordingSet: ...
@overload
def load(name: Literal["comparison"]) -> Comparison: ...
@overload
def load(name: Literal["sweep"]) -> Sweep: ...
@overload
def load(name: Literal["timeout-map"]) -> TimeoutMap: ...
@overload
def load(name: str) -> Any: ...
def load(name: str) -> Any:
    """Load an example by its name: a `Recording`, a `RecordingSet`, a comparison, a sweep or a timeout map.

    >>> sk.examples.load("gzip-proxy").outcome.ok
    True

    `describe(name).kind` says which. The file is read again at each call. Raises ValueError for an unknown name.
    """
    kind = example(name).kind
    with as_file(DATA / f"{name}.jsonl.gz") as path:
        return _LOAD[kind](path)


def recordings(name: str) -> RecordingSet:
    """The recordings that an example consists of, one or several, as a set.

    >>> len(sk.examples.recordings("gzip-proxy"))
    1

    Raises ValueError for an unknown name, and for a sweep or a timeout map, which keep only numbers.
    """
    kind = example(name).kind
    if kind in ("Sweep", "TimeoutMap"):
        raise ValueError(f"expected an example of recordings, got {name!r}: it is a {kind}, which has none")
    with as_file(DATA / f"{name}.jsonl.gz") as path:
        return RecordingSet.load(path)


def _load_comparison(path: Path) -> Comparison:
    return compare(RecordingSet.load(path))


_LOAD: Final[Mapping[Kind, Callable[[Path], object]]] = {
    "Recording": Recording.load,
    "RecordingSet": RecordingSet.load,
    "Comparison": _load_comparison,
    "Sweep": Sweep.load,
    "TimeoutMap": TimeoutMap.load,
}
