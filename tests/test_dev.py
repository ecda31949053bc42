"""dev.py and .ci/run: what a fresh machine, a second run, a moved folder and an interruption make of them.

Nothing here needs a network or a real pip: a package index on 127.0.0.1 serves a wheel of a pip that notes how it was
called, and `pytest`, `jupyterlab` and `streamkit` are modules of a few lines in a checkout made for the test.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = (ROOT / "dev.py").read_text(encoding="utf-8")

FAKE_PIP = """
import json, os, signal, sys, sysconfig, zipfile
words = sys.argv[1:]
with open(os.environ["PIP_CALLS"], "a") as calls:
    calls.write(json.dumps(words) + "\\n")
site = sysconfig.get_path("purelib")
if words[-1].endswith(".whl"):
    zipfile.ZipFile(words[-1]).extractall(site)
elif os.environ.get("PIP_DOES") == "fail":
    sys.exit("fake pip: no such host")
elif os.environ.get("PIP_DOES") == "ctrl-c":
    os.killpg(0, signal.SIGINT)
    signal.pause()
else:
    with open(os.path.join(site, "editable.pth"), "w") as link:
        link.write(os.getcwd())
"""

SHOW_CALL = "import json, os, sys; print(json.dumps([__name__, sys.argv[1:], os.getcwd(), sys.prefix]))\n"

# Runs dev.py with words[1:] under a Python that has neither ensurepip nor pip, as minimal Debian's.
BARE = """
import runpy, sys
sys.modules["ensurepip"] = sys.modules["pip"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass
class Index:
    """A package index on 127.0.0.1 that lists one wheel of the fake pip."""

    url: str
    page: Path
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, Authorization


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index" / "simple" / "pip"
    folder.mkdir(parents=True)
    wheel = folder / "pip-99.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__init__.py", "")
        archive.writestr("pip/__main__.py", FAKE_PIP)
    page = folder / "index.html"
    page.write_text(f'<a href="{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">pip</a>')
    requests: list[tuple[str, str | None]] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            requests.append((self.path, self.headers["Authorization"]))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "index"))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Index(f"http://127.0.0.1:{server.server_port}/simple", page, requests)
        server.shutdown()
        thread.join()


@dataclass
class Checkout:
    """A clone whose path holds spaces, with stand-ins for what dev.py runs."""

    folder: Path
    environment: dict[str, str]

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def stamp(self) -> dict[str, Any] | None:
        path = self.venv / "streamkit-installed.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def pip_calls(self) -> list[list[str]]:
        calls = Path(self.environment["PIP_CALLS"])
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", BARE, str(self.folder / "dev.py"), *words]

    def dev(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run dev.py from a folder that is not the checkout, in a process group of its own."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder.parent,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )


@pytest.fixture
def checkout(tmp_path: Path, index: Index) -> Checkout:
    folder = tmp_path / "a path with spaces" / "clone"
    (folder / "streamkit").mkdir(parents=True)
    (folder / "dev.py").write_text(SOURCE)
    (folder / "pyproject.toml").write_text("[project]\n")
    for stand_in in ("streamkit/__main__.py", "pytest.py", "jupyterlab.py", "sphinx.py"):
        (folder / stand_in).write_text(SHOW_CALL)
    home = tmp_path / "empty home"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PIP_INDEX_URL": index.url,
        "PIP_CALLS": str(tmp_path / "pip-calls"),
    }
    return Checkout(folder, environment)


