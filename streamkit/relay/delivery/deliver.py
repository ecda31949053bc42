"""How a stream leaves: a source, run into the client's answer under its policy and its deadlines, and how that ended.

delivery = Delivery(request, stream, policy)                    # what the client takes, and how
ended = await delivery.run(llm(upstream, question, delivery.into))
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final, NamedTuple

from sanic import HTTPResponse, Request

from streamkit.inside_sanic import left_at_ns, transport_of
from streamkit.outcome import Outcome
from streamkit.relay.counting.counts import Counts
from streamkit.relay.delivery.answer import Answer, problem
from streamkit.relay.delivery.counted import CountedAnswer
from streamkit.relay.delivery.format import negotiate
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import Policy, preferred
from streamkit.relay.delivery.portion import WHOLE, Portion
from streamkit.relay.delivery.queues import Queues
from streamkit.relay.failure import SHUT_DOWN, Failed, Failure, internal, timed_out
from streamkit.relay.settings import DEFAULTS, Settings
from streamkit.relay.sources.source import Into, Pieces
from streamkit.relay.stream import Stream
from streamkit.sockets import set_buffers

__all__ = ["Delivery", "Ended", "deliver", "refused"]

COMPLETE: Final = Outcome("complete")
LAST_WORDS_S: Final = 1.0
"""How long a stream may take for its end whose time is over: the whole of it, or the server's."""


class Ended(NamedTuple):
    """How a stream ended: `code` is the failure's, `response` still has to be sent as the whole answer."""

    outcome: Outcome
    code: str = ""
    response: HTTPResponse | None = None


def refused(failure: Failure, stream: Stream) -> Ended:
    """A stream of which nothing has left."""
    stream.record.why = failure.why
    return Ended(failure.outcome, failure.code, problem(failure, stream.id))


class Delivery:
    """The way of `stream` to the client that sent `request`.

    What the client asks for, of what there is, is read off the request: its format (Accept), and a policy in the place
    of `policy` (Prefer). `portion` says which part of the stream it is to get. Raises sanic.exceptions.InvalidHeader
    for an Accept that is none.

    `into` is what a source is given; `queues` are for the gauges.
    """

    def __init__(self, request: Request, stream: Stream, policy: Policy, portion: Portion = WHOLE) -> None:
        self._stream = stream
        self._portion = portion
        self._request = request
        self._transport = transport_of(request)
        self._form = negotiate(request, portion)
        wish = _wish(request, stream.settings)
        self._policy = wish or policy
        if self._policy.name == "latest" and not self._form.tells_drops:
            self._policy, wish = Policy("pause"), None
        asked = (request, self._form.content_type, stream.id, wish, portion)
        if stream.counts is None:
            self._answer = Answer(*asked)
        else:
            self._answer = CountedAnswer(stream.counts, stream.record.started_ns, self._form.heartbeat, *asked)
        deadlines, after_s = stream.settings.deadlines, self._policy.after_s
        self._outlet = Outlet(
            self._answer,
            self._form,
            self._policy.queue(stream.settings.limits.max_pending_bytes),
            deadlines if after_s is None else replace(deadlines, write_stall_s=after_s),
            stream.taps,
        )
        self.queues = Queues(self._answer, self._outlet)
        self.into = Into(
            self._outlet.offer,
            stream.taps,
            self.queues.opened,
            thinking=self._outlet.thinking,
            finished=self._outlet.finished,
            noted=stream.record.notes.extend,
            offer_texts=self._outlet.offer_texts,
        )

    def in_flight(self) -> int | None:
        """Bytes that were taken from the source and may not have arrived; None where that cannot be known."""
        return self._outlet.in_flight()

    def run(self, pieces: Pieces) -> Coroutine[None, None, Ended]:
        """Deliver all of it, to be awaited at once; what left, and how, is then in the stream's record."""
        buffers = self._stream.settings.buffers
        if buffers is not DEFAULTS.buffers and buffers != DEFAULTS.buffers:
            set_buffers(
                self._transport,
                send_buffer_bytes=buffers.send_buffer_bytes,
                write_buffer_bytes=buffers.write_buffer_bytes,
            )
        delivered = deliver(pieces, self._outlet, self._stream, self._portion, self._note)
        return delivered if self._stream.counts is None else self._counted(delivered, self._stream.counts)

    async def _counted(self, delivered: Coroutine[None, None, Ended], counts: Counts) -> Ended:
        counts.begins(self)
        try:
            return await delivered
        except asyncio.CancelledError:
            if not self._portion.name and (left_ns := left_at_ns(self._request)):
                counts.source_close.add(time.monotonic_ns() - left_ns)
            raise
        finally:
            counts.ends(self)

    def flow(self) -> tuple[int, int, int, int, int]:
        """See `streamkit.relay.counting.counts.Flowing`."""
        outlet, answer = self._outlet, self._answer
        waiting = outlet.pending_bytes + self._transport.get_write_buffer_size()
        return outlet.held_ns, answer.wrote, outlet.sent, outlet.dropped, waiting

    def _note(self) -> None:
        record, answer, outlet = self._stream.record, self._answer, self._outlet
        record.format = self._form.content_type.partition(";")[0]
        record.policy = str(self._policy)
        record.finish_reason = outlet.finish_reason
        record.pieces, record.dropped = outlet.sent, outlet.dropped
        record.held_ns = outlet.held_ns
        record.wrote_bytes = answer.wrote
        record.after = self._portion.after
        record.first_piece_ns = answer.started_ns if outlet.sent else 0
        record.status = self._portion.status if answer.started else record.status


