"""How a gateway is started and asked, by what is said of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streamkit.errors import ConfigError, UnknownPreset
from streamkit.lab.audit import Gateway
from streamkit.lab.experiments import naive

START = "proxy --port {port}"


def test_it_is_asked_as_its_clients_preset_asks() -> None:
    asked = Gateway(start=START, model="gpt").request("hi")
    body = orjson.loads(asked["content"])
    assert (body["model"], body["stream"], body["messages"][-1]["content"]) == ("gpt", True, "hi")
    assert asked["preset"] == "openai"
    assert Gateway(start=START).where == "/v1/chat/completions"


def test_ours_and_those_that_answer_text_are_asked_by_a_form() -> None:
    for format_, accept in (("text", "text/plain"), ("streamkit", "text/event-stream")):
        gateway = Gateway(start=START, preset="seed", client_preset=format_)
        asked = gateway.request("hi")
        assert (asked["data"], asked["headers"]["accept"]) == ({"chat_history": "hi"}, accept)
        assert gateway.where == "/ans"
    assert "preset" not in Gateway(start=START, client_preset="text").request("hi")


def test_a_body_of_ones_own_is_filled_in_and_its_braces_stay() -> None:
    json = '{"q": "{prompt}", "m": "{model}", "o": {"a": 1}}'
    asked = Gateway(start=START, json=json, headers=[("X-Key", "k")]).request('say "hi"')
    assert orjson.loads(asked["content"]) == {"q": 'say "hi"', "m": "scripted", "o": {"a": 1}}
    assert asked["headers"] == {"x-key": "k", "content-type": "application/json"}
    assert Gateway(start=START, data={"q": "{prompt}!"}).request("hi")["data"] == {"q": "hi!"}


def test_it_is_called_by_its_program_its_place_or_its_name_and_no_key_is_in_that() -> None:
    secret: dict[str, Any] = {"headers": [("authorization", "Bearer hunter2")]}
    assert Gateway(start="/usr/bin/proxy --key hunter2 {port}", **secret).label == "proxy"
    assert Gateway(url="http://me:hunter2@host/v1?key=hunter2", upstream_port=1).label == "http://host/v1"
    assert Gateway(app=naive.article).label == "article"
    assert Gateway(start=START, name="mine").label == "mine"
    assert repr(Gateway(start="proxy --key hunter2 {port}", **secret)) == "<Gateway proxy: openai before openai>"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "expected one of start, app and url, got none"),
        ({"start": START, "url": "http://h"}, "expected one of start, app and url, got start and url"),
        ({"url": "http://h"}, "as upstream_port the port where the gateway looks for its upstream"),
        ({"url": "host:80", "upstream_port": 1}, "expected a full URL"),
        ({"start": "proxy"}, "expected {port} in the command"),
        ({"start": START, "json": "{}", "data": {}}, "expected json or data, got both"),
        ({"start": START, "start_s": 0}, "expected start_s as seconds > 0"),
    ],
)
def test_what_makes_no_sense_is_said(given: dict[str, Any], told: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=told):
        Gateway(**given)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnknownPreset):
        Gateway(start=START, client_preset="opnai")
