"""Recorder: takes what the wire brings, read by read, and makes a Recording of it. No sockets: times are handed in.

    recorder = Recorder(url=url)
    recorder.start()
    recorder.head(200, headers)
    recorder.feed(read, at_ns, b"data: ...")      # False: a bound was reached, hang up
    recorder.finish()                             # the Recording; with a Failure where the wire failed

How the outcome is found, first match wins:
 1. no answer (connecting failed, timed out)            `refused(connect)`, `timeout(...)`; the recorder is told
 2. a status other than 2xx                             `refused(status)`
 3. an error event, before any final end marker         `error_event(code)`
 4. a final end marker or terminal event                `complete`, whatever the connection does afterwards
 5. a bound of ours, so that we hung up                 `cancelled(max_events)`, `cancelled(max_bytes)`, ...
 6. the wire failed: cut, or a timer fired              `truncated`, `timeout(...)`
 7. a body ended by nothing but the end of connection   `truncated`: that proves nothing (RFC 9112, section 8)
 8. a provider that marks its end, and no mark came     `truncated`
 9. otherwise, the framing being clean                  `complete`
What would be `complete` although an event could not be read, so that text is missing, is `error_event(code)`.

That is what the client saw. How a relay of ours says that the stream ended for itself (`timeout(idle)` where the client
saw `error_event(timeout_idle)`) is `meta["server_outcome"]`.
"""

from __future__ import annotations

import codecs
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamkit.errors import LimitExceeded, LineTooLong
from streamkit.lab.client.piece_reader import PieceReader
from streamkit.lab.recording import origin
from streamkit.lab.recording.recorded import Events, Reads, Stamps
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import Preset
from streamkit.transport import Timings
from streamkit.transport.http1 import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamkit.lab.recording.calibration import Calibration
    from streamkit.taps.gauges import Gauges

__all__ = ["Failure", "Recorder"]

NDJSON_TYPES: Final = frozenset(
    f"application/{name}"
    for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "stream+json", "json-seq+ndjson")
)
# Cookies and credentials, and addresses that may hold tokens: a recording is made to be shown around.
SECRET_HEADERS: Final = frozenset(
    ("set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info", "location", "refresh", "link")
)
BATCH_READS: Final = 16
MAX_PROBLEM_BYTES: Final = 64 * 1024
_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Failure:
    """How the wire failed: the outcome it gives unless the stream itself says better, and why, in our words."""

    outcome: Outcome
    error: str


