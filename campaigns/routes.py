"""All routes but an LLM's, ill-treated: `python -m campaigns.routes [--runs 5000] [--seed 1] [--only SEED] [--quick]`.

    clients  --POST: uploads, jobs, live analysis, a source of one's own-->  a relay (a process), another that resumes

A run is one request: a route, a body (right, bad in places, or garbage; by its length or in chunks; as it is or in a
form; cut into parts anywhere), a reader (at once, slow, or only when all is sent), and, in every second one, a place
where its client leaves (in the head, in the body, with results, with all sent; by FIN, RST or half a close). Of the
relay that resumes, those who left with the name of their stream come back for the rest.

What has to hold: who stays gets one end, and no broken answer looks whole; a final result is right, computed here in
another way; no result of a job is missing, or comes twice; garbage has a name, and it is not `internal_error`. And
behind all of it nothing is left: no task, descriptor, stream or working process, and no memory to speak of. And 200
uploads at once, each as fast as it can, are all right, and none takes more than three times as long as another. The
framing is read by `visitor`: nothing here knows the relay's code. Exit status 1 if a claim is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, Literal

from campaigns.visitor import NDJSON, SSE, TEXT, Answer, Unreadable, parse
from campaigns.watched import Watched, watched_routes
from streamkit.serving.running import new_loop

__all__ = ["Case", "Tally", "Wrong", "case_of", "main", "run", "visit"]

Kind = Literal["csv", "lines", "digest", "analysis", "noisy", "fails", "own", "garbage"]
KINDS: Final[tuple[Kind, ...]] = ("csv", "lines", "digest", "analysis", "noisy", "fails", "own", "garbage")
PATHS: Final = {
    "csv": "/upload?process=csv&every=0.02",
    "lines": "/upload?process=lines&every=0.02",
    "digest": "/upload?process=digest&every=0.02",
    "analysis": "/analysis?every=0.02",
    "noisy": "/jobs",
    "fails": "/jobs",
    "own": "/own",
}
PHASES: Final = ("head", "body", "results", "sent")
HOWS: Final = ("FIN", "RST", "half")
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
BOUNDARY: Final = "campaign"
AT_ONCE: Final = 32
LIMIT_S: Final = 30.0
SETTINGS: Final = {"max_jobs": 3, "job_queue": 10_000}
KEEP_S: Final = 2.0
CROWD: Final = 200
CROWD_LINES: Final = 1 << 18
"""2 MiB each."""
UNFAIR: Final = 3
REST_S: Final = 15.0
MAX_GROWTH_BYTES: Final = 24 << 20
REFUSED: Final = frozenset(
    {"bad_form", "no_file", "several_files", "bad_csv_header", "too_many_columns", "unsupported_charset", "bad_json"}
)


# -- what happens ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """All that a seed stands for. `leave`: in which phase and how; None: it stays."""

    seed: int
    kind: Kind
    path: str
    content_type: str
    content: bytes
    body: bytes
    parts: tuple[int, ...]
    chunked: bool
    accept: str
    reads: Literal["at once", "slowly", "behind"]
    leave: tuple[str, str] | None

    @property
    def head(self) -> bytes:
        framing = "transfer-encoding: chunked" if self.chunked else f"content-length: {len(self.body)}"
        named = f"host: localhost\r\naccept: {self.accept}\r\ncontent-type: {self.content_type}\r\n{framing}"
        return f"POST {self.path} HTTP/1.1\r\n{named}\r\n\r\n".encode()

    def framed(self) -> list[bytes]:
        """What is sent behind the head, part by part."""
        parts = [self.body[start:end] for start, end in zip((0, *self.parts), (*self.parts, None), strict=True)]
        if not self.chunked:
            return parts
        return [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part] + [b"0\r\n\r\n"]


@lru_cache(maxsize=128)
def case_of(seed: int) -> Case:
    """The same for the same seed."""
    chance = random.Random(f"route {seed}")
    kind = chance.choice(KINDS)
    content = _content(kind, chance)
    path = PATHS[kind] if kind != "garbage" else chance.choice([PATHS[each] for each in ("csv", "digest", "analysis")])
    content_type = {
        "analysis": NDJSON,
        "csv": "text/csv",
        "noisy": "application/json",
        "fails": "application/json",
    }.get(kind, "application/octet-stream")
    body = content
    if kind == "garbage":
        content_type = chance.choice([f"multipart/form-data; boundary={BOUNDARY}", "text/csv", NDJSON, "x/y", "a;b=c"])
    elif kind in ("csv", "lines", "digest") and chance.random() < 0.3:
        content_type = f"multipart/form-data; boundary={BOUNDARY}"
        named = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\n'
        body = named.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    parts = sorted(chance.randrange(len(body) + 1) for _ in range(chance.choice((0, 0, 2, 10))))
    leave = (chance.choice(PHASES), chance.choice(HOWS)) if chance.random() < 0.5 else None
    reads: Any = chance.choice(("at once", "slowly", "behind"))
    chunked, accept = chance.random() < 0.5, chance.choice((SSE, NDJSON, TEXT))
    return Case(seed, kind, path, content_type, content, body, tuple(parts), chunked, accept, reads, leave)


def _content(kind: Kind, chance: random.Random) -> bytes:
    many = chance.choice((0, 3, 300, 5000))
    if kind == "csv":
        rows = [b"%d,%d" % (chance.randrange(9), chance.randrange(999)) for _ in range(many)]
        return b"\n".join([b"a,b", *(b"1,2,3" if chance.random() < 0.02 else row for row in rows), b""])
    if kind == "analysis":
        lines = [b"not a number" if chance.random() < 0.02 else b"%d" % chance.randrange(999) for _ in range(many)]
        return b"\n".join([*lines, b""])
    if kind == "noisy":
        return json.dumps({"job": "noisy", "arguments": {"reports": many * 10}}).encode()
    if kind == "fails":
        return json.dumps({"job": "fails", "arguments": {"after": many % 100}}).encode()
    if kind == "garbage":
        bits = (
            b"--" + BOUNDARY.encode(),
            b"\r\n",
            b'"',
            b",",
            b"\0",
            b"{",
            b"1",
            b"\xff",
            b"content-disposition: ",
            b"\n",
        )
        return b"".join(chance.choice(bits) * chance.choice((1, 1, 50)) for _ in range(many // 3))
    return b"".join(chance.choice((b"some words", b"\n", b"\xff", b"")) for _ in range(many * 4))


BUSY_BODY: Final = b'{"job": "noisy", "arguments": {"reports": 60000}}'
BUSY: Final = Case(
    seed=0,
    kind="noisy",
    path=PATHS["noisy"],
    content_type="application/json",
    content=BUSY_BODY,
    body=BUSY_BODY,
    parts=(),
    chunked=False,
    accept=NDJSON,
    reads="at once",
    leave=None,
)
"""So long that as many processes are started as may be: each has descriptors, and who leaves has them killed."""


# -- a client ----------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    """A claim is broken."""


async def visit(case: Case, address: tuple[str, int], *, resumes: bool) -> str:
    """Ask, leave where the case says, come back where one can; how it went. Raises Wrong, Unreadable."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        if case.reads == "slowly":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, address)
        phase, how = case.leave or ("", "")
        if phase == "head":
            await loop.sock_sendall(sock, case.head[: random.Random(case.seed).randrange(len(case.head))])
            return await _left(sock, how, b"")
        sending = asyncio.create_task(_send(sock, case, whole=phase != "body"))
        try:
            if case.reads == "behind" or phase in ("body", "sent"):
                await sending
            if phase in ("body", "sent"):
                return await _left(sock, how, b"")
            data = await _read(sock, case, first=phase == "results")
            if phase == "results":
                gone = await _left(sock, how, data)
                name = parse(data).fields.get("x-stream-id", "")
                return await _come_back(case, address, name) if resumes and how != "half" and _has_begun(data) else gone
            await sending
        finally:
            sending.cancel()
            await asyncio.wait([sending])
    return judge(case, parse(data))


