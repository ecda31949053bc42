"""Target `form`: `read_fields` gives text or raises Failed, and agrees with plainer readers."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, quote

import orjson

from campaigns.fuzz.hostile import some_text
from campaigns.fuzz.source import KNOBS, ByteSource, expect, knobs_and_rest
from streamkit.relay.failure import Failed
from streamkit.relay.request.body import read_fields

URLENCODED = "application/x-www-form-urlencoded"
BOUNDARY = "xYx"
TYPES = (
    *(URLENCODED, f"multipart/form-data; boundary={BOUNDARY}", "application/json", "APPLICATION/JSON; charset=UTF-8"),
    *(f"{URLENCODED}; charset=utf-8", f"{URLENCODED}; charset=punycode", "multipart/form-data", "text/plain", ""),
    *(f'multipart/form-data; boundary="{BOUNDARY}"', "multipart/form-data; boundary=", "application/json; charset"),
    *("multipart/form-data; boundary=\xe4", f"multipart/form-data; boundary={'x' * 300}", "; charset=\0", "a/b;" * 50),
)
STATUSES = {400, 415, 422}
CODES = {"bad_form", "bad_json", "unsupported_charset", "unsupported_media_type"}
CODES |= {f"chat_history_{what}" for what in ("missing", "repeated", "type", "empty")}


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'--xYx\r\nContent-Disposition: form-data; name="%b"\r\n%b\r\n%b\r\n' % (name, more, value)


SEEDS = (
    b"chat_history=Hi+%E4%BD%A0%0A&x=1",
    b'{"chat_history": "Hi \\u4f60"}',
    b'{"chat_history": [{"role": "user", "content": "Hi"}]}',
    part(b"chat_history", b"Hi", b"Content-Type: text/plain; charset=utf-8\r\n") + part(b"x", b"1") + b"--xYx--\r\n",
)
TOKENS = (
    *(b"chat_history", b"=", b"&", b"%", b"%E4", b"%00", b"+", b"chat_history=a", b'{"chat_history":', b'"', b"["),
    *(b"]", b"}", b"null", b"1e999", b'"\\ud800"', b"\\u0000", b"\r\n", b"\n", b"--xYx\r\n", b"--xYx--\r\n"),
    *(b"--xYx", b"\xff", b'Content-Disposition: form-data; name="chat_history"\r\n'),
    *(b"Content-Type: text/plain; charset=punycode\r\n", b"a", b"Content-Transfer-Encoding: base64\r\n"),
    *(b'; filename="x"', b"Content-Length: 9\r\n", b"\r\n\r\n", b"\0", b":", b"[" * 2000, b"[" * 300 + b"]" * 300),
    *(b"[" * 1020 + b"]" * 1020, b', "chat_history": "b"}', b"[[]]", b'[{"a": 1}]}'),
)


def check_form(data: bytes) -> None:
    knobs, body = knobs_and_rest(data)
    content_type = knobs.pick(TYPES)
    if content_type == "" and knobs.chance(2):
        content_type, body = body[:40].decode("latin-1"), body[40:]
    text = reading(content_type, body)
    if text is not None:
        media_type = content_type.partition(";")[0].strip().lower()
        expect(other_reader(media_type, body, text), "a plainer reader sees the same", type=content_type, text=text)
    check_round_trip(ByteSource(data[KNOBS:]))


def read_chat_history(content_type: str, body: bytes) -> str:
    """The field that the relay takes."""
    return read_fields(content_type, body, ["chat_history"])["chat_history"]


def reading(content_type: str, body: bytes) -> str | None:
    """The text, or None where it was refused; everything else is a finding."""
    try:
        text = read_chat_history(content_type, body)
    except Failed as failed:
        refused = failed.failure
        expect(refused.status in STATUSES, "a status for a bad request", status=refused.status)
        expect(refused.code in CODES, "a known code", code=refused.code)
        expect(refused.detail.isprintable() and len(refused.detail) < 120, "it quotes nothing", detail=refused.detail)
        return None
    expect(type(text) is str and bool(text.strip()), "text that is not blank", got=text)
    expect(text.encode().decode() == text, "whole characters")
    return text


def other_reader(media_type: str, body: bytes, text: str) -> bool:
    """Whether the text stands in the body, by another reader's word."""
    if media_type == URLENCODED:
        pairs = parse_qsl(
            body.decode("utf-8", "surrogateescape"), keep_blank_values=True, errors="surrogateescape"
        )  # other fields may hold anything
        return [value for name, value in pairs if name == "chat_history"] == [text]
    if media_type == "application/json":
        try:
            pairs = json.loads(body.decode(), object_pairs_hook=list)
        except RecursionError:  # another field, too deep for this reader
            return True
        values = [value for name, value in pairs if name == "chat_history"]
        messages = orjson.loads(body)["chat_history"]
        return len(values) == 1 and (values == [text] or (type(messages) is list and messages == orjson.loads(text)))
    return text.encode() in body  # multipart carries text as it is


def check_round_trip(source: ByteSource) -> None:
    """The same text, sent in each of the ways, comes back."""
    text = some_text(source)
    raw, delimiter = text.encode(), b"--" + BOUNDARY.encode()
    sent = {
        URLENCODED: b"a=1&chat_history=" + quote(raw, safe="").encode(),
        "application/json": json.dumps({"chat_history": text}).encode(),
        f"multipart/form-data; boundary={BOUNDARY}": part(b"chat_history", raw) + delimiter + b"--\r\n",
    }
    for content_type, body in sent.items():
        got = reading(content_type, body)
        want = text if text.strip() else None
        expect(got == want, "what was sent comes back", type=content_type, got=got, want=want)
