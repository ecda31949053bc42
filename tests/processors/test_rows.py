"""Rows of CSV: any partition of any bytes gives what a reader that looks at each of them gives; nothing bad spreads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamkit.processors import rows
from streamkit.processors.processor import Unprocessable
from streamkit.processors.rows import MAX_COLUMNS, MAX_NAMES_BYTES, MAX_ROW_BYTES, RowReader
from tests.processors import csv_oracle
from tests.processors.cuts import CUTS, cut

ATOMS = st.sampled_from(
    [
        b"a",
        b"1",
        b",",
        b",",
        b'"',
        b'"',
        b'""',
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xc3",
        b"\xc3\xa9",
        b" ",
        b"x" * 9,
    ]
)
MESS = st.lists(ATOMS, max_size=40).map(b"".join)
HEADS = st.sampled_from([b"a,b\n", b"a\n", b"a,b\r\n", b"", b"\xef\xbb\xbfa,b,c\r", b'\xef\xbb\xbf"a\n",b\n'])


def read(parts: Sequence[bytes]) -> tuple[RowReader, list[list[bytes]]]:
    """The reader, and all good rows."""
    reader, found = RowReader(), list[list[bytes]]()

    def take(columns: Iterator[rows.Columns]) -> None:
        found.extend(list(row) for several in columns for row in zip(*several, strict=True))

    for part in parts:
        take(reader.feed(part))
    take(reader.close())
    return reader, found


def bad(data: bytes) -> list[tuple[int, int, str]]:
    """Line, byte and reason of each bad row."""
    return [(each["line"], each["byte"], each["reason"]) for each in read([data])[0].bad]


def good(data: bytes) -> list[list[bytes]]:
    return read([data])[1]


@given(HEADS, MESS, CUTS, st.sampled_from([(12, 8), (40, 8), (40, 40), (1 << 20, 8), (1 << 20, 1 << 16)]))
@example(b"a,b\n", b'"x,2\n3,4\n', [], (12, 8))
@example(b"a\n", b'""\n\n1', [2, 3, 4], (1 << 20, 1 << 16))
def test_any_partition_gives_what_looking_at_each_byte_gives(
    head: bytes, mess: bytes, cuts: list[int], bounds: tuple[int, int]
) -> None:
    data = head + mess
    max_row_bytes, together_bytes = bounds
    with patch.object(rows, "MAX_ROW_BYTES", max_row_bytes), patch.object(rows, "TOGETHER_BYTES", together_bytes):
        try:
            expected = csv_oracle.read(data, max_row_bytes)
        except csv_oracle.BadHeader as error:
            with pytest.raises(Unprocessable, match=str(error)):
                read(cut(data, cuts))
            return
        reader, found = read(cut(data, cuts))
    assert found == expected.good
    assert (reader.rows, reader.bad_rows) == (len(expected.good), len(expected.bad))
    assert reader.bad == expected.bad[:20]


def test_one_byte_at_a_time_is_as_good_as_all_at_once() -> None:
    data = b'a,b\r\n1,"x\r\n""y"""\r\n\r\n2\r\n"3,4\r\n5,6\r\n'
    assert read([data[at : at + 1] for at in range(len(data))])[0].bad == read([data])[0].bad
    assert good(data) == [[b"1", b'x  ""y""'], [b"5", b"6"]]
    assert bad(data) == [(5, 21, "cells: 1, not 2"), (6, 24, "a quote that is not closed")]


def test_lines_end_in_three_ways_and_each_is_one_line() -> None:
    assert good(b"a,b\n1,2\r\n3,4\r5,6") == [[b"1", b"2"], [b"3", b"4"], [b"5", b"6"]]
    assert bad(b"a,b\n1,2\r\n3,4\r5") == [(4, 13, "cells: 1, not 2")]


def test_empty_lines_are_no_rows_but_an_empty_cell_in_quotes_is_one() -> None:
    assert good(b'a\n\n1\r\n\r\n""\n\n') == [[b"1"], [b" "]]


def test_lines_within_quotes_count_and_their_row_is_where_it_begins() -> None:
    assert bad(b'a,b\n"1\n2\n3",4\n5\n') == [(5, 14, "cells: 1, not 2")]
    assert bad(b'a,b\n1,2\n"1\n2",4,5\n6,7\n') == [(3, 8, "cells: 3, not 2")]


def test_a_quote_that_is_not_closed_costs_its_own_line() -> None:
    data = b'a,b\n1,2\n"3,4\n5,6\n7,8\n'
    assert good(data) == [[b"1", b"2"], [b"5", b"6"], [b"7", b"8"]]
    assert bad(data) == [(3, 8, "a quote that is not closed")]


def test_a_quote_that_is_not_closed_eats_no_more_than_its_line_of_a_long_upload() -> None:
    count = 2 * MAX_ROW_BYTES // 4
    data = b'a,b\n"3,4\n' + b"5,6\n" * count
    reader, found = read(cut(data, range(0, len(data), 50_000)))
    assert (len(found), reader.rows) == (count, count)
    assert reader.bad == [{"line": 2, "byte": 4, "reason": f"more than {MAX_ROW_BYTES} bytes"}]


