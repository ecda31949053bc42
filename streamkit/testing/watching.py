"""The test that runs now: what it could not decide, and where the recordings of what failed are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.lab.sets import RecordingSet

__all__ = ["RunningTest", "current", "watch"]

NAME_LIMIT: Final = 120


@dataclass(kw_only=True)
class RunningTest:
    """A test, by its `name`. `folder` gives where its recordings go, and is asked only when there is something to keep.

    `undecided`: what is nearer to its limit than the instrument can tell, in words.
    """

    name: str
    folder: Callable[[], Path]
    undecided: list[str] = field(default_factory=list)
    kept: int = 0

    def keep(self, streams: RecordingSet) -> Path:
        """Save them to a file of their own; where that is."""
        folder = self.folder()
        folder.mkdir(parents=True, exist_ok=True)
        self.kept += 1
        number = f"-{self.kept}" if self.kept > 1 else ""
        path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.name)[-NAME_LIMIT:].strip('-')}{number}.jsonl"
        streams.save(path)
        return path


_current: RunningTest | None = None


def watch(test: RunningTest | None) -> None:
    """This one runs now; None: none does."""
    global _current
    _current = test


def current() -> RunningTest | None:
    """The one that runs now; None where the plugin is not loaded, or no test runs."""
    return _current
