"""A recording of a route that gives results: each is a piece, a line of JSON; progress is none, and is kept."""

from __future__ import annotations

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.recording.recording import Recording

SSE = {"content-type": "text/event-stream", "x-stream-id": "s1", "incremental": "?1", "transfer-encoding": "chunked"}
NDJSON = {**SSE, "content-type": "application/x-ndjson"}
DONE = b'event: done\ndata: {"outcome":"complete","pieces":2}\n\n'


def recorded(*reads: bytes, headers: dict[str, str], preset: str | None = None) -> Recording:
    recorder = Recorder(preset=preset, clock=lambda: 0)
    recorder.start()
    recorder.head(200, headers)
    for number, data in enumerate(reads, 1):
        recorder.feed(number, 1000 * number, data)
    return recorder.finish()


def test_results_and_progress_of_an_event_stream() -> None:
    recording = recorded(
        b'id: 1\ndata: {"pi":3.1,"error":0.2}\n\nevent: progress\ndata: {"progress":1,"total":2,"message":""}\n\n',
        b'id: 2\ndata: {"pi":3.14,"error":0.1,"final":true}\n\n' + DONE,
        headers=SSE,
    )
    assert str(recording.outcome) == "complete"
    assert recording.values == [{"pi": 3.1, "error": 0.2}, {"pi": 3.14, "error": 0.1, "final": True}]
    assert recording.progress == [{"progress": 1, "total": 2, "message": ""}]
    assert recording.text == '{"pi":3.1,"error":0.2}\n{"pi":3.14,"error":0.1,"final":true}\n'
    assert recording.counted.which.tolist() == [True, False, True, False]
    assert [event.event for event in recording.events] == ["message", "progress", "message", "done"]
    assert recording.meta["notes"] == []


def test_the_same_of_ndjson_and_with_cursors() -> None:
    recording = recorded(
        b'{"sum":3,"id":"s1.1"}\n{"progress":{"progress":1,"total":null,"message":""}}\n',
        b'{"value":{"error":0.5}}\n{"done":{"outcome":"complete","pieces":2}}\n',
        headers=NDJSON,
    )
    assert str(recording.outcome) == "complete"
    assert recording.values == [{"sum": 3}, {"error": 0.5}]
    assert recording.text == '{"sum":3}\n{"error":0.5}\n'
    assert recording.progress == [{"progress": 1, "total": None, "message": ""}]


def test_an_error_event_behind_results_is_the_end_by_its_code() -> None:
    sse = recorded(
        b'data: {"n":1}\n\nevent: error\n',
        b'data: {"code":"too_large","outcome":"error_event(too_large)","detail":"x"}\n\n',
        headers=SSE,
    )
    ndjson = recorded(
        b'{"n":1}\n{"error":{"code":"timeout_job","outcome":"timeout(job)","detail":"x"}}\n', headers=NDJSON
    )
    assert (str(sse.outcome), sse.values) == ("error_event(too_large)", [{"n": 1}])
    assert (str(ndjson.outcome), ndjson.values) == ("error_event(timeout_job)", [{"n": 1}])
    assert ndjson.meta["server_outcome"] == "timeout(job)"


def test_results_that_stop_without_an_end_are_truncated() -> None:
    assert str(recorded(b'data: {"n":1}\n\n', headers=SSE).outcome) == "truncated"


def test_progress_alone_and_nothing_at_all_are_complete_by_their_end() -> None:
    for before in (b"", b'event: progress\ndata: {"progress":0}\n\n'):
        recording = recorded(before + DONE, headers=SSE)
        assert (str(recording.outcome), recording.text) == ("complete", "")


def test_text_and_results_go_together_and_a_preset_may_be_named() -> None:
    for preset in (None, "streamkit"):
        recording = recorded(
            b'data: {"text":"hi"}\n\ndata: {"n":1}\n\ndata: {"text":"!"}\n\n' + DONE, headers=SSE, preset=preset
        )
        assert (recording.text, recording.values) == ('hi{"n":1}\n!', [{"n": 1}])


def test_what_comes_behind_the_end_is_no_result() -> None:
    recording = recorded(b'data: {"n":1}\n\n' + DONE + b'data: {"n":2}\n\n', headers=SSE)
    assert recording.text == '{"n":1}\n'


def test_somebody_elses_events_are_read_by_their_preset_as_ever() -> None:
    head = {"content-type": "text/event-stream", "x-stream-id": "s1", "transfer-encoding": "chunked"}
    recording = recorded(b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n', headers=head)
    assert (recording.preset, recording.text, recording.values) == ("openai", "hi", [])
