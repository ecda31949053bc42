"""What a policy cost and gave: exact numbers and sentences for made-up recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.findings.policies import compared, policies_finding, policy_facts
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import NOT_KNOWN, Gauge

MS = 1_000_000
DUE = [100 + 10 * i for i in range(600)]


def tap(at_ms: Sequence[float]) -> Tap:
    return Tap([round(at * MS) for at in at_ms], range(1, len(at_ms) + 1), range(10, 10 * len(at_ms) + 1, 10))


def way(
    taps: Mapping[str, Sequence[float]],
    client: Sequence[float],
    numbers: Sequence[int] | None = None,
    outcome: str = "complete",
    ended_ms: float = 0,
    counts: Mapping[str, int] | None = None,
    gauges: Mapping[str, Gauge] | None = None,
) -> Recording:
    """One piece of ten bytes at each of these times, tap by tap, in ms; the reader gets those of these `numbers`, and
    is told how many were left out before each.
    """
    at_ns = [round(at * MS) for at in client]
    reads = sorted(set(at_ns))
    return Recording(
        reads=Reads(reads, size=[99] * len(reads)),
        events=Events(at_ns, text=["ten bytes."] * len(at_ns), data=None if numbers is None else told(numbers)),
        taps={name: tap(times) for name, times in taps.items()},
        counts=counts or {},
        gauges=gauges or {},
        outcome=Outcome.parse(outcome),
        sent_ns=0,
        ended_ns=round(max([ended_ms, *client]) * MS),
    )


def told(numbers: Sequence[int]) -> list[str]:
    """The relay's own events."""
    before = [0, *numbers]
    return [f'{{"text":"ten bytes.","dropped":{n - b - 1}}}' for b, n in zip(before, numbers, strict=False)]


def late(by_ms: float, times: Sequence[float] = DUE) -> list[float]:
    """The further it goes, the later, at the end by so much."""
    return [at + by_ms * i / (len(times) - 1) for i, at in enumerate(times)]


def pending(*size: int) -> Mapping[str, Gauge]:
    return {"relay.pending": Gauge([20 * MS * i for i in range(len(size))], size)}


SLOW = late(7400)
PAUSE = way({"upstream.due": DUE, "upstream.sent": SLOW, "relay.event": SLOW}, SLOW, gauges=pending(0, 400, 0))
KEPT = way({"upstream.due": DUE, "upstream.sent": DUE, "relay.event": DUE}, SLOW, gauges=pending(0, 310_000, 0))
EVERY_THIRD = range(3, 601, 3)
LATEST = way(
    {"upstream.due": DUE, "upstream.sent": DUE, "relay.event": DUE},
    [max(DUE[n - 1] + 5, DUE[98] + 300 if n >= 99 else 0) for n in EVERY_THIRD if n != 102],
    [n for n in EVERY_THIRD if n != 102],
    counts={"relay.dropped_pieces": 401},
    gauges=pending(500),
)
CUT = way(
    {"upstream.due": DUE, "upstream.sent": DUE[:150], "relay.event": DUE[:140]},
    DUE[:120],
    range(1, 121),
    "truncated",
    2100,
    counts={"relay.dropped_pieces": 0, "relay.held_ns": 400 * MS},
)
ALONE = way({}, DUE, range(1, 601))
REFUSED = way({}, [], outcome="refused(415)", ended_ms=12)


# --- The numbers ----------------------------------------------------------------------------------------------------


def test_a_stream_that_came_whole_lost_nothing() -> None:
    found = policy_facts(PAUSE)
    assert (found.total, found.offered, found.received, found.not_delivered, found.lost) == (600, 600, 600, 0, 0)
    assert found.text_share == 1
    assert found.finished_ns == round(SLOW[-1] * MS)


def test_what_was_dropped_and_what_never_came_are_told_apart() -> None:
    assert (policy_facts(LATEST).dropped, policy_facts(LATEST).not_delivered) == (401, 0)
    assert (policy_facts(CUT).dropped, policy_facts(CUT).not_delivered, policy_facts(CUT).lost) == (0, 480, 480)
    assert policy_facts(CUT).offered == 140
    assert policy_facts(CUT).text_share == 0.2


