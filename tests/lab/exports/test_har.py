"""HAR 1.2: what is written is one, by the rules and by somebody else's reader; and what others write is read."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from haralyzer import HarParser
from hypothesis import given
from hypothesis import strategies as st

import streamkit as sk
from streamkit.errors import RecordingFormatError
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.exports import har
from streamkit.lab.exports.har_in import AS_SHARES, FROM_MESSAGES, WITHOUT_BODY, WITHOUT_TIMES, recordings_of
from streamkit.lab.recording.rows import Reads
from tests.lab.exports.examples import MS, recorded, with_all
from tests.lab.exports.har_rules import faults


def again(one: sk.Recording) -> sk.Recording:
    """Out of the file that it was written to."""
    (found,) = recordings_of(json.dumps(har.of(one)).encode(), "x.har")
    return found


def seen(one: sk.Recording) -> tuple[Any, ...]:
    columns = [list(getattr(one.reads, name)) for name in ("at_ns", "size", "data", "error_ns", "late_ns")]
    texts = (list(one.events.text), list(one.events.data), list(one.events.event), list(one.events.id))
    fields = (one.outcome, one.error, one.status, one.headers, one.content_type, one.preset, one.stamps, one.url)
    times = (one.acquired_ns, one.connected_ns, one.tls_ns, one.sent_ns, one.head_ns, one.ended_ns)
    told = (one.label, one.labels, one.meta["method"], one.meta["wire_end"], one.finish_reason)
    return (*columns, list(one.events.read), *texts, *fields, *times, *told)


# --- What is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        with_all(),
        sk.Recording(),
        sk.Recording.from_pieces([(7 * MS, "Hi")]),
        sk.Recording(outcome=sk.Outcome("refused", "connect"), ended_ns=3 * MS),
        sk.Recording(reads=Reads([9 * MS], size=[700]), status=200, ended_ns=9 * MS),
        sk.exports.for_others(with_all()),
    ],
    ids=["all is known", "nothing", "by hand", "no answer", "no bytes", "for others"],
)
def test_what_is_written_is_a_har_by_the_rules_and_by_haralyzer(one: sk.Recording) -> None:
    written = har.of(one)
    assert faults(written) == []
    (entry,) = HarParser(json.loads(json.dumps(written))).har_data["entries"]
    (page,) = HarParser(written).pages
    assert (page.page_id, entry["response"]["status"]) == ("stream_0", one.status or 0)


def test_the_rules_see_what_is_wrong() -> None:
    written = har.of(with_all())
    entry = written["log"]["entries"][0]
    del entry["response"]["redirectURL"], entry["cache"]
    entry["timings"]["wait"], entry["pageref"] = -1, "none"
    assert len(faults(written)) == 5, faults(written)


def test_a_file_holds_several_each_with_its_page(tmp_path: Path) -> None:
    har.write([with_all(), with_all()], tmp_path / "two.har")
    written = json.loads((tmp_path / "two.har").read_bytes())
    assert faults(written) == []
    assert [entry["pageref"] for entry in written["log"]["entries"]] == ["stream_0", "stream_1"]
    assert [one.text for one in har.read(tmp_path / "two.har")] == ["Tea is 床前good."] * 2


def test_each_read_is_a_chunk_with_its_ms_since_the_page_began() -> None:
    one = with_all()
    (entry,) = har.of(one)["log"]["entries"]
    assert [chunk["ts"] for chunk in entry["_chunks"]] == [at_ns / 1e6 for at_ns in one.reads.at_ns]
    assert [chunk["bytes"] for chunk in entry["_chunks"]] == list(one.reads.size)
    assert entry["response"]["_chunks"] == entry["_chunks"]


def test_the_timings_are_the_phases_in_ms_tls_within_connect() -> None:
    (entry,) = har.of(with_all())["log"]["entries"]
    assert entry["timings"] == {
        "blocked": 1.0,
        "dns": -1,
        "connect": 3.0,
        "ssl": 2.0,
        "send": 1.0,
        "wait": 1.0,
        "receive": 894.0,
    }
    assert entry["time"] == 900.0


def test_what_is_no_utf_8_goes_as_base64() -> None:
    one = sk.Recording(reads=Reads([9 * MS], data=[b"\xff\x00"]), status=200, ended_ns=9 * MS)
    content = har.of(one)["log"]["entries"][0]["response"]["content"]
    assert (content["encoding"], base64.b64decode(content["text"])) == ("base64", b"\xff\x00")
    assert again(one).body == b"\xff\x00"


def test_a_coded_body_is_written_without_its_coding_and_read_so() -> None:
    squeeze = zlib.compressobj(wbits=31)
    texts = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(3)]
    parts = [squeeze.compress(text) + squeeze.flush(zlib.Z_SYNC_FLUSH) for text in [*texts, b"data: [DONE]\n\n"]]
    one = sk.Recording(
        reads=Reads([n * 10 * MS for n in range(4)], data=parts),
        status=200,
        headers={"content-encoding": "gzip", "content-type": "text/event-stream"},
        ended_ns=30 * MS,
    )
    response = har.of(one)["log"]["entries"][0]["response"]
    assert response["content"]["text"] == b"".join(texts).decode() + "data: [DONE]\n\n"
    assert response["bodySize"] == sum(map(len, parts))
    assert [chunk["bytes"] for chunk in response["_chunks"]] == [*map(len, texts), 14]
    found = again(one)
    assert (found.text, list(found.reads.at_ns), found.headers) == (
        "012",
        list(one.reads.at_ns),
        {"content-type": "text/event-stream"},
    )


# --- And read back --------------------------------------------------------------------------------------------------


PIECES = st.lists(
    st.tuples(st.integers(0, 500), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)),
    max_size=8,
)
ENDS = st.sampled_from(
    [
        (True, None),
        (False, WireFailure(sk.Outcome("truncated"), "the connection was reset", "reset")),
        (False, WireFailure(sk.Outcome("truncated"), "cut", "fin")),
        (False, WireFailure(sk.Outcome("timeout", "idle"), "nothing was received for 1 s")),
    ]
)


@given(PIECES, ENDS, st.sampled_from(["openai", "anthropic", "ollama", "gemini"]), st.sampled_from(["", "slow"]))
def test_a_recording_comes_back_as_it_was(
    pieces: list[tuple[int, str]], end: tuple[bool, WireFailure | None], preset: str, label: str
) -> None:
    at_ms = 6
    timed = [(at_ms := at_ms + wait, text) for wait, text in pieces]
    ended, failure = end
    one = recorded(timed, preset=preset, ended=ended, failure=failure, label=label, labels={"n": 1})
    assert seen(again(one)) == seen(one)


def test_what_a_har_has_no_place_for_is_lost() -> None:
    found = again(with_all())
    assert (found.taps, found.gauges, found.marks) == ({}, {}, {})
    assert found.meta["clock"] == "the wall clock of a HAR"


def test_a_recording_without_its_bytes_comes_back_with_their_sizes_and_a_note() -> None:
    one = sk.Recording(reads=Reads([9 * MS, 12 * MS], size=[70, 30]), status=200, ended_ns=12 * MS)
    found = again(one)
    assert (list(found.reads.at_ns), list(found.reads.size)) == ([9 * MS, 12 * MS], [70, 30])
    assert (found.body, len(found.events), found.meta["notes"]) == (None, 0, [WITHOUT_BODY])


def test_several_of_one_file_stand_on_one_clock() -> None:
    later = replace(with_all(), meta={**with_all().meta, "started_at": "2026-11-29T08:00:02.250+00:00"})
    first, second = recordings_of(json.dumps(har.of([with_all(), later])).encode(), "x.har")
    assert second.started_ns - first.started_ns == 2000 * MS
    assert sk.RecordingSet([first, second]).columns()["started_ms"].tolist() == [0.0, 2000.0]


def test_it_can_be_summed_up_drawn_and_played_like_any_other() -> None:
    found = again(with_all())
    assert found.summary().ttft_ms == with_all().summary().ttft_ms
    assert (found.summary().stalls, found.trust) == (1, with_all().trust)
    assert sk.Script.from_recording(found).text == "Tea is 床前good."
    assert sk.plots.timeline(found).get_title("left") == "A stall of 790 ms after piece 4"


# --- Of others ------------------------------------------------------------------------------------------------------


BODY = 'data: {"choices":[{"delta":{"content":"Tea"}}]}\n\ndata: [DONE]\n\n'


def foreign(**given: Any) -> dict[str, Any]:
    """As Chrome's developer tools save it."""
    response: dict[str, Any] = {
        "status": 200,
        "statusText": "",
        "httpVersion": "http/2.0",
        "headers": [
            {"name": ":status", "value": "200"},
            {"name": "Content-Type", "value": "text/event-stream"},
            {"name": "content-encoding", "value": "br"},
            {"name": "set-cookie", "value": "a=1"},
        ],
        "cookies": [],
        "content": {"size": len(BODY), "mimeType": "text/event-stream", "text": BODY},
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
        "_error": None,
    }
    entry = {
        "startedDateTime": "2026-11-29T08:00:01.000Z",
        "time": 410.5,
        "request": {"method": "POST", "url": "https://a:b@llm.example/v1/chat?key=sk-secret"},
        "response": {**response, **given.pop("response", {})},
        "cache": {},
        "timings": {
            "blocked": 10,
            "dns": -1,
            "ssl": 20,
            "connect": 50,
            "send": 0.5,
            "wait": 300,
            "receive": 50,
            "_blocked_queueing": 1,
        },
        **given,
    }
    return {"log": {"version": "1.2", "creator": {"name": "WebInspector"}, "pages": [], "entries": [entry]}}


