"""A body's digests, as its client claims them (RFC 9530)."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.relay.failure import Failed
from streamkit.relay.request.digest import MAX_FIELD_CHARS, Digests

HELLO = b'{"hello": "world"}\n'
OF_RFC = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
"""Of HELLO, in RFC 9530 appendix B.1."""


def claimed(name: str, data: bytes) -> str:
    return f"{name}=:{b64encode(hashlib.new(name.replace('-', ''), data).digest()).decode()}:"


def code_of(fields: list[str], data: bytes) -> str:
    """How it fails, with which status; "" where it does not."""
    try:
        digests = Digests.of(fields)
        digests.update(data)
        digests.check()
    except Failed as error:
        return f"{error.failure.status} {error.failure.code}"
    return ""


@given(st.binary(), st.data())
def test_any_body_in_any_parts_agrees_with_its_own_digests_and_with_no_other_ones(
    data: bytes, drawn: st.DataObject
) -> None:
    cut = drawn.draw(st.integers(0, len(data)))
    for name in ("sha-256", "sha-512"):
        digests = Digests.of([claimed(name, data)])
        digests.update(data[:cut])
        digests.update(data[cut:])
        digests.check()
        digests.update(b"!")
        with pytest.raises(Failed, match=f"digest_mismatch.*{name}"):
            digests.check()


@pytest.mark.parametrize(
    "fields",
    [
        [OF_RFC],
        [OF_RFC, OF_RFC],
        [f"{claimed('sha-512', HELLO)}, {OF_RFC}"],
        [f" {OF_RFC}\t,\t{claimed('sha-512', HELLO)} "],
        [OF_RFC + ';q=1;note="a, b";x'],
        ["md5=:AAAA:, crc32c=::"],
        [f"unixsum=:AAAA:, {OF_RFC}"],
    ],
    ids=["RFC 9530's own", "in both fields", "two algorithms", "space", "parameters", "others only", "others too"],
)
def test_what_agrees_and_what_nobody_needs_to_know_passes(fields: list[str]) -> None:
    assert code_of(fields, HELLO) == ""


@pytest.mark.parametrize(
    "fields",
    [[OF_RFC], [f"{claimed('sha-512', HELLO)}, {claimed('sha-256', b'')}"], [OF_RFC, claimed("sha-512", HELLO)]],
    ids=["one", "one of two", "of one field of two"],
)
def test_one_that_does_not_agree_is_enough(fields: list[str]) -> None:
    assert code_of(fields, b'{"hello": "woXYZ"}\n') == "400 digest_mismatch"


@pytest.mark.parametrize(
    "field",
    [
        "",
        " ",
        "sha-256",
        "sha-256=abc",
        "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "sha-256=:RK/0qy18:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg:",
        "sha-256=:R=K=:",
        f"{OF_RFC},",
        f",{OF_RFC}",
        f"{OF_RFC} {OF_RFC}",
        f"{OF_RFC},md5",
        f"{OF_RFC};a=" + "b" * MAX_FIELD_CHARS,
    ],
)
def test_what_cannot_be_read_is_refused_for_whoever_sends_it_counts_on_it(field: str) -> None:
    with pytest.raises(Failed, match="bad_digest"):
        Digests.of([field])


def test_without_any_there_is_nothing_to_compute() -> None:
    assert not Digests.of([])
    assert not Digests.of(["md5=:AAAA:"])
    assert Digests.of([OF_RFC])
