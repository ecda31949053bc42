"""In a notebook's kernel, as JupyterLab and VS Code have it: one place for the pictures, a cell that is a request, and
completion. One kernel for all.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

import streamkit as sk
from streamkit.lab.recording.recorded import Recorded
from tests.notebooks import FOLDER, kernel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own

BEGIN = """
%load_ext streamkit
import asyncio, threading, time
import streamkit as sk
lab = sk.Lab(sk.Script([f"word {n} " for n in range(60)], gap_ms=50))
text = 'say "hi"'
"""
LEFT = "print([each.name for each in threading.enumerate() if each.name in ('streamkit jobs', 'streamkit watch')])"


class Said(NamedTuple):
    """What came of a cell."""

    status: str
    name: str | None
    shown: list[tuple[str, Any]]  # the messages that have data: type, content
    out: str


def run(client: BlockingKernelClient, code: str) -> Said:
    shown: list[tuple[str, Any]] = []
    out: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        content = message["content"]
        if "data" in content:
            shown.append((message["msg_type"], content))
        out.append(content.get("text", ""))

    reply = client.execute_interactive(code, output_hook=hook, timeout=120)["content"]
    return Said(reply["status"], reply.get("ename"), shown, "".join(out))


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    with kernel(FOLDER / "any.ipynb") as made:
        assert run(made, BEGIN).status == "ok"
        yield made
        run(made, "lab.stop()")


def test_the_pictures_have_one_place_and_one_size_and_the_last_one_stands(client: BlockingKernelClient) -> None:
    began = run(client, "began = time.monotonic(); recording = await sk.watch(lab.ask('hi', accept='sse'))")
    assert began.status == "ok", began
    kinds = [kind for kind, _ in began.shown]
    assert kinds[0] == "display_data"
    assert set(kinds[1:]) == {"update_display_data"}
    assert len({content["transient"]["display_id"] for _, content in began.shown}) == 1
    assert {tuple(content["metadata"]["image/png"].values()) for _, content in began.shown} == {(800, 440)}
    words = [content["data"]["text/plain"] for _, content in began.shown]
    assert words[0] == "nothing yet"
    assert "So far" not in words[-1]
    seconds = float(run(client, "print(recording.summary().duration_ms / 1000)").out)
    assert len(kinds) <= 4 * seconds + 2  # the empty one, and the still one
    assert run(client, LEFT).out == "[]\n"


def test_interrupted_it_leaves_what_had_come_and_nothing_running(client: BlockingKernelClient) -> None:
    said = run(client, "await asyncio.wait_for(sk.watch(lab.ask('hi', accept='sse')), 0.8)")
    assert (said.status, said.name) == ("error", "TimeoutError")
    assert said.shown[-1][0] == "update_display_data"
    assert len(said.shown[-1][1]["data"]["image/png"]) > 10_000
    assert run(client, "print(sk.last_recording().outcome)").out == "cancelled(by us)\n"
    assert run(client, LEFT).out == "[]\n"


def test_a_cell_that_is_a_request_is_recorded_and_shown(client: BlockingKernelClient) -> None:
    cell = '%%stream --out answer --accept sse\nPOST {lab.relay.url}/ans\n\n{"chat_history": "{{text}}"}'
    said = run(client, cell)
    assert said.status == "ok", said
    assert said.out.startswith("complete: ")
    assert said.out.endswith("; kept as answer\n")
    assert [kind for kind, _ in said.shown] == ["display_data"]
    assert run(client, "print(answer.text == lab.script.expected_text, answer.status)").out == "True 200\n"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%stream\nPOST /ans", "expected a whole URL in the first line"),
        ("%%stream\nPOST {lab.rely.url}/ans", "'Lab' object has no attribute 'rely'"),
        ("%%stream --kind film\nPOST http://a/b", "invalid choice: 'film'"),
        ("%%stream --out 1a\nPOST http://a/b", "expected --out as the name of a variable, got '1a'"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_in_a_line(client: BlockingKernelClient, cell: str, words: str) -> None:
    said = run(client, cell)
    assert said.name == "UsageError"
    assert words in said.out
    assert "Traceback" not in said.out


def test_its_help_says_how_a_request_is_written(client: BlockingKernelClient) -> None:
    for asked in (
        "%%stream --help\nx",
        "%stream --help",
        "import io, IPython; print(get_ipython().find_cell_magic('stream').__doc__)",
    ):
        said = run(client, asked)
        assert "POST {lab.relay.url}/ans" in said.out
        assert "--accept TYPE" in said.out


def completed(client: BlockingKernelClient, code: str) -> set[str]:
    told = client.complete(code, len(code), reply=True, timeout=60)["content"]["matches"]
    return {match.rpartition(".")[2] for match in told}


def test_the_tabulator_shows_the_names_that_are_for_everybody_and_no_others(client: BlockingKernelClient) -> None:
    assert completed(client, "sk.") == set(sk.__all__)
    assert completed(client, "sk.plots.") == set(sk.plots.__all__)


def test_what_a_recording_shows_is_written_down(client: BlockingKernelClient) -> None:
    run(client, "recording = sk.Recording.from_pieces([(7, 'Hi')])")
    fields = inspect.cleandoc(Recorded.__doc__ or "")
    for name in completed(client, "recording."):
        assert not name.startswith("_")
        assert inspect.getdoc(getattr(sk.Recording, name, None)) or re.search(rf"\b{name}\b", fields), name


def test_unloaded_the_magic_is_gone(client: BlockingKernelClient) -> None:
    run(client, "%unload_ext streamkit")
    assert "Cell magic `%%stream` not found" in run(client, "%%stream\nPOST http://a/b").out
    assert (
        run(client, "%load_ext streamkit\nprint('stream' in get_ipython().magics_manager.magics['cell'])").out
        == "True\n"
    )
