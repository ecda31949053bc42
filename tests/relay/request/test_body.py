"""The one `chat_history` out of a request body, and a clear refusal of every other body."""

from __future__ import annotations

import contextlib
import gc
import json
import time
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.relay.failure import Failed
from streamkit.relay.request.body import check_type, read_fields

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
    "control characters, as text": (FORM, b"chat_history=%00%1B\x7f", "\0\x1b\x7f"),
    "control characters in JSON": (JSON, b'{"chat_history": "\\u0000\\u001b"}', "\0\x1b"),
    "both halves of a surrogate pair": (JSON, b'{"chat_history": "\\ud83d\\ude00"}', "😀"),
    "a JSON name in escapes": (JSON, b' { "a" : [1] , "chat\\u005Fhistory" : "hi" } ', "hi"),
    "JSON with the name as text": (
        JSON,
        b'{"chat_history": "\\"chat_history\\" and \\"chat_history"}',
        '"chat_history" and "chat_history',
    ),
    "JSON with the name inside of something else": (JSON, b'{"a": {"chat_history": "b"}, "chat_history": "hi"}', "hi"),
    "JSON with other names twice": (JSON, b'{"a": 1, "a\\u0000": 1e300, "a": 2, "chat_history": "hi"}', "hi"),
    "nested JSON": (JSON, b'{"chat_history": ' + b"[" * 200 + b"]" * 200 + b"}", "[" * 200 + "]" * 200),
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
    "JSON with the name twice": (
        JSON,
        b'{"chat_history": "a", "chat_history": "b"}',
        422,
        "chat_history_repeated",
    ),
    "JSON with the name under two spellings": (
        JSON,
        b'{"chat\\u005fhistory": "a", "chat_history": "b"}',
        422,
        "chat_history_repeated",
    ),
    "JSON with the name a thousand times": (JSON, b"{" + b'"chat_history":1,' * 999 + b'"a":1}', 400, "bad_json"),
    "JSON nested too deeply to be passed on": (
        JSON,
        b'{"chat_history": ' + b"[" * 250 + b"]" * 250 + b"}",
        400,
        "bad_json",
    ),
    "JSON that is no number": (JSON, b'{"chat_history": NaN}', 400, "bad_json"),
    "JSON in UTF-16": (JSON, '{"chat_history": "hi"}'.encode("utf-16"), 400, "bad_json"),
    "a lone surrogate": (JSON, b'{"chat_history": "\\ud800"}', 400, "bad_json"),
}


def chat_history(content_type: str, body: bytes) -> str:
    return read_fields(content_type, body, ["chat_history"])["chat_history"]


@pytest.mark.parametrize("case", GOOD)
def test_is_read_from(case: str) -> None:
    content_type, body, expected = GOOD[case]
    assert chat_history(content_type, body) == expected


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case: str) -> None:
    content_type, body, status, code = BAD[case]
    with pytest.raises(Failed) as refused:
        chat_history(content_type, body)
    assert (refused.value.failure.status, refused.value.failure.code) == (status, code)


@pytest.mark.parametrize(
    ("types", "codings", "status", "code"),
    [
        ([FORM, JSON], [], 400, "bad_header"),
        ([], [], 415, "unsupported_media_type"),
        (["text/html"], [], 415, "unsupported_media_type"),
        ([FORM + "; charset=punycode"], [], 415, "unsupported_charset"),
        ([FORM], ["gzip"], 415, "unsupported_content_encoding"),
        ([FORM], ["identity", "br"], 415, "unsupported_content_encoding"),
    ],
)
def test_what_the_head_rules_out_is_known_without_the_body(
    types: list[str], codings: list[str], status: int, code: str
) -> None:
    with pytest.raises(Failed) as refused:
        check_type(types, codings)
    assert (refused.value.failure.status, refused.value.failure.code) == (status, code)


def test_what_the_head_allows_is_passed_on() -> None:
    assert check_type([BOUNDARY], ["Identity"]) == BOUNDARY


NAMES = st.sampled_from(['"chat_history"', '"chat\\u005fhistory"', '"a"', '"\\u0000"'])
VALUES = st.sampled_from(['"x"', '"\\"chat_history"', "[]", '{"chat_history": {"a": 1}}', "1e3", "null"])
SPACES = st.text(" \t\n\r", max_size=2)


