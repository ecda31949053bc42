"""The writes of a request's body: columns that lose no byte, however many they are."""

from __future__ import annotations

import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.recording import sends as module
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.sends import Send, Sends
from streamkit.taps import Tap

MS = 1_000_000


def test_they_are_a_sequence_of_writes() -> None:
    sends = Sends([10, 20], size=[3, 4], held_ns=[0, 5])
    assert list(sends) == [Send(10, 3, 0), Send(20, 4, 5)]
    assert (sends[1], sends[:1]) == (Send(20, 4, 5), [Send(10, 3, 0)])
    assert (sends.bytes, repr(sends)) == (7, "<Sends: 2 writes, 7 bytes>")
    assert sends == Sends([10, 20], [3, 4], [0, 5])
    assert sends != Sends([10, 20], [3, 4])


def test_columns_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="Sends columns of equal length"):
        Sends([1, 2], size=[3])
    with pytest.raises(ValueError, match="ascending order"):
        Recording(sends=Sends([2, 1], size=[3, 3]))


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 9), st.integers(0, 9)), max_size=100))
def test_of_many_writes_neighbours_are_told_as_one_and_nothing_is_lost(
    writes: list[tuple[int, int, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_SENDS", 8)
        sends, at_ns, upto = Sends(), 0, {}
        for gap_ns, size, held_ns in writes:
            at_ns += gap_ns
            sends.append(at_ns, size, held_ns)
            upto[at_ns] = sends.bytes
    assert len(sends) <= 8
    assert sends.bytes == sum(size for _, size, _ in writes)
    assert sum(sends.held_ns) == sum(held_ns for _, _, held_ns in writes)
    told = 0
    for one in sends:
        told += one.size
        assert told <= upto[one.at_ns], "nothing is said to have left before it had"
    if writes:
        assert sends.at_ns[-1] == at_ns


def test_times_count_from_the_first_byte_where_the_answer_came_before_the_last() -> None:
    sends = Sends([5, 9], size=[1, 1])
    assert Recording(sends=sends, sent_ns=9, head_ns=7).origin_ns == 5
    assert Recording(sends=sends, sent_ns=None, head_ns=7).origin_ns == 5
    assert Recording(sends=sends, sent_ns=9, head_ns=12).origin_ns == 9
    assert Recording(sent_ns=9, head_ns=7).origin_ns == 9, "what is no upload is sent at once"
    assert Recording().origin_ns == 0


def test_no_number_of_a_result_that_came_early_is_negative() -> None:
    recording = Recording.from_pieces(
        [(10 * MS, "{}\n"), (20 * MS, "{}\n")],
        sends=Sends([5 * MS, 30 * MS], size=[7, 8]),
        sent_ns=30 * MS,
        head_ns=9 * MS,
        ended_ns=31 * MS,
    )
    summary = recording.summary()
    assert (summary.ttft_ms, summary.duration_ms, summary.sent_bytes, summary.sent_whole) == (5.0, 26.0, 15, True)
    assert "times are from the first byte of the request's body" in summary.notes
    assert recording.to_pandas().t_ms.tolist() == [5.0, 15.0]
    assert dict(summary.rows())["bytes sent"] == "15"
    assert repr(recording) == "<Recording complete: 2 events, 6 characters, 15 bytes sent>"


def test_what_lay_between_both_ends_is_told_where_the_server_tells_what_it_read() -> None:
    sends = Sends([1, 2, 3], size=[10, 10, 10], held_ns=[0, MS, MS])
    taps = {"server.read": Tap([2, 4, 5], [0, 0, 0], [10, 20, 30])}
    recording = Recording(sends=sends, taps=taps, sent_ns=3, head_ns=9)
    assert list(recording.upload()) == ["client.sent", "server.read"]
    assert recording.upload()["server.read"].total == 30
    summary = recording.summary()
    assert (summary.unread_bytes, summary.held_ms, summary.hops) == (20, 2.0, ())
    assert dict(summary.rows())["bytes sent and not read"] == "at most 20"
    assert list(recording.curves()) == ["client.read", "client.event"], "of the answer's way it is no part"
    table = pd.DataFrame(recording.upload())
    assert list(table.columns) == ["tap", "t_ms", "bytes"]
    assert table.groupby("tap").bytes.max().to_dict() == {"client.sent": 30, "server.read": 30}
    assert Recording().upload() == {}
    assert pd.DataFrame(Recording().upload()).empty
