"""The `chat_history` out of a request body: urlencoded, multipart or JSON. Bytes in, text out; no I/O.

Strict on purpose: what a relay guesses about its input, somebody can use. Text is UTF-8 (WHATWG URL §5.1 for forms,
RFC 8259 §8.1 for JSON); any other charset is refused, also because decoders such as punycode are superlinear.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from streamkit.outcome import Outcome

__all__ = ["FIELD", "BadRequest", "read_chat_history"]

FIELD: Final = "chat_history"
MAX_FIELDS: Final = 100
UTF8_NAMES: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadRequest(Exception):
    """A request that cannot be served as it stands: the HTTP `status`, a stable `code`, and what to do instead."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        """`timeout(body)` for a body that did not come in time, `refused(status)` for the rest."""
        return Outcome("timeout", "body") if self.status == 408 else Outcome("refused", self.status)


def read_chat_history(content_type: str, body: bytes) -> str:
    """The one non-empty `chat_history` in `body`.

    A JSON list of messages comes back as JSON text: the presets recognise it. Raises BadRequest with status 415 (media
    type or charset), 400 (malformed body) or 422 (well-formed, but no usable `chat_history`).
    """
    media_type, parameters = parse_options_header(content_type or "")
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in UTF8_NAMES:
        raise BadRequest(415, "unsupported_charset", "send the body as UTF-8")
    match media_type.lower():
        case "application/x-www-form-urlencoded":
            return _only(_urlencoded(body))
        case "multipart/form-data":
            return _only(_multipart(body, parameters.get("boundary", "")))
        case "application/json":
            return _only([_json(body)])
    raise BadRequest(
        415,
        "unsupported_media_type",
        "send application/x-www-form-urlencoded, multipart/form-data or application/json",
    )


def _only(values: list[Any]) -> str:
    """The single usable value."""
    if not values or values[0] is None:
        raise BadRequest(422, "chat_history_missing", f"the body has no field {FIELD}")
    if len(values) > 1:
        raise BadRequest(422, "chat_history_repeated", f"send {FIELD} once")
    value = values[0]
    if isinstance(value, list):
        value = orjson.dumps(value).decode() if value else ""
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
    return _utf8(unquote_to_bytes(raw.replace(b"+", b" ")), "bad_form")


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
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest(400, "bad_json", "the body is not JSON (RFC 8259)") from None
    if not isinstance(value, dict):
        raise BadRequest(422, "chat_history_missing", f'send a JSON object such as {{"{FIELD}": "…"}}')
    return value.get(FIELD)


def _utf8(raw: bytes, code: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(400, code, f"{FIELD} is not valid UTF-8") from None
