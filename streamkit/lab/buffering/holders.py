"""Which layer holds bytes back, and which line mends it: by what is known of how each of three holds.

A layer is named where it is known to be there (`layers`), what was seen is how it holds, and nobody else who is there,
or may be there unseen, holds like that. Else it is "unknown". How each holds was seen with nginx 1.22, HAProxy 2.6 and
Caddy 2.6 (`python -m campaigns.buffering`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from streamkit.lab.buffering.mechanisms import CORK_NS, Mechanism
from streamkit.lab.buffering.probes import Probed

__all__ = ["UNKNOWN", "advice_for", "holder_of"]

UNKNOWN: Final = "unknown"
SIGNED: Final = frozenset(("nginx", "HAProxy", "Caddy"))
"""Of these it is known how each holds."""
CACHING: Final = frozenset(("nginx", "Apache", "Varnish", "Squid", "Cloudflare", "CloudFront", "Fastly", "Akamai"))


def holder_of(how: Mechanism, seen: Collection[str], probes: Sequence[Probed], *, refused: bool) -> str:
    """The one that is there and holds like that, if there is one alone, and no other can hide; "none" where nobody
    does. `refused`: it was looked who refuses long heads, so that nginx and HAProxy would be seen.
    """
    if how.kind in ("none", "server"):
        return "none"
    if how.kind == "refused" and how.of is not None:
        return how.of.refused or UNKNOWN
    able = _able(how, frozenset(seen), probes, refused=refused)
    return able.pop() if len(able) == 1 else UNKNOWN


def _able(how: Mechanism, seen: frozenset[str], probes: Sequence[Probed], *, refused: bool) -> set[str]:
    """Those of `seen` that can have done it; nobody where it may have been another one."""
    around = any(probe.differs == "direct" and probe.ok for probe in probes)
    if how.kind == "copy":
        return set(seen & CACHING)
    if not seen <= SIGNED:  # of the others it is not known how they hold
        return set(seen) if around and len(seen) == 1 and how.kind != "unknown" else set()
    if how.of is not None and how.of.differs == "unbuffered":
        return set(seen & {"nginx"})  # nobody else here listens to X-Accel-Buffering
    if not (around or any(probe.lateness is not None for probe in probes)):
        return set()  # the server's own buffers would look just the same
    may = _may(how, seen)
    return set() if may & _hidden(seen, refused=refused) else may & seen


def _hidden(seen: frozenset[str], *, refused: bool) -> set[str]:
    """Who may be there unseen. Each puts its own name over that of the server behind it, but HAProxy, which has none;
    only Caddy leaves that of another one standing beside its own.
    """
    behind_nginx = {"Caddy"} if "nginx" in seen and "Caddy" not in seen else set[str]()
    return behind_nginx if refused else {*behind_nginx, "HAProxy"} - seen


def _may(how: Mechanism, seen: frozenset[str]) -> set[str]:
    """Of which three it is known that they hold like that."""
    match how.kind:
        case "portions":
            return {"nginx"}
        case "period" if how.of is not None and CORK_NS[0] <= how.amount <= CORK_NS[1]:
            # What a limit on the rate lets go, as nginx can have one, ends where it ends.
            return {"HAProxy"} if how.of.releasing.inside * 4 <= how.of.releasing.count else set()
        case "head start":
            return {"Caddy", "HAProxy"}
        case "whole":
            return set() if "HAProxy" in seen else {"nginx", "Caddy"}  # it may have a large `tune.bufsize`
        case "compression":
            return _compressing(how)
    return set()


def _compressing(how: Mechanism) -> set[str]:
    """Whose gzip it is; HAProxy always adds `Vary: Accept-Encoding`, nginx where it is told to."""
    if how.of is None or how.of.compressor is None:
        return set()
    if how.of.compressor == "Go":
        return {"Caddy"}
    return {"nginx", "HAProxy"} if how.of.varies else {"nginx"}


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
MENDS_ANY: Final[dict[str, str]] = {
    "compression": "no compression of this media type; `Cache-Control: no-transform` from the server asks for that",
    "copy": "`Cache-Control: no-store` from the server",
    "server": "look at the server: does it flush what it writes?",
    "refused": "let it stream this route, or ask with `Incremental: ?0` and wait for the whole answer",
    "unknown": (
        "ask a relay that traces (`streamkit serve --trace`), or give the endpoint's own address (--direct, "
        "direct=), or ask for a longer answer (probe=)"
    ),
}
HELD: Final = (
    "ask for a longer answer (probe=), or each layer by itself, the one nearest to the server first: two that hold "
    "make no pattern together"
)
UNANSWERED: Final = "ask so that it answers: check the URL, the method, the body, the key"
ELSE: Final = (
    "no response buffering in that layer; `X-Accel-Buffering: no` and `Incremental: ?1` from the server ask for that"
)


def advice_for(how: Mechanism, layer: str, seen: Collection[str]) -> str:
    """The line that mends it, as docs/operating.md has it; or what to ask for, where it is not known who holds."""
    if how.kind == "none":
        return ""
    if how.held:
        return HELD
    if not how.answered:
        return UNANSWERED
    if (line := MENDS.get((layer, how.kind))) is not None:
        return f"{line} (docs/operating.md)"
    perhaps = [f"if it is {name}: {MENDS[name, how.kind]}" for name in sorted(seen) if (name, how.kind) in MENDS]
    return "; ".join([MENDS_ANY.get(how.kind, ELSE), *perhaps])
