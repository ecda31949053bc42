"""The steps of a scripted answer: what is sent, when, in which HTTP framing; and what a reader can know from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from streamkit.extractor.pieces import End, Piece, ProviderError
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import Preset, Writer, writer
from streamkit.transport.framing import LAST_CHUNK, chunk

__all__ = [
    "BODILESS",
    "INTERIM",
    "Kind",
    "Proof",
    "ScriptedAnswer",
    "Step",
    "Truth",
    "answer_head",
    "filled",
    "meaning",
    "noise",
    "proof_of",
    "raw",
    "truth_of",
    "whole_answer",
]

Kind: TypeAlias = Literal["head", "open", "piece", "part", "close", "noise", "error", "end", "fin", "rst", "silence"]
"""What a step is: the head of the answer; an event before the first piece, with a piece, or behind the last; a part of
an event that is not its last; what carries no text; an error; the end of the framing. Then what ends the connection:
`fin` and `rst`, and `silence`, which ends when the asker leaves."""

Proof: TypeAlias = Literal["", "sign", "proof"]
INTERIM: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n"
BODILESS: Final = (204, 304)
BLOCK: Final = b"x" * 65_536


@dataclass(frozen=True, slots=True)
class Step:
    """One event to send: when it is due (ns after the complete request), what it is, how many bytes of text it has.

    Its bytes are made when they are asked for: a stream of 200 MB is never in memory as a whole. The rest is there for
    faults:

    at        the number by which they address it: 0 the head (and what is sent before the first piece), 1 … n the
              pieces, n + 1 the events of the end, n + 2 the end of the framing; -1 what a fault has put in
    text      makes the text that a reader has from it
    frame     makes of its data what is written: an HTTP chunk
    joined    it goes out in one write with the next step
    proof     it proves the end ("proof"), or does so together with clean framing ("sign")
    breaks    where no reader can go on: "before" this step, or "behind" it
    """

    due_ns: int
    kind: Kind
    encode: Callable[[], bytes]
    text_bytes: int = 0
    at: int = -1
    text: Callable[[], str] = str
    frame: Callable[[bytes], bytes] = chunk
    joined: bool = False
    proof: Proof = ""
    breaks: Literal["", "before", "behind"] = ""

    @property
    def data(self) -> bytes:
        """All that is sent for it."""
        return self.encode()

    @property
    def framed(self) -> bytes:
        """The same in its HTTP framing."""
        return self.frame(self.encode())


class ScriptedAnswer(NamedTuple):
    """The steps of a whole answer, from its head to the end of its framing; its provider, and its script's seed."""

    steps: list[Step]
    preset: Preset
    seed: int

    @property
    def form(self) -> Writer:
        """How its events are written."""
        return writer(self.preset)

    def find(self, at: int) -> int | None:
        """The index of the first step of event number `at`, or of one behind it."""
        return next((index for index, step in enumerate(self.steps) if step.at >= at), None)

    def inserted(self, index: int, *steps: Step) -> list[Step]:
        """With these steps before the one at `index`."""
        return [*self.steps[:index], *steps, *self.steps[index:]]

    def later(self, index: int, ms: float) -> list[Step]:
        """With everything from `index` on due `ms` later."""
        delay_ns = int(ms * 1e6)
        delayed = (replace(step, due_ns=step.due_ns + delay_ns) for step in self.steps[index:])
        return [*self.steps[:index], *delayed]


# --- How steps are made ---------------------------------------------------------------------------------------------


def whole_answer(events: Sequence[Step], preset: Preset, seed: int, end_at: int) -> ScriptedAnswer:
    """These events between a head and a last chunk; faults address the latter as `end_at`."""
    head = answer_head(200, writer(preset).content_type, transfer_encoding="chunked")
    end = Step(events[-1].due_ns if events else 0, "end", bytes, at=end_at, frame=_last_chunk)
    return ScriptedAnswer([raw(0, "head", head, at=0), *events, end], preset, seed)


