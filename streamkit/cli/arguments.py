"""What the commands take: each kind of argument is checked where it is given, and refused in words."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamkit.extractor import Extractor
    from streamkit.lab.metrics import SLO

__all__ = [
    "above_zero",
    "address",
    "as_options",
    "codings",
    "count",
    "folded",
    "from_none",
    "from_zero",
    "header",
    "json_object",
    "json_text",
    "media_type",
    "objective",
    "pair",
    "path",
    "port",
    "share",
    "text",
    "token",
]

MAX_PORT: Final = 65535
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")


def _number(given: str, kind: Callable[[str], float], *, least: float, what: str) -> Any:
    try:
        number = kind(given)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected {what}, got {given!r}")
    return number


def above_zero(given: str) -> float:
    """Seconds, or a pace."""
    return float(_number(given, float, least=math.ulp(0.0), what="a number > 0"))


def from_zero(given: str) -> float:
    """Milliseconds that may be none."""
    return float(_number(given, float, least=0, what="a number >= 0"))


def share(given: str) -> float:
    """Which part of all: from none to all."""
    number = from_zero(given)
    if number > 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {given!r}")
    return number


def objective(given: str) -> SLO:
    """Of a stream: `ttft=500,gap=100`, in ms, or one of the two."""
    from streamkit.lab.metrics import SLO

    limits = dict(part.partition("=")[::2] for part in given.split(","))
    if not limits.keys() <= {"ttft", "gap"}:
        raise argparse.ArgumentTypeError(f"expected ttft=MS,gap=MS, or one of the two, got {given!r}")
    return SLO(**{f"{name}_ms": above_zero(limit) for name, limit in limits.items()})


def count(given: str) -> int:
    """How many, from one on."""
    return int(_number(given, int, least=1, what="an integer >= 1"))


def from_none(given: str) -> int:
    """A number from 0 on, as a seed is."""
    return int(_number(given, int, least=0, what="an integer >= 0"))


def port(given: str) -> int:
    """A TCP port; 0 for a free one."""
    number = int(_number(given, int, least=0, what=f"a port from 0 to {MAX_PORT}"))
    if number > MAX_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {MAX_PORT}, got {given!r}")
    return number


def address(given: str) -> tuple[str, int]:
    """Where to listen: `9000`, `0.0.0.0:9000`, `[::1]:9000`; by itself a port is loopback's."""
    host, colon, number = given.rpartition(":")
    if not colon:
        return "127.0.0.1", port(given)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host):
        raise argparse.ArgumentTypeError(
            f"expected PORT or HOST:PORT, such as 127.0.0.1:9000 or [::1]:9000, got {given!r}"
        )
    return bare, port(number)


def json_text(given: str) -> str:
    """Any JSON value, as it is written."""
    given = text(given)
    _json(given)
    return given


def json_object(given: str) -> dict[str, object]:
    value = _json(text(given))
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {given!r}")
    return value


def _json(given: str) -> Any:
    import orjson

    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"expected JSON, got {given!r}: {error}") from None


def pair(given: str) -> tuple[str, str]:
    """A form field."""
    name, equals, value = text(given).partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {given!r}")
    return name, value


def header(given: str) -> tuple[str, str]:
    """A header that HTTP can carry (RFC 9110 section 5). Of a value that cannot be, nothing is repeated."""
    name, colon, value = given.partition(":")
    name, value = name.strip(), value.strip()
    if not colon:
        raise argparse.ArgumentTypeError("expected NAME:VALUE, got no colon")
    if not TOKEN.fullmatch(name):
        raise argparse.ArgumentTypeError(f"expected a header's name, such as X-Api-Key, got {name!r}")
    if not FIELD_VALUE.fullmatch(value):
        raise argparse.ArgumentTypeError(f"expected printable ASCII as the value of {name}, got other characters")
    return name, value


def token(given: str) -> str:
    """A method's name (RFC 9110, section 9.1)."""
    if not TOKEN.fullmatch(given):
        raise argparse.ArgumentTypeError(f"expected a method, such as GET, got {given!r}")
    return given


def media_type(given: str) -> str:
    from streamkit.lab.client.record import media_type as known

    try:
        return known(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def codings(given: str) -> str:
    """What to ask for as Accept-Encoding."""
    from streamkit.content.codings import requested

    try:
        return requested(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path(given: str) -> Extractor:
    """Where the text stands in each event."""
    from streamkit.errors import PathSyntaxError
    from streamkit.extractor import Extractor

    try:
        return Extractor(text(given))
    except PathSyntaxError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def folded(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Pairs as a form: a name that is given several times has all of its values.

    >>> from streamkit.cli.arguments import folded
    >>> folded([("a", "1"), ("b", "2"), ("a", "3")])
    {'a': ['1', '3'], 'b': '2'}
    """
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: given if len(given) > 1 else given[0] for name, given in values.items()}


def as_options(message: str, names: Iterable[str]) -> str:
    """What is said of arguments in Python, for the shell.

    >>> from streamkit.cli.arguments import as_options
    >>> as_options("expected rate= or idle_s as seconds, got none", ["rate", "idle_s"])
    'expected --rate or --idle-s as seconds, got none'

    By itself a name of one word may be a word of the sentence: that stays.
    """
    known = set(names)

    def option(found: re.Match[str]) -> str:
        name, equals = found.groups()
        return f"--{name.replace('_', '-')}" if name in known and (equals or "_" in name) else found[0]

    return re.sub(r"(?<![\w-])([a-z][a-z_]*)\b(=(?!\w))?", option, message)


def text(given: str) -> str:
    """The shell gives bytes: where they are none of the locale's encoding, they are read as UTF-8."""
    try:
        return os.fsencode(given).decode("utf-8") if _is_torn(given) else given
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError("expected text, got bytes that are not UTF-8") from None


def _is_torn(given: str) -> bool:
    """Python keeps bytes that it cannot decode as lone surrogates (PEP 383)."""
    return any("\ud800" <= char <= "\udfff" for char in given)
