"""The heads of a gateway's answers, read by the linter of the HTTP working group's chair (httplint), if it is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from streamkit.lab.audit.scenarios import Scenario
from streamkit.lab.audit.witness import AuditFact, AuditFinding, Judgement

__all__ = ["head_of", "judge_head"]

LIMIT_BYTES: Final = 65_536
PORTS: Final = {"http": 80, "https": 443}
MISSING: Final = "httplint is not installed (pip install httplint)"
MEANT: Final = frozenset({"STATUS_BAD_REQUEST"})
"""What is no complaint: the status itself."""


async def head_of(url: str, request: dict[str, Any], within_s: float = 5.0) -> tuple[bytes, bytes]:
    """The head of the request, and of its answer, as the wire has them; the latter may be empty."""
    given = {name: value for name, value in request.items() if name != "preset"}
    asked = httpx2.Request("POST", url, **given)
    lines = [b"POST %b HTTP/1.1" % asked.url.raw_path, *(b"%b: %b" % pair for pair in asked.headers.raw)]
    head = b"\r\n".join([*lines, b"connection: close", b"", b""])
    parts = urlsplit(url)
    came = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or PORTS[parts.scheme], ssl=parts.scheme == "https" or None
            )
            try:
                writer.write(head + asked.read())
                while b"\r\n\r\n" not in came and len(came) < LIMIT_BYTES and (data := await reader.read(4096)):
                    came += data
            finally:
                writer.close()
    return head, came.partition(b"\r\n\r\n")[0]


def judge_head(scenario: Scenario, asked: bytes, answer: bytes) -> Judgement:
    """What is wrong with an answer's head: what the linter calls bad is a finding, what it warns of a fact."""
    if find_spec("httplint") is None:
        return Judgement.of(scenario, (), unjudged=MISSING)
    if not answer.startswith(b"HTTP/"):
        return Judgement.of(scenario, (), unjudged="no head came")
    return Judgement.of(scenario, _noticed(scenario, asked, answer))


def _noticed(scenario: Scenario, asked: bytes, answer: bytes) -> Iterator[AuditFinding | AuditFact]:
    from httplint import HttpRequestLinter, HttpResponseLinter, levels

    before, linter = HttpRequestLinter(no_content=True), HttpResponseLinter(no_content=True)
    top, fields = _split(asked)
    before.process_request_topline(*top.split(b" ", 2))
    before.process_headers(fields)
    linter.request = before
    top, fields = _split(answer)
    linter.process_response_topline(*[*top.split(b" ", 2), b"", b""][:3])
    linter.process_headers(fields)
    linter.finish_content(True)
    for note in linter.notes:
        if type(note).__name__ in MEANT:
            continue
        if note.level == levels.BAD:
            yield AuditFinding("bad_head", scenario.name, str(note.summary))
        elif note.level == levels.WARN:
            yield AuditFact("heads", scenario.name, str(note.summary))


def _split(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    top, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    pairs = (line.partition(b":")[::2] for line in lines)
    return top, [(name, value.strip()) for name, value in pairs]
