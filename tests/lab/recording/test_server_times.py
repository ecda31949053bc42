"""What a server tells of its own times: found by its shape, bounded, and never more than was seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics import Budget
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.server_times import before_first, server_times, server_timing

MS = 1_000_000

TIMES = {"time_to_first_token_ms": 85.2, "generation_time_ms": 1240.5, "queue_time_ms": 12.3, "mean_itl_ms": 9.1}
VLLM = {"choices": [], "usage": {"total_tokens": 170}, "metrics": TIMES}
LLAMA = {"choices": [], "timings": {"cache_n": 60, "prompt_n": 8, "prompt_ms": 43.237, "predicted_ms": 238.74}}
GROQ = {"choices": [], "x_groq": {"id": "r", "usage": {"queue_time": 0.0378, "prompt_time": 0.005, "total_time": 0.1}}}
OLLAMA = {
    "response": "",
    "done": True,
    "total_duration": 482007750,
    "load_duration": 52719542,
    "prompt_eval_count": 16,
    "prompt_eval_duration": 44457208,
    "eval_count": 51,
    "eval_duration": 384438167,
}


def answer(*data: object, ttft: float = 150, **fields: Any) -> Recording:
    """A piece after so many ms, and then these events without one."""
    at = [round((ttft + n) * MS) for n in range(len(data) + 1)]
    texts = ["Hi", *([""] * len(data))]
    bodies = ["{}", *(one if isinstance(one, str) else json.dumps(one) for one in data)]
    reads, events = Reads(at, size=[9] * len(at)), Events(at, text=texts, data=bodies)
    return Recording(reads=reads, events=events, sent_ns=0, **fields)


def told(recording: Recording) -> dict[str, float]:
    return {time.name: time.ns / MS for time in server_times(recording)}


def budget(recording: Recording) -> Budget:
    found = recording.budget()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (VLLM, {"queue": 12.3, "prefill": 85.2, "decode": 1240.5}),
        (LLAMA, {"prefill": 43.237, "decode": 238.74}),
        (GROQ, {"queue": 37.8, "prefill": 5.0, "total": 100.0}),
        ({"usage": {"queue_time": 0.5, "prompt_tokens": 9}}, {"queue": 500.0}),
        (OLLAMA, {"load": 52.719542, "prefill": 44.457208, "decode": 384.438167, "total": 482.00775}),
    ],
)
def test_each_provider_s_shape_is_read(last: object, expected: dict[str, float]) -> None:
    assert told(answer(last)) == expected
    assert told(answer(last, "[DONE]")) == expected


def test_a_header_has_them_by_its_own_names() -> None:
    header = 'cache;desc="Cache, read;dur=9";dur=23.2, miss, db;DUR="53" ;dur=7, cpu;dur=x, "odd", app ; dur = 1e1'
    assert [(time.name, time.ns / MS) for time in server_timing(header)] == [("cache", 23.2), ("db", 53), ("app", 10)]
    assert told(answer(headers={"server-timing": "db;dur=2"})) == {"db": 2}


@pytest.mark.parametrize("value", [-1, True, "12", None, [], float("inf"), 1e12])
def test_what_is_no_time_is_left_out(value: object) -> None:
    assert told(answer({"metrics": {"queue_time_ms": value}})) == {}


def test_a_header_s_number_is_one_too() -> None:
    assert server_timing("a;dur=-1, b;dur=nan, c;dur=inf, d;dur=1e12, e;dur, f;dur=") == ()


@pytest.mark.parametrize(
    "data", ['"queue_time_ms"', '["queue_time_ms"]', '{"metrics": ["queue_time_ms"]}', '{"queue_time_ms"']
)
def test_what_has_another_shape_is_passed_over(data: str) -> None:
    assert told(answer(data)) == {}


def test_what_a_server_says_is_bounded() -> None:
    assert told(answer({**VLLM, "context": "x" * (1 << 20)})) == {}
    assert len(server_timing(",".join(f"m{n};dur=1" for n in range(5000)))) == 32
    assert len(server_timing(f"{'n' * 500};dur=1")[0].name) == 60
    assert told(answer(VLLM, *["{}"] * 4)) == {}


@given(st.text(max_size=60))
def test_any_header_is_read_without_a_fault(header: str) -> None:
    server_timing(header)


def test_the_budget_takes_its_parts_out_of_what_was_unexplained() -> None:
    found = budget(answer(VLLM))
    queue, prefill, *_ = found.parts
    assert (queue.name, queue.ns, prefill.name, prefill.ns) == (
        *("server: queue", 12_300_000),
        *("server: prefill", 85_200_000),
    )
    assert found.rest.ns == 150 * MS - 97_500_000
    assert found.sum_ns + found.rest.ns == found.total.ns
    assert "server: queue" in str(found)


def test_more_than_was_seen_is_not_believed_and_said_to_be_so() -> None:
    recording = answer(VLLM, ttft=90)
    found = budget(recording)
    assert found.rest.ns == 90 * MS
    assert found.note == "the server reports 97.500 ms before its first token: more than is unexplained, left out"
    assert str(found).endswith(f"* {found.note}")
    assert "more than the first piece took" in recording.summary().notes[-1]


def test_of_a_header_only_the_longest_counts_as_they_may_lie_in_one_another() -> None:
    recording = answer(headers={"server-timing": "db;dur=20, total;dur=80, cpu;dur=30"})
    assert [part.name for part in budget(recording).parts[:1]] == ["server: total"]
    both = before_first(server_times(answer(VLLM, headers=recording.headers)))
    assert [time.name for time in both] == ["queue", "prefill"]


def test_the_summary_shows_them_and_only_where_there_are_any() -> None:
    assert answer(VLLM).summary().server_ms == {"queue": 12.3, "prefill": 85.2, "decode": 1240.5}
    assert "server: queue, as it reports" in str(answer(VLLM).summary())
    assert answer().summary().server_ms == {}
    assert "server" not in str(answer().summary())
