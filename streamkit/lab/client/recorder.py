"""Recorder: takes what the wire brings, read by read, and makes a Recording of it. No sockets: times are handed in.

    recorder = Recorder(url=url)
    recorder.start()
    recorder.head(200, headers)
    recorder.feed(read, at_ns, b"data: ...")      # False: a bound was reached, hang up
    recorder.finish()                             # the Recording; with a WireFailure where the wire failed

Theory of operation
-------------------
    record() ──feed()──▶ Recorder ──bytes──▶ Decoder ──each text, as it is found──▶ Handover ──▶ on_piece
                            │                   │                                      ▲
                          reads              events ◀──────── handed_ns ───────────────┤
                                                                       read_at_pace ───┘ (`next()`, where paced)

The recorder itself knows of reads: their columns and bytes, the bound on bytes, and what the request's way took. What
the bytes say is the decoder's, when an event is handed on the handover's, which head counts that of `Answers`, how it
ended that of `ending.outcome_of`, of which each argument is one thing seen here. `finish()` closes the decoder first
(its last events came with the last read), then hands over what waits, then asks for the outcome.

A stream that is resumed has several answers: `cut()`, `asked()`, and then `back()`, `anew()` or `refused()` take the
place of `head()`. Columns, judge and clock are one for all of them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from streamkit.lab.client.answers import AnswerHead, Answers
from streamkit.lab.client.coded import coding_notes
from streamkit.lab.client.decoder import MAX_EVENT_BYTES, Decoder
from streamkit.lab.client.ending import outcome_of
from streamkit.lab.client.handover import Handover
from streamkit.lab.client.tcplooks import TcpLooks
from streamkit.lab.client.told import told_by
from streamkit.lab.client.wire_failure import BY_US
from streamkit.lab.recording import origin
from streamkit.lab.recording.join import UNDER_WAY
from streamkit.lab.recording.recorded import Stamps, WireEnd
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.rows import Events, Reads, SlimEvents, SlimReads
from streamkit.lab.recording.sends import Sends
from streamkit.outcome import Outcome
from streamkit.transport import Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streamkit.lab.client.looplag import LoopLag
    from streamkit.lab.client.resume import Place
    from streamkit.lab.client.wire_failure import WireFailure
    from streamkit.lab.recording.calibration import Calibration
    from streamkit.lab.recording.recorded import Label
    from streamkit.presets import PresetLike
    from streamkit.taps.gauges import Gauges
    from streamkit.transport import ReadPart

__all__ = ["Recorder"]


class Recorder:
    """Collects one answer. Times passed in and out are nanoseconds of `clock`; stored ones count from `started_ns`.

    `on_piece` is called with each piece of text as it is decoded. `keep_bytes` bounds the body bytes that are kept
    (whole reads only), `keep_text` False keeps of texts the lengths alone. `max_events` and `max_bytes` bound what is
    taken at all.

    `secrets` are what was sent and must not be shown, should the server repeat it in a message.

    `paced`: events wait, decoded, until `handover.next()` is called for each; what was not handed over at the end has
    the time of the end.
    """

    def __init__(
        self,
        *,
        url: str = "",
        label: str = "",
        labels: Mapping[str, Label] | None = None,
        due_ns: int | None = None,
        method: str = "POST",
        preset: PresetLike | None = None,
        reasoning: bool = False,
        on_piece: Callable[[str], object] | None = None,
        keep_bytes: int = 8 << 20,
        keep_text: bool = True,
        max_events: int = 1_000_000,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_bytes: int = 64 << 20,
        calibration: Calibration | None = None,
        paced: bool = False,
        secrets: Sequence[str] = (),
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.url = url
        self.label = label
        self._labels = labels or {}
        self._due_ns = due_ns
        self.loop: tuple[LoopLag, int] | None = None
        """How late the loop was that read, and what its clock has to be given to be that of the recorder."""
        self.gauges: Gauges | None = None
        self.tcp = TcpLooks(self.now)
        self.head_ns: int | None = None
        self.ended_ns: int | None = None
        self.heard = paced or on_piece is not None  # somebody waits for the text
        events = Events() if keep_text else SlimEvents(handed_apart=self.heard)
        self._decoder = Decoder(preset, reasoning, max_events, max_event_bytes, max_bytes, events)
        self.handover = Handover(self._decoder.events, on_piece, self.now, paced=paced)
        self._keeping = keep_bytes > 0
        self._room_to_keep = keep_bytes
        self._room_for_bytes = max_bytes
        self._cut = False  # at `max_bytes`
        self._secrets = secrets
        self._answers = Answers(method)
        self._void_bytes = 0  # of answers that were cut before anything of them had come
        self._reads = Reads() if keep_text else SlimReads(keeping=keep_bytes > 0)
        self._sends = Sends()
        self._read = -1  # the number that the wire gave to the read in progress
        self._data: list[bytes] = []  # its bytes so far
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

    @property
    def event_count(self) -> int:
        """How many events have come."""
        return len(self._decoder.events)

    @property
    def decoded_bytes(self) -> int:
        """To how many bytes the body has grown under its content coding; 0 without one."""
        return self._decoder.decoded_bytes

    def start(self) -> None:
        """Now is the moment from which times count."""
        self.started_ns = self._clock()

    @property
    def status(self) -> int | None:
        """That of the answer; None before it."""
        return self._answers.shown.status

    @property
    def started(self) -> bool:
        """Body bytes have come."""
        return bool(self._reads)

    @property
    def final(self) -> bool:
        """An end marker or an error event was read: nothing that comes can change the outcome."""
        return self._decoder.final

    @property
    def bound(self) -> str | None:
        """The bound of ours that was reached."""
        return "max_bytes" if self._cut else self._decoder.bound

    def now(self) -> int:
        """Nanoseconds since the start of this recording."""
        return self._clock() - self.started_ns

    def sent(self, at_ns: int, size: int, held_ns: int) -> None:
        """By `at_ns` the kernel had taken `size` bytes more of the request's body; for `held_ns` it had no room."""
        self._sends.append(at_ns - self.started_ns, size, held_ns)

    def timed(self, timings: Timings) -> None:
        """What is known of the request's way: absolute times of the same clock."""
        self._timings = timings
        if timings.head_ns is not None:  # a client that does not tell leaves what `head` has noted
            self.head_ns = self._relative(timings.head_ns)

    def head(self, status: int, headers: Mapping[str, str], http_version: str | None = "HTTP/1.1") -> None:
        """The response head. `http_version` None: no HTTP of its own (a test transport); its end is taken as clean."""
        headers = {name.lower(): value for name, value in headers.items()}
        self._answers.head(AnswerHead(status, headers, http_version))
        if self.head_ns is None:
            self.head_ns = self.now()
        self._decoder.head(status, headers)

    @property
    def over(self) -> bool:
        """Nothing that could still come is part of this stream."""
        return self.final or self.bound is not None or self._decoder.astray

    def ending(self, failure: WireFailure | None) -> tuple[Outcome, str | None]:
        """The connection is over: how the stream would end by that, and why; what was whole of it is taken."""
        if self._reads:
            self._hand_on(self._decoder.cut(len(self._reads) - 1, self._reads.at_ns[-1]))
        return self._ending(failure, unhanded=False, last=False)

    def place(self) -> Place:
        """How far the stream had come, when its connection was over."""
        return self._decoder.place(sum(self._reads.size) - self._void_bytes)

    def cut(self, outcome: Outcome) -> None:
        """The stream is to be asked for again. One cut it is until events come again."""
        self._keep_read()
        self._read = -1
        self._answers.count_replayed(self._decoder.events, self._decoder.splice)
        self._answers.cut(self.now(), outcome, event=len(self._decoder.events), read=len(self._reads))

    def asked(self) -> None:
        """It is asked for again, now."""
        self._answers.asked(self.now())
        self.ended_ns = None
        self._decoder.problem.clear()
        self._meta.pop("problem_code", None)

    def back(
        self, status: int, headers: Mapping[str, str], http_version: str | None, timings: Timings | None = None
    ) -> None:
        """The head of an answer with which the stream goes on."""
        self._answers.back(AnswerHead(status, headers, http_version), self._back_ns(timings))
        self._decoder.back(headers)

    def anew(
        self, status: int, headers: Mapping[str, str], http_version: str | None, timings: Timings | None = None
    ) -> None:
        """The head of an answer to the same request, of which nothing had come before: this one counts."""
        self.head_ns, self._timings.head_ns = self._back_ns(timings), None
        self._notes.append(
            "a connection was cut before anything had come: this answers the same request, sent again (where the "
            "server does not know Idempotency-Key, with another answer)"
        )
        self._answers.anew(AnswerHead(status, headers, http_version), self.head_ns)
        self._void_bytes = sum(self._reads.size)
        self._decoder.anew(status, headers)

    def refused(self, status: int, headers: Mapping[str, str], http_version: str | None = "HTTP/1.1") -> None:
        """The head of an answer by which the stream does not go on; its body goes to `told_why`."""
        self._answers.refused(AnswerHead(status, headers, http_version))

    def not_joined(self, status: int) -> None:
        """An answer came that is not of this stream."""
        self._answers.not_joined(status)

    def told_why(self, data: bytes) -> None:
        """More of that body."""
        self._decoder.refused(data)

    def not_resumed(self, why: str) -> None:
        """Why the stream ends with its last cut."""
        if why:
            self._notes.append(why)

    def _back_ns(self, timings: Timings | None) -> int:
        """When the head of a further answer had come."""
        return self.now() if timings is None or timings.head_ns is None else timings.head_ns - self.started_ns

    def feed(
        self, read: int, at_ns: int, data: bytes, kind: Stamps = "socket", error_ns: int = -1, late_ns: int = 0
    ) -> bool:
        """Body bytes that came with the socket read numbered `read`, at `at_ns`. False: enough, hang up.

        `kind` and `error_ns` say what sort of stamp that is and how wrong it can be (-1: unknown), `late_ns` how much
        later the read returned.
        """
        if data and self.bound is None:
            if len(data) > self._room_for_bytes:
                self._cut, data = True, data[: self._room_for_bytes]
            self._room_for_bytes -= len(data)
            self._decoder.returned_ns = at_ns + late_ns - self.started_ns
            if read != self._read:
                self._begin_read(read, at_ns - self.started_ns, kind, error_ns, late_ns)
            self._reads.size[-1] += len(data)
            self._data.append(data)
            self._decode(data)
        return self.bound is None and not self._decoder.astray

    def take(self, parts: Sequence[ReadPart]) -> bool:
        """`feed` for several reads, each of a number of its own, where nobody waits for their text."""
        size = sum([len(data) for data, *_ in parts])
        if not self._takes_whole(parts, size):
            return all(map(self._fed, parts))
        self._keep_read()
        start_ns, before = self.started_ns, len(self._reads)
        at_ns = [stamp[0] - start_ns for _, _, stamp in parts]
        returned_ns = [stamp[3] - start_ns for _, _, stamp in parts]
        taken = self._decoder.take([data for data, *_ in parts], before, at_ns, returned_ns)
        parts = parts[:taken]
        self._reads.extend(
            at_ns[:taken],
            [len(data) for data, *_ in parts],
            [data if self._keeping else None for data, *_ in parts],
            [stamp[2] for *_, stamp in parts],
            [stamp[3] - stamp[0] for *_, stamp in parts],
        )
        taken_bytes = sum([len(data) for data, *_ in parts])
        self._room_for_bytes -= taken_bytes
        self._room_to_keep -= taken_bytes
        self._decoder.returned_ns = returned_ns[taken - 1]
        self._read = -1
        self.handover.passed()
        return self.bound is None

    def _takes_whole(self, parts: Sequence[ReadPart], size: int) -> bool:
        """They are like those before them, and within all bounds."""
        return (
            not self.heard
            and self.bound is None
            and size <= self._room_for_bytes
            and (not self._keeping or sum(map(len, self._data)) + size <= self._room_to_keep)
            and all(stamp[1] == self._stamps for *_, stamp in parts)
            and self._decoder.takes_whole(size)
        )

    def _fed(self, part: ReadPart) -> bool:
        data, read, (at_ns, kind, error_ns, read_ns) = part
        return self.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns)

    def finish(self, failure: WireFailure | None = None) -> Recording:
        """The recording. `failure` says how the wire failed, or that it was interrupted, in which case nobody is told
        of pieces any more; None: the body ended by the rules of its framing.
        """
        decoder, unhanded = self._decoder, self.handover.waiting > 0
        by_us = failure is not None and failure.outcome == BY_US
        if unhanded:
            self.ended_ns = self.now()
        elif decoder.final and failure is not None:
            self._notes.append("the connection stayed open, or was cut, after the end of the stream")
            self.ended_ns = self._reads.at_ns[-1]
        elif self.ended_ns is None:
            self.ended_ns = self.now()
        if self._reads:
            if by_us:
                self.handover.hang_up()
            whole = not by_us and self.bound is None
            self._hand_on(decoder.close(len(self._reads) - 1, self._reads.at_ns[-1], whole=whole))
        self._keep_read()
        self.handover.end(interrupted=unhanded)
        outcome, error = self._ending(failure, unhanded=unhanded, last=True)
        self._meta["wire_end"] = self._wire_end(failure)
        if self._sends and self._timings.sent_ns is None:
            sent = f"only {self._sends.bytes:,} bytes of the request's body had been sent"
            error = None if error is None else f"{error}; {sent}"
            self._notes += [f"the answer was complete when {sent}"] if outcome.ok else []
        self._answers.count_replayed(decoder.events, decoder.splice)
        return self._made(self._reads, decoder.events, outcome, error, self.ended_ns, self._described())

    def so_far(self) -> Recording:
        """What has come by now, of a stream that goes on: it does not grow, and of bytes and data it has the sizes
        alone. Its outcome is that of a recording made by hand, which says nothing. From any thread; see `under_way`.
        """
        events = self._decoder.events.copied()  # before the reads, each of which was there before its events
        reads = self._reads.copied()
        if events.kept:  # else they are not here
            reads.data, events.data = [None] * len(reads), [""] * len(events)
        return self._made(reads, events, Outcome("complete"), None, self.now(), {**self._meta, UNDER_WAY: True})

    def _made(
        self,
        reads: Reads,
        events: Events,
        outcome: Outcome,
        error: str | None,
        ended_ns: int | None,
        meta: Mapping[str, Any],
    ) -> Recording:
        decoder, shown = self._decoder, self._answers.shown
        return Recording(
            reads=reads,
            events=events,
            sends=self._sends,
            outcome=outcome,
            error=error,
            finish_reason=decoder.finish_reason,
            status=shown.status,
            headers=shown.harmless_headers,
            content_type=shown.headers.get("content-type"),
            preset=decoder.preset,
            url=self.url,
            label=self.label,
            labels=self._labels,
            started_ns=self.started_ns,
            due_ns=self._relative(self._due_ns),
            acquired_ns=self._relative(self._timings.acquired_ns),
            connected_ns=self._relative(self._timings.connected_ns),
            tls_ns=self._relative(self._timings.tls_ns),
            sent_ns=self._relative(self._timings.sent_ns),
            head_ns=self.head_ns,
            ended_ns=ended_ns,
            stamps=self._stamps or "socket",
            gauges={} if self.gauges is None else self.gauges.since(self.started_ns),
            cuts=tuple(self._answers.cuts),
            meta=meta,
        )

    def _wire_end(self, failure: WireFailure | None) -> WireEnd:
        """What became of the connection, whatever the stream said of itself."""
        if failure is not None:
            return failure.end
        if self.bound is not None or self._decoder.astray:  # we hung up
            return "open"
        return "fin" if self._answers.framing == "close" else "clean"

    def _ending(self, failure: WireFailure | None, *, unhanded: bool, last: bool) -> tuple[Outcome, str | None]:
        decoder, head, framing = self._decoder, self._answers.last, self._answers.framing
        if (failure is None or decoder.astray) and not decoder.final:
            failure = decoder.undecoded
        clean = failure is None and framing != "close"
        problem = decoder.problem_at_end(clean=clean, last=last)  # first: it may find an error, which is told
        told = told_by(head, decoder.problem, decoder.error, decoder.error_data, self._secrets)
        self._meta.update(told.meta)
        self._notes += told.notes
        return outcome_of(
            status=head.status,
            framing=framing,
            final=decoder.final,
            error=told.code,
            said=told.words,
            bound=self.bound,
            failure=failure,
            problem=problem,
            preset=decoder.preset,
            signed=decoder.signed,
            unread=decoder.unread,
            unhanded=unhanded,
            lost=decoder.splice.lost,
        )

    def _relative(self, at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns - self.started_ns

    def _decode(self, data: bytes) -> None:
        events = len(self._decoder.events)
        self._hand_on(self._decoder.feed(data, len(self._reads) - 1, self._reads.at_ns[-1]))
        self.handover.brought(len(self._decoder.events) - events, len(data))

    def _hand_on(self, found: Iterable[tuple[int, str]]) -> None:
        if self.heard:
            for index, text in found:
                self.handover.came(index, text)
        else:
            deque(found, maxlen=0)
            self.handover.passed()

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
            self._reads.keep(b"".join(self._data))
        self._data.clear()

    def _described(self) -> dict[str, Any]:
        if self.loop is not None:
            lag, ahead_ns = self.loop
            self._meta.update(lag.as_dict(ahead_ns - self.started_ns))
        if self._timings.sent_error_ns is not None:
            self._meta["sent_error_ns"] = self._timings.sent_error_ns
        if self._timings.window_full_ns is not None:
            self._meta["window_full_ns"] = self._timings.window_full_ns
        if tcp := self.tcp.as_dict():
            self._meta["tcp"] = tcp
        if busy := self.handover.busy:
            self._meta["reader_busy_ns"] = [list(span) for span in busy]
        notes = list(dict.fromkeys([*self._decoder.notes(), *self._notes, *self._coding_notes()]))
        return {**self._meta, "framing": self._answers.framing, "notes": notes}

    def _coding_notes(self) -> list[str]:
        sent_ns = self._relative(self._timings.sent_ns) or 0
        asked = self._meta.get("accept_encoding")
        return coding_notes(self._decoder.coding, asked, self._decoder.events, len(self._reads), sent_ns)
