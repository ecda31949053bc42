"""What came of a timeout map's silences: a cell for each stream, a map of all, and which timer it was."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from streamkit.errors import RecordingFormatError
from streamkit.lab.findings.endings import Band, EndGrid, Ending, EndKind, broken_and_complete, ending
from streamkit.lab.recording.lines import BadLineError, decode, read_lines, write_whole
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

__all__ = ["DEADLINES", "OURS", "PLACES", "Place", "Silence", "SilenceCell", "TimeoutMap", "Times", "judged"]

Place: TypeAlias = Literal["before head", "before first piece", "between events", "blocked write"]
PLACES: Final[tuple[Place, ...]] = get_args(Place)
"""before head           the upstream has taken the request, and says nothing
before first piece    it has sent its head and a comment, and no piece
between events        it has sent a piece, and then nothing
blocked write         the client does not read, while the upstream sends more than the buffers hold
"""
OURS: Final = "ours"
VERSION: Final = 1
"""Of its file: a head, `{"streamkit": "timeout map", "version": 1, "T_s": …, "cells": …}`, and a line for each cell."""
BAND: Final = (1.0, 1.5)  # of T: where RESPONSE_TIMEOUT fires
WORDS: Final = ("one ", "two ", "three")
FLOOD: Final = ("." * 1000,) * 48  # small buffers hold five of them, and a client that is late to stop takes 16 more
DEADLINES: Final[Mapping[Place, str]] = {
    "before head": "first_piece",
    "before first piece": "first_piece",
    "between events": "idle",
    "blocked write": "write_stall",
}
"""Which of the relay's deadlines watches which place of a silence."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What one stream is asked to do: fall silent at `place` for `length_s`, `phase_s` after its connection was made.

    `number` tells it from all others; the upstream finds all of it in the question.
    """

    number: int
    place: Place
    length_s: float
    phase_s: float = 0.0

    @property
    def text(self) -> str:
        """All that the upstream says."""
        return "".join(piece for pieces in self.pieces for piece in pieces)

    @property
    def pieces(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Before the silence, at its begin, and after it."""
        if self.place == "between events":
            return WORDS[:1], (), WORDS[1:]
        return (WORDS[:1], FLOOD, WORDS[1:]) if self.place == "blocked write" else ((), (), WORDS)

    @property
    def question(self) -> str:
        return f"silence {self.number}: {self.length_s!r} s {self.place}"

    @classmethod
    def asked(cls, body: str) -> Silence:
        """The inverse of `question`. Raises ValueError for anything else."""
        found = re.search(r"silence (\d+): ([\d.e-]+) s ([a-z ]+)", body)
        if found is None or found[3] not in PLACES:
            raise ValueError("expected a question such as 'silence 1: 0.5 s before head'")
        return cls(int(found[1]), found[3], float(found[2]))


@dataclass(frozen=True, slots=True)
class SilenceCell:
    """What came of one silence: plain values.

    `kind` and `says` are what the client could tell (`endings.Ending`), `outcome` and `status` what `record()` says,
    `whole` whether it got all of the text. `fired` is the timer that ended it, "" for none; `after_ms` when it did so,
    counted from the last that was said before the silence (the request, the piece, the flood) until the relay let go of
    its upstream. `late_ms` is by how much the machine was late meanwhile, which may be in all of it.
    """

    relay: str
    place: Place
    length_s: float
    phase_s: float
    kind: EndKind
    says: str
    outcome: str
    status: int | None
    whole: bool
    fired: str
    after_ms: float | None
    late_ms: float