@given(st.lists(st.tuples(NAMES, VALUES, SPACES), min_size=1, max_size=6))
def test_the_name_twice_in_json_is_refused_however_it_is_spelled(members: list[tuple[str, str, str]]) -> None:
    text = ",".join(f"{space}{name}{space}:{space}{value}{space}" for name, value, space in members)
    names = [json.loads(name) for name, _, _ in members]
    try:
        chat_history(JSON, f"{{{text}}}".encode())
        code = ""
    except Failed as refused:
        code = refused.failure.code
    assert (code == "chat_history_repeated") == (names.count("chat_history") > 1)


@given(st.sampled_from([FORM, JSON, BOUNDARY]), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(content_type: str, body: bytes) -> None:
    try:
        outcome: str | int = chat_history(content_type, body)
    except Failed as refused:
        outcome = refused.failure.status
    assert outcome in {400, 415, 422} or (isinstance(outcome, str) and outcome.strip())


MIB = 1 << 20
WORST = {
    "escapes": (FORM, b"chat_history=", b"a%25", b""),
    "names in escapes": (FORM, b"", b"a%25", b"=&chat_history=x"),
    "fields": (FORM, b"", b"a=&", b"chat_history=x"),
    "near ends of a part": (BOUNDARY, part(b"")[:-2], b"\r\n--b", b"\r\n--b0--\r\n"),
    "line ends in a part": (BOUNDARY, part(b"")[:-2], b"\r\n", b"\r\n--b0--\r\n"),
    "parts": (BOUNDARY, b"", part(b"a", "a"), END),
    "objects in JSON": (JSON, b'{"chat_history":[', b'{"\\u0041":[]},', b"1]}"),
    "escapes in JSON": (JSON, b'{"chat_history":"', b"\\u0041", b'"}'),
    "members in JSON": (JSON, b'{"\\u0041":1,', b'"a":1,', b'"chat_history":"x"}'),
    "numbers in JSON": (JSON, b'{"a\\u0041":[', b"1.5e10,", b'1],"chat_history":"x"}'),
    "depth in JSON": (JSON, b'{"chat_history":', b"[", b"1"),
}


@pytest.mark.parametrize("case", WORST)
def test_the_time_grows_with_the_size_and_no_faster(case: str) -> None:
    def seconds(size: int) -> float:
        content_type, start, middle, end = WORST[case]
        body = start + middle * (size // len(middle)) + end
        began = time.thread_time()
        with contextlib.suppress(Failed):
            chat_history(content_type, body)
        return time.thread_time() - began

    gc.disable()  # its share depends on all that the other tests have left in memory
    try:
        small_s = max(0.002, min(seconds(MIB // 16) for _ in range(3)))  # below that the machine is measured
        large_s = min(seconds(MIB) for _ in range(3))
    finally:
        gc.enable()
    assert large_s < 100 * small_s, "sixteen times as much takes more than a hundred times as long"


@settings(max_examples=50)
@given(st.text(alphabet="a+é床%&= ", min_size=1, max_size=40))
def test_a_long_form_is_decoded_block_by_block_to_the_same_text(text: str) -> None:
    text = (text * 1000)[:20_000] + "x"
    assert chat_history(FORM, b"chat_history=" + quote_plus(text).encode()) == text


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Failed, match="too many values"):
        chat_history(JSON, b'{"chat_history":[' + 100_000 * b"{}," + b"{}]}")


# --- Other fields, as routes of somebody's own may want them --------------------------------------------------------


TWO = {
    FORM: b"a=1&question=hi&b=2&language=de",
    BOUNDARY: part(b"de", name="language") + part(b"hi", name="question") + END,
    JSON: b'{"language": "de", "question": "hi", "more": 1}',
}


@pytest.mark.parametrize("content_type", TWO)
def test_whichever_fields_are_wanted_are_read_in_one_go(content_type: str) -> None:
    assert read_fields(content_type, TWO[content_type], ["question", "language"]) == {
        "question": "hi",
        "language": "de",
    }


@pytest.mark.parametrize("content_type", TWO)
def test_each_of_them_has_to_be_there_and_a_refusal_names_the_one_that_is_not(content_type: str) -> None:
    with pytest.raises(Failed, match="the body has no field tone") as refused:
        read_fields(content_type, TWO[content_type], ["question", "tone"])
    assert (refused.value.failure.status, refused.value.failure.code) == (422, "tone_missing")


@pytest.mark.parametrize("names", [[], [""], ["a b"], ['a"'], ["é"], ["question", "a/b"]])
def test_a_name_that_can_be_spelled_in_several_ways_is_no_name_for_a_field(names: list[str]) -> None:
    with pytest.raises(ValueError, match="expected names of letters"):
        read_fields(FORM, b"question=hi", names)
