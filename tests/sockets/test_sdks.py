"""The scripted upstream, asked by the providers' own Python SDKs: what their helpers put together is what was said.

Each client is strict: its answers are validated, as far as the SDK has it, and not taken as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import Cut, ErrorEvent, Status
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from tests.presets.test_writing import events

if TYPE_CHECKING:  # together they take two seconds to import: only where a test of this file runs
    import anthropic
    import openai

PIECES = ("床前", "明月光", "，\n", "疑是 “frost” 😀")
TEXT = "".join(PIECES)
TOKENS = len(PIECES)
ASK: dict[str, Any] = {"model": "script", "messages": [{"role": "user", "content": "hi"}]}
ASK_ANTHROPIC: dict[str, Any] = {**ASK, "max_tokens": 100}
ASK_RESPONSES: dict[str, Any] = {"model": "script", "input": "hi"}
STRICT: dict[str, Any] = {"api_key": "none", "max_retries": 0, "_strict_response_validation": True}


@contextmanager
def scripted(preset: str, *faults: Fault, pieces: tuple[str, ...] = PIECES) -> Iterator[Server]:
    script = Script(pieces, 1, 1, preset=preset, faults=faults)
    with serve(partial(create_upstream, script)) as server:
        yield server


@contextmanager
def openai_at(preset: str, *faults: Fault, pieces: tuple[str, ...] = PIECES) -> Iterator[openai.OpenAI]:
    import openai

    with scripted(preset, *faults, pieces=pieces) as llm, openai.OpenAI(base_url=f"{llm.url}/v1", **STRICT) as client:
        yield client


@contextmanager
def anthropic_at(*faults: Fault) -> Iterator[anthropic.Anthropic]:
    import anthropic

    with scripted("anthropic", *faults) as llm, anthropic.Anthropic(base_url=llm.url, **STRICT) as client:
        yield client


# --- OpenAI's chat completions --------------------------------------------------------------------------------------


def test_the_chat_helper_gives_each_piece_and_the_whole_with_its_reason() -> None:
    with openai_at("openai") as client, client.chat.completions.stream(**ASK) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        completion = stream.get_final_completion()
    assert deltas == ["", *PIECES]  # OpenAI's first chunk has a role and no text
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is None


def test_the_chat_helper_has_the_usage_that_it_asked_for() -> None:
    ask = {**ASK, "stream_options": {"include_usage": True}}
    with openai_at("openai") as client, client.chat.completions.stream(**ask) as stream:
        completion = stream.get_final_completion()
    assert completion.usage is not None
    assert completion.usage.completion_tokens == TOKENS
    assert completion.choices[0].message.content == TEXT


@pytest.mark.parametrize(("options", "empty"), [({}, 0), ({"stream_options": {"include_usage": True}}, 1)], ids=str)
def test_a_chunk_without_choices_comes_to_those_who_asked_for_usage_and_to_nobody_else(
    options: dict[str, Any], empty: int
) -> None:
    with openai_at("openai") as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.usage is not None for chunk in chunks].count(True) == empty
    assert [chunk.choices for chunk in chunks].count([]) == empty


@pytest.mark.parametrize("preset", ["openai", "azure", "mistral"])
@pytest.mark.parametrize("options", [{}, {"stream": False}], ids=["not said", "declined"])
def test_a_chat_without_a_stream_is_one_completion(preset: str, options: dict[str, Any]) -> None:
    with openai_at(preset) as client:
        completion = client.chat.completions.create(**ASK, **options)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + TOKENS


# --- OpenAI's responses ---------------------------------------------------------------------------------------------


def test_the_responses_helper_gives_each_piece_and_the_output_with_the_real_text() -> None:
    with openai_at("openai-responses") as client, client.responses.stream(**ASK_RESPONSES) as stream:
        events = list(stream)
        response = stream.get_final_response()
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == list(PIECES)
    assert [event.snapshot for event in events if event.type == "response.output_text.delta"][-1] == TEXT
    assert [event.text for event in events if event.type == "response.output_text.done"] == [TEXT]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (response.status, response.output_text) == ("completed", TEXT)
    assert [item.type for item in response.output] == ["message"]
    assert response.usage.output_tokens == TOKENS


def test_each_event_of_a_response_is_all_that_its_type_wants() -> None:
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    check = TypeAdapter[Any](ResponseStreamEvent)
    form = writer("openai-responses")
    pieces = [form.piece(text, number) for number, text in enumerate(PIECES)]
    for event in events("openai-responses", b"".join([*form.open(), *pieces, *form.close(TOKENS, TEXT)])):
        assert check.validate_json(event.data).type == event.event


def test_a_response_without_a_stream_has_the_same_output() -> None:
    with openai_at("openai-responses") as client:
        response = client.responses.create(**ASK_RESPONSES)
        with client.responses.stream(**ASK_RESPONSES) as stream:
            streamed = stream.get_final_response()
    assert response.output_text == TEXT
    assert response.to_dict() == {**streamed.to_dict(), "output": response.to_dict()["output"]}


def test_an_empty_answer_is_put_together_as_well() -> None:
    with openai_at("openai-responses", pieces=()) as client, client.responses.stream(**ASK_RESPONSES) as stream:
        assert stream.get_final_response().output_text == ""


# --- Anthropic's messages -------------------------------------------------------------------------------------------


def test_the_messages_helper_gives_each_piece_and_the_message_with_its_usage() -> None:
    with anthropic_at() as client, client.messages.stream(**ASK_ANTHROPIC) as stream:
        assert list(stream.text_stream) == list(PIECES)
        message = stream.get_final_message()
    assert stream.get_final_text() == TEXT
    assert [block.text for block in message.content] == [TEXT]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens > 0, message.usage.output_tokens) == (True, TOKENS)


def test_raw_events_of_a_message_come_in_order() -> None:
    with anthropic_at() as client:
        kinds = [event.type for event in client.messages.create(**ASK_ANTHROPIC, stream=True)]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * TOKENS,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("options", [{}, {"stream": False}], ids=["not said", "declined"])
def test_a_message_without_a_stream_is_one_message(options: dict[str, Any]) -> None:
    with anthropic_at() as client:
        message = client.messages.create(**ASK_ANTHROPIC, **options)
    assert [block.text for block in message.content] == [TEXT]
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", TOKENS)


# --- All of them ----------------------------------------------------------------------------------------------------


def test_models_are_listed_in_each_shape() -> None:
    with openai_at("openai") as client:
        assert [(model.id, model.object) for model in client.models.list()] == [("script", "model")]
    with anthropic_at() as client:
        page = client.models.list()
        assert [(model.id, model.type) for model in page] == [("script", "model")]
        assert page.has_next_page() is False


def test_asynchronous_helpers_give_the_same() -> None:
    import anthropic
    import openai

    async def ask(chat: str, responses: str, messages: str) -> list[str | None]:
        async with (
            openai.AsyncOpenAI(base_url=chat, **STRICT) as chats,
            openai.AsyncOpenAI(base_url=responses, **STRICT) as answers,
            anthropic.AsyncAnthropic(base_url=messages, **STRICT) as claude,
        ):
            async with chats.chat.completions.stream(**ASK) as completing:
                completion = await completing.get_final_completion()
            async with answers.responses.stream(**ASK_RESPONSES) as responding:
                response = await responding.get_final_response()
            async with claude.messages.stream(**ASK_ANTHROPIC) as speaking:
                text = await speaking.get_final_text()
            return [completion.choices[0].message.content, response.output_text, text]

    with scripted("openai") as chat, scripted("openai-responses") as responses, scripted("anthropic") as messages:
        assert asyncio.run(ask(chat.url, responses.url, messages.url)) == [TEXT] * 3


def test_an_error_in_mid_stream_is_raised_with_its_message() -> None:
    import openai

    with (
        openai_at("openai", ErrorEvent(3, "overloaded_error")) as client,
        client.chat.completions.stream(**ASK) as stream,
        pytest.raises(openai.APIError, match="scripted error"),
    ):
        stream.until_done()


def test_an_error_of_anthropics_is_raised_with_its_code() -> None:
    import anthropic

    with (
        anthropic_at(ErrorEvent(3, "overloaded_error")) as client,
        client.messages.stream(**ASK_ANTHROPIC) as stream,
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
    ):
        stream.until_done()


def test_a_response_that_fails_says_so_in_its_last_event() -> None:
    with openai_at("openai-responses", ErrorEvent(3, "server_error")) as client:
        raw = list(client.responses.create(**ASK_RESPONSES, stream=True))
    (failed,) = [event for event in raw if event.type == "response.failed"]
    assert (failed.response.status, failed.response.error.code) == ("failed", "server_error")


@pytest.mark.parametrize("options", [{}, {"stream": True}], ids=["one", "stream"])
def test_a_script_with_faults_is_written_as_planned_whatever_is_asked(options: dict[str, Any]) -> None:
    import openai

    with openai_at("openai", Status(429, retry_after=1)) as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**ASK, **options)
    with openai_at("openai", Cut(0)) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK, **options)