def _wish(request: Request, settings: Settings) -> Policy | None:
    """The policy that the request asks for, as it may have it."""
    wish = preferred(request.headers.get("prefer", ""))
    return wish and wish.within(settings.limits.max_pending_bytes, settings.deadlines.write_stall_s)


async def deliver(
    pieces: Pieces,
    outlet: Outlet,
    stream: Stream,
    portion: Portion = WHOLE,
    note: Callable[[], None] | None = None,
) -> Ended:
    """Run a source into `outlet` under its deadlines; `note` is called when that is over, however it ended.

    Nothing piles up between them beyond what the outlet's policy allows: reading waits for it. CancelledError (the
    client left) passes through, after the source is closed; unless it is `stream.stop`'s.
    """
    watch = outlet.watch
    of_stream = not portion.name  # whatever ends the answer ends the stream
    try:
        with outlet:
            try:
                async with watch:
                    try:
                        if portion.begun:
                            await outlet.begin()
                        async for batch in pieces:
                            await outlet.put(batch)
                        await outlet.finish()
                    finally:
                        await pieces.aclose()
            except Failed as error:
                failure, of_stream = error.failure, True
            except TimeoutError as error:
                failure = timed_out(watch.fired) if watch.fired else internal(error)
            except asyncio.CancelledError:
                if not stream.is_told_to_stop():
                    raise
                failure = SHUT_DOWN
            except Exception as error:  # noqa: BLE001  # whatever went wrong here, Sanic would end the answer as if it were whole
                failure = internal(error)
            else:
                return Ended(COMPLETE)
            stream.record.why = failure.why
            if watch.fired == "write_stall" or (outlet.started and not of_stream):
                outlet.cut()
                return Ended(failure.outcome, failure.code)
            return Ended(failure.outcome, failure.code, await _last_words(failure, outlet, stream))
    finally:
        if note is not None:
            note()


async def _last_words(failure: Failure, outlet: Outlet, stream: Stream) -> HTTPResponse | None:
    """What came before the failure still leaves, if the client takes it, and then that it failed."""
    over = failure is SHUT_DOWN or outlet.watch.fired == "total"
    try:
        return await outlet.fail(failure, LAST_WORDS_S if over else None)
    except asyncio.CancelledError:
        if not stream.is_told_to_stop():
            raise
        outlet.cut()  # the server does not wait
        return None
