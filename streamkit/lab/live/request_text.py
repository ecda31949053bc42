"""A request as people write it in .http files: text in, arguments of `record()` out.

    POST http://127.0.0.1:8000/ans
    Accept: text/event-stream

    chat_history=你好

The first line is the method and the URL, then come headers, an empty line, and the body. Lines before the body that
begin with # or // are comments. What a body is says its Content-Type, and without one its look, as `streamkit record`
has an option for each: JSON, form fields (one a line, or joined by &; as they are, nothing has to be encoded), text.

`{{…}}` is an expression, everywhere, as in other tools' .http files; before the body a single brace will do, since no
URL and no header has one. JSON has many single braces, and never two at the beginning of anything. In a JSON body text
is written as it stands within quotes there, everything else as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["request_of"]

TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  of HTTP's grammar: RFC 9110 section 5.6.2
FIRST: Final = re.compile(rf"({TOKEN})\s+(\S+)(?:\s+HTTP/[\d.]+)?")
HEADER: Final = re.compile(rf"({TOKEN})\s*:\s*(.*)")
FIELD: Final = re.compile(r"[^\s=&{}\[\]\"<>]+=.*", re.DOTALL)
IN_HEAD: Final = re.compile(r"\{\{(.+?)\}\}|\{(.+?)\}")
IN_BODY: Final = re.compile(r"\{\{(.+?)\}\}")
LOOKS: Final = "POST http://127.0.0.1:8000/ans"

Evaluate = Callable[[str], object]


def request_of(text: str, evaluate: Evaluate) -> dict[str, Any]:
    """What `record()` is told: `url`, `method`, `headers`, and the body as `data` or `content`.

    >>> from streamkit.lab.live.request_text import request_of
    >>> request_of("POST {url}/ans\\n\\nchat_history=hi", {"url": "http://h"}.__getitem__)
    {'method': 'POST', 'url': 'http://h/ans', 'headers': [], 'data': {'chat_history': ['hi']}}

    Raises ValueError for a text that is no such request, and what `evaluate` raises.
    """
    lines = text.strip("\n").split("\n")
    first, headers, body_from = "", list[tuple[str, str]](), len(lines)
    for number, line in enumerate(lines):
        if not line.strip():
            if first:
                body_from = number + 1
                break
        elif not line.startswith(("#", "//")):
            line = _filled(line.strip(), IN_HEAD, evaluate, str)
            if first:
                headers.append(_header(line))
            else:
                first = line
    method, url = _first(first)
    body = "\n".join(lines[body_from:]).rstrip()
    return {"method": method, "url": url, "headers": headers, **_body(body, headers, evaluate)}


def _first(line: str) -> tuple[str, str]:
    found = FIRST.fullmatch(line)
    if found is None:
        raise ValueError(f"expected a method and a URL in the first line, as in {LOOKS!r}, got {line!r}")
    method, url = found.groups()
    if "://" not in url:
        raise ValueError(f"expected a whole URL in the first line, as in {LOOKS!r}, got {url!r}")
    return method.upper(), url


def _header(line: str) -> tuple[str, str]:
    found = HEADER.fullmatch(line)
    if found is None:
        raise ValueError(f"expected a header, NAME: VALUE, or an empty line before the body, got {line!r}")
    return found[1], found[2]


def _body(body: str, headers: list[tuple[str, str]], evaluate: Evaluate) -> dict[str, Any]:
    """What it is says its media type; where that is left open it is added to the headers, unless httpx does."""
    kind = next((value for name, value in headers if name.lower() == "content-type"), None)
    whole = IN_BODY.fullmatch(body)
    if whole is not None:
        value = evaluate(whole[1].strip())
        body = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    elif kind is None and (fields := _fields(body)) is not None:
        return {"data": {name: [_filled(each, IN_BODY, evaluate, str) for each in of] for name, of in fields.items()}}
    else:
        is_json = "json" in kind if kind is not None else body.startswith(("{", "["))
        body = _filled(body, IN_BODY, evaluate, _as_json if is_json else str)
    if not body:
        return {}
    if kind is None:
        of_json = _is_json(body)
        headers.append(("Content-Type", "application/json" if of_json else "text/plain; charset=utf-8"))
    return {"content": body}


def _is_json(body: str) -> bool:
    """An object or a list. What begins as one, and is none, is a mistake: better said here than by the server."""
    if not body.startswith(("{", "[")):
        return False
    try:
        json.loads(body)
    except ValueError as error:
        raise ValueError(
            f"expected a JSON body, since it begins with {body[0]}, got none: {error}. With a Content-Type header a "
            "body is sent as it is"
        ) from None
    return True


def _fields(body: str) -> dict[str, list[str]] | None:
    """The values of form fields by their names; None where it is no form."""
    parts: list[str] = []
    for line in body.splitlines():
        of_line = line.split("&")
        parts += of_line if all(map(FIELD.fullmatch, of_line)) else [line]  # an & may be part of a text
    if not parts or not all(map(FIELD.fullmatch, parts)):
        return None
    found: dict[str, list[str]] = {}
    for name, _, value in (part.partition("=") for part in parts):
        found.setdefault(name, []).append(value)
    return found


def _filled(text: str, where: re.Pattern[str], evaluate: Evaluate, written: Callable[[object], str]) -> str:
    def value(found: re.Match[str]) -> str:
        return written(evaluate(next(group for group in found.groups() if group is not None).strip()))

    return where.sub(value, text)


def _as_json(value: object) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said[1:-1] if isinstance(value, str) else said  # its quotes stand there already
