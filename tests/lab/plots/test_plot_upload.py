"""The figure of an upload: both staircases, what lay between them, and the answer's events above."""

from __future__ import annotations

import pytest

from tests.figures import key_of, labelled, steps_of, title_of
from tests.lab.plots.cases import drawn


def test_the_staircases_are_the_bytes_and_the_area_is_what_lay_between_them() -> None:
    ax = drawn("upload", "server")
    sent, read = (steps_of(ax, f"_{tap}") for tap in ("client.sent", "server.read"))
    assert (sent[0][0], max(sent[1]), max(read[1])) == (31, 4, 4)
    assert read[0][0] == 931
    assert len(labelled(ax, "_held")) == 1
    assert key_of(ax) == [
        "client.sent: 4.0 MB",
        "server.read: 4.0 MB",
        "sent and not read: at most 3.0 MB",
        "client.read: 8 events",
    ]


def test_where_they_run_on_each_other_the_one_below_stays_to_be_seen() -> None:
    ax = drawn("upload", "iterator")
    (sent,), (read,) = labelled(ax, "_client.sent"), labelled(ax, "_server.read")
    assert sent.get_linewidth() > 2 * read.get_linewidth()


@pytest.mark.parametrize("case", ["server", "iterator", "network"])
def test_title_and_axis_count_from_the_same_zero(case: str) -> None:
    ax = drawn("upload", case)
    took = f"{max(labelled(ax, '_client.sent')[0].get_xdata()[:-1]):,.0f}"
    assert f"sent in {took} ms: " in title_of(ax).replace("\n", " ")


def test_what_another_client_sent_counts_from_when_the_request_was_made() -> None:
    ax = drawn("upload", "another client's")
    assert ax.get_xlabel() == "ms since the request was made"
    assert ax.get_xlim()[0] == 0
    assert key_of(ax) == ["server.read: 40 kB", "client.read: 6 events"]
    assert drawn("upload", "iterator").get_xlabel() == "ms since the body could be sent"


def test_the_ticks_are_the_events_as_they_came() -> None:
    (ticks,) = labelled(drawn("upload", "another client's"), "_results")
    assert min(ticks.get_xdata()) == 1050
