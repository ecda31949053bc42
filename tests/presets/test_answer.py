"""One answer, event by event: what its end proves, why it ended, which choice it is, and what was text in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import PRESETS, Answer, preset, writer
from streamkit.presets.answer import EMPTY, TRUNCATED
from tests.presets.providers import PLAIN

DONE = ServerSentEvent(data="[DONE]")


def event(data: object, kind: str = "message") -> ServerSentEvent:
    return ServerSentEvent(kind, data if isinstance(data, str) else json.dumps(data))


def chat(text: str | None = None, reason: str | None = None, index: int | None = 0, **delta: Any) -> ServerSentEvent:
    told = {} if text is None else {"content": text}
    choice = {"delta": {**told, **delta}, "finish_reason": reason}
    return event({"choices": [choice if index is None else {"index": index, **choice}]})


def said(answer: Answer, *events: ServerSentEvent) -> str:
    """The text of events that come one by one, and of the end."""
    batches = [answer.read([one]) for one in events] + [answer.close()]
    return "".join(piece.text for pieces in batches for piece in pieces)


def problem(name: str, *events: ServerSentEvent, clean: bool = True) -> str | None:
    answer = Answer(preset(name))
    said(answer, *events)
    return answer.problem_at_end(clean=clean)


# --- ends


def test_an_end_marker_proves_the_end_whatever_the_framing_does() -> None:
    assert problem("openai", chat("a"), DONE, clean=False) is None


def test_a_finish_reason_proves_it_with_clean_framing() -> None:
    assert problem("openai", chat("a"), chat(reason="stop")) is None
    assert problem("openai", chat("a"), chat(reason="stop"), clean=False) == TRUNCATED


SIGNS = {
    "anthropic": event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    "openai-responses": event({"type": "response.done", "response": {"status": "completed"}}),
    "ollama": event({"response": "", "done_reason": "stop"}),
    "gemini": event({"candidates": [{"finishReason": "STOP"}]}),
    "watsonx": event({"results": [{"generated_text": "", "stop_reason": "eos_token"}]}),
}


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_each_providers_inconclusive_mark_is_a_sign_as_a_finish_reason_is(name: str) -> None:
    assert problem(name, SIGNS[name]) is None
    assert problem(name, SIGNS[name], clean=False) == TRUNCATED


def test_gemini_without_a_finish_reason_is_truncated() -> None:
    assert problem("gemini", event({"candidates": [{"content": {"parts": [{"text": "Let me"}]}}]})) == TRUNCATED
    unspecified = event({"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}]})
    assert problem("gemini", unspecified) == TRUNCATED


@pytest.mark.parametrize("name", sorted({*PRESETS} - {*PLAIN, "cohere"}))
@pytest.mark.parametrize("word", ["[DONE]", " [DONE] ", '"[DONE]"'])
def test_done_ends_every_stream_of_json(name: str, word: str) -> None:
    parser = NDJSONParser() if preset(name).grammar == "ndjson" else SSEParser()
    answer = Answer(preset(name))
    assert said(answer, *parser.feed(writer(name).piece("a", 0)), event(word)) == "a"
    assert answer.complete
    assert answer.problem_at_end(clean=True) is None


@pytest.mark.parametrize("name", ["seed", "watsonx"])
@pytest.mark.parametrize("events", [[], [DONE], [event({}, "ping")]])
def test_an_answer_without_one_event_of_its_provider_is_none(name: str, events: list[ServerSentEvent]) -> None:
    assert problem(name, *events) == EMPTY


def test_done_alone_is_no_answer_and_neither_is_a_chunk_without_a_choice() -> None:
    assert problem("openai", DONE) == EMPTY
    assert problem("openai", event({"choices": [], "usage": {}}), DONE) == EMPTY
    assert problem("openai", chat("", role="assistant"), chat(reason="stop"), DONE) is None


FOREIGN = [event({"text": "Hello"}), event({"text": " you"})]


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
def test_whole_events_of_another_provider_and_a_clean_end_are_no_answer_and_nothing_was_cut(name: str) -> None:
    answer = Answer(preset(name))
    said(answer, *FOREIGN)
    assert answer.problem_at_end(clean=True, foreign=True) == EMPTY
    assert answer.problem_at_end(clean=True) == TRUNCATED  # nobody knows whose they are
    assert answer.problem_at_end(clean=False, foreign=True) == TRUNCATED
    assert answer.problem_at_end(clean=True, foreign=True, unfinished=event({"text": "!"})) == TRUNCATED


def test_a_text_that_is_a_providers_only_beside_a_type_is_anybodys_without() -> None:
    for told, own in [({"text": "a"}, False), ({"type": "response.output_text.done", "text": "a"}, True)]:
        answer = Answer(preset("openai"))
        said(answer, event(told))
        assert answer.recognised is own


def test_what_stands_behind_the_end_in_one_read_is_not_looked_at() -> None:
    answer = Answer(preset("openai"))
    assert answer.read([DONE, chat("late")]) == []
    assert answer.problem_at_end(clean=True) == EMPTY


def test_the_event_that_the_end_cut_off_proves_nothing_but_may_tell_an_error() -> None:
    for cut, found in [(DONE, TRUNCATED), (event({"error": {"code": "busy"}}), "busy")]:
        answer = Answer(preset("openai"))
        said(answer, chat("a"))
        assert answer.problem_at_end(clean=True, unfinished=cut) == found


# --- reasons


REASONS = {
    "openai": (chat(reason="length"), "length"),
    "anthropic": (event({"type": "message_delta", "delta": {"stop_reason": "refusal"}}), "refusal"),
    "gemini": (event({"candidates": [{"finishReason": "SAFETY"}]}), "SAFETY"),
    "ollama": (event({"response": "", "done": True, "done_reason": "length"}), "length"),
    "cohere": (event({"type": "message-end", "delta": {"finish_reason": "MAX_TOKENS"}}), "MAX_TOKENS"),
    "dashscope": (event({"output": {"finish_reason": "length"}}), "length"),
    "huggingface": (event({"generated_text": "", "details": {"finish_reason": "length"}}), "length"),
    "watsonx": (event({"results": [{"stop_reason": "max_tokens"}]}), "max_tokens"),
    "openai-responses": (
        event({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}),
        "max_output_tokens",
    ),
    "streamkit": (event({"outcome": "complete", "finish_reason": "length"}, "done"), "length"),
    "streamkit-ndjson": (event({"done": {"outcome": "complete", "finish_reason": "length"}}), "length"),
}


@pytest.mark.parametrize("name", sorted(REASONS))
def test_every_provider_says_why_it_ended(name: str) -> None:
    last, reason = REASONS[name]
    answer = Answer(preset(name))
    said(answer, last)
    assert (answer.finish_reason, answer.failure) == (reason, None)


def test_the_first_reason_stays() -> None:
    answer = Answer(preset("anthropic"))
    said(answer, REASONS["anthropic"][0], event({"type": "message_stop"}))
    assert (answer.finish_reason, answer.complete) == ("refusal", True)


# --- failures


def test_the_first_failure_stays_and_nothing_behind_an_end_is_one() -> None:
    answer = Answer(preset("openai"))
    assert said(answer, event("{oops"), chat("b"), event({"error": {"code": "busy"}})) == "b"
    assert answer.problem_at_end(clean=True) == "malformed_json"
    assert answer.notes() == ["events that could not be read (malformed_json): 1"]
    assert problem("openai", chat("a"), DONE, event({"error": {"code": "busy"}})) is None


def test_the_text_beside_a_failing_finish_reason_is_kept() -> None:
    answer = Answer(preset("openai"))
    assert said(answer, chat("Half"), chat(" of", reason="abort"), DONE) == "Half of"
    assert answer.problem_at_end(clean=True) == "abort"


# --- choices


COUNTING = [chat("Wh", index=0), chat("isp", index=1), chat("er", index=2), chat(reason="stop", index=3)]


@pytest.mark.parametrize("end", [[DONE], []])
def test_an_index_that_counts_events_is_one_choice(end: list[ServerSentEvent]) -> None:
    answer = Answer(preset("openai"))
    assert said(answer, *COUNTING, *end) == "Whisper"
    assert (answer.problem_at_end(clean=True), answer.finish_reason) == (None, "stop")
    assert "choice's index changes" in answer.notes()[0]


def test_who_counts_for_long_is_read_at_once_from_then_on() -> None:
    answer = Answer(preset("openai"))
    early = [piece.text for number in range(40) for piece in answer.read([chat(f"{number} ", index=number)])]
    assert "".join(early) == "".join(f"{number} " for number in range(40))


def test_an_only_choice_of_another_index_is_taken() -> None:
    for opening in ([], [chat("", index=1, role="assistant")]):
        answer = Answer(preset("openai"))
        assert (
            said(answer, *opening, chat("Hal", index=1), chat("lo", index=1), chat(reason="stop", index=1)) == "Hallo"
        )
        assert answer.notes() == []


TWO = [chat("Ex", index=0), chat("Red", index=1), chat("act", index=0), chat("!", index=1)]


@pytest.mark.parametrize("opening", [[], [chat("", index=i, role="assistant") for i in (0, 1)]])
@pytest.mark.parametrize("warm", [0, 40])
def test_of_several_choices_the_first_is_taken_and_the_others_are_noted(
    opening: list[ServerSentEvent], warm: int
) -> None:
    known = replace(preset("openai"), name="mine")
    for _ in range(warm):  # until there are plans for these shapes
        known.read(chat("x"))
    answer = Answer(known)
    assert said(answer, *opening, *TWO, chat(reason="stop"), chat(reason="stop", index=1), DONE) == "Exact"
    assert answer.notes() == ["choice 1 was left out: 2 pieces"]


def test_a_choice_that_begins_when_the_first_has_finished_is_another_one() -> None:
    answer = Answer(preset("openai"))
    assert said(answer, chat("a"), chat(reason="stop"), chat("b", index=1), chat("c", index=1), DONE) == "a"
    assert answer.notes() == ["choice 1 was left out: 2 pieces"]


def test_of_several_choices_in_one_event_the_first_is_taken() -> None:
    both = [{"index": index, "delta": {"content": text}} for index, text in enumerate("ab")]
    answer = Answer(preset("openai"))
    assert said(answer, event({"choices": both}), event({"choices": both[::-1]}), DONE) == "aa"
    assert answer.notes() == ["choice 1 was left out: 2 pieces"]


def test_text_of_another_index_that_was_taken_and_proves_another_choice_is_an_error() -> None:
    answer = Answer(preset("openai"))
    said(answer, chat("b", index=1), chat("a", index=0), DONE)
    assert answer.notes() or answer.failure is not None


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["", "a", "b"])), max_size=12), st.data())
def test_how_the_events_are_grouped_into_reads_does_not_matter(
    told: list[tuple[int, str]], data: st.DataObject
) -> None:
    events = [*(chat(text, index=index) for index, text in told), DONE]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(events)))))
    alone, grouped = Answer(preset("openai")), Answer(preset("openai"))
    want = said(alone, *events)
    parts = [events[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    batches = [grouped.read(part) for part in parts] + [grouped.close()]
    if alone.failure is None:
        assert "".join(piece.text for pieces in batches for piece in pieces) == want
        assert grouped.notes() == alone.notes()
    assert grouped.problem_at_end(clean=True) == alone.problem_at_end(clean=True)


# --- texts


def typed(kind: str, **fields: Any) -> ServerSentEvent:
    return event({"type": kind, **fields})


def test_a_refusal_is_text() -> None:
    assert said(Answer(preset("openai")), chat(refusal="I cannot"), DONE) == "I cannot"
    assert said(Answer(preset("openai")), typed("response.refusal.delta", delta="No.")) == "No."


def test_a_text_that_comes_whole_and_not_in_pieces_is_taken_once() -> None:
    done = typed("response.output_text.done", text="Fine")
    completed = typed(
        "response.completed", response={"status": "completed", "output": [{"content": [{"text": "Fine"}]}]}
    )
    for events in (
        [done, completed],
        [completed],
        [typed("response.output_text.delta", delta="Fine"), done, completed],
    ):
        answer = Answer(preset("openai-responses"))
        assert said(answer, *events) == "Fine"
        assert answer.complete


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("openai", {"choices": [{"index": 0, "message": {"content": "OK"}, "finish_reason": "stop"}]}, "stop"),
        ("anthropic", {"type": "message", "content": [{"text": "OK"}], "stop_reason": "end_turn"}, "end_turn"),
        ("openai-responses", {"object": "response", "status": "ok", "output": [{"content": [{"text": "OK"}]}]}, "ok"),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": "OK"}]}, "finishReason": "STOP"}]}, "STOP"),
    ],
)
def test_one_whole_answer_in_place_of_a_stream_is_its_text_and_its_reason(name: str, body: object, reason: str) -> None:
    answer = Answer(preset(name))
    assert said(answer, event(body)) == "OK"
    assert (answer.finish_reason, answer.problem_at_end(clean=True)) == (reason, None)


REASONING: Sequence[dict[str, Any]] = (
    {"reasoning_content": "hm"},
    {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
    {"thinking": "hm"},
)


@pytest.mark.parametrize("delta", REASONING)
def test_reasoning_is_found_by_all_its_names_and_once(delta: dict[str, Any]) -> None:
    known = preset("openai", reasoning=True)
    assert Answer(known).read([chat(**delta)]) == [Piece("", "hm")]
    assert Answer(preset("openai")).read([chat(**delta)]) == []


# --- cumulative texts

CUMULATIVE = replace(preset("openai"), name="cumulative", cumulative=True)


def test_a_cumulative_preset_gives_what_is_new() -> None:
    answer = Answer(CUMULATIVE)
    texts = [
        [piece.text for piece in answer.read([chat(text)])] for text in ("Eins", "Eins zwei", "Eins zwei", "Eins zwei!")
    ]
    assert texts == [["Eins"], [" zwei"], [], ["!"]]


def test_a_character_of_which_the_rest_is_to_come_is_held_back() -> None:
    answer = Answer(CUMULATIVE)
    assert said(answer, chat("a\ufffd"), chat("aé"), chat("aé\ufffd", reason="stop"), DONE) == "aé\ufffd"


def test_a_text_that_does_not_go_on_from_all_before_it_is_an_error() -> None:
    answer = Answer(CUMULATIVE)
    assert said(answer, chat("Eins"), chat("zwei"), DONE) == "Eins"
    assert answer.problem_at_end(clean=True) == "not_cumulative"


@pytest.mark.parametrize(
    ("texts", "noted"), [("1 12 123", True), ("1 12", False), ("a a a a", False), ("a ab b", False)]
)
def test_texts_that_seem_cumulative_are_noted_and_given_as_they_came(texts: str, noted: bool) -> None:
    answer = Answer(preset("openai"))
    assert said(answer, *map(chat, texts.split()), DONE) == texts.replace(" ", "")
    assert bool(answer.notes()) is noted