@pytest.fixture
def dev(tmp_path: Path) -> ModuleType:
    """dev.py as a module, standing in an empty folder."""
    path = tmp_path / "dev.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("dev_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runs(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every command that dev.py runs, as one line; none is really run, and all of them succeed."""
    seen: list[str] = []

    def run(*words: object, **variables: str) -> int:
        seen.append(" ".join([*(f"{name}={value}" for name, value in variables.items()), *map(str, words)]))
        return 0

    monkeypatch.setattr(dev, "run", run)
    return seen


# ---- An old Python


def test_an_old_python_gets_one_clear_line_and_exit_code_1(checkout: Checkout) -> None:
    old = BARE.replace(
        "import runpy, sys\n", "import runpy, sys\nsys.version_info, sys.version = (3, 10, 4), '3.10.4 (x)'\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", old, str(checkout.folder / "dev.py"), "test"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1
    assert "needs Python 3.11 or newer, and this is Python 3.10.4" in answer.stderr
    assert not checkout.venv.exists()


def test_dev_py_is_ascii_and_has_no_syntax_that_an_old_python_3_cannot_parse() -> None:
    assert SOURCE.isascii()
    ast.parse(SOURCE, feature_version=(3, 7))


def test_the_line_at_which_python_2_gives_up_names_the_python_that_is_needed() -> None:
    news = (ast.AnnAssign, ast.JoinedStr, ast.Starred, ast.arg)
    trees = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, news)]
    first = min(node.lineno for node in trees if not isinstance(node, ast.arg) or node.annotation)
    assert "streamkit needs Python 3.11 or newer" in SOURCE.splitlines()[first - 1]


# ---- The call


def test_help_has_one_line_for_each_command(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in ("demo", "test", "lab", "docs", "front", "lint"):
        assert len([line for line in lines if line.startswith(f"  {command} ")]) == 1


def test_an_unknown_command_is_an_error_that_names_the_known_ones(checkout: Checkout) -> None:
    answer = checkout.dev("tset")
    assert answer.returncode == 2
    assert "expected one of demo, test, lab, docs, front, lint, got 'tset'" in answer.stderr
    assert not checkout.venv.exists()


def test_no_command_is_an_error_that_shows_the_help(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main([]) == 2
    assert "usage: python3 dev.py" in capsys.readouterr().out


# ---- A fresh machine


def test_a_python_without_ensurepip_and_pip_downloads_pip_installs_and_runs(checkout: Checkout) -> None:
    answer = checkout.dev("demo", "--seed", "3")
    assert answer.returncode == 0, answer.stderr
    name, arguments, folder, prefix = json.loads(answer.stdout.splitlines()[-1])
    assert (name, arguments) == ("__main__", ["demo", "--seed", "3"])
    assert folder == str(checkout.folder.parent), "the picture belongs where the user stands"
    assert prefix == str(checkout.venv)
    bootstrap, install = checkout.pip_calls
    assert bootstrap[:2] == ["install", "--no-index"]
    assert install == ["install", "--disable-pip-version-check", "--editable", "."]


def test_nothing_is_written_outside_the_checkout(checkout: Checkout, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if checkout.folder not in path.parents}
    checkout.dev("demo")
    after = {path for path in tmp_path.rglob("*") if checkout.folder not in path.parents}
    assert after - before == {Path(checkout.environment["PIP_CALLS"])}, "the stand-in's own notes"


def test_a_pip_with_another_checksum_is_not_used(checkout: Checkout, index: Index) -> None:
    index.page.write_text(f'<a href="pip-99.1-py3-none-any.whl#sha256={"0" * 64}">pip</a>')
    answer = checkout.dev("demo")
    assert answer.returncode == 1
    assert f"expected SHA-256 {'0' * 64}" in answer.stderr
    assert checkout.pip_calls == []
    assert checkout.stamp is None


def test_no_network_is_one_message_that_says_what_to_do(checkout: Checkout, index: Index) -> None:
    index.page.unlink()
    answer = checkout.dev("demo")
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert "downloading pip failed" in answer.stderr
    assert "HTTPS_PROXY" in answer.stderr


def test_the_password_of_an_index_is_sent_to_it_and_never_shown(checkout: Checkout, index: Index) -> None:
    answer = checkout.dev("demo", PIP_INDEX_URL=index.url.replace("http://", "http://me:se%40cret@"))
    assert answer.returncode == 0, answer.stderr
    expected = "Basic " + base64.b64encode(b"me:se@cret").decode()
    assert [sent for _, sent in index.requests] == [expected, expected]
    assert "cret" not in answer.stdout + answer.stderr


def test_a_failed_installation_shows_pips_words_and_is_tried_again(checkout: Checkout) -> None:
    answer = checkout.dev("demo", PIP_DOES="fail")
    assert answer.returncode == 1
    assert "fake pip: no such host" in answer.stderr
    assert "installing . failed" in answer.stderr
    assert checkout.stamp is None
    assert checkout.dev("demo").returncode == 0


def test_ctrl_c_during_the_installation_leaves_no_stamp_and_no_traceback(checkout: Checkout) -> None:
    checkout.dev("demo")
    answer = checkout.dev("lab", PIP_DOES="ctrl-c")
    assert answer.returncode == 130
    assert "dev.py" not in answer.stderr, "the traceback is the stand-in's, not ours"
    assert checkout.stamp is None


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({"ensurepip", "pip"}, ["-m ensurepip --default-pip"]),
        ({"pip"}, ["-m pip --python PYTHON install pip"]),
        (set(), ["download", "WHEEL/pip install --no-index WHEEL"]),
    ],
)
def test_pip_comes_from_ensurepip_else_from_this_pythons_pip_else_from_the_index(
    dev: ModuleType, runs: list[str], monkeypatch: pytest.MonkeyPatch, present: set[str], expected: list[str]
) -> None:
    def run(*words: Any) -> int:
        runs.append(" ".join(map(str, words[1:])).replace(str(dev.PYTHON), "PYTHON"))
        return int(words[1] == "-c")  # the question whether .venv has a pip: no

    def download(_: Path) -> Path:
        runs.append("download")
        return Path("WHEEL")

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "download_pip", download)
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: name in present)
    dev.get_pip()
    assert runs[1:] == expected


def test_a_way_to_pip_that_fails_is_followed_by_the_next(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def run(*words: Any) -> int:
        tried.append(words[2])
        return int("--no-index" not in words)

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "download_pip", lambda _: Path("WHEEL"))
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda _: True)
    dev.get_pip()
    assert tried[1:] == ["ensurepip", "pip", "install"]


# ---- Which pip, from which index


def wheel(version: str, *, requires: str = "&gt;=3.9", checksum: str = "#sha256=aa", more: str = "") -> str:
    href = f"../../files/pip-{version}-py3-none-any.whl{checksum}"
    return f'<a href="{href}" data-requires-python="{requires}" {more}>pip</a>'


def test_the_newest_pip_that_fits_this_python_is_taken(dev: ModuleType) -> None:
    page = (
        wheel("9.0.3")
        + wheel("26.10")
        + wheel("26.9")
        + wheel("27.0b1")
        + wheel("28.0", requires="&gt;=3.99")
        + wheel("28.1", requires=">=3.99")
        + wheel("29.0", checksum="")
        + wheel("30.0", more="data-yanked")
        + '<a href="pip-31.0.tar.gz#sha256=aa">sdist</a>'
    )
    expected = ("https://host/files/pip-26.10-py3-none-any.whl", "aa")
    assert dev.newest_pip("https://host/simple/pip/", page) == expected


def test_an_index_without_a_usable_pip_is_an_error_that_says_so(dev: ModuleType) -> None:
    with pytest.raises(ValueError, match="https://host/simple/pip/ lists no wheel of pip for this Python"):
        dev.newest_pip("https://me:secret@host/simple/pip/", "<html></html>")


def test_pips_own_settings_hold_the_environment_before_the_files(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user, named = tmp_path / "config/pip/pip.conf", tmp_path / "named.conf"
    user.parent.mkdir(parents=True)
    user.write_text(
        "[global]\nindex-url = https://global/simple\ncolour = 20%20\n[install]\nindex-url = https://install/simple\n"
    )
    named.write_text("[install]\nindex-url = https://named/simple\n")
    for name in ("PIP_INDEX_URL", "PIP_COLOUR", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert dev.pip_setting("index-url") == "https://install/simple"
    assert dev.pip_setting("colour") == "20%20"
    assert dev.pip_setting("shape") is None
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    assert dev.pip_setting("index-url") == "https://named/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment/simple")
    assert dev.pip_setting("index-url") == "https://environment/simple"


# ---- The second time


def test_a_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.dev("demo")
    before = checkout.pip_calls
    answer = checkout.dev("demo")
    assert checkout.pip_calls == before
    assert "dev.py:" not in answer.stdout, "nothing to say either"


def test_extras_add_up_over_the_commands(checkout: Checkout) -> None:
    for command in ("demo", "lab", "demo"):
        checkout.dev(command)
    assert [call[-1] for call in checkout.pip_calls[1:]] == [".", ".[live,notebooks,pandas]"]
    assert checkout.dev("test", "-k", "parser").returncode == 0
    assert checkout.pip_calls[-1][-1] == ".[live,notebooks,pandas,test]"


def test_another_pyproject_is_installed_again(checkout: Checkout) -> None:
    checkout.dev("demo")
    (checkout.folder / "pyproject.toml").write_text("[project]\nname = 'streamkit'\n")
    checkout.dev("demo")
    assert [call[-1] for call in checkout.pip_calls[1:]] == [".", "."]


def test_a_stamp_that_cannot_be_read_counts_as_none(checkout: Checkout) -> None:
    checkout.dev("demo")
    for damaged in ("", "[]", "{}", '"x"', "\x00"):
        (checkout.venv / "streamkit-installed.json").write_text(damaged)
        assert checkout.dev("demo").returncode == 0
    assert len(checkout.pip_calls) == 2 + 5


# ---- A .venv that is there already


def test_a_working_venv_made_by_other_means_is_kept(checkout: Checkout) -> None:
    venv.create(checkout.venv, symlinks=True)
    (checkout.venv / "mine").touch()
    assert checkout.dev("demo").returncode == 0
    assert (checkout.venv / "mine").exists()


def python_gone(environment: Path) -> None:
    for python in environment.glob("bin/python*"):
        python.unlink()
        python.symlink_to("/nowhere/python3")


def no_pyvenv_cfg(environment: Path) -> None:
    (environment / "pyvenv.cfg").unlink()  # its Python now installs into the Python that it was made from


def half_made(environment: Path) -> None:
    shutil.rmtree(environment / "bin")


def a_file(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.touch()


def a_dead_link(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.symlink_to("/nowhere")


@pytest.mark.parametrize("harm", [python_gone, no_pyvenv_cfg, half_made, a_file, a_dead_link])
def test_a_broken_venv_is_made_again(checkout: Checkout, harm: Callable[[Path], None]) -> None:
    venv.create(checkout.venv, symlinks=True)
    harm(checkout.venv)
    answer = checkout.dev("demo")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])[-1] == str(checkout.venv)


def test_a_checkout_that_has_moved_gets_a_new_venv(checkout: Checkout) -> None:
    checkout.dev("demo")
    old = checkout.folder
    checkout.folder = old.rename(old.with_name("moved"))
    answer = checkout.dev("demo")
    assert answer.returncode == 0, answer.stderr
    assert checkout.stamp is not None
    assert checkout.stamp["folder"] == str(checkout.folder)
    assert (checkout.venv / "bin/python").exists()
    assert not old.exists()


def test_a_venv_whose_python_has_become_another_version_is_made_again(checkout: Checkout) -> None:
    checkout.dev("demo")
    assert checkout.stamp is not None
    (checkout.venv / "streamkit-installed.json").write_text(json.dumps({**checkout.stamp, "python": "3.99"}))
    (checkout.venv / "old").touch()
    assert checkout.dev("demo").returncode == 0
    assert not (checkout.venv / "old").exists()


# ---- The commands


def test_lab_opens_jupyterlab_on_the_notebooks(checkout: Checkout) -> None:
    answer = checkout.dev("lab", "--no-browser")
    assert json.loads(answer.stdout.splitlines()[-1])[1] == [str(checkout.folder / "notebooks"), "--no-browser"]


def test_test_runs_the_unit_tests_and_then_the_notebooks_strictly(dev: ModuleType, runs: list[str]) -> None:
    notebooks = dev.ROOT / "notebooks"
    notebooks.mkdir()
    for name in ("02_b.ipynb", "01_a.ipynb", "notes.md"):
        (notebooks / name).touch()
    assert dev.test([]) == 0
    left_out = "--ignore=tests/benchmarks --ignore=tests/campaigns"
    strictly = "--nbval --nbval-current-env -n 5 --dist loadscope"
    assert runs == [
        f"{dev.PYTHON} -m pytest tests {left_out} -p no:nbval -n 5 --dist worksteal",
        f"TQDM_DISABLE=1 {dev.PYTHON} -m pytest {strictly} notebooks/01_a.ipynb notebooks/02_b.ipynb",
    ]


def test_what_is_run_keeps_its_bytecode_also_where_none_is_asked_for(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert dev.run(sys.executable, "-c", "import sys; sys.exit(sys.dont_write_bytecode)") == 0


def test_test_without_a_notebook_is_an_error(dev: ModuleType, runs: list[str]) -> None:
    with pytest.raises(dev.StepFailed, match="no notebook"):
        dev.test([])
    assert len(runs) == 1


@pytest.mark.parametrize(("failing", "calls"), [("tests", 1), ("--nbval", 2)])
def test_test_fails_with_the_code_of_what_failed_and_stops_there(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, failing: str, calls: int
) -> None:
    (dev.ROOT / "notebooks").mkdir()
    (dev.ROOT / "notebooks/01_a.ipynb").touch()
    codes: list[int] = []

    def run(*words: Any, **_: str) -> int:
        codes.append(5 if failing in words else 0)
        return codes[-1]

    monkeypatch.setattr(dev, "run", run)
    assert dev.test([]) == 5
    assert len(codes) == calls


def test_test_with_arguments_is_pytest_with_those(dev: ModuleType, runs: list[str]) -> None:
    assert dev.test(["-k", "parser"]) == 0
    assert runs == [f"{dev.PYTHON} -m pytest -k parser"]


def test_where_outputs_are_compared_there_are_no_progress_bars(dev: ModuleType, runs: list[str]) -> None:
    assert dev.test(["--nbval", "a.ipynb"]) == 0
    assert runs == [f"TQDM_DISABLE=1 {dev.PYTHON} -m pytest --nbval a.ipynb"]


def test_lint_runs_every_check_also_after_one_has_failed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def run(*words: Any) -> int:
        seen.append(" ".join(words[2:4]))
        return int("ruff" in words)

    monkeypatch.setattr(dev, "run", run)
    assert dev.lint([]) == 1
    assert seen == ["ruff check", "ruff format", "mypy"]
    assert capsys.readouterr().out == "dev.py: FAILED: ruff check, ruff format\n"


def test_lint_passes_when_every_check_does(dev: ModuleType, runs: list[str]) -> None:
    assert dev.lint(["--fix"]) == 0
    assert runs[0].endswith("ruff check . --fix")


# ---- Signals


WAITS = """
import sys
try:
    print("ready", flush=True)
    sys.stdin.read()
    print("left behind", flush=True)
except KeyboardInterrupt:
    print("tidied up", flush=True)
    sys.exit(2)
"""


@pytest.mark.parametrize(
    ("stop", "code", "last_words"),
    [
        (lambda process: os.killpg(process.pid, signal.SIGINT), 130, "tidied up\n"),  # a terminal's Ctrl-C
        (lambda process: process.terminate(), 143, ""),  # dev.py alone
    ],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interruption_ends_the_tests_too_and_shows_no_traceback(
    checkout: Checkout, stop: Callable[[subprocess.Popen[str]], None], code: int, last_words: str
) -> None:
    checkout.dev("test", "-k", "prepares")
    (checkout.folder / "pytest.py").write_text(WAITS)
    with subprocess.Popen(
        checkout.command("test", "-k", "waits"),
        env=checkout.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        stop(process)
        assert process.wait(30) == code
        assert process.communicate() == (last_words, ""), "reads to the end: until no process holds the pipe any more"


def test_a_command_ended_by_a_signal_has_the_exit_code_of_a_shell(dev: ModuleType) -> None:
    assert dev.run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)") == 137


# ---- The site


def test_docs_builds_the_site_with_warnings_as_errors_and_says_where_its_front_page_is(checkout: Checkout) -> None:
    answer = checkout.dev("docs", "-E")
    assert answer.returncode == 0, answer.stderr
    *_, call, last = answer.stdout.splitlines()
    name, arguments, folder, _ = json.loads(call)
    assert (name, folder) == ("__main__", str(checkout.folder))
    site = checkout.folder / "docs/_build/html"
    assert arguments == ["-W", "--keep-going", "-j", "auto", "-E", str(checkout.folder / "docs"), str(site)]
    assert last == f"dev.py: the site's front page: {site / 'index.html'}"
    assert checkout.pip_calls[-1][-1] == ".[docs]"


def test_docs_shows_the_front_page_when_asked_to_and_the_site_is_whole(
    dev: ModuleType, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(dev.webbrowser, "open", shown.append)
    assert dev.docs(["--open"]) == 0
    assert shown == [(dev.ROOT / "docs/_build/html/index.html").as_uri()]
    assert "--open" not in runs[0]
    monkeypatch.setattr(dev, "run", lambda *_: 1)
    assert dev.docs(["--open"]) == 1
    assert len(shown) == 1


# ---- In a browser


@pytest.fixture
def chromium(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "CHROMIUM", (sys.executable,))


@pytest.mark.usefixtures("chromium")
def test_front_tries_the_site_as_it_is_now(dev: ModuleType, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert dev.front([]) == 0
    assert ["sphinx" in line for line in runs] == [True, False]
    assert "pytest front" in runs[1]
    monkeypatch.setattr(dev, "run", lambda *words: 3 if "sphinx" in words else pytest.fail("a site that is not whole"))
    assert dev.front([]) == 3


@pytest.mark.usefixtures("chromium")
def test_front_with_arguments_is_pytest_with_those(dev: ModuleType, runs: list[str]) -> None:
    assert dev.front(["-k", "playground"]) == 0
    assert len(runs) == 1
    assert runs[0].endswith("-k playground")


def test_front_without_chromium_says_what_to_install(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "CHROMIUM", ("no-such-browser",))
    with pytest.raises(dev.StepFailed, match="apt-get install chromium"):
        dev.front([])


# ---- .ci/run

CI_PYTHON = """#!/bin/sh
case "$1" in
  -c) exit {too_old} ;;
  dev.py) shift; echo "$0 $* CI=$CI $(ls -A | tr '\\n' ' ')" ; test "$1" != "$FAILING" ;;
