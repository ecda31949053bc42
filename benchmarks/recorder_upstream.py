"""A stream as large as is asked for, as fast as it is taken: `… -m benchmarks.recorder_upstream BYTES alike|padded`.

OpenAI chat-completion chunks of about 200 bytes, a few megabytes of them made once and sent over and over, in HTTP
chunks of 64 KiB as a proxy makes them. `alike`: only the text of an event varies, within one stream; `padded`: with an
`obfuscation` of changing length beside it, as OpenAI sends it. A request that says "warm-up" gets one event.
"""

from __future__ import annotations

import json
import random
import socket
import sys
from typing import Final

__all__: list[str] = []

BLOCK_BYTES: Final = 65_536
BLOCKS: Final = 32
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORDS: Final = ("Hello", " world", " wörld", "你好", ",", " a", " streaming", " benchmarks", ".", " 12")


def event(text: str, padding: str | None, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish_reason}
    value = {"id": "chatcmpl-golden", "object": "chat.completion.chunk", "created": 1700000000, "choices": [choice]}
    value |= {} if padding is None else {"obfuscation": padding}
    return b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def blocks(padded: bool) -> list[bytes]:
    """HTTP chunks, cut anywhere; together whole events."""
    chosen = random.Random(7)
    body = bytearray()
    while len(body) < BLOCKS * BLOCK_BYTES:
        body += event(chosen.choice(WORDS), "x" * chosen.randrange(16) if padded else None)
    return [chunk(bytes(body[at : at + BLOCK_BYTES])) for at in range(0, len(body), BLOCK_BYTES)]


def main() -> None:
    """Print the port; answer until killed."""
    size, padded = int(sys.argv[1]), sys.argv[2] == "padded"
    made = blocks(padded)
    end = chunk(event("", None, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    rounds = max(1, size // sum(map(len, made)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                asked = connection.recv(65_536)
                connection.sendall(HEAD)
                if b"warm-up" in asked:
                    connection.sendall(chunk(event("warm", None)) + end)
                    continue
                for _ in range(rounds):
                    for block in made:
                        connection.sendall(block)
                connection.sendall(end)


if __name__ == "__main__":
    main()
