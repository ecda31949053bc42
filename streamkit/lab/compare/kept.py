"""The last comparison of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.findings.comparison import Comparison

__all__ = ["LAST", "last_comparison"]

LAST: Final = Last["Comparison"]("comparison")


def last_comparison(of: BaseException | None = None) -> Comparison | None:
    """The last comparison of this process, finished or interrupted; None if there was none.

        compared = await sk.compare({"a": lab, "b": url}, runs=400)     # interrupted after a minute, by Ctrl-C
        sk.last_comparison().sentence                                   # from the rounds that were over by then

    The exception that interrupts a comparison carries it as its attribute `comparison`. If that exception was turned
    into another one, `of` finds the comparison behind it; it returns None if there is none.
    """
    return LAST.of(of)
