"""Which layer on the way to a streaming endpoint holds bytes back, how, and which line mends it.

Facts come from probes: recordings of the same request that differ in one thing (`probed`). What holds is told by three
kinds of evidence, and by nothing less:

- the taps of the server were joined, or the same endpoint was asked around the layers: then it is known when an event
  had left, and what came much later was held on the way;
- releases end inside of events, always the same number of bytes apart: no source does that which writes whole events;
- one probe streams and another does not: then it is what they differ in.

A source that pauses, a model that says all at once, a client that was busy: without one of these they look just like a
buffer, and the mechanism is "unknown". A layer is named where it is known to be there (`layers`), what was seen is how
it holds, and no other one that is there holds like that; else it is "unknown".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from streamkit.content.codings import codings_of
from streamkit.lab.findings.layers import Layer, compressor_of, is_copy, layers_of
from streamkit.lab.findings.releases import Lateness, Releasing, lateness, releasing
from streamkit.lab.findings.words import about, capital, enumerated, many
from streamkit.lab.recording.tables import Rows, html_table

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["UNKNOWN", "Buffering", "Differs", "Kind", "Probed", "disagree", "name_buffering", "probed"]

UNKNOWN: Final = "unknown"
Differs: TypeAlias = Literal["plain", "codings", "not incremental", "unbuffered", "direct", "direct codings"]
"""What a probe differs in: nothing, which codings it asks for, `Incremental: ?0`, that the server was made to say
`X-Accel-Buffering: no`, that it went around the layers.
"""
Kind: TypeAlias = Literal[
    "none", "unknown", "server", "refused", "copy", "compression", "portions", "period", "head start", "whole"
]
"""`server`: it lets go like that itself; `copy`: a cache answered; the rest as `Pattern`s, done by a layer."""

ENOUGH_BYTES: Final = 40_000
"""A whole answer of fewer bytes tells nothing: it fits into any buffer."""
CORK_NS: Final = (100_000_000, 300_000_000)
"""Linux keeps what was written "with more to come" for up to 200 ms or so (tcp(7), TCP_CORK): HAProxy writes like that.
"""
HAPROXY_HOLDS_BYTES: Final = 20_000
"""`tune.bufsize` is 16,384, a head and what comes meanwhile included."""
SAME: Final = 1.3  # by how much the amounts of two probes may differ …
SAME_PERIOD: Final = (
    2.5  # … and their periods: those of a kernel's timers depend on the round trip that it has measured
)
CROWDED: Final = 4  # times as many events in a release as in the plain probe


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe told. `held` is whether something kept its bytes back, None where that cannot be known."""

    name: str
    differs: Differs
    said: str
    status: int | None
    ok: bool
    coding: str
    compressor: str | None
    varies: bool
    copy: str | None
    stream_id: str | None
    refused: str | None
    layers: tuple[Layer, ...]
    releasing: Releasing
    events: int
    lateness: Lateness | None

    @property
    def held(self) -> bool | None:
        if self.lateness is not None:
            return self.lateness.held(self.releasing.pattern)
        if self.releasing.pattern in ("portions", "as it came"):
            return self.releasing.pattern == "portions"
        return None

    @property
    def crowd(self) -> float:
        """Events in a release, on average."""
        return self.events / max(self.releasing.count, 1)

    def __str__(self) -> str:
        if not self.ok or not self.releasing.count:
            return self.said
        one = self.releasing
        coded = f"{self.coding}, " if self.coding else ""
        late = "" if self.lateness is None else f", half of the events {about(self.lateness.median_ns)} late or more"
        return (
            f"{coded}{many(one.bytes, 'byte')} in {many(one.count, 'release')}, {about(one.first_ns)} to "
            f"{about(one.last_ns)}: {_said_of(one)}{late}"
        )


def probed(name: str, differs: Differs, recording: Recording, *, refused: str | None = None) -> Probed:
    """The facts of one probe; `refused` is who said that it does not pass on what comes as it comes (RFC 10036)."""
    headers = recording.headers
    coding = ", ".join(codings_of(headers.get("content-encoding")))
    first = b"".join(data or b"" for data in recording.reads.data[:3])
    return Probed(
        name=name,
        differs=differs,
        said=str(recording.outcome),
        status=recording.status,
        ok=recording.outcome.ok or bool(recording.events),
        coding=coding,
        compressor=compressor_of(first) if coding == "gzip" else None,
        varies="accept-encoding" in headers.get("vary", "").lower(),
        copy=is_copy(headers),
        stream_id=headers.get("x-stream-id"),
        refused=refused,
        layers=layers_of(headers),
        releasing=releasing(recording),
        events=len(recording.events),
        lateness=lateness(recording),
    )


