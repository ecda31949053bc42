"""What a source is: the one protocol between where pieces come from and how they leave.

    async def numbers(upto: int, into: Into) -> Pieces:
        for number in range(upto):
            pieces = [Piece(f"{number} ")]
            if not into.offer(pieces):
                yield pieces

A source is an async generator of lists of pieces. Whoever runs it (a delivery, a store that is replayed later) and
whoever writes one (an LLM's answer, an upload, a job, a stored stream) need to know the following of each other, and
nothing else.

Pieces      One list for what one read brought: what came together leaves together. An empty list says that the other
            side lives though no text came: from the first piece on it starts the `idle` deadline anew.
Thinking    Of an answer that goes on with what no client is to get (reasoning that is not passed on), `into.thinking`
            is called, before its list, from the same places as `offer`: the `first_piece` deadline starts anew.
            Comments, heartbeats and events of which nothing would ever be shown are no such sign.
Offering    A source may offer a list first, by `into.offer`, from any callback of the loop, best the very one that read
            it: so most pieces never wake a task, which costs more than all else that is done with them. True: it is
            taken, in order. False: nothing was done; that very list has to be yielded next, and nothing may be offered
            before the generator is resumed, or pieces would overtake each other. What `offer` raises belongs to the
            one who iterates. A source that never offers is as right, and slower.
Texts       `into.offer_texts` takes what one read brought as texts, each a piece with nothing beside it, where that is
            all the same to whoever runs it. False: nothing was done, and the same is offered, or yielded, as pieces.
Waiting     While a list that was yielded has not been taken, the generator is not resumed: that is back-pressure, and
            a source passes it on by not reading.
The end     To return says: complete, and proven. Everything else is raised: `Failed`, whose `Failure` says how the
            stream ended and what a client may be told; behind the last pieces, not instead of them. Any other exception
            is a bug, and the client is told no more than that.
Closing     `aclose()`, or the cancellation of the task that iterates, ends it at any await: a client left, a deadline
            passed, the server stops. It lets go of all it holds (its upstream's connection, say), offers nothing from
            then on, and asks nobody anything. It is closed in every case, but if it was never iterated that runs none
            of its code: so it holds nothing before.
Deadlines   They are not the source's business, but for those that nobody else can see, such as how long connecting
            takes: whoever runs it cancels it.
States      Pieces that tell how something stands (`streamkit.relay.pieces`: Snapshot, Progress), in a list of their
            own, make nobody wait: who cannot take one yet gets a newer one in its place. One that is refused (nothing
            has begun yet, a log is full) need not be yielded. So a source that must not wait, as it reads what its own
            client sends, offers such pieces and yields nothing but the first and the last.
Taps        `into.taps` is None or takes a step at `relay.read` and `relay.event` for each read that brought text.
Queues      `into.opened` is told what waits to be read, as soon as there is something that can tell.
Reason      `into.finished` is told why the source ended, in its provider's own word, where it gives one: a short,
            printable one (`End.reason`), and `into.noted` what it left out. Before it returns or raises, behind all
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
"""A source that was asked, and runs when it is iterated."""

Source: TypeAlias = Callable[..., Pieces]
"""Asked with whatever it needs, and at last with an `Into`."""

Offer: TypeAlias = Callable[[list[Piece]], bool]
"""Takes pieces in the very callback that reads them; False, and nothing done, where they have to wait."""


class Waiting(Protocol):
    """What waits to be read, such as `streamkit.transport.Body`."""

    @property
    def waiting_bytes(self) -> int:
        """Read off the connection, and not yet by the source."""

    def unread_bytes(self) -> int | None:
        """Not yet read off the connection; None where that cannot be known."""


class Arriving(Protocol):
    """A request's body while it arrives: iterated once, it gives its bytes as they come, and then it was whole.

    Iterating raises Failed where it does not come whole, or breaks a bound: what came until then stays `received`.
    """

    content_type: str
    """As it was sent; "" for none."""
    length: int | None
    """What its head announces, where it does."""
    received: int
    """Bytes that have come."""

    def cut(self) -> Failure | None:
        """Nobody is there any more who sends: who waits for more of it, in whichever task, waits no longer. Returns how
        it failed; None where all of it had come.
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes; each part is of some kilobytes, and never empty."""


def _refuse(_: list[Piece]) -> bool:
    return False


def _refuse_texts(_: list[str]) -> bool:
    return False


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Into:
    """What a source is given of the stream that it fills. `Into()` takes nothing at once, and keeps no taps."""

    offer: Offer = _refuse
    taps: StreamTaps | None = None
    opened: Callable[[Waiting], None] = _nobody
    finished: Callable[[str], None] = _nobody
    noted: Callable[[list[str]], None] = _nobody
    thinking: Callable[[], None] = _nobody
    offer_texts: Callable[[list[str]], bool] = _refuse_texts
