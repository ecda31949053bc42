"""Requests, one behind the other: what is passed on is what came, but for a Host that is to be another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.wiretap.requests import PassingRequest, Requests
from streamkit.transport.framing import LAST_CHUNK, WireError, chunk
from tests.lab.wiretap.test_bodies import cut

GET = b"GET /a?key=1 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nX-Host: stays\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nhost:here\r\nContent-Length: 5\r\n\r\nHost:"
CHUNKED = b"PUT /c HTTP/1.0\r\nHOST:   here  \r\nConnection: close\r\n\r\n"
UPLOAD = b"POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"Host: x\r\n\r\n") + LAST_CHUNK
REQUESTS = st.lists(st.sampled_from([GET, POST, CHUNKED, UPLOAD, b"\r\n" + GET]), min_size=1, max_size=5)
PLACES = st.lists(st.integers(0, 2000), max_size=12)
OTHERS = {
    GET: GET.replace(b"Host: 127.0.0.1:9000", b"Host: api.test"),
    b"\r\n" + GET: b"\r\n" + GET.replace(b"Host: 127.0.0.1:9000", b"Host: api.test"),
    POST: POST.replace(b"host:here", b"host: api.test"),
    CHUNKED: CHUNKED.replace(b"HOST:   here  ", b"HOST: api.test"),
    UPLOAD: UPLOAD.replace(b"Host: x\r\nT", b"Host: api.test\r\nT"),
}


def passed(requests: Requests, parts: list[bytes]) -> tuple[list[bytes], list[PassingRequest]]:
    out, begun = [], []
    for number, part in enumerate(parts):
        on, found = requests.feed(part, number)
        out.append(on)
        begun += found
    return out, begun


@given(REQUESTS, PLACES)
def test_all_bytes_go_on_as_they_come(sent: list[bytes], at: list[int]) -> None:
    parts = cut(b"".join(sent), at)
    out, begun = passed(Requests(), parts)
    assert out == parts
    assert [request.target for request in begun] == [each.split()[1].decode() for each in sent]


@given(REQUESTS, PLACES)
def test_another_host_stands_in_each_head_and_nothing_else_is_another(sent: list[bytes], at: list[int]) -> None:
    out, begun = passed(Requests("api.test"), cut(b"".join(sent), at))
    assert b"".join(out) == b"".join(OTHERS[each] for each in sent)
    assert len(begun) == len(sent)


@given(REQUESTS, PLACES, st.sampled_from([None, "api.test"]))
def test_of_each_is_known_with_which_byte_it_ends(sent: list[bytes], at: list[int], host: str | None) -> None:
    requests = Requests(host)
    _, begun = passed(requests, cut(b"".join(sent), at))
    sizes = [len(each if host is None else OTHERS[each]) for each in sent]
    assert [request.end for request in begun] == [sum(sizes[: n + 1]) for n in range(len(sizes))]
    assert requests.between


def test_one_begins_with_its_first_byte() -> None:
    _, begun = passed(Requests(), [GET[:1], GET[1:-1], GET[-1:] + POST[:3], POST[3:]])
    assert [request.begun_ns for request in begun] == [0, 2]


def test_a_head_that_is_to_be_changed_waits_until_it_is_whole() -> None:
    requests = Requests("api.test")
    assert requests.feed(GET[:20], 0) == (b"", [])
    assert requests.kept_back == GET[:20]
    assert Requests().kept_back == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n",
        b"GET /a\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_request_is_refused(sent: bytes) -> None:
    with pytest.raises(WireError):
        passed(Requests(), [sent])


@pytest.mark.parametrize(("line", "asks"), [(b"Upgrade: websocket", True), (b"X: y", False)])
def test_who_asks_for_another_protocol_is_known(line: bytes, asks: bool) -> None:
    _, (request,) = Requests().feed(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n", 0)
    assert request.upgrade is asks
