"""Which stream is whose: every known one is its own alone, and a foreign one is nobody's."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import pytest

from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import PRESETS, detect, preset, writer
from tests.presets.test_clouds import ASSISTANTS, HUNYUAN, INTERACTIONS, QIANFAN
from tests.presets.test_engines import LLAMACPP
from tests.presets.test_frameworks import AG_UI, AI_SDK, DIFY, DIFY_WORKFLOW, LANGGRAPH, LANGSERVE
from tests.presets.test_reading import ANTHROPIC, COZE, HUGGINGFACE, OPENAI, REPLICATE, RESPONSES, SSE_TEXT, STREAMKIT

OPENAI_SHAPED = {"openai-responses", "azure", "mistral"}
SAMPLES = {
    "anthropic": ANTHROPIC,
    "coze": COZE,
    "huggingface": HUGGINGFACE,
    "openai": OPENAI,
    "openai-responses": RESPONSES,
    "replicate": REPLICATE,
    "streamkit": STREAMKIT,
    "sse-text": SSE_TEXT,
    "dify": DIFY + DIFY_WORKFLOW,
    "ai-sdk": AI_SDK,
    "langgraph": LANGGRAPH,
    "langserve": LANGSERVE,
    "ag-ui": AG_UI,
    "llamacpp-completion": LLAMACPP,
    "hunyuan": HUNYUAN,
    "qianfan": QIANFAN,
    "openai-assistants": ASSISTANTS,
    "gemini-interactions": INTERACTIONS,
}


def written(name: str) -> list[ServerSentEvent]:
    form = writer(name)
    parser = NDJSONParser() if preset(name).grammar == "ndjson" else SSEParser()
    body = b"".join([*form.open(), form.piece("a", 0), form.piece("b", 1), *form.close(2)])
    return [*parser.feed(body), *parser.close()]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_no_event_of_one_preset_bears_the_sign_of_another(name: str) -> None:
    events = written(name) + SSEParser().feed(SAMPLES.get(name, "").encode())
    found = {known.name for known in PRESETS.values() if any(known.matches(event) for event in events)}
    if name in OPENAI_SHAPED:
        assert "openai" in found
        found -= {"openai"}
    assert found <= {name.removesuffix("-ndjson")}


# What others stream, rebuilt; some as bare as these: `{"text": …}` is what people write who need no standard.
FOREIGN = {
    "a text": 'data: {"text": "Hi"}\n\ndata: {"text": " there"}\n\ndata: [DONE]\n\n',
    "a text with its type": 'event: message\ndata: {"text": "Hi"}\n\nevent: end\ndata: {}\n\n',
    "a text with ids": 'id: 1\nevent: message\ndata: {"text": "Hi"}\n\nid: 2\ndata: {"text": "!"}\n\nevent: done\ndata: {}\n\n',
    "a text and its end": 'data: {"text": "Hi", "done": false}\n\ndata: {"text": "", "done": true}\n\n',
    "a text and how it ended": 'data: {"text": "Hi"}\n\nevent: done\ndata: {"outcome": "ok"}\n\n',
    "an error of a text": 'data: {"text": "Hi"}\n\nevent: error\ndata: {"code": "busy", "message": "no"}\n\n',
    "text lines": '{"text": "Hi"}\n{"text": " there"}\n{"done": true}\n',
    "a delta": 'event: delta\ndata: {"delta": "Hi"}\n\n',
    "a type and a content": 'data: {"type": "content", "content": "Hi"}\n\ndata: {"type": "done"}\n\n',
    "an answer": 'data: {"event": "message", "answer": "Hi"}\n\ndata: {"event": "message_end"}\n\n',
    "a chain without a model": 'event: data\ndata: "Hi"\n\nevent: end\n\n',
    "a model's parts": 'data: {"type":"stream-start","warnings":[]}\n\ndata: {"type":"text-delta","id":"0","delta":"Hi"}\n\ndata: {"type":"finish","finishReason":"stop","usage":{}}\n\n',
    "a start": 'data: {"type":"start","id":"1"}\n\ndata: {"type":"token","text":"Hi"}\n\ndata: {"type":"end"}\n\n',
    "Triton": 'data: {"model_name": "ensemble", "model_version": "1", "text_output": "Hal"}\n\n',
    "A2A": 'data: {"jsonrpc": "2.0", "id": 1, "result": {"kind": "artifact-update", "artifact": {"parts": [{"kind": "text", "text": "Hi"}]}}}\n\n',
    "MCP": 'event: message\ndata: {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "Hi"}]}}\n\n',
    "Workers AI": 'data: {"response": "Hi", "p": "abcd"}\n\ndata: {"response": "", "usage": {"total_tokens": 3}}\n\ndata: [DONE]\n\n',
    "Flowise": 'data: {"event": "token", "data": "Hi"}\n\ndata: {"event": "end", "data": "[DONE]"}\n\n',
    "a stop": 'data: {"content": "Hi", "stop": false}\n\ndata: {"content": "", "stop": true}\n\n',
    "a result": 'data: {"result": "Hi", "is_end": false}\n\ndata: {"result": "", "is_end": true}\n\n',
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_stream_is_nobodys(body: str) -> None:
    assert detect(body.encode()) is None
    assert detect(body.encode(), {"content-type": "text/event-stream", "server": "uvicorn"}) is None


def test_our_own_relay_is_known_by_its_head_or_its_last_word() -> None:
    piece, last = b'id: 1\ndata: {"text":"Hi"}\n\n', b'event: done\ndata: {"outcome":"complete","pieces":1}\n\n'
    failed = b'event: error\ndata: {"code":"timeout_idle","outcome":"timeout(idle)","detail":"no"}\n\n'
    assert detect(piece) is None
    assert detect(piece + last) == detect(piece + failed) == "streamkit"
    assert detect(piece, {"X-Stream-Id": "s1"}) == detect(b'{"text":"Hi"}\n', {"x-stream-id": "s1"}) == "streamkit"
    lines = b'{"text":"Hi"}\n{"done":{"outcome":"complete","pieces":1}}\n'
    assert detect(lines) == detect(b'{"error":{"code":"x","outcome":"truncated"}}\n') == "streamkit"


def test_a_head_alone_tells_nothing() -> None:
    heads = {"x-stream-id": "s1", "x-vercel-ai-ui-message-stream": "v1"}
    assert detect(b"", heads) is None
    assert detect(b'data: {"say": "Hi"}\n\n', heads) is None


WORD, NUMBER, QUOTED = b"data: Tea\n\n", b"data: 7\n\n", b'data: "tea"\n\n'
OBJECT, OPENAIS = b'data: {"say": "Tea"}\n\n', b'data: {"choices": []}\n\n'


@pytest.mark.parametrize("body", [WORD, NUMBER + WORD, QUOTED + WORD, WORD + b"data: {}\n\n", b"data: [x\n\n" + WORD])
def test_words_that_are_no_json_are_text(body: bytes) -> None:
    assert detect(body) == detect(SSEParser().feed(body)) == "sse-text"


@pytest.mark.parametrize(
    "body",
    [
        NUMBER + QUOTED,
        WORD + OBJECT,
        OBJECT + WORD,
        WORD + b'data: [{"a": 1}]\n\n',
        b"data: {'say': 'Tea'}\n\n",
        b"data: ping\n\n",
        b"event: endpoint\ndata: /messages\n\n",
        b"Tea\nand lemons\n",
    ],
)
def test_other_data_are_not_taken_for_text(body: bytes) -> None:
    assert detect(body) is None


def test_where_anybody_else_fits_data_are_not_taken_for_text() -> None:
    assert detect(WORD + OPENAIS) == detect(OPENAIS + WORD) == "openai"
