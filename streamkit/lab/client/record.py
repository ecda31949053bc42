"""record(): send a request, stamp every read of the answer, return a Recording.

The way of the bytes: socket → `StreamTransport` (one stamp for each socket read) → `Recorder` (events, outcome).
On Linux the stamps of plain TCP are the kernel's own receive times, which do not move when Python is late. Elsewhere
(TLS, unix sockets, other systems) a stamp is the moment at which the read returned: a loop that is busy with other work
stamps late, and what has piled up meanwhile comes as one larger read.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2

from streamkit._version import __version__
from streamkit.content.codings import requested
from streamkit.lab.arguments import check_listener, check_number, check_whole
from streamkit.lab.client import calibrate as calibration
from streamkit.lab.client.connections import OwnConnections, YourClient, public_url
from streamkit.lab.client.course import Course
from streamkit.lab.client.decoder import MAX_EVENT_BYTES
from streamkit.lab.client.joining import join_or_note
from streamkit.lab.client.kept import LAST
from streamkit.lab.client.pace import Reader
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.resume import Recovery, Resume
from streamkit.lab.client.sending import Sending
from streamkit.lab.client.wire_failure import WireFailure, failure_of, interrupted_by
from streamkit.lab.under_way import under_way
from streamkit.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamkit.lab.client.course import Asking
    from streamkit.lab.recording.recorded import Label
    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import PresetLike
    from streamkit.transport.tls import Verify

__all__ = ["ACCEPT", "DEFAULT_TIMEOUT", "media_type", "record", "secrets_of"]

ACCEPT: Final = {"text": "text/plain", "sse": "text/event-stream", "ndjson": "application/x-ndjson"}
"""Words for the media types of the relay."""

DEFAULT_TIMEOUT: Final = httpx2.Timeout(300.0, connect=10.0)
"""Seconds, per operation, as httpx counts them: the read timeout is the longest silence between two reads."""

UNENCODED: Final = "identity"
USER_AGENT: Final = f"streamkit/{__version__}"
OWN_HEADERS: Final = {b"accept": "*/*", b"accept-encoding": UNENCODED, b"user-agent": USER_AGENT}
HARMLESS_HEADERS: Final = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})

MAX_KEPT_BYTES: Final = 8 << 20
READ_BYTES: Final = 16_384
"""How much is read at a time while an upload is sent, by a wire that reads by itself (not under TLS): the event loop's
gives up what lies unread, the server's refusal perhaps, when a write fails."""


