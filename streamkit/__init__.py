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

if TYPE_CHECKING:
    from streamkit.app import create_app, create_blueprint
    from streamkit.extractor import JSON, Extractor
    from streamkit.lab import faults, plots
    from streamkit.lab.calibration import Calibration, calibrate
    from streamkit.lab.client import record
    from streamkit.lab.endings import end_grid
    from streamkit.lab.goodput import SLO, goodput
    from streamkit.lab.lab import Lab
    from streamkit.lab.leaving import after_leaving
    from streamkit.lab.link import Link
    from streamkit.lab.network import Network, absorbed_bytes
    from streamkit.lab.notebook import run
    from streamkit.lab.readers import Reader
    from streamkit.lab.recording import Recording
    from streamkit.lab.script import random_script
    from streamkit.lab.server import Server, serve, servers
    from streamkit.lab.silences import timeout_map
    from streamkit.lab.toxics import Bandwidth, Blackhole, Cut, Latency, Slice, SlowClose
    from streamkit.lab.upstream import Script, create_upstream
    from streamkit.outcome import Outcome
    from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser, encode_event
    from streamkit.policies import Policy
    from streamkit.presets import Preset, detect, preset
    from streamkit.results import End, ExtractionError, Piece, ProviderError
    from streamkit.transport import StreamTransport

__version__ = "0.1.0"

_HOME = {
    "Bandwidth": "lab.toxics",
    "Blackhole": "lab.toxics",
    "Calibration": "lab.calibration",
    "Cut": "lab.toxics",
    "End": "results",
    "ExtractionError": "results",
    "Extractor": "extractor",
    "JSON": "extractor",
    "Lab": "lab.lab",
    "Latency": "lab.toxics",
    "Link": "lab.link",
    "NDJSONParser": "parser",
    "Network": "lab.network",
    "Outcome": "outcome",
    "Piece": "results",
    "Policy": "policies",
    "Preset": "presets",
    "ProviderError": "results",
    "Reader": "lab.readers",
    "Recording": "lab.recording",
    "SLO": "lab.goodput",
    "SSEParser": "parser",
    "Script": "lab.upstream",
    "Server": "lab.server",
    "ServerSentEvent": "parser",
    "Slice": "lab.toxics",
    "SlowClose": "lab.toxics",
    "StreamTransport": "transport",
    "absorbed_bytes": "lab.network",
    "after_leaving": "lab.leaving",
    "calibrate": "lab.calibration",
    "create_app": "app",
    "create_blueprint": "app",
    "create_upstream": "lab.upstream",
    "detect": "presets",
    "encode_event": "parser",
    "end_grid": "lab.endings",
    "goodput": "lab.goodput",
    "preset": "presets",
    "random_script": "lab.script",
    "record": "lab.client",
    "run": "lab.notebook",
    "serve": "lab.server",
    "servers": "lab.server",
    "timeout_map": "lab.silences",
}
_MODULES = {"errors": "errors", "faults": "lab.faults", "plots": "lab.plots"}

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
