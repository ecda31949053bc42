"""Recordings for OpenTelemetry, under the names of its conventions for generative AI (extra `otel`).

    gen_ai.client.operation.duration                histogram, s   from the call to the end of the stream
    gen_ai.client.operation.time_to_first_chunk     histogram, s   from the call to the first chunk
    gen_ai.client.operation.time_per_output_chunk   histogram, s   each gap between chunks
    a span, "chat {model}", of kind CLIENT                         with an event for each moment that is known

A chunk is an event with a piece of text (or reasoning, where that was recorded): what a reader waits for. The
conventions count from when the client issues the request, so waiting for a slot and connecting are in the first two,
which they are not in `summary().ttft_ms`. Chunks that came in one read have no gap of their own and are in none: their
zeros would be of the reading. Text is in nothing of it.

The conventions are "in development" (OpenTelemetry semantic conventions for generative AI, metrics and client spans,
2026; https://github.com/open-telemetry/semantic-conventions-genai): the names here are those of that version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from streamkit.lab import metrics
from streamkit.lab.exports.some import Recordings, several
from streamkit.lab.recording.origin import started_at

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

    from streamkit.lab.recording.recording import Recording

__all__ = ["BOUNDARIES_S", "DURATION", "TIME_PER_OUTPUT_CHUNK", "TIME_TO_FIRST_CHUNK", "record"]

DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
DESCRIPTIONS: Final = {
    DURATION: "GenAI operation duration.",
    TIME_TO_FIRST_CHUNK: "Time to receive the first chunk, measured from when the client issues the generation request "
    "to when the first chunk is received in the response stream.",
    TIME_PER_OUTPUT_CHUNK: "Time per output chunk, recorded for each chunk received after the first one, measured as "
    "the time elapsed from the end of the previous chunk to the end of the current chunk.",
}
BOUNDARIES_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Those of the conventions, for all three."""
PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Where the conventions call a provider otherwise than its preset is called."""
OTHER: Final = "_OTHER"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def record(
    recordings: Recordings,
    *,
    meter: Meter | None = None,
    tracer: Tracer | None = None,
    model: str | None = None,
    operation: str = "chat",
    provider: str | None = None,
) -> None:
    """Report one recording, or several, to an OpenTelemetry meter, a tracer, or both.

        sk.exports.otel.record(recording, meter=metrics.get_meter("streamkit"), tracer=trace.get_tracer("streamkit"))

    meter       for the three histograms
    tracer      for a span per stream, which has the recording's times, by the wall clock
    model       the model asked for; by default the recording's label `model`, if it has one
    operation   an operation of the conventions
    provider    the provider's name in the conventions; by default that of the preset

    Raises ImportError if OpenTelemetry is missing (`pip install 'streamkit[otel]'`), TypeError if neither a meter nor a
    tracer is given.
    """
    if meter is None and tracer is None:
        raise TypeError("expected meter=, tracer= or both, got neither: nothing would be recorded")
    for one in several(recordings):
        attributes = _attributes(one, model, operation, provider)
        if meter is not None:
            _measure(one, meter, attributes)
        if tracer is not None:
            _trace(one, tracer, attributes)


def _attributes(one: Recording, model: str | None, operation: str, provider: str | None) -> dict[str, str | int]:
    asked = model if model is not None else one.labels.get("model")
    known = provider or PROVIDERS.get(one.preset or "", one.preset) or OTHER
    found: dict[str, str | int] = {"gen_ai.operation.name": operation, "gen_ai.provider.name": known}
    if asked is not None:
        found["gen_ai.request.model"] = str(asked)
    return {**found, **_server(one.url)}


def _server(url: str) -> dict[str, str | int]:
    parts = urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, **({} if port is None else {"server.port": port})}


def _failed(one: Recording) -> dict[str, str]:
    """`error.type`: the status, the server's code, or the outcome; few values, none with a text."""
    if one.outcome.ok:
        return {}
    told = one.outcome.name in ("refused", "error_event") and one.outcome.detail is not None
    return {"error.type": str(one.outcome.detail if told else one.outcome)}


