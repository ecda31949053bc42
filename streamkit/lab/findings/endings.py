"""What a client can tell of how its stream ended, beside what was true: one word for each stream, many in a grid.

    end_grid({"cut by FIN": {"naive": one, "ours": other}, …}, whole=script.text)

The worst is `false_complete`: the client has every reason to take the text for whole, and it is not. Pure functions of
recordings; `plots.outcomes` draws them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from streamkit.lab.findings.subjects import ONE_BY_ONE, Recordings, grouped, named, recordings_in, the_recording
from streamkit.lab.findings.words import short
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

__all__ = [
    "KINDS",
    "SAYS_LIMIT",
    "Band",
    "EndGrid",
    "EndKind",
    "Ending",
    "broken_and_complete",
    "end_grid",
    "ending",
    "endings_of",
]

EndKind: TypeAlias = Literal["complete", "named", "unnamed", "cut", "endless", "false_complete"]
KINDS: Final[tuple[EndKind, ...]] = get_args(EndKind)
"""complete        whole, and it says so
named           broken, and the client is told of what, or its server's log is
unnamed         broken, and the client is told no more than that: an error's status
cut             broken off, and that can be seen
endless         the client gave up, or had enough: it was never told anything
false_complete  looks complete, and is not
"""
SAYS_LIMIT: Final = 44
"""The longest of our own codes can be read whole, as `error_event(upstream_incremental_refused)`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one stream ended for its client, compared with what was true.

        >>> sk.findings.Ending("cut", "truncated", 312.0).kind
        'cut'

    kind      "complete": whole, and it says so. "named": broken, and the client, or its server's log, is told why.
              "unnamed": broken, and told no more than that. "cut": broken off visibly. "endless": never told anything,
              until the client gave up. "false_complete": looks complete, and is not
    says      the word that goes with it: a timer, a status, a code
    after_ms  how long it took (from the beginning of a silence, for example); None where that is not known
    """

    kind: EndKind
    says: str = ""
    after_ms: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)} as kind, got {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Band:
    """Neighbouring columns of a grid that belong together, and what to call them.

        >>> sk.findings.Band("1.1", "1.4", "Sanic's timer").name
        "Sanic's timer"

    `first` and `last` are names of the grid's columns.
    """

    first: str
    last: str
    name: str


@dataclass(frozen=True, kw_only=True)
class EndGrid:
    """How streams ended, by row and column, in one or several panels: what `sk.plots.outcomes` draws.

        >>> cut = sk.findings.Ending("cut")
        >>> grid = sk.findings.EndGrid(rows=["FIN"], columns=["naive"], panels={"": {("FIN", "naive"): [cut]}})
        >>> len(grid.all())
        1

    rows, columns   their names, the same for all panels
    panels          by name ("" for a single one), the endings in each cell: several, or none
    finding         the title
    x_label         what the columns are
    scale           whether the columns are a scale, so that neighbours belong together
    bands           the `Band` of a panel, by the panel's name
    note            the small print
    explain         how to read a panel, beside the first one: a sentence for each row, from the top, and one for the
                    columns

    Raises ValueError for a cell or a band outside the grid, and if there is no stream at all.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    panels: Mapping[str, Mapping[tuple[str, str], Sequence[Ending]]]
    finding: str = ""
    x_label: str = ""
    scale: bool = False
    note: str = ""
    explain: Sequence[str] = ()
    bands: Mapping[str, Band] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(cell for cells in self.panels.values() for cell in cells.values()):
            raise ValueError("expected at least one stream, got none")
        for cells in self.panels.values():
            for row, column in cells:
                if row not in self.rows or column not in self.columns:
                    raise ValueError(f"expected cells of the grid's rows and columns, got ({row!r}, {column!r})")
        for name, band in self.bands.items():
            if name not in self.panels or not {band.first, band.last} <= set(self.columns):
                raise ValueError(f"expected bands of the grid's panels and columns, got {band!r} in {name!r}")

    def all(self, panel: str | None = None) -> list[Ending]:
        """Every ending, or those of one panel."""
        chosen = self.panels.values() if panel is None else [self.panels[panel]]
        return [one for cells in chosen for cell in cells.values() for one in cell]


def ending(recording: Recording, whole: str | None) -> Ending:
    """How a stream ended for its client, given the text that it should have got.

        >>> sk.findings.ending(sk.Recording.from_pieces([(10_000_000, "Hel")]), whole="Hello").kind
        'false_complete'

    `whole` is that text; None if nothing could be whole, because the upstream broke before it had proven its end.
    Raises TypeError for what is not a recording.
    """
    outcome = the_recording(recording).outcome
    after_ms = None if recording.ended_ns is None else (recording.ended_ns - recording.origin_ns) / 1e6
    if outcome.ok:
        if whole is not None and recording.text == whole:
            return Ending("complete", "complete", after_ms)
        return Ending("false_complete", _what_is_wrong(recording.text, whole), after_ms)
    named = recording.meta.get("server_outcome")
    if named is not None:
        return Ending("named", _code(str(named)), after_ms)
    return Ending(_kind(outcome), _says(outcome), after_ms)


def end_grid(
    recordings: Mapping[str, Mapping[str, Recording]], whole: str | Mapping[str, str | None], *, x_label: str = ""
) -> EndGrid:
    """A grid of endings from recordings, such as faults × relays, each judged by `ending`.

        >>> cut = sk.Recording.from_pieces([(10_000_000, "Hel")])
        >>> sk.findings.end_grid({"cut by FIN": {"naive": cut}}, whole="Hello").finding
        'naive: the broken stream looks complete'

    recordings   by the names of the rows, and in these by the names of the columns
    whole        the whole text, for all rows or by row; see `ending`
    x_label      what the columns are
    """
    texts = dict.fromkeys(recordings, whole) if isinstance(whole, str) else whole
    cells = {
        (row, column): [ending(recording, texts[row])]
        for row, columns in recordings.items()
        for column, recording in columns.items()
    }
    names = list(dict.fromkeys(column for columns in recordings.values() for column in columns))
    return EndGrid(
        rows=list(recordings), columns=names, panels={"": cells}, finding=_by_column(names, cells), x_label=x_label
    )


