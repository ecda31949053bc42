"""What is counted, as Prometheus reads it: the text of `GET /metrics`, by Prometheus's own client.

    page([mine, *others], gone, accept)      # → bytes, their media type

Counters and histograms are those of all workers, also of those that have ended; what a worker holds now has its
number as a label, `worker`, where there are several. Names follow Prometheus's conventions: base units, `_total`, the
prefix `streamkit_`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from streamkit._version import __version__
from streamkit.relay.counting.counts import BOUNDS_S, State, added

__all__ = ["page", "process_values"]

NANO: Final = 1e-9
HELD: Final = {
    "streams_active": "Answers that are running",
    "producing": "Streams read from the upstream for clients that may come back, whoever reads them",
    "buffered_bytes": "Output that waits for clients in this process: by policy, and in connections' buffers",
    "draining": "1 where it is about to stop",
}
SUMS: Final = {
    "held_ns": ("streamkit_held_seconds", "For how long sources had to wait for slow clients", NANO),
    "sent_bytes": ("streamkit_sent_bytes", "Bytes of answers that were handed to connections", 1),
    "pieces": ("streamkit_pieces", "Pieces that were handed to connections, or wait to be", 1),
    "dropped_pieces": ("streamkit_dropped_pieces", "Pieces that a policy, or a newer state, left out", 1),
}
ROWS: Final = {
    "answered": (
        "streamkit_streams",
        "Answers that have ended, one way or another",
        ("outcome", "code", "format", "policy"),
    ),
    "produced": (
        "streamkit_produced_streams",
        "Streams kept for those who come back, by how the upstream's answer ended",
        ("outcome", "code"),
    ),
    "resumed": ("streamkit_resumes", "Answers that went on with a stream, or should have", ("outcome", "code")),
}
TIMES: Final = {
    "first_piece": ("streamkit_first_piece_seconds", "From a request's head to the first piece of its answer"),
    "gap": ("streamkit_gap_seconds", "Between two writes of pieces, of one answer"),
    "source_close": (
        "streamkit_source_close_seconds",
        "From a client's leaving until what was done for it has ended, its upstream connection too",
    ),
}


def process_values() -> dict[str, float]:
    """What Prometheus's client knows of this process; nothing where there is no /proc."""
    return {
        sample.name: sample.value for metric in ProcessCollector(registry=None).collect() for sample in metric.samples
    }


def page(running: Sequence[State], gone: Sequence[State], accept: str) -> tuple[bytes, str]:
    """The text for a reader that accepts this, and its media type. `running` are the states of processes that run, each
    with what it holds now (`held`), its `process` values and the number of its `worker` ("" where it is alone).
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(running, gone))
    encoder, media_type = choose_encoder(accept)
    return encoder(registry), media_type


class _Page(Collector):
    def __init__(self, running: Sequence[State], gone: Sequence[State]) -> None:
        self._running = running
        self._total = added([*running, *gone])

    def describe(self) -> list[Metric]:
        """Nothing: what there is is known when it is collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("streamkit_build_info", "1; the version is its label", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._held()
        for name, (metric, text, unit) in SUMS.items():
            yield CounterMetricFamily(metric, text, value=self._total["sums"][name] * unit)
        for name, (metric, text, labels) in ROWS.items():
            rows = CounterMetricFamily(metric, text, labels=labels)
            for *values, number in sorted(self._total[name]):
                rows.add_metric(values, number)
            yield rows
        for name, (metric, text) in TIMES.items():
            yield _histogram(metric, text, BOUNDS_S[name], self._total["times"][name])
        yield from self._processes()

    def _held(self) -> Iterator[Metric]:
        for name, text in HELD.items():
            gauge = self._of_workers(GaugeMetricFamily, f"streamkit_{name}", text)
            for state in self._running:
                gauge.add_metric(_worker(state), state["held"][name])
            yield gauge

    def _processes(self) -> Iterator[Metric]:
        for metric in ProcessCollector(registry=None).collect():
            kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            family = self._of_workers(kind, metric.name, metric.documentation)
            for state in self._running:
                if (value := state["process"].get(metric.samples[0].name)) is not None:
                    family.add_metric(_worker(state), value)
            yield family

    def _of_workers(self, kind: Any, name: str, text: str) -> Any:
        return kind(name, text, labels=["worker"] if any(state["worker"] for state in self._running) else [])


def _worker(state: State) -> list[str]:
    return [state["worker"]] if state["worker"] else []


def _histogram(name: str, text: str, bounds_s: Sequence[float], times: State) -> Metric:
    up_to = [*map(floatToGoString, bounds_s), "+Inf"]
    buckets = list(zip(up_to, accumulate(times["counts"]), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times["sum_ns"] * NANO)
