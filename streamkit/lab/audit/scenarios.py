"""What is tried: what the upstream does, what the client does, and by which rule it is judged. All of it plain values.

The scripts are short, since each is a stream of its own: what matters is where they break, not how long they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal, TypeAlias, get_args

from streamkit.lab.upstream import Script, faults
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.steps import Truth

__all__ = ["ASPECTS", "Aspect", "Client", "Scenario", "catalogue", "clean", "crowd", "flood", "pace"]

Aspect: TypeAlias = Literal[
    "endings", "text", "pace", "leaving", "timers", "back-pressure", "side by side", "resuming", "heads"
]
ASPECTS: Final[tuple[Aspect, ...]] = get_args(Aspect)
"""endings        a broken stream looks broken
text           a whole one arrives whole, to the character
pace           each piece is passed on when it comes
leaving        a client that leaves ends the upstream's work
timers         how long a silence it bears, where
back-pressure  a client that does not read holds the upstream
side by side   one stream does not wait for another
resuming       a stream that was cut goes on where it was, if that is offered
heads          what the head of an answer says
"""

PIECES: Final = (
    "床前",
    "明月光",
    "，疑是",
    "地上霜。",
    " The",
    " moon ",
    "shines",
    " — über",
    " 🌙",
    " and",
    " I",
    " think ",
    "of home.\n",
)
MIDDLE: Final = 7
GAP_MS: Final = 12.0
BLOCKS: Final = tuple(f"the moon of night {number:02} shines\n" * 600 for number in range(32))  # 16 kB each
LONG_BLOCK: Final = "I raise my head to see the moon, I bow, and think of home.\n"
SPARE_S: Final = 4.0
"""So long after its script is over a stream may take to end. Of a broken one that is said by whoever tries: a gateway
may ask again, and wait before it does."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """What the client does; by default it reads to the end, as fast as it comes.

    leaves_behind     leaves when it has so many pieces
    leaves_after_s    leaves so long after it asked
    bytes_per_s       reads no faster
    like_browser      asks for the content codings that browsers ask for
    stops             takes the head, and then nothing
    """

    leaves_behind: int | None = None
    leaves_after_s: float | None = None
    bytes_per_s: float | None = None
    like_browser: bool = False
    stops: bool = False


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One stream to be tried: its name, what it is about, what both sides do.

    `silence_s` is the longest silence in it, where that is what is tried; `spare_s` is for how long the client waits
    when the script is over.
    """

    name: str
    aspect: Aspect
    script: Script
    client: Client = Client()
    silence_s: float = 0.0
    spare_s: float = SPARE_S

    @cached_property
    def truth(self) -> Truth:
        """What a faithful reader can know of the answer."""
        return self.script.truth()

    @property
    def limit_s(self) -> float:
        """When the client gives up."""
        last_ns = max((step.due_ns for step in self.script.steps()), default=0)
        slow_s = len(self.script.text) / self.client.bytes_per_s * 1.5 if self.client.bytes_per_s else 0.0
        return last_ns / 1e9 + slow_s + self.spare_s


def clean(preset: str) -> Scenario:
    """Nothing is wrong: what does not come through here cannot be judged at all."""
    return Scenario(name="nothing wrong", aspect="text", script=_script(preset))


def catalogue(preset: str, *, silence_s: float, patience_s: float = SPARE_S, seed: int = 0) -> list[Scenario]:
    """All that is tried side by side: endings, text, leaving and timers. For `patience_s` a client waits for the news
    that its stream is broken.
    """
    return [*endings(preset, patience_s, seed), *texts(preset, seed), *leavings(preset), *timers(preset, silence_s)]


# --- Endings --------------------------------------------------------------------------------------------------------


def endings(preset: str, patience_s: float = SPARE_S, seed: int = 0) -> list[Scenario]:
    """The upstream's answer breaks, wherever it can."""
    end = len(PIECES) + 1
    broken: dict[str, Sequence[Fault]] = {
        "cut between pieces (FIN)": [faults.Cut(MIDDLE)],
        "cut between pieces (RST)": [faults.Cut(MIDDLE, how="rst")],
        "cut inside a piece": [faults.Cut(MIDDLE, inside=True)],
        "cut behind the last piece": [faults.Cut(end)],
        "cut before the first piece": [faults.Cut(1)],
        "cut before the head": [faults.Cut(0)],
        "cut inside the head": [faults.Cut(0, inside=True)],
        "no end marker, clean framing": [faults.NoEnd(), faults.Stall(end, ms=GAP_MS)],
        "an error event": [faults.ErrorEvent(MIDDLE)],
        "an error event, then nothing": [faults.ErrorEvent(MIDDLE), faults.NoEnd()],
        "an error as bare JSON": [faults.BareError(MIDDLE)],
        "an event that is no JSON": [faults.Garbage(MIDDLE, how="event")],
        "a chunk size that is no number": [faults.BadChunk(MIDDLE)],
        "a chunk that is cut": [faults.BadChunk(MIDDLE, how="long")],
        "shorter than its Content-Length": [faults.WrongLength(40), faults.NoEnd()],
        "an event that never ends": [faults.EndlessLine(MIDDLE, size_bytes=2_000)],
        "an empty answer": [faults.Empty("nothing")],
        "status 500": [faults.Status(500)],
        "status 503, a page of HTML": [faults.Status(503, body="html")],
        "status 429, Retry-After": [faults.Status(429, retry_after=2)],
        "status 200, a page of HTML": [faults.Status(200, body="html")],
        "status 200, an error as JSON": [faults.Status(200)],
    }
    found = [
        Scenario(name=name, aspect="endings", script=_script(preset, wrong, seed=seed), spare_s=patience_s)
        for name, wrong in broken.items()
    ]
    return [each for each in found if not each.truth.whole]  # a format without an end marker needs none


