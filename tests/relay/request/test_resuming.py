"""What a request says of a stream that it wants more of: heads in, values out."""

from __future__ import annotations

import pytest
from sanic.compat import Header

from streamkit.relay.failure import Failed
from streamkit.relay.request.resuming import (
    Cursor,
    body_digest,
    cursor,
    first_byte,
    idempotency_key,
    key_digest,
    owner_digest,
)

ID = "0123456789abcdef" * 2
OTHER = "f" * 32


def code_of(error: pytest.ExceptionInfo[Failed]) -> tuple[int, str]:
    return error.value.failure.status, error.value.failure.code


def heads(*pairs: tuple[str, str]) -> Header:
    return Header(list(pairs))


# --- Cursors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "1", "17", "9" * 15])
def test_a_cursor_is_an_id_and_a_number(number: str) -> None:
    assert cursor(heads(("last-event-id", f"{ID}.{number}"))) == Cursor(ID, int(number))


@pytest.mark.parametrize("given", [[], [""], ["", ""]])
def test_who_says_nothing_or_says_it_with_an_empty_header_begins(given: list[str]) -> None:
    """A browser whose last event had no id sends none; one that was reset sends an empty one."""
    assert cursor(heads(*(("last-event-id", value) for value in given))) is None


@pytest.mark.parametrize(
    "given",
    [
        "17",
        ID,
        f"{ID}.",
        f".{1}",
        f"{ID}.-1",
        f"{ID}.+1",
        f"{ID}.01",
        f"{ID}.1.1",
        f"{ID}.1 ",
        f" {ID}.1",
        f"{ID}.1\n",
        f"{ID}.１",  # a full-width digit
        f"{ID}.1e3",
        f"{ID}.{10**15}",
        f"{ID.upper()}.1",
        f"{ID[1:]}.1",
        f"{ID}0.1",
        f"{ID}.1,{ID}.2",
        "None",
        "\x00",
    ],
)
def test_anything_else_is_no_cursor(given: str) -> None:
    with pytest.raises(Failed) as caught:
        cursor(heads(("last-event-id", given)))
    assert code_of(caught) == (400, "cursor_malformed")


def test_two_cursors_are_none() -> None:
    with pytest.raises(Failed) as caught:
        cursor(heads(("last-event-id", f"{ID}.1"), ("last-event-id", f"{ID}.2")))
    assert code_of(caught) == (400, "cursor_malformed")


def test_a_cursor_of_another_stream_is_none_of_this_one() -> None:
    head = heads(("last-event-id", f"{OTHER}.1"))
    assert cursor(head) == Cursor(OTHER, 1)
    with pytest.raises(Failed) as caught:
        cursor(head, of=ID)
    assert code_of(caught) == (400, "cursor_malformed")


@pytest.mark.parametrize(("after", "number"), [(["0"], 0), (["7"], 7), (["9" * 15], int("9" * 15))])
def test_a_number_in_the_query_is_a_cursor_of_the_stream_of_the_path(after: list[str], number: int) -> None:
    assert cursor(heads(), after, of=ID) == Cursor(ID, number)


@pytest.mark.parametrize(
    "after", [[""], ["-1"], ["01"], ["x"], ["1", "1"], ["1.0"], [" 1"], [str(10**15)], [f"{ID}.1"]]
)
def test_what_is_no_number_is_no_cursor(after: list[str]) -> None:
    with pytest.raises(Failed) as caught:
        cursor(heads(), after, of=ID)
    assert code_of(caught) == (400, "cursor_malformed")


def test_a_header_is_newer_than_a_url() -> None:
    """EventSource asks the same URL again, with the id of what came since."""
    assert cursor(heads(("last-event-id", f"{ID}.9")), ["2"], of=ID) == Cursor(ID, 9)


# --- Bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "byte"), [("bytes=0-", 0), ("bytes=17-", 17), ("Bytes=17-", 17), (" bytes=5- ", 5), ("bytes=007-", 7)]
)
def test_a_range_names_the_first_byte(given: str, byte: int) -> None:
    assert first_byte(heads(("range", given)), plain=True) == byte


