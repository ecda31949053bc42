"""What a stretch held, by its queues and by its curves: the same bytes, told twice, and what remains between both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.lab.findings.stretches import held
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import GAUGES, NOT_KNOWN, STRETCHES, Gauge
from tests.queue_chain import FRAMING, SMALL, chain


def by_hand(**fields: Any) -> Recording:
    """Three pieces of 10 bytes at 100, 200 and 300, each 15 on the wire; the client reads them at 150, 250 and 400."""
    given: dict[str, Any] = {
        "reads": Reads([150, 250, 400], size=[12, 12, 12]),
        "events": Events([150, 250, 400], text=["x" * 10] * 3, handed_ns=[150, 350, 400]),
        "taps": {"relay.sent": Tap([100, 200, 300], [1, 2, 3], [10, 20, 30])},
        "gauges": {
            "relay.wrote": Gauge([50, 120, 220, 320, 420], [0, 15, 30, 45, 50]),
            "relay.unsent": Gauge([50, 120, 220, 320, 420], [0, 15, 9, 15, 0]),
            "client.unread": Gauge([60, 230, 330], [0, 6, 0]),
        },
        **fields,
    }
    return Recording(**given)


def small(**fields: Any) -> Recording:
    return chain(SMALL, 200, read=lambda _: 2, piece=100, gap_ms=10, until_ms=3000, **fields)


class TestQueues:
    def test_all_stretches_share_the_moments_at_which_anything_was_looked_at(self) -> None:
        stretches = held(by_hand())
        assert list(stretches) == ["relay → client", "in the client"]
        for stretch in stretches.values():
            assert stretch.at_ns.tolist() == [50, 60, 120, 220, 230, 320, 330, 420]

    def test_a_sample_holds_until_the_next_one_and_the_last_no_longer(self) -> None:
        stretch = held(by_hand())["relay → client"]
        assert stretch.by_queue["relay.unsent"].tolist() == [0, 0, 15, 9, 9, 15, 15, 0]
        assert stretch.by_queue["client.unread"].tolist() == [0, 0, 0, 0, 6, 6, 0, 0]
        assert stretch.in_queues.tolist() == [0, 0, 15, 9, 15, 21, 15, 0]

    def test_a_queue_that_is_not_looked_at_any_more_counts_as_nothing_and_the_rest_has_its_bytes(self) -> None:
        gauges = {**by_hand().gauges, "relay.unsent": Gauge([50, 120, 220], [0, 15, 9])}
        stretch = held(by_hand(gauges=gauges))["relay → client"]
        assert stretch.by_queue["relay.unsent"].tolist() == [0, 0, 15, 9, 0, 0, 0, 0]
        assert stretch.rest is not None
        assert stretch.rest.tolist() == (np.asarray(stretch.by_curves) - stretch.in_queues).tolist()

    def test_what_is_not_known_at_times_counts_as_nothing_then(self) -> None:
        gauges = {"relay.unsent": Gauge([50, 120, 220], [NOT_KNOWN, 15, NOT_KNOWN])}
        assert held(by_hand(gauges=gauges))["relay → client"].by_queue["relay.unsent"].tolist() == [0, 15, 0]

    def test_queues_that_cannot_be_seen_are_missing_in_the_order_of_the_way(self) -> None:
        gauges = {**by_hand().gauges, "client.unread": Gauge([60], [NOT_KNOWN])}
        stretch = held(by_hand(gauges=gauges))["relay → client"]
        assert list(stretch.by_queue) == ["relay.unsent"]
        assert stretch.missing == ("relay.buffer", "client.unread")

    def test_without_gauges_there_are_no_stretches(self) -> None:
        assert held(Recording()) == {}
        assert held(by_hand(gauges={})) == {}
        assert held(Recording(gauges={"relay.unsent": Gauge()})) == {}
        assert held(Recording(gauges={"relay.rss": Gauge([1], [5])})) == {}


class TestCurves:
    def test_bytes_of_text_become_bytes_on_the_wire_by_the_writers_counter(self) -> None:
        """What has no text, such as the 5 bytes at the end, goes with the text before it."""
        stretch = held(by_hand())["relay → client"]
        assert stretch.by_curves is not None
        assert stretch.by_curves.tolist() == [0, 0, 15, 15, 15, 20, 20, 0]
        assert stretch.amount.tolist() == [0, 0, 15, 15, 15, 21, 20, 0]

    def test_between_two_samples_of_the_counter_it_is_in_proportion(self) -> None:
        gauges = {"relay.wrote": Gauge([50, 320], [0, 45]), "client.unread": Gauge([60, 120, 230], [0, 0, 0])}
        stretch = held(by_hand(gauges=gauges))["relay → client"]
        assert stretch.by_curves is not None
        assert dict(zip(stretch.at_ns.tolist(), stretch.by_curves.tolist(), strict=True)) == {
            50: 0,
            60: 0,
            120: 15,
            230: 15,
            320: 15,
        }

    def test_text_behind_the_last_sample_counts_in_proportion(self) -> None:
        gauges = {"relay.wrote": Gauge([50, 220], [0, 30]), "client.unread": Gauge([330], [0])}
        assert np.asarray(held(by_hand(gauges=gauges))["relay → client"].by_curves).tolist()[-1] == 15

    def test_a_counter_that_was_first_seen_late_begins_at_nothing(self) -> None:
        gauges = {"relay.wrote": Gauge([220, 320], [30, 45]), "client.unread": Gauge([120], [0])}
        assert np.asarray(held(by_hand(gauges=gauges))["relay → client"].by_curves).tolist()[0] == 15

    def test_a_read_counts_when_it_returned_not_when_the_kernel_had_its_bytes(self) -> None:
        """Until then they lie in the kernel's queue, and its gauge counts them."""
        late = Reads([150, 250, 400], size=[12, 12, 12], late_ns=[0, 75, 0])
        stretch = held(by_hand(reads=late))["relay → client"]
        assert stretch.by_curves is not None
        assert stretch.by_curves.tolist() == [0, 0, 15, 15, 15, 35, 20, 0]

    def test_in_the_client_the_bytes_of_its_own_reads_count(self) -> None:
        stretch = held(by_hand())["in the client"]
        assert stretch.by_curves is not None
        assert stretch.by_curves.tolist() == [0, 0, 0, 0, 0, 12, 12, 0]
        assert stretch.missing == ("client.backlog",)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"taps": {}}, "no relay.sent tap"),
            ({"taps": {"relay.sent": Tap()}}, "no text at relay.sent"),
            ({"gauges": {"client.unread": Gauge([60], [0])}}, "no relay.wrote counter"),
            ({"taps": {"relay.sent": Tap([1], [9], [90])}}, "relay.sent and client.read did not count the same text"),
        ],
    )
    def test_where_they_cannot_tell_they_say_why(self, changes: dict[str, Any], why: str) -> None:
        stretch = held(by_hand(**changes))["relay → client"]
        assert (stretch.by_curves, stretch.rest, stretch.untold) == (None, None, why)
        assert stretch.amount.tolist() == stretch.in_queues.tolist()

    def test_in_the_relay_what_is_not_decoded_is_as_long_as_the_upstream_wrote_it(self) -> None:
        """Two pieces were read, one of them is decoded: 40 bytes as the upstream wrote it, and 15 as the relay will."""
        at = [0, 100, 200, 300]
        taps = {
            "upstream.sent": Tap([90, 91], [1, 2], [10, 20]),
            "relay.read": Tap([100, 101], [1, 2], [10, 20]),
            "relay.event": Tap([100, 200], [1, 2], [10, 20]),
            "relay.sent": Tap([250, 260], [1, 2], [10, 20]),
        }
        gauges = {"upstream.wrote": Gauge(at, [0, 80, 80, 80]), "relay.wrote": Gauge(at, [0, 0, 0, 30])}
        looked = {"relay.inbox": Gauge([110, 210, 310], [40, 0, 0])}
        events = Events([280, 290], text=["x" * 10] * 2)
        whole = by_hand(taps=taps, gauges=gauges | looked, reads=Reads([280, 290]), events=events)
        assert np.asarray(held(whole)["in the relay"].by_curves).tolist()[2:5] == [55, 30, 30]
        unread = replace(whole, gauges={"relay.wrote": gauges["relay.wrote"]} | looked)
        assert np.asarray(held(unread)["in the relay"].by_curves).tolist()[2:5] == [30, 30, 30]

    def test_of_a_stream_that_was_cut_taps_may_differ(self) -> None:
        taps = {"relay.sent": Tap([100, 200, 300, 310], [1, 2, 3, 4], [10, 20, 30, 40])}
        stretch = held(by_hand(taps=taps, outcome=Outcome("truncated")))["relay → client"]
        assert np.asarray(stretch.by_curves).tolist()[-1] > 0

    def test_where_pieces_were_dropped_the_relays_curves_do_not_tell(self) -> None:
        recording = small()
        dropping = held(replace(recording, counts={"relay.dropped_pieces": 3}))
        assert dropping["in the relay"].by_curves is None
        assert dropping["in the relay"].untold == "pieces were dropped there"
        assert dropping["relay → client"].by_curves is not None
        assert held(recording)["in the relay"].by_curves is not None


