"""RedisStore: the logs of all workers of a relay, in one Redis. What outlives a worker is what it has written.

Theory of operation
-------------------
A worker has two connections, however many streams and readers it has: one for commands (`redis_commands`), whose rounds
write what is pending of all its streams at once, and one that is blocked in a read (`redis_tail`). What is kept there,
and how that keeps a dead worker from writing on, says `redis_keys`.

a worker that      lets its lease go: it is renewed every fifth of `resume_lease_s`, and over after seven tenths.
is dead            Workers with readers of its streams look every tenth, and write the end `producer_lost`; who asks for
                   one of them does at once. The first end counts, whoever writes it.
a worker that      finds the end when it writes on, or renews its lease, and stops its producers.
was thought dead
Redis that is      every log of this worker ends as `store_lost` here, and its name is given up: its old lease runs out,
lost               so that other workers end what it left. Under a new name it goes on when Redis is back.
readers elsewhere  each worker tells how many it has of a stream, and what all of them have got: before the first of
                   them reads, and when that changes.

All keys have a time to live. One server, or one with replicas; no cluster (see `redis_scripts`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakValueDictionary

from streamkit.relay.failure import SHUT_DOWN, Failed
from streamkit.relay.replay.end import PRODUCER_LOST, STORE_LOST, StreamEnd
from streamkit.relay.replay.log import Log
from streamkit.relay.replay.redis_commands import Address, Command, Commands, Request
from streamkit.relay.replay.redis_keys import (
    WORKERS,
    control_key,
    entry,
    is_stream_id,
    lease_key,
    log_key,
    readers_key,
)
from streamkit.relay.replay.redis_log import Home, RedisLog, TotalQuota
from streamkit.relay.replay.redis_scripts import CREATE, END, FIND, FORGET, READERS, REFRESH, RENEW
from streamkit.relay.replay.redis_tail import Tail
from streamkit.relay.replay.store import EXPIRED, FULL, KEY_REUSED, UNKNOWN, Claim, Created
from streamkit.relay.settings import Resuming

__all__ = ["RedisStore"]

BEAT_S: Final = 0.2
"""How often, at most, a worker tells of its readers; leases are looked after at least as often as they need."""
LOOK_S: Final = 0.25
"""How often a worker asks for readers of its streams elsewhere."""
STOP_S: Final = 0.5
CATCH_UP_S: Final = 2.0
LEASE: Final = 0.7
"""Of `resume_lease_s`; the rest is for those who have to notice."""


class RedisStore:
    """See `streamkit.relay.replay.store.Store`. `url` as redis-py has it: `redis://host:6379/0`, `rediss://`, `unix://`.

    Raises ConfigError for a URL that is none, and where redis-py is not installed.
    """

    shared = True

    def __init__(self, url: str, settings: Resuming) -> None:
        self._address = Address(url)
        self._settings = settings
        self._worker = _fresh_name()
        self._leased_as = ""
        self._stop: Callable[[str], object] = _nobody
        self._commands = Commands(self._address, self._gather, self._lost)
        self._tail = Tail(self._address, lambda: self._worker, self._asked, self._lost)
        self._home = Home(
            self._commands,
            settings,
            TotalQuota(settings.resume_max_total_bytes),
            self._has_pending,
            self._wants_look,
            self._readers_changed,
            self._ended,
            self._lost,
        )
        self._logs: WeakValueDictionary[str, RedisLog] = WeakValueDictionary()
        self._produced: dict[str, RedisLog] = {}
        self._kept: dict[str, RedisLog] = {}  # was produced here, and counts
        self._pending: dict[str, RedisLog] = {}
        self._looking: dict[str, RedisLog] = {}
        self._reports: dict[str, tuple[int, int]] = {}
        self._housekeeper: asyncio.Task[None] | None = None
        self._due: dict[str, float] = {}

    @property
    def reachable(self) -> bool:
        """Redis has answered, and has since not failed to: it is asked again each fifth of the lease at least."""
        return self._leased_as == self._worker

    async def open(self, stop: Callable[[str], object]) -> None:
        """Where Redis cannot be reached now, it is tried again and again: until then nothing can be made or found."""
        self._stop = stop
        self._commands.start()
        with contextlib.suppress(Failed):
            await self._renew()
        self._tail.start()
        self._housekeeper = asyncio.get_running_loop().create_task(self._keep_house())

    async def close(self) -> None:
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.wait([self._housekeeper])
            self._housekeeper = None
        await self._tail.close()
        worker = self._worker
        with contextlib.suppress(Failed, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._commands.ask(("DEL", lease_key(worker), control_key(worker)), ("SREM", WORKERS, worker))
        await self._commands.close()
        self._leave(StreamEnd(SHUT_DOWN))

    # --- The protocol of stores ---------------------------------------------------------------------------------------

    async def create(self, stream_id: str, owner: str, claim: Claim | None) -> Created:
        for _ in range(3):
            if self._leased_as != self._worker:
                await self._renew()
            if not self._home.total.left:
                raise Failed(FULL)
            log = self._logs[stream_id] = RedisLog(stream_id, self._worker, self._home)
            key, body = (claim.key, claim.body) if claim is not None else ("", "")
            try:
                (reply,) = await self._commands.ask(
                    ("EVAL", CREATE, 0, stream_id, owner, log.worker, key, body, self._running_ms)
                )
            except BaseException:
                self._logs.pop(stream_id, None)
                raise
            if reply[0] == b"fresh":
                if log.end is not None:  # Redis was lost meanwhile, and is back
                    raise Failed(STORE_LOST)
                self._produced[stream_id] = self._kept[stream_id] = log
                return Created(log, fresh=True)
            self._logs.pop(stream_id, None)
            if reply[0] == b"reused":
                raise Failed(KEY_REUSED)
            found = await self._find(reply[1].decode(), None)
            nothing_came = found.end is not None and found.end.failed is not None and not found.last
            if not nothing_came:
                return Created(found, fresh=False)
        raise Failed(STORE_LOST)

    async def find(self, stream_id: str, owner: str) -> Log:
        return await self._find(stream_id, owner)

    async def ask_to_stop(self, log: Log) -> None:
        assert isinstance(log, RedisLog)  # noqa: S101  # of this store
        await self._say(log.worker, "stop", log.id)
        until_s = _now() + STOP_S
        while log.end is None and _now() < until_s:
            await asyncio.sleep(STOP_S / 25)
            if log.id not in self._tail.followed:
                await self._find(log.id, None)

    async def forget(self, log: Log) -> None:
        (worker,) = await self._commands.ask(("EVAL", FORGET, 0, log.id, self._keep_ms))
        self._logs.pop(log.id, None)
        if log.id in self._kept:
            self._kept.pop(log.id).release()
        elif worker is not None:
            await self._say(worker.decode(), "forget", log.id)

    def expires_in_s(self, log: Log) -> float | None:
        assert isinstance(log, RedisLog)  # noqa: S101  # of this store
        return None if log.until_s is None else max(0.0, log.until_s - _now())

    # --- Finding ------------------------------------------------------------------------------------------------------

    async def _find(self, stream_id: str, owner: str | None) -> RedisLog:
        """`owner` None: whoever asks is known to be it."""
        if not is_stream_id(stream_id):
            raise Failed(UNKNOWN)
        (reply,) = await self._commands.ask(
            ("EVAL", FIND, 0, stream_id, StreamEnd(PRODUCER_LOST).dumped(), self._keep_ms, self._worker)
        )
        if reply is None or (owner is not None and not hmac.compare_digest(reply[0], owner.encode())):
            raise Failed(UNKNOWN)
        if len(reply) == 1:
            raise Failed(EXPIRED)
        _, worker, oldest, newest, head, end, live_ms, readers = reply
        last, text = int(newest.partition(b"-")[0]), int(head.rpartition(b":")[2])
        log = self._logs.get(stream_id)
        if log is None:
            log = self._logs[stream_id] = RedisLog(stream_id, worker.decode(), self._home, 1, last, text)
        if stream_id in self._tail.followed:
            # Its reader may have got from another worker what this one has not read yet.
            await log.reached(last, ended=bool(end), within_s=CATCH_UP_S)
        else:
            if log.end is None and stream_id not in self._produced:
                log.stands_at(last, text)
            if end:
                log.close(StreamEnd.loaded(end))
        if log.worker != self._worker:
            log.readers_elsewhere = readers
        log.is_first(int(oldest.partition(b":")[0]))
        if end and log.end is not None:
            log.until_s = _now() + live_ms / 1000
        return log

    async def _say(self, worker: str, word: str, stream_id: str) -> None:
        await self._commands.ask(*self._word(worker, word, stream_id))

    def _word(self, worker: str, word: str, stream_id: str) -> list[Command]:
        """To a worker, on its control stream."""
        key = control_key(worker)
        return [("XADD", key, "MAXLEN", "~", 1000, "*", word, stream_id), ("PEXPIRE", key, self._control_ms)]

    def _asked(self, word: bytes, stream_id: str) -> None:
        """Somebody has said so to this worker. Else it was woken, and that is all."""
        if word == b"stop" and stream_id in self._produced:
            self._stop(stream_id)
        elif word == b"forget" and stream_id in self._kept:
            self._logs.pop(stream_id, None)
            self._kept.pop(stream_id).release()

    # --- What logs tell -----------------------------------------------------------------------------------------------

    def _has_pending(self, log: RedisLog) -> None:
        self._pending[log.id] = log
        self._commands.wake()

    def _wants_look(self, log: RedisLog) -> None:
        if log.id not in self._looking:
            self._looking[log.id] = log
            self._commands.wake()

    def _readers_changed(self, log: RedisLog, position: int | None) -> asyncio.Future[None] | None:
        """Follow what is produced elsewhere for as long as somebody reads it here. Redis is told at once of a reader
        behind all that it knows of, and when the last one has left; of all else with the next beat.
        """
        if log.end is not None or self._logs.get(log.id) is not log or log.id in self._produced:
            return None
        if not log.readers_here:
            self._tail.followed.pop(log.id, None)
            self._commands.send(Request(self._report(log, 0, 0), _nobody))
            return None
        if log.id not in self._tail.followed:
            self._tail.followed[log.id] = log
            self._commands.send(Request(self._word(self._worker, "wake", ""), _nobody))
        known = self._reports.get(log.id)
        if position is None or (known is not None and known[1] <= position):
            return None
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._commands.send(Request(self._report(log, log.readers_here, position), lambda _: told.set_result(None)))
        return told

    def _ended(self, log: RedisLog) -> None:
        self._tail.followed.pop(log.id, None)
        self._reports.pop(log.id, None)
        if self._produced.pop(log.id, None) is not None and not log.finishing:
            self._stop(log.id)  # it was not its producer who ended it

    def _news(self, log: RedisLog) -> list[Command]:
        """What Redis is to be told of the readers here, if that has changed. What those of its own streams have taken a
        worker knows, and tells only how many they are.
        """
        told = (log.readers_here, 0 if log.id in self._produced else log.taken() or 0)
        return [] if self._reports.get(log.id, (0, 0)) == told else self._report(log, *told)

    def _report(self, log: RedisLog, readers: int, taken: int) -> list[Command]:
        key = readers_key(log.id)
        if not readers:
            self._reports.pop(log.id, None)
            return [("HDEL", key, self._worker)]
        self._reports[log.id] = readers, taken
        return [("HSET", key, self._worker, f"{readers}:{taken}"), ("PEXPIRE", key, self._running_ms)]

    def _gather(self) -> list[Request]:
        """What goes first with the next round: what is pending, and looks for readers elsewhere."""
        requests = []
        pending, self._pending = self._pending, {}
        for log in pending.values():
            if (request := log.to_write()) is not None:
                requests.append(request)
        if self._looking:
            looking, self._looking = self._looking, {}
            requests.append(self._look(list(looking.values()), asked=True))
        return requests

    def _look(self, logs: list[RedisLog], *, asked: bool) -> Request:
        def seen(replies: list[Any] | None) -> None:
            if replies is None or isinstance(replies[0], Exception):
                return
            found = replies[0]
            for log, readers, lowest in zip(logs, found[::2], found[1::2], strict=True):
                log.seen_elsewhere(readers, int(lowest) if lowest else None, asked=asked)

        return Request([("EVAL", READERS, 0, self._worker, *(log.id for log in logs))], seen)

    # --- What has to be done again and again --------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        beat_s = min(BEAT_S, self._settings.resume_lease_s * 0.1)
        while True:
            await asyncio.sleep(beat_s)
            try:
                await self._beat()
            except Failed:
                self._due.clear()

    async def _beat(self) -> None:
        lease_s = self._settings.resume_lease_s
        if self._is_due("lease", lease_s * 0.2):
            await self._renew()
        for log in (*self._tail.followed.values(), *self._produced.values()):
            if news := self._news(log):
                self._commands.send(Request(news, _nobody))
        if self._tail.followed and self._is_due("others", lease_s * 0.1):
            await self._look_for_the_dead()
        if self._produced and self._is_due("readers", LOOK_S):
            self._commands.send(self._look(list(self._produced.values()), asked=False))
        if self._produced and self._is_due("refresh", self._running_ms / 4000):
            await self._commands.ask(("EVAL", REFRESH, 0, self._running_ms, *self._produced))
        for stream_id, log in tuple(self._kept.items()):
            if log.until_s is not None and log.until_s <= _now():
                self._kept.pop(stream_id).release()
            elif log.end is not None and not log.readers_here:
                log.let_go()

    def _is_due(self, what: str, every_s: float) -> bool:
        now = _now()
        if self._due.get(what, 0.0) > now:
            return False
        self._due[what] = now + every_s
        return True

    async def _renew(self) -> None:
        worker, used = self._worker, self._home.total.used
        (reply,) = await self._commands.ask(("EVAL", RENEW, 0, worker, used, self._lease_ms, self._control_ms))
        self._leased_as = worker
        held, elsewhere = reply
        self._home.total.elsewhere = int(elsewhere)
        if not held:  # others may have ended what is produced here
            for stream_id, log in tuple(self._produced.items()):
                (found,) = await self._commands.ask(("XREVRANGE", log_key(stream_id), "+", "-", "COUNT", 1))
                newest = entry(found[0]).end if found else StreamEnd(STORE_LOST)
                if newest is not None:
                    log.close(newest)

    async def _look_for_the_dead(self) -> None:
        """And end what they have left; the end comes as all that comes: by the tail, behind what they wrote before."""
        followed = tuple(self._tail.followed.values())
        workers = sorted({log.worker for log in followed})
        there = await self._commands.ask(
            *(("EXISTS", lease_key(worker)) for worker in workers), *(("EXISTS", log_key(log.id)) for log in followed)
        )
        dead = {worker for worker, alive in zip(workers, there, strict=False) if not alive}
        for log, kept in zip(followed, there[len(workers) :], strict=True):
            if not kept:
                log.close(StreamEnd(STORE_LOST))
            elif log.worker in dead:
                await self._commands.ask(("EVAL", END, 0, log.id, StreamEnd(PRODUCER_LOST).dumped(), self._keep_ms))

    def _lost(self) -> None:
        """Nothing of what this worker has is to be trusted any more; see above."""
        self._worker = _fresh_name()
        self._leave(StreamEnd(STORE_LOST))

    def _leave(self, end: StreamEnd) -> None:
        """All streams that run, for their readers and producers here, and what is known of the others."""
        logs = {*self._logs.values(), *self._produced.values(), *self._tail.followed.values()}
        self._logs.clear()
        for log in logs:
            log.close(end)
        for log in self._kept.values():
            log.release()
        for each in (self._produced, self._kept, self._pending, self._looking, self._reports, self._tail.followed):
            each.clear()

    # --- Times --------------------------------------------------------------------------------------------------------

    @property
    def _keep_ms(self) -> int:
        return max(1, round(self._settings.resume_keep_s * 1000))

    @property
    def _lease_ms(self) -> int:
        return max(1, round(self._settings.resume_lease_s * LEASE * 1000))

    @property
    def _control_ms(self) -> int:
        return max(10_000, 4 * self._lease_ms)

    @property
    def _running_ms(self) -> int:
        """How long what runs stands in Redis without being looked after."""
        return self._keep_ms + max(10_000, 4 * self._lease_ms)

    def __repr__(self) -> str:
        return f"<RedisStore: {self._address!r}, {len(self._produced)} produced here, {len(self._tail.followed)} read>"


def _fresh_name() -> str:
    return secrets.token_hex(8)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _nobody(_: object) -> None:
    """Nobody wants to know."""
