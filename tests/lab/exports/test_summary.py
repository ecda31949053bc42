"""The numbers as JSON: names with units, numbers that are JSON's, and null for what is not defined."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import streamkit as sk
from streamkit.lab.exports import summary
from streamkit.lab.recording.summary import Summary
from tests.lab.exports.examples import with_all


def loaded(one: Any, folder: Path) -> Any:
    """As a strict reader has it."""

    def no_constant(name: str) -> NoReturn:
        raise AssertionError(f"{name} is none of JSON's numbers")

    summary.write(one, folder / "x.json")
    return json.loads((folder / "x.json").read_bytes(), parse_constant=no_constant)


def test_one_recording_has_the_fields_of_its_summary_and_its_labels(tmp_path: Path) -> None:
    told = loaded(with_all(), tmp_path)
    (stream,) = told["streams"]
    assert list(stream) == ["label", "labels", *(field.name for field in fields(Summary))]
    assert (told["streamkit"], told["version"], stream["label"], stream["labels"]["clients"]) == (
        "summary",
        1,
        "first",
        5,
    )
    numbers = with_all().summary()
    assert (stream["ttft_ms"], stream["gap_p95_ms"], stream["outcome"]) == (15.0, numbers.gap_p95_ms, "complete")
    assert stream["hops"][0]["name"] == "relay.sent → client.read"


def test_what_is_not_defined_is_null(tmp_path: Path) -> None:
    told = loaded([sk.Recording(), sk.Recording.from_pieces([(1, "a")])], tmp_path)
    assert [(stream["gap_p50_ms"], stream["duration_ms"]) for stream in told["streams"]] == [(None, None)] * 2
    assert told["all"]["gap_p50_ms"] is None


def test_a_set_has_its_own_numbers_beside_them(tmp_path: Path) -> None:
    told = loaded(sk.RecordingSet([with_all(), with_all()]), tmp_path)
    assert (len(told["streams"]), told["all"]["streams"], told["all"]["outcomes"]) == (2, 2, {"complete": 2})
    assert told["all"]["ttft_sent_p50_ms"] == 15.0
    assert isinstance(told["all"]["verdict"], str)


def test_nothing_that_was_said_is_in_it(tmp_path: Path) -> None:
    assert "Tea" not in json.dumps(loaded(with_all(), tmp_path))
