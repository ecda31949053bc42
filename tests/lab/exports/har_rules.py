"""What HAR 1.2 asks of a file, by http://www.softwareishard.com/blog/har-12-spec/: required names, and their kinds."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

NUMBER = (int, float)
RULES: dict[str, dict[str, tuple[bool, Any]]] = {
    "log": {"version": (True, str), "creator": (True, dict), "pages": (False, list), "entries": (True, list)},
    "creator": {"name": (True, str), "version": (True, str)},
    "page": {
        "startedDateTime": (True, str),
        "id": (True, str),
        "title": (True, str),
        "pageTimings": (True, dict),
    },
    "entry": {
        "pageref": (False, str),
        "startedDateTime": (True, str),
        "time": (True, NUMBER),
        "request": (True, dict),
        "response": (True, dict),
        "cache": (True, dict),
        "timings": (True, dict),
    },
    "request": {
        "method": (True, str),
        "url": (True, str),
        "httpVersion": (True, str),
        "cookies": (True, list),
        "headers": (True, list),
        "queryString": (True, list),
        "headersSize": (True, int),
        "bodySize": (True, int),
    },
    "response": {
        "status": (True, int),
        "statusText": (True, str),
        "httpVersion": (True, str),
        "cookies": (True, list),
        "headers": (True, list),
        "content": (True, dict),
        "redirectURL": (True, str),
        "headersSize": (True, int),
        "bodySize": (True, int),
    },
    "content": {
        "size": (True, int),
        "compression": (False, int),
        "mimeType": (True, str),
        "text": (False, str),
        "encoding": (False, str),
        "comment": (False, str),
    },
    "header": {"name": (True, str), "value": (True, str)},
    "timings": {
        "send": (True, NUMBER),
        "wait": (True, NUMBER),
        "receive": (True, NUMBER),
        **dict.fromkeys(("blocked", "dns", "connect", "ssl"), (False, NUMBER)),
    },
}


def faults(har: Any) -> list[str]:
    """What is wrong with it; nothing, if it is a HAR."""
    log = har["log"]
    found = [*_against("log", log), *_against("creator", log["creator"])]
    pages = {page["id"] for page in log.get("pages", ())}
    for page in log.get("pages", ()):
        found += [*_against("page", page), *_date(page["startedDateTime"])]
    if len(pages) != len(log.get("pages", ())):
        found.append("two pages have one id")
    for entry in log["entries"]:
        found += _of_entry(entry, pages)
    return found


def _of_entry(entry: Any, pages: set[str]) -> list[str]:
    request, response, timings = entry["request"], entry["response"], entry["timings"]
    found = [*_against("entry", entry), *_against("request", request), *_against("response", response)]
    found += [
        *_against("content", response["content"]),
        *_against("timings", timings),
        *_date(entry["startedDateTime"]),
    ]
    found += [fault for header in response["headers"] for fault in _against("header", header)]
    if not urlsplit(request["url"]).scheme:
        found.append(f"request.url {request['url']!r} is not absolute")
    if "pageref" in entry and entry["pageref"] not in pages:
        found.append(f"pageref {entry['pageref']!r} is no page's")
    if min(timings["send"], timings["wait"], timings["receive"]) < 0:
        found.append("send, wait and receive are no optional times")
    if min(timings.values()) < -1:
        found.append("a time below -1")
    spent = sum(value for name, value in timings.items() if value != -1 and name != "ssl")  # ssl is part of connect
    if abs(spent - entry["time"]) > 1e-6:
        found.append(f"time {entry['time']} is not the sum of its timings, {spent}")
    return found


def _against(kind: str, value: Any) -> list[str]:
    rules = RULES[kind]
    missing = [f"{kind}.{name} is missing" for name, (required, _) in rules.items() if required and name not in value]
    odd = [f"{kind}.{name} is no name of HAR's" for name in value if name not in rules and not name.startswith("_")]
    wrong = [
        f"{kind}.{name} is {value[name]!r}"
        for name, (_, wanted) in rules.items()
        if name in value and (not isinstance(value[name], wanted) or isinstance(value[name], bool))
    ]
    return [*missing, *odd, *wrong]


def _date(text: str) -> list[str]:
    """ISO 8601 with a time zone."""
    try:
        return [] if datetime.fromisoformat(text).tzinfo else [f"{text!r} has no time zone"]
    except ValueError:
        return [f"{text!r} is no date"]
