"""What a request says of a stream that it wants more of, or that it may come back for. Heads in, values out; no I/O.

cursor_of("5f…e1.17")         # Cursor("5f…e1", 17): all up to piece 17 has come
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from streamkit.relay.failure import Failed
from streamkit.relay.request.pages import Heads

__all__ = [
    "Cursor",
    "body_digest",
    "cursor",
    "first_byte",
    "idempotency_key",
    "json_text",
    "key_digest",
    "owner_digest",
]

MAX_DIGITS: Final = 15
CURSOR: Final = re.compile(rf"([0-9a-f]{{32}})\.(0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})")
NUMBER: Final = re.compile(rf"0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}}")
RANGE: Final = re.compile(rf"bytes=([0-9]{{1,{MAX_DIGITS}}})-", re.IGNORECASE)
KEY: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"|([\x21\x23-\x2b\x2d-\x7e]{1,255})')
"""A string of RFC 9651, or the same without quotes, as many clients send it; no comma outside of quotes."""


class Cursor(NamedTuple):
    """Of a stream all up to piece `number` has come."""

    stream_id: str
    number: int


def cursor(headers: Heads, after: Sequence[str] = (), of: str = "") -> Cursor | None:
    """Where the request stands: by `Last-Event-ID`, or by the values of `after` in its query, which is of the stream
    `of`; None if it says nothing of that. A `Last-Event-ID` is newer than a URL: it counts if there are both.

    Raises Failed (400) for what is no cursor, or one of another stream than `of`.
    """
    given = [value for value in headers.getall("last-event-id", []) if value]
    if given:
        found = CURSOR.fullmatch(given[0])
        if found is None or len(given) > 1 or (of and found[1] != of):
            raise _malformed("send as Last-Event-ID the id of an event of this stream, <stream id>.<number>")
        return Cursor(found[1], int(found[2]))
    if not after:
        return None
    if len(after) > 1 or not NUMBER.fullmatch(after[0]):
        raise _malformed("send after=N, the number of the last piece that came, from 0")
    return Cursor(of, int(after[0]))


def first_byte(headers: Heads, *, plain: bool) -> int | None:
    """From which byte of the text on, by `Range: bytes=N-`; None if it asks for all, or in another unit (RFC 9110
    section 14.2), or under a condition that cannot hold, as nothing here has a validator (`If-Range`).

    Raises Failed (400) for another range of bytes, and where the answer is not to be `plain` text, and so has none.
    """
    given = headers.getall("range", [])
    if not given or not given[0].strip().lower().startswith("bytes") or headers.getall("if-range", []):
        return None
    found = RANGE.fullmatch(given[0].strip())
    if found is None or len(given) > 1 or not plain:
        raise _malformed("send Range: bytes=N- and Accept: text/plain; other formats have cursors")
    return int(found[1])


def _malformed(detail: str) -> Failed:
    return Failed.of_request(400, "cursor_malformed", detail)


def idempotency_key(headers: Heads) -> str | None:
    """The Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), without its quotes. Raises Failed (400)."""
    given = headers.getall("idempotency-key", [])
    if not given:
        return None
    found = KEY.fullmatch(given[0].strip())
    if found is None or len(given) > 1:
        raise Failed.of_request(
            400, "idempotency_key_malformed", "send one Idempotency-Key, of 1 to 255 printable ASCII characters"
        )
    return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]


def owner_digest(headers: Heads, names: Iterable[str]) -> str:
    """Who asks, as far as these headers tell; a digest, so that nobody who reads a store can ask in their name."""
    return _digest(repr([(name.lower(), headers.getall(name, [])) for name in names]))


def key_digest(owner: str, key: str) -> str:
    """One owner's key."""
    return _digest(repr((owner, key)))


def body_digest(fields: Mapping[str, str]) -> str:
    """What is asked: the fields, however they were sent, as the boundary of a form is another one each time."""
    return _digest(repr(sorted(fields.items())))


def json_text(value: Any) -> str:
    """JSON, the same for equal values, however they were written; for `body_digest`."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
