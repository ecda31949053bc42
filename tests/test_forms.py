"""The one `chat_history` out of a request body, and a clear refusal of every other body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.forms import BadRequest, read_chat_history

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BOUNDARY = "multipart/form-data; boundary=b0"


def part(value: bytes, name: str = "chat_history", extra: str = "") -> bytes:
    head = f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n{extra}\r\n'.encode()
    return head + value + b"\r\n"


END = b"--b0--\r\n"

GOOD = {
    "a form": (FORM, b"chat_history=%E4%BD%A0%E5%A5%BD+a%2Bb", "你好 a+b"),
    "a form with raw UTF-8, as curl -d sends it": (FORM, "chat_history=你好".encode(), "你好"),
    "a form with a charset": (FORM + "; charset=UTF-8", b"chat_history=hi", "hi"),
    "a form among other fields": (FORM, b"a=1&chat_history=hi&b=&c", "hi"),
    "a value with equals signs": (FORM, b"chat_history=a=b=c", "a=b=c"),
    "multipart": (BOUNDARY, part("你好".encode()) + END, "你好"),
    "multipart with a file beside it": (BOUNDARY, part(b"\xff\x00", "file") + part(b"hi") + END, "hi"),
    "multipart text with newlines": (BOUNDARY, part(b"a\r\nb") + END, "a\r\nb"),
    "JSON": (JSON, '{"chat_history": "你好"}'.encode(), "你好"),
    "JSON with a list of messages": (
        JSON,
        b'{"chat_history": [{"role": "user", "content": "hi"}]}',
        '[{"role":"user","content":"hi"}]',
    ),
    "a media type in capitals": ("Application/JSON", b'{"chat_history": "hi"}', "hi"),
}

BAD = {
    "no content type": ("", b"chat_history=hi", 415, "unsupported_media_type"),
    "another content type": ("text/plain", b"chat_history=hi", 415, "unsupported_media_type"),
    "another charset": (FORM + "; charset=gbk", b"chat_history=hi", 415, "unsupported_charset"),
    "an empty body": (FORM, b"", 422, "chat_history_missing"),
    "another field": (FORM, b"chat=hi", 422, "chat_history_missing"),
    "an empty value": (FORM, b"chat_history=", 422, "chat_history_empty"),
    "only white space": (FORM, b"chat_history=+%0A", 422, "chat_history_empty"),
    "twice": (FORM, b"chat_history=a&chat_history=b", 422, "chat_history_repeated"),
    "twice under two spellings": (FORM, b"chat_history=a&chat%5Fhistory=b", 422, "chat_history_repeated"),
    "broken percent-encoding": (FORM, b"chat_history=%E4%B", 400, "bad_form"),
    "percent-encoded bytes that are no UTF-8": (FORM, b"chat_history=%FF", 400, "bad_form"),
    "raw bytes that are no UTF-8": (FORM, b"chat_history=\xff", 400, "bad_form"),
    "a thousand fields": (FORM, b"&".join([b"a=1"] * 1000), 400, "bad_form"),
    "multipart without a boundary": ("multipart/form-data", part(b"hi") + END, 400, "bad_form"),
    "multipart cut before its end": (BOUNDARY, part(b"hi"), 400, "bad_form"),
    "multipart twice": (BOUNDARY, part(b"a") + part(b"b") + END, 422, "chat_history_repeated"),
    "multipart in punycode": (
        BOUNDARY,
        part(b"hi", extra="Content-Type: text/plain; charset=punycode\r\n") + END,
        415,
        "unsupported_charset",
    ),
    "multipart that is no UTF-8": (BOUNDARY, part(b"\xff") + END, 400, "bad_form"),
    "multipart that is something else": (BOUNDARY, b"chat_history=hi", 400, "bad_form"),
    "broken JSON": (JSON, b'{"chat_history": "hi"', 400, "bad_json"),
    "JSON that is a list": (JSON, b'["hi"]', 422, "chat_history_missing"),
    "JSON null": (JSON, b'{"chat_history": null}', 422, "chat_history_missing"),
    "JSON with a number": (JSON, b'{"chat_history": 1}', 422, "chat_history_type"),
    "JSON with an object": (JSON, b'{"chat_history": {}}', 422, "chat_history_type"),
    "JSON with an empty list": (JSON, b'{"chat_history": []}', 422, "chat_history_empty"),
    "a JSON depth bomb": (JSON, b"[" * 100_000, 400, "bad_json"),
    "a JSON number of 5,000 digits": (JSON, b'{"chat_history": ' + b"9" * 5000 + b"}", 400, "bad_json"),
    "a lone surrogate": (JSON, b'{"chat_history": "\\ud800"}', 400, "bad_json"),
}


@pytest.mark.parametrize("case", GOOD)
def test_is_read_from(case: str) -> None:
    content_type, body, expected = GOOD[case]
    assert read_chat_history(content_type, body) == expected


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case: str) -> None:
    content_type, body, status, code = BAD[case]
    with pytest.raises(BadRequest) as refused:
        read_chat_history(content_type, body)
    assert (refused.value.status, refused.value.code) == (status, code)


@given(st.sampled_from([FORM, JSON, BOUNDARY]), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(content_type: str, body: bytes) -> None:
    try:
        outcome: str | int = read_chat_history(content_type, body)
    except BadRequest as refused:
        outcome = refused.status
    assert outcome in {400, 415, 422} or (isinstance(outcome, str) and outcome.strip())