def read(document: Any) -> sk.Recording:
    (found,) = recordings_of(json.dumps(document).encode(), "x.har")
    return found


def test_a_har_without_chunks_is_one_read_at_the_end_and_says_so() -> None:
    found = read(foreign())
    assert (found.text, found.outcome.ok, found.preset, found.stamps) == ("Tea", True, "openai", "library")
    assert [ns / MS for ns in found.reads.at_ns] == [410.5]
    assert found.meta["notes"] == [WITHOUT_TIMES]
    times = (found.acquired_ns, found.connected_ns, found.tls_ns, found.sent_ns, found.head_ns)
    assert [ns / MS for ns in times if ns is not None] == [10, 40, 60, 60.5, 360.5]


def test_a_har_without_chunks_has_no_cause_for_what_it_does_not_tell() -> None:
    """All of it stands at its end, and nobody put it together there; and so it is when it is given on."""
    one = read(foreign())
    for each in (one, sk.exports.for_others(one)):
        assert each.diagnose().cause == "unknown"
        assert "does not say what came when" in each.diagnose().sentence


def test_sizes_without_a_body_cost_no_room() -> None:
    """As many bytes as no machine has."""
    document = foreign()
    entry = document["log"]["entries"][0]
    entry["_chunks"] = [{"ts": 1.0, "bytes": 10**15}]
    entry["response"]["content"] = {"size": 10**15, "mimeType": "text/event-stream"}
    found = read(document)
    assert list(found.reads.size) == [10**15]
    assert found.diagnose().cause == "unknown"


