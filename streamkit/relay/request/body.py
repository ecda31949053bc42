"""Fields out of a request's body: urlencoded, multipart or JSON. Bytes in, text out; no I/O.

    read_fields("application/json", b'{"chat_history": "Hi"}', ["chat_history"])     # {"chat_history": "Hi"}

Strict on purpose: what a relay guesses about its input, somebody can use. Text is UTF-8 (WHATWG URL §5.1 for forms,
RFC 8259 §8.1 for JSON); any other charset is refused, also because decoders such as punycode are superlinear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

import orjson
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from streamkit.relay.bounds import is_crowded
from streamkit.relay.failure import Failed

__all__ = ["JSON", "check_type", "check_uncoded", "one_type", "read_fields", "read_json"]

MAX_FIELDS: Final = 100
BLOCK_BYTES: Final = 4_096
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
MEDIA_TYPES: Final = (FORM, MULTIPART, JSON)
UTF8_NAMES: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
DECODER: Final = json.JSONDecoder()
SPACE: Final = re.compile("[ \t\n\r]*")
BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
PLAIN_NAME: Final = re.compile("[A-Za-z0-9_-]+")


class _Type(NamedTuple):
    """A Content-Type that can be read."""

    media_type: str
    boundary: str


def check_type(content_types: Sequence[str], codings: Sequence[str] = (), allowed: Sequence[str] = MEDIA_TYPES) -> str:
    """The Content-Type, from all fields of that name and of Content-Encoding; for a look before the body is read. It
    has to be one of those `allowed`.

    Raises Failed with status 415, or 400 if there are several.
    """
    content_type = one_type(content_types)
    check_uncoded(codings)
    _type(content_type, tuple(allowed))
    return content_type


def one_type(content_types: Sequence[str]) -> str:
    """The Content-Type, "" for none. Raises Failed with status 400 if there are several."""
    if len(content_types) > 1:
        raise Failed.of_request(400, "bad_header", "send Content-Type once")
    return content_types[0] if content_types else ""


def check_uncoded(codings: Sequence[str]) -> None:
    """Of all fields called Content-Encoding none may say anything. Raises Failed with status 415."""
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings):
        raise Failed.of_request(
            415, "unsupported_content_encoding", "send the body uncompressed, without Content-Encoding"
        )


@lru_cache(maxsize=64)
def _type(content_type: str, allowed: tuple[str, ...] = MEDIA_TYPES) -> _Type:
    media_type, parameters = parse_options_header(content_type)
    if parameters.get("charset", "utf-8").lower() not in UTF8_NAMES:
        raise Failed.of_request(415, "unsupported_charset", "send the body as UTF-8")
    if media_type not in allowed:
        raise Failed.of_request(415, "unsupported_media_type", f"send {' or '.join(allowed)}")
    return _Type(media_type, parameters.get("boundary", ""))


def read_fields(content_type: str, body: bytes, names: Sequence[str], *, scalars: bool = False) -> dict[str, str]:
    """The fields called `names`, each of which `body` has to hold once, and not empty. With `scalars` numbers, true and
    false of JSON are taken too, as their text.

    A JSON list of messages comes back as JSON text: the presets recognise it. Raises Failed with status 415 (media type
    or charset), 400 (malformed body) or 422 (well-formed, but a field cannot be used: `chat_history_missing`,
    `…_repeated`, `…_type`, `…_empty`); and ValueError for a name that is more than letters, digits, `_` and `-`, since
    what can be spelled in several ways can be smuggled in twice.
    """
    if not names or not all(map(PLAIN_NAME.fullmatch, names)):
        raise ValueError(f"expected names of letters, digits, _ and -, got {names!r}")
    media_type, boundary = _type(content_type)
    if media_type == FORM:
        found = _urlencoded(body, names)
    elif media_type == MULTIPART:
        found = _multipart(body, boundary, names)
    else:
        found = _json(body, names)
    return {name: _only(name, found[name], scalars=scalars) for name in names}


Found: TypeAlias = dict[str, list[Any]]
"""All values of each name that is wanted, as they came."""


def _only(name: str, values: list[Any], *, scalars: bool) -> str:
    """The single usable value."""
    if not values or values[0] is None:
        raise Failed.of_request(422, f"{name}_missing", f"the body has no field {name}")
    if len(values) > 1:
        raise _repeated(name)
    value = values[0]
    if isinstance(value, list):
        value = _json_text(value) if value else ""
    elif scalars and isinstance(value, bool | int | float):
        value = orjson.dumps(value).decode()
    if not isinstance(value, str):
        may_be = "a string, a number or a list" if scalars else "a string or a list of messages"
        raise Failed.of_request(422, f"{name}_type", f"{name} must be {may_be}")
    if not value.strip():
        raise Failed.of_request(422, f"{name}_empty", f"{name} is empty")
    return value


def _repeated(name: str) -> Failed:
    return Failed.of_request(422, f"{name}_repeated", f"send {name} once")


def _urlencoded(body: bytes, names: Sequence[str]) -> Found:
    """WHATWG URL §5.1, but broken percent-encoding and invalid UTF-8 are refused instead of passed on mangled."""
    pairs = body.split(b"&")
    if len(pairs) > MAX_FIELDS:
        raise Failed.of_request(400, "bad_form", f"more than {MAX_FIELDS} form fields")
    found: Found = {name: [] for name in names}
    for pair in pairs:
        raw_name, _, value = pair.partition(b"=")
        name = _unquote(raw_name, "a field's name")
        if name in found:
            found[name].append(_unquote(value, name))
    return found


def _unquote(raw: bytes, what: str) -> str:
    if BAD_PERCENT.search(raw):
        raise Failed.of_request(400, "bad_form", "broken percent-encoding in the form")
    spaced = raw.replace(b"+", b" ")
    return _utf8(b"".join(map(unquote_to_bytes, _blocks(spaced))), what)


def _blocks(raw: bytes) -> Iterator[bytes]:
    """Cut so that no escape is torn: decoded at once, a megabyte of them takes 80, as it becomes an object for each."""
    start = 0
    while start < len(raw):
        stop = start + BLOCK_BYTES
        escape = raw.find(b"%", stop - 2, stop)
        stop = stop if escape < 0 else escape
        yield raw[start:stop]
        start = stop


def _multipart(body: bytes, boundary: str, names: Sequence[str]) -> Found:
    """RFC 7578. A part's own charset counts only as a reason to refuse it."""
    found: Found = {name: [] for name in names}
    name = ""
    current: list[bytes] | None = None
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS, strict=True)
        for event in [*parser.parse(body)]:
            if isinstance(event, MultipartSegment):
                name, current = event.name, [] if event.name in found else None
                _check_part(event)
            elif event is None:
                if current is not None:
                    found[name].append(_utf8(b"".join(current), name))
            elif current is not None:
                current.append(bytes(event))
        parser.close()
    except (MultipartError, UnicodeError):
        raise Failed.of_request(400, "bad_form", "the multipart body is malformed or its boundary is missing") from None
    return found


