"""The progress bar of a load: how many streams are over, how many live, how late this client is itself."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

__all__ = ["ShowProgress", "plain_bar", "progress_bar"]


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


@contextlib.contextmanager
def plain_bar(total: int | None, *, unit: str, shown: bool) -> Iterator[Callable[[int, str], None]]:
    """tqdm's, as it fits a terminal or a notebook; gone in the end. It is shown how many are done, and what there is to
    say beside.
    """
    if not shown:
        yield lambda _done, _beside: None
        return
    with _tqdm()(total=total, unit=f" {unit}", leave=False, dynamic_ncols=True) as bar:

        def show(done: int, beside: str) -> None:
            bar.set_postfix_str(beside, refresh=False)
            bar.n = done
            bar.refresh()

        yield show


def _tqdm() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets it warns, and draws as in a terminal
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # which of its two it is, is seen when it runs
        monitor_interval = 0  # no thread of its own that stays behind: the load shows it often enough

    return Bar
