"""What the commands take: each kind of argument by itself, and what is said of one that is none."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from streamkit.cli import arguments as kinds


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (kinds.above_zero, "0.5", 0.5),
        (kinds.from_zero, "0", 0.0),
        (kinds.count, "1", 1),
        (kinds.port, "0", 0),
        (kinds.port, "65535", 65535),
        (kinds.pair, "a=b=c", ("a", "b=c")),
        (kinds.pair, "=", ("", "")),
        (kinds.pair, "\udce4\udcbd\udca0=1", ("你", "1")),
        (kinds.header, "X-Key:  a:b ", ("X-Key", "a:b")),
        (kinds.header, "X-Key:", ("X-Key", "")),
        (kinds.json_text, " [1] ", " [1] "),
        (kinds.json_text, "null", "null"),
        (kinds.json_text, '"\udce4\udcbd\udca0"', '"你"'),
        (kinds.json_object, "{}", {}),
        (kinds.media_type, "sse", "text/event-stream"),
        (kinds.media_type, "image/png", "image/png"),
        (kinds.text, "\udce4\udcbd\udca0", "你"),
        (kinds.text, "你", "你"),
    ],
)
def test_what_makes_sense_is_taken(kind: Callable[[str], Any], given: str, value: Any) -> None:
    assert kind(given) == value


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        *((kinds.above_zero, given, "expected a number > 0") for given in ("0", "-1", "nan", "inf", "", "x", "1e999")),
        *((kinds.from_zero, given, "expected a number >= 0") for given in ("-1", "nan", "inf", "x")),
        *((kinds.count, given, "expected an integer >= 1") for given in ("0", "-1", "1.5", "x", "nan")),
        *((kinds.port, given, "expected a port from 0 to 65535") for given in ("-1", "65536", "x")),
        (kinds.pair, "q", "expected NAME=VALUE, got 'q'"),
        (kinds.pair, "\udcff=1", "expected text, got bytes that are not UTF-8"),
        (kinds.header, "secret", "expected NAME:VALUE, got no colon"),
        (kinds.header, "a b:c", "expected a header's name, such as X-Api-Key, got 'a b'"),
        (kinds.header, ":c", "expected a header's name"),
        (kinds.header, "你:c", "expected a header's name"),
        (kinds.header, "X:你", "expected printable ASCII as the value of X"),
        (kinds.header, "X:a\r\nY: b", "expected printable ASCII as the value of X"),
        (kinds.json_text, "{", "expected JSON, got '{'"),
        (kinds.json_text, "", "expected JSON"),
        (kinds.json_object, "[1]", "expected a JSON object, got '[1]'"),
        (kinds.json_object, "{", "expected JSON, got '{'"),
        (kinds.media_type, "acept", "expected accept as a media type, or one of text, sse, ndjson"),
        (kinds.text, "\udcff", "expected text, got bytes that are not UTF-8"),
    ],
)
def test_what_makes_none_is_refused_in_words(kind: Callable[[str], Any], given: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        kind(given)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value), "a header's value may be a key"


def test_names_of_arguments_in_a_message_become_options() -> None:
    names = ["rate", "streams", "idle_s"]
    said = "expected rate=, streams= or idle_s as seconds, got rate=3, other_s and a rate of idle_seconds"
    told = "expected --rate, --streams or --idle-s as seconds, got rate=3, other_s and a rate of idle_seconds"
    assert kinds.as_options(said, names) == told


def test_a_name_that_is_given_several_times_has_all_its_values() -> None:
    assert kinds.folded([("a", "1"), ("b", "2"), ("a", "3"), ("a", "")]) == {"a": ["1", "3", ""], "b": "2"}
