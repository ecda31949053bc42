"""The `chat_history` out of a request body: urlencoded, multipart or JSON. Bytes in, text out; no I/O.

Strict on purpose: what a relay guesses about its input, somebody can use. Text is UTF-8 (WHATWG URL §5.1 for forms,
RFC 8259 §8.1 for JSON); any other charset is refused, also because decoders such as punycode are superlinear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from streamkit.relay.bounds import is_crowded
from streamkit.relay.failure import BadRequest

__all__ = ["FIELD", "BadRequest", "check_type", "read_chat_history"]

FIELD: Final = "chat_history"
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


class _Type(NamedTuple):
    """A Content-Type that can be read."""

    media_type: str
    boundary: str


def check_type(content_types: Sequence[str], codings: Sequence[str] = ()) -> str:
    """The Content-Type, from all fields of that name and of Content-Encoding; for a look before the body is read.

    Raises BadRequest with status 415, or 400 if there are several.
    """
    if len(content_types) > 1:
        raise BadRequest(400, "bad_header", "send Content-Type once")
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings):
        raise BadRequest(415, "unsupported_content_encoding", "send the body uncompressed, without Content-Encoding")
    content_type = content_types[0] if content_types else ""
    _type(content_type)
    return content_type


def _type(content_type: str) -> _Type:
    media_type, parameters = parse_options_header(content_type)
    if parameters.get("charset", "utf-8").lower() not in UTF8_NAMES:
        raise BadRequest(415, "unsupported_charset", "send the body as UTF-8")
    if media_type not in MEDIA_TYPES:
        raise BadRequest(415, "unsupported_media_type", f"send {', '.join(MEDIA_TYPES[:-1])} or {MEDIA_TYPES[-1]}")
    return _Type(media_type, parameters.get("boundary", ""))


def read_chat_history(content_type: str, body: bytes) -> str:
    """The one non-empty `chat_history` in `body`.

    A JSON list of messages comes back as JSON text: the presets recognise it. Raises BadRequest with status 415 (media
    type or charset), 400 (malformed body) or 422 (well-formed, but no usable `chat_history`).
    """
    media_type, boundary = _type(content_type)
    if media_type == FORM:
        return _only(_urlencoded(body))
    if media_type == MULTIPART:
        return _only(_multipart(body, boundary))
    return _only([_json(body)])


def _only(values: list[Any]) -> str:
    """The single usable value."""
    if not values or values[0] is None:
        raise BadRequest(422, "chat_history_missing", f"the body has no field {FIELD}")
    if len(values) > 1:
        raise BadRequest(422, "chat_history_repeated", f"send {FIELD} once")
    value = values[0]
    if isinstance(value, list):
        value = _json_text(value) if value else ""
    if not isinstance(value, str):
        raise BadRequest(422, "chat_history_type", f"{FIELD} must be a string or a list of messages")
    if not value.strip():
        raise BadRequest(422, "chat_history_empty", f"{FIELD} is empty")
    return value


def _urlencoded(body: bytes) -> list[Any]:
    """WHATWG URL §5.1, but broken percent-encoding and invalid UTF-8 are refused instead of passed on mangled."""
    pairs = body.split(b"&")
    if len(pairs) > MAX_FIELDS:
        raise BadRequest(400, "bad_form", f"more than {MAX_FIELDS} form fields")
    wanted = []
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        if _unquote(name) == FIELD:
            wanted.append(_unquote(value))
    return wanted


def _unquote(raw: bytes) -> str:
    if BAD_PERCENT.search(raw):
        raise BadRequest(400, "bad_form", "broken percent-encoding in the form")
    spaced = raw.replace(b"+", b" ")
    return _utf8(b"".join(map(unquote_to_bytes, _blocks(spaced))), "bad_form")


def _blocks(raw: bytes) -> Iterator[bytes]:
    """Cut so that no escape is torn: decoded at once, a megabyte of them takes 80, as it becomes an object for each."""
    start = 0
    while start < len(raw):
        stop = start + BLOCK_BYTES
        escape = raw.find(b"%", stop - 2, stop)
        stop = stop if escape < 0 else escape
        yield raw[start:stop]
        start = stop


def _multipart(body: bytes, boundary: str) -> list[Any]:
    """RFC 7578. A part's own charset counts only as a reason to refuse it."""
    wanted: list[Any] = []
    current: list[bytes] | None = None
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS, strict=True)
        for event in [*parser.parse(body)]:
            if isinstance(event, MultipartSegment):
                current = [] if event.name == FIELD else None
                _check_part(event)
            elif event is None:
                if current is not None:
                    wanted.append(_utf8(b"".join(current), "bad_form"))
            elif current is not None:
                current.append(bytes(event))
        parser.close()
    except (MultipartError, UnicodeError):
        raise BadRequest(400, "bad_form", "the multipart body is malformed or its boundary is missing") from None
    return wanted


def _check_part(segment: MultipartSegment) -> None:
    if (segment.charset or "utf-8").lower() not in UTF8_NAMES:
        raise BadRequest(415, "unsupported_charset", "send every form field as UTF-8")


def _json(body: bytes) -> Any:
    if is_crowded(body):
        raise BadRequest(400, "bad_json", "the JSON holds too many values")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest(400, "bad_json", "the body is not JSON (RFC 8259)") from None
    if not isinstance(value, dict):
        raise BadRequest(422, "chat_history_missing", f'send a JSON object such as {{"{FIELD}": "…"}}')
    if (body.count(b'"' + FIELD.encode() + b'"') > 1 or b"\\u00" in body) and _names(body.decode()).count(FIELD) > 1:
        raise BadRequest(422, "chat_history_repeated", f"send {FIELD} once")
    return value.get(FIELD)


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
        raise BadRequest(400, "bad_json", f"the JSON object has {MAX_FIELDS} fields or more")
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


def _too_deep() -> BadRequest:
    return BadRequest(400, "bad_json", "the JSON is nested too deeply")


def _utf8(raw: bytes, code: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(400, code, f"{FIELD} is not valid UTF-8") from None
