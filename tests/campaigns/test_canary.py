"""The upstream's key goes to the upstream. It is in nothing that a client, a log, a notebook or a debugger shows.

A canary is the key, set as every user sets it; what is searched for are also its percent-encoded, hex and base64 forms.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from campaigns.canary import CANARY, LogWatch, canary_key, leaks
from streamkit.app import create_app
from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece
from streamkit.lab.lab import Lab
from streamkit.lab.upstream import Script
from streamkit.presets import presets, writer
from streamkit.relay.relay import Relay
from streamkit.serving.server import serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, connected, exchange, request

ROOT = Path(__file__).parents[2]
ACCEPTS = ("text/plain", "text/event-stream", "application/x-ndjson")
PIECE = writer("openai").piece("text", 0)


@pytest.fixture(autouse=True)
def canary() -> Iterator[None]:
    with canary_key():
        yield


@pytest.fixture
def logs() -> Iterator[LogWatch]:
    """All records of all loggers, from DEBUG on."""
    watch = LogWatch()
    names = [name for name, it in logging.Logger.manager.loggerDict.items() if isinstance(it, logging.Logger)]
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    levels = [logger.level for logger in loggers]
    watch.listen()
    yield watch
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
        logger.removeHandler(watch)


def relay_of(upstream: str, name: str = "openai", **options: Any) -> partial[Any]:
    return partial(create_app, upstream=upstream, preset=name, model="some-model", idle_s=0.5, **options)


# --- What is searched for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        CANARY.encode(),
        b"Bearer " + CANARY.encode(),
        quote(CANARY, safe="").encode(),
        json.dumps(CANARY).encode(),
        base64.b64encode(CANARY.encode()),
        base64.b64encode(b"Bearer " + CANARY.encode()),
        base64.b64encode(b"user:" + CANARY.encode()),
        base64.urlsafe_b64encode(b"." + CANARY.encode() + b"."),
        CANARY.encode().hex().encode(),
        b"sk-canary-4711...",
    ],
)
def test_the_canary_is_seen_in_every_form(form: bytes) -> None:
    assert leaks(b"some text " + form + b" and more")
    assert not leaks(b"some text, and sk-another")


def test_the_canary_is_seen_in_a_record_and_in_its_traceback(logs: LogWatch) -> None:
    logger = logging.getLogger("tests.canary")
    logger.debug("nothing to see")
    assert logs.leaked == []
    logger.debug("the key is %s", CANARY)
    logger.error("a bug", exc_info=RuntimeError(CANARY))
    assert logs.leaked == ["tests.canary"] * 2


# --- An upstream that says the key back -----------------------------------------------------------------------------


def says(data: bytes, piece: bytes = b"") -> bytes:
    return SSE_HEAD + (chunk(piece) if piece else b"") + chunk(data) + LAST_CHUNK


KEY = CANARY.encode()
ECHOES = {
    "as its reason": b"HTTP/1.1 401 %b\r\nContent-Length: 0\r\n\r\n" % KEY,
    "as its status": b"HTTP/1.1 %b Oops\r\nContent-Length: 0\r\n\r\n" % KEY,
    "in an error page": b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n%b" % (len(KEY), KEY),
    "in a field": b"HTTP/1.1 429 Slow\r\nX-Key: %b\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % (KEY, KEY),
    "in a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://x/?key=%b\r\nContent-Length: 0\r\n\r\n" % KEY,
    "as the media type": b"HTTP/1.1 200 OK\r\nContent-Type: text/html; %b\r\nContent-Length: 0\r\n\r\n" % KEY,
    "as the coding": SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % KEY) + LAST_CHUNK,
    "in JSON under 200": SSE_HEAD.replace(b"text/event-stream", b"application/json")
    + chunk(b'{"error":{"code":"bad_key","message":"%b"}}' % KEY)
    + LAST_CHUNK,
    "as an error's message": says(b'data: {"error":{"code":"bad_key","message":"no such key %b"}}\n\n' % KEY, PIECE),
    "as an error's text": says(b'data: {"error":"no such key %b"}\n\n' % KEY, PIECE),
    "in a malformed event": says(b"data: {%b\n\n" % KEY, PIECE),
    "as an event's name": says(b"event: %b\ndata: {}\n\n" % KEY, PIECE),
    "in a comment": says(b": %b\n\n" % KEY, PIECE),
    "as a chunk's size": SSE_HEAD + chunk(PIECE) + KEY + b"\r\n",
    "in a trailer": SSE_HEAD + chunk(PIECE) + b"0\r\nX-Key: %b\r\n\r\n" % KEY,
    "instead of an answer": KEY,
    "behind the end": says(b"data: [DONE]\n\n", PIECE) + KEY,
}


@pytest.mark.parametrize("place", ECHOES)
def test_no_answer_and_no_log_has_the_key_although_the_upstream_says_it_back(logs: LogWatch, place: str) -> None:
    with RawServer(lambda c: c.sendall(ECHOES[place])) as upstream, serve(relay_of(upstream.url)) as server:
        for accept in ACCEPTS:
            answer = exchange(server.url, request("/ans", b"chat_history=x", accept=accept))
            assert answer.startswith(b"HTTP/1.1 ")
            assert not leaks(answer)
        assert all(leaks(asked) for asked in upstream.requests), "the upstream was not given the key"
    assert logs.leaked == []


@pytest.mark.parametrize("name", presets())
def test_no_preset_shows_the_key_by_which_it_asks(logs: LogWatch, name: str) -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda c: c.sendall(refusal)) as upstream, serve(relay_of(upstream.url, name)) as server:
        assert not leaks(exchange(server.url, request("/ans", b"chat_history=x")))
    assert logs.leaked == []


# --- What a debugger, or a notebook's last line, shows --------------------------------------------------------------


def test_no_repr_of_anything_in_a_relay_shows_the_key_while_it_asks() -> None:
    """While a stream runs, its request is somewhere in there."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(PIECE))
        upstream.until_left(connection)

    with RawServer(speak) as upstream, serve(relay_of(upstream.url)) as server, connected(server.url) as client:
        client.sendall(request("/ans", b"chat_history=x"))
        assert client.recv(65536)
        assert server.app is not None
        found = list(reachable(server.app.ctx.relay))
        kinds = {type(it).__name__ for it in found}
        assert {"Relay", "Preset", "StreamTransport", "Pool", "Exchange", "Inbox"} <= kinds, "the walk ends too early"
        assert [type(it).__name__ for it in found if leaks(repr(it).encode())] == []


