"""The command line: `streamkit demo | serve | record | plot`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit._version import __version__
from streamkit.errors import ConfigError, StreamkitError
from streamkit.presets import presets
from streamkit.relay.settings import options

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["main"]

SIDE_BY_SIDE = ("timeline", "gaps", "hops", "policies")
OF_ONE = ("journey", "backlog", "queues")
"""The figures, by whether they take several recordings."""
KINDS = (*SIDE_BY_SIDE, *OF_ONE)

INTERRUPTED = 130
"""128 + SIGINT, what a shell expects of a command ended by Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. Errors of streamkit are one line on stderr, never a traceback."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except (StreamkitError, ValueError) as error:
        print(f"streamkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `streamkit record … | head`: the reader has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streamkit", description="The oscilloscope for streaming HTTP.")
    parser.add_argument("--version", action="version", version=f"streamkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_serve(commands)
    _add_record(commands)
    _add_plot(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="a scripted LLM, the relay, one POST: text, summary, picture")
    demo.add_argument("--question", default="你好", help="the chat_history to send (default: %(default)s)")
    demo.add_argument(
        "--wire", default="seed", metavar="PRESET", help="the scripted LLM's format (default: %(default)s)"
    )
    demo.add_argument("--first-piece-ms", type=float, default=300.0, help="time to the first piece (default: 300)")
    demo.add_argument("--gap-ms", type=float, default=50.0, help="time between pieces (default: 50)")
    demo.add_argument("--jitter-ms", type=float, default=15.0, help="each piece is moved by up to this (default: 15)")
    demo.add_argument("--accept", choices=("text", "sse", "ndjson"), default="text", help="the answer's form")
    demo.add_argument("--reader-ms", type=float, default=0.0, help="what the reader takes for each piece (default: 0)")
    demo.add_argument("--bytes-per-s", type=_pace, help="how fast the reader reads (default: as fast as it comes)")
    demo.add_argument(
        "--network",
        choices=("loopback-tcp", "small-buffers"),
        default="loopback-tcp",
        help="what lies between the three; small buffers make a slow reader felt at once (default: %(default)s)",
    )
    demo.add_argument("--kind", choices=KINDS, default="timeline", help="what to draw (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="another seed, other pieces and jitter (default: 0)")
    demo.add_argument("--out", type=Path, default=Path("streamkit-demo.png"), help="the picture (default: %(default)s)")
    demo.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    """The first notebook's experiment; with a slow reader, the third one's."""
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.lab import Lab
    from streamkit.lab.recording.summary import timetable
    from streamkit.lab.upstream import Script

    script = Script(
        first_piece_ms=arguments.first_piece_ms,
        gap_ms=arguments.gap_ms,
        jitter_ms=arguments.jitter_ms,
        preset=arguments.wire,
        seed=arguments.seed,
    )

    def read(text: str) -> None:
        _show(text)
        time.sleep(arguments.reader_ms / 1e3)

    reader = None if arguments.bytes_per_s is None else Reader(bytes_per_s=arguments.bytes_per_s)
    with Lab(script, model="scripted", network=arguments.network) as lab:
        url = lab.relay.url if lab.relay is not None else ""
        print(f"a scripted LLM speaks the {arguments.wire!r} format; the relay in front of it is {url}/ans\n")
        asked = lab.ask(arguments.question, accept=arguments.accept, on_piece=read, reader=reader)
        recording = asyncio.run(asked)
    print(f"\n\n{timetable(recording)}\n\n{recording.summary()}\n")
    _draw([recording], arguments.kind, arguments.out)
    return 0 if recording.outcome.ok else 1


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the relay until Ctrl-C or SIGTERM",
        description="Run the relay: POST /ans, GET /health. The key is read from the environment: UPSTREAM_API_KEY. "
        "Every deadline and limit is also an environment variable (--idle-s 2 is STREAMKIT_IDLE_S=2), and so are the "
        "upstream, the preset and the model (STREAMKIT_UPSTREAM, …).",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to bind, 0 for a free one (default: %(default)s)")
    serve.add_argument("--unix", metavar="PATH", help="a unix socket instead of host and port")
    serve.add_argument("--upstream", metavar="URL", help="the provider's full endpoint")
    serve.add_argument(
        "--preset", metavar="NAME", help=f"how it is asked and read: {', '.join(presets())} (default: seed)"
    )
    serve.add_argument("--model", metavar="NAME", help="the model to ask for")
    serve.add_argument(
        "--extra",
        metavar="JSON",
        type=_json_object,
        help="further fields of the request, such as '{\"temperature\": 0}'",
    )
    serve.add_argument("--reasoning", action="store_true", help="pass the model's reasoning on as well")
    serve.add_argument(
        "--trace",
        action="store_true",
        default=None,
        help="keep the times of each stream's events: GET /streams/<id>/taps (environment: STREAMKIT_TRACE=1)",
    )
    serve.add_argument(
        "--policy",
        metavar="NAME",
        help="what is done for a client that cannot keep up: pause, buffer(BYTES), coalesce(BYTES), latest or "
        "disconnect(S) (default: pause; environment: STREAMKIT_POLICY)",
    )
    for option in options():
        off = "" if option.kind is int else ", 0 = off"
        serve.add_argument(
            option.flag,
            type=option.kind,
            metavar={"seconds": "S", "milliseconds": "MS"}.get(option.unit, "N"),
            help=f"{option.help} ({option.unit}{off}; default: {option.default:.10g})",
        )
    serve.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from streamkit.app import create_app
    from streamkit.relay.relay import Relay
    from streamkit.serving.foreground import run_forever

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    relay: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("upstream", "preset", "model", "extra", "reasoning", "trace", "policy")
    }
    relay |= {option.name: getattr(arguments, option.name) for option in options()}
    grace_s = Relay(**relay).settings.deadlines.grace_s  # also says now what is wrong with the settings

    def ready(url: str) -> None:
        print(f"streamkit relay ready: POST {url}/ans   (Ctrl-C stops it)", flush=True)

    run_forever(
        partial(create_app, **relay),
        host=arguments.host,
        port=arguments.port,
        unix=arguments.unix,
        grace_s=grace_s,
        on_ready=ready,
    )
    return 0


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = math.nan
    if not 0 < pace < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text!r}")
    return pace


