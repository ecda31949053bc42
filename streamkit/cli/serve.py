"""`streamkit serve`: the relay in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from streamkit.cli.arguments import as_options, count, json_object, port
from streamkit.cli.request import check_url
from streamkit.errors import ConfigError
from streamkit.presets import presets
from streamkit.relay.settings import options

if TYPE_CHECKING:
    from sanic import Sanic

    from streamkit.relay.relay import Relay

__all__ = ["add_serve"]


def add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the relay until Ctrl-C or SIGTERM",
        description="Run the relay: POST /ans, GET /health, /healthz and /readyz, and the routes of --with. The key is "
        "read from the environment: UPSTREAM_API_KEY. "
        "Every deadline and limit is also an environment variable (--idle-s 2 is STREAMKIT_IDLE_S=2), and so are the "
        "upstream, the preset and the model (STREAMKIT_UPSTREAM, …).",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    serve.add_argument("--port", type=port, default=8000, help="port to bind, 0 for a free one (default: %(default)s)")
    serve.add_argument("--unix", metavar="PATH", help="listen on this Unix socket instead of host and port")
    serve.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="how many processes serve; limits such as --max-streams hold for each (default: %(default)s)",
    )
    serve.add_argument("--upstream", metavar="URL", help="the provider's full endpoint; needed without --with")
    serve.add_argument(
        "--with",
        dest="uses",
        metavar="NAMES",
        help="routes of other sources, separated by commas: upload, jobs, analysis (environment: STREAMKIT_WITH)",
    )
    serve.add_argument(
        "--preset",
        metavar="NAME",
        help=f"the provider, which decides how it is asked and read: {', '.join(presets())} (default: seed)",
    )
    serve.add_argument("--model", metavar="NAME", help="the model to ask for")
    serve.add_argument(
        "--extra",
        metavar="JSON",
        type=json_object,
        help="more fields for the request, such as '{\"temperature\": 0}'",
    )
    serve.add_argument(
        "--cacert",
        metavar="FILE",
        help="the certificates (PEM) to trust for an https upstream, instead of the system's; 'env': those "
        "that SSL_CERT_FILE or SSL_CERT_DIR names, which are ignored otherwise (environment: STREAMKIT_CACERT)",
    )
    serve.add_argument(
        "--cors-origin",
        metavar="ORIGIN",
        action="append",
        help="let web pages of this origin ask, such as https://app.example, or '*' for any; may be repeated "
        "(environment: STREAMKIT_CORS_ORIGINS, separated by commas)",
    )
    serve.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        help="a host name, besides localhost, that requests over a loopback address may carry, as those of a reverse "
        "proxy on this machine do; may be repeated (environment: STREAMKIT_ALLOWED_HOSTS, separated by commas)",
    )
    serve.add_argument("--reasoning", action="store_true", help="pass the model's reasoning on as well")
    serve.add_argument(
        "--trace",
        action="store_true",
        default=None,
        help="keep the times of each stream's events: GET /streams/<id>/taps (environment: STREAMKIT_TRACE=1)",
    )
    serve.add_argument(
        "--metrics",
        action="store_true",
        default=None,
        help="count what happens, in all workers, for Prometheus: GET /metrics (environment: STREAMKIT_METRICS=1)",
    )
    serve.add_argument(
        "--policy",
        metavar="NAME",
        help="what is done for a client that cannot keep up: pause, buffer(BYTES), coalesce(BYTES), latest or "
        "disconnect(S) (default: pause; environment: STREAMKIT_POLICY)",
    )
    serve.add_argument(
        "--resume",
        action="store_true",
        default=None,
        help="keep streams in memory, so that a client that was cut off can come back (environment: "
        "STREAMKIT_RESUME=1)",
    )
    serve.add_argument(
        "--replay",
        metavar="URL",
        help="keep them in this Redis instead, such as redis://127.0.0.1:6379/0, where all workers find them; implies "
        "--resume (environment: STREAMKIT_REPLAY)",
    )
    serve.add_argument(
        "--resume-owner-header",
        metavar="NAME",
        action="append",
        help="this header, instead of Authorization, says whose a stream is: only they may read it; may be repeated "
        "(environment: STREAMKIT_RESUME_OWNER_HEADERS, separated by commas)",
    )
    for option in options():
        off = "" if option.kind is int or option.name.startswith("resume") else ", 0 = off"
        serve.add_argument(
            option.flag,
            type=option.kind,
            metavar={"seconds": "S", "milliseconds": "MS"}.get(option.unit, "N"),
            help=f"{option.help} ({option.unit}{off}; default: {option.default:.12g})",
        )
    serve.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from streamkit.app import create_blueprint
    from streamkit.relay.log import show_log
    from streamkit.serving.foreground import run_forever
    from streamkit.serving.listener import WILDCARDS
    from streamkit.serving.workers import run_workers

    if arguments.upstream is not None:
        check_url(arguments.upstream)
    relay = _relay_arguments(arguments)
    try:
        checked = create_blueprint(**relay, metrics=arguments.metrics)  # says now what is wrong with the settings
    except ConfigError as error:
        raise ConfigError(_for_the_shell(str(error), arguments)) from error
    kept: Relay = checked.ctx.relay
    workers: int = arguments.workers
    show_log()
    if workers > 1:
        _check_workers(kept, workers)

    def ready(url: str) -> None:
        everywhere = not arguments.unix and arguments.host in WILDCARDS
        where = f" on every address of this machine ({arguments.host}), from here" if everywhere else ""
        many = f"{workers} workers; " if workers > 1 else ""
        asks = ", ".join(f"{url}{path}" for path in kept.paths)
        print(f"streamkit relay ready{where}: POST {asks}   ({many}Ctrl-C stops it)", flush=True)

    run = run_forever if workers == 1 else partial(run_workers, workers=workers)
    with _counted_by_all(kept, workers) as metrics:
        run(
            partial(_logging_app, **relay, **metrics),
            host=arguments.host,
            port=arguments.port,
            unix=arguments.unix,
            drain_s=kept.settings.deadlines.drain_s,
            grace_s=kept.settings.deadlines.grace_s,
            on_ready=ready,
        )
    return 0


def _for_the_shell(message: str, arguments: argparse.Namespace) -> str:
    """Settings by the names by which they were given; what is said of Python alone is left out."""
    for option in options():
        if getattr(arguments, option.name) is None and option.env in os.environ:
            message = re.sub(rf"\b{option.name}\b", option.env, message)
    message = message.replace("pass upstream=URL, --upstream", "pass --upstream")
    return as_options(message, [option.name for option in options()])


@contextmanager
def _counted_by_all(relay: Relay, workers: int) -> Iterator[dict[str, bool | str]]:
    """Where the workers tell each other what they count: a folder for as long as they run, if nobody has named one."""
    if relay.metrics is None:
        yield {}
    elif workers == 1 or relay.metrics.folder:
        yield {"metrics": relay.metrics.folder or True}
    else:
        with TemporaryDirectory(prefix="streamkit-metrics-") as folder:
            yield {"metrics": folder}


def _relay_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """All that the relay is given, to be pickled for the workers. Its key is not among them: it stays in the
    environment.
    """
    relay: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("upstream", "uses", "preset", "model", "extra", "reasoning", "trace", "policy")
    }
    relay |= {option.name: getattr(arguments, option.name) for option in options()}
    relay["verify"] = arguments.cacert
    relay["resume"] = arguments.replay or arguments.resume
    relay["resume_owner_headers"] = arguments.resume_owner_header
    if arguments.cors_origin:
        relay["cors_origins"] = arguments.cors_origin
    if arguments.allow_host:
        relay["allowed_hosts"] = arguments.allow_host
    return relay


def _check_workers(relay: Relay, workers: int) -> None:
    """What several workers cannot do, as each has only what it served itself: said, or refused, before they start."""
    from streamkit.app import TRACE_WITH_ONE

    if relay.taps is not None:
        logging.getLogger("streamkit.server").warning(TRACE_WITH_ONE, workers)
    if relay.resumes and relay.resumable is not None and not relay.resumable.replay.store.shared:
        raise ConfigError(
            f"expected --replay redis://… for streams that can be resumed with {workers} workers: what one of them "
            "keeps in its memory, the others cannot find"
        )


def _logging_app(**relay: Any) -> Sanic[Any, Any]:
    """The relay's app, in whichever process: one of several logs as the first one does."""
    from streamkit.app import create_app
    from streamkit.relay.log import show_log

    show_log()
    return create_app(**relay)