async def _send(sock: socket.socket, case: Case, *, whole: bool) -> None:
    loop = asyncio.get_running_loop()
    parts = case.framed()
    if not whole:
        middle = len(parts) // 2
        parts = [*parts[:middle], parts[middle][:-1]]
    with contextlib.suppress(ConnectionError):  # it was refused
        await loop.sock_sendall(sock, case.head)
        for part in parts:
            await loop.sock_sendall(sock, part)
            await asyncio.sleep(0.002)


async def _read(sock: socket.socket, case: Case, *, first: bool) -> bytes:
    """All that comes, to the answer's own end or to that of the connection; or no more than what comes `first`."""
    loop, data = asyncio.get_running_loop(), bytearray()
    with contextlib.suppress(ConnectionError):
        while more := await loop.sock_recv(sock, 600 if case.reads == "slowly" else 1 << 16):
            data += more
            if first or _is_over(bytes(data)):
                break
            if case.reads == "slowly":
                await asyncio.sleep(0.001)
    return bytes(data)


def _is_over(data: bytes) -> bool:
    return (data.endswith(b"0\r\n\r\n") or b"content-length" in data[:1000]) and parse(data).whole


def _has_begun(data: bytes) -> bool:
    return parse(data).status == 200


async def _left(sock: socket.socket, how: str, data: bytes) -> str:
    """By half a close one may still read: it has to end."""
    if how == "RST":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half":
        with contextlib.suppress(OSError):  # it is closed already
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while more := await asyncio.get_running_loop().sock_recv(sock, 1 << 16):
                data += more
    return f"left by {how}"