def test_where_nothing_is_known_nothing_is_claimed() -> None:
    found = policy_facts(ALONE)
    assert found.received == 600
    unknown = (found.total, found.dropped, found.not_delivered, found.lost, found.text_share, found.held_ns)
    assert set(unknown) == {None}
    assert (found.peak_relay_bytes, found.peak_kernel_bytes, found.age_max_ns) == (None, None, None)
    assert policy_facts(replace(ALONE, ended_ns=None)).finished_ns is None


def test_time_counts_from_the_request() -> None:
    assert policy_facts(replace(ALONE, sent_ns=50 * MS)).finished_ns == round((DUE[-1] - 50) * MS)


def test_the_upstream_is_held_for_as_long_as_its_last_piece_is_late() -> None:
    assert policy_facts(PAUSE).upstream_held_ns == 7400 * MS
    assert policy_facts(KEPT).upstream_held_ns == 0


def test_what_the_upstream_was_late_by_itself_nobody_held() -> None:
    late = replace(PAUSE, counts={**PAUSE.counts, "upstream.own_late_p95_ns": 400 * MS})
    assert policy_facts(late).upstream_held_ns == 7000 * MS


def test_an_upstream_that_did_not_finish_is_held_until_the_end() -> None:
    """Piece 151 had been due at 1,600 ms."""
    assert policy_facts(CUT).upstream_held_ns == 500 * MS
    assert policy_facts(CUT).relay_held_ns == 400 * MS


def test_what_is_not_due_yet_is_not_held() -> None:
    left = way({"upstream.due": DUE, "upstream.sent": DUE[:50]}, DUE[:50], outcome="cancelled", ended_ms=594)
    assert policy_facts(left).upstream_held_ns == 0


def test_without_the_upstreams_taps_the_relays_own_count_is_told() -> None:
    found = policy_facts(way({"relay.event": DUE}, SLOW, counts={"relay.held_ns": 5}))
    assert (found.upstream_held_ns, found.held_ns) == (None, 5)


def test_memory_is_what_lay_in_all_of_the_relays_queues_at_one_time() -> None:
    gauges = {
        "relay.inbox": Gauge([0, 10, 20], [100, 0, 0]),
        "relay.pending": Gauge([0, 10, 20], [0, 70, NOT_KNOWN]),
        "relay.buffer": Gauge([0, 15, 20], [0, 60, 60]),
        "relay.unsent": Gauge([0, 10, 20], [5, 9, 9]),
        "client.unread": Gauge([5, 15, 25], [1, 4, 2]),
        "relay.rss": Gauge([0], [10**9]),
    }
    found = policy_facts(way({}, DUE, gauges=gauges))
    assert (found.peak_relay_bytes, found.peak_kernel_bytes) == (130, 13)


def test_a_peak_between_two_samples_is_known_by_the_relays_count() -> None:
    counts = {"relay.peak_pending_bytes": 900}
    assert policy_facts(way({}, DUE, counts=counts, gauges=pending(0, 400))).peak_relay_bytes == 900
    assert policy_facts(way({}, DUE, counts=counts)).peak_relay_bytes == 900


def test_a_gauge_that_says_nothing_is_not_0() -> None:
    assert policy_facts(way({}, DUE, gauges=pending(NOT_KNOWN, NOT_KNOWN))).peak_relay_bytes is None


def test_pieces_are_matched_by_their_numbers() -> None:
    found = policy_facts(LATEST)
    assert found.numbers == tuple(n for n in EVERY_THIRD if n != 102)
    assert (found.age_p50_ns, found.age_max_ns) == (5 * MS, 300 * MS)


def test_where_nothing_was_left_out_the_first_that_came_is_the_first() -> None:
    whole = way({"upstream.sent": DUE}, [at + 7 for at in DUE])
    assert (policy_facts(whole).age_p50_ns, policy_facts(whole).age_max_ns) == (7 * MS, 7 * MS)


def test_without_event_borders_pieces_are_found_by_bytes() -> None:
    """Two reads, the second of which brought two pieces and a half."""
    plain = Recording(
        events=Events([20 * MS, 50 * MS], text=["x" * 10, "x" * 25], event=["", ""], size=[10, 25]),
        reads=Reads([20 * MS, 50 * MS]),
        taps={"upstream.sent": tap([10, 20, 30, 40])},
        outcome=Outcome("truncated"),
    )
    assert (policy_facts(plain).numbers, policy_facts(plain).not_delivered) == ((1, 2, 3), 1)
    assert (policy_facts(plain).age_p50_ns, policy_facts(plain).age_max_ns) == (20 * MS, 30 * MS)