def test_no_repr_of_a_request_to_an_upstream_shows_the_key() -> None:
    for name in presets():
        upstream = Relay(upstream="http://unused.test", preset=name, model="some-model").upstream
        assert upstream is not None
        ask = upstream.question("a question")
        assert any(leaks(value.encode()) for value in ask.headers.values()) or name in KEYLESS
        assert not leaks(repr(ask).encode()), name


KEYLESS = {"streamkit", "streamkit-ndjson"}
PLAIN = (str, bytes, bytearray, memoryview, int, float, dict, list, tuple, set, frozenset, type(None))
"""Values: what holds the key has to hold it as one of these. Whoever prints those by name asks for them."""
CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def reachable(start: object) -> Iterator[object]:
    """Objects that can be reached over attributes and containers, code and plain values left out."""
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        it = waiting.pop()
        if id(it) in seen or isinstance(it, CODE) or type(it).__module__ in {"logging", "threading"}:
            continue
        seen[id(it)] = it
        waiting += parts(it)
        if not isinstance(it, PLAIN) or (isinstance(it, tuple) and type(it) is not tuple):
            yield it


def parts(it: object) -> list[object]:
    if isinstance(it, dict):
        return [*it, *it.values()]
    if isinstance(it, list | tuple | set | frozenset):
        return [*it]
    names = {name for kind in type(it).__mro__ for name in kind.__dict__.get("__slots__", ())}
    names |= set(getattr(it, "__dict__", {}))
    return [getattr(it, name) for name in names if hasattr(it, name)]


# --- Bugs -----------------------------------------------------------------------------------------------------------