def test_nothing_secret_of_it_is_kept() -> None:
    found = read(foreign())
    assert found.url == "https://llm.example/v1/chat"
    assert set(found.headers) == {"content-type"}


@pytest.mark.parametrize("where", ["beside the response", "in the response"])
def test_chunks_count_from_the_page_as_chrome_har_and_webpagetest_write_them(where: str) -> None:
    chunks = [{"ts": 1310.25, "bytes": 49}, {"ts": 1400, "bytes": 14}]
    given = {"_chunks": chunks} if where == "beside the response" else {"response": {"_chunks": chunks}}
    document = foreign(pageref="page_1", **given)
    document["log"]["pages"] = [{"id": "page_1", "startedDateTime": "2026-11-29T08:00:00.000Z"}]
    found = read(document)
    assert [ns / MS for ns in found.reads.at_ns] == [310.25, 400]
    assert (list(found.reads.size), found.meta["notes"]) == ([49, 14], [])


def test_without_a_page_they_count_from_the_entry() -> None:
    found = read(foreign(_chunks=[{"ts": 310, "bytes": 49}, {"ts": 400, "bytes": 14}]))
    assert [ns / MS for ns in found.reads.at_ns] == [310, 400]


def test_sizes_of_a_compressed_body_are_taken_as_shares_and_that_is_noted() -> None:
    found = read(foreign(_chunks=[{"ts": 310, "bytes": 20}, {"ts": 320, "bytes": 0}, {"ts": 400, "bytes": 20}]))
    assert (sum(found.reads.size), list(found.reads.at_ns)) == (63, [310 * MS, 400 * MS])
    assert (found.text, found.meta["notes"]) == ("Tea", [AS_SHARES])