async def record(
    url: str | httpx2.URL,
    *,
    method: str = "POST",
    data: Mapping[str, Any] | None = None,
    json: Any = None,
    content: Any = None,
    files: Any = None,
    params: Any = None,
    headers: Any = None,
    accept: str | None = None,
    accept_encoding: str | None = None,
    timeout: httpx2.Timeout | float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109  httpx's word; it is per operation
    total_s: float | None = None,
    client: Any = None,
    verify: Verify = True,
    preset: PresetLike | None = None,
    reasoning: bool = False,
    label: str = "",
    labels: Mapping[str, Label] | None = None,
    due_ns: int | None = None,
    on_piece: Callable[[str], object] | None = None,
    keep_bytes: bool | int = True,
    keep_text: bool = True,
    max_events: int = 1_000_000,
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_bytes: int = 64 << 20,
    reader: Reader | None = None,
    gauge_ms: float = 0.0,
    resume: Resume | None = None,
    taps: bool = False,
) -> Recording:
    """Send one HTTP request and record its answer, read by read.

        recording = await sk.record("http://127.0.0.1:8000/ans", data={"chat_history": "hi"}, accept="sse")

    The request:

    url         a full URL; `http+unix://%2Ftmp%2Fs.sock/ans` goes to that Unix socket
    method      "POST" by default
    data, json, content, files, params, headers
                as httpx2 has them. The body is one of: `data`, a form (a mapping), with or without `files`; `json`, any
                JSON value; `content`, bytes, text, an iterator of bytes or an open file (see "An upload" below)
    accept      the media type to ask for, or short for one: "text", "sse", "ndjson". None: `*/*`. A list of media types
                goes into `headers`, as does any other header
    accept_encoding
                the content codings to ask for, as in "gzip, br"; "browser": those that browsers ask for, to see what
                they see (a proxy that compresses holds text back). None: "identity", or whatever a `client` of yours
                asks for. Encoded bodies (gzip, deflate, br, zstd) are decoded as they come; reads and bytes are kept as
                the wire brought them, and `notes` says how the text was decoded
    verify      which certificates of the server are accepted: True (signed by a CA of the system's), a file or folder
                of CA certificates, "env" for the one that `SSL_CERT_FILE` names, an `ssl.SSLContext`, or False (any)
    client      an async client of your own, httpx2's or httpx's

    Without `client`, a new connection is made, the environment (proxies, .netrc) is not consulted, redirects are not
    followed, and **socket reads** are stamped: by the kernel for plain TCP on Linux (`stamps == "kernel"`), otherwise
    as they return (`"socket"`). The request says who asks (`User-Agent: streamkit/…`). With a client of yours the
    request goes through it as it is, with its own timeouts unless `timeout` is given, and what it hands out is stamped
    (`"library"`), unless its transport is a `StreamTransport`.

    What is recorded:

    preset      how text is found in events: the name of a preset, a `Preset`, or an `Extractor`, which only knows where
                text is. None: guessed from the head and the first events
    reasoning   True: thinking pieces are recorded too, separately from the text
    label       what the recording is called in figures; recordings with one label are a group
    labels      what tells this stream apart from others in a set, kept in the recording: `{"prompt": "long"}`
    due_ns      when a schedule wanted the request sent, by `time.monotonic_ns()`; kept beside when it was sent
    on_piece    a plain function, called with each piece of text as it is decoded; while it runs, nothing is read
    keep_bytes  True: the body's bytes are kept, up to 8 MiB; a number: up to so many; False: none
    keep_text   False: only the lengths of texts, reasoning, event data and ids are kept. An event then takes 64 bytes
                or less (without `keep_bytes`) instead of several hundred. Times, gaps, summary and figures stay the
                same; each event's text reads as "", and `recording.text` raises ValueError. Not with `resume`, which
                needs the texts to join answers
    gauge_ms    how often to look at this end's queues (`Recording.gauges`); 0: never
    taps        True: when the stream has ended, ask the server for the taps it kept, as `sk.join` does. For a relay of
                ours that traces. The request goes through the same client, with the same headers; if it fails, `notes`
                says why

    Limits, and the outcome when one is reached:

    timeout     httpx's, in seconds (300, connecting 10): for each operation by itself, which is connecting, sending,
                and each silence between two reads. `timeout(first_piece)` before the first byte of the body,
                `timeout(idle)` after it. Any byte, even of a heartbeat, starts it again: **a stream that goes on never
                meets it**
    total_s     seconds for everything, connecting included; None: no limit. `timeout(total)`
    max_events  events of any kind: text, reasoning, tool calls, pings; reads, where there are no event borders.
                `cancelled(max_events)`
    max_bytes   bytes of the body after chunked coding is undone, kept or not (64 MiB); of an encoded body, both the
                bytes that came and those they decode to. `cancelled(max_bytes)`
    max_event_bytes
                bytes of one line or event (16 MiB; the relay's own limit is 1 MiB). `cancelled(max_line_bytes)`,
                `cancelled(max_event_bytes)`
    reader      at which pace to read (`sk.Reader`); None: as fast as it comes. `handed_ns` is then when an event was
                handed over, or the end of the recording if that came first. Over TLS a read cannot be made small, so
                what is not wanted yet waits in the client

    An upload:

        with open("rows.csv", "rb") as rows:
            recording = await sk.record(f"{url}/upload?process=csv", content=rows, accept="sse")

    The answer is **read while the body is sent**. An iterator, async or not, is asked for its next part when the kernel
    has taken the one before, so back-pressure reaches it; a plain iterator and a file are read in a thread. The body is
    sent in chunks, or with the Content-Length given in `headers` or known of an open file. If the answer ends, or
    refuses by its status, before everything is sent, the sending stops and the answer counts. With
    `Expect: 100-continue` in `headers`, the body waits for the server's word, 1 s at most. (The answer of a server that
    closes before it has read everything is still found in the kernel, but not over TLS.) `Recording.sends` says what
    was sent when. The iterator is closed at the end (a file is not), and an exception it raises is raised here. A
    `client` of yours sends `content` in its own way: what was sent when is not known, and most libraries read nothing
    until everything is sent.

    A stream that is cut:

    resume      a `sk.Resume`: ask again when the stream is cut, as an EventSource does (WHATWG HTML, section 9.2). The
                same request is sent with `Last-Event-ID`; for a text without event borders, the answer's `Location`
                (same origin) is asked with `Range`. This works with any server that understands Last-Event-ID.
                Everything becomes one Recording, with its `cuts`

    Two different answers are never joined. If no id says how far the first one had come, the cut is the end, and
    `notes` says why; if an id comes again with other data, the outcome is `error_event(other_answer)`. (A server whose
    ids are new each time, and which ignores Last-Event-ID, cannot be recognised: do not resume there.) If pieces of our
    relay are missing by their numbers, it is `error_event(lost_over_cut)`. A status that may change (429, 502, 503,
    504) is a failed attempt, any other is the outcome: `refused(410)`. The stream's own end, an error event, a limit of
    yours, and status 204 end it. A POST carries a random `Idempotency-Key` unless you give one: by it, a relay of ours
    recognises a client that was cut before anything had come. A server that does not know the header asks its model
    again (and bills it); that answer counts, since nothing of the first had come.

    Failures:

    What goes wrong on the wire is the Recording's outcome and is never raised: a connection that fails is
    `refused(connect)`; no answer, or one that is not HTTP, is `truncated`. After an end mark the outcome is settled,
    and the body gets one more second to end.

    Raises ValueError for a URL that is not a full one, an unknown word as `accept` or `accept_encoding`, and a negative
    number; TypeError for something that is not a number or not a body, for an `on_piece` that is async, for arguments
    that exclude each other (such as `reader` and a `client` of your own), and for a reader that stops for ever without
    `total_s`; UnknownPreset; and whatever `on_piece`, or an iterator given as `content`, raises.

    When its task is cancelled (Ctrl-C, `asyncio.wait_for`), it closes the connection and lets the cancellation through.
    What had come by then is kept as a Recording that ended `cancelled(by us)`: in the exception's attribute `recording`
    and as `sk.last_recording()`. The same holds when `on_piece` raises.
    """
    check_listener("on_piece", on_piece)
    _check_times(timeout=timeout, total_s=total_s, gauge_ms=gauge_ms)
    _check_bounds(keep_bytes=keep_bytes, max_events=max_events, max_bytes=max_bytes)
    check_whole("max_event_bytes", max_event_bytes, least=1)
    if not isinstance(keep_text, bool):
        raise TypeError(f"expected keep_text as True or False, got {keep_text!r}")
    if not isinstance(taps, bool):
        raise TypeError(f"expected taps as True or False, got {taps!r}")
    if due_ns is not None:
        check_whole("due_ns", due_ns)
    _check_reader(reader, client, total_s)
    _check_body(data=data, json=json, content=content, files=files)
    sending = Sending(content)
    body = sending.content if client is None or sending.again else content
    arguments = {"data": data, "json": json, "content": body, "files": files, "params": params}
    arguments["headers"] = _headers(headers, accept, accept_encoding, sending.length, own=client is None)
    recovery = None
    if resume is not None:
        _check_resume(resume, sending)
        if not keep_text:
            raise TypeError(
                "expected keep_text=True with resume=, got False: answers are joined by what had come of them"
            )
        given = {name for name, _ in arguments["headers"]}
        recovery = Recovery(resume, str(url), method, has_key=b"idempotency-key" in {name.lower() for name in given})
    recorder = Recorder(
        url=public_url(str(url)),
        label=label,
        labels=_labels(labels),
        due_ns=due_ns,
        method=method,
        preset=preset,
        reasoning=reasoning,
        on_piece=on_piece,
        keep_bytes=_bytes_to_keep(keep_bytes),
        keep_text=keep_text,
        max_events=max_events,
        max_event_bytes=max_event_bytes,
        max_bytes=max_bytes,
        calibration=calibration.latest(),
        paced=reader is not None,
        secrets=[
            *secrets_of(str(url), [] if headers is None else httpx2.Headers(headers).multi_items(), params),
            *([recovery.key] if recovery and recovery.key else []),
        ],
    )
    if reader is not None:
        recorder.note("reader", str(reader))
    on_sent = recorder.sent if content is not None or files is not None else None
    asking: Asking
    if client is None:
        read_bytes = reader.read_bytes if reader is not None else None if on_sent is None else READ_BYTES
        asking = OwnConnections(method, str(url), httpx2.Timeout(timeout), arguments, read_bytes, verify)
    else:
        if verify is not True:
            raise TypeError("expected verify or a client, got both: a client of your own decides whom it trusts")
        if timeout is not DEFAULT_TIMEOUT:
            arguments["timeout"] = timeout
        asking = YourClient(client, method, str(url), arguments)
    deadline = asyncio.timeout(total_s)
    course = Course(recorder, asking, deadline, reader=reader, gauge_ms=gauge_ms, recovery=recovery, on_sent=on_sent)
    recorder.start()
    try:
        with under_way(recorder.so_far):
            async with contextlib.aclosing(sending):
                failure = await course.run()
        sending.check()
    except BaseException as error:
        if error is sending.raised:
            failure = None
        elif deadline.expired() and isinstance(error, TimeoutError):
            failure = WireFailure(Outcome("timeout", "total"), f"all of it took longer than {total_s} s")
        else:
            failure = failure_of(error, own=asking.own, started=recorder.started)
        if failure is None:
            if recorder.status is not None or not isinstance(error, Exception):  # else there is nothing to keep
                LAST.carry(recorder.finish(interrupted_by(error)), error)
            raise
    recording = LAST.keep(recorder.finish(failure))
    return await _with_taps(recording, asking, str(url)) if taps else recording


