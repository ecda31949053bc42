"""An answer being read, as a source reads it: when it is complete, and what every other ending is called."""

from __future__ import annotations

import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.presets import preset, writer
from streamkit.presets.reader import HEARTBEATS
from streamkit.relay.settings import Limits
from streamkit.relay.sources.reading import Reading
from tests.relay.sources.upstreams import Answering, Chunk, failed, joined, relay, stream

# --- complete -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["seed", "openai", "anthropic", "gemini", "cohere", "mistral", "dashscope", "replicate", "sse-text"]
)
def test_a_whole_answer_is_complete(name: str) -> None:
    batches, failure = relay(Answering(stream(name, "你", "好")), name)
    assert (joined(batches), failure) == ("你好", None)


def test_ndjson_is_read_as_ndjson() -> None:
    upstream = Answering(
        stream("ollama", "你", "好"), headers={"content-type": "application/x-ndjson", "content-length": "9"}
    )
    batches, failure = relay(upstream, "ollama")
    assert (joined(batches), failure) == ("你好", None)


def test_pieces_of_one_read_stay_together_and_a_read_that_completes_no_event_yields_nothing() -> None:
    a, b, c = (writer("seed").piece(text, i) for i, text in enumerate("abc"))
    batches, _ = relay(Answering([a + b, b": heartbeat\n\n", c[:9], c[9:]]), "seed")
    assert batches == [["a", "b"], ["c"]]


def test_an_event_without_text_still_shows_that_the_upstream_lives() -> None:
    batches, _ = relay(Answering([b'data: {"choices": []}\n\n', *stream("openai", "a")]))
    assert batches[0] == []


def test_without_an_end_marker_clean_framing_is_the_proof() -> None:
    pieces = [writer("seed").piece("a", 0)]
    assert relay(Answering(pieces), "seed") == ([["a"]], None)
    length = {"content-type": "text/event-stream", "content-length": str(len(pieces[0]))}
    assert relay(Answering(pieces, headers=length), "seed") == ([["a"]], None)


def test_a_finish_reason_and_clean_framing_are_enough_for_openai() -> None:
    without_done = stream("openai", "a")[:-1]
    assert relay(Answering(without_done))[1] is None


@pytest.mark.parametrize("name", ["openai", "anthropic", "seed", "replicate", "sse-text"])
def test_many_events_in_one_read_give_what_they_give_one_by_one(name: str) -> None:
    events = stream(name, *("你好\n" if i % 7 else '"' for i in range(100)))
    texts = [text for batch in relay(Answering(events), name)[0] for text in batch]
    assert relay(Answering([b"".join(events)]), name) == ([texts], None)


def test_the_pieces_before_an_error_are_handed_on_with_it_in_one_read() -> None:
    form = writer("openai")
    events = [*(form.piece("a", i) for i in range(100)), form.error("busy"), form.piece("b", 0)]
    batches, failure = relay(Answering([b"".join(events)]))
    assert batches == [["a"] * 100]
    assert failure is not None
    assert failure.outcome.name == "error_event"


def test_what_comes_after_the_end_marker_is_not_read() -> None:
    after: list[Chunk] = [
        *stream("openai", "a"),
        b'data: {"choices": [{"index": 0, "delta": {"content": "b"}}]}\n\n',
        httpx2.ReadError("x"),
    ]
    batches, failure = relay(Answering(after))
    assert (joined(batches), failure) == ("a", None)


def test_a_stream_that_is_complete_stays_so_whatever_follows_in_the_same_read() -> None:
    behind = b"".join(stream("openai", "a")) + b"data: " + b"x" * 5000 + b"\n\n"
    batches, failure = relay(Answering([behind]), limits=Limits(max_line_bytes=1000))
    assert (joined(batches), failure) == ("a", None)


# --- truncated ------------------------------------------------------------------------------------------------------


def truncated(answering: Answering, name: str = "openai") -> bool:
    _, failure = relay(answering, name)
    return failure is not None and str(failure.outcome) == "truncated" and failure.status == 502


def test_a_bare_eof_proves_nothing() -> None:
    assert truncated(Answering([writer("seed").piece("a", 0)], headers={"content-type": "text/event-stream"}), "seed")


def test_clean_framing_without_the_end_marker_is_truncated() -> None:
    assert truncated(Answering([writer("anthropic").piece("a", 0)]), "anthropic")


def test_a_finish_reason_without_clean_framing_is_truncated() -> None:
    assert truncated(Answering(stream("openai", "a")[:-1], headers={"content-type": "text/event-stream"}))


