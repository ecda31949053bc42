"""Playback: an answer that was recorded, as a script plays it: the same bytes in the same writes, at the same times,
with the same end.

    Recording ── playback_of(recording, speed) ──▶ Playback ── steps() ──▶ as those of every script

What a recording says of its answer is taken as it is, and nothing is guessed:

    recorded                            played
    ─────────────────────────────────   ──────────────────────────────────────────────────────────────────────────────
    a read, its bytes, its time         one write of these bytes (one HTTP chunk, where the body had chunks), due as
                                        long after the request, divided by `speed`. All count from the request: a write
                                        that is late makes none of the others late
    the head, its time                  the same status and fields; those of the connection and the framing are written
                                        anew, those that a recording leaves out (cookies, credentials) are missing. With
                                        the first read in one write, if that brought both. Date, and what names a
                                        single answer (X-Stream-Id, X-Request-Id, …), are new in each (`renewed`): two
                                        answers with one name would look like copies out of a cache
    `meta["wire_end"]`  clean           the final chunk, or the last byte of Content-Length
                        fin, reset      the connection is closed, or reset, when it was then
                        open            silence, until whoever asks leaves, as the recording's client did

A recording tells when bytes had come, not when they were sent: the network's way is in the times. Trailers, interim
heads, and how a provider had cut its chunks are in none, and so they are not played. An answer that came beside its
request's body is played behind it, as a scripted upstream answers what it has read.
"""

from __future__ import annotations

import itertools
import os
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from streamkit.lab.arguments import check_number
from streamkit.lab.upstream.steps import BODILESS, Kind, Step, raw
from streamkit.taps import STREAM_ID_HEADER
from streamkit.transport.framing import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Read, Recorded, WireEnd

__all__ = ["Playback", "PlayedRead", "playback_of", "renewed"]

OF_THE_CONNECTION: Final = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "alt-svc")
)
"""Fields of one connection (RFC 9110 section 7.6.1), of its framing, and what would lead a client elsewhere."""
OF_ONE_ANSWER: Final = re.compile(
    r"(?:.*-)?(?:request|correlation|trace|log)-?id|traceresponse|x-cloud-trace-context"
    r"|cf-ray|x-amz-cf-id|x-azure-ref|x-vercel-id|x-varnish"
)
"""Fields by which servers and proxies name one answer."""
_NAMING: Final = re.compile(r"[0-9A-Za-z]{6,}")  # not the words around it: `req_`, `-FRA`
_KINDS: Final = (string.digits, string.digits + "abcdef", string.digits + "ABCDEF")
END_KINDS: Final[Mapping[WireEnd, Kind]] = {"clean": "end", "fin": "fin", "reset": "rst", "open": "silence"}


