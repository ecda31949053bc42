"""What the grammars say, as plainly and slowly as they say it: WHATWG HTML 9.2.5 and 9.2.6, and lines of JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

BOM = b"\xef\xbb\xbf"
MAX_RETRY_MS = 2**63 - 1


@dataclass
class Stream:
    """A whole stream: its events (type, data, id), and what else a reader knows at its end."""

    last_event_id: str = ""
    events: list[tuple[str, str, str]] = field(default_factory=list)
    retry_ms: int | None = None
    comments: int = 0
    oversized: int = 0
    unfinished: bool = False


def sse(body: bytes, max_line: int = 1 << 20, max_event: int = 1 << 20, last_event_id: str = "") -> Stream:
    stream = Stream(last_event_id)
    body = body.removeprefix(BOM)
    raw_lines = re.split(rb"\r\n|\r|\n", body)  # the last one has no line end
    lines = re.split(r"\r\n|\r|\n", body.decode("utf-8", "replace"))
    block: list[tuple[bytes, str]] = []
    for raw, line in zip(raw_lines[:-1], lines[:-1], strict=True):
        if line:
            block.append((raw, line))
        else:
            _block(stream, block, max_line, max_event)
            block = []
    raw_block = [raw for raw, _ in block] + [raw for raw in raw_lines[-1:] if raw]
    oversized = _too_large(raw_block, max_line, max_event)
    stream.oversized += oversized
    stream.unfinished = oversized or any(raw[:1] != b":" for raw in raw_block)
    for _, line in block:
        if not oversized:
            _field(stream, line)
    return stream


def _too_large(raw_lines: list[bytes], max_line: int, max_event: int) -> bool:
    size = sum(len(raw) for raw in raw_lines if raw[:1] != b":")
    return size > max_event or any(len(raw) > max_line for raw in raw_lines)


def _block(stream: Stream, block: list[tuple[bytes, str]], max_line: int, max_event: int) -> None:
    if _too_large([raw for raw, _ in block], max_line, max_event):
        stream.oversized += 1
        return
    values: dict[str, list[str]] = {"data": [], "event": [""], "id": [stream.last_event_id]}
    for _, line in block:
        name, value = _field(stream, line)
        if name in values and not (name == "id" and "\0" in value):
            values[name].append(value)
    stream.last_event_id = values["id"][-1]
    if values["data"]:
        data = "".join(value + "\n" for value in values["data"])[:-1]
        stream.events.append((values["event"][-1] or "message", data, stream.last_event_id))


def _field(stream: Stream, line: str) -> tuple[str, str]:
    """Name and value of a line; what does not wait for the end of its event is done at once."""
    name, value = line.split(":", 1) if ":" in line else (line, "")
    value = value[1:] if value.startswith(" ") else value
    if name == "retry" and re.fullmatch("[0-9]+", value):
        stream.retry_ms = min(int(value), MAX_RETRY_MS)
    stream.comments += line.startswith(":")
    return name, value


def ndjson(body: bytes, max_line: int = 1 << 20) -> tuple[list[str], int, bytes]:
    """The lines that have an end and are not blank, how many were too long, and what stands behind the last end."""
    *lines, tail = body.removeprefix(BOM).split(b"\n")
    fitting = [line.decode("utf-8", "replace").removesuffix("\r") for line in lines if len(line) <= max_line]
    return [line for line in fitting if line.strip(" \t\r")], sum(len(line) > max_line for line in lines), tail