async def _come_back(case: Case, address: tuple[str, int], name: str) -> str:
    loop, data = asyncio.get_running_loop(), b""
    asking = f"GET /streams/{name} HTTP/1.1\r\nhost: localhost\r\naccept: {case.accept}\r\n\r\n"
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, asking.encode())
        while not _is_over(data) and (more := await loop.sock_recv(sock, 1 << 16)):
            data += more
    return f"came back: {judge(case, parse(data), was_cut=True)}"


# -- what has to hold --------------------------------------------------------------------------------------------------


def judge(case: Case, answer: Answer, *, was_cut: bool = False) -> str:
    """What came of it. Raises Wrong."""
    if answer.status != 200:
        told = json.loads(answer.body) if answer.whole else {}
        allowed = REFUSED if case.kind == "garbage" else {"job_failed"} if case.kind == "fails" else ()
        if told.get("code") not in allowed:
            raise Wrong(f"refused: {answer.status} {told}")
        return "refused"
    values, end = _told(answer, case.accept)
    if case.accept == TEXT:
        end = "done" if answer.whole else "a cut"
    elif not answer.whole:
        raise Wrong("an answer without its last chunk, in a format that can say what is wrong")
    if end == "done":
        _judge_final(case, values)
    elif end not in _may_end_as(case, was_cut=was_cut):
        raise Wrong(f"it ended as {end!r}")
    if case.kind in ("noisy", "fails"):
        _judge_results(case, values, end)
    return end


def _may_end_as(case: Case, *, was_cut: bool) -> set[str]:
    """Beside "done"."""
    ends: set[str] = {"upload_cut", "a cut"} if was_cut and case.kind not in ("noisy", "fails") else set()
    if case.kind == "fails":
        ends |= {"job_failed", "a cut"}
    if case.kind == "garbage":
        ends |= REFUSED | {"a cut"}
    return ends


def _judge_final(case: Case, values: list[dict[str, Any]]) -> None:
    if not values or [value.get("final", False) for value in values] != [False] * (len(values) - 1) + [True]:
        raise Wrong("the last result, and no other, has to be final")
    if case.kind not in ("noisy", "fails", "garbage"):
        final = values[-1]
        for name, right in _right(case).items():
            if final[name] != right:
                raise Wrong(f"{name} is {final[name]!r}, and not {right!r}")


def _judge_results(case: Case, values: list[dict[str, Any]], end: str) -> None:
    arguments = json.loads(case.content)["arguments"]
    number = arguments["after"] if case.kind == "fails" else arguments["reports"] // 1000
    results = [value["result"] for value in values if "result" in value]
    if results != [*range(1, number + 1)]:
        raise Wrong(f"{len(results)} results of {number}, or in another order")
    if (end == "done") != (case.kind == "noisy"):
        raise Wrong(f"the job ended as {end!r}")