# --- Text -----------------------------------------------------------------------------------------------------------


def texts(preset: str, seed: int = 0) -> list[Scenario]:
    """A whole answer that is unusual, and right."""
    every = range(1, len(PIECES) + 1)
    odd: dict[str, Sequence[Fault]] = {
        "torn inside of characters": [faults.Split(at, gap_ms=4) for at in every],
        "several events in one write": [faults.Merge(2, events=6)],
        "comments in between": [faults.Heartbeats(MIDDLE, every_ms=10, ms=60)],
        "a finish reason, no [DONE]": [faults.NoEnd(keep_finish=True)],
        "interim answers (103)": [faults.Interim(2)],
        "a head byte by byte": [faults.SlowHead(gap_ms=1)],
    }
    whole = {
        "line separators in the text": ("one\n", "two\u2028three", "\u0085four", "\x0bfive\r\n", "six\u2029", "end"),
        "the words of the wire in the text": (
            "so: data: [DONE]",
            "\n\ndata: {}",
            "[DONE]",
            '{"error": 1}',
            "\n\n: x",
            "end",
        ),
        "an event of 200 kB": ("床前", LONG_BLOCK * 3_400, "of home"),
        "the same piece again and again": (" --- |",) * 150,
    }
    found = [Scenario(name=name, aspect="text", script=_script(preset, how, seed=seed)) for name, how in odd.items()]
    found += [
        Scenario(name=name, aspect="text", script=Script(said, 20, 3, preset=preset, seed=seed))
        for name, said in whole.items()
    ]
    slow = Script(["abcdefghij" * 400] * 10, 20, 1, preset=preset)
    found.append(Scenario(name="a slow reader", aspect="text", script=slow, client=Client(bytes_per_s=40_000)))
    return [each for each in found if each.truth.whole]


# --- Leaving --------------------------------------------------------------------------------------------------------


def leavings(preset: str) -> list[Scenario]:
    """The client leaves; the upstream would go on for seconds."""
    many = tuple(f"word{number} " for number in range(100))
    pieces = 2
    return [
        Scenario(
            name="leaves before the first piece",
            aspect="leaving",
            script=Script(many[:20], 2_500, 100, preset=preset),
            client=Client(leaves_after_s=0.5),
        ),
        Scenario(
            name="leaves while pieces come",
            aspect="leaving",
            script=Script(many[:80], 30, 40, preset=preset),
            client=Client(leaves_behind=pieces),
        ),
        Scenario(
            name="leaves in a silence",
            aspect="leaving",
            script=Script(many[:24], 30, 60, preset=preset, faults=[faults.Stall(pieces + 2, ms=2_000)]),
            client=Client(leaves_behind=pieces),
        ),
    ]


# --- Timers ---------------------------------------------------------------------------------------------------------


def timers(preset: str, silence_s: float) -> list[Scenario]:
    """The upstream falls silent for so long, wherever it can, and goes on."""
    places = {"before the head": 0, "before the first piece": 1, "between pieces": 4}
    return [
        Scenario(
            name=f"silent {place}",
            aspect="timers",
            script=_script(preset, [faults.Stall(at, ms=silence_s * 1e3)]),
            silence_s=silence_s,
        )
        for place, at in places.items()
    ]


# --- What measures, alone -------------------------------------------------------------------------------------------


def pace(preset: str, *, like_browser: bool = False, pieces: int = 24, gap_ms: float = 40.0) -> Scenario:
    """Pieces at a steady pace."""
    return Scenario(
        name="a steady pace, like a browser" if like_browser else "a steady pace",
        aspect="pace",
        script=Script([f"piece {number:>3}. " for number in range(pieces)], 60, gap_ms, preset=preset),
        client=Client(like_browser=like_browser),
    )


def crowd(preset: str) -> Scenario:
    """One of several that are asked at once."""
    return Scenario(
        name="several at once",
        aspect="side by side",
        script=Script([f"word{number} " for number in range(10)], 40, 40, preset=preset),
    )


def flood(preset: str, size_bytes: int) -> Scenario:
    """More than all buffers between two sockets hold, as fast as it goes, for a client that does not read."""
    blocks = itertools.islice(itertools.cycle(BLOCKS), math.ceil(size_bytes / len(BLOCKS[0])))
    return Scenario(
        name="a client that does not read",
        aspect="back-pressure",
        script=Script(tuple(blocks), 0, 0, preset=preset),
        client=Client(stops=True),
    )


def _script(preset: str, wrong: Sequence[Fault] = (), *, seed: int = 0) -> Script:
    return replace(Script(PIECES, 20, GAP_MS, preset=preset, seed=seed), faults=wrong)
