"""Resume: what is done when a stream is cut, as an EventSource does it (WHATWG HTML, section 9.2). No I/O, no clock.

    recovery = Recovery(Resume(), url, method)
    recovery.ask()                         # the first request
    recovery.answered(200, headers)        # "start"
    recovery.cut(outcome, place)           # seconds to wait, or None: that was the end, `why` says more
    recovery.ask()                         # what is to be asked then
    recovery.answered(200, headers)        # "on": it goes on; "anew", "whole", "refused", "over"

Theory of operation
-------------------
What ends a connection is a **cut** if the stream had not ended by it: the wire failed, a timer fired, the body ended
without a proof that it was whole, or (once asked again) nobody could be reached, or a status says that it may work
later. Where to go on depends on what had come:

    nothing                          the same request; whatever answers it counts (`anew`)
    events with ids                  the same request, with `Last-Event-ID`
    text without borders             GET on the answer's `Location`, `Range: bytes=N-` behind N bytes, answered by 206
    anything else                    nowhere: the cut is the end, since two answers must never be taken for one

`Idempotency-Key` goes with every POST (draft-ietf-httpapi-idempotency-key-header): at a relay of ours a client that
was cut before the first id finds the same stream by it. Another server does not know it, and begins anew.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from streamkit.content.codings import codings_of
from streamkit.content.head import NO_CONTENT, Grammar, accepted, media_types
from streamkit.lab.arguments import check_number, check_whole
from streamkit.outcome import Outcome

__all__ = ["Ask", "Place", "Recovery", "Resume", "Verdict"]

RETRYABLE: Final = frozenset((429, 502, 503, 504))
"""Statuses of who may answer better later (RFC 6585, section 4; RFC 9110, sections 15.6.3 to 15.6.5)."""

Verdict: TypeAlias = Literal["start", "on", "anew", "whole", "refused", "over"]
"""start: the first answer. on: the stream goes on. anew: nothing had come, so this answer is the one. whole: all of it
had come. refused: a status that is no answer. over: an answer, but not of this stream."""

_SENDABLE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")
_URL: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_NO_ONE: Final = frozenset((Outcome("refused", "connect"), Outcome("timeout", "connect"), Outcome("timeout", "pool")))
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Resume:
    """How often, and after which waits, a client asks again for a stream that was cut.

    >>> sk.Resume(attempts=3, backoff_ms=100)
    Resume(attempts=3, backoff_ms=100, max_wait_ms=30000)

        recording = await sk.record(url, json=question, resume=sk.Resume())

    attempts     how many requests in a row may bring no new event; one that does starts the count again. 0: never ask
                 again
    backoff_ms   before attempt n of such a row it waits for what the server last said (`retry:` or `Retry-After`, 0 if
                 neither), plus a random time of up to backoff_ms × 2^(n-1) (full jitter: clients that were cut together
                 do not come back together)
    max_wait_ms  no wait is longer than this, whatever the server says

    A first request that is refused, or reaches no server, was not cut: it is not sent again. `total_s` of `record()`
    limits all of it together. Raises TypeError or ValueError for numbers that make no sense.
    """

    attempts: int = 5
    backoff_ms: float = 500
    max_wait_ms: float = 30_000

    def __post_init__(self) -> None:
        check_whole("attempts", self.attempts)
        check_number("backoff_ms", self.backoff_ms, "milliseconds")
        check_number("max_wait_ms", self.max_wait_ms, "milliseconds")


class Place(NamedTuple):
    """How far a stream had come when its connection ended.

    came      how many events
    size      how many bytes of body
    grammar   what it is written in; None while that is not known
    last_id   the id of the last whole event, "" where there is none
    stuck     why that id does not say where to go on; "" where it does
    retry_ms  what the stream last asked to wait, None if nothing
    """

    came: int = 0
    size: int = 0
    grammar: Grammar | None = "sse"
    last_id: str = ""
    stuck: str = ""
    retry_ms: int | None = None


class Ask(NamedTuple):
    """A request: of which the headers are added to those of the first, and the body is the same, or none."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bool = True


