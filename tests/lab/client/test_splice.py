"""How the answers to several requests become one stream: by the ids of their events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client.splice import Splice
from streamkit.lab.recording.recorded import Events
from streamkit.parser import ServerSentEvent


def of(*rows: tuple[str, str], texts: bool = True) -> Events:
    """Events by (id, data); their text is their data."""
    ids, data = [id_ for id_, _ in rows], [data for _, data in rows]
    return Events(range(len(rows)), id=ids, data=data, text=data if texts else [""] * len(rows))


def spliced(events: Events, last_id: str, *more: tuple[str, str], stream: str = "", live: str = "") -> Splice:
    splice = Splice(events)
    splice.head(stream)
    splice.cut("sse", last_id)
    splice.head(stream, live)
    new = splice.new(ServerSentEvent(data=data, id=id_) for id_, data in more)
    splice.came = [event.data for event in new]  # type: ignore[attr-defined]  # for these tests
    return splice


def came(splice: Splice) -> list[str]:
    found: list[str] = splice.came  # type: ignore[attr-defined]  # see above
    return found


class TestWhereToGoOn:
    def test_behind_the_last_id_of_the_parser(self) -> None:
        assert Splice(of(("1", "a"), ("2", "b"))).cut("sse", "2") == ("2", "")

    def test_an_id_without_an_event_is_one_too(self) -> None:
        assert Splice(of(("1", "a"))).cut("sse", "9") == ("9", "")

    def test_behind_the_last_one_that_there_was_where_an_answer_brought_none(self) -> None:
        splice = Splice(of(("1", "a"), ("2", "b")))
        assert [splice.cut("sse", "2"), splice.cut("sse", "")] == [("2", "")] * 2

    def test_nowhere_without_ids(self) -> None:
        assert Splice(of(("", "a"))).cut("sse", "") == ("", "")

    def test_pieces_without_an_id_behind_the_last_one_cannot_be_told_apart(self) -> None:
        last, stuck = Splice(of(("1", "a"), ("1", "b"))).cut("sse", "1")
        assert (last, "no id of their own" in stuck) == ("1", True)

    def test_events_without_text_do_not_matter_there(self) -> None:
        assert Splice(of(("1", "a"), ("1", "ping"), texts=False)).cut("sse", "1") == ("1", "")

    @pytest.mark.parametrize(
        ("line", "last"), [('{"id": "s.2"}', "s.2"), ('{"id": 2}', "2"), ('{"id": [2]}', "s.1"), ('"id" no', "s.1")]
    )
    def test_a_line_of_ndjson_has_its_id_in_it(self, line: str, last: str) -> None:
        events = of(("", '{"id": "s.1"}'), ("", line), texts=False)
        assert Splice(events).cut("ndjson", "") == (last, "")


class TestWhatIsNew:
    def test_what_had_come_is_dropped_and_counted(self) -> None:
        splice = spliced(of(("1", "a"), ("2", "b")), "2", ("2", "b"), ("3", "c"))
        assert (came(splice), splice.dropped) == (["c"], 1)
        assert splice.notes() == ["events that came once more after a cut, and were dropped: 1"]

    def test_the_whole_from_its_beginning_is_too(self) -> None:
        splice = spliced(of(("1", "a"), ("2", "b")), "2", ("1", "a"), ("2", "b"), ("3", "c"))
        assert came(splice) == ["c"]

    def test_the_same_id_with_other_data_is_another_answer_of_which_nothing_is_taken(self) -> None:
        splice = spliced(of(("1", "a"), ("2", "b")), "2", ("1", "x"), ("2", "y"), ("3", "z"))
        assert (came(splice), splice.differs) == ([], True)

    def test_events_without_an_id_of_their_own_come_again_in_their_order(self) -> None:
        splice = spliced(of(("1", "a"), ("1", "a"), ("2", "b")), "2", ("1", "a"), ("1", "a"), ("1", "a"), ("2", "b"))
        assert (came(splice), splice.dropped) == (["a"], 3)

    def test_events_without_any_id_are_new(self) -> None:
        assert came(spliced(of(("1", "a")), "1", ("", "a"))) == ["a"]


class TestNumbersOfARelay:
    def test_what_is_missing_between_two_of_them_is_known(self) -> None:
        assert spliced(of(("s.1", "a")), "s.1", ("s.2", "b"), stream="s").lost == 0
        assert spliced(of(("s.1", "a")), "s.1", ("s.4", "d"), ("s.5", "e"), stream="s").lost == 2

    def test_numbers_of_others_may_leave_gaps(self) -> None:
        assert spliced(of(("1", "a")), "1", ("9", "b")).lost == 0
        assert spliced(of(("x.1", "a")), "x.1", ("x.9", "b"), stream="s").lost == 0

    def test_those_up_to_its_live_one_are_replayed(self) -> None:
        more = (("s.2", "b"), ("s.3", "c"), ("s.4", "d"))
        splice = spliced(of(("s.1", "a")), "s.1", *more, stream="s", live="3")
        assert (splice.replayed, splice.told) == (2, True)

    @pytest.mark.parametrize("live", ["", "x", "-1", "٣", "9" * 40])
    def test_without_that_word_it_is_not_told(self, live: str) -> None:
        assert not spliced(of(("s.1", "a")), "s.1", ("s.2", "b"), stream="s", live=live).told


@given(
    texts=st.lists(st.text(max_size=3), min_size=1, max_size=12),
    cuts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5),
)
def test_wherever_it_is_cut_and_however_much_comes_again_all_of_it_comes_once(
    texts: list[str], cuts: list[tuple[int, int]]
) -> None:
    """Each answer brings so many events, and the next one begins so many before the id it was told."""
    sent = [ServerSentEvent(data=text, id=f"s.{number}") for number, text in enumerate(texts, 1)]
    events, begin = Events(), 0
    splice = Splice(events)
    splice.head("s")
    for brought, overlap in [*cuts, (len(sent), 0)]:
        for event in splice.new(sent[begin : begin + brought]):
            events.append(event, at_ns=0, handed_ns=0, read=0, text=event.data, reasoning="", size=0)
        last, stuck = splice.cut("sse", events.id[-1] if events else "")
        assert not stuck
        begin = max(0, (int(last.rpartition(".")[2]) if last else 0) - overlap)
    for event in splice.new(sent[begin:]):
        events.append(event, at_ns=0, handed_ns=0, read=0, text=event.data, reasoning="", size=0)
    assert (events.data, splice.lost, splice.differs) == (texts, 0, False)