@pytest.mark.parametrize("row", [b'"1"2,3', b'1"2",3', b'1,"2" ', b'1, "2"'])
def test_a_quote_stands_around_a_cell_or_its_row_is_bad(row: bytes) -> None:
    data = b"a,b\n" + row + b"\n5,6\n"
    assert bad(data) == [(2, 4, "a quote that is not around a cell")]
    assert good(data) == [[b"5", b"6"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1,\0", "a NUL byte"),
        (b"1,\xff", "bytes that are not UTF-8"),
        (b'1,"\xc3"', "bytes that are not UTF-8"),
        (b"1,\xed\xa0\x80", "bytes that are not UTF-8"),
        (b"1,2,3", "cells: 3, not 2"),
        (b"1", "cells: 1, not 2"),
        (b" ", "cells: 1, not 2"),
    ],
)
def test_what_is_bad_about_a_row_stays_with_it(row: bytes, reason: str) -> None:
    data = b"a,b\n1,2\n" + row + b"\n3,4\n"
    assert bad(data) == [(3, 8, reason)]
    assert good(data) == [[b"1", b"2"], [b"3", b"4"]]


@pytest.mark.parametrize("filler", [b"9", b",", b'""'])
def test_a_line_without_an_end_is_not_held(filler: bytes) -> None:
    reader = RowReader()
    list(reader.feed(b"a,b\n1,2\n" + b'"' * (filler == b'""')))
    block = filler * (100_000 // len(filler))
    for _ in range(30):
        list(reader.feed(block))
        assert len(reader._rest) <= MAX_ROW_BYTES * 5 // 4 + len(block) + 8
    list(reader.feed(b"\n3,4\n"))
    assert (reader.rows, reader.bad_rows, reader.bad[0]["reason"]) == (2, 1, f"more than {MAX_ROW_BYTES} bytes")


def test_the_longest_row_is_read_and_one_byte_more_is_too_long() -> None:
    longest = b"a\n" + b"9" * MAX_ROW_BYTES
    assert [len(row[0]) for row in good(longest)] == [MAX_ROW_BYTES]
    assert bad(longest + b"9") == [(2, 2, f"more than {MAX_ROW_BYTES} bytes")]


def test_a_row_that_comes_in_small_parts_takes_time_in_proportion_to_its_length() -> None:
    reader, looks = RowReader(), 0
    original = reader._columns

    def counted(*given: int, final: bool) -> Iterator[rows.Columns]:
        nonlocal looks
        looks += 1
        return original(*given, final=final)

    with patch.object(reader, "_columns", counted):
        for _ in range(20_000):
            list(reader.feed(b"9"))
    assert looks < 100


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (b"\xef\xbb\xbfa,b", ["a", "b"]),
        (b' a ,"b, c","d ""e"""', ["a", "b, c", 'd "e"']),
        (b",a,", ["column_1", "a", "column_3"]),
        (b"a,a,a_2,a", ["a", "a_2", "a_2_2", "a_3"]),
        (b'\n\r\n"a\nb",c', ["a\nb", "c"]),
        (b'""', ["column_1"]),
    ],
)
def test_the_first_row_names_the_columns_each_once(head: bytes, names: list[str]) -> None:
    assert read([head])[0].names == names
    assert read(cut(head + b"\n", range(99)))[0].names == names


@pytest.mark.parametrize(
    "head",
    [b"a,\0", b"a,\xff", b'a,"b', b'a"b', b"\xff\xfea\0,\0", b"a" * (MAX_ROW_BYTES + 1), b"a" * (MAX_NAMES_BYTES + 1)],
)
def test_a_first_row_that_cannot_name_columns_is_refused(head: bytes) -> None:
    with pytest.raises(Unprocessable, match="bad_csv_header: name the columns in the first row"):
        read([head])


def test_columns_are_bounded() -> None:
    assert len(read([b"," * (MAX_COLUMNS - 1)])[0].names) == MAX_COLUMNS
    for head in (b"," * MAX_COLUMNS, b'"",' * MAX_COLUMNS):
        with pytest.raises(Unprocessable, match="too_many_columns: send at most 1000 columns"):
            read([head])


def test_the_first_twenty_bad_rows_are_named_and_all_are_counted() -> None:
    reader, found = read([b"a,b\n" + b"1\n1,2\n" * 30, b'"x"y\n' * 5])
    assert (reader.bad_rows, len(found), len(reader.bad)) == (35, 30, 20)
    assert reader.bad[-1] == {"line": 40, "byte": 118, "reason": "cells: 1, not 2"}


@pytest.mark.parametrize("nothing", [b"", b"\n\r\n", b"\xef\xbb\xbf"])
def test_nothing_has_no_names(nothing: bytes) -> None:
    assert read([nothing])[0].names == []
