"""`streamkit load`: many requests, each when it is due; a table or JSON, a file, a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit.cli.arguments import above_zero, as_options, count, from_none, objective, share
from streamkit.cli.output import check_file, check_picture, draw, note, seen_at_once
from streamkit.cli.request import add_label, add_question, check_url, question_of
from streamkit.cli.stopping import INTERRUPTED, stoppable
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.metrics import SLO
    from streamkit.lab.sets import RecordingSet
    from streamkit.lab.sets.resources import Resources

__all__ = ["add_load"]


def add_load(commands: Any) -> None:
    load = commands.add_parser(
        "load",
        help="send many requests to a streaming endpoint, each when it is due: how long do their users wait?",
        description="Send many requests to a streaming endpoint, in an open loop: each is sent when it is due, however "
        "the server gets on with those before it. Exit status: 0 if all answers were complete, 1 if one was not, 2 for "
        "a wrong argument, 130 for Ctrl-C and 143 for SIGTERM, which show what is there.",
    )
    load.add_argument("url", metavar="URL", help="http://, https:// or http+unix://%%2Fpath%%2Fof.sock/…")
    _add_schedule(load)
    add_question(load)
    add_label(load)
    _add_clients(load)
    load.add_argument("--json", action="store_true", help="show one JSON object instead of a table (a body: --body)")
    load.add_argument("--save", "--out", type=Path, metavar="FILE", help="save all recordings (JSON Lines)")
    load.add_argument("--plot", type=Path, metavar="FILE", help="draw the load (.png, .svg, .pdf)")
    load.set_defaults(command=_load)


def _add_schedule(load: argparse.ArgumentParser) -> None:
    load.add_argument(
        "--rate", type=above_zero, metavar="R", help="requests a second, on average (without it: all at once)"
    )
    load.add_argument("--duration-s", type=above_zero, metavar="S", help="for how long to send requests")
    load.add_argument(
        "--streams", type=count, metavar="N", help="how many requests to send; of the two, whichever is reached first"
    )
    load.add_argument(
        "--arrivals",
        metavar="WORD",
        help="poisson (the default with a rate), constant, gamma(0.5), ramp(1, 50), burst(100, 5), or closed(50, 2): "
        "a closed loop of 50 users who think for 2 s",
    )
    load.add_argument(
        "--seed",
        type=from_none,
        default=0,
        metavar="N",
        help="for everything random: the same seed, the same load (default: 0)",
    )


def _add_clients(load: argparse.ArgumentParser) -> None:
    load.add_argument("--events-per-s", type=above_zero, metavar="N", help="each client takes no more events than this")
    load.add_argument("--leave", type=share, default=0.0, metavar="SHARE", help="this share of clients leaves early")
    load.add_argument(
        "--leave-within-s",
        type=above_zero,
        default=1.0,
        metavar="S",
        help="each at a random time within this many seconds (default: 1)",
    )
    load.add_argument(
        "--max-open", type=count, metavar="N", help="the most streams at a time (default: what ulimit -n allows)"
    )
    load.add_argument(
        "--clients",
        type=count,
        default=1,
        metavar="N",
        help="send from N processes, if one is too slow (default: 1)",
    )
    load.add_argument(
        "--slo", type=objective, metavar="ttft=MS,gap=MS", help="the objective: which share of the streams kept it"
    )
    load.add_argument(
        "--pid",
        type=count,
        action="append",
        metavar="N",
        help="process id of a server on this machine: watch its memory and CPU; may be repeated",
    )


@stoppable
def _load(arguments: argparse.Namespace) -> int:
    check_url(arguments.url)
    _check_schedule(arguments)
    if arguments.save is not None:
        check_file(arguments.save)
    if arguments.plot is not None:
        check_picture(arguments.plot)
    streams, interrupted = _loaded(arguments)
    _show(streams, arguments)
    if arguments.save is not None:
        streams.save(arguments.save)
        note(f"recordings: {arguments.save.resolve()}")
    if arguments.plot is not None:
        draw(streams, "load", arguments.plot)
    if interrupted:
        return INTERRUPTED
    return 0 if len(streams) and all(_as_asked(recording) for recording in streams) else 1


def _check_schedule(arguments: argparse.Namespace) -> None:
    """Numbers that make no sense together, each of which did."""
    from streamkit.lab.load.arrivals import spread_of

    try:
        spread_of(arguments.arrivals, streams=arguments.streams, duration_s=arguments.duration_s, rate=arguments.rate)
    except ValueError as error:
        raise ConfigError(as_options(str(error), vars(arguments))) from error


def _loaded(arguments: argparse.Namespace) -> tuple[RecordingSet, bool]:
    """The recordings, and whether Ctrl-C ended it: then they are those of the streams that had begun."""
    from streamkit.lab.load.kept import last_load
    from streamkit.lab.run import run

    try:
        return run(_asked(arguments)), False
    except KeyboardInterrupt as error:
        if (kept := last_load(of=error)) is None:
            raise
        return kept, True


def _asked(arguments: argparse.Namespace) -> Any:
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.load.load import load

    reader = None if arguments.events_per_s is None else Reader(events_per_s=arguments.events_per_s)
    pids = {f"server {n}" if n else "server": pid for n, pid in enumerate(arguments.pid or ())}
    return load(
        arguments.url,
        streams=arguments.streams,
        duration_s=arguments.duration_s,
        rate=arguments.rate,
        arrivals=arguments.arrivals,
        seed=arguments.seed,
        prompts=arguments.prompt,
        readers=reader,
        leave=arguments.leave,
        leave_after_s=(0.0, arguments.leave_within_s),
        slo=arguments.slo,
        pids=pids,
        max_open=arguments.max_open,
        clients=arguments.clients,
        progress=seen_at_once(),
        **question_of(arguments, [arguments.url]),
    )


def _as_asked(recording: Any) -> bool:
    return bool(recording.outcome.ok or (recording.labels.get("leaves") and recording.outcome.name == "cancelled"))


def _show(streams: RecordingSet, arguments: argparse.Namespace) -> None:
    kept = None if arguments.slo is None else streams.goodput(arguments.slo)
    if arguments.json:
        import orjson

        told = {
            **streams.summary().as_dict(),
            "load": streams.meta,
            "goodput": None if kept is None else kept._asdict(),
            "resources": {used.name: _most_used(used) for used in streams.resources},
        }
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    print(f"\n{streams.summary()}")
    if kept is not None:
        print(f"kept the objective ({_in_words(arguments.slo)}): {kept.good} of {kept.total} streams")
    for used in streams.resources:
        print(used)


def _in_words(slo: SLO) -> str:
    first = [] if slo.ttft_ms is None else [f"first piece within {slo.ttft_ms:,g} ms"]
    gaps = [] if slo.gap_ms is None else [f"no gap above {slo.gap_ms:,g} ms"]
    return ", ".join(first + gaps) or "no limit"


def _most_used(used: Resources) -> dict[str, float | None]:
    """The most that it used; None where that is not known."""
    rss_bytes, descriptors, cpu_ns, loop_late_ns = used.most().values()
    return {
        "rss_mb": None if rss_bytes is None else round(rss_bytes / 1e6, 1),
        "descriptors": descriptors,
        "cpu_s": None if cpu_ns is None else round(cpu_ns / 1e9, 2),
        "loop_late_ms": None if loop_late_ns is None else round(loop_late_ns / 1e6, 1),
    }