def _said_of(one: Releasing) -> str:
    """How its releases lie, in words."""
    told = {
        "as it came": "as it came",
        "bursts": "several events at a time",
        "lump": "all at once",
        "portions": f"{one.amount:,} bytes at a time, {one.inside} of {one.count - 1} times inside of an event",
        "period": f"every {about(one.amount)}",
        "head start": f"{one.amount:,} bytes at once, then as it came",
    }
    return told.get(one.pattern, one.pattern)


# --- What is found --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Buffering:
    """What `find_buffering` found; `print` shows a row a probe.

    layer       who holds bytes back: "nginx", "HAProxy", "Caddy", …, "unknown", or "none"
    kind        how: "compression", "portions", "period", "head start", "whole", "copy" (a cache answered), "refused",
                "server" (nobody on the way: it lets go like that itself), "none", "unknown"
    mechanism   the same in words: "response buffer of 4,096 bytes"
    sentence    the finding
    evidence    what it rests on, a line each
    advice      which configuration line mends it; "" where nothing has to be mended
    probes      what each probe told

        found = await sk.experiments.find_buffering("http://127.0.0.1/ans", data={"chat_history": "hi"}, accept="sse")
        print(found.layer, found.mechanism)
        print(found.advice)
    """

    layer: str
    kind: Kind
    mechanism: str
    sentence: str
    evidence: tuple[str, ...]
    advice: str
    probes: tuple[Probed, ...] = field(default=())

    @property
    def rows(self) -> Rows:
        return [(probe.name, str(probe)) for probe in self.probes]

    def _notes(self) -> list[str]:
        return [*self.evidence, *([f"to do: {self.advice}"] if self.advice else [])]

    def __str__(self) -> str:
        names = max((len(name) for name, _ in self.rows), default=0)
        rows = (f"{name:<{names}}  {told}" for name, told in self.rows)
        return "\n".join([self.sentence, *rows, *(f"* {note}" for note in self._notes())])

    def _repr_html_(self) -> str:
        return html_table(self.rows, self._notes(), caption=self.sentence)

    def __repr__(self) -> str:
        return f"<Buffering by {self.layer}: {self.mechanism}>"


@dataclass(frozen=True)
class _Mechanism:
    """How it is held, as far as the probes tell; `amount` in bytes or ns, `because` for the evidence. `held`: that
    something holds is known, though not how.
    """

    kind: Kind
    amount: int = 0
    because: tuple[str, ...] = ()
    of: Probed | None = None
    held: bool = False


def name_buffering(probes: Sequence[Probed], refusals: Collection[Layer] = ()) -> Buffering:
    """What the probes of one endpoint tell together; `refusals` are layers that were known by their refusals.

    The first of `probes` is a plain one. Raises ValueError without any.
    """
    if not probes:
        raise ValueError("expected at least one probe, got none")
    seen = _seen(probes, refusals)
    names = {layer.name for layer in seen}
    mechanism = _sure(_mechanism(probes), names)
    layer = _holder(mechanism, names, probes)
    evidence = (*mechanism.because, *(f"{each.name} is on the way: {each.because}" for each in seen))
    words = _words(mechanism)
    sentence = _sentence(mechanism, layer, sorted(names))
    return Buffering(layer, mechanism.kind, words, sentence, evidence, _advice(mechanism, layer), tuple(probes))


# --- How it is held -------------------------------------------------------------------------------------------------


def _mechanism(probes: Sequence[Probed]) -> _Mechanism:
    plain = [probe for probe in probes if probe.differs == "plain" and probe.ok]
    for rule in (_refused, _copied, _by_server):
        if (found := rule(probes)) is not None:
            return found
    if not plain:
        return _Mechanism("unknown", because=(f"the plain probe was no answer: {probes[0].said}",))
    told = [_held(probe, probes) for probe in plain]
    most = max(told, key=told.count)
    if told.count(most) * 2 <= len(told):
        return _Mechanism("unknown", because=("the plain probes do not agree", *_each(plain)))
    agreeing = [probe for probe, held in zip(plain, told, strict=True) if held is most]
    if most is not None:
        return _how(agreeing) if most else _by_coding(probes, agreeing)
    return _by_difference(probes, agreeing) or _Mechanism("unknown", because=(SILENT, *_each(plain)))


