"""The last comparison, and what an interruption of one carries: no run is lost because somebody stopped the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.lab.client.kept import made_of

if TYPE_CHECKING:
    from streamkit.lab.findings.comparison import Comparison

__all__ = ["carry", "hand_on", "keep", "last_comparison"]

_last: Comparison | None = None


def last_comparison(of: BaseException | None = None) -> Comparison | None:
    """The last comparison of this process, finished or interrupted; None where there was none.

        compared = await sk.compare({"a": lab, "b": url}, runs=400)     # interrupted after a minute, by Ctrl-C
        sk.last_comparison().sentence                                   # of the rounds that were over by then

    The exception that interrupts a comparison has it as its attribute `comparison`. Others make a new exception of it:
    `of` finds it in what they were made of, and None where there is none.
    """
    if of is None:
        return _last
    carried = (vars(error).get("comparison") for error in made_of(of))
    return next((compared for compared in carried if compared is not None), None)


def keep(compared: Comparison) -> Comparison:
    """It is the last one now."""
    global _last
    _last = compared
    return compared


def carry(compared: Comparison, error: BaseException) -> None:
    """The same, and `error`, which interrupted it, has it as its attribute `comparison`."""
    vars(error)["comparison"] = keep(compared)


def hand_on(ended: BaseException, error: BaseException) -> None:
    """What the comparison's end carries is `error`'s from now on: that of Ctrl-C, of which a cancellation was made."""
    if (compared := last_comparison(of=ended)) is not None:
        carry(compared, error)
