"""for_others(): what leaves the house says nothing that others need not know, in whichever format."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamkit as sk
from streamkit.lab.exports import csv, for_others, har, parquet, summary, trace
from streamkit.lab.recording.relay_word import RelayWord
from streamkit.lab.recording.rows import Events
from tests.lab.exports.examples import recorded, with_all

WORD = "hunter2"
HEADERS = {"content-type": "text/event-stream", "x-request-id": WORD, "server": "nginx", "x-user": WORD}


def talkative() -> sk.Recording:
    """The word is in everything that a server, or whoever asked, may have put it in."""
    one = recorded([(20, "The word is hun"), (50, "ter2."), (80, "!")], label="mine")
    return replace(
        one,
        headers=HEADERS,
        url=f"http://me:{WORD}@127.0.0.1:1/v1?key={WORD}#{WORD}",
        error=f"the stream reported an error: {WORD}",
        meta={**one.meta, "notes": [WORD], "platform": WORD, "problem_code": WORD},
        relay=RelayWord(outcome=sk.Outcome("complete"), code=WORD),
        damage=(WORD,),
    )


@pytest.mark.parametrize("write", [har.write, csv.write, parquet.write, trace.write, summary.write, sk.Recording.save])
def test_without_text_no_format_has_a_word_of_it(write: Any, tmp_path: Path) -> None:
    write(for_others(talkative()), tmp_path / "x")
    told = (tmp_path / "x").read_bytes()
    assert WORD.encode() not in told
    assert b"The word" not in told
    assert b"ter2" not in told


def test_every_number_but_the_server_s_stays() -> None:
    before, after = (one.summary().as_dict() for one in (with_all(), for_others(with_all())))
    differs = {name for name in before if before[name] != after[name]}
    assert differs == set()
    assert for_others(with_all()).trust == with_all().trust


def test_the_columns_of_time_and_size_stay_as_they_are() -> None:
    before, after = talkative(), for_others(talkative())
    for name in ("at_ns", "read", "handed_ns", "size", "event"):
        assert list(getattr(after.events, name)) == list(getattr(before.events, name))
    assert list(after.reads.size) == list(before.reads.size)
    assert (after.body, after.events.kept, after.label) == (None, False, "mine")
    assert after.headers == {"content-type": "text/event-stream", "server": "nginx"}
    assert after.url == "http://127.0.0.1:1/v1"


def test_whose_fault_a_halt_was_stays_what_it_was() -> None:
    """A reader that took nothing is told by times alone: without them its loop would be blamed."""
    at_ns = [n * 30_000_000 for n in range(60)]
    handed_ns = [*accumulate((at + (700_000_000 if n == 20 else 0) for n, at in enumerate(at_ns)), max)]
    said = sk.Recording.from_pieces([(at, "x") for at in at_ns])
    meta = {"reader": "slow", "reader_busy_ns": [[at_ns[20], handed_ns[20]]]}
    events = Events(at_ns, text=["x"] * 60, handed_ns=handed_ns, read=range(60))
    slow = replace(said, events=events, stamps="kernel", meta=meta)
    assert (slow.diagnose().cause, for_others(slow).diagnose().cause) == ("slow_reader", "slow_reader")


def test_of_tcp_its_numbers_stay_and_nothing_else() -> None:
    numbers = {"at_ns": [5], "rtt_us": [9000], "retransmits": [0], "out_of_order": [2]}
    told = replace(talkative(), meta={"tcp": {**numbers, "peer": WORD}})
    assert for_others(told).meta["tcp"] == numbers


def test_it_can_be_saved_loaded_and_given_on_again(tmp_path: Path) -> None:
    for_others(with_all()).save(tmp_path / "x.jsonl")
    loaded = sk.Recording.load(tmp_path / "x.jsonl")
    assert loaded.summary().as_dict() == for_others(loaded).summary().as_dict()


def test_the_text_may_stay_without_the_bytes_around_it() -> None:
    kept = for_others(talkative(), keep_text=True)
    assert (kept.text, kept.body, set(kept.events.data)) == ("The word is hunter2.!", None, {""})


def test_what_lies_across_pieces_is_masked_as_one() -> None:
    masked = for_others(talkative(), redact=lambda text: text.replace(WORD, "*" * len(WORD)))
    assert list(masked.events.text)[:3] == ["The word is ***", "****.", "!"]
    assert WORD not in json.dumps(har.of(masked))


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6))
def test_each_piece_keeps_its_length(pieces: list[str]) -> None:
    one = sk.Recording.from_pieces(list(enumerate(pieces)))
    assert list(for_others(one, redact=str).events.text) == pieces
    assert [len(text) for text in for_others(one, redact=lambda text: "*" * len(text)).events.text] == [
        *map(len, pieces)
    ]


def test_reasoning_is_masked_by_itself() -> None:
    events = sk.Recording.from_pieces([(1, "ab")]).events
    one = replace(sk.Recording.from_pieces([(1, "ab")]), events=type(events)([1], text=["ab"], reasoning=["cd"]))
    assert for_others(one, redact=str.upper).reasoning == "CD"


@pytest.mark.parametrize(
    ("redact", "error", "told"),
    [
        (lambda text: text + "!", ValueError, r"as many characters as it was given, 21, got 22"),
        (lambda _: None, TypeError, "expected redact to return text, got NoneType"),
        ("mask", TypeError, "expected redact as something to call"),
    ],
)
def test_what_cannot_become_pieces_again_is_refused(redact: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        for_others(talkative(), redact=redact)


def test_where_there_is_no_text_there_is_nothing_to_mask() -> None:
    with pytest.raises(ValueError, match="knows only how long they were"):
        for_others(for_others(talkative()), redact=str)