def _sure(how: _Mechanism, seen: Collection[str]) -> _Mechanism:
    """Portions that leave in the rhythm of HAProxy's own holding may be several of a smaller buffer."""
    if how.kind != "portions" or "HAProxy" not in seen or how.of is None:
        return how
    if not CORK_NS[0] <= how.of.releasing.apart_ns <= CORK_NS[1]:
        return how
    told = f"in portions of {how.amount:,} bytes, which HAProxy's own period may have made of smaller ones"
    return _Mechanism("unknown", because=(told, *how.because), of=how.of, held=True)


def disagree(probes: Sequence[Probed]) -> bool:
    """Whether the plain probes do not tell the same: one more is wanted, since most of them count."""
    told = [_held(probe, probes) for probe in probes if probe.differs == "plain" and probe.ok]
    return bool(told) and told.count(max(told, key=told.count)) * 2 <= len(told)


def _held(probe: Probed, probes: Sequence[Probed]) -> bool | None:
    """Its own word, or what the same endpoint did when it was asked around the layers."""
    around = next((one for one in probes if one.differs == "direct" and one.ok), None)
    if probe.held is not None or around is None or around.held is not False:
        return probe.held
    if probe.crowd < CROWDED / 2 * around.crowd:
        return False
    return True if probe.crowd >= CROWDED * around.crowd else None


def _refused(probes: Sequence[Probed]) -> _Mechanism | None:
    for probe in probes:
        if probe.refused is not None:
            return _Mechanism(
                "refused", because=(f"501, Proxy-Status: {probe.refused}; error=incremental_refused",), of=probe
            )
    return None


def _copied(probes: Sequence[Probed]) -> _Mechanism | None:
    """An answer out of a cache, by its head, or since two answers are one stream."""
    for probe in probes:
        if probe.copy is not None:
            return _Mechanism("copy", because=(f"{probe.name}: {probe.copy}",), of=probe)
    ids = [probe.stream_id for probe in probes if probe.stream_id is not None and probe.ok]
    if len(set(ids)) < len(ids):
        return _Mechanism("copy", because=("two probes were answered with the same X-Stream-Id",), of=probes[-1])
    return None


def _by_server(probes: Sequence[Probed]) -> _Mechanism | None:
    """Asked around the layers, it lets go in the same way."""
    around = next((one for one in probes if one.differs == "direct" and one.ok), None)
    plain = [probe for probe in probes if probe.differs == "plain" and probe.ok]
    if around is None or around.held is False or not plain:
        return None
    same = all(probe.releasing.pattern == around.releasing.pattern and probe.lateness is None for probe in plain)
    if same and all(probe.crowd < SAME * around.crowd for probe in plain):
        return _Mechanism("server", because=(f"asked around the layers: {around}",), of=around)
    return None


def _how(plain: Sequence[Probed]) -> _Mechanism:
    """Something holds; by the pattern that all plain probes show."""
    patterns = {probe.releasing.pattern for probe in plain}
    amounts = [probe.releasing.amount for probe in plain]
    because = _each(plain)
    kinds: dict[str, Kind] = {"portions": "portions", "period": "period", "head start": "head start", "lump": "whole"}
    pattern = patterns.pop()
    same = SAME_PERIOD if pattern == "period" else SAME
    if patterns or pattern not in kinds or max(amounts) > same * min(amounts):
        return _Mechanism("unknown", because=("in no pattern that is known", *because), held=True)
    if pattern == "lump" and plain[0].releasing.bytes < ENOUGH_BYTES:
        short = (
            f"all of the answer, which is too short to tell how: {plain[0].releasing.bytes:,} bytes fit into any buffer"
        )
        return _Mechanism("unknown", because=(short, *because), held=True)
    return _Mechanism(kinds[pattern], int(median(amounts)), because, plain[0])