class PlayedRead(NamedTuple):
    """The bytes of one read: when they are due (ns after the complete request), and the pieces that they complete."""

    due_ns: int
    data: bytes
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Playback:
    """A recorded answer: its head (b"" where none came), its writes, and its end; two with equal fields do the same.

    `chunked`: the body has chunks; `proved`: the answer was complete; `method` of the request that it answered.
    """

    head: bytes = b""
    head_ns: int = 0
    joined: bool = False
    chunked: bool = True
    writes: tuple[PlayedRead, ...] = ()
    end: WireEnd = "clean"
    end_ns: int = 0
    proved: bool = True
    method: str = "POST"

    @property
    def pieces(self) -> tuple[str, ...]:
        """All of its text, piece by piece."""
        return tuple(itertools.chain.from_iterable(write.pieces for write in self.writes))

    def due_ns(self) -> list[int]:
        """When each piece is due."""
        return [write.due_ns for write in self.writes for _ in write.pieces]

    def steps(self) -> list[Step]:
        """All that is written, from the head to the end of the framing, or of the connection."""
        head = [replace(raw(self.head_ns, "head", self.head, at=0), joined=self.joined)] if self.head else []
        numbers = itertools.count(1)
        body = [step for write in self.writes for step in self._of(write, numbers)]
        steps = [*head, *body]
        if steps and self.proved:
            steps[-1] = replace(steps[-1], proof="proof")
        return [*steps, self._end(next(numbers))]

    def _of(self, write: PlayedRead, numbers: Iterator[int]) -> Iterator[Step]:
        """One write: a step for each piece, the last with all of the bytes, so that taps count pieces as relays do."""
        frame = chunk if self.chunked else bytes
        *before, last = write.pieces or ("",)
        for text in before:
            yield replace(_piece(write.due_ns, b"", text, next(numbers)), joined=True)
        step = _piece(write.due_ns, write.data, last, next(numbers) if last else -1)
        yield replace(step, frame=frame)

    def _end(self, at: int) -> Step:
        kind = END_KINDS[self.end]
        data = LAST_CHUNK if kind == "end" and self.chunked else b""
        # What was not proved then proves nothing now, whatever a preset would make of a clean end.
        return replace(raw(self.end_ns, kind, data, at=at), breaks="" if self.proved else "before")

    def __repr__(self) -> str:
        size = sum(len(write.data) for write in self.writes)
        return f"<Playback: {len(self.writes)} writes, {size:,} bytes, {self.end} end>"


def _piece(due_ns: int, data: bytes, text: str, at: int) -> Step:
    size = len(text.encode("utf-8", "replace"))
    kind: Kind = "piece" if text else "noise"
    return Step(due_ns, kind, partial(bytes, data), size, at, partial(str, text), bytes)


def playback_of(recording: Recorded, speed: float = 1.0) -> Playback:
    """The playback of a recording, `speed` times as fast; see `Script.from_recording`, which says what it raises."""
    check_number("speed", speed, zero=False)
    _check(recording)
    zero_ns = recording.origin_ns

    def due_ns(at_ns: int | None) -> int:
        return max(0, int(((zero_ns if at_ns is None else at_ns) - zero_ns) / speed))

    writes = [PlayedRead(due_ns(read.at_ns), read.data or b"", pieces) for read, pieces in _pieces_of_reads(recording)]
    ended_ns = (recording.ended_ns or 0) - recording.end_late_ns
    last_ns = writes[-1].due_ns if writes else due_ns(recording.head_ns)
    reads = recording.reads
    chunked = _chunked(recording)
    return Playback(
        head=b"" if recording.status is None else _head(recording, chunked=chunked),
        head_ns=min([due_ns(recording.head_ns), *(write.due_ns for write in writes[:1])]),
        joined=bool(reads) and recording.head_ns is not None and recording.head_ns >= reads.at_ns[0],
        chunked=chunked,
        writes=tuple(writes),
        end=_end(recording),
        end_ns=max(last_ns, due_ns(ended_ns)),
        proved=recording.outcome.ok,
        method=str(recording.meta.get("method", "POST")).upper(),
    )


def _check(recording: Recorded) -> None:
    """Raise ValueError unless the recording tells of all that was sent."""
    instead = "expected a recording that can be played, got one"
    outcome = recording.outcome
    if outcome == "refused(connect)" or (recording.status is None and outcome.detail in ("connect", "write", "pool")):
        raise ValueError(f"{instead} that ended as {outcome}: no server got its request, so there is nothing to send")
    if recording.cuts:
        raise ValueError(
            f"{instead} of several connections (its cuts: {len(recording.cuts)}): record it without resume=, and play "
            "each of them by itself"
        )
    if recording.damage:
        raise ValueError(f"{instead} from a damaged file, of which bytes may be missing: {recording.damage[0]}")
    if not recording.events.kept:
        raise ValueError(f"{instead} without its texts: record it with keep_text=True")
    if recording.body is None:
        raise ValueError(
            f"{instead} of which bytes were not kept: record it with keep_bytes=True, or, for a body of more than "
            "8 MiB, with keep_bytes= as the number of bytes to keep"
        )


