"""Why, in the words of others: `own_words` finds a provider's message, `masked` removes what may be a secret.

Providers answer a wrong key with the key in the message, and a wrong URL with the URL. So none of their words are shown
before they have been masked, by the code that knows which secrets were sent.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["masked", "own_words"]

LONGEST: Final = 300
"""Characters of one message that are shown."""

HEAD: Final = 4096
LOOKED_AT: Final = 1 << 16
SHORTEST: Final = 4
MASK: Final = "…"
MESSAGE: Final = (
    *("message", "detail", "error_description", "msg", "error_msg", "error_message", "status_msg", "title", "reason"),
)
INSIDE: Final = ("error", "errors", "detail", "header", "base_resp", "fault")
DEEPEST: Final = 4
PAGE: Final = re.compile(r"\s*(<!doctype html|<html|<head|<body|<\?xml)", re.I)
TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.I | re.S)

KEY_LIKE: Final = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[^\s,;'\"]+"  # credentials of RFC 9110
    r"|(?i:\b(?:sk|pk|rk|ak|gsk|xai|hf|pplx|nvapi|glpat|ghp|key|api[-_]?key|token|secret)[-_=])[^\s,;'\"]{3,}"
    r"|\bAIza[\w*-]{3,}|\beyJ[\w*-]+\.[\w.*-]+"  # Google's keys; JSON web tokens (RFC 7519)
    r"|[\w-]*\*{3,}[\w*-]*"  # what the provider has masked itself shows the ends of the key
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"  # some keys are UUIDs
    r"|(?:%[0-9A-Fa-f]{2}){4,}"
    r"|(?=[\w+/=%]*[0-9])(?=[\w+/=%]*[A-Za-z])[\w+/=%]{20,}"  # one long word of letters and digits; no model's name is
)
IN_URL: Final = re.compile(r"(https?://)([^\s/@'\"]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?", re.I)


def own_words(body: bytes | bytearray) -> str:
    """The message in the body of an answer that refuses, as it stands there; "" where there is none.

        >>> from streamkit.reasons import own_words
        >>> own_words(b'{"error": {"message": "You have no access", "type": "auth"}}')
        'You have no access'

    Of JSON its message, wherever providers put it; of a page its title; of other text all of it, unless that is JSON
    which is cut.
    """
    text = bytes(body).decode("utf-8", "replace")
    try:
        return _message(json.loads(text), DEEPEST)
    except (ValueError, RecursionError):
        title = TITLE.search(text, 0, HEAD) if PAGE.match(text) else None
        if title:
            return html.unescape(title[1])
        return "" if text.lstrip().startswith(("{", "[", "<")) else text


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` on one line of at most 300 characters, without `secrets`, what looks like a secret, and queries of URLs.

        >>> from streamkit.reasons import masked
        >>> masked("wrong key sk-abc123 for https://me:pw@api.test/v1?key=k3y, not hunter2", ["hunter2"])
        'wrong key … for https://api.test/v1 not …'

    Secrets of fewer than four characters are left in, as masking them would tear words apart.
    """
    if not text:
        return ""
    text = _bounded("".join(char if char.isprintable() else " " for char in text[:LOOKED_AT]))
    for secret in sorted((each for each in secrets if len(each) >= SHORTEST), key=len, reverse=True):
        text = text.replace(secret, MASK)
    line = KEY_LIKE.sub(MASK, IN_URL.sub(r"\1\3", text))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + MASK


def _bounded(text: str) -> str:
    """One line, so short that the patterns above, which are quadratic, cost nothing; no word of it is cut in two."""
    line = " ".join(text.split())
    return line if len(line) <= 8 * LONGEST else line[: 8 * LONGEST].rpartition(" ")[0]


def _message(value: Any, deep: int) -> str:
    """The first message in a JSON value: its own, or that of what it holds."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return next((said for item in value[:3] if deep and (said := _message(item, deep - 1))), "")
    if not isinstance(value, dict):
        return ""
    for name in INSIDE:
        inner = value.get(name)
        if isinstance(inner, dict | list) and deep and (said := _message(inner, deep - 1)):
            return said
    own = (value.get(name) for name in (*MESSAGE, "error"))
    return next((said for said in own if isinstance(said, str) and said), "")
