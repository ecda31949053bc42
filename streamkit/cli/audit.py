"""`streamkit audit`: somebody's gateway between our upstream and our client, and what it does to streams."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit.cli.arguments import above_zero, from_none, json_text, pair, port, text
from streamkit.cli.output import check_file, note, seen_at_once
from streamkit.cli.request import add_headers
from streamkit.cli.stopping import stoppable
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.audit import Certificate, Gateway

__all__ = ["add_audit"]

FORMS = (".html", ".json", ".txt")


def add_audit(commands: Any) -> None:
    audit = commands.add_parser(
        "audit",
        help="put a gateway between a scripted upstream and a recorder, break what can break, and certify what it does",
        description="Put a gateway between a scripted upstream and a recorder, break what can break, and certify what "
        "it does. Exit status: 0 if nothing was found, 1 if something was, 2 for a wrong argument or a gateway that "
        "did not start or did not answer, 130 for Ctrl-C, 143 for SIGTERM.",
    )
    _add_gateway(audit)
    _add_request(audit)
    audit.add_argument(
        "--seconds",
        type=above_zero,
        metavar="S",
        help="the longest silence of the model that it has to survive (default: 5; --quick: 1)",
    )
    audit.add_argument("--quick", action="store_true", help="take about ten seconds: shorter silences, fewer cuts")
    audit.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        type=text,
        help="only this aspect (endings, text, pace, leaving, timers, back-pressure, 'side by side', resuming, heads) "
        "or scenario; may be repeated",
    )
    audit.add_argument("--seed", type=from_none, default=0, metavar="N", help="for everything random (default: 0)")
    audit.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="save the certificate (.html, .json, .txt); may be repeated",
    )
    audit.set_defaults(command=_audit)


def _add_gateway(audit: argparse.ArgumentParser) -> None:
    which = audit.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--start",
        metavar="CMD",
        type=text,
        help="the command that starts the gateway: {port} is where it has to listen on 127.0.0.1, {upstream} the URL "
        "of the upstream (without a path), {upstream_port} its port. It is not run by a shell",
    )
    which.add_argument("--url", metavar="URL", help="or where it already runs, path included; needs --upstream-port")
    audit.add_argument(
        "--upstream-port", type=port, metavar="P", help="with --url: the port where it looks for its upstream"
    )
    audit.add_argument(
        "--upstream-host",
        default="127.0.0.1",
        metavar="HOST",
        help="which address the upstream binds (default: 127.0.0.1)",
    )
    audit.add_argument(
        "--start-s", type=above_zero, default=60.0, metavar="S", help="how long it may take to start (default: 60)"
    )
    audit.add_argument("--name", default="", type=text, help="what it is called in the certificate")


def _add_request(audit: argparse.ArgumentParser) -> None:
    audit.add_argument("--preset", default="openai", metavar="NAME", help="what the upstream speaks (default: openai)")
    audit.add_argument(
        "--client-preset",
        metavar="NAME",
        help="what the gateway answers in, if that differs; 'text': text/plain, 'streamkit': our relay's events",
    )
    audit.add_argument(
        "--path", metavar="PATH", help="which path to ask (default: /v1/chat/completions; for text and streamkit /ans)"
    )
    body = audit.add_mutually_exclusive_group()
    body.add_argument(
        *("--json", "--body"),
        metavar="JSON",
        type=json_text,
        help="the body to send; {prompt} and {model} in it are filled in",
    )
    body.add_argument(
        "--data",
        metavar="NAME=VALUE",
        action="append",
        type=pair,
        help="or a form field to send, likewise; may be repeated",
    )
    add_headers(audit)
    audit.add_argument("--model", default="scripted", metavar="NAME", help="which model to ask for (default: scripted)")


@stoppable
def _audit(arguments: argparse.Namespace) -> int:
    for path in arguments.out:
        if path.suffix not in FORMS:
            raise ConfigError(f"expected --out as a file that ends in {', '.join(FORMS)}, got {path.name!r}")
        check_file(path)
    certificate = _certified(_gateway(arguments), arguments)
    print(certificate)
    for path in arguments.out:
        certificate.save(path)
        note(f"certificate: {path.resolve()}")
    return 0 if certificate.ok else 1


def _gateway(arguments: argparse.Namespace) -> Gateway:
    from streamkit.lab.audit import Gateway

    return Gateway(
        start=arguments.start,
        url=arguments.url,
        upstream_port=arguments.upstream_port,
        upstream_host=arguments.upstream_host,
        preset=arguments.preset,
        client_preset=arguments.client_preset,
        path=arguments.path,
        json=arguments.json,
        data=None if arguments.data is None else dict(arguments.data),
        headers=arguments.header or (),
        model=arguments.model,
        name=arguments.name,
        start_s=arguments.start_s,
    )


def _certified(gateway: Gateway, arguments: argparse.Namespace) -> Certificate:
    from streamkit.lab.audit import audit
    from streamkit.lab.run import run

    try:
        return run(
            audit(
                gateway,
                seconds=arguments.seconds,
                quick=arguments.quick,
                only=arguments.only,
                seed=arguments.seed,
                on_progress=_told,
            )
        )
    finally:
        _told("")


def _told(what: str) -> None:
    """One line on stderr, in the place of the one before."""
    if seen_at_once():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
