"""All taps of one stream as curves of one unit, also where the wire tells no borders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.lab import metrics
from streamkit.lab.metrics.curves import delay_ns
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap
from tests.lab.metrics.examples import MS, in_ms, shown, staircase


class TestWherePiecesWereLeftOut:
    """The policy `latest`: five states came, the client got the first, the fourth and the fifth."""

    data = ('{"text":"a"}', '{"text":"dddd","dropped":2}', '{"text":"e"}', '{"outcome":"complete","dropped":2}')
    recording = Recording(
        reads=Reads([10, 50, 60]),
        events=Events([10, 50, 60, 60], text=["a", "dddd", "e", ""], data=data, read=[0, 1, 2, 2]),
        taps={"relay.event": Tap([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 3, 6, 10, 11])}
        | {"relay.sent": Tap([2, 40, 41], [1, 4, 5], [1, 10, 11])},
        counts={"relay.dropped_pieces": 2},
    )

    def test_they_count_as_passed_so_that_event_n_is_event_n_at_every_tap(self) -> None:
        curves = self.recording.curves()
        assert [curve.count.tolist() for curve in curves.values()] == [[1, 2, 3, 4, 5], *[[1, 4, 5]] * 3]
        assert delay_ns(curves["relay.event"], curves["client.read"]).tolist() == [9, 48, 47, 46, 55]

    def test_so_do_their_bytes_which_the_relay_knows(self) -> None:
        curves = self.recording.curves("bytes")
        assert curves["client.read"].count.tolist() == [1, 10, 11, 11]

    def test_only_the_relay_is_believed(self) -> None:
        curves = replace(self.recording, counts={}).curves()
        assert curves["client.read"].count.tolist() == [1, 2, 3]


class TestWithoutEventBorders:
    """text/plain: a read is all there is, and it may end inside a character."""

    def plain(self, *reads: tuple[int, bytes], **fields: Tap) -> Recording:
        """As the recorder makes it: text of whole characters, sizes of what was read."""
        pending, texts = b"", []
        for _, data in reads:
            pending += data
            text = pending.decode("utf-8", "ignore")
            pending = pending[len(text.encode()) :]
            texts.append(text)
        at_ns, sizes = [at_ms * MS for at_ms, _ in reads], [len(data) for _, data in reads]
        return Recording(
            reads=Reads(at_ns, data=[data for _, data in reads]),
            events=Events(
                at_ns,
                handed_ns=[at + MS for at in at_ns],
                text=texts,
                size=sizes,
                event=[""] * len(reads),
                read=range(len(reads)),
            ),
            taps={name.replace("_", "."): tap for name, tap in fields.items()},
        )

    def test_events_have_come_when_their_last_byte_has(self) -> None:
        recording = self.plain(
            (10, b"a\xe4\xbd"),
            (20, b"\xa0b"),
            (30, b"cd"),
            upstream_sent=staircase((1, 1, 1), (2, 2, 4), (3, 3, 6), (4, 4, 7)),  # "a", "你", "bc", "d"
            relay_sent=staircase((9, 4, 7)),
        )
        curves = recording.curves()
        assert shown(curves["client.read"]) == ([10, 20, 30], [1, 2, 4])
        assert shown(curves["client.event"]) == ([11, 21, 31], [1, 2, 4])
        assert in_ms(metrics.delay_ns(curves["upstream.sent"], curves["client.read"])) == [9, 18, 27, 26]

    def test_bytes_are_those_that_were_read_whatever_character_they_belong_to(self) -> None:
        curves = self.plain((10, b"a\xe4\xbd"), (20, b"\xa0b")).curves("bytes")
        assert shown(curves["client.read"]) == ([10, 20], [3, 5])

    def test_the_borders_are_those_of_the_tap_that_saw_most(self) -> None:
        coarse, fine = staircase((1, 2, 2)), staircase((2, 1, 1), (3, 2, 2))
        recording = self.plain((10, b"a"), (20, b"b"), upstream_sent=coarse, relay_event=fine)
        assert shown(recording.curves()["client.read"]) == ([10, 20], [1, 2])

    @pytest.mark.parametrize("taps", [{}, {"relay_sent": staircase((1, 1, 0))}, {"relay_sent": Tap()}])
    def test_where_nobody_saw_borders_the_clients_own_events_count(self, taps: dict[str, Tap]) -> None:
        recording = self.plain((10, b"a"), (20, b"\xe4\xbd"), (30, b"\xa0"), **taps)
        assert shown(recording.curves()["client.read"]) == ([10, 30], [1, 2])


def test_events_without_text_are_not_counted() -> None:
    recording = Recording(reads=Reads([1, 2], size=[9, 9]), events=Events([1, 2, 2], text=["", "a", ""]))
    assert recording.curves()["client.read"].at_ns.tolist() == [2]


def test_where_no_event_has_text_all_are() -> None:
    recording = Recording(reads=Reads([1, 2], size=[9, 9]), events=Events([1, 2, 2], text=["", "", ""]))
    assert recording.curves()["client.read"].count.tolist() == [1, 2, 3]


def test_an_unknown_unit_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="expected unit 'events' or 'bytes', got 'tokens'"):
        Recording().curves("tokens")  # type: ignore[arg-type]  # the claim
