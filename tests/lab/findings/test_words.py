"""How times, sizes, counts and names are said."""

from __future__ import annotations

import pytest

from streamkit.lab.findings.words import (
    about,
    are_apart,
    both,
    byte_size,
    capital,
    duration,
    enumerated,
    listed,
    lower,
    many,
    of,
    short,
)

MS = 1_000_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (0.0321, "0.032 ms"),
        (0.321, "0.32 ms"),
        (3.21, "3.2 ms"),
        (9.96, "10 ms"),
        (312.4, "312 ms"),
        (99_999, "99,999 ms"),
        (180_000, "180 s"),
    ],
)
def test_durations_are_in_ms_up_to_a_hundred_seconds(ms: float, text: str) -> None:
    assert duration(ms * MS) == text
    assert duration(ms * MS, unit=False) == text.split()[0]


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 ms"), (320_000, "0.32 ms"), (320 * MS, "320 ms"), (999_400_000, "999 ms"), (999_600_000, "1.0 s"),
     (7_412 * MS, "7.4 s"), (12_300 * MS, "12 s"), (4_000_000 * MS, "4,000 s")],
)  # fmt: skip
def test_times_are_told_in_two_digits_or_so(ns: int, text: str) -> None:
    assert about(ns) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3840, "3.8 kB"), (9_960, "10 kB"), (310_000, "310 kB"),
     (999_600, "1.0 MB"), (4_194_304, "4.2 MB"), (2 * 10**9, "2.0 GB"), (5 * 10**12, "5,000 GB")],
)  # fmt: skip
def test_sizes_are_told_in_two_digits_or_so(count: int, text: str) -> None:
    assert byte_size(count) == text


def test_two_times_are_apart_by_a_tenth_and_more_than_noise() -> None:
    assert are_apart(50 * MS, 60 * MS)
    assert not are_apart(50 * MS, 54 * MS)
    assert not are_apart(1 * MS, 4 * MS)


def test_counts_are_said_in_words() -> None:
    assert [both(total) for total in (2, 3)] == ["Both", "All 3"]
    assert [of(some, 3) for some in (1, 3)] == ["1 of 3", "All 3"]
    assert [many(count, "piece") for count in (0, 1, 1234)] == ["0 pieces", "1 piece", "1,234 pieces"]


def test_names_in_a_row_are_cut_short_or_told_in_full() -> None:
    assert [listed(list(names)) for names in ("a", "abc", "abcd")] == ["a", "a, b, c", "a, b, and 2 more"]
    assert [enumerated(names) for names in ("", "a", "ab", "abcd")] == ["", "a", "a and b", "a, b, c and d"]


def test_a_sentence_may_begin_or_go_on() -> None:
    assert (capital("the relay held"), lower("Half of them")) == ("The relay held", "half of them")
    assert (capital(""), lower("")) == ("", "")


def test_long_names_end_in_an_ellipsis() -> None:
    assert short("a name that is much too long") == "a name that is much too…"
    assert short("short", 5) == "short"
