"""An LLM that follows a script exactly: what it sends, when, in which provider's wire format, and what goes wrong.

    Script ── faults ──▶ steps ──▶ create_upstream(): a Sanic app that sends each when it is due

A `Script` is pieces of text with their times. Each of its `faults` changes the steps of the answer; the app sends them
on schedule and keeps a log of when each was due and when it was sent. What any client can know of the answer
(`Script.whole`, `Script.expected_text`) follows from the steps alone. The doors: `Script`, `random_script`,
`create_upstream`, and `faults`, the module of all that can go wrong.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamkit.lab.upstream import faults
from streamkit.lab.upstream.random_scripts import random_script
from streamkit.lab.upstream.script import Script

if TYPE_CHECKING:
    from streamkit.lab.upstream.app import create_upstream

__all__ = ["Script", "create_upstream", "faults", "random_script"]


def __getattr__(name: str) -> Any:
    """PEP 562: who only writes scripts loads no web server."""
    if name != "create_upstream":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = import_module(f"{__name__}.app").create_upstream
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
