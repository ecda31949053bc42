"""An event's way part by part: every part is there once, and what is left is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics
from streamkit.lab.recording.recording import Recording
from streamkit.taps import TAPS
from tests.lab.metrics.examples import MS, Way, journey, ways


class TestTheJourneyOnAFakeClock:
    def test_the_first_events_budget_adds_up(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks)
        assert found is not None
        assert [(part.name, part.ns // MS) for part in found.parts] == [
            ("request → relay.asked", 2),
            ("relay.asked → relay.asking", 3),
            ("relay.asking → upstream.asked", 5),
            ("upstream.asked → upstream.due", 80),
            ("upstream.due → upstream.sent", 1),
            ("upstream.sent → relay.read", 2),
            ("relay.read → relay.event", 1),
            ("relay.event → relay.send", 1),
            ("relay.send → relay.sent", 1),
            ("relay.sent → client.read", 1),
            ("client.read → client.event", 1),
        ]
        assert (found.n, found.sum_ns, found.total.ns, found.rest.ns) == (1, 98 * MS, 98 * MS, 0)

    def test_any_events_budget_adds_up_and_medians_stand_beside_it(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks, n=3)
        assert found is not None
        assert [part.ns // MS for part in found.parts] == [2, 3, 5, 90, 1, 2, 1, 2, 20, 4, 2]
        assert [part.median_ns // MS for part in found.parts] == [2, 3, 5, 90, 1, 2, 1, 2, 1, 2, 1]
        assert (found.sum_ns, found.total.ns, found.total.median_ns) == (132 * MS, 132 * MS, 131 * MS)
        assert (found.rest.ns, found.rest.median_ns) == (0, 0)


class TestBudget:
    def test_what_nobody_saw_is_left_unexplained(self) -> None:
        """A server that is not ours: only what the client did is known."""
        recording = Recording.from_pieces([(50, "a"), (70, "b")])
        found = metrics.budget(recording.curves(), origin_ns=20)
        assert found is not None
        assert [(part.name, part.ns) for part in found.parts] == [("client.read → client.event", 0)]
        assert (found.total.ns, found.rest.name, found.rest.ns) == (30, "request → client.read", 30)

    def test_the_work_of_a_provider_that_is_not_ours_is_unexplained(self) -> None:
        curves = journey().curves()
        del curves["upstream.due"], curves["upstream.sent"]
        found = metrics.budget(curves, origin_ns=10 * MS, marks={"relay.asking": 15 * MS})
        assert found is not None
        assert (found.rest.name, found.rest.ns) == ("relay.asking → relay.read", 88 * MS)
        assert found.sum_ns + found.rest.ns == found.total.ns == 98 * MS

    def test_where_the_upstreams_plan_is_not_known_its_wait_ends_with_sending(self) -> None:
        curves = journey().curves()
        del curves["upstream.due"]
        found = metrics.budget(curves, origin_ns=10 * MS, marks={"upstream.asked": 20 * MS})
        assert found is not None
        assert [(part.name, part.ns) for part in found.parts[:2]] == [
            ("request → upstream.asked", 10 * MS),
            ("upstream.asked → upstream.sent", 81 * MS),
        ]
        assert found.rest.ns == 0

    def test_an_event_that_did_not_pass_all_places_has_none(self) -> None:
        assert metrics.budget(journey().curves(), origin_ns=0, n=5) is None
        assert metrics.budget(Recording().curves(), origin_ns=0) is None

    @pytest.mark.parametrize("n", [0, -1])
    def test_events_are_counted_from_one(self, n: int) -> None:
        with pytest.raises(ValueError, match="from 1"):
            metrics.budget(journey().curves(), origin_ns=0, n=n)

    def test_without_curves_there_is_nothing_to_budget(self) -> None:
        with pytest.raises(ValueError, match="at least one curve"):
            metrics.budget({}, origin_ns=0)

    def test_the_rest_is_shown_also_when_it_is_nothing(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks)
        assert found is not None
        assert found.rows()[-3:] == [
            ("sum", "98.000 ms", ""),
            ("total", "98.000 ms", "131.000 ms"),
            ("unexplained", "0.000 ms", "0.000 ms"),
        ]
        assert str(found).splitlines()[1].split() == ["request", "→", "relay.asked", "2.000", "ms", "2.000", "ms"]


@given(ways(), st.integers(0, 100), st.data())
def test_every_events_budget_adds_up_to_its_total(way: Way, origin_ns: int, data: st.DataObject) -> None:
    marks = data.draw(
        st.dictionaries(st.sampled_from(["relay.asked", "relay.asking", "upstream.asked"]), st.integers())
    )
    marks = {name: at_ns % 1000 for name, at_ns in marks.items()}
    curves = dict(zip(TAPS, way.curves.values(), strict=False))
    for n in range(1, min(map(len, way.passed)) + 1):
        found = metrics.budget(curves, origin_ns=origin_ns, marks=marks, n=n)
        assert found is not None
        assert found.total.ns == way.passed[-1][n - 1] - origin_ns
        assert found.sum_ns + found.rest.ns == found.total.ns
        assert (found.rest.ns == 0) or "upstream.asked" not in marks
