"""Parse and extract, against httpx-sse with json and indexing, and against the OpenAI SDK.

    python -m benchmarks.extract

Bytes of an event stream go in, pieces of text come out; every case must produce the same text. "batch" feeds reads of
64 KiB, "live" one event per read. Mistral's events are OpenAI's with padding, so that they differ in more than their
text. The goals are ratios of medians measured in one run.
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
GOALS = {"batch": 2.5, "live": 2.0}

PATHS = {
    "openai": "choices[0].delta.content",
    "mistral": "choices[0].delta.content",
    "seed": "data[0].value | json | MessageBody.DirectMessageBody.SentenceList[0].Content",
}
WORDS = {"openai": "token ", "mistral": "token ", "seed": "你好，世界"}


def by_index_openai(data: str) -> str | None:
    return json.loads(data)["choices"][0]["delta"].get("content")  # type: ignore[no-any-return]  # a peer's plain code


def by_index_seed(data: str) -> str | None:
    message = json.loads(json.loads(data)["data"][0]["value"])
    return message["MessageBody"]["DirectMessageBody"]["SentenceList"][0]["Content"]  # type: ignore[no-any-return]  # ditto


BY_INDEX: dict[str, Callable[[str], str | None]] = {
    "openai": by_index_openai,
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
    read = preset(name).read
    feed = SSEParser().feed
    results = [read(event) for data in reads for event in feed(data)]
    return "".join([result.text for result in results if isinstance(result, Piece)])


def ours_by_the_run(name: str, reads: Iterable[bytes]) -> str:
    """The same for all events of a read at once: what the relay does."""
    read_pieces = preset(name).read_pieces
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
    if name == "openai":
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
    for name, word in WORDS.items():
        written = [writer(name).piece(word, index) for index in range(EVENTS)]
        body = b"".join(written)
        batch = [body[start : start + READ_BYTES] for start in range(0, len(body), READ_BYTES)]
        rows += measure(name, "batch", batch, client)
        rows += measure(name, "live", written, client)
    client.close()
    print(table(rows))


if __name__ == "__main__":
    main()
