"""Functions of one's own as sources: what they may take, what they are given, what they yield."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import wraps
from typing import Any, cast

import pytest
from sanic import Request

from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece
from streamkit.relay.asks import ask_function, one_by_one
from streamkit.relay.failure import Failed
from streamkit.relay.log import StreamRecord
from streamkit.relay.pieces import Progress, Snapshot, Value
from streamkit.relay.route import Wanted
from streamkit.relay.settings import Settings
from streamkit.relay.sources.source import Into
from streamkit.relay.stream import Stream
from tests.relay.asking import Asking


async def of_value(value: Any) -> AsyncIterator[Any]:
    yield {"value": value}


async def of_fields(one: str, two: str) -> AsyncIterator[Any]:
    yield f"{one} {two}"


async def of_nothing() -> AsyncIterator[Any]:
    yield "hello"


async def of_all(value: Any, request: Request, into: Into) -> AsyncIterator[Any]:
    yield [value, isinstance(request, Asking), isinstance(into, Into)]


def wanted(function: Any, body: Any = "json", sent: bytes = b"1", content_type: str = "application/json") -> Wanted:
    """What a request asks of it. Raises Failed."""

    async def ask() -> Wanted:
        stream = Stream(StreamRecord("s"), None, Settings())
        return await ask_function(function, body)(cast("Request", Asking(sent, content_type=content_type)), stream)

    return asyncio.run(ask())


def pieces(asked: Wanted, into: Into | None = None) -> list[list[Piece]]:
    async def run() -> list[list[Piece]]:
        return [batch async for batch in asked.source(into or Into())]

    return asyncio.run(run())


# --- What it is given -------------------------------------------------------------------------------------------------


def test_it_is_given_the_json_value() -> None:
    assert pieces(wanted(of_value, sent=b'{"a": [1, null]}')) == [[Value({"value": {"a": [1, None]}})]]


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        (b"one=1&two=2&three=3", "application/x-www-form-urlencoded"),
        (b'{"two": "2", "one": "1"}', "application/json"),
        (b'{"two": 2, "one": 1}', "application/json"),
    ],
)
def test_it_is_given_fields_by_their_names(sent: bytes, content_type: str) -> None:
    asked = wanted(of_fields, ["one", "two"], sent, content_type=content_type)
    assert pieces(asked) == [[Piece("1 2")]]


def test_it_is_given_nothing_where_nothing_is_wanted() -> None:
    assert pieces(wanted(of_nothing, "none", b"anything")) == [[Piece("hello")]]


def test_it_is_given_the_request_and_what_is_filled_if_it_has_such_parameters() -> None:
    assert pieces(wanted(of_all)) == [[Value([1, True, True])]]


def test_a_function_that_is_wrapped_counts_as_what_it_wraps() -> None:
    @wraps(of_value)
    def wrapped(value: Any) -> AsyncIterator[Any]:
        return of_value(value + 1)

    assert pieces(wanted(wrapped)) == [[Value({"value": 2})]]


@pytest.mark.parametrize(
    ("function", "body", "sent", "code"),
    [
        (of_value, "json", b"{", "bad_json"),
        (of_fields, ["one", "two"], b'{"one": "1"}', "two_missing"),
    ],
)
def test_a_body_that_is_not_that_is_refused(function: Any, body: Any, sent: bytes, code: str) -> None:
    with pytest.raises(Failed) as raised:
        wanted(function, body, sent)
    assert raised.value.failure.code == code
    assert 400 <= raised.value.failure.status < 500


def test_equal_bodies_have_one_digest_however_they_are_written() -> None:
    first = wanted(of_value, sent=b'{"a": 1, "b": 2}')
    assert first.digest == wanted(of_value, sent=b'{"b":2,"a":1}').digest != wanted(of_value, sent=b"{}").digest
    form = wanted(of_fields, ["one", "two"], b"two=2&one=1", content_type="application/x-www-form-urlencoded")
    assert form.digest == wanted(of_fields, ["one", "two"], b'{"one":"1","two":"2"}').digest


# --- What it may be ---------------------------------------------------------------------------------------------------


async def no_generator(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("function", "body", "said"),
    [
        (no_generator, "json", "async generator function"),
        (lambda value: value, "json", "async generator function"),
        (of_nothing, "json", "to take the body"),
        (of_value, "none", "to take nothing"),
        (of_fields, ["one"], "to take one"),
        (of_fields, "fields", '"json", "raw", "none"'),
        (of_fields, [], "names of fields"),
        (of_fields, ["not a name"], "names of fields"),
    ],
)
def test_what_cannot_be_asked_is_said_when_the_route_is_made(function: Any, body: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask_function(function, body)


# --- What it yields ---------------------------------------------------------------------------------------------------


async def items(*given: Any) -> AsyncGenerator[Any, None]:
    for item in given:
        yield item


def one_after_another(*given: Any, into: Into | None = None) -> list[list[Piece]]:
    async def run() -> list[list[Piece]]:
        return [batch async for batch in one_by_one(items(*given), into or Into())]

    return asyncio.run(run())


def test_each_item_is_a_list_of_its_own() -> None:
    given = ["text", {"a": 1}, [1], Value(3), Snapshot({"b": 2}), Progress(1, 2), Piece("x")]
    made = [Piece("text"), Value({"a": 1}), Value([1]), Value(3), Snapshot({"b": 2}), Progress(1, 2), Piece("x")]
    came = one_after_another(*given)
    assert came == [[each] for each in made]
    assert [type(each) for (each,) in came] == [type(each) for each in made]


def test_what_is_taken_when_it_is_offered_is_not_yielded() -> None:
    taken: list[list[Piece]] = []

    def offer(offered: list[Piece]) -> bool:
        if offered == [Piece("b")]:
            return False
        taken.append(offered)
        return True

    assert one_after_another("a", "b", "c", into=Into(offer)) == [[Piece("b")]]
    assert taken == [[Piece("a")], [Piece("c")]]


@pytest.mark.parametrize("item", [3, None, b"bytes", object()])
def test_what_is_no_piece_is_a_type_error(item: object) -> None:
    with pytest.raises(TypeError, match="expected text, a dict, a list"):
        one_after_another(item)


def test_progress_that_goes_back_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        one_after_another(Progress(1), Progress(1), Progress(0.5))


def test_to_close_it_closes_the_function() -> None:
    closed = []

    async def endless() -> AsyncGenerator[Any, None]:
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    async def run() -> None:
        source = one_by_one(endless(), Into())
        await anext(source)
        await source.aclose()

    asyncio.run(run())
    assert closed == [True]