class Recovery:
    """The course of one stream over several connections.

    why     why it was not asked again, or the answer not joined; "" where that is not worth a word
    """

    def __init__(
        self, resume: Resume, url: str, method: str, *, has_key: bool = False, draw: Callable[[], float] = random.random
    ) -> None:
        self.why = ""
        self.key = "" if has_key or method.upper() != "POST" else secrets.token_urlsafe(18)
        """The `Idempotency-Key` that is sent, unless the caller has one."""
        self.attempts = 0
        """How often was asked in a row, without a new event."""
        self._resume = resume
        self._url, self._method = url, method
        self._draw = draw
        self._asked = 0
        self._came = 0
        self._over = False
        self._later_ms: float | None = None
        self._head: Mapping[str, str] = {}
        self._place = Place(grammar=None)
        self._next = Ask(method, url, self._with_key())

    def ask(self) -> Ask:
        """The request that is to be sent now."""
        self._asked += 1
        return self._next

    def answered(self, status: int, headers: Mapping[str, str]) -> Verdict:
        """The head of an answer came, with names in lower case; what it is."""
        self._later_ms = None
        if self._asked == 1:
            self._head = headers
            return "start"
        verdict, why = self._judged(status, headers)
        if why:
            self.why = f"asked again, {why}"
        self._over = verdict in ("whole", "over") or (verdict == "refused" and status not in RETRYABLE)
        if verdict == "refused":
            self._later_ms = _retry_after_ms(headers)
        elif verdict == "anew":
            self._head = headers
        return verdict

    def cut(self, outcome: Outcome, place: Place) -> float | None:
        """A connection ended, by which the stream would have ended so: how long to wait (s), and then `ask`; None: that
        is the end of it.
        """
        if place.came > self._came:
            self.attempts, self._came = 0, place.came
        if self._over or not self._is_cut(outcome):
            return None
        way = self._way(place)
        if isinstance(way, str):
            self.why = f"the cut stream was not resumed: {way}"
            return None
        if self.attempts >= self._resume.attempts:
            tried = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'} in a row brought nothing new"
            self.why = f"given up: {tried}" if self.attempts else ""
            return None
        self.attempts += 1
        self._next, self._place = way, place
        floor_ms = max(place.retry_ms or 0, self._later_ms or 0)
        jitter_ms = self._draw() * self._resume.backoff_ms * 2.0 ** min(self.attempts - 1, 60)
        return min(floor_ms + jitter_ms, self._resume.max_wait_ms) / 1e3

    def _is_cut(self, outcome: Outcome) -> bool:
        """Whether the stream may go on behind this end. Who could not be reached at all was never cut off."""
        if outcome in _NO_ONE:
            return self._asked > 1
        if outcome.name == "refused":
            return self._asked > 1 and outcome.detail in RETRYABLE
        return outcome.name == "truncated" or (outcome.name == "timeout" and not outcome.stopped)

    def _way(self, place: Place) -> Ask | str:
        """Where to go on; or why nowhere."""
        if place.last_id and not place.stuck:
            if not _SENDABLE.fullmatch(place.last_id):
                return "the last event's id cannot stand in a header"
            return Ask(self._method, self._url, {**self._with_key(), "last-event-id": place.last_id})
        if not place.came:
            return Ask(self._method, self._url, self._with_key())
        if place.grammar != "text":
            return place.stuck or "its events have no ids, and the server cannot be told which had come"
        if codings_of(self._head.get("content-encoding")):
            return "its text is compressed, and cannot go on from a byte of it"
        location = self._location()
        ranges = "bytes" in self._head.get("accept-ranges", "").lower().split(",")
        if location is None or not (ranges or "x-stream-id" in self._head):
            return "its text has no borders, and the server offers no Location with ranges of bytes"
        return Ask("GET", location, {"range": f"bytes={place.size}-"}, body=False)

    def _judged(self, status: int, headers: Mapping[str, str]) -> tuple[Verdict, str]:
        asked_bytes = "range" in self._next.headers
        if status in NO_CONTENT:
            return "over", f"the server answered {status}: it wants no more requests"
        if asked_bytes and status == 416 and _length(headers) == self._place.size:
            return "whole", ""
        if asked_bytes and status == 200:
            return "over", "the server began the text anew (200 instead of 206), which is not joined"
        if asked_bytes and status == 206:
            if codings_of(headers.get("content-encoding")) or _begin(headers) != self._place.size:
                return "over", "the server sent another part of the text, which is not joined"
        elif not accepted(status):
            return "refused", ""
        if not self._place.came:
            return "anew", ""
        types, before = media_types(headers.get("content-type")), media_types(self._head.get("content-type"))
        if types != before:
            return "over", f"the server answered with {_named(types)} instead of {_named(before)}"
        ids = {head["x-stream-id"] for head in (self._head, headers) if "x-stream-id" in head}
        if len(ids) > 1:
            return "over", "the server answered with another stream, which is not joined"
        return "on", ""

    def _with_key(self) -> dict[str, str]:
        return {"idempotency-key": f'"{self.key}"'} if self.key else {}

    def _location(self) -> str | None:
        """Where the stream can be had again; None unless that is at the same origin: our headers go there, too."""
        told = self._head.get("location", "")
        if not _URL.fullmatch(told):
            return None
        ours = urlsplit(self._url)
        try:
            theirs = urlsplit(urljoin(f"//{ours.netloc}{ours.path or '/'}", told), scheme=ours.scheme)
            same = _origin(ours) == _origin(theirs)
        except ValueError:  # a port that is no number
            return None
        return theirs._replace(netloc=ours.netloc, fragment="").geturl() if same else None


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    return url.scheme, url.hostname or "", url.port or _PORTS.get(url.scheme)


def _begin(headers: Mapping[str, str]) -> int | None:
    """Where the part of a 206 begins (RFC 9110, section 14.4; RFC 8673 for one whose end is open)."""
    found = re.match(r"\s*bytes\s+([0-9]{1,18})-", headers.get("content-range", ""), re.IGNORECASE)
    return None if found is None else int(found[1])


def _length(headers: Mapping[str, str]) -> int | None:
    """How long the whole is, by a 416."""
    found = re.fullmatch(r"\s*bytes\s+\*/([0-9]{1,18})\s*", headers.get("content-range", ""), re.IGNORECASE)
    return None if found is None else int(found[1])


def _retry_after_ms(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is counted from the server's own `Date`."""
    told = headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told[:12]) * 1e3
    try:
        wait = parsedate_to_datetime(told) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds() * 1e3)


def _named(types: set[str]) -> str:
    return ", ".join(sorted(types))[:80] or "no media type"
