"""A progress bar, for whatever takes longer than somebody likes to wait in silence.

It is tqdm's, which has switches of its own: with `TQDM_DISABLE=1` in the environment there is none, anywhere. So
notebooks are tested whose outputs must not vary.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["plain_bar"]


@contextlib.contextmanager
def plain_bar(total: int | None, *, unit: str, shown: bool, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """tqdm's, as it fits a terminal or a notebook; gone in the end. It is shown how many are done, and what there is to
    say beside. `total` None: nobody knows how many there will be; `done`: so many were before it began.
    """
    if not shown or os.environ.get("TQDM_DISABLE", "0") not in ("", "0"):  # tqdm's own does not hear it in a notebook
        yield lambda _done, _beside: None
        return
    with _tqdm()(total=total, initial=done, unit=f" {unit}", leave=False, dynamic_ncols=True) as bar:

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
