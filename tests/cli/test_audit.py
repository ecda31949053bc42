"""`streamkit audit`: what it shows and leaves behind, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamkit.cli import main
from streamkit.serving.listener import free_port

GOOD = f"{sys.executable} -m tests.bad_gateway {{port}} {{upstream}}"
ROOT = Path(__file__).parents[2]


def test_nothing_found_is_0_and_the_certificate_is_shown_and_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = [tmp_path / f"certificate{suffix}" for suffix in (".html", ".json", ".txt")]
    out = [word for path in files for word in ("--out", str(path))]
    assert main(["audit", "--start", GOOD, "--quick", "--only", "text", "--name", "mine", *out]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("streamkit audit of mine\n\nmine: nothing found in ")
    assert files[2].read_text(encoding="utf-8") == shown
    assert json.loads(files[1].read_text(encoding="utf-8"))["ok"] is True
    assert files[0].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_something_found_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--start", f"{GOOD} drops", "--quick", "--only", "nothing wrong"]) == 1
    assert "FOUND  text\n       ! text is missing (text_dropped):" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--start", "proxy"], "expected {port} in the command"),
        (["--url", "http://127.0.0.1:1/v1"], "as upstream_port the port where the gateway looks for its upstream"),
        (["--start", GOOD, "--out", "certificate.pdf"], "expected --out as a file that ends in"),
        (["--start", GOOD, "--client-preset", "opnai"], "expected a preset's name"),
        (["--start", "no-such-gateway {port}"], "'no-such-gateway' cannot be started"),
        (["--start", GOOD, "--only", "speed"], "expected only as one of endings"),
        (["--url", "http://127.0.0.1:1/v1", "--upstream-port", "0"], "the port where the gateway looks"),
        (
            ["--url", "http://127.0.0.1:1/v1", "--upstream-port", str(free_port())],
            "gave no text of the plainest answer",
        ),
    ],
)
def test_a_mistake_is_2_and_one_line_says_which(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--quick", *given]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_its_status_and_leaves_nothing_running(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    script = tmp_path / "gateway.sh"
    script.write_text(f"echo $$ > {tmp_path}/pid; exec {sys.executable} -m tests.bad_gateway $1 $2\n")
    start = f"sh {script} {{port}} {{upstream}}"
    command = [sys.executable, "-m", "streamkit", "audit", "--start", start]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        until_s = time.monotonic() + 20
        while not (tmp_path / "pid").exists() and time.monotonic() < until_s:
            time.sleep(0.05)
        time.sleep(1.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (status, b"\nstopped\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_gateways_key_may_stand_in_a_file_and_is_in_no_certificate(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keys, out = tmp_path / "keys", tmp_path / "certificate.json"
    keys.write_text("Authorization: Bearer sesame-42\n# another\nX-Api-Key: sesame-43\n")
    asked = ["--quick", "--only", "nothing wrong", "--out", str(out)]
    assert main(["audit", "--start", GOOD, "-H", f"@{keys}", *asked]) == 0
    assert "sesame" not in capsys.readouterr().out + out.read_text(encoding="utf-8")
    keys.write_text("no colon, sesame-44\n")
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "--start", GOOD, "--header-file", str(keys), *asked])
    assert f"line 1 of {keys}: expected NAME:VALUE; see" in capsys.readouterr().err