@pytest.mark.parametrize("error", [httpx2.ReadError("x"), httpx2.RemoteProtocolError("x"), httpx2.ReadTimeout("")])
def test_a_cut_connection_is_truncated_and_the_pieces_before_it_are_kept(error: Exception) -> None:
    batches, failure = relay(Answering([writer("seed").piece("a", 0), error]), "seed")
    assert batches == [["a"]]
    assert failure is not None
    assert str(failure.outcome) == "truncated"


@given(st.data())
def test_no_prefix_of_a_stream_with_an_end_marker_passes_for_the_whole(data: st.DataObject) -> None:
    whole = b"".join(stream("anthropic", "你", "好"))
    cut = data.draw(st.integers(0, len(whole) - len(b"".join(writer("anthropic").close()[-2:]))))
    assert truncated(Answering([whole[:cut]]), "anthropic")


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [',
        b"<html>\n\n<p>Sign in</p>\n\n</html>\n",
        writer("seed").piece("a", 0) + writer("seed").piece("b", 1)[:-1],
    ],
    ids=["half a document", "a page", "half an event"],
)
@pytest.mark.parametrize("name", ["seed", "gemini"])
def test_clean_framing_proves_nothing_if_the_stream_ends_inside_an_event(name: str, body: bytes) -> None:
    assert truncated(Answering([body], headers={"content-type": "text/plain", "content-length": "9"}), name)


@pytest.mark.parametrize(
    "body",
    [b'{"error": {"code": "model_not_found"}}', b'{\n  "error": {\n    "code": "model_not_found"\n  }\n}\n'],
    ids=["json", "pretty json"],
)
@pytest.mark.parametrize("name", ["seed", "gemini", "openai"])
def test_bare_json_that_never_ends_as_an_event_is_the_error_that_it_reports(name: str, body: bytes) -> None:
    told = ("upstream_error", 502, "error_event(model_not_found)")
    assert failed(Answering([body], headers={"content-type": "text/plain", "content-length": "9"}), name) == told


def test_comments_may_stand_behind_the_last_event() -> None:
    assert relay(Answering([writer("seed").piece("a", 0), b": bye"]), "seed") == ([["a"]], None)


# --- heartbeats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HEARTBEATS))
@pytest.mark.parametrize("data", ["{}", '{"type": "ping"}', "12:00:01", "", "5"])
def test_an_event_that_is_a_heartbeat_is_no_event(kind: str, data: str) -> None:
    beat = f"event: {kind}\ndata: {data}\n\n".encode()
    batches, failure = relay(Answering([beat, *stream("openai", "a"), beat]))
    assert (batches[0], joined(batches), failure) == (relay(Answering(stream("openai", "a")))[0][0], "a", None)


def test_heartbeats_beside_events_and_texts_hide_nothing() -> None:
    beat, empty = b"event: ping\ndata: now\n\n", b'data: {"choices": []}\n\n'
    a, b = (writer("openai").piece(text, 0) for text in "ab")
    batches, failure = relay(Answering([beat + empty, beat + a + beat + b + beat, beat, *stream("openai")]))
    assert batches[:2] == [[], ["a", "b"]]
    assert failure is None


def test_malformed_json_behind_a_heartbeat_is_still_an_error() -> None:
    _, failure = relay(Answering([b"event: ping\ndata: now\n\n" + b"data: {oops\n\n"]))
    assert failure is not None
    assert failure.code == "upstream_malformed"


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_in_the_stream_ends_it_with_the_providers_code() -> None:
    upstream = Answering(
        [*writer("openai").open(), writer("openai").piece("a", 0), writer("openai").error("server_busy")]
    )
    batches, failure = relay(upstream)
    assert joined(batches) == "a"
    assert failure is not None
    assert (failure.code, str(failure.outcome)) == ("upstream_error", "error_event(server_busy)")


def test_nothing_that_the_provider_wrote_but_its_code_reaches_a_client() -> None:
    secret = b'data: {"error": {"code": "bad", "message": "key sk-secret is wrong"}}\n\n'
    _, failure = relay(Answering([secret]))
    assert "sk-secret" not in repr(failure)


def test_a_malformed_payload_is_an_error_and_not_skipped() -> None:
    upstream = Answering([*stream("openai", "a")[:-1], b"data: {oops\n\n", b"data: [DONE]\n\n"])
    assert failed(upstream) == ("upstream_malformed", 502, "error_event(malformed_json)")


