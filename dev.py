#!/usr/bin/env python3
"""The commands of this checkout: python3 dev.py demo | test | lab | docs | front | lint.

Makes `.venv` beside this file, installs the package there (editable, with what the command needs) and runs the
command in it. Nothing outside `.venv` is changed. Needs CPython's standard library and a package index; neither pip
nor ensurepip, which minimal systems lack. A stamp in `.venv` says what is installed: a second run starts at once.

Everything runs as `python -m ...`: the scripts in `.venv/bin` name their interpreter in their first line, which
breaks on long paths and in moved folders.

ASCII only, and with no syntax newer than Python 3.6, so that an older Python answers with one clear line.
"""

import base64
import configparser
import hashlib
import html
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
import webbrowser
from pathlib import Path
from typing import Any

GRACE_S: float = 10.0  # streamkit needs Python 3.11 or newer (Python 2 stops at this line and shows it)

if sys.version_info < (3, 11):  # noqa: UP036  # whoever types the command may have an older one
    sys.stderr.write(
        f"dev.py: streamkit needs Python 3.11 or newer, and this is Python {sys.version.split()[0]}; "
        "run it with a newer one, such as: python3.13 dev.py demo\n"
    )
    sys.exit(1)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "streamkit-installed.json"
WORKERS = "5"  # that run tests side by side: three more than two cores, for many tests wait more than they work
OF_MEASURING = ("tests/benchmarks", "tests/campaigns")
WITHOUT_BARS = {"TQDM_DISABLE": "1"}  # where outputs are compared: what progress bars print varies
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NETWORK_HINT = (
    "If it is the network: HTTPS_PROXY names a proxy, PIP_INDEX_URL another package index, PIP_CERT a file of "
    "certificates to trust. Then run the same command again."
)


class StepFailed(Exception):
    """A step that could not be done; the message names it and says what to do."""


# ---- The commands: the first line of each docstring is its help.


def demo(arguments: list[str]) -> int:
    """show a real stream: its text as it arrives, its summary, its picture

    In the folder where the user stands: the picture is written there.
    """
    return become("-m", "streamkit", "demo", *arguments)


def test(arguments: list[str]) -> int:
    """run the unit tests, then the notebooks; with arguments: pytest with just those

    The checks of benchmarks/ and campaigns/ are left to .ci/run: they try the measuring, and take a minute.
    """
    if arguments:
        return run(PYTHON, "-m", "pytest", *arguments, **(WITHOUT_BARS if "--nbval" in arguments else {}))
    # worksteal gives each worker whole files to begin with, so that a module's servers and figures are made once;
    # nbval is for the notebooks, and takes each worker a second and a half to load
    left_out = [f"--ignore={folder}" for folder in OF_MEASURING]
    code = run(PYTHON, "-m", "pytest", "tests", *left_out, "-p", "no:nbval", "-n", WORKERS, "--dist", "worksteal")
    if code:
        say(f"FAILED: the unit tests (exit code {code}); the notebooks were not run")
        return code
    notebooks = [path.relative_to(ROOT) for path in sorted(ROOT.glob("notebooks/*.ipynb"))]
    if not notebooks:
        raise StepFailed("the unit tests passed, but there is no notebook in notebooks/ to check")
    # The kernel is this environment's, whatever kernel the user has installed under the notebook's kernel name;
    # loadscope keeps the cells of a notebook on one worker.
    nbval = ["--nbval", "--nbval-current-env", "-n", WORKERS, "--dist", "loadscope"]
    code = run(PYTHON, "-m", "pytest", *nbval, *notebooks, **WITHOUT_BARS)
    if code:
        say(f"FAILED: the notebooks (exit code {code}); the unit tests passed")
        return code
    say(f"passed: the unit tests and the notebooks ({len(notebooks)})")
    return 0


def lab(arguments: list[str]) -> int:
    """open JupyterLab on the notebooks"""
    return become("-m", "jupyterlab", ROOT / "notebooks", *arguments)


def front(arguments: list[str]) -> int:
    """build the site, then try it and the notebooks in a browser; needs Chromium

    Two at a time: each worker has a browser, a JupyterLab and a kernel. With arguments, which go to pytest, the site
    is not built anew.
    """
    if not any(map(shutil.which, CHROMIUM)):
        raise StepFailed("front needs Chromium, and found none; Debian: apt-get install chromium")
    code = 0 if arguments else docs([])
    return code or run(PYTHON, "-m", "pytest", "front", "-p", "no:nbval", "-n", "2", "--dist", "worksteal", *arguments)


def lint(arguments: list[str]) -> int:
    """run ruff and mypy; arguments go to `ruff check`, such as --fix

    All of them, also after one has failed.
    """
    checks = {
        "ruff check": ["ruff", "check", ".", *arguments],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
    }
    failed = [name for name, words in checks.items() if run(PYTHON, "-m", *words)]
    say(f"FAILED: {', '.join(failed)}" if failed else f"passed: {', '.join(checks)}")
    return 1 if failed else 0


