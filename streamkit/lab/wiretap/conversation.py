"""Conversation: what one connection carries, as requests and recordings of their answers. No I/O: times are handed in.

    the client's bytes ──▶ Requests ──▶ those that wait for their answer, in order ─┐
                                                                                    ▼
    the server's bytes ──────────────────────────────▶ PassingAnswer ──▶ Recorder ──▶ Recording ──▶ `keep`

Theory of operation
-------------------
Answers come in the order of their requests (RFC 9112, section 9.3.2), so the first that waits is the one that is
answered. Its recording counts from the first byte of its request; `sent_ns` is when its last byte had gone on to the
server, `at_ns` of a read when it came from there. Whoever takes nothing holds the server back as he would without a
tap, and that is in these times: for how long stands in `meta["client_held_ms"]`.

What cannot be read is no longer looked at, for good: another protocol (Upgrade, CONNECT), broken HTTP, too many
requests at once, a fault of ours. Then `tell` is told why, once, and the bytes go on as before.

How an answer ends is what `record()` says of it too. What only a tap can see: the client has left (`cancelled`, as the
relay says it), if it ended before the answer and before the server did.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from streamkit.lab.client.wire_failure import BY_US, WireFailure
from streamkit.lab.wiretap.answer import PassingAnswer
from streamkit.lab.wiretap.requests import PassingRequest, Requests
from streamkit.outcome import Outcome
from streamkit.transport import Timings
from streamkit.transport.framing import WireError
from streamkit.transport.http1 import fields
from streamkit.transport.refusals import reason

if TYPE_CHECKING:
    from streamkit.lab.client.recorder import Recorder
    from streamkit.lab.recording.recording import Recording

__all__ = ["Conversation", "Party"]

MAX_WAITING: Final = 100
"""Requests that wait for their answer: sent one behind the other, without waiting for the one before."""
MAX_SENDS: Final = 100_000
"""Parts of a request's body of which the times are kept."""
HELD_NOTED_MS: Final = 10.0
"""A client that took nothing for longer than this, in all, is named in the notes."""
SWITCHING: Final = "101 "
"""How the reason begins by which an answer of this status is refused."""
CLIENT_LEFT: Final = Outcome("cancelled")
"""As a relay says it."""
_log = logging.getLogger("streamkit.wiretap")

End: TypeAlias = Literal["fin", "rst"]


class Party(Protocol):
    """Who makes the recorders of conversations, and takes what they have recorded."""

    def recorder(self, request: PassingRequest, clock: Callable[[], int]) -> Recorder | None:
        """One for the answer to this request; None: there is no room for it."""

    def grows(self, recorder: Recorder, size: int) -> bool:
        """It has taken so many bytes; whether there is room for more."""

    def ends(self, recorder: Recorder) -> None:
        """It is about to finish."""

    def keep(self, recorder: Recorder, recording: Recording) -> None:
        """It has."""

    def drop(self, recorder: Recorder) -> None:
        """It will not: nothing of its answer can be seen."""

    def tell(self, what: str) -> None:
        """Something that is in no recording."""


@dataclass(slots=True)
class _Asked:
    """A request that waits for its answer, and who records that."""

    request: PassingRequest
    recorder: Recorder | None
    held_ns: int = 0
    reads: int = 0
    first_send: tuple[int, int, int] | None = None
    """Of its body; told when there is another one, or the answer before it: a body of one part is no upload."""
    sends: int = 0
    sent_ns: int = 0  # the last of them