def test_where_events_do_not_tell_what_was_left_out_no_age_is_claimed() -> None:
    found = policy_facts(replace(LATEST, events=Events(LATEST.events.at_ns, text=LATEST.events.text)))
    assert (found.received, found.lost) == (199, 401)
    assert (found.numbers, found.age_p50_ns, found.age_max_ns) == (None, None, None)


def test_age_counts_from_the_first_moment_that_is_known() -> None:
    late_upstream = {"upstream.due": [10], "upstream.sent": [15], "relay.event": [17]}
    for name, age_ms in (("upstream.due", 10), ("upstream.sent", 5), ("relay.event", 3)):
        assert policy_facts(way(late_upstream, [20])).age_max_ns == age_ms * MS
        del late_upstream[name]


@given(
    st.lists(st.booleans(), min_size=1, max_size=60), st.integers(min_value=0, max_value=500), st.integers(0, 10)
)  # which pieces come, how late, and how many of the rest were never sent
def test_received_dropped_and_not_delivered_add_up(came: list[bool], late_ms: int, unsent: int) -> None:
    numbers = [n for n, comes in enumerate(came, 1) if comes]
    due = [10.0 * n for n in range(1, len(came) + unsent + 1)]
    recording = way(
        {"upstream.due": due, "upstream.sent": due[: len(came)]},
        [due[n - 1] + late_ms for n in numbers],
        numbers,
        counts={"relay.dropped_pieces": len(came) - len(numbers)},
    )
    found = policy_facts(recording)
    assert found.received + (found.dropped or 0) + (found.not_delivered or 0) == found.total == len(due)
    assert found.not_delivered == unsent
    if came[-1]:  # with `latest` the last state always comes
        assert found.age_p50_ns == found.age_max_ns == late_ms * MS
        assert found.numbers == tuple(numbers)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-1, 900)), max_size=20))
def test_the_peak_is_one_that_was_there(samples: list[tuple[int, int]]) -> None:
    samples.sort()
    gauge = Gauge([at for at, _ in samples], [value for _, value in samples])
    peak = policy_facts(way({}, DUE[:1], gauges={"relay.pending": gauge})).peak_relay_bytes
    assert peak == (max(max(v, 0) for _, v in samples) if gauge.known else None)


def test_only_recordings_have_facts() -> None:
    with pytest.raises(TypeError, match=r"expected a Recording, .*got str"):
        policy_facts("latest")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="got none"):
        compared([])


def test_names_are_the_mappings_keys_or_labels() -> None:
    assert [one.name for one in compared({"pause": PAUSE, "latest": LATEST})] == ["pause", "latest"]
    assert [one.name for one in compared(iter([replace(PAUSE, label="mine"), LATEST]))] == ["mine", "recording 2"]


# --- The sentence ---------------------------------------------------------------------------------------------------


DROPS = "latest drops 401 of 600 pieces and is never more than 300 ms old"
CUTS = "disconnect(0.5 s) is cut after 2.1 s"
FOUR = {"pause": PAUSE, "buffer(1 MiB)": KEPT, "latest": LATEST, "disconnect(0.5 s)": CUT}


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        (
            FOUR,
            f"pause holds the upstream (7.4 s); buffer(1 MiB) frees it for 310 kB of memory; {DROPS}; {CUTS}",
        ),
        (
            {"pause": PAUSE, "buffer": KEPT},
            "Only pause holds the upstream (7.4 s); buffer frees it for 310 kB of memory",
        ),
        ({"pause": PAUSE, "alone": ALONE}, "pause holds the upstream (7.4 s)"),
        ({"pause": PAUSE, "slow": PAUSE}, "pause and slow hold the upstream (7.4 s and 7.4 s)"),
        ([PAUSE, PAUSE, PAUSE], "All 3 hold the upstream, recording 1 longest (7.4 s)"),
        (
            {"pause": PAUSE, "b": PAUSE, "c": PAUSE, "d": PAUSE, "latest": LATEST},
            f"pause, b and 2 more hold the upstream, pause longest (7.4 s); {DROPS}",
        ),
        (
            {"buffer": KEPT, "coalesce": KEPT, "pause": PAUSE},
            "Only pause holds the upstream (7.4 s); buffer and coalesce free it for 310 kB of memory",
        ),
        ({"a": LATEST, "b": LATEST}, "No policy holds the upstream; a and b drop 401 of 600 and 401 of 600 pieces"),
        (
            {"a": LATEST, "b": LATEST, "c": LATEST},
            "No policy holds the upstream; a, b and c drop pieces, a most (401)",
        ),
        ({"a": KEPT, "b": replace(KEPT, gauges=pending(9))}, "No policy holds the upstream; a keeps most, 310 kB"),
        (
            [replace(KEPT, gauges={"relay.unsent": Gauge([0], [240_000])})] * 2,
            "No policy holds the upstream; the kernel alone takes up to 240 kB",
        ),
        ({"a": KEPT, "b": ALONE}, "No policy is known to hold the upstream"),
        (PAUSE, "The stream holds the upstream (7.4 s)"),
        (KEPT, "The upstream is not held"),
        ({"disconnect(0.5 s)": CUT}, CUTS),
        ({"pause": PAUSE, "latest": REFUSED}, "pause holds the upstream (7.4 s); latest is refused (415)"),
        (
            {"a": CUT, "b": CUT, "c": CUT, "d": replace(CUT, outcome=Outcome("cancelled", "max_events"))},
            "a is cut after 2.1 s, b is cut after 2.1 s and 2 more do not complete",
        ),
        ({"a": replace(CUT, outcome=Outcome("cancelled"))}, "a is stopped after 2.1 s"),
        ({"a": ALONE, "b": ALONE}, "Both alike: first piece after 100 ms, then one every 10 ms"),
        (Recording(), "Not one piece in 0 ms: complete"),
    ],
)  # fmt: skip
def test_the_title_states_what_sets_the_policies_apart(recordings: object, sentence: str) -> None:
    assert policies_finding(recordings) == sentence  # type: ignore[arg-type]  # all of what `Recordings` is