def docs(arguments: list[str]) -> int:
    """build the site into docs/_build/html; --open shows it, other arguments go to Sphinx

    Whatever Sphinx warns of is an error: a link that leads nowhere, a figure without words, a public name on no page.
    """
    site = ROOT / "docs" / "_build" / "html"
    words = [word for word in arguments if word != "--open"]
    code = run(PYTHON, "-m", "sphinx", "-W", "--keep-going", "-j", "auto", *words, ROOT / "docs", site)
    if code:
        say("FAILED: the site; Sphinx says why above")
        return code
    say(f"the site's front page: {site / 'index.html'}")
    if "--open" in arguments:
        webbrowser.open((site / "index.html").as_uri())
    return 0


# Each command with the extras of pyproject.toml that it needs; mypy wants to see what the tests import, and does
# without the benchmarks' peers.
COMMANDS = {
    "demo": (demo, []),
    "test": (test, ["test"]),
    "lab": (lab, ["notebooks", "live", "pandas"]),
    "docs": (docs, ["docs"]),
    "front": (front, ["front", "test", "docs"]),
    "lint": (lint, ["lint", "test", "front"]),
}


def usage() -> str:
    """The help: one line for each command."""
    lines = [f"  {name:<6}{(function.__doc__ or '').splitlines()[0]}" for name, (function, _) in COMMANDS.items()]
    examples = "Arguments are handed on: dev.py demo --seed 3, dev.py test -k parser, dev.py lab --no-browser."
    return "\n".join(["usage: python3 dev.py COMMAND [ARGUMENTS]", "", *lines, "", examples])


def main(words: list[str]) -> int:
    """Exit codes: the command's own; 2 for a wrong call; 1 for a failed step; 130 after Ctrl-C."""
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    if words[0] not in COMMANDS:
        print(f"dev.py: expected one of {', '.join(COMMANDS)}, got {words[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    function, extras = COMMANDS[words[0]]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that run() ends its child
    try:
        prepare(extras)
        # so that a notebook's `!streamkit ...` and a terminal in JupyterLab find it
        os.environ["PATH"] = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
        return function(words[1:])
    except StepFailed as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


# ---- Running


def say(text: str) -> None:
    """One line of our own; flushed, so that it stands before what the next child prints."""
    print(f"dev.py: {text}", flush=True)


def run(*command: str | Path, **variables: str) -> int:
    """Run a command in the checkout to its end; its exit code, or 128 + n if signal n ended it. `variables` are put
    into its environment.

    Ctrl-C reaches the child as well (it is in the same process group) and gives it time to tidy up. No child
    outlives this function.
    """
    # PIP_USER: a user's pip.conf may ask for --user, which a venv refuses. PYTHONDONTWRITEBYTECODE: where it is set,
    # each of the hundreds of processes that the tests start would compile the package, and each worker all tests.
    environment = {**os.environ, "PIP_USER": "0", "PYTHONDONTWRITEBYTECODE": "", **variables}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                say(f"still running {GRACE_S:.0f} s after Ctrl-C: ending it")
            raise
        finally:
            if child.poll() is None:
                child.terminate()
    return code if code >= 0 else 128 - code


def become(*arguments: str | Path) -> int:
    """Turn this process into the environment's Python: signals and the exit code are then the command's own, and
    there is no parent whose end could leave it behind."""
    if os.name == "nt":  # exec starts a second process there, and returns to the shell at once
        return run(PYTHON, *arguments)
    return os.execv(PYTHON, [str(PYTHON), *map(str, arguments)])


# ---- Preparing .venv


def prepare(extras: list[str]) -> None:
    """Make `.venv` hold the package with these extras, beside those of earlier commands; nothing to do if the stamp
    says that it does."""
    stamp, version = read_stamp(), venv_version()
    if version is None or (stamp and [stamp["folder"], stamp["python"]] != [str(ROOT), version]):
        make_venv()
        stamp, version = {}, venv_version()
    pyproject = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    present = set(stamp["extras"]) if stamp.get("pyproject") == pyproject else None
    if present is not None and present.issuperset(extras):
        return
    STAMP.unlink(missing_ok=True)  # an installation that is interrupted leaves no stamp
    get_pip()
    wanted = sorted({*extras, *(present or ())})
    package = f".[{','.join(wanted)}]" if wanted else "."
    say(f"installing {package} into .venv (the first time: a minute or two)")
    if run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--editable", package):
        raise StepFailed(f"installing {package} failed; pip says why above. {NETWORK_HINT}")
    part = STAMP.with_suffix(".part")  # whole or not at all
    part.write_text(json.dumps({"folder": str(ROOT), "python": version, "pyproject": pyproject, "extras": wanted}))
    part.replace(STAMP)


def read_stamp() -> dict[str, Any]:
    """What the last finished installation wrote; empty if there is none that can be read."""
    try:
        stamp: dict[str, Any] = json.loads(STAMP.read_text())
        return stamp if stamp.keys() == {"folder", "python", "pyproject", "extras"} else {}
    except (OSError, ValueError, AttributeError):
        return {}


def venv_version() -> str | None:
    """The version ("3.12") of the Python in `.venv`; None if it does not run, is too old, or is not a venv's.

    The prefix is asked for because a `.venv` that lost its pyvenv.cfg would install into the system's Python.
    """
    ask = "import sys; print(sys.prefix); print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))"
    try:
        answer = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True)
        prefix, version = answer.stdout.splitlines()
        return version if Path(prefix).samefile(VENV) else None
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def make_venv() -> None:
    """Make an empty `.venv`, in place of what may be there."""
    try:
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            say("removing .venv: it is unfinished, or its Python or its folder has moved")
            shutil.rmtree(VENV)
        say(f"making {VENV}")
        venv.create(VENV, symlinks=os.name != "nt")  # without pip: it would come from ensurepip, see get_pip()
    except OSError as error:
        raise StepFailed(f"making .venv failed: {error}. Is {ROOT} writable, and is there space?") from error