def _last_chunk(_: bytes) -> bytes:
    return LAST_CHUNK


def answer_head(status: int, content_type: str, **fields: str) -> bytes:
    """The head of an answer; `content_length` among the fields is Content-Length."""
    given = {"content_type": content_type, **fields, "connection": "close"}
    lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in given.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status} Scripted", *lines, "", ""]).encode()


def raw(due_ns: int, kind: Kind, data: bytes, at: int = -1) -> Step:
    """A step that is written as it is."""
    return Step(due_ns, kind, partial(bytes, data), at=at, frame=bytes)


def noise(due_ns: int, preset: Preset, data: bytes) -> Step:
    """A step for an event that carries no text: an error, or text after all, if its preset takes it for such."""
    meant = meaning(preset, data)
    kind: Kind = "error" if isinstance(meant, ProviderError) else "noise"
    return Step(due_ns, kind, partial(bytes, data), text=partial(str, meant.text if isinstance(meant, Piece) else ""))


def filled(due_ns: int, before: bytes, size_bytes: int) -> Iterator[Step]:
    """The parts of an event that begins with `before` and so many bytes of text, in blocks."""
    yield Step(due_ns, "part", partial(bytes, before))
    blocks, rest = divmod(size_bytes, len(BLOCK))
    for _ in range(blocks):
        yield Step(due_ns, "part", partial(bytes, BLOCK))
    if rest:
        yield Step(due_ns, "part", partial(bytes, BLOCK[:rest]))


def proof_of(preset: Preset, data: bytes) -> Proof:
    """What an event proves about the end of the stream, by the rules of the preset that reads it."""
    meant = meaning(preset, data)
    if not isinstance(meant, End):
        return ""
    return "proof" if meant.conclusive else "sign"


def meaning(preset: Preset, data: bytes) -> Piece | End | ProviderError | None:
    """What an event means to the preset that reads it."""
    parser = NDJSONParser() if preset.grammar == "ndjson" else SSEParser()
    found = parser.feed(data)
    return preset.read(found[0]) if found else None


# --- What a reader can know -----------------------------------------------------------------------------------------


class Truth(NamedTuple):
    """What an answer is, whoever reads it: `whole` if it proves its completion; a reader gets `text` of it at most."""

    whole: bool
    text: str


def truth_of(
    steps: Sequence[Step], *, marked: bool, max_event_bytes: float, max_head_bytes: float, max_interim: float
) -> Truth:
    """The truth about an answer in a format with (`marked`) or without an end marker, for a reader with these bounds.

    It follows from the steps alone: what breaks the answer was noted there by the fault that did it. Behind a sign of
    the end, silence is as good as clean framing; without an end marker, an answer without a piece is none.
    """
    texts: list[str] = []
    head_bytes = interim = event_bytes = 0
    signed = spoke = False
    for step in steps:
        if step.kind == "silence" and signed:
            return Truth(True, "".join(texts))
        if step.kind in ("fin", "rst", "silence") or step.breaks == "before":
            break
        data = step.data
        if step.kind == "end":
            proved = not step.breaks and (signed or (not marked and spoke and not event_bytes))
            return Truth(proved, "".join(texts))
        if step.kind == "head":
            head_bytes, interim = head_bytes + len(data), interim + data.count(INTERIM)
        else:
            event_bytes += len(data)
        beyond = head_bytes > max_head_bytes or interim > max_interim or event_bytes > max_event_bytes
        if beyond or step.kind == "error":
            break
        if step.kind != "part":
            event_bytes = 0
            texts.append(step.text())
        spoke = spoke or step.kind == "piece" or (step.kind == "noise" and bool(texts[-1]))
        if step.proof == "proof":
            return Truth(marked or spoke, "".join(texts))
        signed = signed or step.proof == "sign"
        if step.breaks:
            break
    return Truth(False, "".join(texts))
