"""The command line as a whole: what it makes of mistakes, a user's and our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamkit.cli import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--upstream", "localhost:8000"], ", got 'localhost:8000'"),
        (["serve"], "no upstream: pass --upstream URL, or set STREAMKIT_UPSTREAM"),
        (["serve", "--upstream", "http://x", "--preset", "opnai"], "there are openai"),
        (["serve", "--upstream", "http://x", "--idle-s", "-1"], "expected --idle-s as seconds >= 0 (0 = off), got -1"),
        (["demo", "--wire", "opnai"], "there are openai"),
        (["record", "nowhere"], "expected a full URL such as http://127.0.0.1:8000/ans or http+unix://%2Ftmp%2Fs.sock"),
        (["record", "nowhere"], ", got 'nowhere'"),
        (["record", "me:sesame@here/x?key=sesame"], ", got 'here/x'"),
        (["tap", "--to", "nowhere"], ", got 'nowhere'"),
        (["load", "http://x"], "expected --rate (requests a second), --arrivals or --streams (all of them at once)"),
        (["load", "http://x", "--json", '{"a": 1}'], "the JSON to send is --body JSON"),
        (["load", "--json", '{"a": 1}', "http://x"], "the JSON to send is --body JSON"),
        (["compare", "http://x", "http://y", "--json", '{"a": 1}'], "the JSON to send is --body JSON"),
        (["record", "http://x", "--model", "m"], "expected --prompt and --preset with --model"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STREAMKIT_UPSTREAM", raising=False)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("streamkit: ")
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["serve", "--idle-s", "soon"], ["record", "http://x", "--data", "q"], ["serve", "--extra", "[1]"], ["plot"]],
)
def test_wrong_usage_is_one_line_that_says_where_the_usage_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    command = " ".join(["streamkit", *arguments[:1]])
    errors = capsys.readouterr().err
    assert errors.startswith(f"{command}: ")
    assert errors.endswith(f"; see {command} --help\n")
    assert errors.count("\n") == 1


def test_what_no_argument_took_is_told_by_the_command_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["load", "http://x", "--speed", "3"])
    told = "streamkit load: unrecognized arguments: --speed 3; see streamkit load --help\n"
    assert capsys.readouterr().err == told


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("streamkit.lab.client.record.record", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["record", "http://127.0.0.1:1/"])


def test_what_the_system_refuses_is_a_line_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/a/file")

    monkeypatch.setattr("streamkit.lab.sets.RecordingSet.load", denied)
    assert main(["plot", "x", "--out", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err == "streamkit: Permission denied: /a/file\n"
