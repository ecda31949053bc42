"""How a stream ended for its client: one pure function of what was seen."""

from __future__ import annotations

from typing import Final

from streamkit.content.head import accepted
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.outcome import Outcome
from streamkit.presets.answer import EMPTY, TRUNCATED

__all__ = ["outcome_of"]

LOST: Final = "lost_over_cut"
"""The code of a stream that was resumed, and is not whole by the numbers of its pieces."""


def outcome_of(
    *,
    status: int | None,
    framing: str,
    final: bool = False,
    error: str | None = None,
    said: str = "",
    bound: str | None = None,
    failure: WireFailure | None = None,
    problem: str | None = None,
    preset: str | None = None,
    signed: bool = False,
    unread: str | None = None,
    unhanded: bool = False,
    lost: int = 0,
) -> tuple[Outcome, str | None]:
    """How the stream ended, and why, in our words; None where that says it all. The first line that is true counts:

     1. no answer (connecting failed, timed out)            `refused(connect)`, `timeout(...)`: what `failure` says
     2. a `status` that is no answer's (`content.head`)     `refused(status)`
     3. an `error` event, before any final end marker       `error_event(code)`
     4. a `final` end marker or terminal event              `complete`, whatever the connection does afterwards
     5. a `bound` of ours, so that we hung up               `cancelled(max_events)`, `cancelled(max_bytes)`, ...
     6. the wire failed: cut, or a timer fired              `truncated`, `timeout(...)`: what `failure` says
     7. a `framing` that only the end of connection ends    `truncated`: that proves nothing (RFC 9112, section 8)
     8. a `problem`: no proof of the end, or no answer      `truncated`, `error_event(upstream_empty)`
     9. otherwise, the framing being clean                  `complete`

    A timer that fires behind a finish reason (`signed`) finds a whole answer, and a connection left open.
    An end marker without one event of the `preset` is no answer: `problem` counts behind 4, too. Above all stands a
    `failure` while events are `unhanded`: the stream may be whole, but its paced reader has not got it. What would be
    `complete` although an event was `unread`, so that text is missing, is `error_event(code)`.

    `error` is the code that the server told, of an error event or of the problem behind its status, `said` its message;
    `problem` what `streamkit.presets.Answer.problem_at_end` says, by `preset`; `unread` the code of the first event
    that could not be read. Of a stream that was resumed, `lost` says how many pieces are missing over a cut: then it is
    not `complete` either, but `error_event(lost_over_cut)`.
    """
    if failure is not None and (unhanded or status is None):
        return failure.outcome, failure.error
    if status is not None and not accepted(status):
        return Outcome("refused", status), _with_its_words(f"the server answered with status {status}", error, said)
    if error is not None:
        return Outcome("error_event", error), _with_its_words("the stream reported an error", said)
    if not final:
        if bound is not None:
            return Outcome("cancelled", bound), f"the recorder hung up: its bound {bound} was reached"
        if failure is not None and not (signed and failure.outcome.name == "timeout"):
            return failure.outcome, failure.error
        if framing == "close" and failure is None:
            return Outcome("truncated"), "the body ended with the connection, which does not prove that it was whole"
        if problem == TRUNCATED and failure is None:
            return Outcome("truncated"), f"the end marker of preset {preset!r} did not come"
    if unread is not None:
        return Outcome("error_event", unread), "an event could not be read, so text is missing"
    if lost:
        return Outcome("error_event", LOST), f"{lost} piece{'' if lost == 1 else 's'} lost at a cut"
    if problem == EMPTY:
        return Outcome("error_event", EMPTY), f"the answer held not one event of preset {preset!r}"
    return Outcome("complete"), None


def _with_its_words(what: str, *told: str | None) -> str:
    """What happened, and what the server told of it: its code, and its message unless that is the code again."""
    return ": ".join(dict.fromkeys([what, *filter(None, told)]))
