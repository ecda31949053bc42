"""How a number of many streams is distributed: groups, and the sentence about them."""

from __future__ import annotations

import pytest

from streamkit.lab.findings import ecdf_finding
from streamkit.lab.findings.ecdf import groups_in
from streamkit.lab.sets import RecordingSet
from tests.lab.sets.streams import load, stream

FAST = [stream(9 * n, ttft=50, labels={"model": "a"}) for n in range(9)]
SLOW = [stream(9 * n, ttft=90, labels={"model": "b"}) for n in range(9)]


def test_what_sets_two_groups_apart_is_named() -> None:
    assert (
        ecdf_finding([*FAST, *SLOW], by="model")
        == "The p50 of the time to the first piece is 92 ms with model=b, and 52 ms with model=a"
    )


def test_sets_by_name_are_groups_too() -> None:
    told = ecdf_finding({"blocking": RecordingSet(SLOW), "async": RecordingSet(FAST)}, metric="ttft_sent")
    assert told == "The p50 of the time to the first piece is 90 ms with blocking, and 50 ms with async"


def test_groups_alike_are_said_to_be() -> None:
    assert ecdf_finding([*FAST, *SLOW], by="model", metric="gap") == "Both alike: gap p50 up to 20 ms, p99 up to 20 ms"


def test_of_one_group_there_is_half_and_the_tail() -> None:
    assert ecdf_finding(FAST) == "Half have a time to the first piece within 52 ms, the longest 52 ms"
    assert ecdf_finding(load(100)).endswith("; 99 % within 187 ms")
    assert ecdf_finding([stream(pieces=0)]) == "No time to the first piece to measure"


def test_from_due_only_where_all_of_all_groups_have_such_a_time() -> None:
    (all_due,) = groups_in(FAST, None, "ttft")
    (some,) = groups_in([*FAST, stream(None)], None, "ttft")
    assert (all_due.metric, some.metric) == ("ttft_due", "ttft_sent")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="expected metric out of ttft, ttft_due, ttft_sent, gap, duration, got 'p99'"):
        ecdf_finding(FAST, metric="p99")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got both: the mapping's names are the groups"):
        ecdf_finding({"a": RecordingSet(FAST)}, by="model")
    with pytest.raises(ValueError, match="expected the name of a label out of model, label"):
        ecdf_finding(FAST, by="prompt")
