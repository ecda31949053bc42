"""Whom the relay asks, and what of that it never shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streamkit.app import create_app
from streamkit.errors import ConfigError
from streamkit.extractor import Extractor
from streamkit.presets import preset
from streamkit.relay.sources.upstream import Upstream
from streamkit.transport import StreamTransport


def test_a_password_in_the_upstreams_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="UPSTREAM_API_KEY") as refused:
        create_app(upstream="https://user:secret@api.test/v1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"key": "sk-é"}, {"extra": {"x": object()}}], ids=["key", "extra"])
def test_what_no_question_can_carry_is_said_when_the_upstream_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Upstream("http://api.test/v1", preset("openai"), **wrong)


def test_an_alias_needs_a_model_which_is_said_when_the_upstream_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMKIT_MODEL", raising=False)
    with pytest.raises(ConfigError, match="a model that groq serves, got none: pass model="):
        create_app(upstream="http://api.test/v1", preset="groq")
    kept = create_app(upstream="http://api.test/v1", preset="groq", model="m").ctx.relay.upstream
    assert (repr(kept), b'"model":"m"' in kept.question("hi").content) == ("<Upstream preset='groq'>", True)


def test_an_extractor_is_taken_for_a_preset_and_asks_by_a_form() -> None:
    kept = create_app(upstream="http://api.test/v1", preset=Extractor("body.say")).ctx.relay.upstream
    assert repr(kept) == "<Upstream preset='extractor'>"
    assert kept.question("hi").content == b"chat_history=hi"


def test_the_key_goes_with_each_question_and_is_not_shown() -> None:
    upstream = Upstream("http://api.test/v1", preset("openai"), key="sk-secret", model="m", extra={"seed": 7})
    asked = upstream.question("hi")
    assert asked.headers["authorization"] == "Bearer sk-secret"
    assert b'"seed":7' in asked.content.replace(b" ", b"")
    assert repr(upstream) == "<Upstream preset='openai'>"


def test_its_own_transport_lives_from_open_to_close() -> None:
    async def main() -> None:
        upstream = Upstream("http://api.test/v1", preset("openai"), model="m")
        with pytest.raises(AssertionError, match="not open"):
            _ = upstream.transport
        await upstream.open()
        assert isinstance(upstream.transport, StreamTransport)
        await upstream.close()
        with pytest.raises(AssertionError, match="not open"):
            _ = upstream.transport

    asyncio.run(main())


def test_a_transport_of_somebody_elses_is_used_and_closed() -> None:
    class Given(httpx2.AsyncBaseTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def main() -> None:
        given = Given()
        upstream = Upstream("http://api.test/v1", preset("openai"), model="m", transport=given)
        await upstream.open()
        assert upstream.transport is given
        await upstream.close()
        assert given.closed

    asyncio.run(main())


def test_words_of_the_upstreams_are_told_without_its_key() -> None:
    assert Upstream("http://a.test/", preset("openai"), key="hunter2").masked("wrong: hunter2") == "wrong: …"
    assert Upstream("http://a.test/", preset("openai")).masked("wrong: hunter2") == "wrong: hunter2"


def test_certificates_that_cannot_be_read_are_said_when_the_upstream_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a file or folder of certificates"):
        Upstream("https://a.test/", preset("openai"), verify=str(tmp_path / "none.pem"))


def test_a_transport_of_somebody_elses_decides_itself_whom_it_trusts() -> None:
    with pytest.raises(TypeError, match="got both"):
        Upstream("https://a.test/", preset("openai"), transport=httpx2.AsyncHTTPTransport(), verify=False)
