"""The SSE parser beside its peers: `python -m benchmarks.parser [--quick]` prints one table.

Every peer is fed the same reads, in its own way of being used but without a network: what is timed is the way from
bytes to a list of event objects. All peers are timed in the same rounds; only the ratios mean anything. The
data is made here, from a few sentences, in the shapes that providers send.
"""

from __future__ import annotations

import argparse
import codecs
import importlib
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.harness import compare, show_seconds, table
from streamkit.parser import SSEParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    Parser: TypeAlias = Callable[[Sequence[bytes]], list[Any]]

KIB = 1024
SPLIT = 'split(b"\\n\\n")'
SEGMENT = 1400  # about what one packet carries: where a stream is cut if its server writes as it likes
WORDS = ("The", "oscilloscope", "shows", "what", "the", "stream", "really", "did", "and", "who", "was", "slow", ".")
CHINESE = "你好世界流式输出的每一块都在这里慢慢出现"


@dataclass(frozen=True)
class Scenario:
    """Reads to be parsed, and what is asked of us: the fastest peer's time over ours, and ours over a bare split."""

    name: str
    reads: Sequence[bytes]
    goal: float | None
    split_goal: float | None = None


# -- the data ------------------------------------------------------------------------------------------------------


def openai_delta(i: int) -> bytes:
    delta = {"content": " " + WORDS[i % len(WORDS)]}
    return _compact(
        {
            "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
            "object": "chat.completion.chunk",
            "created": 1760000000,
            "model": "some-model-2026-01-01",
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
            "usage": None,
        }
    )


def padded_delta(i: int) -> bytes:
    """With `obfuscation`, as OpenAI sends it: each event is as long as any other, whatever its text."""
    delta = json.loads(openai_delta(i))
    padding = "".join(chr(97 + (i * 7 + j * 11) % 26) for j in range(16 - len(WORDS[i % len(WORDS)])))
    return _compact({**delta, "obfuscation": padding})


def nested_chinese(i: int) -> bytes:
    content = CHINESE[i % 15 : i % 15 + 1 + i % 5]
    value = _compact({"MessageBody": {"DirectMessageBody": {"SentenceList": [{"Content": content}]}}}).decode()
    return _compact({"data": [{"value": value}]})


def anthropic_delta(i: int) -> bytes:
    delta = {"type": "text_delta", "text": " " + WORDS[i % len(WORDS)]}
    return _compact({"type": "content_block_delta", "index": 0, "delta": delta})


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def blocks(payloads: Iterable[bytes], head: bytes = b"", end: bytes = b"\n") -> list[bytes]:
    return [head + b"data: " + payload + end + end for payload in payloads]


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[i : i + size] for i in range(0, len(body), size)]


def scenarios() -> list[Scenario]:
    openai = blocks(openai_delta(i) for i in range(1200))
    padded = blocks(padded_delta(i) for i in range(1200))
    chinese = blocks(nested_chinese(i) for i in range(2500))
    anthropic = blocks((anthropic_delta(i) for i in range(1500)), b"event: content_block_delta\n")
    crlf = blocks((openai_delta(i) for i in range(1200)), end=b"\r\n")
    tiny = blocks([b"x"] * 20_000)
    large = blocks(_compact({"text": "All the tokens of a long answer. " * 1985, "index": i}) for i in range(10))
    return [
        Scenario("OpenAI deltas, 64 KiB reads", cut(b"".join(openai), 64 * KIB), 2.0, 3.5),
        Scenario("nested Chinese, 64 KiB reads", cut(b"".join(chinese), 64 * KIB), 2.0, 3.5),
        Scenario("OpenAI deltas, one event per read", openai[:500], 1.5),
        Scenario("nested Chinese, one event per read", chinese[:500], 1.5),
        Scenario("OpenAI deltas, 1,400-byte reads", cut(b"".join(openai), SEGMENT), 1.5),
        Scenario("the same with changing padding", cut(b"".join(padded), SEGMENT), 1.5),
        Scenario("the same, one event per read", padded[:500], 1.5),
        Scenario("nested Chinese, 1,400-byte reads", cut(b"".join(chinese), SEGMENT), 1.5),
        Scenario("Anthropic (event + data), 1,400-byte reads", cut(b"".join(anthropic), SEGMENT), 1.5),
        Scenario("OpenAI deltas with CRLF, 1,400-byte reads", cut(b"".join(crlf), SEGMENT), None),
        Scenario("tiny events, 64 KiB reads", cut(b"".join(tiny), 64 * KIB), 5.0),
        Scenario("64 KB events, one per read", large, 1.0),
        Scenario("64 KB events, 16 KiB reads", cut(b"".join(large), 16 * KIB), 1.0),
        Scenario("OpenAI deltas, one byte per read", cut(b"".join(openai[:20]), 1), 1.0),
        Scenario("a 64 KB event, one byte per read", cut(large[0], 1), 1.0),
        Scenario("Anthropic (event + data), 64 KiB reads", cut(b"".join(anthropic), 64 * KIB), None),
        Scenario("Anthropic, one event per read", anthropic[:500], None),
        Scenario("OpenAI deltas with CRLF, 64 KiB reads", cut(b"".join(crlf), 64 * KIB), None),
    ]


