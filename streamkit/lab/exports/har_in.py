"""A HAR, by whoever wrote it, as recordings: what is in an entry goes through the recorder, as if it came just now.

    entry ─▶ Entry (times, body, messages) ─▶ parts with their times ─▶ Recorder ─▶ Recording

The recorder has no sockets and takes its times from whoever feeds it, so a body out of a file is read by the very code
that reads one off the wire: the same presets, events, and ends. What the file does not say is noted, and not made up.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final, NamedTuple, get_args

from streamkit.errors import EncodeError, RecordingFormatError
from streamkit.lab.client.connections import public_url
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recorded import Stamps, WireEnd
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.rows import Reads
from streamkit.outcome import Outcome
from streamkit.parser import ServerSentEvent, encode_event
from streamkit.presets import presets
from streamkit.transport import Timings

__all__ = ["recordings_of"]

CLOCK: Final = "the wall clock of a HAR"
WITHOUT_TIMES: Final = "the HAR does not say when which part of the body came: all of it stands at its end"
WITHOUT_BODY: Final = "the HAR does not have the body"
AS_SHARES: Final = "the sizes of the parts do not add up to the body: where they cut it is an estimate"
FROM_MESSAGES: Final = "the body was built anew from the messages of the EventSource, without comments and retry"

Part = tuple[int, bytes]
"""When, in ns since the start of the entry, and what."""
Chunk = tuple[int, int]
"""When, and how many bytes."""


class Moments(NamedTuple):
    """Moments of an entry, in ns since its start; None: not known."""

    acquired_ns: int | None
    connected_ns: int | None
    tls_ns: int | None
    sent_ns: int
    head_ns: int
    ended_ns: int


def recordings_of(data: bytes, name: str) -> list[Recording]:
    """The recordings of the HAR in file `name`; see `har.read`."""
    try:
        log = json.loads(data.decode("utf-8-sig"))["log"]
        entries, pages = log["entries"], {page["id"]: page for page in log.get("pages") or ()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise RecordingFormatError(f"expected a HAR in {name}: JSON with log.entries; got another file") from None
    if not isinstance(entries, list):
        raise RecordingFormatError(f"expected a HAR in {name}: log.entries as a list")
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(_recording(entry, pages))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = f"{type(error).__name__}: {error}"
            raise RecordingFormatError(f"entry {number} of {name} is not one of HAR 1.2 ({what})") from None
    return found


def _recording(entry: Mapping[str, Any], pages: Mapping[str, Any]) -> Recording:
    request, response = entry["request"], entry["response"]
    own = entry.get("_streamkit") or {}
    started = _date(entry["startedDateTime"])
    moments = _moments(entry)
    body = _body(response.get("content") or {})
    parts, sizes, notes = _parts(entry, body, pages, started, moments)
    clock = _Clock()
    recorder = Recorder(
        url="" if request["url"] == "about:blank" else public_url(str(request["url"])),
        label=str(own.get("label") or ""),
        labels=own.get("labels") or {},
        method=str(request.get("method", "GET")),
        preset=own["preset"] if own.get("preset") in presets() else None,
        keep_bytes=max(1, sum(len(data) for _, data in parts)),
        max_bytes=max(1, sum(len(data) for _, data in parts)),
        clock=clock,
    )
    answered = int(response.get("status") or 0) > 0
    if answered:
        recorder.head(int(response["status"]), _headers(response), http_version=None)
    recorder.timed(Timings(acquired_ns=moments.acquired_ns, connected_ns=moments.connected_ns, tls_ns=moments.tls_ns))
    recorder.timed(_timings(moments, answered=answered))
    kind, told = _stamps(own, len(parts))
    for number, ((at_ns, data), (error_ns, late_ns)) in enumerate(zip(parts, told, strict=True)):
        clock.ns = at_ns
        recorder.feed(number, at_ns, data, kind, error_ns, late_ns)
    clock.ns = recorder.ended_ns = max(moments.ended_ns, clock.ns)
    recording = recorder.finish(_failure(response, own, answered=answered))
    return _as_told(recording, own, started, [*notes, *recording.meta["notes"]], sizes)


def _as_told(
    recording: Recording, own: Mapping[str, Any], started: datetime, notes: list[str], sizes: list[Chunk]
) -> Recording:
    """With what the file says beside the body: how it ended, whose clock that is, and sizes without bytes."""
    told = recording.meta
    meta = {
        "clock": CLOCK,
        "origin": CLOCK,
        "started_at": started.isoformat(timespec="milliseconds"),
        **{name: told[name] for name in ("method", "framing", "wire_end") if name in told},
        "notes": notes,
    }
    given: dict[str, Any] = {"meta": meta, "started_ns": int(started.timestamp() * 1e3) * 1_000_000}
    if WITHOUT_TIMES in notes or WITHOUT_BODY in notes:
        meta["untimed"] = True
    if own:
        given |= {"outcome": Outcome.parse(own["outcome"]), "error": own.get("error")}
        if own.get("wire_end") in get_args(WireEnd):
            meta["wire_end"] = own["wire_end"]
    if sizes:
        given["reads"] = Reads([at_ns for at_ns, _ in sizes], [size for _, size in sizes])
    return replace(recording, **given)


def _stamps(own: Mapping[str, Any], count: int) -> tuple[Stamps, list[tuple[int, int]]]:
    """What sort of stamps the parts have; of each how wrong it can be, and how late Python was."""
    told = list(zip(map(int, own.get("error_ns") or ()), map(int, own.get("late_ns") or ()), strict=False))
    if own.get("stamps") in get_args(Stamps) and len(told) == count:
        return own["stamps"], told
    return "library", [(-1, 0)] * count


class _Clock:
    """What the recorder takes for now."""

    ns = 0

    def __call__(self) -> int:
        return self.ns


# --- When -----------------------------------------------------------------------------------------------------------


def _date(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _ns(ms: Any) -> int:
    """Of a time in ms; 0 for -1 (does not apply), null, and what is no number."""
    number = isinstance(ms, int | float) and not isinstance(ms, bool) and math.isfinite(ms)
    return round(ms * 1e6) if number and ms > 0 else 0


def _moments(entry: Mapping[str, Any]) -> Moments:
    timings: Mapping[str, Any] = entry.get("timings") or {}
    spent = {name: _ns(timings.get(name)) for name in ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")}
    has_connected, has_tls = _happened(timings.get("connect")), _happened(timings.get("ssl"))
    acquired_ns = spent["blocked"]
    connected_ns = acquired_ns + spent["dns"] + spent["connect"]  # ssl is part of connect
    sent_ns = connected_ns + spent["send"]
    head_ns = sent_ns + spent["wait"]
    return Moments(
        acquired_ns=acquired_ns if _happened(timings.get("blocked")) else None,
        connected_ns=connected_ns - spent["ssl"] if has_connected else None,
        tls_ns=connected_ns if has_connected and has_tls else None,
        sent_ns=sent_ns,
        head_ns=head_ns,
        ended_ns=head_ns + spent["receive"] if timings else _ns(entry.get("time")),
    )


def _happened(ms: Any) -> bool:
    return isinstance(ms, int | float) and not isinstance(ms, bool) and ms >= 0


def _timings(moments: Moments, *, answered: bool) -> Timings:
    return Timings(
        acquired_ns=moments.acquired_ns,
        connected_ns=moments.connected_ns,
        tls_ns=moments.tls_ns,
        sent_ns=moments.sent_ns,
        head_ns=moments.head_ns if answered else None,
    )


# --- What -----------------------------------------------------------------------------------------------------------


def _body(content: Mapping[str, Any]) -> bytes | None:
    """As it stands in the file; None where it does not."""
    text = content.get("text")
    if text is None:
        return None if content.get("size") else b""
    if content.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"a body that is no base64: {error}") from None
    return str(text).encode("utf-8", "replace")


def _headers(response: Mapping[str, Any]) -> dict[str, str]:
    """By name, in lower case; the body in a HAR lies under no coding."""
    found: dict[str, str] = {}
    for field in response.get("headers") or ():
        name = str(field["name"]).lower()
        if name != "content-encoding" and not name.startswith(":"):
            found[name] = f"{found[name]}, {field['value']}" if name in found else str(field["value"])
    kind = (response.get("content") or {}).get("mimeType")
    if kind and kind != "x-unknown":
        found.setdefault("content-type", str(kind))
    return found


def _parts(
    entry: Mapping[str, Any], body: bytes | None, pages: Mapping[str, Any], started: datetime, moments: Moments
) -> tuple[list[Part], list[Chunk], list[str]]:
    """The parts of the body with their times; those of which the sizes alone are known; and what has to be noted."""
    chunks = list(_chunks(entry, pages, started))
    messages = entry.get("_eventSourceMessages")
    if body and chunks:
        exact = sum(size for _, size in chunks) == len(body)
        return _cut(body, chunks), [], [] if exact else [AS_SHARES]
    if not body and messages:
        return list(_messages(messages, started)), [], [FROM_MESSAGES]
    if body is None:
        return [], chunks, [WITHOUT_BODY]
    return ([(max(moments.ended_ns, moments.head_ns), body)] if body else []), [], [WITHOUT_TIMES] if body else []


def _chunks(entry: Mapping[str, Any], pages: Mapping[str, Any], started: datetime) -> Iterator[tuple[int, int]]:
    """When and how much, in ns since the start of the entry; `ts` counts from that of its page, where it has one."""
    told = entry.get("_chunks") or entry["response"].get("_chunks") or ()
    page = pages.get(entry.get("pageref", ""))
    since_page_ms = (started - _date(page["startedDateTime"])).total_seconds() * 1e3 if page else 0.0
    latest = 0
    for chunk in told:
        latest = max(latest, _ns(float(chunk["ts"]) - since_page_ms))
        if int(chunk["bytes"]) > 0:
            yield latest, int(chunk["bytes"])


def _cut(body: bytes, chunks: list[tuple[int, int]]) -> list[Part]:
    """The body in as many parts, by their shares of it."""
    total = sum(size for _, size in chunks)
    ends = [len(body) * end // total for end in accumulate(size for _, size in chunks)]
    begins = [0, *ends[:-1]]
    cut = zip(chunks, begins, ends, strict=True)
    return [(at_ns, body[begin:end]) for (at_ns, _), begin, end in cut if begin < end]


def _messages(messages: Any, started: datetime) -> Iterator[Part]:
    latest = 0
    for message in messages:
        since_ns = round((float(message["time"]) - started.timestamp()) * 1e9)
        latest = max(latest, since_ns)
        event = ServerSentEvent(
            str(message.get("eventName") or "message"), str(message["data"]), str(message.get("eventId") or "")
        )
        try:
            yield latest, encode_event(event, last_event_id="" if not event.id else None)
        except EncodeError as error:
            raise ValueError(str(error)) from None


def _failure(response: Mapping[str, Any], own: Mapping[str, Any], *, answered: bool) -> WireFailure | None:
    """How the wire failed, as far as a HAR tells: by Chrome's `_error`, or by a status of 0."""
    if own:
        end: WireEnd = own["wire_end"] if own.get("wire_end") in get_args(WireEnd) else "clean"
        return None if end == "clean" else WireFailure(Outcome("truncated"), "as it was recorded", end)
    error = response.get("_error")
    if error or not answered:
        told = f"the browser reports {error}" if error else "the HAR has no answer to this request"
        return WireFailure(Outcome("truncated"), told, "reset")
    return None
