"""The wire rules for requests, on bytes: what a head and a chunk line must look like, however they are cut."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from httptools import parse_url
from hypothesis import given
from hypothesis import strategies as st

from streamkit.relay.failure import Failed
from streamkit.relay.request.head import (
    MAX_CHUNK_LINE_BYTES,
    MAX_HEAD_BYTES,
    REQUEST_LINE,
    HeadScan,
    check_head,
    check_raw_head,
    chunk_size,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def scan(reads: list[bytes]) -> int | None:
    """Where a head ends that comes in these reads."""
    buffer, head = bytearray(), HeadScan()
    for read in reads:
        buffer += read
        if (end := head.end(buffer)) is not None:
            return end
    return None


def refusal(reads: list[bytes]) -> tuple[int, str]:
    with pytest.raises(Failed) as refused:
        scan(reads)
    return refused.value.failure.status, refused.value.failure.code


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def test_the_end_of_a_head_is_found_however_it_is_cut() -> None:
    assert scan([GET + b"\0body\n"]) == scan(bytewise(GET)) == len(GET) - 4
    assert scan([GET[:-1]]) is None


def test_one_empty_line_before_a_request_is_passed_over() -> None:
    buffer = bytearray(b"\r\n" + GET)
    assert HeadScan().end(buffer) == len(GET) - 4
    assert buffer == GET
    assert scan(bytewise(b"\r\n" + GET)) == len(GET) - 4


@pytest.mark.parametrize("byte", [*range(0x20), 0x7F])
def test_control_characters_are_refused_before_the_head_ends(byte: int) -> None:
    if byte != 0x09:
        assert refusal([b"GET / HTTP/1.1\r\nX: a", bytes([byte]), b"b"]) == (400, "bad_head")


def test_a_cr_at_the_end_of_a_read_may_get_its_lf() -> None:
    assert scan([b"GET / HTTP/1.1\r", b"\nHost: a\r", b"\n", b"\r", b"\n"]) == len(GET) - 4


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_what_is_too_large_is_refused_without_its_end(step: int) -> None:
    for data, status in ((b"G" * 20_000, 414), (GET[:-2] + b"X: a\r\n" * 4_000, 431)):
        reads = [data[start : start + step] for start in range(0, len(data), step)]
        assert refusal(reads)[0] == status


def test_a_head_of_just_the_limit_is_taken() -> None:
    fits = GET[:-2] + b"X: " + b"a" * (MAX_HEAD_BYTES - len(GET) - 5) + b"\r\n\r\n"
    assert len(fits) == MAX_HEAD_BYTES
    assert scan([fits]) == MAX_HEAD_BYTES - 4
    assert refusal([fits[:-4] + b"a\r\n\r\n"]) == (431, "head_too_large")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_a_verdict_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    data = b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"
    edges = sorted({0, *cuts, len(data)})
    reads = [data[start:stop] for start, stop in itertools.pairwise(edges)]

    def verdict(reads: list[bytes]) -> object:
        try:
            return scan(reads)
        except Failed as refused:
            return refused.failure.code

    assert verdict(reads) == verdict([data])


def test_a_head_says_where_its_message_ends() -> None:
    head = check_head(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 007 \r\nConnection: Keep-Alive,\tClose")
    assert (head.minor, head.chunked, head.length, head.closes) == (1, False, 7, True)
    head = check_head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tCHUNKED ")
    assert (head.chunked, head.length, head.closes) == (True, None, False)
    assert check_head(b"GET / HTTP/1.0\r\nExpect: anything").minor == 0


def test_a_head_that_nobody_scanned_is_scanned() -> None:
    assert check_raw_head(GET[:-4]).minor == 1
    for bad in (GET[:-4] + b"\nX: a", GET[:-4] + b"\r\nX: \0", GET[:-4] + b"\r"):
        with pytest.raises(Failed):
            check_raw_head(bad)


@given(st.text("/:.[]@?%#*ah0-~\\\"'<>^`{|}_!;,=", max_size=12), st.sampled_from(["", "/", "http://", "https://a"]))
def test_every_target_that_is_taken_can_be_read_by_sanics_parser(rest: str, start: str) -> None:
    target = (start + rest).encode()
    if REQUEST_LINE.fullmatch(b"GET " + target + b" HTTP/1.1"):
        assert parse_url(target).path


# --- Chunks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"5\r\n", 5),
        (b"aF\r\n", 175),
        (b"0000000000000005\r\n", 5),
        (b"7fffffffffffffff\r\n", 2**63 - 1),
        (b"8000000000000000\r\n", None),  # nobody can send that much
        (b"ffffffffffffffff\r\n", None),
        (b'5;a;b=c;d="e;\\"\r\n', None),
        (b'5;a;b=c;d="\te;\\"\xff"\r\n', 5),
        (b"0\r\n\r\n", 0),
        (b"000;a=b\r\n\r\n", 0),
    ],
)
def test_a_chunk_has_a_size(line: bytes, size: int | None) -> None:
    buffer = bytearray(b"\r\n" + line + (b"" if size == 0 else b"data"))
    if size is None:
        with pytest.raises(Failed):
            chunk_size(buffer)
    else:
        assert chunk_size(buffer) == size


def test_a_chunk_line_is_waited_for_byte_by_byte() -> None:
    for line in (b"\r\n5;a=b\r\n", b"\r\n0\r\n\r\n"):
        assert [chunk_size(bytearray(line[:seen])) for seen in range(len(line))] == [None] * len(line)


@pytest.mark.parametrize(
    "data", [b"X", b"\rX", b"\n", b"\r\n5;" + b"a" * MAX_CHUNK_LINE_BYTES, b"\r\n0\r\nX", b"\r\n0\r\n\rX"]
)
def test_a_chunk_that_goes_wrong_is_refused_without_its_end(data: bytes) -> None:
    with pytest.raises(Failed) as refused:
        chunk_size(bytearray(data))
    assert (refused.value.failure.status, refused.value.failure.code) == (400, "bad_chunk")


@given(st.binary(max_size=30))
def test_any_bytes_are_a_chunk_or_the_beginning_of_one_or_refused(data: bytes) -> None:
    buffer = bytearray(b"\r\n" + data)
    with contextlib.suppress(Failed):
        size = chunk_size(buffer)
        assert size is None or size >= 0
    assert buffer == b"\r\n" + data
