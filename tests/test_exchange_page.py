"""docs/exchange.md: its code and its commands run as they stand there, in this order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from streamkit.cli import _parser, main

PAGE = (Path(__file__).parents[1] / "docs" / "exchange.md").read_text("utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("nothing_left")
def test_the_page_s_code_and_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "docs/exchange.md", "exec"), names)  # noqa: S102  # our own page
            continue
        for line in code.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "streamkit"
            if arguments[0] == "replay":  # it would serve for ever: tests/sockets/test_replay.py runs it
                assert _parser().parse_args(arguments).speed == 4
            else:
                assert main(arguments) == 0, capsys.readouterr().err
    assert json.loads((tmp_path / "summary.json").read_bytes())["streams"][0]["label"] == "the stall of Monday"
    assert (tmp_path / "stall.png").read_bytes().startswith(b"\x89PNG")


def test_it_names_every_format_and_every_column_of_reads() -> None:
    import streamkit as sk

    told = [name for name in sk.exports.__all__ if f"`{name}`" in PAGE or f"exports.{name}" in PAGE]
    assert told == sk.exports.__all__
    for column in sk.exports.parquet.of(sk.Recording(), rows="reads").column_names:
        assert f"`{column}`" in PAGE
