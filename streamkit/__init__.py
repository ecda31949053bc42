"""streamkit: the oscilloscope for streaming HTTP.

    import streamkit as sk

    lab = sk.Lab(sk.Script(gap_ms=40))  # a scripted LLM and the relay in front of it, real servers on real sockets
    recording = await lab.ask("你好")
    sk.plots.journey(recording)

What you use every day is here at the top. The rest is in modules by topic: `sk.faults` (how an answer goes wrong),
`sk.net` (bad networks), `sk.arrivals` (when the requests of a load are due), `sk.metrics` (numbers), `sk.findings`
(what a figure says, as text and data), `sk.plots` (figures), `sk.examples` (recordings to try them on),
`sk.experiments` (several streams, one question), `sk.exports` (files for other tools), `sk.shipped` (the routes that
the relay has beside an LLM's answer), `sk.errors`.

Importing streamkit loads next to nothing: each name brings in its own module when it is first used.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamkit._version import __version__ as __version__

if TYPE_CHECKING:
    from streamkit import errors as errors
    from streamkit import shipped as shipped
    from streamkit.app import create_app as create_app
    from streamkit.app import create_blueprint as create_blueprint
    from streamkit.app import source as source
    from streamkit.extractor import JSON as JSON
    from streamkit.extractor import Extractor as Extractor
    from streamkit.lab import examples as examples
    from streamkit.lab import experiments as experiments
    from streamkit.lab import exports as exports
    from streamkit.lab import findings as findings
    from streamkit.lab import metrics as metrics
    from streamkit.lab import net as net
    from streamkit.lab import plots as plots
    from streamkit.lab.client.calibrate import calibrate as calibrate
    from streamkit.lab.client.joining import join as join
    from streamkit.lab.client.kept import last_recording as last_recording
    from streamkit.lab.client.pace import Reader as Reader
    from streamkit.lab.client.record import record as record
    from streamkit.lab.client.resume import Resume as Resume
    from streamkit.lab.compare.asking import compare as compare
    from streamkit.lab.compare.kept import last_comparison as last_comparison
    from streamkit.lab.findings.comparison import Comparison as Comparison
    from streamkit.lab.lab import Lab as Lab
    from streamkit.lab.live.playground import playground as playground
    from streamkit.lab.live.watch import watch as watch
    from streamkit.lab.load import arrivals as arrivals
    from streamkit.lab.load.kept import last_load as last_load
    from streamkit.lab.load.load import load as load
    from streamkit.lab.recording.recording import Recording as Recording
    from streamkit.lab.run import run as run
    from streamkit.lab.sets import RecordingSet as RecordingSet
    from streamkit.lab.sweep import Sweep as Sweep
    from streamkit.lab.sweep import last_sweep as last_sweep
    from streamkit.lab.sweep import sweep as sweep
    from streamkit.lab.upstream import Script as Script
    from streamkit.lab.upstream import create_upstream as create_upstream
    from streamkit.lab.upstream import faults as faults
    from streamkit.lab.upstream import random_script as random_script
    from streamkit.lab.wiretap.wiretap import Wiretap as Wiretap
    from streamkit.outcome import Outcome as Outcome
    from streamkit.parser import NDJSONParser as NDJSONParser
    from streamkit.parser import ServerSentEvent as ServerSentEvent
    from streamkit.parser import SSEParser as SSEParser
    from streamkit.parser import encode_event as encode_event
    from streamkit.presets import EndMark as EndMark
    from streamkit.presets import ErrorMark as ErrorMark
    from streamkit.presets import Preset as Preset
    from streamkit.presets import detect as detect
    from streamkit.presets import preset as preset
    from streamkit.relay.delivery.policy import Policy as Policy
    from streamkit.relay.failure import Failed as Failed
    from streamkit.relay.pieces import Progress as Progress
    from streamkit.relay.pieces import Snapshot as Snapshot
    from streamkit.relay.pieces import Value as Value
    from streamkit.relay.sources.feed import create_feed as create_feed
    from streamkit.serving.server import serve as serve
    from streamkit.serving.server import servers as servers

_NAMES = {
    "app": ("create_app", "create_blueprint", "source"),
    "extractor": ("JSON", "Extractor"),
    "lab.client.calibrate": ("calibrate",),
    "lab.client.joining": ("join",),
    "lab.client.kept": ("last_recording",),
    "lab.client.pace": ("Reader",),
    "lab.client.record": ("record",),
    "lab.client.resume": ("Resume",),
    "lab.compare.asking": ("compare",),
    "lab.compare.kept": ("last_comparison",),
    "lab.findings.comparison": ("Comparison",),
    "lab.lab": ("Lab",),
    "lab.live.playground": ("playground",),
    "lab.live.watch": ("watch",),
    "lab.load.kept": ("last_load",),
    "lab.load.load": ("load",),
    "lab.recording.recording": ("Recording",),
    "lab.run": ("run",),
    "lab.sets": ("RecordingSet",),
    "lab.sweep": ("Sweep", "last_sweep", "sweep"),
    "lab.upstream": ("Script", "create_upstream", "random_script"),
    "lab.wiretap.wiretap": ("Wiretap",),
    "outcome": ("Outcome",),
    "parser": ("NDJSONParser", "SSEParser", "ServerSentEvent", "encode_event"),
    "presets": ("EndMark", "ErrorMark", "Preset", "detect", "preset"),
    "relay.delivery.policy": ("Policy",),
    "relay.failure": ("Failed",),
    "relay.pieces": ("Progress", "Snapshot", "Value"),
    "relay.sources.feed": ("create_feed",),
    "serving.server": ("serve", "servers"),
}
_MODULES = {
    "arrivals": "lab.load.arrivals",
    "errors": "errors",
    "examples": "lab.examples",
    "experiments": "lab.experiments",
    "exports": "lab.exports",
    "faults": "lab.upstream.faults",
    "findings": "lab.findings",
    "metrics": "lab.metrics",
    "net": "lab.net",
    "plots": "lab.plots",
    "shipped": "shipped",
}
_MOVED = {
    "extractor": ("End", "ExtractionError", "Piece", "ProviderError"),
    "lab.experiments": ("timeout_map",),
    "lab.findings": ("after_leaving", "end_grid", "goodput"),
    "lab.metrics": ("SLO",),
    "lab.net": ("Bandwidth", "Blackhole", "Cut", "Latency", "Link", "Network", "Slice", "SlowClose", "absorbed_bytes"),
    "lab.recording.calibration": ("Calibration",),
    "serving.server": ("Server",),
    "transport": ("StreamTransport",),
}
"""Names that stood at the top: they are found there until 0.2, with a DeprecationWarning that says where they live."""
_HOME = {name: home for home, names in _NAMES.items() for name in names}
_NEW_HOME = {name: home for home, names in _MOVED.items() for name in names}

__all__ = sorted([*_HOME, *_MODULES], key=lambda name: (not name.isupper(), not name[0].isupper(), name))


if not TYPE_CHECKING:  # a type checker knows the names above, and that there are no others

    def __getattr__(name: str) -> Any:
        """PEP 562: the first use of a name imports its module."""
        if name in _MODULES:
            value: Any = import_module(f"{__name__}.{_MODULES[name]}")
        elif name in _HOME:
            value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        elif name in _NEW_HOME:
            home = f"{__name__}.{_NEW_HOME[name]}"
            warnings.warn(f"{__name__}.{name} has moved: from {home} import {name}", DeprecationWarning, stacklevel=2)
            return getattr(import_module(home), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; there are {', '.join(__all__)}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext streamkit` in a notebook.

    It shows figures inline and sharp on every screen, adds the cell magic `%%stream`, and keeps everything imported so
    far out of garbage collections (`gc.freeze`): a full one would hold up a stream for a tenth of a second.
    """
    from streamkit.lab.live.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext streamkit`."""
    from streamkit.lab.live.extension import unload

    unload(shell)