def _right(case: Case) -> dict[str, Any]:
    """Some of the final result, computed in another way."""
    content = case.content
    if case.kind == "digest":
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if case.kind == "lines":
        return {"lines": len(lines), "bytes": len(content), "longest": max(map(len, lines), default=0)}
    if case.kind == "csv":
        bad = lines.count(b"1,2,3")
        return {"rows": len(lines) - 1 - bad, "bad_rows": bad, "bytes": len(content)}
    if case.kind == "analysis":
        good = [int(line) for line in lines if line != b"not a number"]
        return {"total": len(good), "bad": len(lines) - len(good), "max": max(good, default=None)}
    return {"bytes": len(content)}


def _told(answer: Answer, accept: str) -> tuple[list[dict[str, Any]], str]:
    """The results, and how it ended: "done", a code, or "". Raises Wrong, Unreadable."""
    values, end, reached = [], "", 0.0
    for kind, value in _events(answer.body, accept):
        if end:
            raise Wrong("something stands behind the end")
        if kind == "progress":
            if value["progress"] < reached:
                raise Wrong("progress went back")
            reached = value["progress"]
        elif kind:
            end = "done" if kind == "done" else value["code"]
        else:
            values.append(value)
    return values, end


def _events(body: bytes, accept: str) -> list[tuple[str, dict[str, Any]]]:
    """Kind ("" for results) and value of each that is there as a whole."""
    if accept != SSE:
        values = [json.loads(line) for line in filter(None, body.split(b"\n")[:-1])]
        kinds = [next((kind for kind in ("progress", "done", "error") if kind in value), "") for value in values]
        return [(kind, value[kind] if kind else value) for kind, value in zip(kinds, values, strict=True)]
    events = []
    for block in body.split(b"\n\n")[:-1]:
        lines = [line.split(": ", 1) for line in block.decode().split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(lines)
            events.append((fields.get("event", ""), json.loads(fields["data"])))
    return events


# -- many of them ------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of all."""

    runs: int = 0
    found: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    growth_bytes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    crowd_s: tuple[float, float] | None = None
    """How long the quickest and the slowest of 200 uploads took."""


async def _all(seeds: Sequence[int], watched: Watched, tally: Tally, *, resumes: bool) -> None:
    waiting = iter(seeds)

    async def work() -> None:
        for seed in waiting:
            case = case_of(seed)
            tally.runs += 1
            try:
                async with asyncio.timeout(LIMIT_S):
                    tally.found[await visit(case, watched.address, resumes=resumes)] += 1
            except (Wrong, Unreadable, ValueError, KeyError, TimeoutError) as error:
                told = "it hangs" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
                tally.wrong.append(f"--only {seed}: {case.kind}, {case.accept}, {case.leave}: {told}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _crowd(watched: Watched, tally: Tally) -> None:
    """All begin before one has sent anything, and then send what they have."""
    begun = asyncio.Barrier(CROWD)
    body = b"%07d\n" * CROWD_LINES % tuple(range(CROWD_LINES))

    async def one() -> float:
        reader, writer = await asyncio.open_connection(*watched.address)
        head = f"POST {PATHS['lines']} HTTP/1.1\r\nhost: localhost\r\naccept: {NDJSON}\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode())
        await begun.wait()
        began = time.monotonic()
        for start in range(0, len(body), 1 << 16):
            writer.write(body[start : start + (1 << 16)])
            await writer.drain()
        data = await reader.readuntil(b"0\r\n\r\n")
        took_s = time.monotonic() - began
        writer.close()
        values, end = _told(parse(data), NDJSON)
        if end != "done" or values[-1]["lines"] != CROWD_LINES:
            raise Wrong(f"one of a crowd ended as {end!r}, with {values[-1:]}")
        return took_s

    try:
        took = await asyncio.gather(*(one() for _ in range(CROWD)))
    except (Wrong, Unreadable, OSError, asyncio.IncompleteReadError) as error:
        tally.wrong.append(f"a crowd: {type(error).__name__}: {error}")
        return
    tally.crowd_s = min(took), max(took)
    if max(took) > UNFAIR * min(took):
        tally.wrong.append(f"a crowd: the quickest took {min(took):.2f} s, and the slowest {max(took):.2f} s")


async def run(runs: int, seed: int, *, only: int | None = None, replay: str | None = None, warm_up: int = 200) -> Tally:
    """So many requests, half of them to each of two relays; or one case, to both. `replay` is the Redis that keeps what
    the second one does; None: its memory.
    """
    tally, began = Tally(), time.monotonic()
    seeds = [only] if only is not None else [*range(seed * 1_000_000, seed * 1_000_000 + runs)]
    for resumes in (False, True):
        mine = seeds if only is not None else seeds[resumes::2]
        with watched_routes(resume=resumes and (replay or True), resume_keep_s=KEEP_S, **SETTINGS) as watched:
            await _all([-1 - each for each in range(warm_up)], watched, Tally(), resumes=resumes)
            before = await _at_rest(watched, tally, resumes=resumes)
            await _all(mine, watched, tally, resumes=resumes)
            if not resumes:
                await _crowd(watched, tally)
            after = await _at_rest(watched, tally, resumes=resumes, tasks=before[0], descriptors=before[1])
            tally.growth_bytes["resumes" if resumes else "does not"] = after[2] - before[2]
    tally.seconds = time.monotonic() - began
    return tally


async def _at_rest(
    watched: Watched, tally: Tally, *, resumes: bool, tasks: int = 10_000, descriptors: int = 10_000
) -> tuple[int, int, int]:
    """Tasks, descriptors and memory when nothing is left. What is left is told."""
    await asyncio.gather(*(visit(BUSY, watched.address, resumes=False) for _ in range(SETTINGS["max_jobs"])))
    until_s, which = time.monotonic() + REST_S, "the relay that resumes" if resumes else "the relay"
    while True:
        census = await asyncio.to_thread(watched.census, forget=True)
        left = {
            "streams": census.live,
            "working processes": census.working,
            "tasks": max(0, census.tasks - tasks),
            "descriptors": max(0, census.descriptors - descriptors),
        }
        if not any(left.values()) or time.monotonic() > until_s:
            break
        await asyncio.sleep(0.1)
    if resumes:
        await asyncio.sleep(1.25 * KEEP_S)  # what is kept for those who come back is forgotten
        census = await asyncio.to_thread(watched.census, forget=True)
    tally.wrong += [f"{which}: {count} {what} are left" for what, count in left.items() if count]
    tally.wrong += [f"{which}: {alarm[:300]}" for alarm in census.alarms]
    return census.tasks, census.descriptors, census.resident_bytes


def show(tally: Tally) -> bool:
    """Print it; whether all claims held."""
    print(f"\n{tally.runs:,} requests in {tally.seconds:.0f} s")
    for what, count in sorted(tally.found.items()):
        print(f"  {count:6,} {what}")
    if tally.crowd_s is not None:
        print("{} uploads at once: the quickest took {:.2f} s, the slowest {:.2f} s".format(CROWD, *tally.crowd_s))
    for which, grown in tally.growth_bytes.items():
        told = (
            f"memory of the relay that {which}{'' if which == 'resumes' else ' resume'}: {grown / (1 << 20):+.1f} MiB"
        )
        print(told)
        if grown > MAX_GROWTH_BYTES:
            tally.wrong.append(told)
    for line in tally.wrong[:20]:
        print(f"WRONG {line}")
    print(f"{len(tally.wrong)} wrong")
    return not tally.wrong


def main(arguments: Sequence[str] | None = None, campaign: Callable[..., Any] = run) -> int:
    """Ask, print; 1 if a claim is broken."""
    options = argparse.ArgumentParser(prog="python -m campaigns.routes", description="Uploads, jobs, live analysis")
    options.add_argument("--runs", type=int, default=5000, help="requests (default: 5,000)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int, help="one case again")
    options.add_argument("--replay", metavar="URL", help="keep the logs in that Redis, redis://host:port/0")
    options.add_argument("--quick", action="store_true", help="500 requests: a first look")
    given = options.parse_args(arguments)
    print(f"CPython {sys.version.split()[0]}, seed {given.seed}, {AT_ONCE} clients at once")
    try:
        with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner:
            runs = 500 if given.quick else given.runs
            tally = runner.run(campaign(runs, given.seed, only=given.only, replay=given.replay))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0 if show(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
