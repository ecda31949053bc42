"""Content codings: whatever the cuts, the body under them, in small parts, as soon as its bytes allow."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.content.codings import (
    BROWSER,
    PART_BYTES,
    CodingError,
    Decoding,
    asks_for,
    codings_of,
    requested,
)
from tests.memory import peak_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
}
EACH = pytest.mark.parametrize(("name", "pack"), PACKED.values(), ids=PACKED)
TEXT = b"".join(b'data: {"text":"%d"}\n\n' % number for number in range(300))


def decoded(coded: bytes, *names: str, step: int = 1 << 30) -> tuple[bytes, bool]:
    decoding = Decoding(names)
    parts = [part for at in range(0, len(coded), step) for part in decoding.feed(coded[at : at + step])]
    return b"".join(parts), decoding.whole


@EACH
@pytest.mark.parametrize("step", [1, 7, 1 << 30])
def test_any_cut_gives_the_same_body(name: str, pack: Callable[[bytes], bytes], step: int) -> None:
    assert decoded(pack(TEXT), name, step=step) == (TEXT, True)


@given(data=st.data(), body=st.binary(max_size=300), which=st.sampled_from(sorted(PACKED)))
def test_any_cuts_of_any_body_give_the_same(data: st.DataObject, body: bytes, which: str) -> None:
    name, pack = PACKED[which]
    coded, decoding = pack(body), Decoding((name,))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(coded)), max_size=5)))
    parts = [coded[a:b] for a, b in zip([0, *cuts], [*cuts, len(coded)], strict=True)]
    assert b"".join(piece for part in parts for piece in decoding.feed(part)) == body
    assert decoding.whole


@EACH
def test_a_body_that_is_cut_is_not_whole(name: str, pack: Callable[[bytes], bytes]) -> None:
    coded = pack(TEXT)
    assert not any(decoded(coded[:end], name)[1] for end in range(1, len(coded)))


def test_nothing_at_all_is_whole() -> None:
    assert decoded(b"", "gzip") == (b"", True)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_what_is_no_coding_is_an_error(name: str) -> None:
    with pytest.raises(CodingError):
        decoded(b"\xff\xffdata: hello, this is not encoded at all\n\n", name)


@EACH
def test_a_small_body_that_grows_to_much_is_made_part_by_part(name: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(20 << 20))
    assert len(bomb) < 100_000

    def grow() -> None:
        decoding, size = Decoding((name,)), 0
        for part in decoding.feed(bomb):
            assert len(part) <= 2 * PART_BYTES
            size += len(part)
        assert (size, decoding.whole) == (20 << 20, True)

    assert peak_bytes(grow) < 1 << 20


def test_a_zstd_window_beyond_what_may_be_asked_of_a_receiver_is_an_error() -> None:
    packer = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    with pytest.raises(CodingError):
        decoded(packer.compress(TEXT * 10) + packer.flush(), "zstd")


class TestFlushes:
    """What was flushed is out in the very feed that brought the flush."""

    def test_of_gzip_and_deflate(self) -> None:
        for name, wbits in (("gzip", 31), ("deflate", 15), ("deflate", -15)):
            packer, decoding = zlib.compressobj(wbits=wbits), Decoding((name,))
            for text in (b"one", b"two", b"three"):
                sent = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
                assert b"".join(decoding.feed(sent)) == text
            assert not decoding.whole

    def test_of_brotli(self) -> None:
        packer, decoding = brotli.Compressor(), Decoding(("br",))
        for text in (b"one", b"two", b"three"):
            assert b"".join(decoding.feed(packer.process(text) + packer.flush())) == text

    def test_of_zstd(self) -> None:
        packer, decoding = zstd.ZstdCompressor(), Decoding(("zstd",))
        for text in (b"one", b"two", b"three"):
            sent = packer.compress(text) + packer.flush(zstd.ZstdCompressor.FLUSH_BLOCK)
            assert b"".join(decoding.feed(sent)) == text

    def test_without_them_all_comes_at_the_end(self) -> None:
        packer, decoding = zlib.compressobj(wbits=31), Decoding(("gzip",))
        early = b"".join(part for text in (b"one", b"two") for part in decoding.feed(packer.compress(text)))
        assert (early, b"".join(decoding.feed(packer.flush()))) == (b"", b"onetwo")


class TestSeveral:
    def test_codings_are_undone_from_the_last_to_the_first(self) -> None:
        coded = brotli.compress(zstd.compress(gzip.compress(TEXT)))
        assert decoded(coded, "gzip", "zstd", "br", step=3) == (TEXT, True)

    @pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
    @pytest.mark.parametrize("step", [1, 1 << 30])
    def test_members_one_behind_the_other_are_one_body(
        self, name: str, pack: Callable[[bytes], bytes], step: int
    ) -> None:
        assert decoded(pack(b"one") + pack(b"two"), name, step=step) == (b"onetwo", True)

    def test_padding_behind_a_member_is_nothing(self) -> None:
        assert decoded(gzip.compress(b"one") + bytes(9), "gzip", step=5) == (b"one", True)

    @pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    def test_anything_else_behind_the_end_is_an_error_when_the_body_is_out(
        self, name: str, pack: Callable[[bytes], bytes]
    ) -> None:
        parts = Decoding((name,)).feed(pack(b"one") + b"hello")
        assert next(parts) == b"one"
        with pytest.raises(CodingError):
            next(parts)

    def test_more_than_four_are_refused_as_are_unknown_ones(self) -> None:
        for names in (("gzip",) * 5, ("compress",)):
            with pytest.raises(ValueError, match="expected at most 4 codings of gzip, deflate, br, zstd"):
                Decoding(names)


class TestTheField:
    @pytest.mark.parametrize(
        ("field", "names"),
        [
            (None, ()), ("", ()), ("identity", ()), ("none", ()), ("None", ()), ("UTF-8", ()), ("iso-8859-1", ()),
            ("gbk", ()), ("gzip", ("gzip",)), ("X-GZIP", ("gzip",)), (" gzip , br ", ("gzip", "br")),
            ("identity, gzip", ("gzip",)), ("aes128gcm", ("aes128gcm",)), ("base64", ("base64",)), ("g\0p", ("g\0p",)),
        ],
    )  # fmt: skip
    def test_none_and_character_sets_are_no_codings(self, field: str | None, names: tuple[str, ...]) -> None:
        assert codings_of(field) == names

    def test_what_browsers_ask_for_has_a_short_name(self) -> None:
        assert requested("browser") == BROWSER == "gzip, deflate, br, zstd"

    @pytest.mark.parametrize("field", ["gzip", "gzip, br", "gzip;q=1.0, *;q=0", "identity", "x-gzip ; q=0.5"])
    def test_what_can_be_decoded_can_be_asked_for(self, field: str) -> None:
        assert requested(field) == field

    @pytest.mark.parametrize(
        "field", ["", "browsr", "compress", "gzip,,br", "gzip;q=2", "gzip\r\nx: y", "gzip; level=9"]
    )
    def test_anything_else_is_an_error_that_says_what_can(self, field: str) -> None:
        with pytest.raises(ValueError, match='expected accept_encoding as "browser", "identity", or some of gzip'):
            requested(field)

    @pytest.mark.parametrize(
        ("field", "coding", "asked"),
        [
            ("gzip", "gzip", True), ("x-gzip", "gzip", True), ("gzip", "br", False), ("*", "br", True),
            ("br;q=0, *", "br", False), ("br; q=0.000", "br", False), ("br;q=0.1", "br", True), (None, "br", False),
        ],
    )  # fmt: skip
    def test_a_weight_of_nothing_does_not_ask(self, field: str | None, coding: str, asked: bool) -> None:
        assert asks_for(field, coding) is asked