esac
"""


@pytest.fixture
def ci(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run .ci/run of a used checkout with pretended Pythons: name = whether it is too old."""
    folder = tmp_path / "used clone"
    for made in (".ci", ".git", ".venv"):
        (folder / made).mkdir(parents=True)
    (folder / "dev.py").touch()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("bash", "sh", "env", "dirname", "mktemp", "rm", "tar", "ls", "tr", "cat"):
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)

    def run(failing: str = "", **pythons: bool) -> subprocess.CompletedProcess[str]:
        for name, too_old in pythons.items():
            python = programs / name.replace("_", ".")
            python.write_text(CI_PYTHON.format(too_old=int(too_old)))
            python.chmod(0o755)
        return subprocess.run(
            [folder / ".ci/run"],
            env={"PATH": str(programs), "FAILING": failing, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_ci_runs_lint_and_all_tests_in_a_copy_without_the_venv(
    ci: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    answer = ci(python3=False)
    assert answer.returncode == 0, answer.stderr
    python = tmp_path / "bin/python3"
    measuring = "test tests/benchmarks tests/campaigns -n 4 --dist worksteal"
    commands = "lint", "test", measuring, "front"
    assert answer.stdout.splitlines() == [f"{python} {command} CI=true .ci dev.py " for command in commands]
    assert {path.name for path in tmp_path.iterdir()} == {"used clone", "bin"}, "the copy is removed"


@pytest.mark.parametrize("failing", ["lint", "test", "front"])
def test_ci_fails_when_a_step_fails(ci: Callable[..., subprocess.CompletedProcess[str]], failing: str) -> None:
    assert ci(failing, python3=False).returncode != 0


def test_ci_takes_a_newer_python_than_python3(ci: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    answer = ci(python3=True, python3_12=False)
    assert answer.returncode == 0, answer.stderr
    assert "python3.12 lint" in answer.stdout


def test_ci_without_a_new_enough_python_says_so(ci: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    answer = ci(python3=True)
    assert answer.returncode == 1
    assert "found no Python 3.11 or newer" in answer.stderr
