"""Content codings (RFC 9110, section 8.4): which lie over a body, and the body under them, as soon as its bytes allow.

    decoding = Decoding(codings_of("gzip, br"))
    for read in body:
        for part in decoding.feed(read):      # never longer than PART_BYTES, whatever a read grows to
            ...
    decoding.whole                            # False: the body broke off inside a coding

Known are gzip (RFC 1952, of one or several members), deflate (RFC 9110: in zlib's format; raw as well, since some
servers send that), br (RFC 7932) and zstd (RFC 8878, its window bounded as RFC 9659 has it). A body that was flushed
by its compressor is out in the very `feed` that brought the flush.
"""

from __future__ import annotations

import codecs
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

__all__ = ["BROWSER", "KNOWN", "CodingError", "Decoding", "asks_for", "codings_of", "requested"]

BROWSER: Final = "gzip, deflate, br, zstd"
"""What Chrome, Edge and Firefox ask for over TLS and on localhost; Safari has no zstd."""
KNOWN: Final = ("gzip", "deflate", "br", "zstd")

PART_BYTES: Final = 1 << 16
MAX_CODINGS: Final = 4
MAX_WINDOW_LOG: Final = 23  # 8 MB: no more may be asked of a receiver (RFC 9659, section 3)
_NO_CODING: Final = frozenset(("", "identity", "none"))
_ASKED: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*q\s*=\s*(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?")


class CodingError(ValueError):
    """Bytes that the coding they are said to have cannot read."""


def codings_of(field: str | None) -> tuple[str, ...]:
    """The codings that a Content-Encoding names, in the order in which they were applied.

        >>> from streamkit.content.codings import codings_of
        >>> codings_of("identity, x-gzip"), codings_of("none"), codings_of("UTF-8"), codings_of("aes128gcm")
        (('gzip',), (), (), ('aes128gcm',))

    `identity` is none, and so are `none` (written so that no middleware compresses) and the name of a character set
    (by those who take the field for it), which browsers ignore too. What else is unknown is named, for the caller to
    refuse: `KNOWN` can be undone.
    """
    words = [word.strip().lower() for word in (field or "").split(",")]
    return tuple(word.removeprefix("x-") if word == "x-gzip" else word for word in words if not _is_none(word))


def _is_none(word: str) -> bool:
    if word in _NO_CODING:
        return True
    try:
        return word not in KNOWN and codecs.lookup(word)._is_text_encoding
    except (LookupError, ValueError):
        return False


def requested(accept_encoding: str) -> str:
    """`accept_encoding` as the value of that field; "browser" is short for what browsers ask for.

        >>> from streamkit.content.codings import requested
        >>> requested("browser")
        'gzip, deflate, br, zstd'

    Raises ValueError for what is no list of codings, and for codings that we could not decode.
    """
    if accept_encoding == "browser":
        return BROWSER
    for item in accept_encoding.split(","):
        match = _ASKED.fullmatch(item)
        if match is None or match[1].lower() not in {*KNOWN, "x-gzip", "identity", "*"}:
            words = f'"browser", "identity", or some of {", ".join(KNOWN)}'
            raise ValueError(f"expected accept_encoding as {words}, got {accept_encoding!r}")
    return accept_encoding


def asks_for(accept_encoding: str | None, coding: str) -> bool:
    """Whether an Accept-Encoding names that coding, with a weight above 0 (RFC 9110, section 12.5.3).

    >>> from streamkit.content.codings import asks_for
    >>> asks_for("gzip, br;q=0", "gzip"), asks_for("gzip, br;q=0", "br"), asks_for("*", "zstd"), asks_for(None, "gzip")
    (True, False, True, False)
    """
    weights = {}
    for item in (accept_encoding or "").lower().split(","):
        word, _, parameter = item.partition(";")
        weighs_nothing = parameter.partition("=")[2].strip().strip("0.") == "" and bool(parameter)
        weights[word.strip().replace("x-gzip", "gzip")] = not weighs_nothing
    return weights.get(coding, weights.get("*", False))


class Decoding:
    """One body's bytes, freed of `codings` (as `codings_of` gives them), in parts of at most `PART_BYTES`.

        >>> import zlib
        >>> from streamkit.content.codings import Decoding
        >>> list(Decoding(("deflate",)).feed(zlib.compress(b"hi")))
        [b'hi']

    What a read grows to is made part by part, as the caller takes it: a small body that grows to gigabytes takes no
    more memory than any other. Raises ValueError for codings that are not known, or more than four of them.
    """

    def __init__(self, codings: tuple[str, ...]) -> None:
        unknown = [name for name in codings if name not in _STEPS]
        if unknown or len(codings) > MAX_CODINGS:
            raise ValueError(f"expected at most {MAX_CODINGS} codings of {', '.join(KNOWN)}, got {', '.join(codings)}")
        self.name = ", ".join(codings)
        self._steps = [_STEPS[name]() for name in reversed(codings)]  # the last one applied is the first one undone

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The parts that `data` completes; has to be iterated to its end.

        Raises CodingError behind the parts that could be read.
        """
        return self._through(0, data)

    @property
    def whole(self) -> bool:
        """Each coding has come to its own end; an empty body is whole too."""
        return all(step.whole for step in self._steps)

    def _through(self, number: int, data: bytes) -> Iterator[bytes]:
        if number == len(self._steps):
            yield data
            return
        for part in self._steps[number].feed(data):
            yield from self._through(number + 1, part)


class _Frame(Protocol):
    """What one coding calls a stream, a member or a frame: it shows its own end."""

    over: bool
    hungry: bool
    """Nothing is held back: more comes of more bytes only."""
    surplus: bytes
    """What stood behind its end."""

    def decode(self, data: bytes) -> bytes:
        """At most about PART_BYTES of what `data` gives; b"" for more of it, until it is hungry."""


class _Inflate:
    over, hungry, surplus = False, True, b""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)

    def decode(self, data: bytes) -> bytes:
        inflate = self._inflate
        try:
            part = inflate.decompress(inflate.unconsumed_tail + data, PART_BYTES)
        except zlib.error as error:
            raise CodingError(str(error)) from None
        self.hungry = not inflate.unconsumed_tail and len(part) < PART_BYTES
        self.over, self.surplus = inflate.eof, inflate.unused_data
        return part


class _Brotli:
    over, hungry, surplus = False, True, b""

    def __init__(self) -> None:
        import brotli

        self._errors = brotli.error
        self._brotli = brotli.Decompressor()

    def decode(self, data: bytes) -> bytes:
        try:
            part: bytes = self._brotli.process(data, output_buffer_limit=PART_BYTES)
        except self._errors as error:
            raise CodingError(str(error)) from None
        self.over = self._brotli.is_finished()
        self.hungry = self._brotli.can_accept_more_data() and len(part) < PART_BYTES
        return part


class _Zstd:
    over, hungry, surplus = False, True, b""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._errors = zstd.ZstdError
        self._zstd = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})

    def decode(self, data: bytes) -> bytes:
        try:
            part = self._zstd.decompress(data, PART_BYTES)
        except self._errors as error:
            raise CodingError(str(error)) from None
        self.over, self.hungry, self.surplus = self._zstd.eof, self._zstd.needs_input, self._zstd.unused_data
        return part


def _gzip(_: bytes) -> _Frame:
    return _Inflate(31)


def _deflate(data: bytes) -> _Frame | None:
    """In zlib's format, as its first two bytes tell (RFC 1950, section 2.2), or raw."""
    if len(data) < 2 and data[0] & 0x0F == 8:
        return None
    return _Inflate(15 if data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0 else -15)


def _br(_: bytes) -> _Frame:
    return _Brotli()


def _zstd(_: bytes) -> _Frame:
    return _Zstd()


class _Step:
    """One coding: one frame, or several, one behind the other."""

    def __init__(self, begin: Callable[[bytes], _Frame | None], *, several: bool) -> None:
        self._begin = begin
        self._several = several
        self._waiting = b""  # the first byte, where one does not tell what begins
        self._frame: _Frame | None = None
        self._ended = False  # a frame has

    @property
    def whole(self) -> bool:
        return self._frame is None and not self._waiting

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                data = self._waiting + data
                if self._ended:
                    data = data.lstrip(b"\0")  # padding, as tar and tapes have it
                    if not data:
                        return
                    if not self._several:
                        raise CodingError("expected nothing after its end")
                self._frame = self._begin(data)
                self._waiting = data if self._frame is None else b""
                if self._frame is None:
                    return
            yield from _all_of(self._frame, data)
            if not self._frame.over:
                return
            data, self._frame, self._ended = self._frame.surplus, None, True


def _all_of(frame: _Frame, data: bytes) -> Iterator[bytes]:
    part = frame.decode(data)
    if part:
        yield part
    while not (frame.over or frame.hungry):
        part = frame.decode(b"")
        if part:
            yield part


_STEPS: Final[dict[str, Callable[[], _Step]]] = {
    "gzip": lambda: _Step(_gzip, several=True),
    "deflate": lambda: _Step(_deflate, several=False),
    "br": lambda: _Step(_br, several=False),
    "zstd": lambda: _Step(_zstd, several=True),
}
