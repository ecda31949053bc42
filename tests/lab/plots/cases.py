"""What the figures are drawn of in tests, and what is claimed of all of them alike."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from streamkit.lab import findings, plots
from streamkit.lab.experiments.silences import LENGTHS, RELAYS
from streamkit.lab.experiments.timeouts import PLACES, SilenceCell, TimeoutMap
from streamkit.lab.findings.endings import EndGrid, Ending, EndKind, end_grid, endings_of
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.sends import Sends
from streamkit.lab.sets import RecordingSet, Resources
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge
from tests.figures import lay_out
from tests.lab.compare.examples import COMPARISONS
from tests.lab.results import results_of
from tests.lab.sets.streams import ZERO_NS, load, stream
from tests.lab.sweep.examples import SWEEPS
from tests.policy_model import FOUR, REFUSED, under, untold, without_taps
from tests.queue_chain import QUEUES, queue_case
from tests.ways import DUE, FIVES, HALTED, MS, later, quick, slow_reader, way

# --- Pieces, as the client saw them ---------------------------------------------------------------------------------


def made(
    count: int = 40,
    first: float = 312,
    gap: float = 50,
    per_read: int = 1,
    stalls: dict[int, float] | None = None,
    outcome: str = "complete",
    tail: float = 3,
    label: str = "",
) -> Recording:
    """`count` pieces of 1 to 12 characters, `per_read` at a time; before piece i a stall of `stalls[i]` ms."""
    seeded = random.Random(1)
    at, pieces = first, []
    for index in range(count):
        if index and index % per_read == 0:
            at += gap * per_read + (stalls or {}).get(index, 0)
        pieces.append((round(at * MS), "x" * seeded.randint(1, 12)))
    end = round((at + tail) * MS)
    return Recording.from_pieces(pieces, outcome=Outcome.parse(outcome), sent_ns=0, ended_ns=end, label=label)


PIECES: dict[str, Any] = {
    "normal": made(),
    "stall": made(stalls={16: 612}),
    "stalls side by side": made(120, stalls={16: 612, 40: 300, 43: 400, 80: 900}),
    "bursts": made(60, per_read=5),
    "cut": made(12, outcome="truncated", tail=20),
    "refused": made(0, first=8, outcome="refused(503)"),
    "timeout": made(22, outcome="timeout(idle)", tail=2000),
    "no first piece": made(0, first=0, outcome="timeout(first_piece)", tail=5000),
    "single": made(1),
    "many": made(20_000, gap=1),
    "long": made(200, gap=1500, stalls={90: 20_000}),
    "tiny": made(20, first=0.2, gap=0.03, tail=0.01),
    "two": {"direct": made(), "relay": made(first=612, per_read=2)},
    "side by side": {
        "direct": made(),
        "buffered": made(per_read=8),
        "stalled": made(stalls={20: 800}),
        "slow": made(gap=80),
        "refused": made(0, first=30, outcome="refused(429)"),
        "idle": made(10, outcome="timeout(idle)", tail=1500),
        "big bursts": made(60, per_read=20, gap=40),
        "one": made(1),
    },
    "twelve": [made(gap=30 + 4 * i) for i in range(12)],
    "long names": {
        "a very long label that goes on for ever": made(),
        "你好 direct": made(first=700),
        "$x$ or\n$y$": made(),
    },
    "nothing": Recording(),
    "not sent": [made(label="known"), Recording(outcome=Outcome("refused"), ended_ns=20 * MS, label="no connection")],
}
# --- Ways, as all taps saw them ---------------------------------------------------------------------------------------


STALLING = [312 + 50 * i + (612 if i >= 16 else 0) + (400 if i >= 20 else 0) for i in range(40)]
WHOLE_WAY = {"upstream.sent": DUE[:24], "relay.read": DUE[:22], "relay.send": DUE[:20], "relay.sent": DUE[:18]}

WAYS: dict[str, Recording] = {
    "slow reader": slow_reader(),
    "fine": quick(DUE),
    "late upstream": way({"upstream.due": DUE, "upstream.sent": later(DUE, 120)}, later(DUE, 121)),
    "relay stalls": quick(DUE, relay_send=HALTED, relay_sent=later(HALTED, 1), client_read=later(HALTED, 2)),
    "cut": way(WHOLE_WAY, later(DUE[:16], 0.5), "truncated", 1600),
    "coalesced": quick(DUE, relay_send=FIVES, relay_sent=later(FIVES, 0.1), client_read=later(FIVES, 0.3)),
    "client alone": way({}, STALLING),
    "timeout": way({"upstream.sent": DUE[:14], "relay.read": DUE[:14]}, DUE[:14], "timeout(idle)", 3000),
    "no first piece": way({}, [], "timeout(first_piece)", 5000),
    "stuck in the relay": way({"upstream.sent": DUE, "relay.read": DUE}, [], "timeout(first_piece)", 5000),
    "refused": way({}, [], "refused(503)", 12),
    "error": way({}, STALLING, "error_event(过载 $x$)", label="你好"),
    "one": quick([300]),
    "far": quick(DUE, client_read=later(DUE, 150)),
    "long": way({"upstream.sent": [1500 * i for i in range(200)]}, [1500 * i + 900 for i in range(200)]),
    "plain text": way({"upstream.sent": DUE, "relay.sent": DUE}, FIVES, event=[""] * 40),
    "made": way({"relay.sent": DUE}, later(DUE, 1), sent_ns=None),
    "nothing": Recording(),
}
MANY_WAYS = [
    replace(way({"relay.sent": DUE}, later(DUE, by + n)), label=label)
    for n in range(5)
    for label, by in (("near", 1), ("$x$ 你好", 90))
]
# --- Policies ---------------------------------------------------------------------------------------------------------

SLOW_READER: dict[str, Any] = {
    "two": {"pause": under("pause"), "latest": under("latest")},
    "four": FOUR,
    "six": {**FOUR, "buffer(65536)": under("buffer"), "coalesce": under("buffer")},
    "one": under("latest"),
    "a list": [under("pause"), under("buffer")],
    "no difference": {name: under(name, 30, (0, 0)) for name in ("pause", "latest")},
    "long names": {
        "a policy with a very long name that goes on and on for ever": under("pause"),
        "你好 $x$\nand more of the same, and more, and more, and more": under("disconnect"),
    },
    "no taps": {"pause": under("pause"), "from afar": without_taps(under("latest"))},
    "refused": {"pause": under("pause"), "latest": REFUSED},
    "only refused": REFUSED,
    "untold": {"pause": under("pause"), "latest": untold(under("latest"))},
    "error": {"pause": without_taps(under("latest"), outcome=Outcome("error_event", "a code that is long " * 5))},
    "made": without_taps(under("pause"), sent_ns=None),
    "groups": [
        *(replace(under("pause", 60, (200, 400 + 40 * n)), label="pause(8)") for n in range(5)),
        *(replace(under(policy, 60, (200, 400)), label="你好 $x$ and more") for policy in ("latest",) * 3 + ("pause",)),
        replace(REFUSED, label="refused"),
    ],
    "nothing": Recording(),
}
# --- Ends -------------------------------------------------------------------------------------------------------------

WHOLE = "床前明月光"
FIRED = {"before head": "first_piece", "before first piece": "first_piece", "between events": "idle",
         "blocked write": "write_stall"}  # fmt: skip


def ended(relay: str, place: str, length: float, phase: int) -> tuple[EndKind, str, float | None]:
    """As they were measured: ours at T, httpx at T and cleanly, Sanic at 1.0 to 1.5 T."""
    blocked = place == "blocked write"
    if relay == "ours":
        return ("cut" if blocked else "named", FIRED[place], 504.0 + phase) if length > 1 else ("complete", "", None)
    if relay == "Sanic + httpx" and not blocked:
        kind: EndKind = "false_complete" if place == "between events" else "unnamed"
        return (kind, "ReadTimeout", 503.0 + phase) if length > 1 else ("complete", "", None)
    fires = 1.5 - phase / 8
    kind = "unnamed" if place in PLACES[:2] else "cut"
    return (kind, "RESPONSE_TIMEOUT", 500 * fires) if length > fires else ("complete", "", None)


def measured(relays: tuple[str, ...] = RELAYS, lengths: tuple[float, ...] = LENGTHS, phases: int = 4) -> TimeoutMap:
    cells = []
    for relay, place, length, phase in product(relays, PLACES, lengths, range(phases)):
        kind, fired, after_ms = ended(relay, place, length, phase)
        status = 503 if kind == "unnamed" else 200
        cells.append(
            SilenceCell(relay, place, length / 2, phase / 16, kind, "", kind, status, not fired, fired, after_ms, 4.0)
        )
    return TimeoutMap(0.5, tuple(cells))


def got(text: str, outcome: str, server: str | None = None) -> Recording:
    meta = {} if server is None else {"server_outcome": server}
    return Recording.from_pieces(
        [(1_000_000, text)] if text else [],
        outcome=Outcome.parse(outcome),
        sent_ns=0,
        ended_ns=312_000_000,
        meta=meta,
    )


FAULTS = {
    "none": {"article": got(WHOLE, "complete"), "stock": got(WHOLE, "complete"), "ours": got(WHOLE, "complete")},
    "cut by FIN after event 5": {
        "article": got(WHOLE[:2] + "error: …", "complete"),
        "stock": got(WHOLE[:2], "complete"),
        "ours": got(WHOLE[:2], "error_event(upstream_truncated)", "truncated"),
    },
    "never answers": {
        "article": got("", "timeout(total)"),
        "stock": got("", "refused(503)"),
        "ours": got("", "refused(504)", "timeout(first_piece)"),
    },
    "你好: an endless line, and then nothing": {
        "article": got("", "complete"),
        "stock": got(WHOLE[:1], "truncated"),
        "ours": got("", "refused(502)", f"error_event({'x' * 90})"),
    },
}
MIXED = EndGrid(
    rows=["row"],
    columns=["1", "2"],
    panels={
        "": {
            ("row", "1"): [Ending("complete"), Ending("cut", "a", 3.0), Ending("cut", "b", 5.0), Ending("complete")],
            ("row", "2"): [Ending("false_complete", "c")],
        }
    },
)
ENDINGS: dict[str, Any] = {
    "table": end_grid(FAULTS, WHOLE, x_label="relay"),
    "map": measured(),
    "ours alone": measured(("ours",)),
    "one length": measured(lengths=(1.2,), phases=1),
    "many lengths": measured(lengths=tuple(np.linspace(0.1, 3, 30)), phases=1),
    "mixed": MIXED,
    "strip": {f"{fault} / {relay}": one for fault, row in FAULTS.items() for relay, one in row.items()},
    "one recording": got(WHOLE, "complete"),
}
# --- Uploads ----------------------------------------------------------------------------------------------------------


def sent(
    gap: float = 10,
    held: float = 0,
    count: int = 40,
    *,
    read_after: float | None = None,
    window: float | None = None,
    unread: int | None = None,
    whole: bool = True,
    outcome: str = "complete",
    results: int = 8,
) -> Recording:
    """`count` writes of 100 kB, one each `gap` + `held` ms, of which the kernel had no room for `held`; read by the
    server so many ms later, for `window` ms of it because it did not before; `unread` bytes of the answer wait.
    """
    at = [round((gap + held) * MS * (i + 1)) for i in range(count)]
    taps = (
        {}
        if read_after is None
        else {
            "server.read": Tap(
                [t + round(read_after * MS) for t in at], [0] * count, [100_000 * (i + 1) for i in range(count)]
            )
        }
    )
    gauges = {} if unread is None else {"client.unread": Gauge(at, [unread] * count)}
    end = at[-1] + round(((read_after or 0) + 5) * MS)
    came = [round(end * (i + 1) / (results + 1)) for i in range(results)]
    return replace(
        Recording.from_pieces([(t, "{}") for t in came]),
        sends=Sends(at, [100_000] * count, [round(held * MS)] * count),
        connected_ns=0,
        sent_ns=at[-1] if whole else None,
        head_ns=MS,
        ended_ns=end,
        outcome=Outcome.parse(outcome),
        taps=taps,
        gauges=gauges,
        meta={} if window is None else {"window_full_ns": round(window * MS)},
    )


def of_another_client(first_after: float | None) -> Recording:
    """40 kB that the server read within 900 ms, sent by a client that got its 6 events so many ms after the first."""
    read = Tap([(100 + 100 * i) * MS for i in range(10)], [0] * 10, [4_000 * (i + 1) for i in range(10)])
    came = [] if first_after is None else [round((100 + first_after + i) * MS) for i in range(6)]
    return replace(
        Recording.from_pieces([(at, "{}") for at in came]),
        taps={"server.read": read},
        sent_ns=1_000 * MS,
        ended_ns=1_100 * MS,
    )


UPLOADS: dict[str, Recording] = {
    "iterator": sent(20, 1, read_after=2),
    "server": sent(1, 30, read_after=900, window=1100),
    "network": sent(1, 30, read_after=300, window=10),
    "way": sent(1, 30),
    "client": sent(1, 30, read_after=400, window=1200, unread=60_000),
    "nobody": sent(0.1, read_after=0.2, window=0),
    "refused": sent(1, whole=False, outcome="refused(413)", results=0),
    "cut": sent(20, whole=False, read_after=300, outcome="truncated"),
    "small": sent(count=1),
    "long": sent(200, 900, count=300, read_after=3000),
    "another client's": of_another_client(first_after=950),
    "no upload": made(),
    "nothing": Recording(),
}
# --- Results ----------------------------------------------------------------------------------------------------------

MEANS = [{"mean": 5 + np.sin(n / 5), "p95": None} for n in range(60)]
RESULTS: dict[str, Any] = {
    "one": results_of(MEANS),
    "two": {"window": results_of(MEANS), "fading": results_of(MEANS[20:])},
    "eight": {f"recording {n}": results_of(MEANS[n:], label="x") for n in range(8)},
    "many": results_of([{"mean": n % 70} for n in range(5000)], every_ms=1),
    "large": results_of([{"mean": 10.0**n} for n in range(12)]),
    "below zero": results_of([{"mean": -n / 1e5} for n in range(12)]),
    "single": results_of(MEANS[:1]),
    "none": results_of([{"n": 1}]),
    "one of two": {"there": results_of(MEANS), "not there": results_of([{}])},
    "long names": {
        "a very long label that goes on and on for ever, and ever, and ever, and then some": results_of(MEANS),
        "你好 $x$\nand more of the same": results_of(MEANS[9:]),
    },
    "groups": [
        replace(results_of(MEANS[n:], every_ms=10 + n), label=label) for n in range(5) for label in ("a", "$x$ 你好")
    ],
    "text": made(),
    "nothing": Recording(),
}
# --- Loads ------------------------------------------------------------------------------------------------------------

USED = [(ZERO_NS + n * 100 * MS, (60 + n) * 1_000_000, 9 + n, n * 40 * MS, n * MS) for n in range(5)]
LOADS: dict[str, Any] = {
    "few": load(3, pieces=3),
    "many, one late and one refused": RecordingSet(
        [*load(330, 900, pieces=2), stream(90, 300, ttft=900), stream(50, pieces=0, outcome="refused(过载 $x$)")],
        resources=[Resources.of("relay", USED), Resources.of("你好 $x$", USED)],
    ),
    "no piece": [stream(None, pieces=0, outcome="timeout(first_piece)")],
}
ECDFS: dict[str, Any] = {
    "few": LOADS["few"],
    "groups": {
        "a very long name that goes on for ever, and ever": RecordingSet(load(30, seed=2)),
        "你好 $x$\n": RecordingSet(load(5)),
        "no piece": RecordingSet(LOADS["no piece"]),
    },
    "no piece": LOADS["no piece"],
}
# --- Streams whose client left ----------------------------------------------------------------------------------------


def left(sent: Sequence[float], gone: float, stopped: float | None, **taps: Sequence[float]) -> Recording:
    """The upstream sent at `sent` (ms), the client left at `gone`, the upstream stopped at `stopped`, if it did."""
    marks = {"upstream.asked": 0} | ({} if stopped is None else {"upstream.ended": round(stopped * MS)})
    named = {name.replace("_", "."): times for name, times in taps.items()}
    seen = [at + 0.2 for at in sent if at + 0.2 < gone]
    return way({"upstream.sent": sent, **named}, seen, "cancelled", gone, marks=marks)


SOON = left(DUE[:10], 770, 772, relay_sent=later(DUE[:10], 0.1))
LATE = left(DUE, 770, DUE[-1] + 2)
LEAVINGS: dict[str, Any] = {
    "two": {"our relay": SOON, "the pumping relay": LATE},
    "one": LATE,
    "before a piece": {"ours": left([], 300, 302), "late": left(DUE[:3], 280, 500), "never": left([], 300, None)},
    "to the end": quick(DUE),
    "eight": {f"a very long name 你好 $x$ {n}": left(DUE, 500 + 50 * n, None) for n in range(8)},
}
LEAVINGS["to the end"].marks["upstream.asked"] = 0
# --- The figures ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A function of `plots`, its sentence, and the names of its typical cases.

    In other sizes the `worst` one, which is the first of these, is drawn in all of `sizes` (inches), the other of them
    and some `others` in the first size, the smallest; then `all_words` keep apart, or those inside the frame.
    """

    draw: Callable[..., Axes]
    finding: Callable[[Any], str]
    cases: Sequence[str]
    case: Callable[[str], Any]
    sizes: Sequence[tuple[float, float]] = ()
    worst: Sequence[str] = ()
    others: Sequence[str] = ()
    all_words: bool = False


