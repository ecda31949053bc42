"""Why, in the words of others: which words are found, and which are never shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.canary import CANARY, FORMS, leaks
from streamkit.reasons import LONGEST, masked, own_words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no access", "type": "auth", "code": "x"}}', "no access"),  # OpenAI
        (
            b'{"type": "error", "error": {"type": "t", "message": "invalid x-api-key"}}',
            "invalid x-api-key",
        ),  # Anthropic
        (b'[{"error": {"code": 400, "message": "API key not valid", "status": "S"}}]', "API key not valid"),  # Gemini
        (b'{"detail": "Not authenticated"}', "Not authenticated"),  # FastAPI
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        (b'{"error": "model not found"}', "model not found"),  # Ollama
        (b'{"code": "InvalidApiKey", "message": "Invalid key."}', "Invalid key."),  # DashScope
        (b'{"base_resp": {"status_code": 1004, "status_msg": "login fail"}}', "login fail"),  # MiniMax
        (b'{"title": "Too many", "code": "too_many_streams"}', "Too many"),  # RFC 9457
        (b"Unauthorized\n", "Unauthorized\n"),
        (b"<!DOCTYPE html><title>401 &amp; out</title><p>", "401 & out"),
        (b"<html><p>no title", ""),
        (b"", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b'{"error": {"message": 7}}', ""),
        (b'{"error": {"mess', ""),
        (b"[" * 60_000, ""),
    ],
)
def test_the_message_is_found_wherever_providers_put_it(body: bytes, words: str) -> None:
    assert own_words(body) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Incorrect API key provided: sk-proj-abc.", "Incorrect API key provided: …"),
        ("key sk-ab**********yz is wrong", "key … is wrong"),
        ("got ab****yz", "got …"),
        ("Authorization: Bearer abc.def", "Authorization: …"),
        ("AIzaSyA1 is restricted", "… is restricted"),
        ("eyJhbGciOi.eyJzdWIi.sig- has expired", "… has expired"),
        ("ark 0f8fad5b-d9cb-469f-a165-70867728950e", "ark …"),
        ("ghp_16C7e42F292c6912E7 and 16C7e42F292c6912E716C7e42F", "… and …"),
        ("see https://me:pw@api.test/v1?key=k3y#x, or http://b.test", "see https://api.test/v1 or http://b.test"),
        ("model gpt-4o-mini-2024-07-18 does not exist", "model gpt-4o-mini-2024-07-18 does not exist"),
        ("a\nb\tc\x1b[31m", "a b c [31m"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown_and_what_does_not_is(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_what_was_sent_is_not_shown_whatever_it_looks_like() -> None:
    assert masked("no hunter2 here, nor hunter", ["hunter2", "hunter", "", "no"]) == "no … here, nor …"


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_a_key_is_not_shown_in_another_form_either(form: bytes) -> None:
    assert not leaks(masked(f"the key {form.decode()} is wrong", [CANARY]).encode())


@given(st.text(max_size=5_000))
def test_it_is_one_line_of_a_bounded_length(text: str) -> None:
    line = masked(text)
    assert len(line) <= LONGEST
    assert line.isprintable()


@given(
    secret=st.from_regex(r"[A-Za-z0-9]{8,40}", fullmatch=True),
    before=st.text(alphabet="ab :,\"'", max_size=3_000),
    after=st.text(alphabet="ab :,\"'", max_size=40),
)
def test_a_secret_that_is_known_never_comes_through(secret: str, before: str, after: str) -> None:
    body = json.dumps({"error": {"message": before + secret + after}}).encode()
    assert secret not in masked(own_words(body), [secret])
