"""OpenTelemetry: what its own in-memory exporters have of a recording."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import streamkit as sk
from streamkit.lab.exports import otel
from tests.lab.exports.examples import MS, recorded, with_all


def measured(one: Any, **given: Any) -> dict[str, Any]:
    """The only data point of each metric."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    otel.record(one, meter=provider.get_meter("test"), **given)
    data = reader.get_metrics_data()
    provider.shutdown()
    found = (
        {} if data is None else {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    )
    return {name: (metric.unit, *metric.data.data_points) for name, metric in found.items()}


def spans(one: Any, **given: Any) -> Any:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.record(one, tracer=provider.get_tracer("test"), **given)
    provider.shutdown()
    return exporter.get_finished_spans()


def test_the_three_histograms_have_the_names_units_and_boundaries_of_the_conventions() -> None:
    found = measured(with_all())
    assert list(found) == [
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
    ]
    for unit, point in found.values():
        assert (unit, point.explicit_bounds) == ("s", otel.BOUNDARIES_S)


def test_they_count_from_the_call_and_leave_no_gap_out() -> None:
    found = measured(with_all())
    sums = {name.rpartition(".")[2]: (point.count, round(point.sum, 9)) for name, (_, point) in found.items()}
    assert sums == {"duration": (1, 0.9), "time_to_first_chunk": (1, 0.02), "time_per_output_chunk": (4, 0.88)}


def test_chunks_of_one_read_have_no_gap_of_their_own() -> None:
    one = sk.Recording.from_pieces([(5 * MS, "a"), (9 * MS, "b"), (9 * MS, "c")], ended_ns=9 * MS)
    assert measured(one)[otel.TIME_PER_OUTPUT_CHUNK][1].count == 1


def test_the_attributes_are_those_of_the_conventions() -> None:
    _, point = measured(with_all(), model="gpt-x")[otel.TIME_TO_FIRST_CHUNK]
    assert dict(point.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "server.address": "127.0.0.1",
        "server.port": 8000,
    }


@pytest.mark.parametrize(
    ("preset", "provider"), [("gemini", "gcp.gemini"), ("anthropic", "anthropic"), ("xai", "x_ai"), (None, "_OTHER")]
)
def test_providers_have_the_names_that_the_conventions_give_them(preset: str | None, provider: str) -> None:
    _, point = measured(replace(with_all(), preset=preset))[otel.DURATION]
    assert point.attributes["gen_ai.provider.name"] == provider


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (sk.Outcome("refused", 429), "429"),
        (sk.Outcome("error_event", "overloaded_error"), "overloaded_error"),
        (sk.Outcome("timeout", "idle"), "timeout(idle)"),
        (sk.Outcome("truncated"), "truncated"),
        (sk.Outcome("complete"), None),
    ],
)
def test_how_it_failed_is_an_attribute_of_the_duration_and_of_the_span(outcome: sk.Outcome, error: str | None) -> None:
    one = replace(with_all(), outcome=outcome)
    found = measured(one)
    (span,) = spans(one)
    assert found[otel.DURATION][1].attributes.get("error.type") == error
    assert span.attributes.get("error.type") == error
    assert "error.type" not in found[otel.TIME_TO_FIRST_CHUNK][1].attributes
    assert span.status.is_ok == (error is None)


def test_a_stream_without_a_piece_has_its_duration_alone() -> None:
    assert list(measured(sk.Recording(ended_ns=5 * MS))) == [otel.DURATION]


def test_many_are_told_to_one_meter_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = measured([with_all(), with_all(), with_all()])
    assert found[otel.DURATION][1].count == 3
    assert caplog.records == []


def test_the_span_lies_where_the_stream_lay_with_its_moments_in_order() -> None:
    (span,) = spans(with_all())
    begun_ns = 1795939200_250 * MS
    assert (span.name, span.kind.name) == ("chat", "CLIENT")
    assert (span.start_time, span.end_time) == (begun_ns, begun_ns + 900 * MS)
    assert [(event.name, (event.timestamp - begun_ns) // MS) for event in span.events] == [
        ("streamkit.acquired", 1),
        ("streamkit.connected", 2),
        ("streamkit.tls", 4),
        ("streamkit.sent", 5),
        ("streamkit.head", 6),
        ("streamkit.first_chunk", 20),
        ("streamkit.stall", 110),
    ]
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == 0.02
    assert "Tea" not in span.to_json()


def test_a_label_named_model_is_the_model() -> None:
    (span,) = spans(recorded([(20, "a")], labels={"model": "m"}))
    assert span.name == "chat m"


def test_neither_a_meter_nor_a_tracer_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="expected meter=, tracer= or both"):
        otel.record(with_all())