OF_SWEEPS = {"sweep", "heatmap", "compare"}
"""These, and comparisons. The others are of recordings, or of endings made of them."""


def grid_finding(shown: Any) -> str:
    if isinstance(shown, EndGrid | TimeoutMap):
        return shown.finding
    return endings_of(shown).finding


FIGURES = {
    "timeline": Figure(
        draw=plots.timeline,
        finding=findings.finding,
        cases=[name for name in PIECES if name not in ("stall", "timeout", "refused", "two", "single")],
        case=PIECES.__getitem__,
        sizes=[(5, 3.5)],
        worst=["side by side"],
    ),
    "gaps": Figure(
        draw=plots.gaps,
        finding=findings.gaps_finding,
        cases=[
            "normal",
            "bursts",
            "refused",
            "many",
            "tiny",
            "two",
            "side by side",
            "twelve",
            "long names",
            "not sent",
        ],
        case=PIECES.__getitem__,
        sizes=[(5, 3.2)],
        worst=["side by side"],
    ),
    "journey": Figure(
        draw=plots.journey,
        finding=findings.journey_finding,
        cases=[name for name in WAYS if name not in ("error", "made", "no first piece", "refused")],
        case=WAYS.__getitem__,
        sizes=[(3.5, 2.6), (5, 3), (12, 7)],
        worst=["slow reader", "cut"],
        others=[name for name in WAYS if name not in ("slow reader", "cut")],
    ),
    "backlog": Figure(
        draw=plots.backlog,
        finding=findings.backlog_finding,
        cases=["slow reader", "fine", "relay stalls", "cut", "client alone", "stuck in the relay", "long", "nothing"],
        case=WAYS.__getitem__,
        sizes=[(5, 3)],
        worst=["slow reader"],
    ),
    "hops": Figure(
        draw=plots.hops,
        finding=findings.hops_finding,
        cases=["slow reader", "fine", "cut", "stuck in the relay", "one", "far", "plain text", "groups", "nothing"],
        case={**WAYS, "groups": MANY_WAYS}.__getitem__,
    ),
    "queues": Figure(
        draw=plots.queues,
        finding=findings.queues_finding,
        cases=["tcp", "small", "fits", "unknown", "all unknown", "client alone", "blocked late", "nothing"],
        case=queue_case,
        sizes=[(5, 3.5)],
        worst=["tcp", "unknown"],
        others=[name for name in QUEUES if name not in ("tcp", "unknown")],
    ),
    "where": Figure(
        draw=plots.where,
        finding=findings.where_finding,
        cases=["tcp", "small", "unknown", "client alone", "empty queues", "nothing"],
        case=queue_case,
        sizes=[(5, 2.4)],
        worst=["small"],
        others=["tcp"],
    ),
    "policies": Figure(
        draw=plots.policies,
        finding=findings.policies_finding,
        cases=["four", "six", "long names", "groups", "no taps", "refused", "only refused", "error", "made", "nothing"],
        case=SLOW_READER.__getitem__,
        sizes=[(5, 5)],
        worst=["four", "long names"],
        others=["two", "refused", "one"],
        all_words=True,
    ),
    "leaving": Figure(
        draw=plots.leaving,
        finding=findings.leaving_finding,
        cases=list(LEAVINGS),
        case=LEAVINGS.__getitem__,
        sizes=[(5, 3.5)],
        worst=["two"],
        others=["one"],
    ),
    "upload": Figure(
        draw=plots.upload,
        finding=findings.upload_finding,
        cases=["server", "iterator", "network", "client", "refused", "long", "another client's", "nothing"],
        case=UPLOADS.__getitem__,
        sizes=[(4, 3)],
        worst=["server"],
        others=["network", "small", "cut"],
    ),
    "results": Figure(
        draw=plots.results,
        finding=findings.results_finding,
        cases=["one", "eight", "many", "large", "none", "one of two", "long names", "groups", "nothing"],
        case=RESULTS.__getitem__,
        sizes=[(4, 3)],
        worst=["eight", "long names"],
        others=["one", "none", "large"],
    ),
    "load": Figure(
        draw=plots.load,
        finding=findings.load_finding,
        cases=list(LOADS),
        case=LOADS.__getitem__,
        sizes=[(5, 5)],
        worst=["many, one late and one refused"],
        others=["no piece"],
    ),
    "ecdf": Figure(
        draw=plots.ecdf,
        finding=findings.ecdf_finding,
        cases=list(ECDFS),
        case=ECDFS.__getitem__,
        sizes=[(5, 3.5)],
        worst=["groups"],
        others=["no piece"],
    ),
    "compare": Figure(
        draw=plots.compare,
        finding=findings.compare_finding,
        cases=["slower", "five", "a share", "nothing", "far apart"],
        case=COMPARISONS.__getitem__,
        sizes=[(5, 4)],
        worst=["five"],
        others=["nothing"],
    ),
    "sweep": Figure(
        draw=plots.sweep,
        finding=findings.sweep_finding,
        cases=["some failed", "all failed", "ratios", "long names"],
        case=SWEEPS.__getitem__,
        sizes=[(5, 3.5)],
        worst=["long names"],
    ),
    "heatmap": Figure(
        draw=plots.heatmap,
        finding=findings.sweep_finding,
        cases=["some failed", "long names"],
        case=SWEEPS.__getitem__,
        sizes=[(5, 3.5)],
        worst=["long names"],
    ),
    "outcomes": Figure(
        draw=plots.outcomes,
        finding=grid_finding,
        cases=list(ENDINGS),
        case=ENDINGS.__getitem__,
        sizes=[(5, 5), (14, 8)],
        worst=["map", "table"],
        others=["mixed"],
        all_words=True,
    ),
}


class Drawn(NamedTuple):
    """A figure, and what drawing it did to pyplot: the figures that it made, and whether a setting was changed."""

    ax: Axes
    made: tuple[object, ...]
    changed: bool


def drawn(figure: str, case: str) -> Axes:
    """The figure of a typical case as a user gets it, made and laid out once for all tests that only look at it."""
    return as_drawn(figure, case).ax


@functools.cache
def as_drawn(figure: str, case: str) -> Drawn:
    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    ax = FIGURES[figure].draw(FIGURES[figure].case(case))
    made = tuple(plt.figure(number) for number in plt.get_fignums() if number not in before)
    changed = dict(mpl.rcParams) != settings
    lay_out(ax)
    return Drawn(ax, made, changed)
