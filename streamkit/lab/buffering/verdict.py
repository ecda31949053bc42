"""Which layer on the way to a streaming endpoint holds bytes back, how, and which line mends it: one finding.

The way of the facts: recordings of one request that differ in one thing (`probes`: each with its `releases` and the
`layers` in its head) → how it is held (`mechanisms`) → who does so, and what mends it (`holders`) → the sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from streamkit.lab.buffering.holders import UNKNOWN, advice_for, holder_of
from streamkit.lab.buffering.layers import Layer
from streamkit.lab.buffering.mechanisms import Kind, Mechanism, mechanism_of
from streamkit.lab.buffering.probes import Probed
from streamkit.lab.findings.words import about, capital, enumerated
from streamkit.lab.recording.tables import Rows, html_table

__all__ = ["Buffering", "name_buffering"]


@dataclass(frozen=True, repr=False)
class Buffering:
    """What `find_buffering` found; `print()` shows it with a row for each probe.

        found = await sk.experiments.find_buffering("http://127.0.0.1/ans", data={"chat_history": "hi"}, accept="sse")
        print(found.layer, found.mechanism)
        print(found.advice)

    layer       who holds bytes back: "nginx", "HAProxy", "Caddy", …, "unknown", or "none"
    kind        how: "compression", "portions", "period", "head start", "whole", "copy" (a cache answered), "refused",
                "server" (nobody on the way: the server itself sends like that), "none", "unknown"
    mechanism   the same in words: "response buffer of 4,096 bytes"
    sentence    the finding
    evidence    what it rests on, one line each
    advice      which line of configuration fixes it; "" if nothing needs fixing
    probes      what each probe showed
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
        """The rows of the printed table: the name of each probe, and what it showed."""
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
        by = "" if self.layer == "none" else f" by {self.layer}"
        return f"<Buffering{by}: {self.mechanism}>"


def name_buffering(probes: Sequence[Probed], refusals: Collection[Layer] | None = None) -> Buffering:
    """What the probes of one endpoint tell together; `refusals` are the layers that were known by their refusals, None
    where that was not looked for.

    The first of `probes` is a plain one. Raises ValueError without any.
    """
    if not probes:
        raise ValueError("expected at least one probe, got none")
    seen = _seen(probes, refusals or ())
    names = {layer.name for layer in seen}
    mechanism = mechanism_of(probes, names)
    layer = holder_of(mechanism, names, probes, refused=refusals is not None)
    told = mechanism.because[1:] if mechanism.kind == "unknown" else mechanism.because  # the sentence has its first
    evidence = (*told, *(f"{each.name} is on the way: {each.because}" for each in seen))
    words = _words(mechanism)
    sentence = _sentence(mechanism, layer, sorted(names))
    return Buffering(
        layer, mechanism.kind, words, sentence, evidence, advice_for(mechanism, layer, names), tuple(probes)
    )


def _seen(probes: Sequence[Probed], refusals: Collection[Layer]) -> list[Layer]:
    """Those on the way: what is seen around the layers too belongs to the server."""
    around = {layer.name for probe in probes if probe.differs.startswith("direct") for layer in probe.layers}
    told = [layer for probe in probes if not probe.differs.startswith("direct") for layer in probe.layers]
    first = {layer.name: layer for layer in reversed([*told, *refusals])}
    return [layer for layer in reversed(first.values()) if layer.name not in around]


def _words(how: Mechanism) -> str:
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


def _sentence(how: Mechanism, layer: str, seen: Sequence[str]) -> str:
    who = layer
    if layer == UNKNOWN:
        who = f"a layer on the way (there is {enumerated(seen)}, perhaps others)" if seen else "a layer on the way"
    held = "bytes are held back on the way" if how.held else "it is not known whether anything holds bytes back"
    told = {
        "none": "nothing on the way holds bytes back, encoded or not",
        "server": "nothing on the way holds bytes back: the server itself sends them like that",
        "refused": f"{who} passes on whole answers only, and refuses a request that asks for more (RFC 10036)",
        "copy": f"{who} answered out of a cache: that is no stream",
        "compression": f"{who} keeps text back in a compressor; a client that accepts no coding gets it as it comes",
        "portions": f"{who} holds text back until it has {how.amount:,} bytes of it",
        "period": f"{who} holds text back, and lets it go every {about(how.amount)}",
        "head start": f"{who} holds the first {how.amount:,} bytes back, then passes on what comes",
        "whole": f"{who} holds the whole answer back until it has ended",
        "unknown": f"{held}: {how.because[0]}",
    }
    said = told[how.kind]
    return f"{said if said.startswith(layer) else capital(said)}."
