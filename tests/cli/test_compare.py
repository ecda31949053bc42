"""`streamkit compare`: servers in turns, or files; what it shows and leaves behind, and its exit status."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from streamkit.cli import main
from streamkit.lab.sets import RecordingSet
from tests.cli.test_load import WHOLE
from tests.lab.compare.examples import COMPARISONS, runs
from tests.rawsockets import RawServer


def answering(connection: Any) -> None:
    connection.sendall(WHOLE)


def slowly(connection: Any) -> None:
    time.sleep(0.15)
    connection.sendall(WHOLE)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_of_two_servers_the_slower_one_is_named_and_everything_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, picture = tmp_path / "runs.jsonl", tmp_path / "compared.png"
    with RawServer(answering) as server, RawServer(slowly) as other:
        asked = [f"quick={server.url}/ans", f"slow={other.url}/ans", "--runs", "8", "--json"]
        status = main(["compare", *asked, "--save", str(kept), "--plot", str(picture)])
    assert status == 0
    out = capsys.readouterr().out
    found = json.loads(out[: out.rindex("}") + 1])
    assert found["sentence"].startswith("slow's first piece is ")
    assert (found["base"], found["others"][0]["verdict"], found["others"][0]["runs"]) == ("quick", "slower", [8, 8])
    assert picture.stat().st_size > 1000
    assert sorted({run.label for run in RecordingSet.load(kept)}) == ["quick", "slow"]


def test_saved_runs_are_compared_again_by_their_labels_and_by_another_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "runs.jsonl")
    RecordingSet([*runs("a"), *runs("b", 131)]).save(path)
    assert main(["compare", path]) == 0
    assert capsys.readouterr().out.startswith(COMPARISONS["slower"].sentence)
    assert main(["compare", path, "--metric", "gap_p50", "--json"]) == 0
    assert told(capsys)["metric"] == "gap_p50_ms"
    assert main(["compare", path, "--slo", "ttft=120", "--against", "b", "--json"]) == 0
    found = told(capsys)
    assert (found["metric"], found["at"], found["others"][0]["verdict"]) == ("kept_share", "mean", "more")


def test_of_several_files_each_is_a_target_by_its_own_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name, mean in (("a", 100), ("b", 131)):
        RecordingSet(runs("x", mean, seed=mean)).save(tmp_path / f"{name}.jsonl")
        paths.append(str(tmp_path / f"{name}.jsonl"))
    assert main(["compare", *paths, "--json"]) == 0
    assert (told(capsys)["base"], main(["compare", f"old={paths[0]}", f"new={paths[1]}", "--json"])) == ("a", 0)
    assert told(capsys)["sentence"].startswith("new's first piece is ")


def test_what_could_not_be_decided_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordingSet([*runs("a", count=3), *runs("b", count=3)]).save(tmp_path / "few.jsonl")
    assert main(["compare", str(tmp_path / "few.jsonl"), "--json"]) == 1
    found = told(capsys)
    assert found["others"][0]["verdict"] == "cannot decide"
    assert found["sentence"].endswith("3 rounds, and it takes 6")


@pytest.mark.parametrize(
    ("count", "words"), [(1, "one.jsonl holds a single one"), (7, "one.jsonl holds 7 that have the same 'label'")]
)
def test_one_file_whose_runs_cannot_be_told_apart_is_a_mistake(
    count: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordingSet(runs("a", count=count)).save(tmp_path / "one.jsonl")
    assert main(["compare", f"one.jsonl={tmp_path / 'one.jsonl'}"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("streamkit: expected two files, or one of runs with different labels")
    assert errors.endswith(f"{words}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://x/a", "http://x/a"], "expected a name for each, got 'http://x/a' twice: give them as a="),
        (["http://x/a", "b.jsonl"], "expected servers, or files of recordings, got both"),
        (["http://x/a"], "expected 2 to 10 targets"),
        (["http://x/a", "nowhere://"], "expected a full URL"),
        (["a=http://x", "b=http://y", "--runs", "3"], "expected runs >= 6, got 3"),
        (["a=http://x", "b=http://y", "--metric", "tfft"], "expected metric out of"),
        (["a=http://x", "b=http://y", "--against", "c"], "expected against out of a, b"),
        (["missing.jsonl"], "No such file"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.count("\n") == 1


def test_secrets_of_a_url_are_in_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(answering) as server:
        url = f"{server.url}/ans?key=sesame"
        assert main(["compare", f"a={url}", url, "--runs", "6", "--json"]) in (0, 1)
    assert "sesame" not in capsys.readouterr().out
