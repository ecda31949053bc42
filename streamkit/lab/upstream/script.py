"""`Script`: what a scripted upstream says and when, down to the byte."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from streamkit.errors import ConfigError, UnknownPreset
from streamkit.lab.arguments import check_number, check_whole
from streamkit.lab.upstream import faults
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.playback import Playback, playback_of
from streamkit.lab.upstream.steps import Step, Truth, proof_of, truth_of, whole_answer
from streamkit.presets import Preset, Writer, preset, writer

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Recorded

__all__ = ["POEM", "Script", "split_text"]

POEM: Final = (
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"
    "Before my bed the moon shines bright; I take it for the frost of night. "
    "I raise my head: the moon; I bow, and think of home.\n"
)


DEFAULT_PRESET: Final = "seed"


def split_text(text: str, seed: int = 0, longest: int = 6) -> tuple[str, ...]:
    """Cut `text` into pieces of 1 to `longest` characters, as a tokenizer might; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311  # a replayable script, no cryptography
    cuts = itertools.accumulate(itertools.chain([0], (chance.randint(1, longest) for _ in text)))
    edges = [*itertools.takewhile(lambda cut: cut < len(text), cuts), len(text)]
    return tuple(text[start:end] for start, end in itertools.pairwise(edges))


@dataclass(frozen=True, slots=True)
class Script:
    """What the scripted LLM says, and when.

        >>> sk.Script(["床前", "明月光"], gap_ms=20, faults=[sk.faults.Cut(2)]).expected_text
        '床前'

    pieces          the pieces of the text, one event each. A single str is cut into pieces of 1 to 6 characters, as a
                    tokenizer might; the default is a short poem
    first_piece_ms  when the first piece is due, counted from the complete request
    gap_ms          the time from each piece to the next
    jitter_ms       each piece is moved by up to ± so much (uniform, drawn from `seed`), but never before its
                    predecessor
    preset          the provider's format it is written in: a name ("seed" by default), or a `Preset` of your own that
                    says how it is written (`write=`)
    seed            for whatever is random: where a str is cut, the jitter
    faults          what goes wrong, see `sk.faults`
    playback        a recorded answer, which is sent instead of all this; `from_recording` makes it

    Two scripts with equal fields send the same, to the byte.

    Raises ValueError for negative times, an empty piece, or faults that this script cannot have; TypeError for times or
    a seed that are not numbers, and for pieces that are not a text or a sequence; UnknownPreset for an unknown format;
    ConfigError for a Preset that does not say how it is written.
    """

    pieces: Sequence[str] = POEM
    first_piece_ms: float = 300.0
    gap_ms: float = 50.0
    jitter_ms: float = 0.0
    preset: str | Preset = DEFAULT_PRESET
    seed: int = 0
    faults: Sequence[Fault] = ()
    playback: Playback | None = None

    @classmethod
    def from_recording(cls, recording: Recorded, speed: float = 1.0) -> Script:
        """A script that plays back a recording: the same bytes in the same writes, at the same times, and the same end.

        With it, a stream from production becomes a test:

            lab = sk.Lab(sk.Script.from_recording(sk.Recording.load("stall.jsonl"), speed=10))

        Each read of the recording is one write, due as long after the request as it came then, divided by `speed`. All
        follow one schedule, so lateness does not add up. TCP may still cut them differently: writes that follow each
        other faster than the client reads may reach it as one.

        The head has the fields that the recording kept; a body under a content coding is sent as it came. The end is
        the recorded one: whole by its framing, closed, or reset; where the recording's client had left first, silence
        until the client leaves. A refusal is played with its status, its Retry-After and its body. The answer is sent
        whatever is asked, to GET requests too if the recording is of a GET. What a recording does not know is listed in
        `lab/upstream/playback.py`.

        `preset` is the recording's. If the recording has none that can be written (it is a text, or was read by an
        `Extractor`), it is the default, by which a relay would misread it: give the right one to the lab,
        `Lab(script, preset=…)`.

            >>> recording = sk.Recording.from_pieces([(7_000_000, "Hel"), (57_000_000, "lo")], status=200, sent_ns=0)
            >>> [step.due_ns // 10**6 for step in sk.Script.from_recording(recording, speed=2).steps()]
            [0, 3, 28, 28]

        Raises ValueError for a recording without its bytes or its texts (`keep_bytes`, `keep_text`; the message says
        what to do), one of several connections (`resume=`), one from a damaged file, one that reached no server, and
        for a `speed` that is not above 0; TypeError for a `speed` that is not a number.
        """
        played = playback_of(recording, speed)
        return cls(played.pieces, preset=_writable(recording.preset), playback=played)

    def __post_init__(self) -> None:
        for name in ("first_piece_ms", "gap_ms", "jitter_ms"):
            check_number(name, getattr(self, name), "milliseconds")
        check_whole("seed", self.seed, least=None)
        if not isinstance(self.pieces, Iterable):
            raise TypeError(f"expected pieces as a text or a sequence of its pieces, got {self.pieces!r}")
        pieces = split_text(self.pieces, self.seed) if isinstance(self.pieces, str) else tuple(self.pieces)
        object.__setattr__(self, "pieces", pieces)
        if not all(isinstance(piece, str) and piece for piece in pieces):
            raise ValueError("expected pieces as non-empty strings: an LLM sends no empty text")
        writer(self.preset)
        if isinstance(self.faults, Fault):
            raise ValueError(f"expected faults as a sequence, such as ({self.faults!r},), got a single one")  # noqa: TRY004  # as for all fields
        object.__setattr__(self, "faults", tuple(self.faults))
        if self.playback is not None and self.faults:
            raise ValueError(f"expected no faults with a recorded answer, which has its own, got {self.faults!r}")
        _check_faults(self.faults, len(pieces))

    @property
    def text(self) -> str:
        """The whole text: all pieces joined."""
        return "".join(self.pieces)

    @property
    def planned(self) -> bool:
        """Whether the answer is written byte by byte past the HTTP server, head included: it has faults, or was
        recorded.
        """
        return bool(self.faults) or self.playback is not None

    @property
    def whole(self) -> bool:
        """Whether what is sent proves, by the preset's own rules, that it is complete: to a client without limits."""
        return self.truth().whole

    @property
    def expected_text(self) -> str:
        """The most text that a correct client without limits can have; if the answer is `whole`, exactly this text."""
        return self.truth().text

    def truth(
        self, *, max_event_bytes: float = math.inf, max_head_bytes: float = math.inf, max_interim: float = math.inf
    ) -> Truth:
        """`whole` and `expected_text` for a client with limits on events (or lines), heads and interim responses.

        It refuses what is beyond: `max_event_bytes`, `max_head_bytes`, `max_interim` responses (1xx). The result
        follows from the script alone, whoever reads it.

            >>> sk.Script(["a"], faults=[sk.faults.HugeEvent(1, 2_000_000)]).truth(max_event_bytes=1 << 20).whole
            False
        """
        bounds = {"max_event_bytes": max_event_bytes, "max_head_bytes": max_head_bytes, "max_interim": max_interim}
        for name, bound in bounds.items():
            check_number(name, bound, infinite=True)
        return truth_of(
            _whole(self),
            marked=preset(self.preset).has_end_marker,
            **bounds,
        )

    def steps(self, *, usage: bool = False) -> list[Step]:
        """The whole stream, event by event: what the provider sends first, the pieces, and the end.

        With faults, the steps are all that is written: the head of the answer and the end of its framing are steps too.
        The same holds for a recorded answer, in which a write is one step for each piece that it completes, the last of
        them with its bytes. `usage` is for a request that asks for it (OpenAI's `stream_options`): it adds an event
        where the provider has one.

            >>> [step.kind for step in sk.Script(["a", "b"], preset="openai").steps()]
            ['open', 'piece', 'piece', 'close', 'close']

        Raises EncodeError for text that the provider's format cannot carry.
        """
        if self.playback is None:
            _check_text(self)
        steps = _whole(self, usage=usage)
        return steps if self.planned else steps[1:-1]

    def one_step(self) -> Step:
        """The answer to a request that does not want a stream: the whole text in one JSON object, due with the last
        piece.

            >>> sk.Script(["a", "b"], 300, 50, preset="openai").one_step().due_ns // 10**6
            350

        Raises EncodeError if the provider has no such answer, or its format cannot carry the text.
        """
        form = _check_text(self)
        form.one("", 0)  # that there is none is said now
        size = sum(len(piece.encode()) for piece in self.pieces)
        return Step(_last_ns(self), "piece", partial(_one, form, self), size, 1, partial(getattr, self, "text"))

    def due_ns(self) -> list[int]:
        """When each piece is due without faults, in ns after the complete request; never decreasing."""
        if self.playback is not None:
            return self.playback.due_ns()
        chance = random.Random(self.seed)  # noqa: S311  # a replayable script, no cryptography
        moved = (
            self.first_piece_ms + index * self.gap_ms + chance.uniform(-self.jitter_ms, self.jitter_ms)
            for index in range(len(self.pieces))
        )
        return [int(due_ms * 1e6) for due_ms in itertools.accumulate(moved, max, initial=0.0)][1:]