@pytest.mark.parametrize(
    "given", ["bytes=0-5", "bytes=-5", "bytes=", "bytes=x-", "bytes=1-,3-", f"bytes={10**15}-", "bytes"]
)
def test_no_other_range_of_bytes_is_served(given: str) -> None:
    with pytest.raises(Failed) as caught:
        first_byte(heads(("range", given)), plain=True)
    assert code_of(caught) == (400, "cursor_malformed")


def test_another_unit_is_passed_over() -> None:
    assert first_byte(heads(("range", "pieces=3-")), plain=True) is None
    assert first_byte(heads(), plain=True) is None


def test_a_condition_that_nothing_here_can_meet_asks_for_all() -> None:
    assert first_byte(heads(("range", "bytes=3-"), ("if-range", '"x"')), plain=True) is None


def test_events_have_no_bytes_and_two_ranges_are_none() -> None:
    for head, plain in (
        (heads(("range", "bytes=3-")), False),
        (heads(("range", "bytes=3-"), ("range", "bytes=4-")), True),
    ):
        with pytest.raises(Failed) as caught:
            first_byte(head, plain=plain)
        assert code_of(caught) == (400, "cursor_malformed")


# --- Keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"a b"', "a b"),
        (r'"a\"b\\"', 'a"b\\'),
        ('"a,b"', "a,b"),
        (' "x" ', "x"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_key_is_the_same_with_and_without_its_quotes(given: str, key: str) -> None:
    assert idempotency_key(heads(("idempotency-key", given))) == key


@pytest.mark.parametrize(
    "given", ["", '""', '"a', 'a"', "a b", "a,b", '"é"', "é", "x" * 256, '"a\\x"', '"a";b', "a\x7f"]
)
def test_anything_else_is_no_key(given: str) -> None:
    with pytest.raises(Failed) as caught:
        idempotency_key(heads(("idempotency-key", given)))
    assert code_of(caught) == (400, "idempotency_key_malformed")


def test_no_key_is_none_and_two_are_too_many() -> None:
    assert idempotency_key(heads()) is None
    with pytest.raises(Failed) as caught:
        idempotency_key(heads(("idempotency-key", "a"), ("idempotency-key", "a")))
    assert code_of(caught) == (400, "idempotency_key_malformed")


# --- Whose ----------------------------------------------------------------------------------------------------------


def test_an_owner_is_who_sends_the_same_headers() -> None:
    names = ("authorization",)
    mine, yours = heads(("Authorization", "Bearer a"), ("x", "1")), heads(("authorization", "Bearer b"), ("x", "1"))
    assert owner_digest(mine, names) == owner_digest(heads(("AUTHORIZATION", "Bearer a")), names)
    assert owner_digest(mine, names) != owner_digest(yours, names)
    assert owner_digest(mine, names) != owner_digest(heads(), names)
    assert owner_digest(mine, ("X",)) == owner_digest(yours, ("x",))


def test_headers_cannot_be_taken_for_each_other() -> None:
    names = ("a", "b")
    digests = {
        owner_digest(heads(*pairs), names)
        for pairs in (
            [("a", "x")],
            [("b", "x")],
            [("a", "x"), ("a", "")],
            [("a", "x"), ("b", "")],
            [("a", "x', 'y")],
            [],
        )
    }
    assert len(digests) == 6


def test_a_digest_does_not_show_what_it_is_of() -> None:
    found = owner_digest(heads(("authorization", "Bearer secret")), ("authorization",))
    assert len(found) == 64
    assert "secret" not in found


def test_a_key_is_its_owners() -> None:
    assert key_digest("one", "k") == key_digest("one", "k") != key_digest("other", "k")
    assert key_digest("a", "bc") != key_digest("ab", "c")


def test_a_body_counts_by_its_fields() -> None:
    assert body_digest({"a": "1", "b": "2"}) == body_digest({"b": "2", "a": "1"}) != body_digest({"a": "1"})
    assert body_digest({"a": "\ud800"})  # half of a character, as JSON can write it