def _by_coding(probes: Sequence[Probed], plain: Sequence[Probed]) -> _Mechanism:
    """Nothing holds what is not encoded; what a client that accepts codings gets may be another matter."""
    because = _each(plain)
    coded = [probe for probe in probes if probe.differs == "codings" and probe.ok]
    around = next((one for one in probes if one.differs == "direct codings" and one.ok), None)
    for probe in coded:
        crowded = probe.crowd >= CROWDED * median(one.crowd for one in plain)
        late = probe.held if probe.lateness is not None else crowded
        if late and probe.coding and crowded:
            by_itself = around is not None and around.coding == probe.coding
            return _Mechanism("server" if by_itself else "compression", 0, (*because, f"{probe.name}: {probe}"), probe)
        if late:
            return _Mechanism("unknown", because=("asked for codings it was late, though not encoded", *because))
    return _Mechanism("none", because=(*because, *_each(coded)), of=plain[0])


def _by_difference(probes: Sequence[Probed], plain: Sequence[Probed]) -> _Mechanism | None:
    """Made to say `X-Accel-Buffering: no`, the server is heard as it speaks."""
    for probe in probes:
        if probe.differs == "unbuffered" and probe.ok and probe.held is False:
            crowded = all(one.crowd >= CROWDED * probe.crowd for one in plain)
            how = _how(plain)
            return (
                _Mechanism(how.kind, how.amount, (f"{probe.name}: {probe}", *how.because), probe) if crowded else None
            )
    return None


SILENT: Final = (
    "a server that pauses, or says all at once, looks the same from here, and nothing tells when the bytes had left it"
)


def _each(probes: Sequence[Probed]) -> tuple[str, ...]:
    return tuple(f"{probe.name}: {probe}" for probe in probes)


# --- Who holds it ---------------------------------------------------------------------------------------------------


def _seen(probes: Sequence[Probed], refusals: Collection[Layer]) -> list[Layer]:
    """Those on the way: what is seen around the layers too belongs to the server."""
    around = {layer.name for probe in probes if probe.differs.startswith("direct") for layer in probe.layers}
    told = [layer for probe in probes if not probe.differs.startswith("direct") for layer in probe.layers]
    first = {layer.name: layer for layer in reversed([*told, *refusals])}
    return [layer for layer in reversed(first.values()) if layer.name not in around]


def _holder(how: _Mechanism, seen: Collection[str], probes: Sequence[Probed]) -> str:
    """The one that is there and holds like that, if there is one alone, and no other could hide behind it."""
    if how.kind in ("none", "server"):
        return "none"
    if how.kind == "refused":
        return how.of.refused if how.of is not None and how.of.refused else UNKNOWN
    if how.kind == "unknown":
        return UNKNOWN
    known = _server_is_known(probes)
    if how.of is not None and how.of.differs == "unbuffered":
        return "nginx" if "nginx" in seen else UNKNOWN  # who else listens to X-Accel-Buffering?
    able = _able(how, seen) if known else set()
    if any(probe.differs == "direct" for probe in probes) and len(seen) == 1 and SIGNED.isdisjoint(seen):
        able = set(seen)  # nobody else is seen, and it is not the server
    return able.pop() if len(able) == 1 else UNKNOWN


def _server_is_known(probes: Sequence[Probed]) -> bool:
    """It is known what had left it, so that it is not itself who holds: its own buffers look just the same."""
    return any(probe.lateness is not None or (probe.differs == "direct" and probe.held is False) for probe in probes)


SIGNED: Final = frozenset(("nginx", "HAProxy", "Caddy"))
"""Of which is known how each holds, as it was seen with nginx 1.22, HAProxy 2.6 and Caddy 2.6."""


def _able(how: _Mechanism, seen: Collection[str]) -> set[str]:
    """Those of `seen` that hold like that; none where another one that does may be there unseen.

    nginx and HAProxy refuse long heads, so they are seen wherever they stand. Caddy is not seen behind nginx, which
    puts its own `Server` in the place of Caddy's.
    """
    hidden = {"Caddy"} if "nginx" in seen and "Caddy" not in seen else set[str]()
    may = {
        "portions": {"nginx"},
        "period": {"HAProxy"} if CORK_NS[0] <= how.amount <= CORK_NS[1] else set(),
        "head start": {"Caddy", "HAProxy"} if how.amount <= HAPROXY_HOLDS_BYTES else {"Caddy"},
        "whole": {"nginx", "Caddy"},
        "copy": {"nginx"},
        "compression": _compressing(how),
    }.get(how.kind, set())
    return set() if may & hidden else may & set(seen)