async def _with_taps(recording: Recording, asking: Asking, url: str) -> Recording:
    try:
        return LAST.keep(await join_or_note(recording, asking, url))
    except BaseException as error:
        LAST.carry(recording, error)  # rather without the taps of others than not at all
        raise


def _headers(
    headers: Any, accept: str | None, accept_encoding: str | None, length: int | None, *, own: bool
) -> list[tuple[bytes, bytes]]:
    """What the caller says, and of ours what it leaves open; a client of the caller's has names of its own."""
    given = [] if headers is None else httpx2.Headers(headers).raw
    asked = {} if accept is None else {b"accept": media_type(accept)}
    if accept_encoding is not None:
        asked[b"accept-encoding"] = requested(accept_encoding)
    given = [(name, value) for name, value in given if name.lower() not in asked]
    names = {name.lower() for name, _ in given}
    left_open = {**(OWN_HEADERS if own else {}), **asked}
    if own and length is not None and b"transfer-encoding" not in names:
        left_open[b"content-length"] = str(length)
    left_open[b"incremental"] = "?1"  # RFC 10036: a stream is meant
    return [*given, *((name, value.encode()) for name, value in left_open.items() if name not in names)]


def secrets_of(url: str, headers: Iterable[tuple[str, str]], params: Any = None) -> list[str]:
    """What was sent to be known by, and must not be shown: keys stand in headers, queries and user info. Names of
    `headers` in lower case.
    """
    target = urlsplit(url)
    fields = [value for name, value in headers if name not in HARMLESS_HEADERS]
    asked = [] if params is None else httpx2.QueryParams(params).multi_items()
    query = [value for _, value in (*parse_qsl(target.query), *asked)]
    return [word for value in (*fields, *query, target.password or "") for word in (value, value.rpartition(" ")[2])]


