"""Numbers out of lines of JSON and rows of CSV: what is one, what is bad and where, however the bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors.numbers import (
    MAX_COLUMNS,
    MAX_LINE_BYTES,
    MAX_VALUES,
    JSONNumbers,
    NumberReader,
    TableNumbers,
    number_reader,
)
from streamkit.processors.processor import Unprocessable

Found = tuple[int, dict[str, list[float]], int, list[tuple[int, int, str]]]


def read(reader: NumberReader, *parts: bytes) -> Found:
    """Rows, columns, bad lines, and those that are named."""
    count, columns = 0, dict[str, list[float]]()
    for rows in [*map(reader.feed, parts), reader.close()]:
        count += rows.number
        for name, values in rows.columns.items():
            columns.setdefault(name, []).extend(values)
    return count, columns, reader.bad, [(each["line"], each["byte"], each["reason"]) for each in reader.bad_lines]


def numbers(data: bytes) -> list[float]:
    count, columns, bad, _ = read(JSONNumbers(), data)
    assert (bad, set(columns)) == (0, {""})
    assert count == len(columns[""])
    return columns[""]


def reason(data: bytes) -> str:
    (found,) = read(JSONNumbers(), data)[3]
    return found[2]


# -- lines of JSON -------------------------------------------------------------------------------------------------


def test_a_number_a_line() -> None:
    assert numbers(b"1\n-2.5\r\n  3e2 \n") == [1.0, -2.5, 300.0]


def test_the_last_line_counts_without_its_end() -> None:
    assert numbers(b"1\n23") == [1.0, 23.0]


def test_blank_lines_are_none_and_a_byte_order_mark_is_no_part_of_the_first() -> None:
    assert numbers(b"\xef\xbb\xbf1\n\n \t\r\n2\n\n") == [1.0, 2.0]


def test_members_that_are_numbers_are_columns_and_others_are_left_out() -> None:
    data = b'{"t": 1, "at": "now", "ok": true, "in": {"x": 1}}\n{"h": 0.5, "t": null}\n{}\n'
    assert read(JSONNumbers(), data) == (3, {"t": [1.0], "h": [0.5]}, 0, [])


@pytest.mark.parametrize(
    "wrong", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x1F", b"1_000", b"1,2", b"{", b"\xff"]
)
def test_what_is_no_json_is_bad(wrong: bytes) -> None:
    assert reason(b"1\n%b\n2\n" % wrong) == "not JSON"


@pytest.mark.parametrize("wrong", [b'"1"', b"true", b"null", b"[1]", b'{"t": 1}'])
def test_among_numbers_all_else_is_bad(wrong: bytes) -> None:
    assert reason(b"1\n%b\n2\n" % wrong) == "not number"


@pytest.mark.parametrize("wrong", [b'"1"', b"true", b"null", b"[1]", b"1"])
def test_among_objects_all_else_is_bad(wrong: bytes) -> None:
    assert reason(b'{"t": 1}\n%b\n{"t": 2}\n' % wrong) == "not object"


def test_a_bad_first_line_does_not_say_what_the_lines_are() -> None:
    assert read(JSONNumbers(), b'[]\n{"t": 1}\n') == (1, {"t": [1.0]}, 1, [(1, 0, "not number or object")])


def test_two_bad_lines_that_would_be_good_as_one_are_two_bad_lines() -> None:
    assert read(JSONNumbers(), b"[1\n2]\n1,2\n{\n}\n7\n")[:3] == (1, {"": [7.0]}, 5)


def test_bad_lines_are_named_by_line_and_byte_and_stop_nothing() -> None:
    count, columns, bad, named = read(JSONNumbers(), b"\xef\xbb\xbf1\n\nx\n2\r\ny\n3\n")
    assert (count, columns[""], bad) == (3, [1.0, 2.0, 3.0], 2)
    assert named == [(3, 6, "not JSON"), (5, 11, "not JSON")]


def test_all_are_counted_and_twenty_named() -> None:
    *_, bad, named = read(JSONNumbers(), b"x\n" * 50)
    assert (bad, len(named)) == (50, 20)


def test_a_line_that_is_too_long_is_let_go_as_it_comes_and_counted_once() -> None:
    reader = JSONNumbers()
    reader.feed(b"1\n")
    for _ in range(5):
        reader.feed(b" " * (MAX_LINE_BYTES // 2))
    assert len(reader._rest) <= MAX_LINE_BYTES
    assert read(reader, b"7\n2\nx\n") == (
        *(1, {"": [2.0]}, 2),
        [(2, 2, f"more than {MAX_LINE_BYTES} bytes"), (4, 5 + 5 * MAX_LINE_BYTES // 2 + 1, "not JSON")],
    )


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("cut", [0, 10, MAX_LINE_BYTES, MAX_LINE_BYTES + 1])
def test_a_line_may_have_a_megabyte_however_it_comes(more: int, cut: int) -> None:
    data = b"1".rjust(MAX_LINE_BYTES + more) + b"\n2\n"
    assert read(JSONNumbers(), data[:cut], data[cut:])[:3] == (2 - more, {"": [1.0, 2.0][more:]}, more)


@pytest.mark.parametrize("values", [b"0," * MAX_VALUES + b"0", b"{}," * MAX_VALUES + b"0", b"[" * (MAX_VALUES + 1)])
def test_a_line_of_many_values_is_not_even_parsed(values: bytes) -> None:
    assert reason(b"[%b]" % values) == f"more than {MAX_VALUES} values"


def test_names_are_short_and_columns_few() -> None:
    reader = JSONNumbers()
    rows = b"".join(b'{"%d": 1}\n' % number for number in range(MAX_COLUMNS + 5))
    assert read(reader, b'{"": 1}\n{"%b": 1}\n' % (b"n" * 101), rows)[2:] == (
        7,
        [
            (1, 0, "a name that is not 1 to 100 characters long"),
            (2, 8, "a name that is not 1 to 100 characters long"),
            *[(103 + n, 117 + 10 * 9 + 90 * 10 + 11 * n, "more than 100 columns in all") for n in range(5)],
        ],
    )


# -- rows of CSV ---------------------------------------------------------------------------------------------------


def test_cells_that_are_finite_numbers_count_and_all_others_are_missing() -> None:
    data = b"city,t\nRome,20.5\nOslo,\nBari,nan\nBonn,inf\nKiel,1_0\nGera, 1e3 \nUlm,warm\nWien,1e999\n"
    assert read(TableNumbers(), data) == (8, {"city": [], "t": [20.5, 1000.0]}, 0, [])


def test_a_row_of_another_length_is_bad_and_named() -> None:
    count, columns, bad, named = read(TableNumbers(), b"a,b\n1,2\n3\n4,5")
    assert (count, columns, bad) == (2, {"a": [1.0, 4.0], "b": [2.0, 5.0]}, 1)
    assert named[0][:2] == (3, 8)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b",".join([b"n"] * (MAX_COLUMNS + 1)), "too_many_columns"),
        (b"n" * 101, "bad_csv_header"),
        (b'"', "bad_csv_header"),
    ],
)
def test_a_first_row_that_names_no_columns_ends_it(head: bytes, code: str) -> None:
    with pytest.raises(Unprocessable) as raised:
        read(TableNumbers(), head + b"\n1\n")
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/csv", TableNumbers),
        ("Text/CSV; charset=utf-8", TableNumbers),
        ("application/x-ndjson", JSONNumbers),
        ("application/x-www-form-urlencoded", JSONNumbers),  # what curl says of its --data
        ("", JSONNumbers),
    ],
)
def test_the_content_type_says_which(content_type: str, kind: type) -> None:
    assert type(number_reader(content_type)) is kind


def test_they_say_how_far_they_are() -> None:
    for reader, said in (
        (JSONNumbers(), "<JSONNumbers: line 2, 0 bad ones>"),
        (TableNumbers(), "<TableNumbers: 0 rows, 0 bad ones>"),
    ):
        reader.feed(b"1\n")
        assert repr(reader) == said


# -- however they are cut ------------------------------------------------------------------------------------------

ODD = [b"", b" \r", b"x", b"NaN", b"1,2", b"[1", b"2]", b'"', b"{", b"}", b"\xff", b"\xef\xbb\xbf1", b'{"a":3},{"a":4}']
LINES = st.lists(st.sampled_from([*ODD, b"1", b"-2.5e3", b"7\r", b'{"a":1}', b'{"a":2,"b":"c"}']), max_size=12)


@given(LINES, st.booleans(), st.booleans(), st.data())
def test_any_partition_of_the_bytes_gives_the_same(lines: list[bytes], ends: bool, bom: bool, data: Any) -> None:
    whole = b"\xef\xbb\xbf" * bom + b"\n".join(lines) + b"\n" * ends
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(JSONNumbers(), *parts) == read(JSONNumbers(), whole) == read(JSONNumbers(), *(b"%c" % c for c in whole))


@given(LINES, st.booleans())
def test_whether_in_bulk_or_line_by_line_it_is_the_same(lines: list[bytes], ends: bool) -> None:
    """Each line by itself is read line by line or in bulk of one; together, in bulk where that can be."""
    whole = b"\n".join(lines) + b"\n" * ends
    careful = JSONNumbers()
    careful._in_bulk = lambda _: None  # type: ignore[method-assign,assignment]  # the quick way, closed
    assert read(careful, whole) == read(JSONNumbers(), whole)


@given(LINES)
def test_every_line_that_is_not_blank_is_a_row_or_bad(lines: list[bytes]) -> None:
    count, _, bad, _ = read(JSONNumbers(), b"\n".join(lines))
    assert count + bad == sum(bool(line.strip(b" \t\r")) for line in lines)
