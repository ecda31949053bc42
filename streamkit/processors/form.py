"""A body by its media type: as it is, or the parts of a form (RFC 7578), which is never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from streamkit.processors.processor import Processor, TakesParts, Unprocessable

__all__ = ["MAX_PARTS", "Form", "by_type"]

MAX_PARTS: Final = 100
MAX_BOUNDARY_BYTES: Final = 1_024
MULTIPART: Final = "multipart/form-data"
UTF8_NAMES: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def by_type(content_type: str, processor: Processor) -> Processor:
    """`processor`, to be fed with a body of this Content-Type: itself, or the `Form` of which it takes what it wants.

    Raises Unprocessable: `unsupported_charset` for text that is declared to be in another charset than UTF-8 (where
    the processor reads text), `bad_form` without a usable boundary.
    """
    media_type, options = parse_options_header(content_type)
    if media_type == MULTIPART:
        return Form(options.get("boundary", ""), processor)
    _check_charset(options.get("charset"), processor)
    return processor


class Form:
    """Feeds a processor with the parts of a form: each part, if it `TakesParts`, and else the one file among them.

    A file is a part with a filename; what browsers send for a field where none was chosen, an empty filename, is none.
    What comes behind the last boundary is ignored (RFC 2046 section 5.1.1).

        >>> from streamkit.processors.digest import Digest
        >>> from streamkit.processors.form import Form
        >>> form = Form("b", Digest())
        >>> form.feed(b'--b\\r\\nContent-Disposition: form-data; name="x"\\r\\n\\r\\nabc\\r\\n--b--')
        >>> form.final()["parts"][0]["name"]
        'x'

    Raises Unprocessable: `bad_form` for a form that is malformed, unfinished, or of more than 100 parts; and from
    processors that want one file `no_file`, `several_files`, and `unsupported_charset`.
    """

    def __init__(self, boundary: str, processor: Processor) -> None:
        self._processor = processor
        self._begins = b"--" + boundary.encode()
        self._first = b""  # all there is, until it is as long as the boundary
        self._begun = False
        self._takes = False  # the present part is the processor's
        self._files = 0
        if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
            raise _bad("its boundary is missing, or too long")
        try:
            # Not its strict mode: that judges what stands before and behind the parts by how the bytes are cut
            self._parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        except MultipartError:
            raise _bad("its boundary is malformed") from None

    def feed(self, data: bytes) -> None:
        """Some more bytes of the form."""
        if not self._begun:
            data = self._first = self._first + data
            if len(data) < len(self._begins):
                return
            if not data.startswith(self._begins):
                raise _bad("it does not begin with its boundary")
            self._begun, self._first = True, b""
        if not data:  # to the parser it would be the end
            return
        for event in self._events(data):
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is not None and self._takes:
                self._processor.feed(event)

    def _events(self, data: bytes) -> Iterator[Any]:
        try:
            yield from self._parser.parse(data)
        except ParserLimitReached:
            raise _bad(f"it has more than {MAX_PARTS} parts, or too much before the contents of one") from None
        except (MultipartError, UnicodeError):
            raise _bad("it is malformed") from None

    def _begin(self, part: MultipartSegment) -> None:
        if not part.name:
            raise _bad("each part needs a name")
        processor = self._processor
        if isinstance(processor, TakesParts):
            self._takes = True
            processor.begin_part(part.name, part.filename)
            return
        self._takes = bool(part.filename)
        if self._takes:
            self._files += 1
            if self._files > 1:
                raise Unprocessable("several_files", "send one file")
            _check_charset(part.charset, processor)

    def snapshot(self) -> dict[str, Any]:
        """The processor's."""
        return self._processor.snapshot()

    def final(self) -> dict[str, Any]:
        """The processor's."""
        try:
            self._parser.close()
        except MultipartError:
            raise _bad("it ends before its last boundary") from None
        if not self._files and not isinstance(self._processor, TakesParts):
            raise Unprocessable("no_file", "send a file: a part of the form with a filename")
        return self._processor.final()


def _check_charset(charset: str | None, processor: Processor) -> None:
    if getattr(processor, "reads_text", False) and (charset or "utf-8").lower() not in UTF8_NAMES:
        raise Unprocessable("unsupported_charset", "send text as UTF-8")


def _bad(why: str) -> Unprocessable:
    return Unprocessable("bad_form", f"the form cannot be read (RFC 7578): {why}")