class Betrayed(httpx2.AsyncBaseTransport):
    """A transport whose error's text is the whole request."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise RuntimeError(f"a bug with {request.headers.raw!r}")


class BetrayedBody(httpx2.AsyncByteStream):
    def __init__(self, request: httpx2.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield PIECE
        raise RuntimeError(f"a bug with {self._request.headers.raw!r}")


class BetrayedLater(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        return httpx2.Response(200, headers=headers, stream=BetrayedBody(request), request=request)


@pytest.mark.parametrize("transport", [Betrayed, BetrayedLater])
@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_bug_whose_text_is_the_key_is_logged_and_answered_without_it(
    logs: LogWatch, accept: str, transport: Callable[[], httpx2.AsyncBaseTransport]
) -> None:
    with serve(relay_of("http://unused.test", transport=transport())) as server:
        answer = exchange(server.url, request("/ans", b"chat_history=x", accept=accept))
    assert any("internal error: RuntimeError" in alarm for alarm in logs.alarms)
    assert not leaks(answer)
    assert logs.leaked == []


def test_a_preset_that_fails_with_the_event_in_its_text_is_logged_without_it(
    logs: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Piece]:
        raise RuntimeError(f"a bug with {CANARY}")

    monkeypatch.setattr("streamkit.relay.sources.reading.Reading.feed", fail)
    answered = says(PIECE)
    with RawServer(lambda c: c.sendall(answered)) as upstream, serve(relay_of(upstream.url)) as server:
        answer = exchange(server.url, request("/ans", b"chat_history=x"))
    assert logs.alarms
    assert not leaks(answer)
    assert logs.leaked == []


def test_no_traceback_of_a_refused_connection_shows_the_key() -> None:
    """The exceptions of our transport, as a notebook shows them."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def ask() -> str:
        upstream = Relay(upstream=url, preset="openai").upstream
        assert upstream is not None
        await upstream.open()
        asked = upstream.question("a question")
        try:
            question = httpx2.Request("POST", url, headers=asked.headers, content=asked.content)
            await upstream.transport.handle_async_request(question)
        except httpx2.ConnectError as error:
            return "".join(traceback.format_exception(error))
        finally:
            await upstream.close()
        raise AssertionError("somebody listens there")

    told = asyncio.run(ask())
    assert "ConnectError" in told
    assert not leaks(told.encode())


@pytest.mark.parametrize("key", [f"{CANARY}ö", f"{CANARY}\r\nX-Other: y", f"{CANARY}\0"])
def test_a_key_that_makes_no_sense_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_app(upstream="http://unused.test", key=key)
    assert not leaks("".join(traceback.format_exception(caught.value)).encode())


def test_a_key_in_the_upstreams_address_is_refused_without_being_quoted() -> None:
    address = f"http://user:{quote(CANARY, safe='')}@unused.test/"
    with pytest.raises(ConfigError) as caught:
        create_app(upstream=address)
    assert not leaks(str(caught.value).encode())


# --- What is kept ---------------------------------------------------------------------------------------------------


def test_no_saved_recording_has_the_key(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    with Lab(Script(["a", "b"], first_piece_ms=1, gap_ms=1, preset="openai"), model="some-model") as lab:
        recording = asyncio.run(lab.post(chat_history="x", accept="sse"))
        assert recording.outcome.ok
        assert lab.upstream is not None
        assert lab.upstream.app is not None
        recording.save(path)
        shown = (lab, lab.relay, lab.upstream, recording, recording.summary(), *lab.upstream.app.ctx.sent)
        assert not leaks("".join(map(repr, shown)).encode())
    assert not leaks(path.read_bytes())


CELLS = (
    "import streamkit as sk\nlab = sk.Lab(sk.Script(first_piece_ms=1, gap_ms=1, preset='openai'), model='m')\nlab",
    "recording = await lab.post(chat_history='x', accept='sse')\nrecording",
    "recording.summary()",
    "relay = lab.relay.app.ctx.relay\n[relay, relay.upstream, relay.upstream.transport, lab.relay, lab.relay.app]",
    "lab.upstream",
    "lab.stop()\nsk.create_app(upstream='http://unused.test', preset='openai', model='m', idle_s=-1)",
    "sk.create_app(upstream='http://unused.test', preset='openai', extra={'x': object()})",
)


def test_a_notebook_that_shows_what_it_can_is_saved_without_the_key() -> None:
    """Errors, with their tracebacks, included."""
    import nbformat  # takes a second and a half: only where this test runs
    from nbclient import NotebookClient

    made: Any = nbformat.v4  # brings half its types
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=WAIT_S).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert [output.output_type for output in outputs].count("error") == 2
    assert len(outputs) == len(CELLS)
    assert not leaks(json.dumps(notebook).encode())


def test_no_saved_notebook_of_ours_has_the_key() -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    assert [path.name for path in notebooks if leaks(path.read_bytes())] == []
