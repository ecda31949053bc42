"""Digests: hashlib's, of all and of each part."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors.digest import Digest
from tests.processors.cuts import CUTS, processed


@given(st.binary(max_size=200), CUTS)
def test_any_partition_has_one_digest(data: bytes, cuts: list[int]) -> None:
    assert processed(Digest(), data, cuts) == {
        "sha256": sha256(data).hexdigest(), "bytes": len(data), "parts": [], "final": True,
    }  # fmt: skip


def test_each_part_has_its_own_and_all_is_their_contents_one_behind_the_other() -> None:
    digest = Digest()
    for name, filename, data in (("a", None, b"one"), ("a", "b.txt", b""), ("c", "d", b"two")):
        digest.begin_part(name, filename)
        digest.feed(data)
    found = digest.final()
    assert (found["sha256"], found["bytes"]) == (sha256(b"onetwo").hexdigest(), 6)
    assert found["parts"] == [
        {"name": "a", "filename": None, "sha256": sha256(b"one").hexdigest(), "bytes": 3},
        {"name": "a", "filename": "b.txt", "sha256": sha256(b"").hexdigest(), "bytes": 0},
        {"name": "c", "filename": "d", "sha256": sha256(b"two").hexdigest(), "bytes": 3},
    ]


def test_a_snapshot_is_the_digest_so_far() -> None:
    digest = Digest()
    digest.feed(b"one")
    assert digest.snapshot()["sha256"] == sha256(b"one").hexdigest()
    digest.feed(b"two")
    assert digest.final()["sha256"] == sha256(b"onetwo").hexdigest()
