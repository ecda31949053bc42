"""An upload in one sentence: whom it waited for, and what lay between both ends."""

from __future__ import annotations

import pytest

from streamkit.lab import findings
from streamkit.lab.findings.upload import UNREAD_BYTES, slow_side, uploads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.sends import Sends
from tests.lab.plots.cases import UPLOADS, of_another_client, sent


@pytest.mark.parametrize(
    ("recording", "side"),
    [
        (sent(20, 1), "the iterator"),
        (sent(1, 30, window=1100), "the server"),
        (sent(1, 30, window=10), "the network"),
        (sent(1, 30), "the way"),
        (sent(1, 30, window=1200, unread=60_000), "the client"),
        (sent(1, 30, window=1200, unread=UNREAD_BYTES - 1), "the server"),
        (sent(20, 1, unread=60_000), "the iterator"),
        (sent(0.5, 0.5), "nobody"),
        (sent(count=1), "nobody"),
    ],
)
def test_whom_it_waited_for(recording: Recording, side: str) -> None:
    assert slow_side(uploads(recording)[0]) == side


def test_each_side_has_its_sentence_with_how_long_and_how_much() -> None:
    said = {name: findings.upload_finding(UPLOADS[name]) for name in UPLOADS}
    assert (
        said["iterator"] == "4.0 MB sent in 840 ms: what makes the bytes is slow (for 800 ms there was room for more)"
    )
    assert said["server"] == (
        "4.0 MB sent in 1,240 ms: the server, or a proxy before it, reads slowly (for 1,100 ms it had no room for more)"
        "; at most 3.0 MB were sent and not read"
    )
    assert said["nobody"] == "4.0 MB sent in 4.0 ms: nothing held it back"
    assert "it took no more, but the server had room" in said["network"]
    assert "the client does not read what comes back, and the server none of what is sent" in said["client"]
    assert said["way"].startswith("4.0 MB sent in 1,240 ms: the server, or the way to it, is slow")


def test_one_that_did_not_leave_whole_says_after_how_much_it_ended_and_how() -> None:
    assert findings.upload_finding(UPLOADS["refused"]) == (
        "Sending stopped after 4.0 MB, before all had left: refused(413)"
    )
    assert findings.upload_finding(UPLOADS["cut"]) == (
        "Sending stopped after 4.0 MB, before all had left: truncated; at most 1.5 MB were sent and not read"
    )


def test_what_is_not_known_is_not_said() -> None:
    facts = uploads(sent(1, 30))[0]
    assert (facts.read, facts.most, facts.window_ns, facts.unread_share) == (None, None, None, None)
    assert findings.upload_finding(Recording()).startswith("Nothing is known of an upload")


def test_all_times_count_from_when_the_connection_stood_so_that_waiting_for_the_first_byte_is_in_them() -> None:
    facts = uploads(Recording(sends=Sends([70, 90], [1, 1]), connected_ns=50, sent_ns=90, ended_ns=100))[0]
    assert (facts.origin_ns, facts.end_ns, facts.took_ns) == (50, 50, 40)
    assert facts.curves["client.sent"].at_ns.tolist() == [20, 40]
    assert facts.since == "the body could be sent"


def test_where_that_is_not_known_they_count_from_the_first_byte() -> None:
    facts = uploads(Recording(sends=Sends([70, 90], [1, 1]), sent_ns=90, ended_ns=100))[0]
    assert (facts.origin_ns, facts.end_ns, facts.took_ns) == (70, 30, 20)
    assert facts.since == "the body began to leave"


@pytest.mark.parametrize("name", ["iterator", "server", "nobody"])
def test_the_sentence_counts_from_the_zero_of_the_curves(name: str) -> None:
    facts = uploads(UPLOADS[name])[0]
    assert facts.took_ns == facts.curves["client.sent"].at_ns[-1]


@pytest.mark.parametrize(
    ("first_after", "came"),
    [
        (950, "; the first of 6 events came back after 1,050 ms"),
        (120, "; the first of 6 events came back after 220 ms"),
        (None, "; nothing came back"),
    ],
)
def test_of_what_another_client_sent_it_says_when_the_server_had_it_and_when_something_came_back(
    first_after: float | None, came: str
) -> None:
    recording = of_another_client(first_after)
    assert findings.upload_finding(recording) == f"40 kB read by the server in 1,000 ms{came}"
    facts = uploads(recording)[0]
    assert (facts.origin_ns, facts.since) == (0, "the request was made")
    assert facts.curves["server.read"].at_ns.tolist() == recording.taps["server.read"].at_ns.tolist()
