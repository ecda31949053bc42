"""The way of a chunk has all taps and all queues, each once, in their order."""

from __future__ import annotations

import itertools

from streamkit.taps import TAPS, WAY
from streamkit.taps.gauges import GAUGES

PLACES = list(itertools.chain.from_iterable(part.places for part in WAY))


def test_its_taps_and_its_queues_are_those_there_are_in_their_order() -> None:
    assert [name for name in PLACES if name in TAPS] == list(TAPS)
    assert [name for name in PLACES if name in GAUGES] == list(GAUGES)
    assert len(PLACES) == len(TAPS) + len(GAUGES)


def test_what_a_kernel_holds_is_between_two_parties_and_the_rest_is_with_its_own() -> None:
    for part in WAY:
        owners = {name.partition(".")[0] for name in part.places}
        assert owners == {part.name} if part.name != "kernels" else len(owners) == 2
    assert [part.name for part in WAY] == ["upstream", "kernels", "relay", "kernels", "client"]