def _json_object(text: str) -> dict[str, object]:
    import orjson

    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return value


def _add_record(commands: Any) -> None:
    record = commands.add_parser("record", help="POST to a streaming endpoint, show and keep what came, and when")
    record.add_argument("url", metavar="URL")
    record.add_argument(
        "--data", metavar="NAME=VALUE", action="append", type=_pair, help="a form field; may be repeated"
    )
    record.add_argument("--json", metavar="JSON", type=_json_object, help="a JSON body")
    record.add_argument("--header", metavar="NAME:VALUE", action="append", type=_header, help="may be repeated")
    record.add_argument("--accept", metavar="TYPE", help="text, sse, ndjson, or a media type")
    record.add_argument("--preset", metavar="NAME", help="how to find the text in the events (default: guessed)")
    record.add_argument("--bytes-per-s", type=_pace, metavar="N", help="read no faster than this")
    record.add_argument("--events-per-s", type=_pace, metavar="N", help="take no more events than this")
    record.add_argument("--timeout-s", type=float, help="give up after this many seconds")
    record.add_argument("--out", type=Path, metavar="FILE", help="save the recording (JSON Lines)")
    record.add_argument("--plot", type=Path, metavar="FILE", help="draw the timeline (.png, .svg, .pdf)")
    record.set_defaults(command=_record)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected NAME:VALUE, got {text!r}")
    return name.strip(), value.strip()


def _record(arguments: argparse.Namespace) -> int:
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.record import record

    request: dict[str, Any] = {
        "headers": dict(arguments.header or ()),
        "accept": arguments.accept,
        "preset": arguments.preset,
        "on_piece": _show,
    }
    if arguments.data:
        request["data"] = dict(arguments.data)
    if arguments.json is not None:
        request["json"] = arguments.json
    if arguments.timeout_s is not None:
        request["timeout"] = arguments.timeout_s
    if arguments.bytes_per_s is not None or arguments.events_per_s is not None:
        request["reader"] = Reader(bytes_per_s=arguments.bytes_per_s, events_per_s=arguments.events_per_s)
    recording = asyncio.run(record(arguments.url, **request))
    print(f"\n\n{recording.summary()}")
    if arguments.out:
        recording.save(arguments.out)
        print(f"recording: {arguments.out.resolve()}")
    if arguments.plot:
        _draw([recording], "timeline", arguments.plot)
    return 0 if recording.outcome.ok else 1


def _add_plot(commands: Any) -> None:
    plot = commands.add_parser("plot", help="draw saved recordings side by side")
    plot.add_argument("recordings", nargs="+", type=Path, metavar="FILE")
    plot.add_argument("--kind", choices=KINDS, default="timeline")
    plot.add_argument("--out", type=Path, default=Path("streamkit.png"), help="the picture (default: %(default)s)")
    plot.set_defaults(command=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    from streamkit.lab.recording.recording import Recording

    if arguments.kind in OF_ONE and len(arguments.recordings) != 1:
        raise ConfigError(f"expected one recording for --kind {arguments.kind}, got {len(arguments.recordings)}")
    _draw([Recording.load(path) for path in arguments.recordings], arguments.kind, arguments.out)
    return 0


def _show(text: str) -> None:
    print(text, end="", flush=True)


def _draw(recordings: list[Recording], kind: str, path: Path) -> None:
    """Draw without a display, whatever backend the environment names."""
    import matplotlib as mpl

    mpl.use("agg")
    from streamkit.lab import plots

    axes = getattr(plots, kind)(recordings[0] if kind in OF_ONE else recordings)
    axes.figure.savefig(path, dpi=150)
    print(f"picture: {path.resolve()}")