@pytest.mark.parametrize("limit", ["max_line_bytes", "max_event_bytes"])
def test_an_oversized_event_ends_the_stream_after_the_pieces_before_it(limit: str) -> None:
    upstream = Answering([*stream("seed", "a"), b"data: " + b"x" * 5000 + b"\n\n", *stream("seed", "b")])
    batches, failure = relay(upstream, "seed", Limits(**{limit: 1000}))
    assert batches == [["a"]]
    assert failure is not None
    assert failure.code == "upstream_too_large"


def test_an_event_of_too_many_values_ends_the_stream_after_the_pieces_before_it_unparsed() -> None:
    crowd = b'data: {"choices":[' + 100_000 * b"{}," + b"{}]}\n\n"
    batches, failure = relay(Answering([*stream("openai", "a")[:-1], crowd, *stream("openai", "b")]), "openai")
    assert joined(batches) == "a"
    assert failure is not None
    assert (failure.code, str(failure.outcome)) == ("upstream_malformed", "error_event(too_many_values)")


# --- why ------------------------------------------------------------------------------------------------------------


def why(chunks: list[Chunk], name: str) -> str:
    _, failure = relay(Answering(chunks), name)
    assert failure is not None
    return failure.why


@pytest.mark.parametrize(("given", "answers"), [("gemini", "openai"), ("anthropic", "ollama"), ("seed", "openai")])
def test_a_forgotten_preset_is_recognised_and_named(given: str, answers: str) -> None:
    assert why([*stream(answers, "a", "b")], given).startswith(f"these events look like {answers}'s, not {given}'s")


def test_whole_events_of_another_provider_are_not_said_to_be_cut() -> None:
    for answers, headers in {"gemini": {}, "streamkit": {"x-stream-id": "7"}}.items():
        upstream = Answering([*stream(answers, "a", "b")], headers={"transfer-encoding": "chunked", **headers})
        _, failure = relay(upstream, "openai")
        assert failure is not None
        assert (failure.code, str(failure.outcome)) == ("upstream_empty", "error_event(upstream_empty)")
        assert failure.why.startswith(f"these events look like {answers}'s, not openai's: give preset='{answers}'")


def test_where_something_was_read_it_is_not_guessed_at() -> None:
    assert "look like" not in why([*stream("anthropic", "a")[:-2], *stream("openai", "b")[:-1]], "anthropic")


def test_the_message_of_a_providers_error_event_is_kept_for_the_log() -> None:
    error = b'data: {"error": {"code": "busy", "message": "Try again"}}\n\n'
    assert why([*stream("openai", "a")[:-1], error], "openai") == "Try again"


# --- reasoning ------------------------------------------------------------------------------------------------------


def reads(*events: dict[str, str], reasoning: bool = False) -> list[tuple[list[Piece], bool]]:
    """The pieces of each read, one event of OpenAI's with that delta, and whether it was a sign of thinking."""
    reading = Reading(preset("openai", reasoning=reasoning), Limits(), None)
    wire = (f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}\n\n" for delta in events)
    return [(reading.feed(event.encode(), 0), reading.thought) for event in wire]


THOUGHT, WORD = {"reasoning_content": "hm"}, {"content": "42"}


def test_reasoning_that_is_not_passed_on_shows_that_the_answer_goes_on() -> None:
    assert reads(THOUGHT, THOUGHT, WORD) == [([], True), ([], True), ([Piece("42")], False)]


def test_reasoning_beside_text_is_left_out() -> None:
    assert reads({**THOUGHT, **WORD}) == [([Piece("42")], False)]


def test_after_the_first_piece_reasoning_is_an_event_as_any_other() -> None:
    assert reads(WORD, THOUGHT) == [([Piece("42")], False), ([], False)]


def test_reasoning_that_is_passed_on_is_a_piece() -> None:
    assert reads(THOUGHT, WORD, reasoning=True) == [([Piece("", "hm")], False), ([Piece("42")], False)]


def test_an_event_of_which_nothing_is_ever_shown_is_no_thinking() -> None:
    assert reads({"role": "assistant"}, {"tool_calls": ""}) == [([], False), ([], False)]


@given(st.lists(st.sampled_from([THOUGHT, WORD, {**THOUGHT, **WORD}, {"role": "x"}]), max_size=30))
def test_looking_for_reasoning_changes_no_text_that_is_passed_on(deltas: list[dict[str, str]]) -> None:
    texts = [piece for pieces, _ in reads(*deltas) for piece in pieces]
    assert texts == [Piece(delta["content"]) for delta in deltas if "content" in delta]
