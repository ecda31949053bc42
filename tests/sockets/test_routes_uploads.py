"""Uploads and live analysis over plain sockets: what comes while they arrive, who leaves, what is refused, and when."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import streamkit as sk
from streamkit.app import create_app
from streamkit.lab.net.link import Link
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.routes import NDJSON, SSE, TEXT, Answer, Asked, ask, form, log_lines, ndjson
from tests.servers import eventually, leaves_nothing

ROWS = b"a,b\n1,2\n3,x\n5,\n"
CSV, LINES, DIGEST = "/upload?process=csv&every=0.01", "/upload?process=lines&every=0.01", "/upload?process=digest"
LIVE = "/analysis?every=0.01"
MAX_BYTES = 1 << 20
STALL_S = 0.25
ROUTES = ["upload", "analysis"]

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = partial(create_app, uses=ROUTES, trace=True, max_upload_bytes=MAX_BYTES, upload_stall_s=STALL_S, body_s=0.1)
    with leaves_nothing(), serve(made) as running:
        yield running


@pytest.fixture
def lines() -> Iterator[Lines]:
    with log_lines() as kept:
        yield kept


def line_of(lines: Lines, answer: Answer) -> dict[str, Any]:
    """What was logged of it."""
    name = answer.heads["x-stream-id"]
    assert eventually(lambda: any(line["stream_id"] == name for line in lines))
    return next(line for line in lines if line["stream_id"] == name)


def begun(answer: Answer) -> bool:
    return bool(answer.body)


def counts(rows: int) -> Callable[[Answer], bool]:
    """A result tells of so many."""

    def told(answer: Answer) -> bool:
        return any(rows in (value.get("rows"), value.get("lines"), value.get("count")) for value in answer.values)

    return told


# --- What comes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
@pytest.mark.parametrize(
    ("path", "name", "found"),
    [(CSV, "rows", 3), (LINES, "lines", 4), (DIGEST, "sha256", hashlib.sha256(ROWS).hexdigest()), (LIVE, "bad", 4)],
)
def test_the_last_result_says_that_it_is_the_last_in_each_format(
    path: str, name: str, found: object, accept: str, server: Server
) -> None:
    answer = ask(server.url, path, ROWS, accept=accept)
    assert answer.status == 200
    assert answer.whole
    assert answer.final[name] == found
    assert accept == TEXT or answer.end.kind == "done"


@pytest.mark.parametrize("path", [CSV, LINES, DIGEST, LIVE])
@pytest.mark.parametrize("length", [0, None], ids=["by its length", "in chunks"])
def test_an_empty_body_is_a_whole_one(length: int | None, path: str, server: Server) -> None:
    with Asked(server.url, path, length=length) as asked:
        final = asked.finish().answer().final
    assert final.get("bytes", final.get("total")) == 0


def test_a_table_is_told_column_by_column(server: Server) -> None:
    told = ask(server.url, CSV, ROWS + b"7\n").final
    assert {name: told[name] for name in ("rows", "bytes", "bad_rows", "bad")} == {
        "rows": 3,
        "bytes": 17,
        "bad_rows": 1,
        "bad": [{"line": 5, "byte": 15, "reason": "cells: 1, not 2"}],
    }
    b = told["columns"]["b"]
    assert (b["count"], b["missing"], b["mean"]) == (1, 1, 2.0)
    assert {"min", "max", "p50", "p95", "p99"} < set(b)


@pytest.mark.parametrize(("path", "name"), [(CSV, "rows"), (LINES, "lines"), (DIGEST, "sha256")])
def test_a_file_in_a_form_is_as_the_body_itself(path: str, name: str, server: Server) -> None:
    body, content_type = form(("file", "rows.csv", ROWS))
    assert ask(server.url, path, body, content_type=content_type).final[name] == ask(server.url, path, ROWS).final[name]


def test_the_digest_of_a_form_is_that_of_each_part(server: Server) -> None:
    body, content_type = form(("one", "a", b"1"), ("two", None, b"22"))
    told = ask(server.url, DIGEST, body, content_type=content_type).final
    assert [(part["name"], part["sha256"]) for part in told["parts"]] == [
        ("one", hashlib.sha256(b"1").hexdigest()),
        ("two", hashlib.sha256(b"22").hexdigest()),
    ]


@pytest.mark.parametrize("window", ["3", "10s", "all", "exp(30s)"])
def test_a_window_of_numbers_and_of_time(window: str, server: Server) -> None:
    told = ask(server.url, f"/analysis?window={window}", ndjson([1, 2, 3, 4, {"a": 1}, None, "x"])).final
    assert told["bad"] == 3
    if not window.startswith("exp"):
        least = 2 if window == "3" else 1
        assert (told["count"], told["min"], told["max"]) == (5 - least, least, 4)
        assert told["mean"] == (least + 4) / 2
        assert told["variance"] == pytest.approx(1.0 if least == 2 else 5 / 3)


@pytest.mark.parametrize(
    ("path", "part"),
    [(CSV, b"1,2\n" * 50), (LINES, b"x\n" * 50), (LIVE, b"7\n" * 50), (DIGEST + "&every=0.01", b"x" * 99)],
)
def test_results_come_while_the_body_comes(path: str, part: bytes, server: Server) -> None:
    with Asked(server.url, path) as asked:
        asked.send(b"a,b\n" if path == CSV else part).until(begun)
        seen = asked.send(part).until(lambda answer: len(answer.values) >= 2)
        assert not seen.whole
        assert not any("final" in value for value in seen.values)
        assert asked.finish().answer().final


def test_a_feed_is_watched_by_several_each_in_a_window_of_its_own_until_it_ends(server: Server) -> None:
    with sk.create_feed("sensors") as feed:
        watching = [Asked(server.url, f"{LIVE}&feed=sensors&window={window}", length=0) for window in ("2", "all")]
        gone = Asked(server.url, f"{LIVE}&feed=sensors", length=0, accept=SSE)
        assert eventually(lambda: feed.watchers == 3)
        gone.leave("RST")
        assert eventually(lambda: feed.watchers == 2)
        for number in range(5):
            feed.add(number)
    finals = [asked.answer().final for asked in watching]
    assert [(final["count"], final["mean"], final["total"]) for final in finals] == [(2, 3.5, 5), (5, 2.0, 5)]
    for asked in watching:
        asked.sock.close()


def test_two_at_once_have_each_their_own(server: Server) -> None:
    with Asked(server.url, LINES) as one, Asked(server.url, LINES) as other:
        for number in range(1, 6):
            one.send(b"x\n").until(counts(number))
            other.send(b"xx\nyy\n").until(counts(2 * number))
        assert other.finish().answer().final["bytes"] == 30
        assert one.finish().answer().final["bytes"] == 10


def test_the_next_request_may_come_over_the_same_connection(server: Server) -> None:
    with Asked(server.url, DIGEST, length=3) as asked:
        assert asked.send(b"abc").answer().final["bytes"] == 3
        asked.data.clear()
        asked.send(b"POST /upload?process=lines HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\na\n")
        assert asked.answer().final["lines"] == 1


# --- Who leaves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("path", [CSV, DIGEST, LIVE])
@pytest.mark.parametrize("phase", ["before any of it", "in the midst of it", "before its answer is read"])
def test_who_leaves_is_named_and_leaves_nothing(phase: str, path: str, how: str, server: Server, lines: Lines) -> None:
    with Asked(server.url, path, length=1000) as asked:
        if phase != "before any of it":
            asked.send(b"1\n" * 200).until(begun)
        if phase == "before its answer is read":
            asked.send(b"1\n" * 300)
        asked.leave(how)
    assert eventually(lambda: bool(lines))
    (line,) = lines
    if phase == "before its answer is read":
        assert line["received_bytes"] == 1000
        assert line["outcome"] in ("complete", "cancelled")
    else:
        assert (line["outcome"], line["code"]) == ("truncated", "upload_cut")
        assert line.get("received_bytes", 0) == (0 if phase == "before any of it" else 400)
    assert eventually(lambda: ask(server.url, "/health", method="GET").body.startswith(b'{"status":"ok","live":0'))


def test_who_stops_sending_is_told_that_it_stalls_and_who_drips_is_not(server: Server, lines: Lines) -> None:
    with Asked(server.url, LINES) as asked, Asked(server.url, LINES) as silent:
        for number in range(1, 8):
            asked.send(b"x\n").until(counts(number))
            time.sleep(STALL_S / 5)
        assert asked.finish().answer().final["lines"] == 7  # longer than its stall, and than body_s
        refused = silent.answer()
    assert (refused.status, refused.code) == (408, "timeout_upload")
    with Asked(server.url, LINES) as asked:
        asked.send(b"x\n").until(begun)
        told = asked.answer()
    assert (told.code, told.end.data["outcome"]) == ("timeout_upload", "timeout(upload)")
    assert line_of(lines, told)["received_bytes"] == 2


def test_who_half_closes_in_the_midst_of_it_has_cut_it(server: Server, lines: Lines) -> None:
    with Asked(server.url, LINES, length=100) as asked:
        asked.send(b"x\n").until(begun)
        asked.sock.shutdown(1)
        asked.answer()
    assert eventually(lambda: bool(lines))
    assert (lines[0]["outcome"], lines[0]["code"], lines[0]["received_bytes"]) == ("truncated", "upload_cut", 2)


# --- Bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CSV, LINES, DIGEST, LIVE])
def test_too_large_by_its_head_is_413_before_it_is_sent(path: str, server: Server) -> None:
    with Asked(server.url, path, length=MAX_BYTES + 1, expect="100-continue") as asked:
        answer = asked.answer()
    assert (answer.status, answer.code) == (413, "too_large")
    assert b"100 Continue" not in asked.data


@pytest.mark.parametrize("path", [CSV, LINES, DIGEST, LIVE])
def test_too_large_behind_results_is_an_event(path: str, server: Server, lines: Lines) -> None:
    with Asked(server.url, path) as asked:
        asked.send(b"1\n").until(begun)
        asked.send(b"1\n" * (MAX_BYTES // 2))
        told = asked.answer()
    assert (told.status, told.code) == (200, "too_large")
    assert told.end.data["outcome"] == "refused(413)"
    assert line_of(lines, told)["code"] == "too_large"


def test_who_asks_whether_to_send_it_is_told_to_go_on(server: Server) -> None:
    with Asked(server.url, LINES, length=2, expect="100-continue") as asked:
        asked.data += asked.sock.recv(100)
        assert bytes(asked.data) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert asked.send(b"x\n").answer().final["lines"] == 1


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/upload", "unknown_process", "csv, digest, lines"),
        ("/upload?process=none", "unknown_process", "csv, digest, lines"),
        ("/upload?process=csv&process=csv", "bad_query", "process"),
        ("/upload?process=csv&more=1", "bad_query", "process"),
        ("/upload?process=csv&every=0", "bad_every", "seconds"),
        ("/analysis?window=0", "bad_window", "1000"),
        ("/analysis?feed=none", "unknown_feed", "none"),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is_before_anything_is_sent(
    path: str, code: str, says: str, server: Server
) -> None:
    with Asked(server.url, path, length=1 << 19, expect="100-continue") as asked:
        answer = asked.answer()
    assert (answer.status, answer.code) == (422, code)
    assert says in answer.problem["detail"]


# --- Bodies that are meant to hurt ------------------------------------------------------------------------------------

LONG = b"1" * (MAX_BYTES - 100)
FORM = "multipart/form-data; boundary=XX"
PART = b'--XX\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "bad"),
    [
        (b"a,b\n1,\x002\n", "a NUL byte"),
        (b"a,b\n1,\xff\n", "bytes that are not UTF-8"),
        (b'a,b\n1,"2\n3,4\n', "a quote that is not closed"),
        (b'a,b\n1,2"2\n', "a quote that is not around a cell"),
        (b"a,b\n1,2,3\n", "cells: 3, not 2"),
    ],
)
@pytest.mark.parametrize("path", [CSV, LIVE])
def test_a_bad_row_is_named_and_stops_nothing(body: bytes, bad: str, path: str, server: Server) -> None:
    told = ask(server.url, path, body + b"5,6\n", content_type="text/csv").final
    rows = told["bad"] if path == CSV else told["bad_lines"]
    assert [(row["line"], row["byte"], row["reason"]) for row in rows] == [(2, 4, bad)]
    column = told["columns"]["b"]
    assert column["max"] == 6


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status", "code"),
    [
        (CSV, "é,b\n1,2\n".encode("latin-1"), "text/csv", 422, "bad_csv_header"),
        (CSV, "a,b\n1,2\n".encode("utf-16"), "text/csv", 422, "bad_csv_header"),
        (CSV, b"a\n1\n", "text/csv; charset=latin-1", 415, "unsupported_charset"),
        (CSV, b"," * 5000 + b"\n", "text/csv", 422, "too_many_columns"),
        (LIVE, b"," * 5000 + b"\n", "text/csv", 422, "too_many_columns"),
        (DIGEST, b"", FORM, 400, "bad_form"),
        (DIGEST, b"garbage", FORM, 400, "bad_form"),
        (DIGEST, PART + b"no end", FORM, 400, "bad_form"),
        (DIGEST, b"--XX\r\nx: " + b"y" * 100_000, FORM, 400, "bad_form"),
        (DIGEST, b"\r\n".join([PART] * 500), FORM, 400, "bad_form"),
        (DIGEST, b"x", "multipart/form-data", 400, "bad_form"),
        (CSV, PART + b"a\n1\n\r\n" + PART + b"\r\n--XX--\r\n", FORM, 422, "several_files"),
        (CSV, PART.replace(b'; filename="f"', b"") + b"a\n\r\n--XX--\r\n", FORM, 422, "no_file"),
    ],
)
def test_what_cannot_be_processed_has_a_name(
    path: str, body: bytes, content_type: str, status: int, code: str, server: Server
) -> None:
    answer = ask(server.url, path, body, content_type=content_type)
    assert (answer.status if answer.status != 200 else answer.end.data["status"], answer.code) == (status, code)


@pytest.mark.parametrize("path", [CSV, LINES, LIVE])
@pytest.mark.parametrize(
    "body", [LONG, b"," * len(LONG), b'"' * len(LONG), b"[" * len(LONG), b"\0" * len(LONG), b"\n" * len(LONG)]
)
def test_a_line_of_a_megabyte_holds_up_nobody(path: str, body: bytes, server: Server) -> None:
    worst_s = 0.0
    with Asked(server.url, path, length=len(body), content_type="text/csv" if path == CSV else NDJSON) as asked:
        asked.send(body)
        while not (asked.data and asked.so_far.whole):
            began = time.monotonic()
            ask(server.url, "/health", method="GET")
            worst_s = max(worst_s, time.monotonic() - began)
            asked.sock.setblocking(False)
            try:
                asked.data += asked.sock.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
    assert asked.so_far.status in (200, 422)
    assert worst_s < 1


def test_a_body_is_refused_that_is_not_what_its_digest_says(server: Server) -> None:
    wrong = "sha-256=:" + "A" * 43 + "=:"
    answer = ask(server.url, LINES, b"x\n", content_digest=wrong)
    assert (answer.status, answer.code) == (400, "digest_mismatch")
    with Asked(server.url, LINES, repr_digest=wrong) as asked:
        asked.send(b"x\n").until(begun)
        assert asked.finish().answer().code == "digest_mismatch"


# --- Who reads slowly, or not at all ----------------------------------------------------------------------------------


def test_who_reads_nothing_before_it_has_sent_all_holds_up_nothing_and_gets_the_newest(server: Server) -> None:
    with Asked(server.url, LIVE, receive_bytes=4096) as asked:
        for number in range(100):
            asked.send(ndjson([number]))
            time.sleep(0.005)
        answer = asked.finish().answer()
    assert answer.final["total"] == 100
    assert answer.final["skipped"] > 20


class Dashboard:
    """Sends what time it is, as often as it is asked to, and reads a kilobyte a second of what comes. Its buffers are
    the kernel's own, of megabytes: what lies there is old when it is read.
    """

    def __init__(self, url: str, via: str = "") -> None:
        path = "/analysis?every=0.02&window=1"
        self.asked = Asked(url, path, via=via) if via else Asked(url, path)
        self.asked.sock.settimeout(0.001)
        self._began_s = time.monotonic()
        self._read_bytes = 0
        self.behind_s: list[float] = []
        """How old each state was when it had been read."""

    def turn(self) -> None:
        now_s = time.monotonic() - self._began_s
        self.asked.send(ndjson([now_s]))
        due = int(now_s * 1000) - self._read_bytes
        with contextlib.suppress(TimeoutError):
            if due > 100:
                more = self.asked.sock.recv(due)
                self.asked.data += more
                self._read_bytes += len(more)
        if b"\r\n\r\n" in self.asked.data and len(values := self.asked.so_far.values) > len(self.behind_s):
            self.behind_s.append(time.monotonic() - self._began_s - values[-1]["max"])


def test_a_dashboard_that_reads_a_kilobyte_a_second_is_never_more_than_two_seconds_behind(server: Server) -> None:
    """On this machine, and behind a proxy that reads at once for it."""
    with Link(server.url) as link:
        near, far = Dashboard(server.url), Dashboard(link.url, via="1.1 proxy")
        until_s = time.monotonic() + 2.4
        with near.asked, far.asked:
            while time.monotonic() < until_s:
                near.turn()
                far.turn()
                time.sleep(0.01)
    for dashboard in (near, far):
        assert len(dashboard.behind_s) >= 3
        assert max(dashboard.behind_s) <= 2


# --- What is told of it -----------------------------------------------------------------------------------------------


def test_its_taps_tell_when_its_bytes_were_read(server: Server, lines: Lines) -> None:
    body = b"x\n" * 100_000
    answer = ask(server.url, LINES, body)
    line = line_of(lines, answer)
    taps = json.loads(ask(server.url, f"/streams/{line['stream_id']}/taps", method="GET").body)
    assert taps["taps"]["server.read"]["bytes"][-1] == len(body)
    assert taps["word"]["outcome"] == "complete"
    assert (line["received_bytes"], line["outcome"], line["format"]) == (len(body), "complete", NDJSON)


# --- The end of a server ----------------------------------------------------------------------------------------------


def test_a_server_that_stops_lets_uploads_finish_within_its_grace_and_ends_the_others_by_name() -> None:
    made = partial(create_app, uses=ROUTES, grace_s=0.3)
    with (
        log_lines() as lines,
        serve(made) as server,
        Asked(server.url, LINES) as quick,
        Asked(server.url, LIVE) as endless,
        Asked(server.url, CSV) as silent,
    ):
        quick.send(b"x\n").until(begun)
        endless.send(b"1\n").until(begun)
        stopping = threading.Thread(target=server.stop, args=(0.3,))
        stopping.start()
        time.sleep(0.1)
        assert quick.send(b"y\n").finish().answer().final["lines"] == 2
        assert endless.answer().code == "shutting_down"
        assert silent.answer().code == "shutting_down"
        stopping.join(WAIT_S)
    assert sorted(line["outcome"] for line in lines) == ["cancelled(shutdown)", "cancelled(shutdown)", "complete"]