@dataclass(frozen=True, repr=False)
class TimeoutMap:
    """What `timeout_map` found: a cell for each stream.

        found = await sk.experiments.timeout_map(T_s=0.5)
        print(found.finding)
        sk.plots.outcomes(found)

    T_s     what all timers were set to, in seconds
    cells   a `SilenceCell` for each stream: what its client saw, and which timer fired when
    """

    T_s: float
    cells: tuple[SilenceCell, ...]

    def of(self, relay: str) -> list[SilenceCell]:
        """The cells of one relay."""
        return [cell for cell in self.cells if cell.relay == relay]

    @property
    def relays(self) -> tuple[str, ...]:
        """The names of the relays, in the order in which they were asked."""
        return tuple(dict.fromkeys(cell.relay for cell in self.cells))

    @property
    def finding(self) -> str:
        """In words, for each relay: when its timers fired, and whether its client could notice."""
        told = "; ".join(_clause(relay, self.of(relay), self.T_s) for relay in self.relays)
        return told[:1].upper() + told[1:]

    @property
    def late_ms(self) -> float:
        """By how much the machine was late at worst: differences smaller than that say nothing."""
        return max((cell.late_ms for cell in self.cells), default=0.0)

    def end_grid(self) -> EndGrid:
        """The map as a grid for `sk.plots.outcomes`: places by lengths in units of T, a panel for each relay."""
        lengths = sorted({cell.length_s for cell in self.cells})
        columns = [f"{length_s / self.T_s:.3g}" for length_s in lengths]
        panels = {relay: _by_place(self.of(relay), dict(zip(lengths, columns, strict=True))) for relay in self.relays}
        inside = [c for c in columns if BAND[0] <= float(c) <= BAND[1]]
        band = Band(inside[0], inside[-1], f"{BAND[0]:.1f} – {BAND[1]:.1f} × T") if inside else None
        return EndGrid(
            rows=[place for place in PLACES if any(cell.place == place for cell in self.cells)],
            columns=columns,
            panels=panels,
            finding=self.finding,
            scale=True,
            explain=_how_to_read(self.cells),
            note=f"the machine was up to {self.late_ms:,.0f} ms late",
            x_label=f"length of the silence, × T ({self.T_s * 1e3:,.0f} ms)",
            bands={relay: band for relay in self.relays if band is not None and _polled(self.of(relay))},
        )

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame with one row per stream. Raises ImportError if pandas is missing."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        return pd.DataFrame([asdict(cell) for cell in self.cells])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all cells to a JSON Lines file, whole or not at all.

        found.save("silences.jsonl")  # or "silences.jsonl.gz": compressed
        """
        head = {"streamkit": "timeout map", "version": VERSION, "T_s": self.T_s, "cells": len(self.cells)}
        write_whole(path, [head, *map(asdict, self.cells)])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TimeoutMap:
        """Read a file written by `save()`.

            found = sk.experiments.TimeoutMap.load("silences.jsonl")

        Raises `RecordingFormatError` for any other file, and for a damaged one, as a map with holes would mean
        something else; OSError if it cannot be read.
        """
        name = Path(path).name
        try:
            head, *rows = (decode(line.removesuffix(b"\n")) for line in read_lines(path))
            told = [field.name for field in fields(SilenceCell)]
            found = cls(float(head["T_s"]), tuple(SilenceCell(**{each: row[each] for each in told}) for row in rows))
            whole = (head["streamkit"], head["version"], head["cells"]) == ("timeout map", VERSION, len(rows))
        except (BadLineError, KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise RecordingFormatError(
                f"expected a whole timeout map (version {VERSION}) in {name}, got something else"
            )
        return found

    def __repr__(self) -> str:
        return f"<TimeoutMap T={self.T_s * 1e3:g} ms: {len(self.cells)} streams, {', '.join(self.relays)}>"


def _how_to_read(cells: Sequence[SilenceCell]) -> tuple[str, ...]:
    """What is what in a panel of the map."""
    each = max(Counter((cell.relay, cell.place, cell.length_s) for cell in cells).values())
    field = f"a field is {each} streams, a stripe each" if each > 1 else "a field is one stream"
    return (
        "a row is a place: where the upstream falls silent",
        field,
        "below it: what ended them, and after how long",
        "a column is a length of the silence",
    )


class Times(NamedTuple):
    """As in `SilenceCell`."""

    after_ms: float | None
    late_ms: float


# --- Judging --------------------------------------------------------------------------------------------------------


def judged(relay: str, silence: Silence, recording: Recording, times: Times) -> SilenceCell:
    """What the client saw, and which timer that was: of ours by its own word, of Sanic and httpx by what they leave."""
    seen = ending(recording, silence.text)
    own = recording.meta.get("server_outcome") or _own_word(recording)
    fired = "" if seen.kind == "complete" else _by_word(own) if own else _by_trace(relay, recording)
    return SilenceCell(
        relay=relay,
        place=silence.place,
        length_s=silence.length_s,
        phase_s=silence.phase_s,
        kind=seen.kind,
        says=seen.says,
        outcome=str(recording.outcome),
        status=recording.status,
        whole=recording.text == silence.text,
        fired=fired,
        after_ms=times.after_ms if fired else None,
        late_ms=times.late_ms,
    )


def _own_word(recording: Recording) -> str | None:
    """What the relay itself says of the stream: a client that is cut off cannot be told."""
    return None if recording.relay is None else str(recording.relay.outcome)


def _by_word(outcome: str) -> str:
    """`idle` of `timeout(idle)`."""
    said = Outcome.parse(outcome)
    return str(said.detail) if said.name == "timeout" else str(said)


def _by_trace(relay: str, recording: Recording) -> str:
    """Before the head an answer tells them apart: 503 is Sanic's timer, 500 an exception of the handler, which can only
    be httpx's. After it Sanic's timer closes the connection, while an exception gets a clean end.
    """
    if relay == OURS:
        return "unknown"
    if recording.status == 503 or recording.outcome.name == "truncated":
        return "RESPONSE_TIMEOUT"
    return "ReadTimeout" if recording.status == 500 or recording.outcome.ok else "unknown"


def _by_place(cells: Sequence[SilenceCell], columns: Mapping[float, str]) -> dict[tuple[str, str], list[Ending]]:
    found: dict[tuple[str, str], list[Ending]] = {}
    for cell in sorted(cells, key=lambda cell: cell.phase_s):
        key = (cell.place, columns[cell.length_s])
        found.setdefault(key, []).append(Ending(cell.kind, _label(cell), cell.after_ms))
    return found


def _label(cell: SilenceCell) -> str:
    """What stands in the figure: the timer; and the status, where that is all that the client got."""
    if cell.kind == "unnamed":
        return f"{cell.status} {cell.fired}"
    return cell.fired


def _polled(cells: Sequence[SilenceCell]) -> bool:
    return any(cell.fired == "RESPONSE_TIMEOUT" for cell in cells)


def _clause(relay: str, cells: Sequence[SilenceCell], T_s: float) -> str:  # noqa: N803  # as above
    broken = [cell for cell in cells if cell.kind != "complete"]
    times = [cell.after_ms / T_s / 1e3 for cell in broken if cell.after_ms is not None]
    if not times:
        return f"{relay}: no timer fired" if not broken else f"{relay}: {len(broken)} broken"
    first, last = f"{min(times):.2f}", f"{max(times):.2f}"
    when = f"{first} × T" if first == last else f"{first} – {last} × T"
    lies = sum(cell.kind == "false_complete" for cell in broken)
    if lies:
        return f"{relay}: cut at {when}, and {broken_and_complete(lies, len(broken))}"
    right = all(cell.fired == DEADLINES[cell.place] for cell in broken)
    return f"{relay}: every timer fires at {when} and says which" if right else f"{relay}: cut at {when}"