def test_the_messages_of_an_event_source_are_reads_each_when_it_came() -> None:
    messages = [
        {"time": 1795939201.31, "eventName": "message", "eventId": "7", "data": '{"text": "Tea"}'},
        {"time": 1795939201.5, "eventName": "done", "eventId": "", "data": "{}"},
    ]
    content = {"size": 0, "mimeType": "text/event-stream"}
    found = read(foreign(_eventSourceMessages=messages, response={"content": content}))
    assert [round(ns / MS) for ns in found.reads.at_ns] == [310, 500]
    event = found.events[0]
    assert (event.event, event.id, event.data) == ("message", "7", '{"text": "Tea"}')
    assert FROM_MESSAGES in found.meta["notes"]


def test_base64_is_undone() -> None:
    content = {
        "size": 3,
        "mimeType": "text/plain",
        "encoding": "base64",
        "text": base64.b64encode("床".encode()).decode(),
    }
    assert read(foreign(response={"content": content, "headers": []})).text == "床"


@pytest.mark.parametrize("response", [{"status": 0}, {"_error": "net::ERR_CONNECTION_RESET"}])
def test_a_request_that_failed_is_not_complete(response: dict[str, Any]) -> None:
    found = read(foreign(response={**response, "content": {"size": 0, "mimeType": "x-unknown"}}))
    assert (str(found.outcome), found.meta["wire_end"]) == ("truncated", "reset")


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"{}", b'{"log": {}}', b'{"log": {"entries": 3}}', b'{"streamkit": "recording"}\n{}']
)
def test_a_file_that_is_no_har_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(RecordingFormatError, match=r"expected a HAR in x\.har"):
        recordings_of(data, "x.har")


@pytest.mark.parametrize(
    "change",
    [
        {"startedDateTime": "soon"},
        {"request": None},
        {"_chunks": [{"ts": "x", "bytes": 1}]},
        {"response": {"content": {"text": "?", "encoding": "base64", "size": 1}}},
        {"_streamkit": {"outcome": "splendid"}},
        {"_streamkit": {}, "response": {"status": "many"}},
    ],
)
def test_an_entry_that_is_none_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(RecordingFormatError, match=r"entry 0 of x\.har is not one of HAR 1\.2"):
        read(foreign(**change))


NAMES = [
    "request",
    "response",
    "content",
    "text",
    "_chunks",
    "ts",
    "bytes",
    "startedDateTime",
    "timings",
    "wait",
    "url",
]
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=20,
)


@given(JSON)
def test_no_file_breaks_the_reader_in_another_way(document: Any) -> None:
    with contextlib.suppress(RecordingFormatError):
        recordings_of(json.dumps({"log": {"entries": [document]}}).encode(), "x.har")
