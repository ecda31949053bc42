"""The timeout map: silences of several lengths, wherever a stream can fall silent, against several relays.

    found = await sk.experiments.timeout_map(T_s=0.5)
    print(found.finding)
    sk.plots.outcomes(found)

Every timer of every relay is set to the same T, so the map shows which one fires where, and when. Each cell is a few
streams of their own, which differ in the `phase`: how long after its connection was made the request is sent. A timer
that is polled from the connection's start, as Sanic's are every T / 2, fires between 1.0 and 1.5 × T, depending on it.

Three relays are compared: `ours`; `Sanic + httpx`, with all timeouts of both at T (`naive.stock`); and `Sanic alone`,
the same with httpx's timeout off, as most examples for LLMs have it. Where both watch, httpx's is a little earlier,
and hides the band; only of a client that does not read it knows nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from urllib.parse import quote

from sanic import HTTPResponse, Request, Sanic

from streamkit.app import create_app
from streamkit.inside_sanic import keep_plain
from streamkit.lab.arguments import check_number, check_whole
from streamkit.lab.bar import plain_bar
from streamkit.lab.client.looplag import LoopLag, watch_loop
from streamkit.lab.client.pace import Reader
from streamkit.lab.client.record import record
from streamkit.lab.experiments.naive import stock
from streamkit.lab.experiments.timeouts import OURS, PLACES, Place, Silence, SilenceCell, TimeoutMap, Times, judged
from streamkit.lab.net import Network
from streamkit.lab.recording.recording import Recording
from streamkit.lab.server_taps import fetcher, joined
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from streamkit.sockets import set_buffers
from streamkit.taps import STREAM_ID_HEADER

__all__ = ["LENGTHS", "RELAYS", "timeout_map"]

RELAYS: Final = (OURS, "Sanic + httpx", "Sanic alone")
LENGTHS: Final = (0.5, 0.75, 0.9, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0)
LEAD_S: Final = 0.1  # a client that will not read has to get its first piece before
SPREAD_S: Final = 0.01  # between two streams' starts: the making of a hundred connections is not to be measured
COMMENT: Final = b": thinking\n\n"  # no piece, but it makes the head leave
ROUNDS: Final = 3
PATIENCE: Final = 10.0  # × the longest silence, and a few seconds: then the client gives up


async def timeout_map(
    T_s: float = 0.5,  # noqa: N803  # as in all that is said about it
    lengths: Sequence[float] = LENGTHS,
    *,
    places: Sequence[Place] = PLACES,
    relays: Sequence[str] = RELAYS,
    phases: int = 4,
    progress: bool = True,
) -> TimeoutMap:
    """Ask relays for silences of several lengths, wherever a stream can fall silent, and see what their clients get.

        found = await sk.experiments.timeout_map(T_s=0.5, lengths=(0.5, 1.2, 2.0))

    T_s       what all timers of the relays are set to, in seconds
    lengths   how long the silences last, in units of T
    places    where they are: "before head", "before first piece", "between events", "blocked write"
    relays    which relays are asked: "ours", "Sanic + httpx", "Sanic alone"
    phases    how many streams for each cell; their requests are sent 0 … T / 2 after their connections were made
    progress  show a progress bar

    The streams of one relay all run at the same time, one relay after the other; upstream and relay have a thread each.
    Streams during which the machine was late by more than T / 10 are asked for again, up to twice. It takes a minute or
    less.

    Raises ValueError for arguments that make no sense, TypeError for what should be a number and is not.
    """
    _check(T_s, lengths, places, relays, phases)
    numbers = itertools.count(1)
    silences = [
        Silence(next(numbers), place, length * T_s, phase * T_s / 2 / phases)
        for length, place, phase in itertools.product(lengths, places, range(phases))
    ]
    cells: list[SilenceCell] = []
    with plain_bar(len(relays) * len(silences), unit="streams", shown=progress) as show:
        for relay in relays:
            before = len(cells)
            cells += await _run(relay, T_s, silences, lambda done: show(before + done, relay))  # noqa: B023  # called here
    return TimeoutMap(T_s, tuple(cells))


# --- The upstream ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Kept:
    """When the request came, when the last was said before the silence (None: it was the request), and when the relay
    left, if it did before the end; monotonic ns. And how late this loop was.
    """

    asked_ns: int
    said_ns: int | None = None
    left_ns: int | None = None
    lag_ns: int = 0


_serial = itertools.count(1)


def _silent_upstream() -> Sanic[Any, Any]:
    """Falls silent as it is asked to; what came of it is `app.ctx.kept`, by number."""
    app: Sanic[Any, Any] = Sanic(f"streamkit_silences_{next(_serial)}", configure_logging=False)
    keep_plain(app)
    app.config.RESPONSE_TIMEOUT = 24 * 3600.0  # a silence may take its time
    app.ctx.kept = {}

    @app.post("/")
    async def speak(request: Request) -> None:
        form = request.form
        silence = Silence.asked(str(form.get("chat_history")) if form else "")
        kept = app.ctx.kept[silence.number] = _Kept(time.monotonic_ns())
        lag = LoopLag()
        try:
            with watch_loop() as lag:
                await _speak(request, silence, kept)
        except asyncio.CancelledError:
            kept.left_ns = time.monotonic_ns()
            raise
        finally:
            kept.lag_ns = lag.worst_ns

    return app


async def _speak(request: Request, silence: Silence, kept: _Kept) -> None:
    form = writer("seed")
    before, flood, afterwards = ([form.piece(text, 0) for text in pieces] for pieces in silence.pieces)
    response: HTTPResponse | None = None
    if silence.place != "before head":
        response = await request.respond(content_type=form.content_type)
        kept.said_ns = time.monotonic_ns() if before else None
        for data in before or [COMMENT]:
            await response.send(data)
    if response is not None and flood:
        await asyncio.sleep(LEAD_S)
        kept.said_ns = time.monotonic_ns()
        await response.send(b"".join(flood))
    await asyncio.sleep(silence.length_s)
    response = response or await request.respond(content_type=form.content_type)
    for data in afterwards:
        await response.send(data)
    await response.eof()


# --- The relays -----------------------------------------------------------------------------------------------------


def _start(relay: str, upstream: str, T_s: float) -> Server:  # noqa: N803  # as above
    """On a unix socket that holds next to nothing, so that a client that does not read is felt at once."""
    small = Network.of("small-buffers")
    if relay == OURS:
        timers = {"connect_s": T_s, "first_piece_s": T_s, "idle_s": T_s, "write_stall_s": T_s}
        settings: dict[str, Any] = {**timers, **small.settings(), "preset": "seed", "total_s": 0, "heartbeat_s": 0}
        settings["trace"] = True  # its own word of a stream is kept with the stream's taps
        return serve(partial(create_app, upstream=upstream, **settings), unix=True)
    return serve(partial(_small_stock, upstream, T_s, httpx_timeout=relay == "Sanic + httpx"), unix=True)


def _small_stock(upstream: str, T_s: float, *, httpx_timeout: bool) -> Sanic[Any, Any]:  # noqa: N803  # as above
    app = stock(upstream, T_s, httpx_timeout=httpx_timeout)
    small = Network.of("small-buffers")

    @app.on_request
    async def hold_little(request: Request) -> None:
        transport = cast("asyncio.WriteTransport", cast("Any", request.transport))  # Sanic types it as a server's
        set_buffers(transport, send_buffer_bytes=small.send_buffer_bytes, write_buffer_bytes=small.write_buffer_bytes)

    return app


async def _run(
    relay: str,
    T_s: float,  # noqa: N803  # as above
    silences: Sequence[Silence],
    show: Callable[[int], None],
) -> list[SilenceCell]:
    cells: dict[int, SilenceCell] = {}
    over: set[int] = set()

    async def ask(silence: Silence, start_s: float) -> Recording:
        recording = await _ask(server, silence, start_s)
        over.add(silence.number)
        show(len(over))
        return recording

    with serve(_silent_upstream) as upstream, _start(relay, upstream.url, T_s) as server:
        assert upstream.app is not None  # noqa: S101  # it has a thread, no process
        for _ in range(ROUNDS):
            disturbed = [one for one in silences if _is_disturbed(cells.get(one.number), T_s)]
            if not disturbed:
                break
            asked = [ask(one, start_s=n * SPREAD_S) for n, one in enumerate(disturbed)]
            recordings = await asyncio.gather(*asked)
            for one, recording in zip(disturbed, recordings, strict=True):
                kept = upstream.app.ctx.kept.pop(one.number, None)
                cell = judged(relay, one, recording, _times_ms(recording, kept))
                cells[one.number] = min(cells.get(one.number, cell), cell, key=lambda cell: cell.late_ms)
    return [cells[one.number] for one in silences]


def _is_disturbed(cell: SilenceCell | None, T_s: float) -> bool:  # noqa: N803  # as above
    return cell is None or cell.late_ms > 100 * T_s


async def _ask(server: Server, silence: Silence, start_s: float) -> Recording:
    await asyncio.sleep(start_s)
    blocked = silence.place == "blocked write"
    recording = await record(
        f"{server.url}/ans",
        content=_form(silence),
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "text/event-stream"},
        reader=Reader(pauses_s={1: LEAD_S + silence.length_s}) if blocked else None,
        total_s=PATIENCE * silence.length_s + 5,
    )
    stream_id = recording.headers.get(STREAM_ID_HEADER)
    return recording if stream_id is None else await joined(recording, {"relay": fetcher(server.app, "")}, stream_id)


async def _form(silence: Silence) -> AsyncIterator[bytes]:
    """The connection is made for the first part, and the rest of the request comes `phase_s` later."""
    yield b"chat_history="
    await asyncio.sleep(silence.phase_s)
    yield quote(silence.question).encode()


def _times_ms(recording: Recording, kept: _Kept | None) -> Times:
    lag_ns = recording.meta.get("loop_lag_ns") or 0
    if kept is None:
        return Times(None, lag_ns / 1e6)
    sent_ns = recording.started_ns + (recording.sent_ns or 0)
    late_ms = max(lag_ns, kept.lag_ns, kept.asked_ns - sent_ns) / 1e6
    if kept.left_ns is None:
        return Times(None, late_ms)
    return Times((kept.left_ns - (kept.said_ns or sent_ns)) / 1e6, late_ms)


def _check(T_s: float, lengths: Sequence[float], places: Sequence[str], relays: Sequence[str], phases: int) -> None:  # noqa: N803  # as above
    check_number("T_s", T_s, "seconds", zero=False)
    for length in lengths:
        check_number("each of lengths", length, "units of T", zero=False)
    check_whole("phases", phases, least=1)
    if T_s >= 3600:
        raise ValueError(f"expected T_s as seconds below an hour, got {T_s!r}")
    if not lengths or not all(0 < length < 100 for length in lengths):
        raise ValueError(f"expected lengths in units of T, each > 0 and < 100, got {lengths!r}")
    if not places or not set(places) <= set(PLACES):
        raise ValueError(f"expected places out of {', '.join(PLACES)}, got {places!r}")
    if not relays or not set(relays) <= set(RELAYS):
        raise ValueError(f"expected relays out of {', '.join(RELAYS)}, got {relays!r}")
    if phases > 32:
        raise ValueError(f"expected phases as an integer from 1 to 32, got {phases!r}")
