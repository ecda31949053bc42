"""find_buffering(): which layer on the way to a streaming endpoint holds bytes back, and how.

    found = await sk.experiments.find_buffering("http://127.0.0.1/ans", data={"chat_history": "hi"}, accept="sse")
    print(found)

The same request is recorded a few times, each time with one difference; what that shows says `lab/buffering`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx2

from streamkit.lab.bar import plain_bar
from streamkit.lab.buffering.layers import Layer, refused_by
from streamkit.lab.buffering.mechanisms import ENOUGH_BYTES, disagree
from streamkit.lab.buffering.probes import Differs, Probed, probed
from streamkit.lab.buffering.releases import lateness
from streamkit.lab.buffering.verdict import Buffering, name_buffering
from streamkit.lab.client.record import record
from streamkit.taps import STREAM_ID_HEADER
from streamkit.transport.proxy_status import INCREMENTAL_REFUSED, proxy_error

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["find_buffering"]

LONG_BYTES: Final = 256 * 1024
"""What `probe` is asked for: more than the buffers of most layers hold."""
TOTAL_S: Final = 60.0
REFUSED_S: Final = 5.0
REFUSED_EVENTS: Final = 4  # reads of a page; a stream that is answered instead is left at once
TRIES: Final = 3
OWN: Final = frozenset(("accept_encoding", "taps", "keep_bytes", "keep_text", "reader", "resume", "on_piece", "client"))
PADDINGS: Final = ((12_000,), (6_500, 6_500, 6_500))
"""Bytes of header fields: one that nginx does not take (8 KiB), and three that it does, but HAProxy not (15 KiB)."""

Options = dict[str, Any]


@dataclass(frozen=True)
class _Endpoint:
    """Who is asked, and what else is known of it: `find_buffering`'s arguments of the same names."""

    url: str
    direct: str | None
    unbuffered: Mapping[str, Any] | None
    probe: Callable[[int], Mapping[str, Any]] | None


@dataclass(frozen=True)
class _Probe:
    """One request, and what it differs in from the plain one."""

    name: str
    differs: Differs
    url: str
    options: Options


async def find_buffering(
    url: str,
    *,
    direct: str | None = None,
    unbuffered: Mapping[str, Any] | None = None,
    probe: Callable[[int], Mapping[str, Any]] | None = None,
    refusals: bool = True,
    side_by_side: bool = False,
    progress: bool = True,
    **options: Any,
) -> Buffering:
    """Ask a streaming endpoint several times, and say which layer on the way to it holds bytes back, and how.

        found = await sk.experiments.find_buffering(url, json={"stream": True}, preset="openai")
        found.layer, found.mechanism        # ('nginx', 'response buffer of 4,096 bytes')
        print(found)                        # the sentence, a row for each probe, the evidence, what fixes it

    Ask for an answer that takes a second or more and has tens of kilobytes: one that fits into a single buffer shows
    nothing. The endpoint is asked plainly, then as a browser asks (gzip, br, …), with `Incremental: ?0` instead of `?1`
    (RFC 10036), and plainly again. Each of these puts the model to work, and costs what that costs. The result is best
    if the server tells when each event left it: a relay of ours that traces (`--trace`), or a scripted upstream, on
    this machine.

    url         the endpoint
    direct      a URL of the same endpoint that bypasses the layers: shows what the server does by itself, if it has no
                taps
    unbuffered  options that make the server send `X-Accel-Buffering: no`, if it otherwise does not
    probe       a function that gets a number of bytes and returns options for an answer about as long, such as
                `{"json": {**request, "max_tokens": 4000}}`; called if the first answer was too short
    refusals    ask two more times, with a head that is too long for nginx (8 KiB) or HAProxy (15 KiB), to see whose
                error page comes: these two often are on the way without a sign of it. No model is asked by that. False
                if refused requests raise an alarm
    side_by_side   ask all at the same time: faster, for servers that can serve several at once
    progress    show a progress bar: a step for each request
    options     options of `record()` by which the endpoint is asked: `data`, `json`, `headers`, `accept`, `preset`, …

    A failure on the wire is part of the result: the mechanism is then "unknown". It names nothing that it cannot know.

    Raises TypeError for options that it sets itself, and what `record()` raises.
    """
    _check(options)
    endpoint = _Endpoint(url, direct, unbuffered, probe)
    with plain_bar(None, unit="streams", shown=progress) as show:
        asked = await _asked(endpoint, {"total_s": TOTAL_S, **options}, side_by_side, _Asking(show))
    return name_buffering(asked.probes, await _refusals(url, asked.given) if refusals else None)