def _writable(name: str | None) -> str:
    """The preset of that name, if it can be written; else the default."""
    try:
        writer(name or "")
    except (UnknownPreset, ConfigError):
        return DEFAULT_PRESET
    return name or ""


def _check_text(script: Script) -> Writer:
    """Say now, not in the middle of a stream, what is wrong with the text; its writer."""
    form = writer(script.preset)
    for index, text in enumerate(script.pieces):
        form.piece(text, index)
    return form


def _one(form: Writer, script: Script) -> bytes:
    return form.one(script.text, len(script.pieces))


def _last_ns(script: Script) -> int:
    """When its end is due: with the last piece, or when that would have come."""
    due_ns = script.due_ns()
    return due_ns[-1] if due_ns else int(script.first_piece_ms * 1e6)


def _whole(script: Script, *, usage: bool = False) -> list[Step]:
    """All that is written, with the head of the answer and the end of its framing."""
    if script.playback is not None:
        return script.playback.steps()
    known = preset(script.preset)
    form = writer(known)
    due_ns = script.due_ns()
    last_ns = _last_ns(script)
    end_at = len(script.pieces) + 1
    said = itertools.accumulate(script.pieces) if form.cumulative else script.pieces
    events = [
        *(Step(0, "open", partial(bytes, data), at=0) for data in form.open()),
        *(
            Step(due, "piece", partial(form.piece, words, index), len(text.encode()), index + 1, partial(str, text))
            for index, (due, text, words) in enumerate(zip(due_ns, script.pieces, said, strict=True))
        ),
        *(
            Step(last_ns, "close", partial(bytes, data), at=end_at, proof=proof_of(known, data))
            for data in form.close(len(script.pieces), script.text if form.recap else "", usage=usage)
        ),
    ]
    answer = whole_answer(events, known, script.seed, end_at + 1)
    for fault in sorted(script.faults, key=lambda fault: fault.stage):
        answer = answer._replace(steps=fault.apply(answer))
    return answer.steps


