"""Where and when a recording was made."""

from __future__ import annotations

from tests.lab.client.answers import (
    taken,
)


def test_the_origin_of_the_clock_is_stored() -> None:
    meta = taken([]).meta
    assert meta["clock"] == "time.monotonic_ns"
    assert meta["origin"] == taken([]).meta["origin"]
    assert meta["framing"] == "chunked"
