"""How each provider is asked: headers, body and query of the request."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from streamkit.errors import ConfigError
from streamkit.presets import PRESETS, preset
from streamkit.presets.asking import UpstreamRequest

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "茶?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Yes"}, {"type": "image_url"}, {"text": "."}]},
    {"role": "user", "content": "Why?"},
]


def body(request: UpstreamRequest) -> Any:
    assert request.headers["content-type"] == "application/json"
    return json.loads(request.content)


def ask(name: str, chat_history: object = "你好", **options: Any) -> Any:
    text = chat_history if isinstance(chat_history, str) else json.dumps(chat_history)
    return body(preset(name).request(text, **options))


# --- for all of them


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_nobody_needs_more_than_the_chat_history(name: str) -> None:
    assert preset(name).request("你好").content


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_streams_are_asked_for_uncompressed(name: str) -> None:
    known = preset(name)
    expected = "application/x-ndjson" if known.grammar == "ndjson" else "text/event-stream"
    assert known.request("hi").headers["accept"] == expected
    assert known.request("hi").headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_key_stands_in_one_header_and_nowhere_else(name: str) -> None:
    request = preset(name).request("hi", key="sk-secret\n")
    assert [value for value in request.headers.values() if "sk-secret" in value] in (
        ["sk-secret"],
        ["Bearer sk-secret"],
    )
    assert b"secret" not in request.content
    assert "secret" not in str(request.params)
    assert "secret" not in repr(request)
    without = preset(name).request("hi", key=None)
    assert {"authorization", "x-api-key", "api-key", "x-goog-api-key"}.isdisjoint(without.headers)
    assert preset(name).request("hi", key=" ").headers == without.headers


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("openai", "authorization", "Bearer k"),
        ("anthropic", "x-api-key", "k"),
        ("gemini", "x-goog-api-key", "k"),
        ("azure", "api-key", "k"),
        ("seed", "authorization", "Bearer k"),
        ("cohere", "authorization", "Bearer k"),
        ("dashscope", "authorization", "Bearer k"),
        ("coze", "authorization", "Bearer k"),
    ],
)
def test_the_key_goes_where_the_provider_wants_it(name: str, header: str, value: str) -> None:
    assert preset(name).request("hi", key="k").headers[header] == value


@pytest.mark.parametrize("key", ["a\r\nx-evil: 1", "a\nb", "schlüssel", "a\x00b", "键"])
def test_a_key_that_no_header_can_carry_raises_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preset("openai").request("hi", key=key)
    assert key not in str(caught.value)


def test_the_repr_shows_sizes_and_names_only() -> None:
    request = preset("openai").request("a private question", key="sk-secret")
    assert repr(request) == (
        f"<UpstreamRequest {len(request.content)} bytes, headers accept, accept-encoding, content-type, authorization>"
    )


def test_extra_fields_are_merged_into_the_body_and_win() -> None:
    sent = ask("openai", extra={"temperature": 0.5, "stream": False}, seed=7)
    assert (sent["temperature"], sent["stream"], sent["seed"]) == (0.5, False, 7)
    sent = ask("dashscope", extra={"parameters": {"top_p": 0.5}})
    assert sent["parameters"] == {"incremental_output": True, "top_p": 0.5}


def test_extra_fields_that_json_cannot_carry_raise() -> None:
    with pytest.raises(ConfigError, match="extra"):
        preset("openai").request("hi", extra={"x": object()})


def test_half_a_character_in_the_question_does_not_raise() -> None:
    for known in PRESETS.values():
        assert known.request("a\ud83d").content


# --- the article's form


def test_seed_posts_the_form_field_on() -> None:
    request = preset("seed").request("你好 & 1+1=2\n")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.content == b"chat_history=%E4%BD%A0%E5%A5%BD+%26+1%2B1%3D2%0A"


def test_seed_posts_a_conversation_on_untouched_and_further_fields_beside_it() -> None:
    text = json.dumps(TALK)
    fields = parse_qs(preset("seed").request(text, model="m", extra={"lang": "zh"}).content.decode())
    assert fields == {"chat_history": [text], "model": ["m"], "lang": ["zh"]}


# --- the others


def test_openai() -> None:
    assert ask("openai") == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "你好"}],
        "stream": True,
    }
    assert ask("openai", model="gpt-x")["model"] == "gpt-x"


def test_a_chat_history_that_is_a_list_of_messages_is_used_as_such() -> None:
    for name in ("openai", "azure", "mistral", "cohere"):
        assert ask(name, TALK)["messages"] == TALK


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "[1]",
        '["role"]',
        '[{"role": "user"}]',
        '[{"content": "x"}]',
        '[{"role": 1, "content": ""}]',
        "[" * 9999,
    ],
)
def test_anything_else_is_what_the_user_said(text: str) -> None:
    assert ask("openai", text)["messages"] == [{"role": "user", "content": text}]


def test_openai_responses() -> None:
    assert ask("openai-responses", model="m") == {
        "model": "m",
        "input": [{"role": "user", "content": "你好"}],
        "stream": True,
    }


def test_anthropic_takes_system_messages_apart() -> None:
    sent = ask("anthropic", [*TALK, {"role": "system", "content": "In French."}], model="m")
    assert sent == {
        "model": "m",
        "max_tokens": 4096,
        "system": "Be brief.\n\nIn French.",
        "messages": TALK[1:],
        "stream": True,
    }
    assert "system" not in ask("anthropic")
    assert ask("anthropic", max_tokens=5)["max_tokens"] == 5
    assert preset("anthropic").request("hi").headers["anthropic-version"] == "2023-06-01"


def test_gemini_has_contents_and_parts_and_asks_for_an_event_stream() -> None:
    assert ask("gemini", TALK) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "茶?"}]},
            {"role": "model", "parts": [{"text": "Yes."}]},
            {"role": "user", "parts": [{"text": "Why?"}]},
        ],
    }
    assert preset("gemini").request("hi", key="k").params == {"alt": "sse"}


def test_ollama_has_plain_contents() -> None:
    sent = ask("ollama", TALK, model="m")
    assert sent["stream"] is True
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "茶?", "Yes.", "Why?"]


def test_dashscope_asks_for_increments() -> None:
    assert ask("dashscope", model="m") == {
        "model": "m",
        "input": {"messages": [{"role": "user", "content": "你好"}]},
        "parameters": {"incremental_output": True},
    }
    assert preset("dashscope").request("hi").headers["x-dashscope-sse"] == "enable"


def test_replicate_has_one_prompt() -> None:
    assert ask("replicate") == {"input": {"prompt": "你好"}, "stream": True}
    assert ask("replicate", TALK, model="v")["version"] == "v"
    assert ask("replicate", TALK)["input"] == {
        "prompt": "user: 茶?\n\nassistant: Yes.\n\nuser: Why?",
        "system_prompt": "Be brief.",
    }


def test_coze_names_its_bot() -> None:
    assert ask("coze", model="bot") == {
        "bot_id": "bot",
        "user_id": "streamkit",
        "additional_messages": [{"role": "user", "content": "你好", "content_type": "text"}],
        "stream": True,
    }


def test_watsonx_and_huggingface_have_one_input() -> None:
    assert ask("watsonx", model="m", project_id="p") == {"model_id": "m", "input": "你好", "project_id": "p"}
    assert ask("huggingface") == {"inputs": "你好", "stream": True}
