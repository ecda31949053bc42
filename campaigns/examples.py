"""The examples that ship, made anew: `python -m campaigns.examples [NAME …] [--tries N]`.

    a situation ─▶ recorded, real servers on real sockets ─▶ addresses out ─▶ streamkit/lab/examples/data/NAME.jsonl.gz

What each of them is says `streamkit/lab/examples/catalogue.py`; when and with which versions it was made, `made.json`
beside the files. On a busy machine the instrument is late: what leaves a doubt is made again, up to `--tries` times,
and that with the fewest is kept. All of it takes two minutes. `gzip-proxy` needs nginx, and stays as it was where there
is none. Exit status 1 if a doubt is left, or one of them could not be made.

Afterwards `python -m campaigns.pictures` draws them for the docs.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from sanic import Sanic

import streamkit as sk
from benchmarks.harness import ROOT
from campaigns.proxies import GZIP, nginx, port_of, running
from streamkit.lab.examples.catalogue import MADE, example
from streamkit.lab.experiments.timeouts import TimeoutMap
from streamkit.lab.findings.comparison import Comparison
from streamkit.lab.recording.lines import replace_file
from streamkit.lab.recording.origin import describe
from streamkit.lab.recording.trust import LEVELS, Trust
from streamkit.lab.sets.verdict import Verdict
from streamkit.lab.sweep import Sweep

__all__ = ["MAKERS", "main", "make", "private", "recordings_of", "verdict_of"]

Made: TypeAlias = sk.Recording | sk.RecordingSet | Comparison | Sweep | TimeoutMap
FOLDER: Final = ROOT / "streamkit" / "lab" / "examples" / "data"
WORDS: Final = ("The ", "moon ", "shines ", "before ", "my ", "bed; ")
SHARED: Final = "share a read"
SERIAL: Final = itertools.count(1)
MANY: Final = 20
"""From so many on the verdict is that on a load."""
SSE: Final[dict[str, Any]] = {"accept": "sse"}
COMPLETIONS: Final = "/v1/chat/completions"
CHAT: Final[dict[str, Any]] = {
    "json": {"model": "script", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
}


# -- the situations --------------------------------------------------------------------------------------------------


async def healthy() -> sk.Recording:
    with sk.Lab(sk.Script(WORDS * 10, first_piece_ms=120, gap_ms=25)) as lab:
        return await lab.ask("hi", **SSE)


async def stall() -> sk.Recording:
    script = sk.Script(WORDS * 10, first_piece_ms=120, gap_ms=25, faults=[sk.faults.Stall(21, ms=700)])
    with sk.Lab(script) as lab:
        return await lab.ask("hi", **SSE)


async def slow_client(network: str) -> sk.Recording:
    script = sk.Script(["A line of forty characters, said at once\n"] * 150, first_piece_ms=50, gap_ms=10)
    with sk.Lab(script, network=network) as lab:
        return await lab.ask("hi", reader=sk.Reader(bytes_per_s=4_000), **SSE)


async def through_gzip(*, proxied: bool) -> sk.Recording:
    script = sk.Script(WORDS * 12, first_piece_ms=150, gap_ms=20, preset="openai")
    with sk.serve(partial(sk.create_upstream, script)) as upstream:
        asked = {**CHAT, "preset": "openai", "accept_encoding": "browser"}
        if not proxied:
            return await sk.record(upstream.url + COMPLETIONS, **asked)
        with running(NGINX, port_of(upstream)) as url:
            return await sk.record(url + COMPLETIONS, **asked)


async def cut() -> sk.RecordingSet:
    said: dict[str, Any] = {"first_piece_ms": 50, "gap_ms": 20}
    whole = sk.Script(WORDS * 2, **said)
    broken = sk.Script(WORDS * 2, **said, faults=[sk.faults.Cut(7)])
    with sk.Lab(whole) as fine, sk.Lab(broken) as ours, sk.Lab(broken, relay=sk.experiments.naive.stock) as naive:
        labs = {"without a cut": fine, "our relay": ours, "naive relay": naive}
        return sk.RecordingSet([await lab.ask("hi", accept="text", label=name) for name, lab in labs.items()])


async def resumed() -> sk.Recording:
    script = sk.Script(["word "] * 100, first_piece_ms=50, gap_ms=20)
    with sk.Lab(script, client_link=[sk.net.Cut(after_bytes=2_500)], resume=True) as lab:
        return await lab.ask("hi", resume=sk.Resume(backoff_ms=100), **SSE)


async def left() -> sk.RecordingSet:
    script = sk.Script(["word "] * 150, first_piece_ms=50, gap_ms=20)
    with sk.Lab(script) as ours, sk.Lab(script, relay=sk.experiments.naive.pumped) as pumped:
        labs = {"our relay": ours, "the pumping relay": pumped}
        asked = [lab.ask("hi", label=name, max_bytes=100, taps_wait_s=10) for name, lab in labs.items()]
        return sk.RecordingSet(await asyncio.gather(*asked))


async def upload() -> sk.Recording:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            await asyncio.sleep(0.1)
            yield (b"x" * 63 + b"\n") * 64

    with sk.Lab(uses="upload") as lab:
        return await lab.post("/upload?process=lines&every=0.05", content=parts(), **SSE)


async def results() -> sk.RecordingSet:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(120):
            yield b"%d\n" % (number >= 60)
            await asyncio.sleep(0.01)

    with sk.Lab(uses="analysis") as lab:
        windows = ("0.5s", "exp(0.5s)")
        paths = {f"window {window}": f"/analysis?window={window}&every=0.02" for window in windows}
        options: dict[str, Any] = {"headers": {"content-type": "application/x-ndjson"}, **SSE}
        asked = [lab.post(path, content=numbers(), label=name, **options) for name, path in paths.items()]
        return sk.RecordingSet(await asyncio.gather(*asked))


async def policies() -> sk.RecordingSet:
    states = [f"state {number:03} ".ljust(400, ".") for number in range(1, 151)]
    reader = sk.Reader(events_per_s=45, pauses_s={30: 0.5})
    with sk.Lab(sk.Script(states, first_piece_ms=50, gap_ms=10), network="small-buffers") as lab:
        wanted = ("pause", "buffer(30000)", "coalesce(30000)", "latest", "disconnect(0.5)")
        options = {"reader": reader, "keep_bytes": False, **SSE}
        return sk.RecordingSet([await lab.ask("hi", policy=each, label=each, **options) for each in wanted])


def thinking() -> Sanic[Any, Any]:
    """It thinks longer, and says more, where more is asked for."""
    app: Sanic[Any, Any] = Sanic(f"thinking_{next(SERIAL)}", configure_logging=False)

    @sk.source(app, "/ans", body=["chat_history"])
    async def answer(chat_history: str) -> AsyncIterator[str]:
        await asyncio.sleep(0.08 if chat_history == "short" else 0.2)
        for word in WORDS * (1 if chat_history == "short" else 4):
            yield word
            await asyncio.sleep(0.02)

    return app


async def load() -> sk.RecordingSet:
    with sk.serve(thinking) as server:
        asked: dict[str, Any] = {"keep_text": False, "progress": False, **SSE}
        prompts = ["short", "a long story"]
        return await sk.load(f"{server.url}/ans", streams=100, rate=25, prompts=prompts, **asked)


def sweep(path: Path) -> Sweep:
    grid = {"policy": ["buffer", "coalesce"], "buffer_bytes": [8_000, 16_000, 32_000]}
    return sk.sweep(sk.experiments.slow_reader, grid, repeats=6, warm_up=1, path=path, progress=False)


async def comparison() -> Comparison:
    def server(first_piece_ms: float) -> sk.Lab:
        lab = sk.Lab(sk.Script("one two three", first_piece_ms=first_piece_ms, gap_ms=4), client_link=True, gauge_ms=0)
        assert lab.client_link is not None
        lab.client_link.up = [sk.net.Latency(1, jitter_ms=16)]
        return lab

    with server(5) as current, server(13) as new:
        asked = {"current": current, "new": new}
        return await sk.compare(asked, runs=20, taps=False, keep_text=False, progress=False, **SSE)


async def timeout_map() -> TimeoutMap:
    return await sk.experiments.timeout_map(T_s=0.4, lengths=(0.5, 0.9, 1.1, 1.3, 1.6, 2.0), phases=2)


MAKERS: Final[dict[str, Callable[[], Awaitable[Made]]]] = {
    "healthy": healthy,
    "stall": stall,
    "slow-client": partial(slow_client, "small-buffers"),
    "tcp-hides": partial(slow_client, "loopback-tcp"),
    "gzip-proxy": partial(through_gzip, proxied=True),
    "gzip-direct": partial(through_gzip, proxied=False),
    "cut": cut,
    "resumed": resumed,
    "left": left,
    "upload": upload,
    "results": results,
    "policies": policies,
    "load": load,
    "comparison": comparison,
    "timeout-map": timeout_map,
}
SWEPT: Final = "sweep"
"""Made by a function that blocks, and writes its file itself."""
NGINX: Final = nginx("nginx, gzip on", f"proxy_http_version 1.1; {GZIP}")


# -- kept ------------------------------------------------------------------------------------------------------------


def private(recording: sk.Recording) -> sk.Recording:
    """Without what says where it was made: no address, no path, no version of a kernel."""
    meta = {**recording.meta, "platform": platform()}
    return replace(recording, url=f"http://lab.example{urlsplit(recording.url).path}", meta=meta)


def platform() -> str:
    system, *_, machine = describe("POST")["platform"].split()
    return f"{system} {machine}"


def recordings_of(made: Made) -> list[sk.Recording]:
    """Those that it consists of; none of what keeps numbers alone."""
    if isinstance(made, sk.Recording):
        return [made]
    if isinstance(made, Comparison):
        return [each for runs in made.recordings.values() for each in runs]
    return list(made) if isinstance(made, sk.RecordingSet) else []


def verdict_of(made: Made) -> Trust | Verdict:
    """How far it is to be trusted, and why no further."""
    if isinstance(made, TimeoutMap):
        late = made.late_ms > made.T_s * 100
        return Trust("limited", (f"the machine was {made.late_ms:,.0f} ms late",)) if late else Trust("good")
    if isinstance(made, Sweep):
        return Trust("limited", (f"{len(made.failed)} trials failed",)) if made.failed else Trust("good")
    found = recordings_of(made)
    if isinstance(made, sk.RecordingSet) and len(found) >= MANY:
        return sk.RecordingSet(found).verdict
    return min(each.trust for each in found)


def doubts(verdict: Trust | Verdict) -> list[str]:
    """What another try might do better: that pieces come together is what some of the situations are about."""
    return [reason for reason in verdict.reasons if SHARED not in reason]


def save(made: Made, path: Path) -> None:
    """As the file of what it is, compressed; of a comparison its runs."""
    if isinstance(made, Sweep):
        return  # it is there
    if isinstance(made, TimeoutMap):
        made.save(path)
    elif isinstance(made, sk.Recording):
        private(made).save(path)
    else:
        meta = (
            {**made.meta, "target": "http://lab.example/ans"} if isinstance(made, sk.RecordingSet) and made.meta else {}
        )
        resources = made.resources if isinstance(made, sk.RecordingSet) else ()
        sk.RecordingSet(map(private, recordings_of(made)), meta=meta, resources=resources).save(path)


def make(name: str, path: Path) -> Made:
    """Record one of them anew, into the file at `path`."""
    if name == SWEPT:
        with tempfile.TemporaryDirectory(prefix="streamkit-") as folder:
            plain = Path(folder, "sweep.jsonl")
            swept = sweep(plain)
            replace_file(path, [gzip.compress(plain.read_bytes(), mtime=0)])
            return swept
    made = asyncio.run(_awaited(MAKERS[name]))
    save(made, path)
    return made


async def _awaited(maker: Callable[[], Awaitable[Made]]) -> Made:
    return await maker()


def make_best(name: str, tries: int, folder: Path) -> Trust | Verdict:
    """Made until there is no doubt, `tries` times at most; that with the fewest is kept. The verdict on it."""
    best: Trust | Verdict | None = None
    for _ in range(tries):
        unsure = folder / f"{name}.next.jsonl.gz"
        verdict = verdict_of(make(name, unsure))
        if best is None or _rank(verdict) > _rank(best):
            best = verdict
            unsure.replace(folder / f"{name}.jsonl.gz")
        unsure.unlink(missing_ok=True)
        if not doubts(best):
            break
    assert best is not None, "it is made once at least"
    return best


def _rank(verdict: Trust | Verdict) -> tuple[int, int]:
    return -len(doubts(verdict)), LEVELS.index(verdict.level)


def note_made(name: str, verdict: Trust | Verdict, folder: Path) -> None:
    """When, by which command, with which versions."""
    path = folder / MADE
    told = json.loads(path.read_text("utf-8")) if path.exists() else {}
    software = describe("POST")
    told[name] = {
        "command": f"python -m campaigns.examples {name}",
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "streamkit": f"streamkit {software['streamkit']}",
        "python": software["python"],
        "platform": platform(),
        **({"nginx": _nginx_version()} if name == "gzip-proxy" else {}),
        "trust": f"trust: {verdict}",
    }
    in_order = {each: told[each] for each in sk.examples.names() if each in told}
    path.write_text(json.dumps(in_order, indent=2) + "\n", "utf-8")


def _nginx_version() -> str:
    asked = subprocess.run([str(NGINX.found), "-v"], capture_output=True, text=True, check=True)  # noqa: S603  # a program of the system
    return "nginx " + asked.stderr.strip().rpartition("/")[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make those that are asked for; 1 if one is not trusted, or could not be made."""
    options = argparse.ArgumentParser(prog="python -m campaigns.examples", description="Make the examples anew")
    options.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(sk.examples.names())}"
    )
    options.add_argument(
        "--tries", type=int, default=3, help="how often one that is not trusted is made (default: %(default)s)"
    )
    options.add_argument("--to", type=Path, default=FOLDER, help="into which folder (default: that of the package)")
    given = options.parse_args(arguments)
    holds = True
    for name in given.names or sk.examples.names():
        example(name)
        if name == "gzip-proxy" and not NGINX.installed:
            print(f"{name}: nginx is not installed; it stays as it was")
            holds = False
            continue
        verdict = make_best(name, given.tries, given.to)
        note_made(name, verdict, given.to)
        print(f"{name}: {verdict}, {(given.to / f'{name}.jsonl.gz').stat().st_size:,} bytes", flush=True)
        holds = holds and not doubts(verdict)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
