"""Recordings as HAR 1.2 (HTTP Archive), with the time and size of each read in `_chunks`; and any HAR as recordings.

    log.pages[]     one for each recording: its clock's zero, the call, as `startedDateTime`; its label as `title`
    log.entries[]   one for each recording: request, response, timings, and

        _chunks      [{"ts": 312.4, "bytes": 118}, …]: a read each; ts in ms since the start of the entry's page (here:
                     since the call), bytes of the body as it stands in `content`, codings taken off. So chrome-har and
                     WebPageTest have it, beside the response; it stands in the response too, where others look for it
        _streamkit   what HAR has no place for: outcome, error, how the connection ended, preset, label, labels, stamps
                     and of each read how wrong its stamp can be, and how late Python was

    timings, ms     blocked: waiting for a slot. connect: TCP and TLS. ssl: TLS alone. send: up to the request's last
                    byte. wait: up to the head of the answer. receive: up to its end. -1: did not happen, or not known

The specification: http://www.softwareishard.com/blog/har-12-spec/. What a HAR does not have of a recording: taps,
gauges, cuts, the relay's word, sends, when each event was handed on. `har_in` says how one is read.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streamkit._version import __version__
from streamkit.content.codings import KNOWN, CodingError, Decoding, codings_of
from streamkit.lab.exports.some import Recordings, dumped, several
from streamkit.lab.recording.lines import replace_file
from streamkit.lab.recording.origin import started_at

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["of", "read", "write"]

UNKNOWN: Final = -1
"""HAR's own word for a size or a time that is not known."""
NO_URL: Final = "about:blank"
"""Of a recording made by hand: a HAR wants an absolute URL."""
MAX_DECODED: Final = 64 << 20
"""No body is taken out of its codings beyond that: `record()` takes no larger one."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def of(recordings: Recordings) -> dict[str, Any]:
    """One recording or several as a HAR 1.2 archive, in JSON values.

    >>> one = sk.Recording.from_pieces([(7_000_000, "Hi")], status=200, sent_ns=0, ended_ns=9_000_000)
    >>> entry = sk.exports.har.of(one)["log"]["entries"][0]
    >>> entry["response"]["content"]["text"], entry["_chunks"], entry["timings"]["receive"]
    ('Hi', [{'ts': 7.0, 'bytes': 2}], 2.0)
    """
    found = several(recordings)
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "streamkit", "version": __version__},
            "pages": [_page(number, one) for number, one in enumerate(found)],
            "entries": [_entry(number, one) for number, one in enumerate(found)],
        }
    }


def write(recordings: Recordings, path: str | os.PathLike[str]) -> None:
    """Write one recording or several to a HAR file.

    sk.exports.har.write(streams, "streams.har")
    """
    replace_file(path, [dumped(of(recordings))])


def read(path: str | os.PathLike[str]) -> list[Recording]:
    """Read a HAR file: one recording for each of its entries, in order.

        slow = [one for one in sk.exports.har.read("network.har") if one.content_type == "text/event-stream"]

    Any HAR will do: one written here, by the developer tools of Chrome or Firefox ("Save all as HAR with content"), by
    WebPageTest, or by a proxy. Events and text are found in the body as `record()` finds them. Its reads are

    - those of `_chunks`, if the entry has them; if their sizes do not add up to the body, they are taken as shares of
      it, and a note says so
    - otherwise the messages of an EventSource, each at its time (`_eventSourceMessages`, which tools on top of Chrome
      write; `time` in s, as in Chrome's `_webSocketMessages`): the body is rebuilt from them, without comments and
      `retry`
    - otherwise a single one, at the end: a plain HAR does not say when each part of a body came

    `stamps` is "library", as the times are somebody else's; `notes` say what was not known. URLs lose their query,
    headers their cookies and credentials. Raises RecordingFormatError for a file that is not a HAR.
    """
    from streamkit.lab.exports.har_in import recordings_of

    return recordings_of(Path(path).read_bytes(), Path(path).name)


def _page(number: int, one: Recording) -> dict[str, Any]:
    timings = {"onContentLoad": UNKNOWN, "onLoad": UNKNOWN}
    title = one.label or one.url or f"stream {number}"
    return {"startedDateTime": _started(one), "id": _name(number), "title": title, "pageTimings": timings}


def _name(number: int) -> str:
    return f"stream_{number}"


def _started(one: Recording) -> str:
    """When it was begun; the epoch where that is not known, as a HAR has to have a date."""
    return (started_at(one) or EPOCH).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(number: int, one: Recording) -> dict[str, Any]:
    parts = _bodies(one)
    timings = _timings(one)
    return {
        "pageref": _name(number),
        "startedDateTime": _started(one),
        "time": sum(spent for name, spent in timings.items() if spent != UNKNOWN and name != "ssl"),
        "request": _request(one),
        "response": _response(one, parts),
        "cache": {},
        "timings": timings,
        "_chunks": _chunks(one, parts),
        "_streamkit": {
            "outcome": str(one.outcome),
            "error": one.error,
            "wire_end": one.meta.get("wire_end"),
            "preset": one.preset,
            "stamps": one.stamps,
            "error_ns": list(one.reads.error_ns),
            "late_ns": list(one.reads.late_ns),
            "label": one.label,
            "labels": dict(one.labels),
        },
    }


def _request(one: Recording) -> dict[str, Any]:
    return {
        "method": str(one.meta.get("method", "POST")),
        "url": one.url or NO_URL,
        "httpVersion": _version(one),
        "cookies": [],
        "headers": [],
        "queryString": [],
        "headersSize": UNKNOWN,
        "bodySize": one.sent_bytes if one.sends else UNKNOWN,
    }


def _response(one: Recording, parts: list[bytes] | None) -> dict[str, Any]:
    status = one.status or 0  # 0: no answer, as browsers write it
    size = sum(one.reads.size)
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in set(HTTPStatus) else "",
        "httpVersion": _version(one),
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in one.headers.items()],
        "content": _content(one, parts),
        "redirectURL": "",
        "headersSize": UNKNOWN,
        "bodySize": size,
        "_chunks": _chunks(one, parts),
    }


def _version(one: Recording) -> str:
    return "unknown" if one.meta.get("framing") in ("transport", "none", None) else "HTTP/1.1"


def _content(one: Recording, parts: list[bytes] | None) -> dict[str, Any]:
    wire_bytes = sum(one.reads.size)
    content: dict[str, Any] = {"size": wire_bytes, "mimeType": one.content_type or ""}
    if parts is None:
        return {**content, "comment": "the recording does not have the bytes of the body"}
    body = b"".join(parts)
    content |= {"size": len(body), "compression": len(body) - wire_bytes}
    try:
        return {**content, "text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {**content, "text": base64.b64encode(body).decode("ascii"), "encoding": "base64"}


def _bodies(one: Recording) -> list[bytes] | None:
    """What each read brought, codings taken off; None where its bytes are not there, or cannot be taken out."""
    if one.body is None:
        return None
    codings = codings_of(one.headers.get("content-encoding"))
    data = [part or b"" for part in one.reads.data]
    if not codings:
        return data
    if not set(codings) <= set(KNOWN):
        return None
    try:
        return list(_decoded(Decoding(codings), data))
    except ValueError:  # more codings than anybody has, or more bytes
        return None


def _decoded(decoding: Decoding, data: list[bytes]) -> Iterator[bytes]:
    room = MAX_DECODED
    broken = False
    for part in data:
        found: list[bytes] = []
        try:
            for piece in decoding.feed(b"" if broken else part):
                found.append(piece)
                room -= len(piece)
                if room < 0:
                    raise ValueError("a body beyond its bound")
        except CodingError:  # up to there it is what its reader had
            broken = True
        yield b"".join(found)


def _chunks(one: Recording, parts: list[bytes] | None) -> list[dict[str, float]]:
    sizes = list(one.reads.size) if parts is None else list(map(len, parts))
    return [{"ts": at_ns / 1e6, "bytes": size} for at_ns, size in zip(one.reads.at_ns, sizes, strict=True)]


def _timings(one: Recording) -> dict[str, float]:
    """In ms; one after the other, as HAR has them, each from the last moment that is known."""
    ready = [at for at in (one.acquired_ns, one.connected_ns, one.tls_ns) if at is not None]
    sent_ns = one.origin_ns
    head_ns = max(sent_ns, one.head_ns if one.head_ns is not None else min([*one.reads.at_ns[:1], one.ended_ns or 0]))
    connected_ns = one.tls_ns if one.tls_ns is not None else one.connected_ns
    begun_ns = max(ready, default=0)
    return {
        "blocked": UNKNOWN if one.acquired_ns is None else one.acquired_ns / 1e6,
        "dns": UNKNOWN,
        "connect": UNKNOWN if connected_ns is None else (connected_ns - (one.acquired_ns or 0)) / 1e6,
        "ssl": UNKNOWN
        if None in (one.tls_ns, one.connected_ns)
        else ((one.tls_ns or 0) - (one.connected_ns or 0)) / 1e6,
        "send": max(0, sent_ns - begun_ns) / 1e6,
        "wait": (head_ns - sent_ns) / 1e6,
        "receive": max(0, (one.ended_ns or head_ns) - head_ns) / 1e6,
    }
