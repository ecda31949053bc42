"""Newline-delimited JSON, under any cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import LineTooLong
from streamkit.parser import NDJSONParser
from tests.parser.feeding import BOM, bodies, cut_at, cuts, drain, every_way, message

NDJSON_CASES: dict[str, tuple[bytes, list[str], str | None]] = {
    "one event for each line": (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}'], None),
    "CRLF is tolerated": (b'{"a":1}\r\n{"b":2}\r\n', ['{"a":1}', '{"b":2}'], None),
    "blank lines are no events": (b'\n\r\n{"a":1}\n \t\n\n', ['{"a":1}'], None),
    "a lone CR is no line end": (b'{"a":\r1}\n', ['{"a":\r1}'], None),
    "U+2028, U+0085, VT and FF are not line ends": (
        '"a\u2028b\x85c\x0bd\x0ce"\n'.encode(),
        ['"a\u2028b\x85c\x0bd\x0ce"'],
        None,
    ),
    "a BOM at the start is dropped": (BOM + b"{}\n" + BOM + b"{}\n", ["{}", "\ufeff{}"], None),
    "invalid UTF-8 is replaced": (b'"\xff\xe4\xbd"\n', ['"\ufffd\ufffd"'], None),
    "a line that is no JSON is passed on": (b"oops\n{}\n", ["oops", "{}"], None),
    "a last line that is whole JSON needs no newline": (b'{"a":1}\n{"done":true}', ['{"a":1}', '{"done":true}'], None),
    "a last line of true or a string is whole": (b'"a"\ntrue\r', ['"a"', "true"], None),
    "a cut last line is no event": (b'{"a":1}\n{"done":tr', ['{"a":1}'], '{"done":tr'),
    "a bare number at the end may be cut": (b"1\n12", ["1"], "12"),
    "a number with space behind it may not, but who would know": (b"12 ", [], "12 "),
    "a last line of blanks is nothing": (b"{}\n \r", ["{}"], None),
    "nothing at all": (b"", [], None),
    "a cut character": (b'"\xe4\xbd', [], '"\ufffd'),
    "a cut BOM": (b"\xef\xbb", [], "\ufffd"),
}


@pytest.mark.parametrize(("body", "expected", "unfinished"), NDJSON_CASES.values(), ids=NDJSON_CASES.keys())
def test_ndjson(body: bytes, expected: list[str], unfinished: str | None) -> None:
    """Each case gives its lines, whole, byte by byte and at any cut, and reports a cut last line."""
    for reads in every_way(body):
        parser = NDJSONParser()
        assert drain(parser, reads) == ([message(line) for line in expected], []), reads
        assert parser.unfinished == (None if unfinished is None else message(unfinished))


@given(body=bodies, places=cuts, max_line=st.integers(1, 20))
def test_ndjson_survives_oversized_lines_at_any_cuts(body: bytes, places: list[int], max_line: int) -> None:
    """One error for each oversized line, and all other lines, whatever the cuts."""
    body = b"\n" + body + b"\n"
    lines = body.split(b"\n")
    texts = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines if len(line) <= max_line]
    expected = (
        [message(text) for text in texts if text.strip(" \t\r")],
        [LineTooLong for line in lines if len(line) > max_line],
    )
    for reads in ([body], cut_at(body, places), [body[i : i + 1] for i in range(len(body))]):
        assert drain(NDJSONParser(max_line_bytes=max_line), reads) == expected


def test_ndjson_says_that_it_dropped_the_end_of_an_oversized_line() -> None:
    """An oversized last line, or lines waiting behind an oversized one, make the stream unfinished."""
    for body in (b"0123456789", b"0123456789\n{}\n"):
        parser = NDJSONParser(max_line_bytes=5)
        with pytest.raises(LineTooLong):
            parser.feed(body)
        assert parser.close() == []
        assert parser.unfinished is not None
