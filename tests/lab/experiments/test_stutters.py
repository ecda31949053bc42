"""Each endpoint has the cause that is told of it, and nothing of the answer tells which."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import streamkit as sk
from streamkit.lab.experiments import hidden_causes, stuttering
from streamkit.lab.recording.recording import Recording
from tests.servers import leaves_nothing


def test_the_seed_decides_which_is_which() -> None:
    assert hidden_causes(1) == hidden_causes(1)
    assert len({tuple(hidden_causes(seed).values()) for seed in range(20)}) > 5
    with pytest.raises(TypeError, match="seed"):
        hidden_causes("a")  # type: ignore[arg-type]


def test_each_of_them_is_found_by_its_cause_and_all_are_whole() -> None:
    """The one that serves one by one is well where it is asked once."""
    hidden = hidden_causes()

    async def main() -> tuple[list[Recording], list[Recording]]:
        with sk.serve(stuttering) as server:
            alone = await asyncio.gather(*[sk.record(f"{server.url}/{name}", label=name) for name in hidden])
            serial = next(name for name, cause in hidden.items() if cause == "serial_server")
            return alone, await asyncio.gather(*[sk.record(f"{server.url}/{serial}") for _ in range(4)])

    with leaves_nothing():
        alone, together = sk.run(main())
    assert [str(each.outcome) for each in (*alone, *together)] == ["complete"] * 9
    found = {each.label: each.diagnose().cause for each in alone}
    expected = {name: "none" if cause == "serial_server" else cause for name, cause in hidden.items()}
    right = [name for name in expected if found[name] == expected[name]]
    assert len(right) >= 4, f"expected {expected}, got {found}"  # a busy machine may add a stall of its own to one
    assert sk.findings.diagnose(together).names[0] == "serial_server"
    assert len({each.headers["content-type"] for each in alone}) == 1


def test_heartbeats_are_told_without_texts_and_bytes_too_also_when_saved(tmp_path: Path) -> None:
    name = next(name for name, cause in hidden_causes().items() if cause == "model_paused")

    async def slim() -> Recording:
        with sk.serve(stuttering) as server:
            return await sk.record(f"{server.url}/{name}", keep_text=False, keep_bytes=False)

    with leaves_nothing():
        recording = sk.run(slim())
    recording.save(tmp_path / "slim.jsonl")
    found = recording.diagnose()
    assert sk.Recording.load(tmp_path / "slim.jsonl").diagnose() == found
    assert "model_paused" in found.names
