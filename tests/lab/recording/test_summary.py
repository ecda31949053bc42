"""The summary: its numbers, and its rows: what stands there, and what does not where nothing is known of it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamkit.lab.metrics import SLO
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.relay_word import RelayWord
from streamkit.lab.recording.summary import timetable
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from tests.lab.recording.examples import MS, small


def rows(recording: Recording) -> dict[str, str]:
    return dict(recording.summary().rows())


def paced(*at_ms: int) -> Recording:
    return Recording.from_pieces([(ms * MS, "x") for ms in at_ms])


def test_a_stall_stands_there_with_its_size_and_its_place() -> None:
    at_ms = [*range(20, 620, 20), *range(1100, 1500, 20)]
    assert rows(paced(*at_ms))["stalls (gaps above 250 ms)"] == "1, longest 500 ms after event 30"


def test_of_several_stalls_the_longest_is_placed_and_of_equals_the_first() -> None:
    summary = paced(0, 20, 40, 440, 460, 960, 980, 1480).summary()
    assert (summary.stalls, summary.longest_stall_ms, summary.longest_stall_after) == (3, 500.0, 5)


def test_its_place_counts_the_pieces_not_the_pings() -> None:
    recording = paced(0, 10, 20, 30, 1030)
    assert isinstance(recording.events.text, list)
    recording.events.text[1] = ""
    assert recording.summary().longest_stall_after == 3


def test_no_stall_has_no_place() -> None:
    assert rows(paced(0, 20))["stalls (gaps above 250 ms)"] == "0"
    assert paced(0, 20).summary().longest_stall_after is None


def test_what_came_before_the_request_had_left_has_rows_of_its_own() -> None:
    recording = Recording(acquired_ns=5 * MS, connected_ns=7 * MS, tls_ns=37 * MS, sent_ns=38 * MS)
    found = rows(recording)
    assert [found[name] for name in ("waited for a connection", "connecting", "TLS", "sending")] == [
        "5.0 ms",
        "2.0 ms",
        "30.0 ms",
        "1.0 ms",
    ]


def test_on_a_reused_connection_only_the_wait_for_it_and_the_sending_are_shown() -> None:
    found = rows(Recording(acquired_ns=5 * MS, sent_ns=6 * MS))
    assert (found["waited for a connection"], found["sending"]) == ("5.0 ms", "1.0 ms")
    assert not {"connecting", "TLS"} & set(found)


def test_where_it_did_not_have_to_wait_for_a_connection_no_row_speaks_of_it() -> None:
    told = Recording(acquired_ns=MS // 2, connected_ns=2 * MS, sent_ns=3 * MS).summary()
    names = [name for name, _ in told.rows()]
    assert "waited for a connection" not in names
    assert "connecting" in names
    assert told["waited_ms"] == 0.5


def test_a_part_of_which_only_one_end_is_known_is_not_shown() -> None:
    assert not {"waited for a connection", "connecting", "TLS", "sending"} & set(rows(Recording(sent_ns=5)))


def refused() -> Recording:
    return Recording(
        outcome=Outcome("refused", "connect"), error="no connection could be made", acquired_ns=MS, ended_ns=3 * MS
    )


def test_a_recording_without_an_event_tells_its_error_and_no_dashes() -> None:
    assert refused().summary().rows() == [
        ("outcome", "refused(connect)"),
        ("error", "no connection could be made"),
        ("events", "0"),
        ("duration", "3.0 ms"),
        ("waited for a connection", "1.0 ms"),
        ("trust", "limited: no event came: nothing but the end was measured"),
    ]
    assert "–" not in str(refused().summary())
    assert refused().summary()["error"] == "no connection could be made"


def test_the_error_of_a_stream_that_had_begun_stands_below_its_outcome() -> None:
    cut = Recording.from_pieces([(MS, "a")], outcome=Outcome("truncated"), error="the connection ended")
    assert cut.summary().rows()[:2] == [("outcome", "truncated"), ("error", "the connection ended")]
    assert "error" not in rows(paced(1, 2))


def test_a_body_without_an_event_is_counted_in_reads_and_bytes() -> None:
    found = rows(Recording(reads=Reads([MS], data=[b"<html>"]), outcome=Outcome("refused", 401)))
    assert (found["events"], found["reads"], found["bytes"], found["stamps"]) == ("0", "1", "6", "socket")


def test_silence_before_the_end_is_told_where_it_is_as_long_as_a_stall() -> None:
    cut = Recording.from_pieces([(MS, "a"), (20 * MS, "b")], outcome=Outcome("truncated"), ended_ns=5020 * MS)
    assert rows(cut)["silence before the end"] == "5000.0 ms"
    assert cut.summary().silent_end_ms == 5000.0
    assert replace(cut, ended_ns=200 * MS).summary().silent_end_ms is None
    assert replace(cut, ended_ns=None).summary().silent_end_ms is None


def test_hops_are_shown_where_others_saw_the_stream_too() -> None:
    recording = Recording.from_pieces([(9 * MS, "a"), (20 * MS, "b")], taps={"relay.sent": Tap([MS], [2], [2])})
    assert rows(recording)["relay.sent → client.read"] == "p50 8.00, p95 19.00, max 19.00 ms, held at most 2"
    assert not any("→" in name for name in rows(Recording.from_pieces([(9 * MS, "a")])))


def test_a_hop_that_took_less_than_nothing_is_explained() -> None:
    def seen(sent_ns: int) -> Recording:
        return Recording.from_pieces([(9 * MS, "a")], sent_ns=0, taps={"relay.sent": Tap([sent_ns], [1], [1])})

    (note,) = seen(10 * MS).summary().notes
    assert note.startswith("relay.sent → client.read is below zero: ")
    assert seen(9 * MS).summary().notes == ()


def test_a_hop_that_no_event_passed_tells_what_it_holds() -> None:
    recording = Recording(taps={"upstream.sent": Tap([MS], [3], [9]), "relay.read": Tap()})
    assert rows(recording)["upstream.sent → relay.read"] == "no event passed both, held at most 3"


def test_the_instrument_tells_how_wrong_its_stamps_can_be_and_how_late_python_was() -> None:
    reads = Reads([MS, 2 * MS, 3 * MS], size=[1] * 3, error_ns=[20_000, -1, 12_000], late_ns=[0, 300_000, 70_000])
    found = rows(Recording(reads=reads, stamps="kernel"))
    assert (found["stamps"], found["stamp error p99"], found["Python late p99"]) == ("kernel", "0.020 ms", "0.300 ms")


def test_where_python_itself_stamped_it_cannot_tell_how_late_it_was() -> None:
    found = rows(paced(1, 2))
    assert found["stamps"] == "socket"
    assert not {"stamp error p99", "Python late p99"} & set(found)


def test_the_verdict_stands_below_the_numbers() -> None:
    recording = paced(0, 20, 40)
    assert recording.summary().rows()[-1] == ("trust", str(recording.trust))


def test_names_values_and_rows_are_text_without_line_ends() -> None:
    assert all("\n" not in text for row in paced(0, 400).summary().rows() for text in row)


def test_a_recording_of_many_events_is_checked_and_summarised_without_a_python_loop_over_them() -> None:
    """Against one such loop in the same process, so that no machine is too slow for it."""
    events = 100_000
    at_ns = np.arange(events) * 1000
    columns = Reads(at_ns, size=at_ns), Events(at_ns, text=["x"] * events)

    begin = time.process_time()
    for index in range(events):
        assert columns[1][index].at_ns == columns[0][index].at_ns
    looped = time.process_time() - begin

    begin = time.process_time()
    Recording(reads=columns[0], events=columns[1]).summary()
    assert time.process_time() - begin < looped


@pytest.mark.parametrize("stamps", ["kernel", "socket", "library"])
def test_every_kind_of_stamp_is_named(stamps: str) -> None:
    recording = Recording.from_pieces([(5, "a")], stamps=stamps)
    assert rows(recording)["stamps"] == stamps


class TestTheNumbers:
    def test_the_summary_has_these_numbers(self) -> None:
        summary = small().summary().as_dict()
        assert summary.pop("throughput_events_per_s") == pytest.approx(2 / 0.48)
        assert summary.pop("throughput_chars_per_s") == pytest.approx(3 / 0.48)
        assert summary == {
            "outcome": Outcome("complete"),
            "error": None,
            "relay_outcome": None,
            "events": 4,
            "reads": 3,
            "bytes": 36,
            "characters": 4,
            "reasoning_characters": 0,
            "ttft_ms": 100.0,
            "ttft_text_ms": 100.0,
            "ttft_reasoning_ms": None,
            "ttft_error_ms": 4.0,  # of a stamp taken in user space, and of when the request had left
            "ttft_is_bound": False,
            "duration_ms": 600.0,
            "waited_ms": None,
            "connecting_ms": None,
            "tls_ms": None,
            "sent_bytes": None,
            "sent_whole": None,
            "held_ms": None,
            "unread_bytes": None,
            "sending_ms": 19.0,
            "gaps": 2,
            "gap_p50_ms": 50.0,
            "gap_p95_ms": 430.0,
            "gap_p99_ms": 430.0,
            "max_gap_ms": 430.0,
            "cuts": 0,
            "attempts": 0,
            "cut_ms": None,
            "replayed": 0,
            "stalls": 1,
            "stall_threshold_ms": 250.0,
            "longest_stall_ms": 430.0,
            "longest_stall_after": 2,
            "silent_end_ms": None,
            "diagnosis": "A stall of 430 ms after event 2: this cannot be told from here",
            "coalesced_share": 0.25,
            "server_ms": {},
            "hops": (),
            "stamps": "socket",
            "error_p99_ms": None,
            "late_p99_ms": None,
            "finish_reason": None,
            "trust": str(small().trust),
            "notes": ("gaps are between reads; 25% of the events shared a read with an earlier one", "said so"),
        }

    def test_the_summary_is_a_mapping_that_cannot_be_changed(self) -> None:
        summary = small().summary()
        assert dict(summary) == summary.as_dict()
        assert summary["ttft_ms"] == summary.ttft_ms
        assert len(summary) == len(summary.as_dict())
        with pytest.raises(KeyError):
            _ = summary["as_dict"]
        with pytest.raises(AttributeError):
            summary.events = 3  # type: ignore[misc]  # the claim

    def test_the_summary_prints_as_an_aligned_table_with_units(self) -> None:
        lines = str(Recording.from_pieces([(100 * MS, "a"), (150 * MS, "b")]).summary()).splitlines()[
            :-4
        ]  # below them stand stamps, verdict and note, in words
        assert len({len(line) for line in lines}) == 1
        assert any(re.fullmatch(r"time to first piece +100\.0 ms", line) for line in lines)

    def test_a_sentence_in_the_table_does_not_push_the_numbers_away(self) -> None:
        lines = str(small().summary()).splitlines()
        assert any(
            re.fullmatch(r"stalls \(gaps above 250 ms\)  1, longest 430 ms after event 2", line) for line in lines
        )
        assert any(re.fullmatch(r"time to first piece {8,20}100\.0 ms", line) for line in lines)

    def test_what_is_not_defined_is_shown_as_a_dash(self) -> None:
        summary = paced(7).summary()
        assert summary.gap_p50_ms is summary.throughput_chars_per_s is None
        assert re.search(r"^gap p50 +–$", str(summary), re.MULTILINE)

    def test_the_summary_says_so_when_it_counts_from_the_call(self) -> None:
        assert "from the call" in str(Recording.from_pieces([(5, "a")]).summary())
        assert "from the call" not in str(small().summary())

    def test_the_summary_says_so_when_no_socket_was_stamped(self) -> None:
        assert "not of socket reads" in str(Recording(stamps="library").summary())


# --- Reasoning ------------------------------------------------------------------------------------------------------


def thinking(**fields: Any) -> Recording:
    """A role at 10 ms, reasoning at 150 and 200 ms, text at 600 and 650 ms."""
    at_ns = [MS * at for at in (10, 150, 200, 600, 650)]
    events = Events(at_ns, text=["", "", "", "Ja", "!"], reasoning=["", "Okay", ",", "", ""])
    return Recording(reads=Reads(at_ns), events=events, sent_ns=0, **fields)


def test_the_first_piece_is_that_of_any_channel_and_each_channel_has_its_own() -> None:
    summary = thinking().summary()
    assert (summary.ttft_ms, summary.ttft_reasoning_ms, summary.ttft_text_ms) == (150, 150, 600)
    assert (summary.characters, summary.reasoning_characters) == (3, 5)
    found = rows(thinking())
    names = ("time to first piece", "time to first reasoning", "time to first text", "characters of reasoning")
    assert [found[name] for name in names] == ["150.0 ms", "150.0 ms", "600.0 ms", "5"]


def test_gaps_and_stalls_are_between_pieces_of_any_channel() -> None:
    summary = thinking().summary()
    assert (summary.gaps, summary.max_gap_ms, summary.stalls, summary.longest_stall_after) == (3, 400, 1, 2)
    assert thinking().counted.which.tolist() == [False, True, True, True, True]
    assert thinking().counted.characters.tolist() == [4, 1, 2, 1]


def test_an_answer_of_reasoning_alone_has_a_first_piece_and_no_first_text() -> None:
    alone = Recording(reads=Reads([7 * MS]), events=Events([7 * MS], reasoning=["hm"]), sent_ns=0)
    assert (alone.summary().ttft_ms, alone.summary().ttft_text_ms) == (7, None)
    assert rows(alone)["time to first text"] == "–"


def test_without_reasoning_there_are_no_rows_of_channels() -> None:
    assert not any("reasoning" in name or name == "time to first text" for name in rows(small()))


def test_an_objective_is_kept_by_the_first_piece_of_any_channel() -> None:
    assert thinking().slo_failures(SLO(ttft_ms=200, gap_ms=500)) == ()
    assert thinking().slo_failures(SLO(ttft_ms=100)) == ("ttft",)


def test_the_timetable_shows_reasoning_as_such() -> None:
    assert [line.split("  ")[-1] for line in timetable(thinking()).splitlines()[1:]] == [
        "'Okay' (reasoning)",
        "',' (reasoning)",
        "'Ja'",
        "'!'",
    ]


def test_curves_count_what_taps_count_which_is_text_and_without_taps_reasoning_too() -> None:
    assert thinking().curves()["client.read"].count.tolist() == [1, 2, 3, 4]
    sent = Tap([600 * MS, 650 * MS], [1, 2], [2, 3])
    assert thinking(taps={"relay.sent": sent}).curves()["client.read"].count.tolist() == [1, 2]


# --- The first piece's own error ------------------------------------------------------------------------------------


def test_a_first_piece_that_shared_its_read_is_told_as_an_upper_bound() -> None:
    recording = Recording.from_pieces([(300 * MS, "a"), (300 * MS, "b"), (350 * MS, "c")], sent_ns=0)
    assert recording.summary().ttft_is_bound
    assert rows(recording)["time to first piece"] == "≤ 300.0 ms"
    assert recording.summary().notes[1] == (
        "the first piece shared its read with what came after it: it may have come up to 300 ms earlier, and the time "
        "to it is an upper bound"
    )


def test_a_first_piece_with_a_read_of_its_own_is_told_with_its_error() -> None:
    recording = Recording(
        reads=Reads([300 * MS], error_ns=[10_000]), events=Events([300 * MS], text=["a"]), sent_ns=0, stamps="kernel",
        meta={"sent_error_ns": 30_000},
    )  # fmt: skip
    assert recording.summary().ttft_error_ms == 0.04
    assert rows(recording)["first piece's error"] == "0.040 ms"
    assert not recording.summary().ttft_is_bound


def test_how_it_ended_for_the_relay_is_shown_where_its_client_saw_another_end() -> None:
    def told(outcome: str) -> Recording:
        return Recording(outcome=Outcome("truncated"), relay=RelayWord(outcome=Outcome.parse(outcome)))

    assert rows(told("timeout(idle)"))["outcome for the relay"] == "timeout(idle)"
    assert "outcome for the relay" in told("timeout(idle)")._repr_html_()
    assert told("truncated").summary().relay_outcome == Outcome("truncated")
    assert not any("relay" in name for name in rows(told("truncated")))
    assert not any("relay" in name for name in rows(Recording()))


def test_why_the_provider_ended_is_shown_where_it_said_so() -> None:
    assert rows(Recording(finish_reason="length"))["finish reason"] == "length"
    assert Recording(finish_reason="length").summary().finish_reason == "length"
    assert "finish reason" not in rows(Recording())
