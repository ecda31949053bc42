"""record() against real sockets: servers that write exact bytes and look at what they got."""

from __future__ import annotations

import asyncio
import gzip
import logging
import math
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streamkit._version import __version__
from streamkit.errors import UnknownPreset
from streamkit.lab.client import course as client_module
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from tests.lab.client.peers import (
    DONE,
    END,
    HEAD,
    TEXT_HEAD,
    Peer,
    Script,
    chunk,
    event,
    open_after_its_end,
    recorded,
    requested,
    sending,
    serving,
    silent,
    silent_in_the_body,
)
from tests.rawsockets import RawServer


class TestStamps:
    def test_chunks_that_came_in_one_read_share_its_number_and_its_time(self) -> None:
        body = chunk(event("a")) + chunk(event("b")) + chunk(DONE) + END
        recording = recorded(sending(HEAD, body))
        assert recording.events.read.tolist() == [0, 0, 0]
        assert len(set(recording.events.at_ns)) == 1
        assert recording.reads.size.tolist() == [len(event("a")) * 2 + len(DONE)]
        assert recording.stamps == ("kernel" if sys.platform == "linux" else "socket")

    def test_the_stamps_do_not_move_when_python_is_late(self) -> None:
        """The kernel's times keep the server's pace although the reader sleeps; how late it was stands beside them."""

        def script(connection: socket.socket) -> None:
            connection.sendall(HEAD + chunk(event("a")))
            time.sleep(0.1)
            connection.sendall(chunk(event("b") + DONE) + END)

        with RawServer(script) as server:  # in a thread, which goes on while the loop sleeps
            sleep = record(server.url, on_piece=lambda text: time.sleep(0.5) if text == "a" else None)
            recording = asyncio.run(sleep)
        first, second = recording.reads.at_ns
        late = recording.reads.late_ns[1]
        if recording.stamps == "kernel":
            assert second - first < 400_000_000 < late + second - first
            assert 0 <= max(recording.reads.error_ns) < 1_000_000
        else:
            assert (second - first > 400_000_000, late, recording.reads.error_ns[1]) == (True, 0, -1)
        assert recording.meta["loop_lag_ns"] > 300_000_000

    def test_one_event_in_two_reads_has_the_number_and_time_of_the_second(self) -> None:
        async def main() -> Recording:
            first_seen = asyncio.Event()

            async def script(peer: Peer) -> None:
                await peer.send(HEAD, chunk(event("a") + event("b")[:9]))
                await first_seen.wait()
                await peer.send(chunk(event("b")[9:]), chunk(DONE), END)

            async with serving(script) as (url, _):
                return await record(url, on_piece=lambda _text: first_seen.set())

        recording = asyncio.run(main())
        assert recording.events.read.tolist() == [0, 1, 1]
        assert recording.events.at_ns[0] < recording.events.at_ns[1]
        assert (recording.text, recording.outcome.ok) == ("ab", True)

    def test_body_bytes_that_came_with_the_head_have_its_time(self) -> None:
        recording = recorded(sending(HEAD, chunk(event("a")), chunk(DONE), END))
        assert recording.head_ns == recording.reads.at_ns[0]

    def test_the_way_of_a_request_is_in_order(self) -> None:
        recording = recorded(sending(HEAD, chunk(event("a")), chunk(DONE), END), data={"a": "b"})
        times = [0, recording.connected_ns, recording.sent_ns, recording.head_ns, recording.ended_ns]
        known = [time for time in times if time is not None]
        assert len(known) == 5
        assert known == sorted(known)
        ttft_ms = recording.summary().ttft_ms
        assert ttft_ms == (recording.events.at_ns[0] - (recording.sent_ns or 0)) / 1e6

    def test_a_long_body_is_whole_and_its_reads_add_up(self) -> None:
        body = bytes(range(32, 127)) * 20_000
        head = TEXT_HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
        recording = recorded(sending(head, body))
        assert recording.body == body
        assert sum(recording.reads.size) == len(body)
        assert recording.outcome.ok


