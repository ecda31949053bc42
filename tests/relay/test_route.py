"""What a route is: its deadlines in the place of the relay's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamkit.errors import ConfigError
from streamkit.relay.route import Route
from streamkit.relay.settings import Deadlines, Settings


async def ask(*_: Any) -> Any:
    """Is never asked."""


def test_without_deadlines_of_its_own_it_has_the_relays() -> None:
    settings = Settings(Deadlines(idle_s=3))
    assert Route(ask).settings(settings) is settings


def test_its_deadlines_take_the_place_of_the_relays_and_leave_the_others() -> None:
    settings = Settings(Deadlines(idle_s=3, total_s=7))
    found = Route(ask, {"idle_s": 0}).settings(settings)
    assert found.deadlines == replace(settings.deadlines, idle_s=0)
    assert found._replace(deadlines=settings.deadlines) == settings


@pytest.mark.parametrize(
    ("deadlines", "said"),
    [
        ({"patience_s": 1}, "'patience_s'"),
        ({"idle_s": -1}, "idle_s as seconds"),
        ({"idle_s": True}, "idle_s as seconds"),
    ],
)
def test_a_deadline_that_there_is_not_is_said_when_the_route_is_made(deadlines: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Route(ask, deadlines)