# ---- Getting pip


def get_pip() -> None:
    """Put pip into `.venv`: by ensurepip, else by this Python's own pip, else by a download from the package index.

    Debian splits ensurepip off. uv is no way out: it ignores pip's configuration and the system's certificates.
    """
    if not run(PYTHON, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('pip') is None)"):
        return
    if importlib.util.find_spec("ensurepip") and not run(PYTHON, "-m", "ensurepip", "--default-pip"):
        return
    if importlib.util.find_spec("pip") and not run(sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip"):
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download_pip(Path(folder))
        if run(PYTHON, wheel / "pip", "install", "--no-index", wheel):
            raise StepFailed(f"installing {wheel.name} failed; pip says why above")


def download_pip(folder: Path) -> Path:
    """Download the newest wheel of pip for this Python into the folder, and check its SHA-256."""
    try:
        page = (pip_setting("index-url") or "https://pypi.org/simple").rstrip("/") + "/pip/"
        say(f"this Python has neither ensurepip nor pip: getting pip from {without_password(page)}")
        url, expected = newest_pip(page, fetch(page).decode())
        wheel = fetch(url)
    except (OSError, ValueError, http.client.HTTPException, configparser.Error) as error:
        debian = "On Debian, `apt install python3-venv ca-certificates` helps."
        raise StepFailed(f"downloading pip failed: {error}. {debian} {NETWORK_HINT}") from error
    got = hashlib.sha256(wheel).hexdigest()
    if got != expected:
        raise StepFailed(f"expected SHA-256 {expected} for {without_password(url)}, got {got}: not used")
    path = folder / url.rpartition("/")[2]
    path.write_bytes(wheel)
    return path


def newest_pip(page: str, content: str) -> tuple[str, str]:
    """The address and the SHA-256 of the newest release of pip that this Python can run.

    `content` is a page of PEP 503: HTML, which all indexes and mirrors serve; JSON not all. Pre-releases, yanked
    files and files without a checksum do not count; raises ValueError if nothing is left.
    """
    found = []
    for link in re.findall(r"""<a\s(?:"[^"]*"|'[^']*'|[^"'>])*>""", content):
        href = re.search(r"href=[\"']([^\"']+)", link)
        url, _, sha256 = urllib.parse.urljoin(page, html.unescape(href[1]) if href else "").partition("#sha256=")
        version = re.search(r"/pip-(\d+(?:\.\d+)*)-py3-none-any\.whl$", url)
        oldest = re.search(r"data-requires-python=[\"'][^\"']*>=\s*3\.(\d+)", html.unescape(link))
        too_new = oldest is not None and int(oldest[1]) > sys.version_info.minor
        if version and sha256 and not too_new and "data-yanked" not in link:
            found.append(([int(number) for number in version[1].split(".")], url, sha256))
    if not found:
        raise ValueError(f"{without_password(page)} lists no wheel of pip for this Python with a checksum")
    return max(found)[1:]


def fetch(url: str) -> bytes:
    """What is at an address. A user and password in it are sent to its own host only, as pip does."""
    certificates = pip_setting("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or None
    trust = ssl.create_default_context(cafile=certificates)  # None: the system's; OpenSSL reads SSL_CERT_FILE
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(without_password(url), headers={"Accept": "text/html, */*;q=0.1"})
    if parts.username:
        secret = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(secret.encode()).decode())
    with urllib.request.urlopen(request, timeout=60, context=trust) as answer:
        content: bytes = answer.read()
    return content


def without_password(url: str) -> str:
    """The address without user and password: to be shown, and to be asked for."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def pip_setting(name: str) -> str | None:
    """A setting of pip ("index-url", "cert") from the environment, else from its configuration files."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    home = Path("~").expanduser()
    settings = configparser.RawConfigParser()
    user = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = os.environ.get("PIP_CONFIG_FILE") or os.devnull
    settings.read(["/etc/pip.conf", home / ".pip/pip.conf", user / "pip/pip.conf", named])  # the last one wins
    return settings.get("install", name, fallback=settings.get("global", name, fallback=None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
