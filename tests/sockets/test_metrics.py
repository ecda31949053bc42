"""GET /metrics: of a relay that serves, and of several workers, one of which dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from tests.rawsockets import exchange, request
from tests.servers import eventually, rest_of
from tests.sockets.test_workers import LONG_S, Service, alone, stream_on

WORDS = Script([f"{number:03} " for number in range(10)], 1, 5)
ENDLESS = Script([f"{number:03} " for number in range(500)], 1, 20)


def told(url: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels, these sorted by their names."""
    answer = exchange(url, b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.fixture
def upstream() -> Iterator[Server]:
    with serve(partial(create_upstream, WORDS)) as server:
        yield server


COMPLETE = ("streamkit_streams_total", "", "text/plain", "complete", "pause")


def test_a_stream_is_counted_when_its_first_piece_and_each_further_one_leave_and_at_its_end(upstream: Server) -> None:
    with serve(partial(create_app, upstream=upstream.url, preset="seed", metrics=True)) as server:
        assert COMPLETE not in told(server.url)
        exchange(server.url, request("/ans", b"chat_history=x", connection="close"))
        assert eventually(lambda: COMPLETE in told(server.url))
        found = told(server.url)
        assert found[COMPLETE] == 1
        assert found["streamkit_first_piece_seconds_count",] == 1
        assert 0 < found["streamkit_gap_seconds_count",] < 10
        assert found["streamkit_pieces_total",] == 10
        assert found["streamkit_sent_bytes_total",] >= 40
        assert found["streamkit_streams_active",] == 0


def test_what_is_refused_is_counted_and_a_web_page_of_another_site_may_not_read_it(upstream: Server) -> None:
    with serve(partial(create_app, upstream=upstream.url, preset="seed", metrics=True)) as server:
        page = b"GET /metrics HTTP/1.1\r\nHost: test\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n"
        assert exchange(server.url, page).startswith(b"HTTP/1.1 403")
        exchange(server.url, request("/ans", b"other=x", connection="close"))
        refused = ("streamkit_streams_total", "chat_history_missing", "", "refused", "")
        assert eventually(lambda: refused in told(server.url))


def test_a_client_that_leaves_is_told_by_how_soon_its_upstream_was_closed() -> None:
    with (
        serve(partial(create_upstream, ENDLESS)) as upstream,
        serve(partial(create_app, upstream=upstream.url, preset="seed", metrics=True)) as server,
    ):
        with socket.create_connection((server.host, server.port), LONG_S) as stream:
            stream.sendall(request("/ans", b"chat_history=x"))
            assert stream.recv(4096)
            assert told(server.url)["streamkit_streams_active",] == 1
        assert eventually(lambda: told(server.url)["streamkit_source_close_seconds_count",] == 1)
        assert told(server.url)["streamkit_source_close_seconds_bucket", "0.5"] == 1


def test_a_client_that_reads_nothing_is_seen_while_it_does_not_by_what_waits_for_it_and_for_how_long() -> None:
    flood = Script(["x" * 10_000] * 400, 1, 0)
    with (
        serve(partial(create_upstream, flood)) as upstream,
        serve(
            partial(create_app, upstream=upstream.url, preset="seed", metrics=True, send_buffer_bytes=8192)
        ) as server,
        socket.create_connection((server.host, server.port), LONG_S) as stream,
    ):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        stream.sendall(request("/ans", b"chat_history=x"))
        assert eventually(lambda: told(server.url)["streamkit_buffered_bytes",] > 10_000)
        held_s = told(server.url)["streamkit_held_seconds_total",]
        assert eventually(lambda: told(server.url)["streamkit_held_seconds_total",] > held_s)


def test_who_comes_back_is_counted_by_what_became_of_it(upstream: Server) -> None:
    with serve(partial(create_app, upstream=upstream.url, preset="seed", metrics=True, resume=True)) as server:
        answer = exchange(server.url, request("/ans", b"chat_history=x", connection="close"))
        where = answer.lower().partition(b"location: ")[2].partition(b"\r\n")[0].decode()
        for path in (where, "/streams/none"):
            exchange(server.url, f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        assert eventually(lambda: ("streamkit_resumes_total", "stream_unknown", "refused") in told(server.url))
        found = told(server.url)
        assert found["streamkit_resumes_total", "", "complete"] == 1
        assert found["streamkit_produced_streams_total", "", "complete"] == 1
        assert found["streamkit_source_close_seconds_count",] == 0


def test_where_nothing_is_to_be_counted_there_is_no_such_page(upstream: Server) -> None:
    with serve(partial(create_app, upstream=upstream.url, preset="seed")) as server:
        assert exchange(server.url, b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")[9:12] == b"404"


def test_any_of_several_workers_tells_of_all_also_of_one_that_was_killed(tmp_path: Path, upstream: Server) -> None:
    service = Service(tmp_path, upstream.url, "--metrics")
    try:
        service.wait_until_ready()
        workers = service.workers()
        for worker in (*workers, workers[0]):
            rest_of(stream_on(service, worker)[0])
        assert eventually(counted(service, 3), LONG_S)
        assert {key[1] for key in told(service.url) if key[0] == "process_open_fds"} == {"0", "1"}
        assert eventually(partial(told_alone, service, workers[1], 3), LONG_S)  # who will be there
        os.kill(workers[0], signal.SIGKILL)
        assert eventually(lambda: len(service.workers()) == 2 and service.workers() != workers, LONG_S)
        rest_of(service.open())
        assert eventually(counted(service, 4), LONG_S)
    finally:
        service.end()


def counted(service: Service, answers: int) -> Callable[[], bool]:
    """Whoever of them answers: the workers tell each other once a second."""
    return lambda: all(told(service.url).get(COMPLETE) == answers for _ in range(3))


def told_alone(service: Service, worker: int, answers: int) -> bool:
    with alone(service, worker):
        return told(service.url).get(COMPLETE) == answers
