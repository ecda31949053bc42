"""The two ways to an answer: which URLs and clients go, and what somebody else's client brings."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import httpx2
import pytest

from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from tests.lab.client.peers import (
    DONE,
    END,
    HEAD,
    chunk,
    event,
    sending,
    serving,
    silent_in_the_body,
)


class TestYourOwnClient:
    @pytest.mark.parametrize("library", [httpx, httpx2])
    def test_an_async_client_of_httpx_or_httpx2_is_used_and_its_pieces_are_stamped(self, library: Any) -> None:
        async def main() -> tuple[Recording, bytes]:
            async with serving(sending(HEAD, chunk(event("a")), chunk(DONE), END)) as (url, peers):
                async with library.AsyncClient(headers={"x-mine": "1"}, trust_env=False) as client:
                    recording = await record(f"{url}?key=1", client=client, data={"a": "b"})
                    assert not client.is_closed
                return recording, peers[0].request

        recording, request = asyncio.run(main())
        assert (str(recording.outcome), recording.text, recording.stamps) == ("complete", "a", "library")
        assert recording.events.read.tolist() == [0, 1]
        assert recording.sent_ns is not None
        assert b"x-mine: 1\r\n" in request
        assert recording.url.endswith("/ans")

    @pytest.mark.parametrize("library", [httpx, httpx2])
    def test_what_breaks_in_it_is_an_outcome_too(self, library: Any) -> None:
        async def main() -> Recording:
            async with serving(silent_in_the_body) as (url, _), library.AsyncClient(trust_env=False) as client:
                return await record(url, client=client, timeout=0.4)

        assert str(asyncio.run(main()).outcome) == "timeout(idle)"

    @pytest.mark.parametrize("library", [httpx, httpx2])
    def test_it_asks_for_the_codings_that_it_always_asks_for_and_they_are_decoded_here(self, library: Any) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        body = gzip.compress(event("a") + DONE)

        async def main() -> tuple[Recording, str]:
            async with (
                serving(sending(head, chunk(body), END)) as (url, _),
                library.AsyncClient(trust_env=False) as client,
            ):
                return await record(url, client=client), client.headers["accept-encoding"]

        recording, own = asyncio.run(main())
        assert recording.meta["accept_encoding"] == own
        assert (recording.text, recording.body) == ("a", body)
        assert "not asked for" not in " ".join(recording.meta["notes"])

    def test_an_answer_that_a_test_transport_gives_read_and_decoded_is_taken_as_it_is(self) -> None:
        def answer(_request: httpx2.Request) -> httpx2.Response:
            headers = {"content-encoding": "gzip", "content-type": "text/event-stream", "x-stream-id": "s1"}
            return httpx2.Response(200, content=gzip.compress(event("a") + DONE), headers=headers)

        async def main() -> Recording:
            async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
                return await record("http://a/", client=client)

        recording = asyncio.run(main())
        assert (str(recording.outcome), recording.text) == ("complete", "a")

    def test_its_base_url_and_a_transport_without_a_wire_work(self) -> None:
        def answer(_request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, text="hi")

        async def main() -> Recording:
            transport = httpx2.MockTransport(answer)
            async with httpx2.AsyncClient(transport=transport, base_url="http://a/v1") as client:
                return await record("/ans", client=client)

        recording = asyncio.run(main())
        assert (recording.text, recording.url, recording.sent_ns) == ("hi", "http://a/v1/ans", None)
        assert recording.outcome.ok

    def test_a_synchronous_client_is_refused(self) -> None:
        with httpx2.Client() as client, pytest.raises(TypeError, match=r"expected an async client .*, got Client"):
            asyncio.run(record("http://a/", client=client))

    def test_a_unix_url_needs_the_clients_own_transport(self) -> None:
        with pytest.raises(TypeError, match="give it a transport with uds="):
            asyncio.run(record("http+unix://%2Fs/", client=httpx2.AsyncClient()))


class TestProgrammersErrors:
    @pytest.mark.parametrize("url", ["", "localhost:8000/ans", "ftp://a/", "http:///ans", "/ans"])
    def test_a_url_that_is_not_a_full_one_raises(self, url: str) -> None:
        with pytest.raises(ValueError, match="full URL"):
            asyncio.run(record(url))

    def test_a_port_that_cannot_be_raises(self) -> None:
        with pytest.raises(ValueError, match=r"port up to 65535 .* got 99999"):
            asyncio.run(record("http://127.0.0.1:99999/"))

    def test_content_that_is_no_body_raises(self) -> None:
        with pytest.raises(TypeError, match=r"expected bytes, text, an iterator .* got int"):
            asyncio.run(record("http://a/", content=3))