class Conversation:
    """The onlooker of one connection (`streamkit.lab.net.carrier.Onlooker`). `name` is what it is called in what is
    told; `host` stands in each request's Host, None: what the client wrote.
    """

    def __init__(self, party: Party, name: str, host: str | None = None) -> None:
        self._party = party
        self._name = name
        self._requests = Requests(host)
        self._waiting: deque[_Asked] = deque()
        self._leaving: deque[_Asked] = deque()  # whose last byte has not gone on yet
        self._answer: PassingAnswer | None = None
        self._passed = 0
        self._now_ns = 0
        self._deaf = self._blind = False  # the client's bytes, the server's, are not looked at any more
        self._first_end: Literal["client", "target"] | None = None
        self._error: OSError | None = None
        self._over = False

    # -- what the carrier tells ----------------------------------------------------------------------------------

    def sent(self, data: bytes, at_ns: int) -> bytes:
        """A read of the client's; what goes on of it."""
        if self._deaf:
            return self._requests.let_go() + data
        self._now_ns = at_ns
        kept_back = self._requests.kept_back
        try:
            out, begun = self._requests.feed(data, at_ns)
            for request in begun:
                self._begin(request)
        except WireError as error:
            self._stop_listening(str(error))
        except Exception:  # noqa: BLE001  # whatever it is, the bytes go on
            self._fail()
        else:
            return out
        self._requests.let_go()
        return kept_back + data

    def kept_back(self) -> bytes:
        """What of a head had been kept back."""
        return self._requests.let_go()

    def passed(self, size: int, at_ns: int) -> None:
        """So much has gone on to the server: with it perhaps the last byte of a request."""
        self._passed += size
        while self._leaving:
            asked = self._leaving[0]
            parts, end = asked.request.parts, asked.request.end
            while parts and parts[0][0] <= self._passed:
                _, part, came_ns = parts.popleft()
                self._left(asked, at_ns, part, at_ns - max(came_ns, asked.sent_ns))
            if end is None or end > self._passed:
                return
            self._leaving.popleft()
            if asked.recorder is not None:
                asked.recorder.timed(Timings(started_ns=asked.request.begun_ns, sent_ns=at_ns))

    def answered(self, data: bytes, at_ns: int) -> None:
        """A read of the server's."""
        if self._blind:
            return
        self._now_ns = at_ns
        try:
            self._take(data, at_ns)
        except WireError as error:
            self._take_what_was_whole(error, at_ns)
        except Exception:  # noqa: BLE001  # whatever it is, the bytes go on
            self._fail()

    def client_ended(self, how: End, at_ns: int) -> None:
        """The client sends no more: it has left, unless it waits for the rest."""
        del how
        self._now_ns = at_ns
        self._first_end = self._first_end or "client"

    def target_ended(self, how: End, at_ns: int) -> None:
        """The server sends no more."""
        self._now_ns = at_ns
        if self._first_end is None:
            self._first_end = "target"
        if how == "fin" and not self._blind:
            self._safely(self._closed)

    def client_held(self, for_ns: int) -> None:
        """The client took nothing for so long: of that the server has heard, and what came later came later for it."""
        if self._waiting:
            self._waiting[0].held_ns += for_ns

    def unreachable(self, error: OSError, at_ns: int) -> None:
        """There is no server."""
        self._now_ns = at_ns
        self._error = error
        if not self._waiting:
            self._tell(f"no connection to the target: {reason(error)}")

    def over(self, at_ns: int) -> None:
        """The connection carries nothing any more."""
        if self._over:
            return
        self._over = True
        self._now_ns = at_ns
        self._safely(self._finish_all)

    # -- requests ------------------------------------------------------------------------------------------------

    def _begin(self, request: PassingRequest) -> None:
        if request.method == "CONNECT":
            raise WireError("a tunnel was asked for (CONNECT)")
        if len(self._waiting) >= MAX_WAITING:
            raise WireError(f"more than {MAX_WAITING} requests wait for their answer at once")
        asked = _Asked(request, self._party.recorder(request, self._now))
        self._waiting.append(asked)
        self._leaving.append(asked)

    def _now(self) -> int:
        return self._now_ns

    def _left(self, asked: _Asked, at_ns: int, size: int, held_ns: int) -> None:
        """A part of its body has gone on, for which there had been no room for so long."""
        asked.sends += 1
        asked.sent_ns = at_ns
        if asked.sends == 1:
            asked.first_send = at_ns, size, held_ns
        elif asked.recorder is not None and asked.sends <= MAX_SENDS:
            self._tell_first_send(asked)
            asked.recorder.sent(at_ns, size, held_ns)

    def _tell_first_send(self, asked: _Asked) -> None:
        if asked.first_send is not None and asked.recorder is not None:
            asked.recorder.sent(*asked.first_send)
        asked.first_send = None

    # -- answers -------------------------------------------------------------------------------------------------

    def _take(self, data: bytes, at_ns: int) -> None:
        """What one read brought: of one answer, or of several, one behind the other."""
        at = 0
        while at < len(data):
            if not self._waiting:
                raise WireError("the server sent something that answers no request")
            asked = self._waiting[0]
            if self._answer is None:
                self._answer = PassingAnswer(asked.request.method)
            answer = self._answer
            known = answer.status is not None
            part, used = answer.take(data[at:])
            at += used
            if not known and answer.status is not None:
                self._head_came(asked, answer)
            self._feed(asked, part, at_ns)
            if answer.ended:
                self._finish(None)

    def _head_came(self, asked: _Asked, answer: PassingAnswer) -> None:
        if asked.recorder is not None and answer.status is not None:
            if asked.request.end is None or asked.request.end > self._passed:
                self._tell_first_send(asked)  # it is answered while it comes
            asked.recorder.head(answer.status, fields(answer.headers), f"HTTP/{answer.version.decode('ascii')}")

    def _feed(self, asked: _Asked, part: bytes, at_ns: int) -> None:
        recorder = asked.recorder
        if recorder is None or not part:
            return
        asked.reads += 1
        more = recorder.feed(asked.reads, at_ns, part)
        if not (self._party.grows(recorder, len(part)) and more):
            asked.recorder = None
            self._keep(recorder, asked, None if recorder.bound is not None else _NO_ROOM)

    def _take_what_was_whole(self, error: WireError, at_ns: int) -> None:
        """It is no HTTP, or broken: that is how this answer ends, and the last that is looked at."""
        asked = self._waiting[0] if self._waiting else None
        why = str(error)
        if asked is not None and asked.request.upgrade and why.startswith(SWITCHING):
            why = "the connection speaks another protocol (101 Switching Protocols)"
        elif asked is not None:
            self._feed(asked, error.body, at_ns)
            self._finish(WireFailure(Outcome("truncated"), why))
        self._stop_looking(why)

    def _closed(self) -> None:
        """The server has closed in order: the end of an answer that only that ends."""
        if self._answer is not None and self._first_end == "target":
            try:
                self._answer.closed()
            except WireError as error:
                self._finish(WireFailure(Outcome("truncated"), str(error)))
            else:
                self._finish(_of_framing(self._answer))

    # -- the end -------------------------------------------------------------------------------------------------

    def _finish(self, failure: WireFailure | None) -> None:
        """The first that waits has its answer, or will have none."""
        asked = self._waiting.popleft()
        self._answer = None
        if asked.recorder is not None:
            self._keep(asked.recorder, asked, failure)
            asked.recorder = None

    def _keep(self, recorder: Recorder, asked: _Asked, failure: WireFailure | None) -> None:
        self._party.ends(recorder)
        self._party.keep(recorder, _with_held(recorder.finish(failure), asked.held_ns))

    def _finish_all(self) -> None:
        while self._waiting:
            self._finish(self._why())

    def _why(self) -> WireFailure:
        """Why nothing more comes of an answer that is not whole."""
        if self._error is not None:
            return WireFailure(Outcome("refused", "connect"), f"no connection: {reason(self._error)}")
        if self._first_end is None:
            return WireFailure(BY_US, "the tap was stopped before the answer was complete")
        if self._first_end == "client":
            return WireFailure(CLIENT_LEFT, "the client left before the answer was complete")
        if self._answer is None:
            return WireFailure(Outcome("truncated"), "the connection was closed before an answer came")
        return WireFailure(Outcome("truncated"), "the connection was closed or reset before the answer was complete")

    def _stop_listening(self, why: str) -> None:
        """To the client; answers to what it has asked before are still looked at."""
        self._deaf = True
        if not self._waiting:
            self._blind = True
        self._tell(f"not looked at from here on: {why}")

    def _stop_looking(self, why: str) -> None:
        """At all."""
        told = self._deaf
        self._deaf = self._blind = True
        for asked in self._waiting:
            if asked.recorder is not None:
                self._party.drop(asked.recorder)
        self._waiting.clear()
        self._leaving.clear()
        self._answer = None
        if not told:
            self._tell(f"not looked at from here on: {why}")

    def _safely(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception:  # noqa: BLE001  # whatever it is, the bytes go on
            self._fail()

    def _fail(self) -> None:
        """A fault of ours: it is told, and harms nobody."""
        _log.exception("%s: looking at it has failed; its bytes still pass", self._name)
        self._stop_looking("a fault of this tap itself, which is in its log")

    def _tell(self, what: str) -> None:
        self._party.tell(f"{self._name}: {what}")


_NO_ROOM: Final = WireFailure(Outcome("cancelled", "max_bytes"), "the tap had no room for more: its max_bytes")


def _of_framing(answer: PassingAnswer) -> WireFailure | None:
    """The server closed in order, and the framing wanted more; None where the close is the end that it has."""
    if answer.by_close:
        return None
    return WireFailure(
        Outcome("truncated"), "the connection was closed before the body was complete (RFC 9112 section 8)"
    )


def _with_held(recording: Recording, held_ns: int) -> Recording:
    """For how long its client was waited for, while it was answered."""
    if not held_ns:
        return recording
    held_ms = round(held_ns / 1e6, 3)
    notes = list(recording.meta.get("notes", ()))
    if held_ms > HELD_NOTED_MS:
        notes.append(
            f"the client took nothing for {held_ms:,.0f} ms in all, which held the server back: gaps may be the "
            "client's"
        )
    return replace(recording, meta={**recording.meta, "client_held_ms": held_ms, "notes": notes})