class TestBothAgree:
    """On a chain whose every byte is known, all seen at the same moments."""

    def test_the_rest_is_less_than_the_pieces_that_are_half_across_a_tap(self) -> None:
        for name, stretch in held(small()).items():
            assert stretch.rest is not None
            assert int(np.abs(stretch.rest).max()) <= 2 * (100 + FRAMING), name
            assert int(stretch.in_queues.max()) >= 200

    def test_what_is_not_seen_is_the_rest(self) -> None:
        whole = held(small())["relay → client"]
        blind = held(small(unknown=("relay.unsent",)))["relay → client"]
        assert blind.rest is not None
        assert whole.rest is not None
        assert np.array_equal(blind.rest, whole.rest + whole.by_queue["relay.unsent"])

    @settings(max_examples=25)
    @given(
        st.dictionaries(st.sampled_from(GAUGES), st.integers(200, 5000)),
        st.integers(1, 40),
        st.integers(20, 300),
        st.integers(1, 20),
    )
    def test_whatever_the_rooms_and_the_reader(self, room: dict[str, int], rate: int, piece: int, gap_ms: int) -> None:
        recording = chain({**SMALL, **room}, 60, read=lambda _: rate, piece=piece, gap_ms=gap_ms, until_ms=2000)
        for name, stretch in held(recording).items():
            assert set(stretch.by_queue) == set(STRETCHES[name])
            if stretch.rest is not None:
                assert int(np.abs(stretch.rest).max()) <= 2 * (piece + FRAMING)
                assert stretch.by_curves is not None
                assert int(stretch.by_curves.min()) >= 0
