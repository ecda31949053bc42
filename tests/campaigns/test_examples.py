"""The script that makes the examples: what it takes out, what it doubts, and that one can be made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from campaigns import examples
from streamkit.lab.recording.trust import Trust
from streamkit.lab.upstream import Script

QUICK = sk.Recording.from_pieces([(1_000_000, "Hi")], url="http://10.0.0.7:81/ans?key=1", meta={"method": "POST"})


@pytest.mark.usefixtures("nothing_left")
def test_one_is_made_and_its_file_and_how_it_was_made_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def quick() -> sk.Recording:
        with sk.Lab(Script("Hi there", first_piece_ms=1, gap_ms=1)) as lab:
            return await lab.ask("hi", accept="sse")

    monkeypatch.setitem(examples.MAKERS, "healthy", quick)
    examples.main(["healthy", "--to", str(tmp_path), "--tries", "1"])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["healthy.jsonl.gz", "made.json"]
    recording = sk.Recording.load(tmp_path / "healthy.jsonl.gz")
    assert (recording.text, recording.url) == ("Hi there", "http://lab.example/ans")
    noted = json.loads((tmp_path / "made.json").read_text("utf-8"))["healthy"]
    assert noted["trust"] == f"trust: {recording.trust}"
    assert f"healthy: {recording.trust}" in capsys.readouterr().out


def test_an_address_is_taken_out_and_nothing_else() -> None:
    kept = examples.private(QUICK)
    assert kept.url == "http://lab.example/ans"
    assert (kept.events, kept.reads) == (QUICK.events, QUICK.reads)
    assert kept.meta["method"] == "POST"
    assert len(kept.meta["platform"].split()) == 2, "the system and the machine, no kernel"


def test_what_leaves_a_doubt_is_made_again_and_that_with_the_fewest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = [Trust("limited", ("late", "lost")), Trust("limited", ("late",)), Trust("limited", ("late", "slow"))]
    made: list[str] = []

    def make(_: str, path: Path) -> Any:
        path.write_text(f"try {len(made)}")
        made.append(path.name)
        return verdicts[len(made) - 1]

    monkeypatch.setattr(examples, "make", make)
    monkeypatch.setattr(examples, "verdict_of", lambda each: each)
    assert examples.make_best("stall", 3, tmp_path) is verdicts[1]
    assert [each.name for each in tmp_path.iterdir()] == ["stall.jsonl.gz"]
    assert (tmp_path / "stall.jsonl.gz").read_text() == "try 1"


def test_without_a_doubt_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = Trust("limited", (f"80% of the pieces {examples.SHARED} with an earlier one",))
    monkeypatch.setattr(examples, "make", lambda _, path: path.write_text(""))
    monkeypatch.setattr(examples, "verdict_of", lambda _: together)
    assert examples.make_best("slow-client", 1, tmp_path) is together


def test_without_nginx_its_example_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(type(examples.NGINX), "found", None)
    assert examples.main(["gzip-proxy", "--to", str(tmp_path)]) == 1
    assert "nginx is not installed; it stays as it was" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
