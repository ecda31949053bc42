"""Experiments: several streams that answer one question, and the relays that ours is compared with.

`timeout_map()` asks several relays for silences wherever a stream can fall silent (`silences`), and says which timer
fired, and when (`TimeoutMap`: plain values, which can be saved; `DEADLINES`: which of our deadlines watches which
place). `naive` are servers as people write them. `stuttering` is a server whose endpoints stutter, each for a different
reason, and `hidden_causes` gives away which. `find_buffering()` asks one endpoint in several ways, and names the layer
on the way that holds bytes back (`buffering`). `slow_reader()` is a trial for sweeps: one reader, one setting.
`audit()` breaks all that can break behind anybody's `Gateway`, and makes a `Certificate` of the results (`lab/audit`).
These are the doors; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamkit.lab.audit import Certificate, Gateway, audit
    from streamkit.lab.buffering.verdict import Buffering
    from streamkit.lab.experiments import naive
    from streamkit.lab.experiments.buffering import find_buffering
    from streamkit.lab.experiments.silences import timeout_map
    from streamkit.lab.experiments.slow_readers import slow_reader
    from streamkit.lab.experiments.stutters import hidden_causes, stuttering
    from streamkit.lab.experiments.timeouts import DEADLINES, TimeoutMap

__all__ = [
    "DEADLINES",
    "Buffering",
    "Certificate",
    "Gateway",
    "TimeoutMap",
    "audit",
    "find_buffering",
    "hidden_causes",
    "naive",
    "slow_reader",
    "stuttering",
    "timeout_map",
]

_AUDIT: Final = "streamkit.lab.audit"
_HOME: Final = {
    "Buffering": "streamkit.lab.buffering.verdict",
    "Certificate": _AUDIT,
    "DEADLINES": f"{__name__}.timeouts",
    "Gateway": _AUDIT,
    "TimeoutMap": f"{__name__}.timeouts",
    "audit": _AUDIT,
    "find_buffering": f"{__name__}.buffering",
    "hidden_causes": f"{__name__}.stutters",
    "slow_reader": f"{__name__}.slow_readers",
    "stuttering": f"{__name__}.stutters",
    "timeout_map": f"{__name__}.silences",
}


def __getattr__(name: str) -> Any:
    """PEP 562: the first use of a name imports its module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _HOME:
        return import_module(f"{__name__}.{name}")
    globals()[name] = found = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
