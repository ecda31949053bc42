"""A page in a real browser, and a relay of another origin: let in, it reads piece by piece; not let in, it reaches no
model.

With Chromium where it is installed. What the heads say in each case, without a browser: `test_pages.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.app import SentLog
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import Cut
from streamkit.serving.server import serve
from tests.browser import CHROMIUM, Browser
from tests.servers import eventually
from tests.sockets.test_resume_clients import CUT_BYTES, CuttingProxy

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

PIECES = tuple(f"床前{number} " for number in range(8))
TEXT = "".join(PIECES)
MANY = tuple(f"床前{number} " for number in range(60))
GAP_MS = 100.0

ASK = """
    const form = { method: "POST", body: new URLSearchParams({ chat_history: "hi" }) }
    const leaving = new AbortController()
    const ask = (more = {}) => fetch(`${url}/ans`, { ...form, signal: leaving.signal, ...more })
    const read = async (answer, each = () => {}) => {
        let text = ""
        for await (const some of answer.body.pipeThrough(new TextDecoderStream())) await each(text += some)
        return text
    }
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@contextmanager
def relay(
    *faults: Fault, pieces: tuple[str, ...] = PIECES, gap_ms: float = GAP_MS, **settings: Any
) -> Iterator[tuple[str, Sequence[SentLog]]]:
    """Its URL, and what the model has sent to each who asked."""
    with (
        serve(partial(create_upstream, Script(pieces, 1, gap_ms, faults=faults))) as upstream,
        serve(partial(create_app, upstream=upstream.url, preset="seed", **settings)) as server,
    ):
        assert upstream.app is not None
        yield server.url, upstream.app.ctx.sent


def test_a_page_that_is_let_in_reads_while_the_model_speaks(browser: Browser) -> None:
    with relay(cors_origins=[browser.origin]) as (url, sent):
        browser.start(ASK + "return await read(await ask(), tell)", url=url)
        heard = [browser.told()]
        assert not sent[-1].ended
        while heard[-1] != TEXT:
            heard.append(browser.told())
        assert browser.told() == TEXT, "which it returns"
    assert all(TEXT.startswith(text) for text in heard)
    assert len(heard) >= 2, "some pieces may have come together, but not all"


@pytest.mark.parametrize("body", ["form", "json"])
def test_it_may_ask_with_and_without_a_preflight_and_knows_its_stream(browser: Browser, body: str) -> None:
    more = """{
        body: JSON.stringify({ chat_history: "hi" }),
        headers: { "content-type": "application/json", accept: "text/event-stream", prefer: "backpressure=pause" },
    }"""
    code = f"""
        const answer = await ask({more if body == "json" else ""})
        return [answer.status, answer.headers.get("x-stream-id"), await read(answer)]
    """
    with relay(cors_origins=[browser.origin]) as (url, sent):
        status, stream_id, text = browser.run(ASK + code, url=url)
        assert status == 200
        assert stream_id
        assert len(sent) == 1
    assert (text == TEXT) == (body == "form")
    assert ("event: done" in text) == (body == "json")


@pytest.mark.parametrize("let_in", [None, "https://app.example"])
@pytest.mark.parametrize("more", ['{ mode: "cors" }', '{ mode: "no-cors" }', '{ headers: { prefer: "x" } }'])
def test_a_page_that_is_not_let_in_reads_nothing_and_reaches_no_model(
    browser: Browser, let_in: str | None, more: str
) -> None:
    code = f"""
        try {{
            return await read(await ask({more}))
        }} catch (error) {{
            return error.name
        }}
    """
    with relay(cors_origins=[let_in] if let_in else None) as (url, sent):
        assert browser.run(ASK + code, url=url) == "TypeError"
        assert list(sent) == []


def test_a_page_that_aborts_stops_the_model(browser: Browser) -> None:
    code = """
        try {
            await read(await ask(), () => leaving.abort())
        } catch (error) {
            return error.name
        }
    """
    with relay(pieces=MANY, cors_origins=[browser.origin]) as (url, sent):
        assert browser.run(ASK + code, url=url) == "AbortError"
        assert eventually(lambda: sent[-1].ended)
        assert sent[-1].how == "left"


def test_a_cut_fails_the_reading_behind_the_text_that_came(browser: Browser) -> None:
    code = """
        let came = ""
        try {
            await read(await ask(), (text) => { came = text })
        } catch (error) {
            return [came, error.name]
        }
    """
    with relay(Cut(6), cors_origins=[browser.origin]) as (url, _):
        came, error = browser.run(ASK + code, url=url)
    assert error == "TypeError"
    assert came
    assert "".join(PIECES[:5]).startswith(came)


def test_a_refusal_can_be_read_with_its_code(browser: Browser) -> None:
    code = 'const answer = await ask({ body: new URLSearchParams({ nothing: "" }) }); return await answer.json()'
    with relay(cors_origins=[browser.origin]) as (url, _):
        assert browser.run(ASK + code, url=url)["code"] == "chat_history_missing"


def test_its_own_eventsource_comes_back_behind_each_cut(browser: Browser) -> None:
    code = """
        const answer = await ask()
        const path = answer.headers.get("location")
        leaving.abort()
        const source = new EventSource(`${through}${path}`)
        const told = { texts: [], opened: 0 }
        source.onopen = () => { told.opened += 1 }
        source.onmessage = (event) => told.texts.push(JSON.parse(event.data).text)
        await new Promise((done) => source.addEventListener("done", done))
        source.close()
        return told
    """
    with (
        relay(pieces=MANY, gap_ms=1, cors_origins=[browser.origin], resume=True) as (url, _),
        closing(CuttingProxy(int(url.rpartition(":")[2]))) as proxy,
    ):
        told = browser.run(ASK + code, url=url, through=proxy.url)
        assert told["texts"] == list(MANY)
        assert told["opened"] == proxy.cuts + 1 > 1, f"each connection passes {CUT_BYTES} bytes"
