"""What the commands take: each kind of argument is checked where it is given, and refused in words."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

__all__ = [
    "above_zero",
    "count",
    "folded",
    "from_zero",
    "header",
    "json_object",
    "json_text",
    "media_type",
    "pair",
    "port",
]

MAX_PORT: Final = 65535
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")


def _number(text: str, kind: Callable[[str], float], *, least: float, what: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
    return number


def above_zero(text: str) -> float:
    """Seconds, or a pace."""
    return float(_number(text, float, least=math.ulp(0.0), what="a number > 0"))


def from_zero(text: str) -> float:
    """Milliseconds that may be none."""
    return float(_number(text, float, least=0, what="a number >= 0"))


def count(text: str) -> int:
    """How many, from one on."""
    return int(_number(text, int, least=1, what="an integer >= 1"))


def port(text: str) -> int:
    """A TCP port; 0 for a free one."""
    number = int(_number(text, int, least=0, what=f"a port from 0 to {MAX_PORT}"))
    if number > MAX_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {MAX_PORT}, got {text!r}")
    return number


def json_text(text: str) -> str:
    """Any JSON value, as it is written."""
    _json(text)
    return text


def json_object(text: str) -> dict[str, object]:
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return value


def _json(text: str) -> Any:
    import orjson

    try:
        return orjson.loads(_characters(text))
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"expected JSON, got {text!r}: {error}") from None


def pair(text: str) -> tuple[str, str]:
    """A form field."""
    name, equals, value = _characters(text).partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def header(text: str) -> tuple[str, str]:
    """A header that HTTP can carry (RFC 9110 section 5). Of a value that cannot be, nothing is repeated."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon:
        raise argparse.ArgumentTypeError("expected NAME:VALUE, got no colon")
    if not TOKEN.fullmatch(name):
        raise argparse.ArgumentTypeError(f"expected a header's name, such as X-Api-Key, got {name!r}")
    if not FIELD_VALUE.fullmatch(value):
        raise argparse.ArgumentTypeError(f"expected printable ASCII as the value of {name}, got other characters")
    return name, value


def media_type(text: str) -> str:
    from streamkit.lab.client.record import media_type as known

    try:
        return known(text)
    except ValueError as error:
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


def _characters(text: str) -> str:
    """The shell gives bytes: where they are none of the locale's encoding, nothing can be sent of them as text."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("expected text, got bytes that are none in this locale's encoding") from None
    return text
