"""Parse and extract, against httpx-sse with json and indexing, and against the OpenAI SDK.

    python -m benchmarks.extract

Bytes of an event stream go in, pieces of text come out; every case must produce the same text. "batch" feeds reads of
64 KiB, "packets" of 1,400 bytes, as a stream is cut whose server writes as it likes, and "live" one event per read.
Mistral's events are OpenAI's with padding, so that they differ in more than their text; "openai, padded" are those that
OpenAI sends with `obfuscation`. The goals are ratios of medians measured in one run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx
import openai
from httpx_sse import EventSource
from openai._streaming import Stream  # the decoder without its network
from openai.types.chat import ChatCompletionChunk

from benchmarks.harness import compare, show_seconds, table
from streamkit.extractor import Extractor, Piece
from streamkit.parser import SSEParser
from streamkit.presets import preset, writer

EVENTS = 1000
READ_BYTES = 1 << 16
PACKET_BYTES = 1400
GOALS = {"batch": 2.5, "packets": 2.0, "live": 2.0}
PADDED = "openai, padded"

PATHS = {
    "openai": "choices[0].delta.content",
    PADDED: "choices[0].delta.content",
    "mistral": "choices[0].delta.content",
    "seed": "data[0].value | json | MessageBody.DirectMessageBody.SentenceList[0].Content",
}
WORDS = {"openai": "token ", PADDED: "token ", "mistral": "token ", "seed": "你好，世界"}


PRESETS = {PADDED: "openai"}


def written(name: str) -> list[bytes]:
    """The events, as the provider sends them."""
    events = [writer(PRESETS.get(name, name)).piece(WORDS[name], index) for index in range(EVENTS)]
    return [_padded(event, index) for index, event in enumerate(events)] if name == PADDED else events


def _padded(event: bytes, index: int) -> bytes:
    """`obfuscation` of changing letters and length, behind all else."""
    padding = "".join(chr(97 + (index * 7 + j * 11) % 26) for j in range(4 + index % 13))
    return event.replace(b"}\n\n", b',"obfuscation":"%b"}\n\n' % padding.encode())


def by_index_openai(data: str) -> str | None:
    return json.loads(data)["choices"][0]["delta"].get("content")  # type: ignore[no-any-return]  # a peer's plain code


def by_index_seed(data: str) -> str | None:
    message = json.loads(json.loads(data)["data"][0]["value"])
    return message["MessageBody"]["DirectMessageBody"]["SentenceList"][0]["Content"]  # type: ignore[no-any-return]  # ditto


BY_INDEX: dict[str, Callable[[str], str | None]] = {
    "openai": by_index_openai,
    PADDED: by_index_openai,
    "mistral": by_index_openai,
    "seed": by_index_seed,
}


class Body(httpx.SyncByteStream):
    """A response's body in the reads given."""

    def __init__(self, reads: Sequence[bytes]) -> None:
        self._reads = reads

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reads)


def response(reads: Sequence[bytes]) -> httpx.Response:
    headers = {"content-type": "text/event-stream"}
    return httpx.Response(200, headers=headers, stream=Body(reads), request=httpx.Request("POST", "http://localhost"))


def ours(name: str, reads: Iterable[bytes]) -> str:
    extract = Extractor(PATHS[name])
    feed = SSEParser().feed
    return "".join([text for data in reads for event in feed(data) if (text := extract(event.data))])


def ours_with_preset(name: str, reads: Iterable[bytes]) -> str:
    """Errors and end markers are looked for too."""
    read = preset(PRESETS.get(name, name)).read
    feed = SSEParser().feed
    results = [read(event) for data in reads for event in feed(data)]
    return "".join([result.text for result in results if isinstance(result, Piece)])


def ours_by_the_run(name: str, reads: Iterable[bytes]) -> str:
    """The same for all events of a read at once: what the relay does."""
    read_pieces = preset(PRESETS.get(name, name)).read_pieces
    feed = SSEParser().feed
    pieces: list[Piece] = []
    for data in reads:
        events = iter(feed(data))
        while read_pieces(events, pieces) is not None:
            pass
    return "".join([piece.text for piece in pieces])


def httpx_sse(name: str, reads: Sequence[bytes]) -> str:
    by_index = BY_INDEX[name]
    return "".join([text for event in EventSource(response(reads)).iter_sse() if (text := by_index(event.data))])


def openai_sdk(reads: Sequence[bytes], client: openai.OpenAI) -> str:
    answer: Any = response(reads)  # typed as the SDK's own HTTP library's, of the same interface
    stream: Stream[Any] = Stream(cast_to=ChatCompletionChunk, response=answer, client=client)
    return "".join([text for chunk in stream if (text := chunk.choices[0].delta.content)])


def measure(name: str, shape: str, reads: Sequence[bytes], client: openai.OpenAI) -> list[list[str]]:
    """Three rows of the table: by an Extractor, which looks for text only, as the peers do, and has a goal; and by a
    preset, event by event and read by read, which looks for errors and ends as well.
    """
    cases: dict[str, Callable[[], str]] = {
        "extractor": lambda: ours(name, reads),
        "preset": lambda: ours_with_preset(name, reads),
        "preset, runs": lambda: ours_by_the_run(name, reads),
        "httpx-sse": lambda: httpx_sse(name, reads),
    }
    if name in ("openai", PADDED):
        cases["openai SDK"] = lambda: openai_sdk(reads, client)
    expected = WORDS[name] * EVENTS
    for case, run in cases.items():
        assert run() == expected, f"{case} extracts another text from {name} {shape}"
    seconds = compare(cases)
    return [
        _row(f"{name}, {shape}", "extractor", seconds, GOALS[shape]),
        _row(f"{name}, {shape}", "preset", seconds, None),
        _row(f"{name}, {shape}", "preset, runs", seconds, None),
    ]


def _row(what: str, case: str, seconds: dict[str, float], goal: float | None) -> list[str]:
    ratio = seconds["httpx-sse"] / seconds[case]
    peers = [show_seconds(seconds[peer] / EVENTS) if peer in seconds else "–" for peer in PEERS]
    judged = ["–", ""] if goal is None else [f"≥ {goal} ×", "ok" if ratio >= goal else "MISSED"]
    return [what, case, show_seconds(seconds[case] / EVENTS), *peers, f"{ratio:.2f} ×", *judged]


PEERS = ("httpx-sse", "openai SDK")


def main() -> None:
    """Print the table; each time is that of one event."""
    rows = [["parse + extract, per event", "by", "ours", *PEERS, "httpx-sse / ours", "goal", ""]]
    client = openai.OpenAI(api_key="none", base_url="http://localhost")
    for name in WORDS:
        events = written(name)
        body = b"".join(events)
        for shape, size in (("batch", READ_BYTES), ("packets", PACKET_BYTES)):
            rows += measure(name, shape, [body[start : start + size] for start in range(0, len(body), size)], client)
        rows += measure(name, "live", events, client)
    client.close()
    print(table(rows))


if __name__ == "__main__":
    main()