class TestRequest:
    def test_data_is_a_form(self) -> None:
        request = requested(data={"chat_history": "你好"})
        assert request.startswith(b"POST /ans HTTP/1.1\r\n")
        assert b"content-type: application/x-www-form-urlencoded" in request.lower()
        assert request.endswith(b"\r\n\r\nchat_history=%E4%BD%A0%E5%A5%BD")

    def test_json_content_and_files_go_as_httpx_sends_them(self) -> None:
        assert requested(json={"a": 1}).endswith(b'\r\n\r\n{"a":1}')
        assert requested(content=b"raw").endswith(b"\r\n\r\nraw")
        assert b"multipart/form-data" in requested(files={"f": b"raw"}, data={"a": "b"})

    def test_content_may_be_an_asynchronous_iterator(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        assert requested(content=pieces()).endswith(b"\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    def test_method_params_and_headers_are_the_callers(self) -> None:
        request = requested(method="GET", params={"a": "b c"}, headers={"Accept": "text/event-stream"})
        assert request.startswith((b"GET /ans?a=b+c HTTP/1.1\r\n", b"GET /ans?a=b%20c HTTP/1.1\r\n"))
        assert b"Accept: text/event-stream\r\n" in request

    @pytest.mark.parametrize(
        ("accept", "sent"),
        [
            ("sse", b"text/event-stream"),
            ("ndjson", b"application/x-ndjson"),
            ("text", b"text/plain"),
            ("application/json", b"application/json"),
        ],
    )
    def test_accept_is_a_media_type_or_short_for_one(self, accept: str, sent: bytes) -> None:
        request = requested(accept=accept, headers={"Accept": "image/png", "X-Mine": "1"})
        assert [line for line in request.lower().split(b"\r\n") if line.startswith(b"accept:")] == [b"accept: " + sent]
        assert b"x-mine: 1\r\n" in request.lower()

    def test_an_unknown_word_as_accept_is_refused_with_those_that_are_known(self) -> None:
        with pytest.raises(ValueError, match="one of text, sse, ndjson, got 'acept'"):
            asyncio.run(record("http://a/", accept="acept"))

    def test_only_an_unencoded_body_is_asked_for_unless_the_caller_says_otherwise(self) -> None:
        assert b"accept-encoding: identity\r\n" in requested().lower()
        assert b"accept-encoding: gzip\r\n" in requested(headers={"Accept-Encoding": "gzip"}).lower()
        assert b"accept-encoding: gzip, br\r\n" in requested(accept_encoding="gzip, br").lower()
        as_a_browser = requested(accept_encoding="browser", headers={"Accept-Encoding": "gzip"}).lower()
        assert as_a_browser.count(b"accept-encoding:") == 1
        assert b"accept-encoding: gzip, deflate, br, zstd\r\n" in as_a_browser

    def test_codings_that_could_not_be_decoded_are_refused_at_the_call(self) -> None:
        with pytest.raises(ValueError, match='expected accept_encoding as "browser"'):
            asyncio.run(record("http://a/", accept_encoding="compress"))

    def test_a_bound_below_one_is_refused_at_the_call(self) -> None:
        with pytest.raises(ValueError, match="expected max_event_bytes as an integer >= 1, got 0"):
            asyncio.run(record("http://a/", max_event_bytes=0))

    def test_what_was_asked_for_is_recorded_and_an_encoded_answer_decoded(self) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        body = gzip.compress(event("a") + DONE)
        for asked, unasked in (("gzip", False), (None, True)):
            recording = recorded(sending(head, chunk(body), END), accept_encoding=asked)
            assert (str(recording.outcome), recording.text, recording.body) == ("complete", "a", body)
            assert recording.meta["accept_encoding"] == (asked or "identity")
            assert ("not asked for" in " ".join(recording.meta["notes"])) is unasked

    def test_it_says_who_asks_and_that_any_media_type_will_do_unless_the_caller_says_otherwise(self) -> None:
        assert f"user-agent: streamkit/{__version__}\r\n".encode() in requested().lower()
        assert b"accept: */*\r\n" in requested().lower()
        request = requested(headers={"User-Agent": "mine", "Accept": "text/plain"}).lower()
        assert [line for line in request.split(b"\r\n") if line.startswith((b"user-agent:", b"accept:"))] == [
            b"user-agent: mine",
            b"accept: text/plain",
        ]

    def test_headers_may_be_repeated(self) -> None:
        assert requested(headers=[("X-A", "1"), ("X-A", "2")]).count(b"X-A: ") == 2

    @pytest.mark.parametrize(
        "asked",
        [
            {"headers": {"X-Key": "hunter2"}},
            {"headers": [("Authorization", "Bearer hunter2")]},
            {"params": {"key": "hunter2"}},
        ],
    )
    def test_what_was_sent_to_be_known_by_is_not_shown_when_the_server_repeats_it(self, asked: dict[str, Any]) -> None:
        refusal = b"HTTP/1.1 401 No\r\nContent-Length: 17\r\n\r\nwrong key hunter2"
        assert recorded(sending(refusal), **asked).error == "the server answered with status 401: wrong key …"

    def test_verify_and_a_client_exclude_each_other(self) -> None:
        with pytest.raises(TypeError, match="got both: a client of your own decides whom it trusts"):
            asyncio.run(record("https://a/", client=httpx2.AsyncClient(), verify=False))

    def test_the_environment_has_no_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert requested().startswith(b"POST /ans HTTP/1.1\r\n")

    def test_user_info_in_the_url_is_basic_authentication_and_is_not_recorded(self) -> None:
        async def main() -> tuple[Recording, bytes]:
            async with serving(sending(HEAD, END)) as (url, peers):
                recording = await record(url.replace("//", "//me:pw@") + "?key=k3y")
                return recording, peers[0].request

        recording, request = asyncio.run(main())
        assert b"authorization: basic bwu6chc=\r\n" in request.lower()
        assert b"POST /ans?key=k3y " in request
        assert recording.url.startswith("http://127.0.0.1:")
        assert recording.url.endswith("/ans")

    def test_no_log_line_holds_the_key(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            async with serving(sending(HEAD, END)) as (url, _):
                await record(f"{url}?key=k3y", headers={"Authorization": "Bearer t0ken"})

        with caplog.at_level(logging.DEBUG):
            asyncio.run(main())
        assert "k3y" not in caplog.text
        assert "t0ken" not in caplog.text

    def test_a_unix_socket_is_reached_by_its_url(self, tmp_path: Path) -> None:
        async def main() -> tuple[Recording, bytes]:
            async with serving(sending(HEAD, chunk(event("a") + DONE), END), unix=tmp_path / "s.sock") as (url, peers):
                return await record(url), peers[0].request

        recording, request = asyncio.run(main())
        assert (recording.text, recording.outcome.ok) == ("a", True)
        assert recording.url.startswith("http+unix://%2F")
        assert recording.connected_ns is not None
        assert b"host: localhost\r\n" in request.lower()


class TestOutcomes:
    def test_a_stream_with_its_end_marker_is_complete(self) -> None:
        assert recorded(sending(HEAD, chunk(event("a") + DONE), END)).outcome.ok

    @pytest.mark.parametrize(
        ("sent", "error"),
        [
            (HEAD + chunk(event("a")), "the body ended without its final chunk (RFC 9112 section 8)"),
            (HEAD + chunk(event("a"))[:-9], "the body ended without its final chunk (RFC 9112 section 8)"),
            (HEAD + chunk(event("a")) + END, "the end marker of preset 'streamkit' did not come"),
            (TEXT_HEAD + b"Content-Length: 9\r\n\r\nshort", "the body ended after 5 of 9 bytes (RFC 9112 section 8)"),
            (TEXT_HEAD + b"\r\nwhole?", "the body ended with the connection, which does not prove that it was whole"),
            (
                HEAD + chunk(event("a")) + b"zz\r\n",
                "broken chunked framing: Invalid character in chunk size (RFC 9112 section 7.1)",
            ),
            (b"", "the connection was closed before an answer came"),
            (b"HTTP/1.1 200 O", "the connection was closed inside the head of the answer (RFC 9112 section 8)"),
            (b"SSH-2.0-x\r\n\r\n", "the answer does not begin with HTTP/ (RFC 9112 section 4)"),
        ],
    )
    def test_what_is_cut_or_broken_is_truncated(self, sent: bytes, error: str) -> None:
        recording = recorded(sending(sent))
        assert (str(recording.outcome), recording.error) == ("truncated", error)

    def test_a_reset_is_truncated_and_what_came_before_it_is_kept(self) -> None:
        async def main() -> Recording:
            seen = asyncio.Event()

            async def script(peer: Peer) -> None:
                await peer.send(HEAD, chunk(event("a")))
                await seen.wait()
                peer.reset()

            async with serving(script) as (url, _):
                return await record(url, on_piece=lambda _text: seen.set())

        recording = asyncio.run(main())
        assert (str(recording.outcome), recording.text) == ("truncated", "a")

    def test_nobody_listening_is_refused_connect(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        recording = asyncio.run(record(url))
        assert (str(recording.outcome), recording.status, recording.connected_ns) == ("refused(connect)", None, None)
        assert recording.ended_ns is not None

    def test_a_unix_socket_that_is_not_there_is_refused_connect(self, tmp_path: Path) -> None:
        recording = asyncio.run(record(f"http+unix://{str(tmp_path).replace('/', '%2F')}%2Fnone/ans"))
        assert str(recording.outcome) == "refused(connect)"

    def test_a_server_that_speaks_no_tls_is_refused_connect(self) -> None:
        async def main() -> Recording:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1)
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                writer.close()

            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            try:
                return await record(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            finally:
                server.close()

        assert str(asyncio.run(main()).outcome) == "refused(connect)"

    def test_an_error_status_is_refused_with_its_code(self) -> None:
        body = b'{"code":"too_many_streams"}'
        head = b"HTTP/1.1 429 No\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)
        recording = recorded(sending(head, body))
        assert (str(recording.outcome), recording.status) == ("refused(429)", 429)
        assert recording.error == "the server answered with status 429: too_many_streams"

    def test_a_redirect_is_not_followed(self) -> None:
        head = b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/?key=1\r\nContent-Length: 0\r\n\r\n"
        recording = recorded(sending(head))
        assert str(recording.outcome) == "refused(307)"
        assert recording.headers == {"content-length": "0"}

    def test_interim_answers_are_not_the_answer(self) -> None:
        assert recorded(sending(b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD, chunk(event("a") + DONE), END)).outcome.ok

    def test_beyond_a_bound_the_recorder_hangs_up(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.send(HEAD, chunk(event("a") * 3))
            await peer.left()

        recording = recorded(script, max_events=2)
        assert (str(recording.outcome), recording.text) == ("cancelled(max_events)", "aa")


class TestDeadlines:
    def test_silence_before_the_body_is_timeout_first_piece(self) -> None:
        assert str(recorded(silent, timeout=0.05).outcome) == "timeout(first_piece)"

    def test_silence_inside_the_body_is_timeout_idle(self) -> None:
        recording = recorded(silent_in_the_body, timeout=0.4)
        assert (str(recording.outcome), recording.text) == ("timeout(idle)", "a")

    @pytest.mark.parametrize("script", [silent, silent_in_the_body])
    def test_the_whole_has_a_deadline_too(self, script: Script) -> None:
        recording = recorded(script, total_s=0.1)
        assert (str(recording.outcome), recording.error) == ("timeout(total)", "all of it took longer than 0.1 s")

    def test_a_connection_left_open_behind_the_end_marker_is_closed_after_a_grace(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "END_GRACE_S", 0.05)

        async def main() -> Recording:
            async with serving(open_after_its_end) as (url, _):
                return await asyncio.wait_for(record(url), 10)

        recording = asyncio.run(main())
        assert (str(recording.outcome), recording.error) == ("complete", None)
        assert "stayed open" in recording.meta["notes"][0]
        assert recording.ended_ns == recording.reads.at_ns[-1]

    def test_an_end_marker_counts_that_was_kept_back_when_the_deadline_fired(self) -> None:
        recording = recorded(open_after_its_end, total_s=0.05)
        assert (str(recording.outcome), recording.text) == ("complete", "a")

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (httpx2.ConnectTimeout, "timeout(connect)"),
            (httpx2.PoolTimeout, "timeout(pool)"),
            (httpx2.WriteTimeout, "timeout(write)"),
            (httpx2.ReadTimeout, "timeout(first_piece)"),
            (httpx2.ConnectError, "refused(connect)"),
            (httpx2.WriteError, "truncated"),
            (httpx2.ProxyError, "truncated"),
        ],
    )
    def test_each_failure_of_a_client_has_its_outcome(self, error: type[httpx2.RequestError], outcome: str) -> None:
        def fail(_request: httpx2.Request) -> httpx2.Response:
            raise error("http://secret")

        async def main() -> Recording:
            async with httpx2.AsyncClient(transport=httpx2.MockTransport(fail)) as client:
                return await record("http://a/", client=client)

        recording = asyncio.run(main())
        assert str(recording.outcome) == outcome
        assert "secret" not in str(recording.error)


class TestLeaving:
    def test_a_cancelled_recording_closes_the_connection_and_lets_the_cancellation_through(self) -> None:
        async def main() -> None:
            seen, gone = asyncio.Event(), asyncio.Event()

            async def script(peer: Peer) -> None:
                await silent_in_the_body(peer)
                gone.set()

            async with serving(script) as (url, _):
                task = asyncio.create_task(record(url, on_piece=lambda _text: seen.set()))
                await seen.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.wait_for(gone.wait(), 5)

        asyncio.run(main())

    def test_what_on_piece_raises_comes_out_and_the_connection_is_closed(self) -> None:
        def fail(_text: str) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            recorded(silent_in_the_body, on_piece=fail)

    def test_what_the_content_raises_comes_out(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            requested(content=pieces(), total_s=5)

    def test_nothing_is_left_running(self) -> None:
        async def main() -> int:
            async with serving(sending(HEAD, chunk(event("a") + DONE), END)) as (url, _):
                await record(url)
            return len(asyncio.all_tasks())

        assert asyncio.run(main()) == 1


async def listen(text: str) -> None:
    raise AssertionError(text)


async def listen_and_yield(text: str) -> AsyncIterator[str]:
    yield text


class Listener:
    async def __call__(self, text: str) -> None:
        raise AssertionError(text)


class TestProgrammersErrors:
    @pytest.mark.parametrize("name", ["timeout", "total_s", "gauge_ms", "keep_bytes", "max_events", "max_bytes"])
    @pytest.mark.parametrize(
        ("value", "error"), [(-1, ValueError), (-math.inf, ValueError), ("3", TypeError), ([3], TypeError)]
    )
    def test_a_number_that_is_none_or_negative_is_named(self, name: str, value: object, error: type[Exception]) -> None:
        if name == "timeout" and isinstance(value, list):
            value = True  # lists are for httpx to refuse
        elif value == -math.inf and name in ("keep_bytes", "max_events", "max_bytes"):
            error = TypeError  # no integer
        with pytest.raises(error, match=f"expected {name} as "):
            asyncio.run(record("http://a/", **{name: value}))  # type: ignore[arg-type]  # the claim

    @pytest.mark.parametrize("name", ["timeout", "total_s", "gauge_ms"])
    def test_a_time_that_is_nan_is_named(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"expected {name} as .*got nan"):
            asyncio.run(record("http://a/", **{name: math.nan}))  # type: ignore[arg-type]  # mypy cannot see which

    @pytest.mark.parametrize(
        "listener",
        [listen, partial(listen), partial(partial(listen)), Listener(), listen_and_yield, Listener().__call__],
    )
    def test_a_listener_that_is_async_would_never_run(self, listener: Callable[[str], object]) -> None:
        with pytest.raises(TypeError, match=r"expected on_piece as a plain function, got .*, which is async"):
            asyncio.run(record("http://a/", on_piece=listener))

    def test_a_listener_that_cannot_be_called_raises(self) -> None:
        with pytest.raises(TypeError, match="expected on_piece as something to call, got 'print'"):
            asyncio.run(record("http://a/", on_piece="print"))  # type: ignore[arg-type]  # the claim

    def test_a_reader_that_is_a_number_raises(self) -> None:
        with pytest.raises(TypeError, match="expected reader as a Reader, such as"):
            asyncio.run(record("http://a/", reader=1500))  # type: ignore[arg-type]  # the claim

    def test_two_bodies_raise(self) -> None:
        with pytest.raises(TypeError, match="one body, got data and json"):
            asyncio.run(record("http://a/", data={"a": "b"}, json={}))

    def test_data_that_is_no_form_raises(self) -> None:
        with pytest.raises(TypeError, match="raw bodies go to content="):
            asyncio.run(record("http://a/", data="a=b"))  # type: ignore[arg-type]  # the claim

    def test_an_unknown_preset_raises(self) -> None:
        with pytest.raises(UnknownPreset):
            asyncio.run(record("http://a/", preset="nobody"))

    def test_a_header_that_cannot_be_sent_raises(self) -> None:
        with pytest.raises(Exception, match="expected no control characters in the value of a"):
            requested(headers={"a": "b\r\nc: d"})
