"""Scripts by the thousand: the same for the same seed, and every kind of fault among them."""

from __future__ import annotations

import itertools
import pickle

from hypothesis import example, given
from hypothesis import strategies as st

from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import (
    NoEnd,
)
from streamkit.lab.upstream.random_scripts import random_script

MS = 1_000_000


@given(st.integers(0, 10**9))
@example(623)  # nothing to say, and nothing wrong
def test_a_random_script_is_the_same_for_its_seed_pickled_too_and_never_goes_back_in_time(seed: int) -> None:
    given = random_script(seed)
    assert given == random_script(seed) == pickle.loads(pickle.dumps(given))  # noqa: S301  # our own bytes
    assert repr(given) == repr(random_script(seed))
    due = [step.due_ns for step in given.steps()]
    assert due == sorted(due) == [step.due_ns for step in random_script(seed).steps()]
    assert max(due, default=0) < 50 * MS, "three stalls of at most 5 ms"


def test_random_scripts_take_what_is_given_and_draw_the_rest() -> None:
    drawn = [random_script(seed, preset="openai", stall_ms=0) for seed in range(50)]
    assert {one.preset for one in drawn} == {"openai"}
    assert len({one.pieces for one in drawn}) > 40
    assert random_script(3, faults=(NoEnd(),)).faults == (NoEnd(),)
    assert max(one.steps()[-1].due_ns for one in drawn if one.steps()) < 6 * MS
    kinds = {type(fault) for seed in range(600) for fault in random_script(seed).faults}
    known = itertools.chain(*(kind.__subclasses__() or [kind] for kind in Fault.__subclasses__()))
    assert kinds == {kind for kind in known if kind.__module__.startswith("streamkit.")}