# --- Faults that stand together -------------------------------------------------------------------------------------

INSTEAD: Final = (faults.NoAnswer, faults.Status)
OF_HEAD: Final = (faults.SlowHead, faults.BigHead, faults.Interim)
ONCE: Final = (*INSTEAD, *OF_HEAD, faults.WrongLength, faults.Cut)


def _check_faults(given: Sequence[Fault], pieces: int) -> None:
    """Raise ValueError unless a script of so many pieces can have these faults, together."""
    for fault in given:
        if not isinstance(fault, Fault):
            raise ValueError(f"expected faults such as Stall(3, ms=500), got {fault!r}")  # noqa: TRY004  # as a Script does
        fault.check(pieces)
    if reason := _conflict(given):
        raise ValueError(f"expected faults that can stand together, got {', '.join(map(repr, given))}: {reason}")


def _conflict(given: Sequence[Fault]) -> str:
    """Why they cannot stand together, if so."""
    kinds = [type(fault) for fault in given]
    if twice := [kind.__name__ for kind in ONCE if kinds.count(kind) > 1]:
        return f"{twice[0]} can stand there only once"
    if faults.WrongLength in kinds and faults.BadChunk in kinds:
        return "with a Content-Length there are no chunks"
    instead = [kind.__name__ for kind in kinds if kind in INSTEAD]
    others = [f for f in given if not isinstance(f, (*INSTEAD, *OF_HEAD)) and getattr(f, "at", 1) != 0]
    if len(instead) > 1 or (instead and others):
        return f"with {instead[0]} there is no stream for the others to act on"
    return ""