def labelled(name: str, *recordings: Recording) -> list[Recording]:
    return [replace(recording, label=name) for recording in recordings]


def test_of_more_than_eight_recordings_the_middle_one_of_each_name_stands_for_the_others() -> None:
    """It took the middle time of those that ended as most did."""
    slow = [replace(PAUSE, ended_ns=(PAUSE.ended_ns or 0) + n * MS) for n in (4, 0, 2, 3, 1)]
    first, second = compared([*labelled("pause", *slow, CUT), *labelled("latest", *[LATEST] * 5)])
    assert (first.name, len(first.group), first.failed) == ("pause (6)", 6, 1)
    assert first.facts.finished_ns == policy_facts(slow[2]).finished_ns
    assert (second.name, len(second.group), second.failed) == ("latest (5)", 5, 0)


def test_the_title_is_about_the_middle_ones_but_none_that_did_not_complete_is_hidden() -> None:
    shown = [*labelled("pause", *[PAUSE] * 4, CUT), *labelled("latest", *[CUT] * 3, LATEST, LATEST)]
    assert policies_finding(shown) == (
        "pause (5) holds the upstream (7.4 s); 1 of pause (5) does not complete and 3 of latest (5) do not complete"
    )


def test_more_than_eight_policies_are_no_group() -> None:
    assert len(compared({f"policy {n}": REFUSED for n in range(8)})) == 8
    with pytest.raises(ValueError, match=r"at most 8 policies, got 9 recordings of 9 names: draw some of them"):
        compared({f"policy {n}": REFUSED for n in range(9)})


def test_noise_is_not_a_hold() -> None:
    jittery = way({"upstream.due": DUE, "upstream.sent": late(90)}, late(91))
    assert policies_finding(jittery) == "The upstream is not held"
    beside = way({"upstream.due": DUE, "upstream.sent": late(200)}, late(201))
    assert policies_finding({"pause": PAUSE, "other": beside}) == "Only pause holds the upstream (7.4 s)"


def test_a_long_title_says_less_of_each_before_it_leaves_one_out() -> None:
    long = "which a reader of titles need not know"
    named = {f"{name.partition('(')[0]}({long})": recording for name, recording in FOUR.items()}
    assert policies_finding(named) == (
        "pause holds the upstream (7.4 s); buffer frees it for 310 kB of memory; "
        f"{DROPS}; disconnect is cut after 2.1 s"
    )


@given(
    st.dictionaries(
        st.text(max_size=60), st.sampled_from([PAUSE, KEPT, LATEST, CUT, ALONE, REFUSED]), min_size=1, max_size=8
    )
)
def test_whatever_is_compared_the_title_is_one_that_fits(recordings: dict[str, Recording]) -> None:
    assert 0 < len(policies_finding(recordings)) <= 240
