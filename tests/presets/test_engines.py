"""Inference engines by their own endpoints, on small samples of their streams: llama.cpp, SGLang."""
# ruff: noqa: E501  # an event of a sample stands on one line, as on the wire

from __future__ import annotations

import json

import pytest

from streamkit.presets import Answer, End, Piece, ProviderError, detect, preset
from tests.presets.providers import event
from tests.presets.test_reading import results

LLAMACPP = """\
data: {"index":0,"content":"Te","tokens":[1],"stop":false,"id_slot":0,"tokens_predicted":1,"tokens_evaluated":4}

data: {"index":0,"content":"a","tokens":[2],"stop":false,"id_slot":0,"tokens_predicted":2,"tokens_evaluated":4}

data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"m","tokens_predicted":2,"tokens_evaluated":4,"generation_settings":{},"prompt":"no","has_new_line":false,"truncated":false,"stop_type":"limit","stopping_word":"","tokens_cached":5,"timings":{}}

"""


def test_llamacpp_completion() -> None:
    assert results("llamacpp-completion", LLAMACPP) == [Piece("Te"), Piece("a"), End("limit")]
    assert detect(LLAMACPP.encode()) == "llamacpp-completion"


def test_llamacpp_last_words_may_stand_in_the_event_that_stops() -> None:
    last = event({"content": "!", "stop": True, "stop_type": "word"})
    assert preset("llamacpp-completion").read(last) == Piece("!", end=End("word"))
    assert preset("llamacpp-completion").read(event({"content": "", "stop": True})) == End()  # older: stopped_eos


def test_llamacpp_fails_in_its_own_words() -> None:
    error = {"error": {"code": 500, "message": "slot ran out of context", "type": "server_error"}}
    assert preset("llamacpp-completion").read(event(error)) == ProviderError("500", "slot ran out of context")


def generated(text: str, reason: object = None, **fields: object) -> dict[str, object]:
    counts = {"prompt_tokens": 4, "completion_tokens": 1, "cached_tokens": 0}
    return {"text": text, "meta_info": {"id": "i", "finish_reason": reason, **counts}, **fields}


@pytest.mark.parametrize("reason", [{"type": "stop", "matched": 2}, {"type": "length", "length": 16}])
def test_sglang_generate_says_why_it_stopped(reason: dict[str, object]) -> None:
    read = preset("sglang-generate").read
    assert read(event(generated("", reason))) == End(str(reason["type"]), conclusive=False)
    assert read(event("[DONE]")) == End()


def test_sglang_generate_that_is_aborted_has_failed() -> None:
    aborted = {"type": "abort", "message": "out of memory", "status_code": 503, "err_type": "InternalServerError"}
    read = preset("sglang-generate").read
    assert read(event(generated("Te", aborted))) == ProviderError("InternalServerError", "out of memory")
    assert read(event(generated("Te", {"type": "abort", "message": "Aborted"}))) == ProviderError("abort", "Aborted")
    refused = read(event({"error": {"message": "The input is longer than the context"}}))
    assert refused == ProviderError("error", "The input is longer than the context")


def test_sglang_generate_reads_the_first_of_several_answers() -> None:
    read = preset("sglang-generate").read
    assert read(event(generated("yes", index=0))) == Piece("yes")
    assert read(event(generated("no", index=1))) is None
    assert detect(f"data: {json.dumps(generated('yes'))}\n\n".encode()) == "sglang-generate"


def answered(*events: object) -> tuple[str, str | None, str | None]:
    """The text, what is wrong at its end, and why it ended; all of it in one read, and each event in one."""
    seen = set()
    for reads in ([[event(one) for one in events]], [[event(one)] for one in events]):
        answer = Answer(preset("sglang-generate"))
        text = "".join(piece.text for read in reads for piece in answer.read(read))
        seen.add((text, answer.problem_at_end(clean=True), answer.finish_reason))
    (only,) = seen
    return only


def test_sglang_generate_repeats_its_text_and_only_what_is_new_is_given() -> None:
    last = generated("Tea!", {"type": "length", "length": 3})
    assert answered(generated("Te"), generated("Tea"), last, "[DONE]") == ("Tea!", None, "length")
    assert answered(generated("Te"), generated("Tea")) == ("Tea", "upstream_truncated", None)


def test_sglang_generate_that_takes_back_what_it_said_has_failed_whatever_comes_behind() -> None:
    assert answered(generated("Te"), generated("Mate"), "[DONE]") == ("Te", "not_cumulative", None)


def test_they_are_asked_by_one_text() -> None:
    def ask(name: str) -> object:
        return json.loads(preset(name).request("你好", model="not sent").content)

    assert ask("llamacpp-completion") == {"prompt": "你好", "stream": True}
    assert ask("sglang-generate") == {"text": "你好", "stream": True}
