"""Five endpoints that stutter, each for a reason of its own, and nobody says which: for whoever wants to find out.

    with sk.serve(sk.experiments.stuttering) as server:
        recording = await sk.record(f"{server.url}/a")
    recording.diagnose().cause == sk.experiments.hidden_causes()["a"]

They answer any POST with an event stream of some two seconds. One is a model that pauses; in front of another such
model stands a proxy that sends heartbeats; one is behind a proxy that holds back for a while what it gets, one behind a
proxy that collects five events at a time; and one answers one request after the other, which a single client never
sees.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import string
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from sanic import Request, Sanic

from streamkit.inside_sanic import keep_plain
from streamkit.lab.arguments import check_whole
from streamkit.lab.upstream import Script
from streamkit.lab.upstream.faults import Heartbeats, Merge, Stall
from streamkit.presets import writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamkit.lab.diagnosis.result import CauseName

__all__ = ["hidden_causes", "stuttering"]

WORDS: Final = ("The ", "moon ", "shines ", "before ", "my ", "bed; ")
WORD_COUNT: Final = 60
GAP_MS: Final = 25.0
_serial = itertools.count(1)


def _script(*faults: Stall | Heartbeats | Merge, words: int = WORD_COUNT) -> Script:
    said = list(itertools.islice(itertools.cycle(WORDS), words))
    return Script(said, first_piece_ms=60, gap_ms=GAP_MS, preset="openai", faults=faults)


SCRIPTS: Final[Mapping[CauseName, Script]] = {
    "source_paused": _script(Stall(21, ms=700)),
    "model_paused": _script(Heartbeats(31, every_ms=150, ms=700)),
    "held": _script(Merge(21, events=26)),
    "batched": _script(*(Merge(at, events=5) for at in range(1, WORD_COUNT, 5))),
    "serial_server": _script(words=18),
}


def hidden_causes(seed: int = 0) -> dict[str, CauseName]:
    """The solution to `stuttering(seed)`: the cause of each endpoint, by its name in the path.

    >>> sorted(sk.experiments.hidden_causes().values())
    ['batched', 'held', 'model_paused', 'serial_server', 'source_paused']

    Raises TypeError for a seed that is not an integer.
    """
    check_whole("seed", seed, least=None)
    causes = list(SCRIPTS)
    random.Random(f"stutters {seed}").shuffle(causes)  # noqa: S311  # a riddle, no cryptography
    return dict(zip(string.ascii_lowercase, causes, strict=False))


def stuttering(seed: int = 0) -> Sanic[Any, Any]:
    """A puzzle in the form of a Sanic app with `POST /a` to `/e`, each of which stutters for a different reason.

        with sk.serve(sk.experiments.stuttering) as server:
            recording = await sk.record(f"{server.url}/a")

    It is a factory for `sk.serve`. The seed decides which of them has which reason; `hidden_causes` gives it away.
    Raises TypeError for a seed that is not an integer.
    """
    app: Sanic[Any, Any] = Sanic(f"streamkit_stutters_{next(_serial)}", configure_logging=False)
    keep_plain(app)
    for name, cause in hidden_causes(seed).items():
        app.add_route(_handler(cause), f"/{name}", methods=["POST"], name=name)
    return app


def _handler(cause: CauseName) -> Any:
    script = SCRIPTS[cause]
    steps = [step for step in script.steps() if step.kind not in ("head", "end")]
    writes = list(_writes([(step.due_ns, step.data, step.joined) for step in steps]))
    content_type = writer(script.preset).content_type
    turn = asyncio.Lock() if cause == "serial_server" else nullcontext()

    async def answer(request: Request) -> None:
        async with turn:
            asked_ns = time.monotonic_ns()
            response = await request.respond(content_type=content_type, headers={"cache-control": "no-store"})
            for due_ns, data in writes:
                await asyncio.sleep(max(0.0, (asked_ns + due_ns - time.monotonic_ns()) / 1e9))
                await response.send(data)
            await response.eof()

    return answer


def _writes(steps: Sequence[tuple[int, bytes, bool]]) -> list[tuple[int, bytes]]:
    """What goes out together, when the last of it is due."""
    found, waiting = [], b""
    for due_ns, data, joined in steps:
        waiting += data
        if not joined:
            found.append((due_ns, waiting))
            waiting = b""
    return found
