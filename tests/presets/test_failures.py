"""Failures in the provider's own words, under any preset; and what looks like one and is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.parser import ServerSentEvent, SSEParser
from streamkit.presets import PRESETS, Answer, preset
from tests.presets.providers import PLAIN

JSON_PRESETS = sorted({*PRESETS} - PLAIN)


def read(name: str, data: object, kind: str = "message") -> Any:
    return preset(name).read(ServerSentEvent(kind, data if isinstance(data, str) else json.dumps(data)))


FAILURES: list[tuple[object, str]] = [
    ({"error": {"code": "busy", "message": "m"}}, "busy"),
    ({"error": "text"}, "text"),
    ([{"error": {"code": 503}}], "503"),
    ({"code": 500, "msg": "m"}, "500"),
    ({"code": 401, "message": "m"}, "401"),
    ([{"code": 401, "message": "m"}], "401"),
    ({"error_code": 17, "error_msg": "quota"}, "17"),
    ({"detail": "Not Found"}, "error"),
    ({"type": "error", "message": "m"}, "error"),
    ({"object": "error", "message": "m", "code": 400}, "400"),
    ({"success": False, "message": "m"}, "error"),
    ({"errors": [{"code": "c", "message": "m"}]}, "c"),
    ({"status": 500, "message": "m"}, "500"),
    ({"message": "m", "type": "server_error", "param": None, "code": None}, "error"),
]


@pytest.mark.parametrize("name", JSON_PRESETS)
@pytest.mark.parametrize(("payload", "code"), FAILURES, ids=[json.dumps(payload) for payload, _ in FAILURES])
def test_an_error_by_its_shape_is_one_under_every_preset(name: str, payload: object, code: str) -> None:
    odd = name == "ollama" and "message" in str(payload)  # where a message is an object
    for _ in range(40):  # by the rules, and by a plan
        found = read(name, payload)
        assert isinstance(found, ProviderError)
        assert odd or not isinstance(found, ExtractionError)
    assert found.code == code or odd or name in ("dashscope", "watsonx", "gemini")  # which have codes of their own


@pytest.mark.parametrize("name", JSON_PRESETS)
@pytest.mark.parametrize(
    "payload",
    [
        {"code": 0, "msg": "ok"},
        {"code": 200, "message": "fine"},
        {"success": True, "message": "m"},
        {"error": None},
        {"type": "ping"},
        {"status": "in_progress", "message": "m"},
        {"code": "print(1)", "type": "response.code_interpreter_call_code.done"},
        {},
        None,
    ],
    ids=repr,
)
def test_a_success_and_what_nobody_knows_are_none(name: str, payload: object) -> None:
    own = {"dashscope": "code", "ollama": "message"}.get(name)  # a code is an error there, a message an object
    for _ in range(40):
        assert (isinstance(payload, dict) and payload.get(own)) or not isinstance(read(name, payload), ProviderError)


@pytest.mark.parametrize("name", JSON_PRESETS)
@pytest.mark.parametrize("payload", ["error: backend unavailable", 7, True, ["a"], []])
def test_a_payload_that_is_no_object_is_never_nothing(name: str, payload: object) -> None:
    found = read(name, json.dumps(payload))
    assert isinstance(found, ExtractionError)
    assert found.code == "wrong_type"


@pytest.mark.parametrize("data", ["ping", "keep-alive", '"heartbeat"'])
def test_a_heartbeat_in_the_data_is_nothing(data: str) -> None:
    assert read("openai", data) is None


@pytest.mark.parametrize("kind", ["ping", "heartbeat"])
@pytest.mark.parametrize("data", ["now", "7", "[1]", '"x"'])
def test_of_a_heartbeat_no_json_is_asked(kind: str, data: str) -> None:
    assert read("openai", data, kind) is None


def test_minimax_refuses_in_base_resp() -> None:
    refusal = {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    assert read("openai", refusal) == ProviderError("1008", "insufficient balance")
    assert read("openai", {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}}) is None


# --- finish reasons


@pytest.mark.parametrize(
    "reason", ["error", "ERROR", "abort", "insufficient_system_resource", "network_error", "malformed_function_call"]
)
def test_a_finish_reason_that_means_a_broken_answer_is_an_error(reason: str) -> None:
    end = read("openai", {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": reason}]})
    assert end == Piece("a", end=ProviderError(reason))


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls", "refusal", "sensitive"])
def test_other_finish_reasons_say_why_a_whole_answer_ended(reason: str) -> None:
    assert read("openai", {"choices": [{"index": 0, "finish_reason": reason}]}) == End(reason, conclusive=False)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MALFORMED_RESPONSE"])
def test_geminis_aborts_are_errors(reason: str) -> None:
    assert read("gemini", {"candidates": [{"finishReason": reason}]}) == ProviderError(reason)


@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "PROHIBITED_CONTENT"])
def test_geminis_other_reasons_are_told(reason: str) -> None:
    assert read("gemini", {"candidates": [{"finishReason": reason}]}) == End(reason, conclusive=False)


def test_the_words_of_cohere_watsonx_and_openais_responses() -> None:
    assert read("cohere", {"type": "message-end", "delta": {"finish_reason": "ERROR_TOXIC"}}) == ProviderError(
        "ERROR_TOXIC"
    )
    assert read("watsonx", {"results": [{"generated_text": "", "stop_reason": "error"}]}) == ProviderError("error")
    assert read("openai", {"type": "response.done", "response": {"status": "failed"}}) == ProviderError("failed")
    cancelled = read("openai", {"type": "response.cancelled", "response": {"status": "cancelled"}})
    assert cancelled.code == "cancelled"


# --- beside the grammar


def test_an_error_field_before_done_is_a_failure() -> None:
    wire = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    wire += b'error: {"code":500,"message":"no slot"}\n\ndata: [DONE]\n\n'
    answer = Answer(preset("openai"))
    assert [piece.text for piece in answer.read(SSEParser(strays=True).feed(wire))] == ["a"]
    assert answer.failure == ProviderError("500", "no slot")


def test_an_error_that_stands_in_a_choice_is_one_also_beside_text() -> None:
    error = {"code": 502, "message": "gone"}
    for delta in ({}, {"content": "a"}):
        choice = {"index": 0, "delta": delta, "finish_reason": None, "error": error}
        assert read("openai", {"choices": [choice]}) == ProviderError("502", "gone")
    absent: tuple[object, ...] = (None, {}, "", False)
    for nothing in absent:
        assert read("openai", {"choices": [{"index": 0, "delta": {"content": "a"}, "error": nothing}]}) == Piece("a")
