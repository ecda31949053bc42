"""The plugin, in test runs of their own: skipped, failed, kept; and what it costs who does not use it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import streamkit
from streamkit.lab.sets import RecordingSet

ROOT = Path(streamkit.__file__).parent.parent
LOADED = "streamkit.testing"


def pytest_run(folder: Path, code: str, *options: str) -> dict[str, Any]:
    """The outcome of each test, by its name, of a run in that folder; warnings are errors there."""
    (folder / "test_it.py").write_text(dedent(code))
    (folder / "conftest.py").write_text(dedent(REPORT))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", LOADED, "-p", "no:cacheprovider", *options]
    answer = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    assert "INTERNALERROR" not in answer.stdout, answer.stdout
    return told


REPORT = """
    import json, sys
    from pathlib import Path

    told = {}

    def pytest_runtest_logreport(report):
        if report.when == "call" or report.failed:
            told[report.nodeid.rpartition("::")[2]] = [report.outcome, str(report.longrepr)]

    def pytest_sessionfinish():
        told["modules"] = sorted(name for name in sys.modules if "." not in name)
        (Path(__file__).parent / "told.json").write_text(json.dumps(told))
"""


def test_a_test_passes_fails_or_is_skipped_and_what_fails_is_never_skipped(tmp_path: Path) -> None:
    told = pytest_run(
        tmp_path,
        """
        import streamkit as sk
        from streamkit.testing import assert_stream

        def near(outcome="complete"):
            return sk.Recording.from_pieces([(102_000_000, "x")], sent_ns=0, outcome=sk.Outcome(outcome))

        def test_kept():
            assert_stream(near()).whole().first_piece(ms=300)

        def test_broken():
            assert_stream(near()).first_piece(ms=20)

        def test_undecided():
            assert_stream(near()).first_piece(ms=100).whole()

        def test_undecided_and_broken():
            assert_stream(near("truncated")).first_piece(ms=100).whole()

        def test_undecided_and_wrong_otherwise():
            assert_stream(near()).first_piece(ms=100)
            assert 1 == 2
        """,
        "--streamkit-keep",
        "kept",
    )
    assert {name: outcome for name, (outcome, *_) in told.items() if name.startswith("test_")} == {
        "test_kept": "passed",
        "test_broken": "failed",
        "test_undecided": "skipped",
        "test_undecided_and_broken": "failed",
        "test_undecided_and_wrong_otherwise": "failed",
    }
    assert "cannot decide on this machine: first piece: expected at most 100 ms" in told["test_undecided"][1]
    said = told["test_broken"][1]
    assert "expected at most 20 ms, got 102 ms" in said
    assert "def _judge" not in said
    kept = tmp_path / "kept" / "test_it.py-test_broken.jsonl"
    assert f"recorded: {kept}" in said
    assert len(RecordingSet.load(kept)) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_without_the_option_recordings_are_kept_in_pytests_own_folder(tmp_path: Path) -> None:
    told = pytest_run(
        tmp_path,
        """
        import streamkit as sk
        from streamkit.testing import assert_stream

        def test_broken():
            assert_stream(sk.Recording.from_pieces([(102_000_000, "x")], sent_ns=0)).first_piece(ms=20)
        """,
        "--basetemp",
        str(tmp_path / "base"),
    )
    kept = tmp_path / "base" / "streamkit-kept" / "test_it.py-test_broken.jsonl"
    assert str(kept) in told["test_broken"][1]
    assert kept.exists()


def test_the_fixtures_start_labs_record_them_and_stop_what_they_started(tmp_path: Path) -> None:
    told = pytest_run(
        tmp_path,
        """
        import urllib.request
        import pytest
        import streamkit as sk
        from streamkit.testing import assert_stream

        urls = []

        def test_two_labs(stream_lab, record_stream):
            one, two = (stream_lab(sk.Script(text, first_piece_ms=5, gap_ms=1)) for text in ("one two", "three"))
            urls.extend([one.relay.url, two.relay.url])
            assert_stream(record_stream(one, runs=3, accept="sse")).whole().text("one two").gap(ms=2000)
            assert_stream(record_stream(f"{two.relay.url}/ans", "what?", accept="sse")).whole().text("three")

        def test_they_are_gone():
            for url in urls:
                with pytest.raises(OSError):
                    urllib.request.urlopen(url, timeout=5)
        """,
    )
    assert told["test_two_labs"][0] == told["test_they_are_gone"][0] == "passed", told


def test_a_run_that_uses_none_of_it_imports_neither_sanic_nor_numpy(tmp_path: Path) -> None:
    told = pytest_run(tmp_path, "def test_nothing(): pass")
    assert "streamkit" in told["modules"]
    assert {"sanic", "numpy", "httpx2", "matplotlib", "orjson"}.isdisjoint(told["modules"])


def test_the_entry_point_is_this_module_and_bears_its_name() -> None:
    """By that name pytest knows what `-p streamkit.testing` has loaded, and does not load it twice."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    section = text.split("[project.entry-points.pytest11]\n", 1)[1].split("\n[", 1)[0]
    lines = [line for line in section.splitlines() if line and not line.startswith("#")]
    assert lines == ['"streamkit.testing" = "streamkit.testing"']
    assert hasattr(EntryPoint(LOADED, LOADED, "pytest11").load(), "pytest_addoption")


def test_what_it_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="there are StreamAssert, assert_stream"):
        _ = EntryPoint(LOADED, LOADED, "pytest11").load().assert_streams
