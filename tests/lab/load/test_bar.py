"""The progress bar: how far a load is, and nothing that stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from streamkit.lab.bar import plain_bar
from streamkit.lab.load.bar import progress_bar


def test_it_shows_how_many_have_ended_and_live_and_how_late_we_are(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with progress_bar(200, shown=True) as show:
        show(0, 150, 3_000_000)
        show(200, 0, 12_000_000)
    shown = capsys.readouterr().err
    assert "200/200" in shown
    assert "0 live, 12 ms late" in shown
    assert threading.active_count() == threads


def test_nothing_is_shown_where_nobody_wants_to_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(2, shown=False) as show:
        show(1, 1, 0)
    assert capsys.readouterr().err == ""


def test_what_is_done_one_by_one_has_a_plain_one(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_bar(8, unit="runs", shown=True) as show:
        show(3, "relay")
    told = capsys.readouterr().err
    assert "3/8" in told
    assert "runs" in told
    assert "relay" in told
    with plain_bar(8, unit="runs", shown=False) as show:
        show(3, "relay")
    assert capsys.readouterr().err == ""


def test_an_environment_without_bars_has_none() -> None:
    """Notebooks are run so whose outputs must not vary."""
    code = (
        "from streamkit.lab.bar import plain_bar\nwith plain_bar(8, unit='runs', shown=True) as show: show(3, 'relay')"
    )
    without = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, check=True)
    assert done.stderr == b""
