"""What is asked, and as whom: the options that commands share which ask a server."""

from __future__ import annotations

import argparse
import base64
import getpass
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from streamkit.cli.arguments import above_zero, folded, header, json_text, media_type, pair, text, token
from streamkit.errors import ConfigError

__all__ = [
    "add_headers",
    "add_label",
    "add_question",
    "add_request",
    "check_no_body",
    "check_url",
    "has",
    "json_or_file",
    "question_of",
    "request_of",
]

BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods by which nothing is sent unless it is given."""
STDIN: Final = "-"


def check_url(url: str) -> None:
    """Raise ConfigError for what is no full URL, and repeat it but for what may be a secret: a password, a query."""
    from streamkit.reasons import masked
    from streamkit.transport.url import split_unix_url

    try:
        split_unix_url(url)
    except ConfigError as error:
        if ", got" in str(error):
            raise
        bare = url.rpartition("@")[2].partition("?")[0].partition("#")[0]
        raise ConfigError(f"{error}, got {masked(bare)!r}") from None


def add_request(parser: argparse.ArgumentParser) -> None:
    """All of them but the body, which each command has its own names for."""
    parser.add_argument("--method", metavar="NAME", type=token, help="GET, PUT, … (default: POST)")
    add_headers(parser)
    parser.add_argument(
        "--user",
        metavar="NAME",
        type=user,
        help="HTTP basic authentication: you are asked for the password, or it is the first line of stdin where that "
        "is not a terminal. (One in the URL, http://NAME:PASSWORD@…, works too, but others can see it)",
    )
    parser.add_argument("--accept", metavar="TYPE", type=media_type, help="text, sse, ndjson, or a media type")
    parser.add_argument(
        "--cacert",
        metavar="FILE",
        help="the certificates (PEM) to trust, instead of the system's; 'env': those that SSL_CERT_FILE or "
        "SSL_CERT_DIR names, which are ignored otherwise",
    )
    parser.add_argument("--reasoning", action="store_true", default=None, help="record the reasoning too")


def add_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label",
        metavar="NAME",
        type=text,
        help="what it is called in figures; recordings with the same label are a group",
    )


def add_question(parser: argparse.ArgumentParser) -> None:
    """The same for whoever asks many times, with a body that is a question."""
    body = parser.add_mutually_exclusive_group()
    body.add_argument(
        "--prompt",
        metavar="TEXT",
        action="append",
        type=text,
        help="what to ask: sent as the form field chat_history, or as the provider of --preset wants it; may be "
        "repeated, and each request then has one of them (default: hi)",
    )
    body.add_argument("--data", metavar="NAME=VALUE", action="append", type=pair, help="a form field; may be repeated")
    body.add_argument(
        "--body",
        metavar="JSON",
        type=json_or_file,
        help="a JSON body: any value, sent as it is written; '@FILE' reads it from a file",
    )
    add_request(parser)
    parser.add_argument(
        "--preset", metavar="NAME", help="the provider: how it is asked and read (default: our relay's form)"
    )
    parser.add_argument("--model", metavar="NAME", help="which of its models to ask for, with --preset")
    parser.add_argument(
        "--total-s", type=above_zero, metavar="S", help="the longest that a stream may take (default: none)"
    )


def check_no_body(arguments: argparse.Namespace, unknown: Iterable[str]) -> None:
    """Raise ConfigError for a body behind the --json of a command in which that is the form of what it shows.

    argparse takes it for a URL or a target, or leaves it over as `unknown`.
    """
    if "body" not in arguments or not arguments.json:
        return
    words = [*unknown, *([arguments.url] if "url" in arguments else arguments.targets)]
    if any(word.lstrip().startswith(("{", "[{", "@")) for word in words):
        raise ConfigError("--json is how the result is shown, and takes nothing: the JSON to send is --body JSON")


def question_of(arguments: argparse.Namespace, urls: Sequence[str]) -> dict[str, Any]:
    """What `record()` is told of all that, but for the prompts."""
    request = request_of(arguments, arguments.body, urls)
    if arguments.model is not None:
        request["model"] = arguments.model
    if request.get("method") in BODILESS and not (arguments.prompt or request.keys() & {"data", "content"}):
        request["content"] = b""
    return request


def request_of(arguments: argparse.Namespace, body: str | None, urls: Sequence[str]) -> dict[str, Any]:
    """What `record()` is told; what is not given is left to it. `body`: JSON, as it is sent; `urls`: who is asked.

    Raises ConfigError for what does not go together.
    """
    headers = list(arguments.header or ())
    if arguments.user is not None:
        headers.append(("Authorization", _basic(arguments.user, headers, urls)))
    given: dict[str, Any] = {
        "method": arguments.method,
        "accept": arguments.accept,
        "preset": arguments.preset,
        "verify": arguments.cacert,
        "total_s": arguments.total_s,
        "reasoning": arguments.reasoning,
        "label": arguments.label if "label" in arguments else None,
    }
    if arguments.data:
        given["data"] = folded(arguments.data)
    if body is not None:
        given["content"] = body
        if not has(headers, "content-type"):
            headers.append(("content-type", "application/json"))
    return {"headers": headers, **{name: value for name, value in given.items() if value is not None}}


def has(headers: list[tuple[str, str]], name: str) -> bool:
    """Whether a header of this name, in lower case, is among them."""
    return any(each.lower() == name for each, _ in headers)


def json_or_file(given: str) -> str:
    """A JSON value as it is written, or `@FILE` with one (no JSON begins so); `@-`: stdin."""
    return json_text(_read(given[1:]) if given.startswith("@") else given)


def add_headers(parser: argparse.ArgumentParser) -> None:
    """As `curl -H` has them, and from a file: a key on the command line is seen by all who list processes."""
    parser.add_argument(
        *("-H", "--header"),
        metavar="NAME:VALUE",
        action="extend",
        type=header_or_file,
        help="a header; may be repeated, with the same name too; '@FILE' reads headers from a file, one a line: that "
        "keeps a key off the command line, where others can see it",
    )
    parser.add_argument(
        "--header-file",
        metavar="FILE",
        dest="header",
        action="extend",
        type=headers_in,
        help="the same as --header @FILE; '-' for stdin; empty lines and lines that begin with # are skipped",
    )


def header_or_file(given: str) -> list[tuple[str, str]]:
    """One header, or `@FILE` with any number."""
    return headers_in(given[1:]) if given.startswith("@") else [header(given)]


def headers_in(path: str) -> list[tuple[str, str]]:
    """The headers of a file. What is wrong with a line is said by its number, and without it."""
    found = []
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                found.append(header(line))
            except argparse.ArgumentTypeError as error:
                told = str(error) if "the value of" in str(error) else "expected NAME:VALUE"
                raise argparse.ArgumentTypeError(f"line {number} of {path}: {told}") from None
    return found


def user(given: str) -> str:
    """A name for basic authentication (RFC 7617, section 2): a colon would begin the password."""
    if ":" in given or not given:
        raise argparse.ArgumentTypeError("expected the name alone: others can see a password on the command line")
    return text(given)


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == STDIN else Path(path).read_text("utf-8")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"expected a file that can be read, got {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"expected text in {path}, got bytes that are not UTF-8") from None


def _basic(user: str, headers: list[tuple[str, str]], urls: Sequence[str]) -> str:
    if has(headers, "authorization"):
        raise ConfigError("expected --user or an Authorization header, got both")
    if any("@" in urlsplit(url).netloc for url in urls):
        raise ConfigError("expected --user or a user in the URL, got both")
    if sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass(f"password of {user}: ", stream=sys.stderr)
    else:
        line = "" if sys.stdin is None else sys.stdin.readline()
        if not line:
            raise ConfigError(
                "expected the password of --user in the first line of stdin, which is no terminal; got none"
            )
        password = line.rstrip("\r\n")
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode('ascii')}"
