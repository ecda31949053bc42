"""What reading one event can give: a piece, an end, an error, or nothing (None)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["End", "ExtractionError", "Piece", "ProviderError", "weigh"]


@dataclass(frozen=True, slots=True)
class End:
    """The provider says that the stream is over.

        >>> sk.preset("openai").read(sk.ServerSentEvent(data="[DONE]"))
        End(reason=None, conclusive=True)

    `conclusive`: the provider's own last word (`[DONE]`, `message_stop`, …). Where it is False, the sign (such as
    OpenAI's `finish_reason`) proves completion only together with clean framing: the final HTTP chunk, or the full
    Content-Length. `reason` is the provider's word for why it stopped, where it gives one.
    """

    reason: str | None = None
    conclusive: bool = True


class Piece(NamedTuple):
    """The text that one event adds to the answer, and the reasoning where it was asked for; one of both may be "".

        >>> sk.preset("ollama").read(sk.ServerSentEvent(data='{"response": "hi", "done": false}'))
        Piece(text='hi', reasoning='', end=None)

    `end` is set when this very event also ends the stream, or says that it failed (by a finish reason `error` beside
    its last words), so that joining the texts of all pieces loses nothing.

    A tuple, as events are, because there are as many pieces as events and a frozen dataclass takes five times as long
    to make. It therefore equals the plain tuple of its fields; no End or error is a tuple, so it never equals those.
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

    `code` is the provider's own code or type: at most 64 printable characters without white space. `message` (at most
    200 characters) comes from the wire and is meant for the laboratory, never for a client.
    """

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExtractionError(ProviderError):
    """A payload that is not what it should be. `message` says where, and quotes nothing of the payload.

        >>> sk.preset("openai").read(sk.ServerSentEvent(data="{")).code
        'malformed_json'

    Codes: `malformed_json`, `too_deep` (1024 levels), `number_too_large` (beyond a double), `lone_surrogate` (half of
    a character in an escape), `invalid_utf8`; `wrong_type` (a number, a list, an object where text belongs, or a
    payload that should be an object and is a list, a string or a number); of a whole `streamkit.presets.Answer`
    `not_cumulative` (texts that should repeat all before them, and do not) and `mixed_choices` (text of several choices
    in one, found too late); and of the relay `too_many_values` (see `streamkit.relay.bounds`).
    """
