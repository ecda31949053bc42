"""What callers give: what is no number, or a senseless one, raises at the call and is named."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from streamkit.lab.arguments import check_listener, check_number, check_whole


@pytest.mark.parametrize("value", [0, 0.0, 3, 2.5, np.float32(2), np.int64(2), Fraction(1, 3), 10**400])
def test_every_kind_of_number_is_one(value: object) -> None:
    check_number("gap_ms", value)


@pytest.mark.parametrize("value", ["3", b"3", None, True, np.True_, [3], 3j])
def test_what_is_no_number_is_a_type_error_that_names_the_argument_and_shows_the_value(value: object) -> None:
    with pytest.raises(TypeError) as caught:
        check_number("gap_ms", value, "milliseconds")
    assert str(caught.value).startswith(f"expected gap_ms as milliseconds >= 0, got {value!r} ({type(value).__name__})")


@pytest.mark.parametrize("value", [-1, -1e-9, math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_number_that_makes_no_sense_is_a_value_error(value: float) -> None:
    with pytest.raises(ValueError, match="expected gap_ms as milliseconds >= 0, got "):
        check_number("gap_ms", value, "milliseconds")


def test_zero_and_infinity_are_allowed_where_they_mean_something() -> None:
    check_number("total_s", math.inf, infinite=True)
    with pytest.raises(ValueError, match="expected bytes_per_s as a number > 0, got 0; say never"):
        check_number("bytes_per_s", 0, zero=False, hint="; say never")
    with pytest.raises(ValueError, match="got nan"):
        check_number("total_s", math.nan, infinite=True)


def test_integers_are_whole_and_of_some_size() -> None:
    check_whole("max_events", 0)
    check_whole("max_events", np.int32(5))
    check_whole("seed", -5, least=None)
    with pytest.raises(ValueError, match="expected max_events as an integer >= 1, got 0"):
        check_whole("max_events", 0, least=1)
    for value in (1.0, "1", True, None, math.nan):
        with pytest.raises(TypeError, match="expected max_events as an integer >= 0, got "):
            check_whole("max_events", value)


def test_a_listener_is_called_and_done() -> None:
    async def later(text: str) -> None:
        raise AssertionError(text)

    heard: list[str] = []
    for plain in (None, print, heard.append, partial(print, end=""), str):
        check_listener("on_piece", plain)
    for wrong in (later, partial(later), 5, "print"):
        with pytest.raises(TypeError, match="expected on_piece as "):
            check_listener("on_piece", wrong)