class _Asked(NamedTuple):
    probes: list[Probed]
    given: Options


class _Asking:
    """Asks, and says how often it has."""

    def __init__(self, show: Callable[[int, str], None]) -> None:
        self._show = show
        self._times = 0

    async def __call__(self, probe: _Probe) -> Probed:
        answer = await _ask(probe)
        self._times += 1
        self._show(self._times, probe.name)
        return answer


async def _asked(endpoint: _Endpoint, given: Options, side_by_side: bool, ask: _Asking) -> _Asked:
    first = await ask(_Probe("plain", "plain", endpoint.url, given))
    if endpoint.probe is not None and _is_too_short(first):
        given |= endpoint.probe(LONG_BYTES)
        _check(given)
        first = await ask(_Probe("plain, longer", "plain", endpoint.url, given))
    if first.refused is not None:
        given = _with_header(given, "incremental", "?0")
    probes = _probes(endpoint, given)
    rest = await asyncio.gather(*map(ask, probes)) if side_by_side else [await ask(each) for each in probes]
    asked = [first, *rest]
    while disagree(asked) and len(asked) < len(probes) + TRIES:
        asked.append(await ask(_Probe("plain, once more", "plain", endpoint.url, given)))
    return _Asked(asked, given)


def _check(options: Mapping[str, Any]) -> None:
    named = {STREAM_ID_HEADER, "idempotency-key"}.intersection(httpx2.Headers(options.get("headers")))
    if named:
        raise TypeError(f"expected no {named.pop()} in headers: each probe is a stream of its own")
    content = options.get("content")
    if not isinstance(content, bytes | str | None):
        raise TypeError(f"expected bytes or text as content, which is sent several times, got {type(content).__name__}")
    if wrong := sorted(OWN.intersection(options)):
        raise TypeError(f"expected options by which the endpoint is asked, got {', '.join(wrong)}, set by each probe")


def _probes(endpoint: _Endpoint, given: Options) -> list[_Probe]:
    """All but the first."""
    url, direct, unbuffered = endpoint.url, endpoint.direct, endpoint.unbuffered
    probes = [
        _Probe("as a browser asks", "codings", url, {**given, "accept_encoding": "browser"}),
        _Probe("Incremental: ?0", "not incremental", url, _with_header(given, "incremental", "?0")),
        _Probe("plain again", "plain", url, given),
    ]
    if unbuffered is not None:
        probes.append(_Probe("X-Accel-Buffering: no", "unbuffered", url, {**given, **unbuffered}))
    if direct is not None:
        coded = {**given, "accept_encoding": "browser"}
        probes.append(_Probe("around the layers", "direct", direct, given))
        probes.append(_Probe("around, as a browser asks", "direct codings", direct, coded))
    return probes


def _with_header(given: Options, name: str, value: str) -> Options:
    headers = httpx2.Headers(given.get("headers"))
    headers[name] = value
    return {**given, "headers": headers}


async def _ask(probe: _Probe) -> Probed:
    """Once; again where this client was too busy to tell what was held."""
    for _ in range(TRIES):
        recording = await record(probe.url, taps=True, **probe.options)
        if not recording.taps or lateness(recording) is not None:
            break
    return probed(probe.name, probe.differs, recording, refused=_who_refused(recording))


def _who_refused(recording: Recording) -> str | None:
    """The proxy that passes on whole answers only, by its own name."""
    said = recording.headers.get("proxy-status", "")
    if recording.status != 501 or proxy_error(said) != INCREMENTAL_REFUSED:
        return None
    name = said.partition(";")[0].strip().strip('"')
    return name[:60] or "a proxy"


def _is_too_short(first: Probed) -> bool:
    return first.ok and first.releasing.bytes < ENOUGH_BYTES and first.held is not False


async def _refusals(url: str, given: Options) -> list[Layer] | None:
    """Who answers a GET of the same host whose head is too long for some; None where nobody answers that."""
    parts = urlsplit(url)
    found: list[Layer] = []
    for sizes in PADDINGS:
        padding = {f"x-padding-{number}": "a" * size for number, size in enumerate(sizes, 1)}
        options = {
            "headers": padding,
            "total_s": REFUSED_S,
            "max_events": REFUSED_EVENTS,
            "verify": given.get("verify", True),
        }
        recording = await record(f"{parts.scheme}://{parts.netloc}/", method="GET", **options)
        if recording.status is None:
            return None
        found += refused_by(recording.status, recording.body or b"", sum(sizes))
    return found