# -- the parsers: reads in, a list of event objects out ------------------------------------------------------------


def streamkit(reads: Sequence[bytes]) -> list[Any]:
    parser = SSEParser()
    events: list[Any] = []
    feed = parser.feed
    for read in reads:
        if found := feed(read):
            events += found
    events += parser.close()
    return events


@dataclass
class TextResponse:
    """As much of an httpx response as httpx-sse looks at."""

    reads: Sequence[bytes]
    headers: ClassVar[dict[str, str]] = {"content-type": "text/event-stream"}

    def iter_text(self) -> Iterator[str]:
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return map(utf8.decode, self.reads)


def httpx_sse(module: Any) -> Parser:
    """Its own loop over text, lines and events."""
    return lambda reads: list(module.EventSource(TextResponse(reads)).iter_sse())


def sdk(streaming: Any) -> Parser:
    """The decoder of the openai and anthropic SDKs."""
    return lambda reads: list(streaming.SSEDecoder().iter_bytes(iter(reads)))


def sseclient(module: Any) -> Parser:
    return lambda reads: list(module.SSEClient(iter(reads)).events())


def niquests(module: Any) -> Parser:
    """Its SSE extension on a stream of ours instead of a response's."""

    def parse(reads: Sequence[bytes]) -> list[Any]:
        extension = module.ServerSideEventExtensionFromHTTP()
        extension._response, extension._stream = object(), iter(reads)
        return list(iter(extension.next_payload, None))

    return parse


PEERS: dict[str, tuple[str, Callable[[Any], Parser]]] = {
    "httpx-sse": ("httpx_sse", httpx_sse),
    "openai": ("openai._streaming", sdk),
    "anthropic": ("anthropic._streaming", sdk),
    "sseclient-py": ("sseclient", sseclient),
    "niquests": ("urllib3.contrib.webextensions.sse", niquests),  # niquests leaves the reading to urllib3-future
}


def installed_peers() -> tuple[dict[str, Parser], list[str]]:
    peers, missing = {}, []
    for name, (module, adapter) in PEERS.items():
        try:
            peers[name] = adapter(importlib.import_module(module))
        except ImportError:
            missing.append(name)
    return peers, missing


# -- the table -----------------------------------------------------------------------------------------------------


def measure(scenario: Scenario, peers: dict[str, Parser], *, quick: bool) -> tuple[list[str], bool]:
    """One row of the table, and False if a goal that could be judged was missed."""
    parsers = {"ours": streamkit, **peers}
    texts = {name: [event.data for event in parse(scenario.reads)] for name, parse in parsers.items()}
    for name in peers:
        assert texts[name] == texts["ours"], f"{name} reads other data in {scenario.name!r}"
    cases: dict[str, Callable[[], object]] = {n: partial(parse, scenario.reads) for n, parse in parsers.items()}
    if scenario.split_goal:
        cases[SPLIT] = lambda: [read.split(b"\n\n") for read in scenario.reads]
    seconds = compare(cases, rounds=5 if quick else 15, min_s=0.005 if quick else 0.02)
    ours = seconds["ours"]
    fastest = min((seconds[name] for name in peers), default=None)
    goals = []
    if scenario.goal and fastest:
        goals.append(fastest / ours >= scenario.goal)
    if scenario.split_goal:
        goals.append(ours / seconds[SPLIT] <= scenario.split_goal)
    row = [
        scenario.name,
        show_seconds(ours / len(texts["ours"])),
        *(f"{seconds[name] / ours:.2f}" for name in peers),
        f"{fastest / ours:.2f}" if fastest else "–",
        f"{scenario.goal:g}" if scenario.goal else "–",
        f"{ours / seconds[SPLIT]:.2f} (≤ {scenario.split_goal:g})" if scenario.split_goal else "–",
        "–" if not goals else "yes" if all(goals) else "NO",
    ]
    return row, all(goals)


def main() -> int:
    options = argparse.ArgumentParser(description="The SSE parser beside its peers")
    options.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look")
    quick = options.parse_args().quick
    peers, missing = installed_peers()
    print(f"CPython {sys.version.split()[0]}. A peer's number is its time over ours; `fastest` is the best of them.")
    for name in missing:
        print(f"missing: {name} (pip install {name})")
    rows = [["scenario", "ours per event", *peers, "fastest", "goal", "ours / split", "met"]]
    results = []
    for scenario in scenarios():
        row, met = measure(scenario, peers, quick=quick)
        rows.append(row)
        results.append(met)
    print(table(rows))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
