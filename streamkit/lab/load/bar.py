"""The progress bar of a load: how many streams are over, how many live, how late this client is itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from streamkit.lab.bar import plain_bar

__all__ = ["ShowProgress", "progress_bar"]


class ShowProgress(Protocol):
    """Shows how far a load is."""

    def __call__(self, ended: int, live: int, late_ns: int) -> None:
        """So many streams have ended, so many live, and the last one was begun so late."""


@contextlib.contextmanager
def progress_bar(total: int | None, *, shown: bool) -> Iterator[ShowProgress]:
    """That of a load. `total` None: nobody knows how many there are."""
    with plain_bar(total, unit="streams", shown=shown) as bar:

        def show(ended: int, live: int, late_ns: int) -> None:
            bar(ended, f"{live} live, {late_ns / 1e6:.0f} ms late")  # whoever shows decides how often

        yield show
