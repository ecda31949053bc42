"""The campaign of who holds bytes back: what counts as right, and that it says so."""

from __future__ import annotations

import pytest

from campaigns import buffering
from campaigns.buffering import CONFIGURATIONS, Configuration, main
from streamkit.lab.buffering.mechanisms import Kind
from streamkit.lab.experiments import Buffering

KINDS: tuple[Kind, ...] = ("compression", "unknown", "whole")


def told(layer: str, kind: Kind) -> Buffering:
    return Buffering(layer, kind, kind, "A sentence.", (), "")


def of(name: str) -> Configuration:
    return next(one for one in CONFIGURATIONS if one.name == name)


def test_a_right_name_is_right_and_a_wrong_one_never_is() -> None:
    gzip = of("nginx, gzip on")
    assert gzip.is_right(told("nginx", "compression"))
    assert not gzip.is_right(told("HAProxy", "compression"))
    assert not gzip.is_right(told("none", "none"))
    assert not gzip.is_right(told("nginx", "portions"))


def test_what_is_not_known_is_missed_and_not_wrong() -> None:
    gzip = of("nginx, gzip on")
    assert [gzip.is_wrong(told("unknown", kind)) for kind in KINDS] == [False, False, True]
    assert gzip.is_wrong(told("none", "none"))
    assert gzip.is_wrong(told("HAProxy", "compression"))
    assert not gzip.is_wrong(told("nginx", "compression"))


def test_unknown_will_do_where_nobody_can_know() -> None:
    assert not of("nginx, gzip on").is_right(told("unknown", "compression"))
    hidden = of("nginx (off), Caddy, buffer_responses")
    assert hidden.is_right(told("unknown", "whole"))
    assert not hidden.is_right(told("nginx", "whole"))


def test_every_configuration_has_a_name_of_its_own() -> None:
    assert len({one.name for one in CONFIGURATIONS}) == len(CONFIGURATIONS) >= 30


def test_the_table_stands_beside_what_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no proxy", "--rows"]) == 0
    out = capsys.readouterr().out
    assert "no proxy, an endpoint that tells nothing" in out
    assert out.count("none found") == 2
    assert "as a browser asks" in out


def test_a_wrong_name_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def wrong(*_: object) -> Buffering:
        return told("Caddy", "whole")

    monkeypatch.setattr(buffering, "find", wrong)
    assert main(["--only", "no proxy"]) == 1
    assert capsys.readouterr().out.count("WRONG") == 2


def test_too_much_that_was_missed_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def unsure(*_: object) -> Buffering:
        return told("unknown", "unknown")

    monkeypatch.setattr(buffering, "find", unsure)
    assert main(["--only", "no proxy"]) == 1
    assert capsys.readouterr().out.count("missed") == 2


def test_nobody_to_ask_is_a_failure() -> None:
    assert main(["--only", "no such proxy"]) == 1
