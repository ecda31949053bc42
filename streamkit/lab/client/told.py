"""Told: what a server says itself of how its stream ended, in an error event or in the problem behind a status, or what
a proxy says in its place. Pure, and it quotes no more than is harmless to show.

How a stream ended for its client is `ending.outcome_of`'s to say. How a relay of ours says that it ended for itself
(`timeout(idle)` where the client saw `error_event(timeout_idle)`) stands beside it, as `meta["server_outcome"]`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from streamkit.content.head import accepted
from streamkit.outcome import Outcome
from streamkit.reasons import masked, own_words
from streamkit.transport.proxy_status import INCREMENTAL_REFUSED, proxy_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamkit.lab.client.answers import AnswerHead

__all__ = ["ToldEnd", "told_by"]

_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NOT_INCREMENTAL: Final = "a proxy does not pass answers on as they come, which `Incremental` asks for (RFC 10036)"


class ToldEnd(NamedTuple):
    """What was told: a `code` and a message in the server's own `words` ("": none), what of it is to stand in a
    recording's `meta` (`server_outcome`: how the stream ended for a relay of ours; `problem_code`), and `notes` on it.
    """

    code: str | None
    words: str
    meta: dict[str, str]
    notes: tuple[str, ...] = ()


def told_by(
    head: AnswerHead, problem: bytes | bytearray, event_code: str | None, event_data: str, secrets: Iterable[str]
) -> ToldEnd:
    """What is told by the answer of this `head`: in its `problem`, the body behind a status (b"": none), or in an event
    that reported an error, with its data. Words that repeat one of the `secrets` are masked.

    >>> from streamkit.lab.client.answers import AnswerHead
    >>> from streamkit.lab.client.told import told_by
    >>> told_by(AnswerHead(429, {}, "HTTP/1.1"), b'{"code": "busy", "detail": "come back later"}', None, "", ())
    ToldEnd(code='busy', words='come back later', meta={'problem_code': 'busy'}, notes=())
    """
    named = {"server_outcome": _server_outcome(problem or event_data), "problem_code": _problem_code(problem)}
    words = masked(own_words(problem or event_data.encode("utf-8", "replace")), secrets)
    meta = {name: value for name, value in named.items() if value is not None}
    code = named["problem_code"] or event_code
    if code or head.status is None or accepted(head.status):
        return ToldEnd(code, words, meta)
    code = proxy_error(head.headers.get("proxy-status", ""))
    return ToldEnd(code, words, meta, (_NOT_INCREMENTAL,) if code == INCREMENTAL_REFUSED else ())


def _problem_code(body: bytes | bytearray) -> str | None:
    """The stable `code` of a problem+json body (RFC 9457), if it is one and the code is harmless to show."""
    try:
        code = json.loads(body).get("code")
    except (ValueError, RecursionError, AttributeError):
        return None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _server_outcome(said: str | bytes | bytearray) -> str | None:
    """How the stream ended for a relay of ours, in its own words, if what was `said` are such."""
    try:
        told = json.loads(said)
        outcome = Outcome.parse(told.get("error", told)["outcome"])
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return None
    return str(outcome) if outcome.detail is None or _CODE.fullmatch(str(outcome.detail)) else None
