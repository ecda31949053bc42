"""What the benchmark of many streams counts with. No speed is judged here."""

from __future__ import annotations

import os
import socket

from benchmarks.relay_load import Load, drive
from benchmarks.relay_upstream import Question
from benchmarks.streams import DESCRIPTORS_BESIDE, Start, cpu_ns, descriptors_missing, peak_rss_bytes


def test_where_descriptors_are_too_few_it_says_what_to_set() -> None:
    said = descriptors_missing(10_000, 20_000)
    assert "ulimit -n 20200" in said
    assert "LimitNOFILE=20200" in said


def test_where_they_suffice_it_says_nothing() -> None:
    assert descriptors_missing(10_000, 20_000 + DESCRIPTORS_BESIDE) == ""


def test_cpu_time_is_counted_finer_than_in_ticks() -> None:
    before_ns = cpu_ns(os.getpid())
    while (used_ns := cpu_ns(os.getpid()) - before_ns) <= 0:
        sum(range(1000))
    assert used_ns < 1e9


def test_the_peak_of_memory_is_that_of_the_process() -> None:
    assert peak_rss_bytes(os.getpid()) > 1_000_000


def test_a_round_counts_as_the_median_of_its_loads() -> None:
    start = Start()
    start.add(5.0, [Load(1, 1, ttft_ms=[each, 2 * each, 3 * each]) for each in (1.0, 9.0, 2.0)])
    assert (start.cpu_us, start.ttft_p50_ms, start.ttft_p95_ms) == ([5.0], [2.0], [4.0])


def test_a_relay_that_refuses_a_connection_is_said_to_have_done_so() -> None:
    with socket.socket() as nobody:  # bound, and not listened to
        nobody.bind(("127.0.0.1", 0))
        seen = drive(f"http://127.0.0.1:{nobody.getsockname()[1]}/", Question(1), streams=2, ramp_s=0, limit_s=5)
    assert (seen.complete, seen.errors) == (0, ["ConnectionRefusedError"] * 2)