class Recorder:
    """Collects one answer. Times passed in and out are nanoseconds of `clock`; stored ones count from `started_ns`.

    `on_piece` is called with each piece of text as it is decoded. `keep_bytes` bounds the body bytes that are kept
    (whole reads only). `max_events` and `max_bytes` bound what is taken at all.

    `in_batches`: bytes are decoded when 16 reads of them wait, or `decode()` is called. It takes half the time, because
    a decoder that runs once for each event finds the caches cold; `handed_ns` is then when the read returned.

    `paced`: events wait, decoded, until `hand_over()` is called for each; what was not handed over at the end has the
    time of the end.
    """

    def __init__(
        self,
        *,
        url: str = "",
        label: str = "",
        method: str = "POST",
        preset: str | Preset | None = None,
        reasoning: bool = False,
        on_piece: Callable[[str], object] | None = None,
        keep_bytes: int = 8 << 20,
        max_events: int = 1_000_000,
        max_bytes: int = 64 << 20,
        calibration: Calibration | None = None,
        in_batches: bool = False,
        paced: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.url = url
        self.label = label
        self.loop_lag_ns: int | None = None
        self.gauges: Gauges | None = None
        self.head_ns: int | None = None
        self.ended_ns: int | None = None
        self.status: int | None = None
        self.final = False  # an end marker or an error event was read: nothing that comes can change the outcome
        self._reader = PieceReader(preset, reasoning)
        self._on_piece = on_piece
        self._keeping = keep_bytes > 0
        self._room_to_keep = keep_bytes
        self._room_for_bytes = max_bytes
        self._room_for_events = max_events
        self._method = method
        self._headers: dict[str, str] = {}
        self._content_type: str | None = None
        self._http: str | None = None
        self._decode: Callable[[bytes], None] = self._ignore
        self._parser: SSEParser | NDJSONParser | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._reads = Reads()
        self._events = Events()
        self._read = -1  # the number that the wire gave to the read in progress
        self._data: list[bytes] = []  # its bytes so far
        self._batch = BATCH_READS if in_batches else 1
        self._undecoded: list[tuple[int, bytes, int]] = []  # index of the read, bytes, when they were handed on
        self._index = 0  # of the read that is decoded
        self._handed_ns: int | None = None
        self._paced = paced
        self._handed = 0  # events, where paced
        self._backlog_events = self._backlog_bytes = 0  # that came since nothing was left to hand over
        self._problem = bytearray()
        self._reached: str | None = None  # the bound that was reached
        self._notes: list[str] = []
        self._meta = origin.describe(method)
        if calibration is not None:
            self._meta["calibration"] = calibration.as_dict()
        self._stamps: Stamps | None = None  # that of the first read
        self._timings = Timings()
        self._clock = clock
        self.started_ns = clock()

    def note(self, name: str, value: str) -> None:
        """Something to stand in the recording's `meta`."""
        self._meta[name] = value

    def start(self) -> None:
        """Now is the moment from which times count."""
        self.started_ns = self._clock()

    @property
    def started(self) -> bool:
        """Body bytes have come."""
        return bool(self._reads)

    @property
    def enough(self) -> bool:
        """A bound of ours was reached."""
        return self._reached is not None

    @property
    def waiting(self) -> bool:
        """Something has come and is not decoded yet."""
        return bool(self._undecoded)

    @property
    def unhanded(self) -> int:
        """Events that wait to be handed over, where it is `paced`."""
        return len(self._events) - self._handed if self._paced else 0

    @property
    def backlog_bytes(self) -> int:
        """Bytes of body that came and were not decoded, or not handed over yet: of a read with several events each has
        its share.
        """
        if not self._paced:
            return sum(len(data) for _, data, _ in self._undecoded)
        return self._backlog_bytes * self.unhanded // self._backlog_events if self._backlog_events else 0

    def hand_over(self) -> None:
        """Hand the next event that waits to whoever listens."""
        self._events.handed_ns[self._handed] = self.now()
        self._handed += 1
        if not self.unhanded:
            self._backlog_events = self._backlog_bytes = 0
        self._tell_now(self._events.text[self._handed - 1])

    def now(self) -> int:
        """Nanoseconds since the start of this recording."""
        return self._clock() - self.started_ns

    def timed(self, timings: Timings) -> None:
        """What is known of the request's way: absolute times of the same clock."""
        self._timings = timings
        if timings.head_ns is not None:  # a client that does not tell leaves what `head` has noted
            self.head_ns = self._relative(timings.head_ns)

    def _relative(self, at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns - self.started_ns

    def head(self, status: int, headers: Mapping[str, str], http_version: str | None = "HTTP/1.1") -> None:
        """The response head. `http_version` None: no HTTP of its own (a test transport); its end is taken as clean."""
        self.status = status
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._http = http_version
        self._content_type = self._headers.get("content-type")
        if self.head_ns is None:
            self.head_ns = self.now()
        self._choose_decoder()

    def feed(
        self, read: int, at_ns: int, data: bytes, kind: Stamps = "socket", error_ns: int = -1, late_ns: int = 0
    ) -> bool:
        """Body bytes that came with the socket read numbered `read`, at `at_ns`. False: enough, hang up.

        `kind` and `error_ns` say what sort of stamp that is and how wrong it can be (-1: unknown), `late_ns` how much
        later the read returned.
        """
        if self._reached is None and data:
            if len(data) > self._room_for_bytes:
                self._reached, data = "max_bytes", data[: self._room_for_bytes]
            self._room_for_bytes -= len(data)
            if read != self._read:
                self._begin_read(read, at_ns - self.started_ns, kind, error_ns, late_ns)
            self._reads.size[-1] += len(data)
            self._data.append(data)
            self._undecoded.append((len(self._reads) - 1, data, at_ns + late_ns - self.started_ns))
            if len(self._undecoded) >= self._batch or self._reached is not None:
                self.decode()
        return not self.enough

    def decode(self) -> None:
        """Decode what has come."""
        reached = self._reached
        for index, data, handed_ns in self._undecoded:
            self._index = index
            self._handed_ns = None if self._batch == 1 else handed_ns
            events = len(self._events)
            self._decode(data)
            if self._paced:
                self._backlog_events += len(self._events) - events
                self._backlog_bytes += len(data)
            if self._reached != reached:
                break
        self._undecoded.clear()

    def finish(self, failure: Failure | None = None) -> Recording:
        """The recording. `failure` says how the wire failed; None: the body ended by the rules of its framing."""
        self.decode()
        interrupted = self.unhanded > 0
        if interrupted:
            self.ended_ns = self.now()
        elif self.final and failure is not None:
            self._notes.append("the connection stayed open, or was cut, behind the end of the stream")
            self.ended_ns = self._reads.at_ns[-1]
        elif self.ended_ns is None:
            self.ended_ns = self.now()
        self._flush()
        self._keep_read()
        while self.unhanded:
            if interrupted:
                self._on_piece = None
            self.hand_over()
        outcome, error = self._outcome(failure)
        if interrupted and failure is not None:  # the stream may be whole, but its reader has not got it
            outcome, error = failure.outcome, failure.error
        if outcome.ok and (code := self._reader.unread_code):
            outcome, error = Outcome("error_event", code), "an event could not be read, so text is missing"
        if self.loop_lag_ns is not None:
            self._meta["loop_lag_ns"] = self.loop_lag_ns
        meta = {**self._meta, "framing": self._framing(), "notes": [*self._notes, *self._reader.notes()]}
        return Recording(
            reads=self._reads,
            events=self._events,
            outcome=outcome,
            error=error,
            status=self.status,
            headers={name: value for name, value in self._headers.items() if name not in SECRET_HEADERS},
            content_type=self._content_type,
            preset=None if self._parser is None else self._reader.name,
            url=self.url,
            label=self.label,
            started_ns=self.started_ns,
            acquired_ns=self._relative(self._timings.acquired_ns),
            connected_ns=self._relative(self._timings.connected_ns),
            tls_ns=self._relative(self._timings.tls_ns),
            sent_ns=self._relative(self._timings.sent_ns),
            head_ns=self.head_ns,
            ended_ns=self.ended_ns,
            stamps=self._stamps or "socket",
            gauges={} if self.gauges is None else self.gauges.since(self.started_ns),
            meta=meta,
        )

    # -- from bytes to events ------------------------------------------------------------------------------------

    def _choose_decoder(self) -> None:
        media_type = (self._content_type or "").partition(";")[0].strip().lower()
        encoding = self._headers.get("content-encoding", "identity").strip().lower()
        if not self._accepted():
            self._decode = self._collect_problem
        elif encoding not in ("", "identity"):
            self._notes.append("the body is compressed although that was not asked for; its bytes are kept undecoded")
        elif media_type == "text/event-stream":
            self._parser, self._decode = SSEParser(), self._parse
        elif media_type in NDJSON_TYPES:
            self._parser, self._decode = NDJSONParser(), self._parse
        else:
            self._decode = self._take_text
            self._notes.append("the body has no event borders: each event here is what one read brought")

    def _begin_read(self, read: int, at_ns: int, kind: Stamps, error_ns: int, late_ns: int) -> None:
        self._keep_read()
        self._read = read
        self._reads.append(at_ns, 0, None, error_ns, late_ns)
        if kind != self._stamps:
            self._note_kind(kind)

    def _note_kind(self, kind: Stamps) -> None:
        """The kernel may have no time for single reads (behind a step of the wall clock): theirs is the read's own."""
        if self._stamps is None:
            self._stamps = kind
        else:
            self._stamps = "socket"
            self._notes.append(f"from read {len(self._reads) - 1} on, the stamps are of another kind: {kind}")

    def _keep_read(self) -> None:
        size = sum(map(len, self._data))
        self._room_to_keep -= size
        if self._keeping and self._room_to_keep < 0:
            self._keeping = False
            self._notes.append(f"the bytes of read {len(self._reads) - 1} and of those after it were not kept")
        if self._keeping and self._data:
            self._reads.data[-1] = b"".join(self._data)
        self._data.clear()

    def _ignore(self, data: bytes) -> None:
        """Encoded bytes, and those before any head: counted, not decoded."""

    def _collect_problem(self, data: bytes) -> None:
        self._problem += data[: MAX_PROBLEM_BYTES - len(self._problem)]

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None  # noqa: S101  set together with this method
        try:
            wire_events = self._parser.feed(data)
        except LimitExceeded as error:
            wire_events = error.events
            self._reached = "max_line_bytes" if isinstance(error, LineTooLong) else "max_event_bytes"
        for wire_event in wire_events:
            self._take_event(wire_event)

    def _take_event(self, wire_event: ServerSentEvent) -> None:
        if self._room_for_events <= 0:
            self._reached = "max_events"
            return
        self._room_for_events -= 1
        pieces = self._reader.read(wire_event)
        text, reasoning = pieces.pop()
        first = len(self._events) - len(pieces)
        for index, (late_text, late_reasoning) in enumerate(pieces, start=first):
            self._events.text[index], self._events.reasoning[index] = late_text, late_reasoning
            if not self._paced or index < self._handed:
                self._tell_now(late_text)
        self._append(wire_event, text, reasoning, len(wire_event.data.encode("utf-8", "replace")))
        self.final = self._reader.final
        self._tell(text)

    def _take_text(self, data: bytes) -> None:
        text = self._utf8.decode(data)
        if self._events and self._events.read[-1] == self._index:
            self._events.text[-1] += text
            self._events.size[-1] += len(data)
        elif self._room_for_events <= 0:
            self._reached = "max_events"
            return
        else:
            self._room_for_events -= 1
            self._append(_NO_EVENT, text, "", len(data))
        self._tell(text)

    def _append(self, wire_event: ServerSentEvent, text: str, reasoning: str, size: int) -> None:
        self._events.append(
            wire_event,
            at_ns=self._reads.at_ns[self._index],
            handed_ns=self.now() if self._handed_ns is None else self._handed_ns,
            read=self._index,
            text=text,
            reasoning=reasoning,
            size=size,
        )

    def _tell(self, text: str) -> None:
        if not self._paced:
            self._tell_now(text)

    def _tell_now(self, text: str) -> None:
        if text and self._on_piece is not None:
            self._on_piece(text)

    def _flush(self) -> None:
        """The body is over: what still waits in the decoders."""
        if self._parser is not None:
            for wire_event in self._parser.close() if self._reads and self._reached is None else []:
                self._take_event(wire_event)
            if self._parser.unfinished is not None:
                self._notes.append("the stream ended inside an event; that event was dropped")
        if (rest := self._utf8.decode(b"", final=True)) and self._events:
            self._events.text[-1] += rest
            self._notes.append("the text ended inside a character")
            self._tell(rest)

    # -- how it ended --------------------------------------------------------------------------------------------

    def _accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def _framing(self) -> str:
        """What ends the body, if there is one."""
        if self.status is None:
            return "none"
        if self.status in (204, 304) or self._method.upper() == "HEAD":
            return "no body"
        return framing(self._headers, self._http)

    def _outcome(self, failure: Failure | None) -> tuple[Outcome, str | None]:
        reader = self._reader
        if self.status is not None and not self._accepted():
            code = self._problem_code()
            self._note_server_outcome(self._problem)
            said = f": {code}" if code else ""
            return Outcome("refused", self.status), f"the server answered with status {self.status}{said}"
        if reader.error is not None:
            self._note_server_outcome(reader.error_data)
            return Outcome("error_event", reader.error), "the stream reported an error"
        if reader.final:
            return Outcome("complete"), None
        if self._reached is not None:
            return Outcome("cancelled", self._reached), f"the recorder hung up: its bound {self._reached} was reached"
        if failure is not None:
            return failure.outcome, failure.error
        if self._framing() == "close":
            return Outcome("truncated"), "the body ended with the connection, which does not prove that it was whole"
        if self._parser is not None and reader.lacks_end:
            return Outcome("truncated"), f"the end marker of preset {reader.name!r} did not come"
        return Outcome("complete"), None

    def _note_server_outcome(self, said: str | bytearray) -> None:
        """How the stream ended for a relay of ours, in its own words, if they are such."""
        try:
            told = json.loads(said)
            outcome = Outcome.parse(told.get("error", told)["outcome"])
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
            return
        if _CODE.fullmatch(str(outcome.detail or "")) or outcome.detail is None:
            self._meta["server_outcome"] = str(outcome)

    def _problem_code(self) -> str | None:
        """The stable `code` of a problem+json body (RFC 9457), if it is one and the code is harmless to show."""
        try:
            code = json.loads(self._problem).get("code")
        except (ValueError, RecursionError, AttributeError):
            return None
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            return None
        self._meta["problem_code"] = code
        return code


_NO_EVENT: Final = ServerSentEvent(event="", data="", id="")