def _pieces_of_reads(recording: Recorded) -> Iterator[tuple[Read, tuple[str, ...]]]:
    """Each read, and the pieces of text that it completed."""
    events = recording.events
    rows = itertools.groupby(zip(events.read, events.text, strict=True), key=lambda row: row[0])
    of_read = {read: tuple(text for _, text in row if text) for read, row in rows}
    for read in recording.reads:
        yield read, of_read.get(read.index, ())


def _end(recording: Recorded) -> WireEnd:
    """As it was told; recordings of earlier versions do not tell it: there a cut stream counts as closed."""
    told: WireEnd | None = recording.meta.get("wire_end")
    if told is not None and told in END_KINDS:
        return told
    if recording.outcome.name in ("timeout", "cancelled"):
        return "open"
    closed = recording.outcome.name == "truncated" or recording.meta.get("framing") == "close"
    return "fin" if closed else "clean"


def _chunked(recording: Recorded) -> bool:
    """Whether the body is to have chunks: one had, or it came by a protocol that frames otherwise."""
    told = recording.meta.get("framing", "chunked")
    bodiless = told == "no body" or recording.status in BODILESS
    return not bodiless and told not in ("close", "length")


def _head(recording: Recorded, *, chunked: bool) -> bytes:
    fields = {name: value for name, value in recording.headers.items() if name.lower() not in OF_THE_CONNECTION}
    if recording.content_type is not None:
        fields.setdefault("content-type", recording.content_type)
    if chunked:
        fields = {name: value for name, value in fields.items() if name.lower() != "content-length"}
        fields["transfer-encoding"] = "chunked"
    elif recording.meta.get("framing") == "no body" and recording.status not in BODILESS:
        fields["content-length"] = "0"  # to whichever method: none has a body
    fields["connection"] = "close"
    lines = [f"HTTP/1.1 {recording.status} {_reason(recording.status)}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if _may_stand(name, value)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def renewed(head: bytes, stream_id: str) -> bytes:
    """The head of a playback for one more answer: with the time as its Date, if it has one, with `stream_id` in the
    place of the recorded X-Stream-Id, also where other fields repeat that (Location), and with new values of the same
    look in the other fields that name one answer.

    >>> from streamkit.lab.upstream.playback import renewed
    >>> renewed(b"HTTP/1.1 200 OK\\r\\nx-stream-id: old\\r\\nlocation: /streams/old\\r\\n\\r\\n", "new")
    b'HTTP/1.1 200 OK\\r\\nx-stream-id: new\\r\\nlocation: /streams/new\\r\\n\\r\\n'
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(": ") for line in lines]
    named = next((value for name, _, value in fields if name.lower() == STREAM_ID_HEADER), "")
    fresh = [(name, sep, _renewed(name.lower(), value, named, stream_id)) for name, sep, value in fields]
    return "\r\n".join([first, *map("".join, fresh)]).encode("latin-1")


def _renewed(name: str, value: str, named: str, stream_id: str) -> str:
    if name == "date":
        return formatdate(usegmt=True)
    if named and named in value:
        return value.replace(named, stream_id)
    return _NAMING.sub(_alike, value) if OF_ONE_ANSWER.fullmatch(name) else value


def _alike(found: re.Match[str]) -> str:
    """As many characters of the same kind, by chance."""
    text = found[0]
    signs = next((signs for signs in _KINDS if {*text} <= {*signs}), string.ascii_letters + string.digits)
    return "".join(signs[byte % len(signs)] for byte in os.urandom(len(text)))


def _reason(status: int | None) -> str:
    try:
        return HTTPStatus(status or 0).phrase
    except ValueError:
        return "Recorded"


def _may_stand(name: str, value: str) -> bool:
    """Names that are tokens, values without control characters: what is played may come from anybody's file."""
    token = bool(name) and name.isascii() and not any(sign <= " " or sign in '():<>@,;"/[]?={}\\\x7f' for sign in name)
    return token and value.replace("\t", " ").isprintable()
