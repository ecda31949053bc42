"""All targets, with the seeds from which an engine starts and the tokens that it puts in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from campaigns.fuzz import extract, form, parsers, responses, stream
from campaigns.fuzz.source import KNOBS
from streamkit.presets import PRESETS, writer

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """`check` raises on a finding. `seeds` are wires, to be put behind the knobs; a target without any takes every
    decision from its bytes."""

    name: str
    about: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...] = ()
    tokens: tuple[bytes, ...] = ()

    @property
    def corpus(self) -> list[bytes]:
        """The seeds as whole inputs, with the simplest knobs."""
        return [bytes(KNOBS) + seed for seed in self.seeds]


def transcript(name: str, *, error: bool = False) -> bytes:
    """A short answer as the provider writes it."""
    form_of = writer(name)
    pieces = [form_of.piece(text, number) for number, text in enumerate(("Hi", " 你好\n", '"'))]
    return b"".join([*form_of.open(), *pieces, *([form_of.error("overloaded")] if error else form_of.close(3))])


TRANSCRIPTS = tuple(transcript(name, error=error) for name in PRESETS for error in (False, True))

SSE_TOKENS = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"data", b": ", b":", b"data: ", b"event: ", b"id: ", b"id", b"retry: 5"),
    *(b"retry: " + b"9" * 25, b"retry:", b"\xef\xbb\xbf", b"\0", b" ", b"x", b"x" * 30, "你".encode(), b"\xe4\xbd"),
    *(
        b"\xff",
        "\u2028".encode(),
        b"\x0b",
        b"data: a\n\n",
        b"event: e\ndata: a\n\n",
        b"data: b\n\n",
        b"id: 1\n\n",
        b"data\n\n",
    ),
)
NDJSON_TOKENS = (
    *(b"\n", b"\r\n", b"\r", b"{}", b'{"a": 1}', b"12", b"null", b"tru", b'"', b"[", b"]", b" ", b"\t"),
    *(b"\xef\xbb\xbf", b"\xff", "你".encode(), b"x" * 30, b"NaN", b'"\\ud800"', b"1e999", b"\x0b"),
    *("\u0663".encode(),),
)

TARGETS = {
    target.name: target
    for target in (
        Target("sse", "streamkit.parser.SSEParser", parsers.check_sse, TRANSCRIPTS, SSE_TOKENS),
        Target("ndjson", "streamkit.parser.NDJSONParser", parsers.check_ndjson, TRANSCRIPTS, NDJSON_TOKENS),
        Target("extract", "paths, and presets reading hostile events", extract.check_extract),
        Target(
            "http",
            "streamkit.transport.http1.ResponseParser behind exchange.Inbox, beside h11 and httptools",
            responses.check_http,
            responses.SEEDS,
            responses.TOKENS,
        ),
        Target("form", "streamkit.relay.request.body.read_fields", form.check_form, form.SEEDS, form.TOKENS),
        Target("stream", "the reading of a whole answer: never complete without proof", stream.check_stream),
    )
}
