"""The text that Prometheus reads, read by its own parser."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read

from streamkit.errors import ConfigError
from streamkit.outcome import Outcome
from streamkit.relay.counting import metrics as metrics_module
from streamkit.relay.counting.counts import Counts, State
from streamkit.relay.counting.metrics import Metrics
from streamkit.relay.counting.page import page
from streamkit.relay.log import StreamRecord

Samples = dict[tuple[str, ...], float]


def state(worker: str = "", live: int = 1) -> State:
    counts = Counts()
    counts.answered(StreamRecord("a", Outcome("complete"), format="text/plain", policy="pause"))
    for gap_ms in (3, 40, 40):
        counts.gaps.add(gap_ms * 1_000_000)
    held = {"streams_active": live, "producing": 0, "buffered_bytes": 5, "draining": 0}
    told = counts.state()
    del told["buffered_bytes"]
    return {**told, "held": held, "process": {"process_cpu_seconds_total": 1.5}, "worker": worker}


def samples(running: list[State], gone: list[State] | None = None) -> Samples:
    """By name and the values of the labels, these sorted by their names."""
    text, _ = page(running, gone or [], "")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in read(text.decode())
        for sample in family.samples
    }


def test_of_one_process_no_worker_is_named() -> None:
    found = samples([state()])
    assert found["streamkit_streams_active",] == 1
    assert found["streamkit_buffered_bytes",] == 5
    assert found["process_cpu_seconds_total",] == 1.5
    assert found["streamkit_streams_total", "", "text/plain", "complete", "pause"] == 1


def test_of_several_the_sums_are_of_all_and_what_each_holds_is_its_own() -> None:
    found = samples([state("0", 2), state("1", 3)], [state("1")])
    assert found["streamkit_streams_total", "", "text/plain", "complete", "pause"] == 3
    assert (found["streamkit_streams_active", "0"], found["streamkit_streams_active", "1"]) == (2, 3)
    assert found["process_cpu_seconds_total", "1"] == 1.5


def test_a_histogram_s_buckets_are_cumulative_and_in_seconds() -> None:
    found = samples([state()])
    bounds = [key[1] for key in found if key[0] == "streamkit_gap_seconds_bucket"]
    up_to = {bound: found["streamkit_gap_seconds_bucket", bound] for bound in ("0.0025", "0.005", "0.05", "+Inf")}
    assert up_to == {"0.0025": 0, "0.005": 1, "0.05": 3, "+Inf": 3}
    assert bounds[-1] == "+Inf"
    assert found["streamkit_gap_seconds_count",] == 3
    assert found["streamkit_gap_seconds_sum",] == pytest.approx(0.083)


def test_it_is_told_in_openmetrics_to_who_asks_for_it() -> None:
    text, media_type = page([state()], [], "application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert "streamkit_gap_seconds" in {family.name for family in read_open(text.decode())}  # type: ignore[no-untyped-call]  # Prometheus's


def test_where_its_client_is_missing_that_is_said_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'streamkit\[metrics\]'"):
        Metrics("", dict)