def _check_part(segment: MultipartSegment) -> None:
    if (segment.charset or "utf-8").lower() not in UTF8_NAMES:
        raise Failed.of_request(415, "unsupported_charset", "send every form field as UTF-8")


def read_json(content_type: str, body: bytes) -> Any:
    """The one JSON value that `body` is. Raises Failed with status 415 or 400."""
    _type(content_type, (JSON,))
    if is_crowded(body):
        raise Failed.of_request(400, "bad_json", "the JSON holds too many values")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Failed.of_request(400, "bad_json", "the body is not JSON (RFC 8259)") from None


def _json(body: bytes, names: Sequence[str]) -> Found:
    value = read_json(JSON, body)
    if not isinstance(value, dict):
        name = names[0]
        raise Failed.of_request(422, f"{name}_missing", f'send a JSON object such as {{"{name}": "…"}}')
    for name in _perhaps_repeated(body, names):
        if _names(body.decode()).count(name) > 1:
            raise _repeated(name)
    return {name: [value.get(name)] for name in names}


def _perhaps_repeated(body: bytes, names: Sequence[str]) -> list[str]:
    """Those that stand in there twice, if only as values; or might, spelled with escapes."""
    escaped = b"\\u00" in body
    return [name for name in names if escaped or body.count(b'"' + name.encode() + b'"') > 1]


def _names(text: str) -> list[str]:
    """The names in a JSON object that orjson has accepted: of several equal ones that keeps the last, others the first
    (RFC 8259 §4). They may be spelled with escapes.
    """
    names: list[str] = []
    at = _past_space(text, 0)
    try:
        while text[at] != "}" and len(names) < MAX_FIELDS:
            name, at = DECODER.raw_decode(text, _past_space(text, at + 1))
            _, at = DECODER.raw_decode(text, _past_space(text, _past_space(text, at) + 1))
            at = _past_space(text, at)
            names.append(name)
    except RecursionError:
        raise _too_deep() from None
    if len(names) == MAX_FIELDS:
        raise Failed.of_request(400, "bad_json", f"the JSON object has {MAX_FIELDS} fields or more")
    return names


def _past_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at


def _json_text(value: list[Any]) -> str:
    """As JSON, if there is room for the levels that a preset puts around it."""
    try:
        return orjson.dumps([[[[[[[[value]]]]]]]])[8:-8].decode()
    except orjson.JSONEncodeError:
        raise _too_deep() from None


def _too_deep() -> Failed:
    return Failed.of_request(400, "bad_json", "the JSON is nested too deeply")


def _utf8(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Failed.of_request(400, "bad_form", f"{what} is not valid UTF-8") from None
