"""W3C Trace Context, by its grammar."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sanic.compat import Header

from streamkit.relay.request.trace_context import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def of(*fields: tuple[str, str]) -> TraceContext | None:
    return TraceContext.of(Header(fields))


def state_of(*states: str) -> str:
    found = of(("traceparent", PARENT), *(("tracestate", state) for state in states))
    assert found is not None
    return found.state


def test_what_is_given_is_passed_on_as_it_stands() -> None:
    found = of(("traceparent", PARENT), ("tracestate", "vendor=opaque,a1@rojo=00f067"))
    assert found == TraceContext(TRACE, PARENT, "vendor=opaque,a1@rojo=00f067")
    assert found.headers() == {"traceparent": PARENT, "tracestate": "vendor=opaque,a1@rojo=00f067"}


def test_where_nothing_is_given_nothing_is_invented() -> None:
    assert of() is None
    assert of(("tracestate", "a=1")) is None


@pytest.mark.parametrize(
    "said",
    [
        "",
        "00",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}\n",
        f"{PARENT}-more",  # version 00 ends with its flags
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0g",
        f"01-{TRACE}-{SPAN}-01{'-' + 'x' * 600}",
    ],
)
def test_what_breaks_the_grammar_is_dropped(said: str) -> None:
    assert of(("traceparent", said), ("tracestate", "a=1")) is None


def test_two_of_them_are_none() -> None:
    assert of(("traceparent", PARENT), ("traceparent", PARENT)) is None


@pytest.mark.parametrize(("flags", "kept"), [("01", "01"), ("00", "00"), ("ff", "01"), ("02", "00")])
def test_of_a_later_version_it_passes_on_what_it_knows(flags: str, kept: str) -> None:
    found = of(("traceparent", f"cc-{TRACE}-{SPAN}-{flags}-what-the-future-adds"))
    assert found == TraceContext(TRACE, f"00-{TRACE}-{SPAN}-{kept}")


def test_several_states_are_one_list_and_empty_members_are_none() -> None:
    assert state_of("a=1 , b=2", "", ",,\tc=3") == "a=1,b=2,c=3"


MANY = ",".join(f"k{number}=1" for number in range(33))


@pytest.mark.parametrize("said", ["a", "a=", "A=1", "a=1,a=2", "a=b=c", "a=é", "@v=1", MANY])
def test_a_state_that_breaks_the_grammar_says_nothing(said: str) -> None:
    assert state_of(said) == ""


def test_of_a_state_that_is_too_long_the_large_members_go_first_and_then_the_last_ones() -> None:
    small = [f"k{n}={'v' * 96}" for n in range(6)]  # 5 of 99 characters and their commas fit into 512
    assert state_of(f"large={'x' * 200}", *small) == ",".join(small[:5])


@settings(max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=2), st.lists(st.text(max_size=300), max_size=3))
def test_whatever_is_sent_what_is_passed_on_is_short_and_of_the_grammar(parents: list[str], states: list[str]) -> None:
    found = of(*(("traceparent", each) for each in parents), *(("tracestate", each) for each in states))
    assert found is None or (len(found.parent) == 55 and len(found.state) <= 512)