def _compressing(how: _Mechanism) -> set[str]:
    """Whose gzip it is. HAProxy always adds `Vary: Accept-Encoding`, and its libslz has fixed codes alone."""
    if how.of is None or how.of.compressor is None:
        return set()
    if how.of.compressor == "Go":
        return {"Caddy"}
    if how.of.compressor == "zlib" or not how.of.varies:
        return {"nginx"}
    return {"nginx", "HAProxy"}


# --- What is said ---------------------------------------------------------------------------------------------------


def _words(how: _Mechanism) -> str:
    coding = how.of.coding if how.of is not None else ""
    return {
        "none": "none found",
        "unknown": UNKNOWN,
        "server": "the server itself",
        "refused": "whole answers only: it refuses Incremental",
        "copy": "a cache",
        "compression": f"compression ({coding})",
        "portions": f"response buffer of {how.amount:,} bytes",
        "period": f"released every {about(how.amount)}",
        "head start": f"the first {how.amount:,} bytes",
        "whole": "whole answer",
    }[how.kind]


def _sentence(how: _Mechanism, layer: str, seen: Sequence[str]) -> str:
    who = layer
    if layer == UNKNOWN:
        who = f"a layer on the way (there is {enumerated(seen)}, perhaps others)" if seen else "a layer on the way"
    held = "bytes are held back on the way" if how.held else "it is not known whether anything holds bytes back"
    told = {
        "none": "nothing on the way holds bytes back, encoded or not",
        "server": "nothing on the way holds bytes back: the server itself lets them go like that",
        "refused": f"{who} passes on whole answers only, and refuses a request that asks for more (RFC 10036)",
        "copy": f"{who} answered out of a cache: that is no stream",
        "compression": f"{who} keeps text back in a compressor; who accepts no coding gets it as it comes",
        "portions": f"{who} holds text back until {how.amount:,} bytes of it are full",
        "period": f"{who} holds text back, and lets it go every {about(how.amount)}",
        "head start": f"{who} holds the first {how.amount:,} bytes back, then passes on what comes",
        "whole": f"{who} holds the whole answer back until it has ended",
        "unknown": f"{held}: {how.because[0]}",
    }
    said = told[how.kind]
    return f"{said if said.startswith(layer) else capital(said)}."


MENDS: Final[dict[tuple[str, str], str]] = {
    ("nginx", "portions"): "`proxy_buffering off;` in that location, and no `proxy_ignore_headers X-Accel-Buffering`",
    ("nginx", "whole"): "`proxy_buffering off;` in that location, and no `proxy_ignore_headers X-Accel-Buffering`",
    ("nginx", "compression"): "`gzip off;` in that location",
    ("nginx", "copy"): "`proxy_cache off;` in that location, or `Cache-Control: no-store` from the server",
    ("HAProxy", "period"): "`option http-no-delay`",
    ("HAProxy", "head start"): "no `http-response wait-for-body` for these answers",
    ("HAProxy", "compression"): "no text/event-stream in `compression type`",
    ("Caddy", "whole"): "no `buffer_responses` (`response_buffers` since 2.6.3) in `reverse_proxy`",
    ("Caddy", "head start"): "no `buffer_responses` (`response_buffers` since 2.6.3) in `reverse_proxy`",
    ("Caddy", "compression"): "no `encode` for these routes",
}
"""As the blocks in docs/operating.md have it, which are tested."""
MENDS_ANY: Final[dict[str, str]] = {
    "compression": "no compression of this media type; `Cache-Control: no-transform` from the server asks for that",
    "copy": "`Cache-Control: no-store` from the server",
    "server": "look at the server: does it flush what it writes?",
    "refused": "let it stream this route, or ask with `Incremental: ?0` and wait for the whole answer",
    "unknown": (
        "ask a relay that traces (`streamkit serve --trace`), or give the endpoint's own address as direct=, or longer "
        "answers by probe="
    ),
}
ELSE: Final = (
    "no response buffering in that layer; `X-Accel-Buffering: no` and `Incremental: ?1` from the server ask for that"
)


def _advice(how: _Mechanism, layer: str) -> str:
    if how.kind == "none":
        return ""
    line = MENDS.get((layer, how.kind)) or MENDS_ANY.get(how.kind, ELSE)
    return f"{line} (docs/operating.md)" if (layer, how.kind) in MENDS else line
