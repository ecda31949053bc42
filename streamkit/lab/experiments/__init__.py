"""Experiments: several streams with one question, and the relays that ours is compared with.

`timeout_map()` asks several relays for silences wherever a stream can fall silent (`silences`), and tells which timer
fired, and when (`timeouts`: the results, plain values; `DEADLINES`: which of ours watches which place). `naive` are
servers as people write them. `slow_reader()` is a trial for sweeps: one reader, one setting. `audit()` breaks all that
can break before a `Gateway` of anybody's, and makes a `Certificate` of what came of it (`lab/audit`). These are the
doors, and each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamkit.lab.audit import Certificate, Gateway, audit
    from streamkit.lab.experiments import naive
    from streamkit.lab.experiments.silences import timeout_map
    from streamkit.lab.experiments.slow_readers import slow_reader
    from streamkit.lab.experiments.timeouts import DEADLINES

__all__ = ["DEADLINES", "Certificate", "Gateway", "audit", "naive", "slow_reader", "timeout_map"]

_AUDIT: Final = "streamkit.lab.audit"
_HOME: Final = {
    "DEADLINES": f"{__name__}.timeouts",
    "slow_reader": f"{__name__}.slow_readers",
    "timeout_map": f"{__name__}.silences",
    "Certificate": _AUDIT,
    "Gateway": _AUDIT,
    "audit": _AUDIT,
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
