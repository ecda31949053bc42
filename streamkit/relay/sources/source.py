"""What a source is: the one protocol between where pieces come from and how they leave.

    async def numbers(upto: int, into: Into) -> Pieces:
        for number in range(upto):
            pieces = [Piece(f"{number} ")]
            if not into.offer(pieces):
                yield pieces

A source is an async generator of lists of pieces. Whoever runs it (a delivery, a store that is replayed later) and
whoever writes one (an LLM's answer, an upload, a job, a stored stream) need to know the following about each other, and
nothing else.

Pieces      One list for what one read brought: what came together leaves together. An empty list says that the other
            side is alive although no text came: from the first piece on, it restarts the `idle` deadline.
Thinking    When the answer goes on with something no client will get (reasoning that is not passed on), call
            `into.thinking`, before that list, from the same places as `offer`: it restarts the `first_piece` deadline.
            Comments, heartbeats, and events of which nothing would ever be shown do not count.
Offering    A source may first offer a list, by `into.offer`, from any callback of the loop; best from the one that read
            it. Then most pieces never wake a task, which would cost more than everything else that is done with them.
            True: it is taken, in order. False: nothing was done. That same list then has to be yielded next, and
            nothing may be offered before the generator is resumed, or pieces would overtake each other. What `offer`
            raises belongs to whoever iterates. A source that never offers is just as correct, and slower.
Texts       `into.offer_texts` takes what one read brought as texts, each of them a piece with nothing else in it, if
            that makes no difference to whoever runs the source. False: nothing was done; offer or yield the same as
            pieces.
Waiting     While a yielded list has not been taken, the generator is not resumed: that is back-pressure, which a source
            passes on by not reading.
The end     Returning means: complete, and proven. Everything else is raised: `Failed`, whose `Failure` says how the
            stream ended and what a client may be told; after the last pieces, not instead of them. Any other exception
            is a bug, and the client is told no more than that.
Closing     `aclose()`, or cancelling the task that iterates, ends a source at any await: a client left, a deadline
            passed, the server stops. It lets go of all it holds (such as its upstream's connection), offers nothing
            from then on, and asks nobody anything. It is always closed; but if it was never iterated, none of its code
            runs then, so it must not hold anything before.
Deadlines   They are not the source's concern, except those that nobody else can see, such as how long connecting
            takes: whoever runs the source cancels it.
States      Pieces that say how something stands (`streamkit.relay.pieces`: Snapshot, Progress), in a list of their own,
            make nobody wait: a client that cannot take one yet gets a newer one instead. One that is refused (nothing
            has begun yet, a log is full) need not be yielded. So a source that must not wait, because it reads what its
            own client sends, offers such pieces and yields only the first and the last.
Taps        `into.taps` is None, or takes a step at `relay.read` and `relay.event` for each read that brought text.
Queues      `into.opened` is given an object that tells what waits to be read, as soon as there is one.
Reason      `into.finished` is given the provider's own word for why it ended, if it has one: short and printable
            (`End.reason`). `into.noted` is given what was left out. Call both before returning or raising, after all
            pieces.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failure
from streamkit.taps import StreamTaps

__all__ = ["Arriving", "Into", "Offer", "Pieces", "Source", "Waiting"]

Pieces: TypeAlias = AsyncGenerator[list[Piece], None]
"""A source that has been asked for something; it runs when it is iterated."""

Source: TypeAlias = Callable[..., Pieces]
"""Called with whatever it needs, and with an `Into` as the last argument."""

Offer: TypeAlias = Callable[[list[Piece]], bool]
"""Takes pieces in the callback that reads them; False if they have to wait, and then nothing was done."""


class Waiting(Protocol):
    """Something that tells how much waits to be read, such as `streamkit.transport.Body`."""

    @property
    def waiting_bytes(self) -> int:
        """How much was read off the connection, but not yet by the source."""

    def unread_bytes(self) -> int | None:
        """How much has not yet been read off the connection; None if that cannot be known."""


class Arriving(Protocol):
    """A request's body while it arrives: `async for data in body` gives its bytes as they come, once.

    If the loop ends, the body came whole. It raises Failed if it does not, or exceeds a bound; what had come until then
    is counted in `received`.
    """

    content_type: str
    """Its media type as sent; "" if there was none."""
    length: int | None
    """Its length as announced by the request's head; None if it was not."""
    received: int
    """How many bytes have come."""

    def cut(self) -> Failure | None:
        """Called when the sender is gone: any task that waits for more of it stops waiting.

        Returns how it failed; None if all of it had come.
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes, in parts of some kilobytes that are never empty."""


def _refuse(_: list[Piece]) -> bool:
    return False


def _refuse_texts(_: list[str]) -> bool:
    return False


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Into:
    """What a source is given of the stream that it fills; the module says how each is used.

    offer        takes a list of pieces at once, or returns False
    offer_texts  the same for texts
    taps         the stream's taps; None if it is not traced
    opened       to be given an object that tells what waits to be read
    finished     to be given the provider's word for why it ended
    noted        to be given what was left out
    thinking     to be called when the answer goes on with something that no client gets

    A bare `Into()` takes nothing at once, and keeps no taps.
    """

    offer: Offer = _refuse
    taps: StreamTaps | None = None
    opened: Callable[[Waiting], None] = _nobody
    finished: Callable[[str], None] = _nobody
    noted: Callable[[list[str]], None] = _nobody
    thinking: Callable[[], None] = _nobody
    offer_texts: Callable[[list[str]], bool] = _refuse_texts