def media_type(accept: str) -> str:
    """What `accept` is short for; a media type stands for itself. Raises ValueError for another word."""
    if accept not in ACCEPT and "/" not in accept:
        raise ValueError(f"expected accept as a media type, or one of {', '.join(ACCEPT)}, got {accept!r}")
    return ACCEPT.get(accept, accept)


def _labels(labels: Mapping[str, Label] | None) -> dict[str, Label]:
    for name, value in (labels or {}).items():
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise TypeError(f"expected labels as names and text, numbers or bools, got {name!r}: {value!r}")
    return dict(labels or {})


def _bytes_to_keep(keep_bytes: bool | int) -> int:
    if isinstance(keep_bytes, bool):
        return MAX_KEPT_BYTES if keep_bytes else 0
    return keep_bytes


def _check_times(*, timeout: object, total_s: object, gauge_ms: object) -> None:
    if isinstance(timeout, str | int | float):  # else it is httpx's to check
        check_number("timeout", timeout, "seconds", infinite=True)
    if total_s is not None:
        check_number("total_s", total_s, "seconds", infinite=True)
    check_number("gauge_ms", gauge_ms, "milliseconds")


def _check_bounds(*, keep_bytes: object, **bounds: object) -> None:
    for name, bound in bounds.items():
        check_whole(name, bound)
    if not isinstance(keep_bytes, bool):
        check_whole("keep_bytes", keep_bytes)


def _check_reader(reader: Reader | None, client: Any, total_s: float | None) -> None:
    if reader is None:
        return
    if not isinstance(reader, Reader):
        raise TypeError(f"expected reader as a Reader, such as Reader(bytes_per_s=1500), got {reader!r}")
    if client is not None:
        raise TypeError("expected a reader or a client, got both: a client of your own reads at its own pace")
    if reader.stops and total_s is None:
        raise TypeError(f"expected total_s= with a reader that stops for ever, got {reader!r}: nothing would end it")


def _check_resume(resume: Resume, sending: Sending) -> None:
    if not isinstance(resume, Resume):
        raise TypeError(f"expected resume as a Resume, such as Resume(attempts=5), got {resume!r}")
    if not sending.again:
        raise TypeError(
            "expected bytes or text as content with resume=, got an iterator or a file, which cannot be sent again; "
            "collect it first"
        )


def _check_body(*, data: Any, json: Any, content: Any, files: Any) -> None:
    given = {"data": data, "json": json, "content": content, "files": files}
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) > 1 and kinds != ["data", "files"]:
        raise TypeError(f"expected one body, got {' and '.join(kinds)}; only data and files go together")
    if data is not None and not hasattr(data, "items"):
        kind = type(data).__name__
        raise TypeError(f"expected a mapping of form fields as data, got {kind}; raw bodies go to content=")
