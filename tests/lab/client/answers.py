"""Answers as exact bytes at made-up times, and what a recorder makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

RELAYED = {"transfer-encoding": "chunked", "x-stream-id": "s1"}
SSE = {"content-type": "text/event-stream", **RELAYED}
NDJSON = {"content-type": "application/x-ndjson; charset=utf-8", **RELAYED}
TEXT = {"content-type": "text/plain; charset=utf-8", "transfer-encoding": "chunked"}
CUT = WireFailure(Outcome("truncated"), "the connection ended inside the body")
HELLO = b'data: {"text":"hello"}\n\n'
DONE = b"event: done\ndata: {}\n\n"
CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
CHAT_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
CHAT_DONE = b"data: [DONE]\n\n"
SEED = (
    b'data: {"data":[{"value":"{\\"MessageBody\\":{\\"DirectMessageBody\\":'
    b'{\\"SentenceList\\":[{\\"Content\\":\\"hi\\"}]}}}"}]}\n\n'
)


class Clock:
    """Stands still until it is told the time (ns)."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def taken(
    reads: Iterable[bytes],
    headers: dict[str, str] = SSE,
    *,
    status: int = 200,
    http: str | None = "HTTP/1.1",
    failure: WireFailure | None = None,
    **options: Any,
) -> Recording:
    """One read every 10 ns from 1,010 on, the recording having started at 1,000."""
    clock = Clock()
    recorder = Recorder(clock=clock, **options)
    clock.now = 1_005
    recorder.head(status, headers, http)
    for number, data in enumerate(reads):
        clock.now = 1_010 + 10 * number
        if not recorder.feed(number, clock.now, data):
            break
    return recorder.finish(failure)


def ended(reads: Iterable[bytes], headers: dict[str, str] = SSE, **options: Any) -> str:
    return str(taken(reads, headers, **options).outcome)
