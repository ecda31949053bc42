"""A trial on its way to another process: by its name, or as it is."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from types import FunctionType

import pytest

from streamkit.lab.sweep.portable import Portable, name_of
from tests.lab.sweep import trials


def in_main() -> FunctionType:
    """As a notebook's cell, or the script that runs, would define it."""
    found: dict[str, FunctionType] = {}
    exec("def trial(a):\n    return a + 1\n", {"__name__": "__main__"}, found)  # noqa: S102  # our own words
    return found["trial"]


def test_what_can_be_imported_goes_by_its_name() -> None:
    portable = Portable(trials.noisy)
    assert len(portable.order) < 100
    assert pickle.loads(pickle.dumps(portable)).function is trials.noisy  # noqa: S301  # our own


def test_a_function_of_a_notebook_goes_by_value() -> None:
    assert pickle.loads(pickle.dumps(Portable(in_main()))).function(1) == 2  # noqa: S301  # our own


def test_it_is_pickled_once() -> None:
    portable = Portable(in_main())
    assert portable.order is portable.order


def test_without_cloudpickle_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(
        TypeError, match=r"got __main__.trial, .*: put it into a file, or install cloudpickle .*, or run"
    ):
        _ = Portable(in_main()).order


def test_what_holds_a_lock_cannot_be_sent() -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"leave out what cannot be sent \(TypeError: "):
        _ = Portable(lambda: lock.locked()).order


def test_of_a_partial_its_name_says_what_it_has_been_given() -> None:
    assert name_of(partial(trials.noisy, 1, b="x")) == "tests.lab.sweep.trials.noisy(1, b='x')"
    assert name_of(partial(trials.fails_on_two)) == "tests.lab.sweep.trials.fails_on_two()"
