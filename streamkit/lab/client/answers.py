"""Answers: of the answers that one stream came in, which head counts, what ends the body, and where it was cut. No I/O.

    answers = Answers("POST")
    answers.head(AnswerHead(200, headers, "HTTP/1.1"))
    answers.framing                                 # "chunked"
    answers.cut(at_ns, outcome, event=3, read=5)    # the connection is over, and the stream perhaps not
    answers.asked(at_ns)                            # and then `anew`, `refused`, `not_joined`, or:
    answers.back(AnswerHead(...), at_ns)            # it goes on

Theory of operation
-------------------
Nearly every stream has one answer, and one head for all questions. Of one that was cut and asked for again, the head
that a recording shows is not the one by which its end is judged:

                     shown, in the recording            last: framing, status at the end
    head, anew       this one                           this one
    back             as it was                          this one, with the status shown
    refused          as it was; if none, its status     this one, until it is asked for again
    not_joined       as it was                          as it was
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from streamkit.lab.recording.cuts import Cut, caught_up
from streamkit.transport.framing import framing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamkit.lab.client.splice import Splice
    from streamkit.lab.recording.rows import Events
    from streamkit.outcome import Outcome

__all__ = ["AnswerHead", "Answers"]

# Cookies and credentials, and addresses that may hold tokens: a recording is made to be shown around.
SECRET_HEADERS: Final = frozenset(
    ("set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info", "location", "refresh", "link")
)


class AnswerHead(NamedTuple):
    """The head of one answer: `status` (None: there is none), headers with names in lower case, the version of HTTP.

    >>> from streamkit.lab.client.answers import AnswerHead
    >>> AnswerHead(200, {"transfer-encoding": "chunked"}, "HTTP/1.1").framing("POST")
    'chunked'
    """

    status: int | None
    headers: Mapping[str, str]
    http_version: str | None

    def framing(self, method: str) -> str:
        """What ends the body of an answer to `method`, if there is one: `none` without an answer, `no body`, or one of
        `transport.framing.Framing`.
        """
        if self.status is None:
            return "none"
        if self.status in (204, 304) or method.upper() == "HEAD":
            return "no body"
        return framing(self.headers, self.http_version)

    @property
    def harmless_headers(self) -> dict[str, str]:
        """Those without secrets."""
        return {name: value for name, value in self.headers.items() if name not in SECRET_HEADERS}


class Answers:
    """The answers to one stream's requests, which are made with `method`. Times are nanoseconds from its start.

    shown   the head that the recording shows
    last    the head by which the end is judged
    cuts    where the stream was interrupted, and how it went on
    """

    def __init__(self, method: str) -> None:
        self.shown = self.last = AnswerHead(None, {}, None)
        self.cuts: list[Cut] = []
        self._method = method
        self._joined = self.last  # of the last answer that was part of the stream

    @property
    def framing(self) -> str:
        """What ends the body, if there is one."""
        return self.last.framing(self._method)

    def head(self, head: AnswerHead) -> None:
        """The head of the answer."""
        self.shown = self.last = self._joined = head

    def cut(self, at_ns: int, outcome: Outcome, *, event: int, read: int) -> None:
        """The connection is over, behind so many events and reads. One cut it is until events come again."""
        if not self.cuts or self.cuts[-1].event < event:
            self.cuts.append(Cut(at_ns=at_ns, outcome=outcome, attempts=0, event=event, read=read, told=False))

    def asked(self, at_ns: int) -> None:
        """The stream is asked for again; what a refusal told is no part of what comes now."""
        last = self.cuts[-1]
        self.cuts[-1] = replace(last, attempts=last.attempts + 1, asked_ns=at_ns, back_ns=None, status=None)
        self.last = self._joined

    def back(self, head: AnswerHead, at_ns: int) -> None:
        """An answer with which the stream goes on."""
        self._came_back(head, at_ns)
        self.last = self._joined = head._replace(status=self.shown.status or head.status)

    def anew(self, head: AnswerHead, at_ns: int) -> None:
        """An answer to the same request, of which nothing had come before."""
        self._came_back(head, at_ns)
        self.head(head)

    def refused(self, head: AnswerHead) -> None:
        """An answer by which the stream does not go on."""
        self.not_joined(head.status)
        self.shown = self.shown._replace(status=self.shown.status or head.status)
        self.last = head

    def not_joined(self, status: int | None) -> None:
        """An answer that is not of this stream."""
        self.cuts[-1] = replace(self.cuts[-1], status=status)

    def count_replayed(self, events: Events, splice: Splice) -> None:
        """No more comes behind the last cut before another one, or the end: how many `events` there were replayed."""
        if not self.cuts or not self.cuts[-1].resumed:
            return
        last = self.cuts[-1]
        replayed = splice.replayed if splice.told else caught_up(events.at_ns, events.read, last.event)
        self.cuts[-1] = replace(last, replayed=replayed, told=splice.told or not replayed)

    def _came_back(self, head: AnswerHead, at_ns: int) -> None:
        self.cuts[-1] = replace(self.cuts[-1], back_ns=at_ns, status=head.status)
