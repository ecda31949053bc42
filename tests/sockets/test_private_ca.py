"""TLS with a CA of one's own: trusted where recorder and relay are told to, and why nobody else is, said in words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import trustme

from streamkit.app import create_app
from streamkit.cli import main
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.presets import writer
from streamkit.serving.server import serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, read_request

OPENAI = writer("openai")
ANSWER = SSE_HEAD + chunk(b"".join([*OPENAI.open(), OPENAI.piece("你好", 0), *OPENAI.close()])) + LAST_CHUNK
LONG_AGO = datetime.now(UTC) - timedelta(days=2)
LONG_AFTER = datetime.now(UTC) + timedelta(days=2)


@contextmanager
def answering(certificate: trustme.LeafCert | None, greeting: bytes = b"") -> Iterator[str]:
    """The URL of a server that answers one request after the other, over TLS; without a certificate, one that says
    `greeting` to whoever connects.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        certificate.configure_cert(context)

    def serve_one(plain: socket.socket) -> None:
        if certificate is None:
            plain.recv(65536)
            plain.sendall(greeting)
            return
        with context.wrap_socket(plain, server_side=True) as connection:
            read_request(connection)
            connection.sendall(ANSWER)

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                connection.settimeout(WAIT_S)
                try:
                    serve_one(connection)
                except OSError:
                    continue  # the other side does not trust us

    listener = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=run)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT_S)


def recorded(url: str, **options: Any) -> Recording:
    return asyncio.run(record(url, **options))


def test_the_recorder_trusts_the_ca_that_it_is_given(ca: trustme.CA, ca_file: str) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    with answering(ca.issue_cert("127.0.0.1")) as url:
        for verify in (ca_file, Path(ca_file), context, False):
            recording = recorded(url, verify=verify)
            assert (str(recording.outcome), recording.text) == ("complete", "你好"), verify


def test_the_environments_ca_is_trusted_on_request_only(
    ca: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with answering(ca.issue_cert("127.0.0.1")) as url:
        assert recorded(url, verify="env").text == "你好"
        assert str(recorded(url).outcome) == "refused(connect)"


def self_signed(_: trustme.CA) -> trustme.LeafCert:
    """A CA's own certificate, shown as the server's."""
    other = trustme.CA()
    return trustme.LeafCert(other.private_key_pem.bytes(), other.cert_pem.bytes(), [])


NO_TLS = "what answers on this port does not speak TLS; http:// may be meant"
REASONS: dict[str, tuple[Callable[[trustme.CA], trustme.LeafCert | None], str]] = {
    "another CA's": (lambda _: trustme.CA().issue_cert("127.0.0.1"), "its issuer is not trusted"),
    "self-signed": (self_signed, "self-signed"),
    "expired": (lambda ca: ca.issue_cert("127.0.0.1", not_after=LONG_AGO), "it has expired"),
    "not valid yet": (lambda ca: ca.issue_cert("127.0.0.1", not_before=LONG_AFTER), "it is not valid yet"),
    "of another host": (lambda ca: ca.issue_cert("example.test"), "it is for another address"),
    "none, HTTP": (lambda _: None, NO_TLS),
}


def test_of_a_name_it_is_said_so(ca: trustme.CA, ca_file: str) -> None:
    with answering(ca.issue_cert("example.test")) as url:
        recording = recorded(url.replace("127.0.0.1", "localhost"), verify=ca_file)
    assert "it is for another host name" in str(recording.error)


@pytest.mark.parametrize("case", ["self-signed", "expired", "of another host"])
def test_the_command_says_it_too(case: str, ca: trustme.CA, ca_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    issue, told = REASONS[case]
    with answering(issue(ca)) as url:
        assert main(["record", url, "--cacert", ca_file]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert "refused(connect)" in errors
    assert told in errors


@pytest.mark.parametrize(
    ("wants", "told"),
    [
        (ssl.TLSVersion.TLSv1_3, "the server speaks no version of TLS that this client does"),
        (None, "no TLS connection: connection reset by peer"),
    ],
)
def test_why_a_handshake_failed_is_said_in_words(wants: ssl.TLSVersion | None, told: str, ca: trustme.CA) -> None:
    ours = ssl.create_default_context()
    ours.maximum_version = ssl.TLSVersion.TLSv1_2

    def behave(connection: socket.socket) -> None:
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(theirs)
        if wants is None:
            connection.recv(65536)
            return
        theirs.minimum_version = wants
        with contextlib.suppress(ssl.SSLError):
            theirs.wrap_socket(connection, server_side=True)

    with RawServer(behave, lambda _: b"") as server:
        recording = recorded(server.url.replace("http://", "https://"), verify=ours)
    assert str(recording.outcome) == "refused(connect)"
    assert told in str(recording.error)


@pytest.mark.parametrize("case", REASONS)
def test_why_nobody_was_trusted_is_said_in_words(case: str, ca: trustme.CA, ca_file: str) -> None:
    issue, told = REASONS[case]
    with answering(issue(ca), greeting=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as url:
        recording = recorded(url, verify=ca_file)
    assert str(recording.outcome) == "refused(connect)"
    assert told in str(recording.error)
    assert "127.0.0.1" not in str(recording.error)


def test_the_relay_trusts_the_ca_that_it_is_given_and_its_log_says_why_not(
    ca: trustme.CA, ca_file: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamkit.relay")

    def asked(url: str, **options: Any) -> httpx2.Response:
        app = partial(create_app, upstream=url, preset="openai", model="m", **options)
        with serve(app) as server:
            return httpx2.post(f"{server.url}/ans", data={"chat_history": "hi"}, trust_env=False, timeout=WAIT_S)

    with answering(ca.issue_cert("127.0.0.1")) as url:
        assert asked(url, verify=ca_file).text == "你好"
        refused = asked(url)
    assert (refused.status_code, refused.json()["code"]) == (502, "upstream_unreachable")
    assert "certificate" not in refused.text
    why = json.loads(caplog.records[-1].getMessage())["why"]
    assert why.startswith("no TLS connection: the server's certificate was not accepted: ")


def test_the_variable_of_the_relays_environment_names_it_too(
    ca: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMKIT_CACERT", ca_file)
    with answering(ca.issue_cert("127.0.0.1")) as url:
        with serve(partial(create_app, upstream=url, preset="openai", model="m")) as server:
            answer = httpx2.post(f"{server.url}/ans", data={"chat_history": "hi"}, trust_env=False, timeout=WAIT_S)
        assert answer.text == "你好"
