"""streamkit: the oscilloscope for streaming HTTP.

    import streamkit as sk

    with sk.serve(lambda: sk.create_upstream(sk.Script())) as llm:
        with sk.serve(lambda: sk.create_app(upstream=llm.url, preset="seed")) as relay:
            recording = sk.run(sk.record(f"{relay.url}/ans", data={"chat_history": "你好"}))
    sk.plots.timeline(recording)

Importing it loads next to nothing: each name below brings its own module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamkit._version import __version__ as __version__

if TYPE_CHECKING:
    from streamkit.app import create_app, create_blueprint
    from streamkit.extractor import JSON, Extractor
    from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
    from streamkit.lab import plots
    from streamkit.lab.client.calibrate import calibrate
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.record import record
    from streamkit.lab.experiments.silences import timeout_map
    from streamkit.lab.findings.endings import end_grid
    from streamkit.lab.findings.leaving import after_leaving
    from streamkit.lab.lab import Lab
    from streamkit.lab.metrics.slo import SLO
    from streamkit.lab.net.buffers import Network, absorbed_bytes
    from streamkit.lab.net.link import Link
    from streamkit.lab.net.toxics import Bandwidth, Blackhole, Cut, Latency, Slice, SlowClose
    from streamkit.lab.recording.calibration import Calibration
    from streamkit.lab.recording.goodput import goodput
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.run import run
    from streamkit.lab.upstream import Script, create_upstream, faults
    from streamkit.lab.upstream.random_scripts import random_script
    from streamkit.outcome import Outcome
    from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser, encode_event
    from streamkit.presets import Preset, detect, preset
    from streamkit.relay.delivery.policy import Policy
    from streamkit.serving.server import Server, serve, servers
    from streamkit.transport import StreamTransport


_HOME = {
    "Bandwidth": "lab.net.toxics",
    "Blackhole": "lab.net.toxics",
    "Calibration": "lab.recording.calibration",
    "Cut": "lab.net.toxics",
    "End": "extractor.pieces",
    "ExtractionError": "extractor.pieces",
    "Extractor": "extractor",
    "JSON": "extractor",
    "Lab": "lab.lab",
    "Latency": "lab.net.toxics",
    "Link": "lab.net.link",
    "NDJSONParser": "parser",
    "Network": "lab.net.buffers",
    "Outcome": "outcome",
    "Piece": "extractor.pieces",
    "Policy": "relay.delivery.policy",
    "Preset": "presets",
    "ProviderError": "extractor.pieces",
    "Reader": "lab.client.pace",
    "Recording": "lab.recording.recording",
    "SLO": "lab.metrics.slo",
    "SSEParser": "parser",
    "Script": "lab.upstream",
    "Server": "serving.server",
    "ServerSentEvent": "parser",
    "Slice": "lab.net.toxics",
    "SlowClose": "lab.net.toxics",
    "StreamTransport": "transport",
    "absorbed_bytes": "lab.net.buffers",
    "after_leaving": "lab.findings.leaving",
    "calibrate": "lab.client.calibrate",
    "create_app": "app",
    "create_blueprint": "app",
    "create_upstream": "lab.upstream",
    "detect": "presets",
    "encode_event": "parser",
    "end_grid": "lab.findings.endings",
    "goodput": "lab.recording.goodput",
    "preset": "presets",
    "random_script": "lab.upstream.random_scripts",
    "record": "lab.client.record",
    "run": "lab.run",
    "serve": "serving.server",
    "servers": "serving.server",
    "timeout_map": "lab.experiments.silences",
}
_MODULES = {"errors": "errors", "faults": "lab.upstream.faults", "plots": "lab.plots"}

__all__ = [
    "JSON",
    "SLO",
    "Bandwidth",
    "Blackhole",
    "Calibration",
    "Cut",
    "End",
    "ExtractionError",
    "Extractor",
    "Lab",
    "Latency",
    "Link",
    "NDJSONParser",
    "Network",
    "Outcome",
    "Piece",
    "Policy",
    "Preset",
    "ProviderError",
    "Reader",
    "Recording",
    "SSEParser",
    "Script",
    "Server",
    "ServerSentEvent",
    "Slice",
    "SlowClose",
    "StreamTransport",
    "absorbed_bytes",
    "after_leaving",
    "calibrate",
    "create_app",
    "create_blueprint",
    "create_upstream",
    "detect",
    "encode_event",
    "end_grid",
    "errors",
    "faults",
    "goodput",
    "plots",
    "preset",
    "random_script",
    "record",
    "run",
    "serve",
    "servers",
    "timeout_map",
]


def __getattr__(name: str) -> Any:
    """PEP 562: the first use of a name imports its module."""
    if name in _MODULES:
        value: Any = import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