def endings_of(recordings: Recordings) -> EndGrid:
    """One row for each recording; of more than eight, one for each name. What they should have been is not known, so
    what says that it is complete is.
    """
    given = recordings_in(recordings)
    told = _at_their_word([recording for _, recording in given])
    cells = _by_name(given) if len(given) > ONE_BY_ONE else _one_by_one(given)
    rows = [row for row, _ in cells]
    return EndGrid(rows=rows, columns=[""], panels={"": cells}, finding=told)


def _one_by_one(given: Sequence[tuple[str, Recording]]) -> dict[tuple[str, str], list[Ending]]:
    return {(name, ""): [_taken_at_its_word(recording)] for name, recording in _told_apart(given).items()}


class _Ended(NamedTuple):
    name: str
    ending: Ending


def _by_name(given: Sequence[tuple[str, Recording]]) -> dict[tuple[str, str], list[Ending]]:
    """What ended alike stands together, so that a share can be seen; sizes are left out."""
    ended = []
    for name, recording in named(given):
        judged = ending(recording, recording.text)
        ended.append(_Ended(name, Ending(judged.kind, short(_own_word(recording), SAYS_LIMIT), judged.after_ms)))
    return {
        (group.name, ""): sorted((one.ending for one in group.members), key=lambda one: KINDS.index(one.kind))
        for group in grouped(ended)
    }


# --- One stream -----------------------------------------------------------------------------------------------------


def _kind(outcome: Outcome) -> EndKind:
    """Of what is not complete, and of which the server's own word is not known."""
    match outcome.name:
        case "refused":
            return "unnamed"
        case "error_event":
            return "named"
        case "truncated":
            return "cut"
        case _:
            return "endless"


def _code(server_outcome: str) -> str:
    """Of an error event its code, which says all; else the whole word: `timeout(idle)`, `refused(429)`."""
    code = server_outcome.removeprefix("error_event(")
    return short(server_outcome if code == server_outcome else code.removesuffix(")"), SAYS_LIMIT)


def _says(outcome: Outcome) -> str:
    match outcome.name:
        case "refused" | "error_event":
            return short(str(outcome.detail or outcome.name), SAYS_LIMIT)
        case "truncated":
            return "cut"
        case "cancelled":
            return "stopped by us"
        case _:
            return "never ended"


def _what_is_wrong(text: str, whole: str | None) -> str:
    if not text:
        return "no text"
    if whole is None or text == whole:
        return "end unproven"
    return "text missing" if whole.startswith(text) else "error in text"


def _taken_at_its_word(recording: Recording) -> Ending:
    judged = ending(recording, recording.text)
    size = len(recording.text)
    says = short(_own_word(recording), SAYS_LIMIT)
    return Ending(judged.kind, f"{says}, {size:,} character{'' if size == 1 else 's'}", judged.after_ms)


def _own_word(recording: Recording) -> str:
    """How it ended for its server, if that is known; else for its client."""
    return str(recording.meta.get("server_outcome", recording.outcome))


def _told_apart(given: Sequence[tuple[str, Recording]]) -> dict[str, Recording]:
    """As everywhere in figures: a mapping's keys, else labels, else numbers; here no two alike."""
    found: dict[str, Recording] = {}
    for number, (key, recording) in enumerate(given, 1):
        name = key or recording.label or f"recording {number}"
        same = sum(other == name or other.startswith(f"{name} (") for other in found)
        found[f"{name} ({same + 1})" if name in found else name] = recording
    return found


# --- The sentence ---------------------------------------------------------------------------------------------------


def _at_their_word(recordings: Sequence[Recording]) -> str:
    others = Counter(_own_word(one) for one in recordings if not one.outcome.ok)
    complete = len(recordings) - others.total()
    if not others:
        return "The stream completes" if complete == 1 else f"All {complete} streams complete"
    told = ", ".join(f"{count} × {short(name, SAYS_LIMIT)}" for name, count in others.most_common(4))
    more = " …" if len(others) > 4 else ""
    return f"{complete} of {len(recordings)} streams complete{'s' if complete == 1 else ''}; {told}{more}"


def _by_column(names: Sequence[str], cells: Mapping[tuple[str, str], Sequence[Ending]]) -> str:
    """Who takes broken streams for whole, and who does not."""
    clauses = []
    for name in names:
        endings = [one for (_, column), cell in cells.items() if column == name for one in cell]
        broken = [one for one in endings if one.kind != "complete"]
        lies = sum(one.kind == "false_complete" for one in broken)
        if not broken:
            clauses.append(f"{short(name)}: all {len(endings)} complete")
        elif lies:
            clauses.append(f"{short(name)}: {broken_and_complete(lies, len(broken))}")
        else:
            clauses.append(f"{short(name)}: none of {len(broken)}" if clauses else _honest(name, len(broken)))
    return "; ".join(clauses)


def _honest(name: str, broken: int) -> str:
    if broken == 1:
        return f"{short(name)}: the broken stream does not look complete"
    return f"{short(name)}: none of {broken} broken streams looks complete"


def broken_and_complete(lies: int, broken: int) -> str:
    """`1 of 3 broken streams looks complete`, `both broken …`: how many of those that broke look as if they had not."""
    if broken == 1:
        return "the broken stream looks complete"
    return f"{lies} of {broken} broken streams look{'s' if lies == 1 else ''} complete"