def _first_s(one: Recording) -> float | None:
    counted = one.counted
    return int(counted.at_ns[0]) / 1e9 if counted.characters.any() else None


# --- Metrics --------------------------------------------------------------------------------------------------------


def _measure(one: Recording, meter: Meter, attributes: Mapping[str, str | int]) -> None:
    first_s, counted = _first_s(one), one.counted
    values = {
        DURATION: [] if one.ended_ns is None else [one.ended_ns / 1e9],
        TIME_TO_FIRST_CHUNK: [] if first_s is None else [first_s],
        TIME_PER_OUTPUT_CHUNK: (metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows) / 1e9).tolist(),
    }
    if first_s is None:
        values[TIME_PER_OUTPUT_CHUNK] = []
    for name, seconds in values.items():
        histogram = meter.create_histogram(
            name, unit="s", description=DESCRIPTIONS[name], explicit_bucket_boundaries_advisory=BOUNDARIES_S
        )
        told = {**attributes, **(_failed(one) if name == DURATION else {})}
        for value in seconds:
            histogram.record(value, told)


# --- A span ---------------------------------------------------------------------------------------------------------


def _trace(one: Recording, tracer: Tracer, attributes: Mapping[str, str | int]) -> None:
    try:
        from opentelemetry.trace import SpanKind, Status, StatusCode
    except ImportError:
        raise ImportError("OpenTelemetry is missing: pip install 'streamkit[otel]'") from None
    zero_ns = _begun_ns(one)
    first_s = _first_s(one)
    told: dict[str, Any] = {**attributes, **_failed(one), "gen_ai.request.stream": True}
    if one.finish_reason is not None:
        told["gen_ai.response.finish_reasons"] = [one.finish_reason]
    if first_s is not None:
        told["gen_ai.response.time_to_first_chunk"] = first_s
    name = " ".join(
        str(attributes[key]) for key in ("gen_ai.operation.name", "gen_ai.request.model") if key in attributes
    )
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=told, start_time=zero_ns)
    for event, at_ns, details in _moments(one):
        span.add_event(event, attributes=dict(details), timestamp=zero_ns + at_ns)
    if not one.outcome.ok:
        span.set_status(Status(StatusCode.ERROR, str(one.outcome)))
    span.end(end_time=zero_ns + (one.ended_ns or 0))


def _begun_ns(one: Recording) -> int:
    """When it was begun, by the wall clock; the epoch where the recording does not know."""
    at = started_at(one)
    return 0 if at is None else round(at.timestamp() * 1e3) * 1_000_000


def _moments(one: Recording) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """In their order: what the recording knows when it happened."""
    counted = one.counted
    first_ns = int(counted.at_ns[0]) if counted.characters.any() else None
    single = {
        "streamkit.acquired": one.acquired_ns,
        "streamkit.connected": one.connected_ns,
        "streamkit.tls": one.tls_ns,
        "streamkit.sent": one.sent_ns,
        "streamkit.head": one.head_ns,
        "streamkit.first_chunk": first_ns,
    }
    found: list[tuple[str, int, Mapping[str, Any]]] = [(n, at, {}) for n, at in single.items() if at is not None]
    gaps = metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)
    threshold_ns = metrics.stall_threshold_ns(gaps)
    for begin_ns, end_ns in metrics.stalls_ns(
        counted.at_ns, counted.read, threshold_ns, follows=counted.follows
    ).tolist():
        found.append(("streamkit.stall", begin_ns, {"streamkit.stall.duration": (end_ns - begin_ns) / 1e9}))
    for cut in one.cuts:
        found.append(("streamkit.cut", cut.at_ns, {"streamkit.cut.attempts": cut.attempts}))
    yield from sorted(found, key=lambda moment: moment[1])
