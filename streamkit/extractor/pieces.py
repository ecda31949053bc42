"""What reading one event can give: a piece, an end, an error, or nothing (None)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["End", "ExtractionError", "Piece", "ProviderError", "weigh"]


@dataclass(frozen=True, slots=True)
class End:
    """What an event says about the end of its stream: the provider says that it is over.

        >>> sk.preset("openai").read(sk.ServerSentEvent(data="[DONE]"))
        End(reason=None, conclusive=True)

    reason       the provider's word for why it ended; None if it gives none
    conclusive   True for the provider's own last word (`[DONE]`, `message_stop`, …). False for a sign, such as OpenAI's
                 `finish_reason`, that proves completion only together with clean framing: the final HTTP chunk, or the
                 full Content-Length
    """

    reason: str | None = None
    conclusive: bool = True


class Piece(NamedTuple):
    """The text that one event adds to the answer, and its reasoning if that was asked for; one of the two may be "".

        >>> sk.preset("ollama").read(sk.ServerSentEvent(data='{"response": "hi", "done": false}'))
        Piece(text='hi', reasoning='', end=None)

    `end` is an `End` or `ProviderError` if the same event also ends the stream, or says that it failed (by a finish
    reason `error` beside its last words). So joining the texts of all pieces loses nothing.

    It is a tuple, as events are, because there are as many pieces as events, and a frozen dataclass takes five times as
    long to make. So it equals the plain tuple of its fields; it never equals an End or an error, which are not tuples.
    """

    text: str
    reasoning: str = ""
    end: End | ProviderError | None = None


def weigh(pieces: Sequence[Piece]) -> tuple[int, int]:
    """How many of the pieces carry text, and that text's bytes in UTF-8: what the taps count."""
    texts = [text for piece in pieces if (text := piece.text)]
    whole = texts[0] if len(texts) == 1 else "".join(texts)
    return len(texts), len(whole) if whole.isascii() else len(whole.encode())


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error that the provider reports inside its stream, after its status line said 200.

        >>> sk.preset("openai").read(sk.ServerSentEvent(data='{"error": {"code": "busy", "message": "Try again"}}'))
        ProviderError(code='busy', message='Try again')

    code      the provider's own code or type: at most 64 printable characters without white space
    message   its message, at most 200 characters. It comes from the wire: for the lab, never for a client
    """

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExtractionError(ProviderError):
    """A payload that cannot be read as it should. `message` says where, and quotes nothing of the payload.

        >>> sk.preset("openai").read(sk.ServerSentEvent(data="{")).code
        'malformed_json'

    The codes:

    malformed_json     not JSON
    too_deep           more than 1024 levels
    number_too_large   beyond a double
    lone_surrogate     half of a character in an escape
    invalid_utf8       not UTF-8
    wrong_type         a number, a list or an object where text belongs; or a payload that should be an object and is a
                       list, a string or a number
    not_cumulative     from an `Answer`: texts that should repeat all before them, and do not
    mixed_choices      from an `Answer`: text of several choices in one, noticed too late
    too_many_values    from the relay, see `streamkit.relay.bounds`
    """
